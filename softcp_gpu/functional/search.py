"""A place for each lesion: candidates are tried, then all places of what is left are counted."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from softcp_gpu.functional import execution
from softcp_gpu.functional.overlap import (
    Lags,
    Overlaps,
    fast_length,
    flags_of,
    obeys,
    overlap_maps,
    overlaps_of_one,
    within_bounds,
)
from softcp_gpu.functional.placement import draw_entry, entry_of_rank
from softcp_gpu.functional.windows import bounding_box, count_pixels, take_window
from softcp_gpu.types import Bounds

_SLAB_PIXELS = 1 << 23  # of a map that is made at once, unless a lesion alone needs more


def find_origin(
    window: Tensor,
    size: Tensor,
    area: Tensor,
    shape: tuple[int, ...],
    region: Tensor | None,
    other_lesions: Tensor | None,
    bounds: Bounds,
    candidate_u: Tensor,
    rank_u: Tensor,
) -> tuple[Tensor, Tensor]:
    """A uniform draw from all legal places: the first legal candidate, or else a draw from the map of all.

    The candidates are uniform over a rectangle that holds every legal place, so the first legal one is uniform over
    the legal places; so is the draw from the map. Both ways of running, lesion by lesion or on whole maps, look at the
    same candidates and end in the same place.

    Args:
        window: (B, 1, *w) bool, each lesion with its box at the window's first corner.
        size: (B, n) int64, the box.
        area: (B,) int64, the lesion's pixels.
        shape: n frame lengths.
        region, other_lesions: (B, 1, *spatial) bool or None.
        bounds: the rule.
        candidate_u: (B, K, n) in [0, 1).
        rank_u: (B,) in [0, 1).

    Returns:
        origin (B, n) int64, where the box begins in the frame, and found (B,) bool.
    """
    first, span = _rectangle(size, area, shape, region, other_lesions, bounds)
    candidates = first[:, None] + (candidate_u * span[:, None]).to(torch.int64)
    if execution.may_read_values(window):
        return _search(window, area, shape, region, other_lesions, bounds, candidates, rank_u, first, span)
    if _whole(bounds):  # places outside the rectangle may wrap around: they do not count
        lags = Lags((0,) * len(shape), shape, tuple(map(fast_length, shape)))
    else:
        reach = tuple(window.shape[2:])
        full = tuple(length + w - 1 for length, w in zip(shape, reach, strict=True))
        lags = Lags(tuple(1 - w for w in reach), full, tuple(map(fast_length, full)))
    frame = torch.ones((window.shape[0], 1, *shape), dtype=torch.bool, device=window.device)
    legal = within_bounds(overlap_maps(window, frame, region, other_lesions, lags), area, bounds, region)
    start = execution.constants(lags.first, window)
    legal = legal & _inside(first - start, span, lags.number)
    at = torch.zeros_like(candidates[..., 0])
    for axis, length in enumerate(lags.number):
        at = at * length + (candidates - start)[..., axis].clamp(0, length - 1)
    hit = legal.flatten(1).gather(1, at)
    accepted = candidates.gather(1, hit.int().argmax(1)[:, None, None].expand(-1, 1, candidates.shape[2]))[:, 0]
    index, found = draw_entry(legal, rank_u)
    return torch.where(hit.any(1)[:, None], accepted, index + start), found


def _search(
    window: Tensor,
    area: Tensor,
    shape: tuple[int, ...],
    region: Tensor | None,
    other_lesions: Tensor | None,
    bounds: Bounds,
    candidates: Tensor,
    rank_u: Tensor,
    first: Tensor,
    span: Tensor,
) -> tuple[Tensor, Tensor]:
    """Sample by sample: the candidates one after the other, then a map of what the rectangle holds."""
    origin, found = torch.zeros_like(first), torch.zeros_like(area, dtype=torch.bool)
    for i, places in enumerate(span.tolist()):
        if 0 in places:
            continue
        lesion, *others = (flags_of(mask, i) for mask in (window, region, other_lesions))
        pixels = float(area[i])
        for candidate in candidates[i].tolist():
            counts = overlaps_of_one(lesion, candidate, shape, *others)
            if obeys(counts, pixels, bounds, region is not None):
                origin[i], found[i] = execution.constants(candidate, origin), True
                break
        else:
            one = slice(i, i + 1)
            near = [None if mask is None else mask[one] for mask in (region, other_lesions)]
            rest = Rest(window[one], area[one], shape, near[0], near[1], bounds, first[one], tuple(places))
            index, found[one] = rest.draw(rank_u[one])
            origin[one] = first[one] + index
    return origin, found


class Rest(NamedTuple):
    """One sample whose candidates were not legal: the map of all places in its rectangle, no more of it than it takes.

    The map is made in slabs along the first axis, so that memory is bounded however large a scan is.
    """

    window: Tensor  # (1, 1, *w)
    area: Tensor  # (1,)
    shape: tuple[int, ...]
    region: Tensor | None
    other_lesions: Tensor | None
    bounds: Bounds
    first: Tensor  # (1, n)
    span: tuple[int, ...]  # places along each axis

    def draw(self, rank_u: Tensor) -> tuple[Tensor, Tensor]:
        """Place in the rectangle (1, n), and whether there is one (1,)."""
        depth, *plane = self.window.shape[2:]
        layer = math.prod(places + w - 1 for places, w in zip(self.span[1:], plane, strict=True))
        thick = max(depth, _SLAB_PIXELS // layer - depth + 1)
        if thick >= self.span[0]:
            return draw_entry(self._legal(0, self.span[0]), rank_u)
        starts = range(0, self.span[0], thick)
        counts = torch.stack([self._legal(start, min(thick, self.span[0] - start)).sum() for start in starts])
        total = int(counts.sum())
        rank = min(int(rank_u.double() * total), max(total - 1, 0))
        slab = int((counts.cumsum(0) <= rank).sum().clamp(max=len(counts) - 1))
        legal = self._legal(starts[slab], min(thick, self.span[0] - starts[slab]))
        index, found = entry_of_rank(legal, execution.constants([rank - int(counts[:slab].sum())], legal))
        index[:, 0] += starts[slab]
        return index, found

    def _legal(self, start: int, thick: int) -> Tensor:
        """A slab of the map, (1, *places) bool."""
        number = (thick, *self.span[1:])
        frame = tuple(places + w - 1 for places, w in zip(number, self.window.shape[2:], strict=True))
        corner = self.first.clone()
        corner[:, 0] += start
        part = [None if t is None else take_window(t, corner, frame) for t in (self.region, self.other_lesions)]
        lags = Lags((0,) * len(frame), number, tuple(map(fast_length, frame)))
        visible = _inside(-corner, execution.constants(self.shape, corner)[None], frame)[:, None]
        maps = overlap_maps(self.window, visible, part[0], part[1], lags)
        return within_bounds(maps, self.area, self.bounds, self.region)


def _rectangle(
    size: Tensor,
    area: Tensor,
    shape: tuple[int, ...],
    region: Tensor | None,
    other_lesions: Tensor | None,
    bounds: Bounds,
) -> tuple[Tensor, Tensor]:
    """First place and number of places per axis, (B, n) each, of a rectangle that holds every legal place.

    It is empty where simple counts already tell that there is none.
    """
    frame = execution.constants(shape, size)
    first = torch.zeros_like(size) if _whole(bounds) else 1 - size
    last = frame - size if _whole(bounds) else (frame - 1).expand_as(size)
    if region is not None and bounds.min_region_overlap > 0:
        start, extent, filled = bounding_box(region)
        first = torch.maximum(first, start - size + 1)
        last = torch.where(filled[:, None], torch.minimum(last, start + extent - 1), first - 1)
    span = (last - first + 1).clamp(min=0)
    # At best the lesion covers the whole region, and of the other lesions only what finds no room beside them.
    inside = torch.zeros_like(area) if region is None else torch.minimum(area, count_pixels(region))
    taken = torch.zeros_like(area) if other_lesions is None else count_pixels(other_lesions)
    crowded = (area + taken - frame.prod()).clamp(min=0) if _whole(bounds) else torch.zeros_like(area)
    best = Overlaps(area, inside, crowded)
    return first, span * within_bounds(best, area, bounds, region)[:, None]


def _whole(bounds: Bounds) -> bool:
    """Whether the lesion must lie in the frame as a whole."""
    return isinstance(bounds.min_visible, float) and bounds.min_visible == 1.0


def _inside(first: Tensor, span: Tensor, size: tuple[int, ...]) -> Tensor:
    """(B, *size) bool: a rectangle of each sample, given by its first corner and its lengths, (B, n) each."""
    axes = len(size)
    inside = torch.ones((1,) * (axes + 1), dtype=torch.bool, device=first.device)
    for axis, length in enumerate(size):
        place = torch.arange(length, device=first.device) - first[:, axis, None]
        line = (place >= 0) & (place < span[:, axis, None])
        inside = inside & line.view(-1, *(length if a == axis else 1 for a in range(axes)))
    return inside
