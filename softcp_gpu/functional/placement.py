"""Where a lesion may lie: every legal offset at once, and a uniform draw from them (equations 3 and 4).

An offset is legal if the lesion, moved by it,

* shows at least `min_visible` of its pixels inside the frame,
* shares at least `min_region_overlap` pixels with the region (if there is one), and
* shares at most `max_lesion_overlap` pixels with lesions that are already there.

All bounds are inclusive. An int counts pixels, a float is a fraction of the lesion's own pixels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from softcp_gpu.functional.execution import may_read_values
from softcp_gpu.functional.windows import bounding_box, take_window, window_index
from softcp_gpu.types import Bounds

_FLOAT32_EXACT = 1 << 32  # product of the two sizes up to which a float32 FFT keeps counts within 0.1 of the truth


class Overlaps(NamedTuple):
    """Pixels of the lesion at one or more offsets, int64 each, all of one shape."""

    visible: Tensor
    region: Tensor
    lesion: Tensor


def legal_offsets(
    lesion: Tensor,
    region: Tensor | None = None,
    other_lesions: Tensor | None = None,
    *,
    min_region_overlap: int | float = 0.5,
    max_lesion_overlap: int | float = 0,
    min_visible: int | float = 1.0,
    in_place: bool = False,
) -> Tensor:
    """The map of all legal offsets.

    Args:
        lesion: (B, 1, *spatial) bool, the hard lesion in the frame.
        region: (B, 1, *spatial) bool, or None: equation 3 is left out.
        other_lesions: (B, 1, *spatial) bool, or None: there are none.
        min_region_overlap: least lesion pixels inside the region, int (pixels) or float (fraction of the lesion).
        max_lesion_overlap: most lesion pixels on other lesions, likewise.
        min_visible: least lesion pixels inside the frame, likewise.
        in_place: only the offset 0 can be legal.

    Returns:
        (B, 2 * L_1 - 1, ..., 2 * L_n - 1) bool for a frame of L_1 x ... x L_n. Index L_a - 1 + o of axis a is the
        offset o: the middle is "not moved". An empty lesion has no legal offset.

    Note:
        Counts come from one FFT correlation per mask and are rounded to integers, so the bounds hold exactly.

    Example:
        >>> lesion = torch.zeros(1, 1, 1, 4, dtype=torch.bool)
        >>> lesion[..., 0] = True
        >>> legal_offsets(lesion)[0, 0].int().tolist()  # may move by 0 .. 3 to the right
        [0, 0, 0, 1, 1, 1, 1]
    """
    bounds = Bounds(min_region_overlap, max_lesion_overlap, min_visible)
    area = lesion.flatten(1).sum(1)
    legal = within_bounds(_overlap_maps(lesion, region, other_lesions, tuple(lesion.shape[2:])), area, bounds, region)
    if in_place:
        middle = torch.zeros(legal.shape[1:], dtype=torch.bool, device=legal.device)
        middle[tuple(length // 2 for length in middle.shape)] = True
        legal = legal & middle
    return legal


def draw_offset(legal: Tensor, rank_u: Tensor) -> tuple[Tensor, Tensor]:
    """Draws one legal offset of each sample, all with the same probability.

    Args:
        legal: (B, 2 * L_1 - 1, ...) bool, as `legal_offsets` returns it.
        rank_u: (B,) floating in [0, 1), the draw.

    Returns:
        offset (B, n) int64, and found (B,) bool; the offset is 0 where none is legal.

    Example:
        >>> legal = torch.tensor([[[False, False, True]]])
        >>> draw_offset(legal, torch.tensor([0.3]))
        (tensor([[0, 1]]), tensor([True]))
    """
    index, found = _draw_index(legal, rank_u)
    middle = torch.tensor([length // 2 for length in legal.shape[1:]], device=legal.device)
    return (index - middle) * found[:, None], found


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
    first, span = _rectangle(size, shape, region, bounds)
    candidates = first[:, None] + (candidate_u * span[:, None]).to(torch.int64)
    possible = (span > 0).all(1) & (area > 0)
    if may_read_values(window):
        return _search(window, shape, region, other_lesions, bounds, candidates, rank_u, area, possible)
    legal = within_bounds(_overlap_maps(window, region, other_lesions, shape), area, bounds, region)
    reach = torch.tensor(window.shape[2:], device=window.device) - 1
    at = torch.zeros_like(candidates[..., 0])
    for axis, length in enumerate(legal.shape[1:]):
        at = at * length + (candidates + reach)[..., axis].clamp(0, length - 1)
    hit = legal.flatten(1).gather(1, at) & possible[:, None]
    accepted = candidates.gather(1, hit.int().argmax(1)[:, None, None].expand(-1, 1, candidates.shape[2]))[:, 0]
    index, found = _draw_index(legal, rank_u)
    return torch.where(hit.any(1)[:, None], accepted, index - reach), hit.any(1) | (found & possible)


def overlaps_at(
    window: Tensor, origin: Tensor, shape: tuple[int, ...], region: Tensor | None, other_lesions: Tensor | None
) -> Overlaps:
    """Counts at one place of each sample; `origin` is (B, n), the counts are (B,)."""
    size = tuple(window.shape[2:])
    visible = window & window_index(origin, size, shape)[1][:, None]

    def count(frame: Tensor | None) -> Tensor:
        shared = torch.zeros_like(visible) if frame is None else visible & take_window(frame, origin, size)
        return shared.flatten(1).sum(1)

    return Overlaps(visible.flatten(1).sum(1), count(region), count(other_lesions))


def _search(
    window: Tensor,
    shape: tuple[int, ...],
    region: Tensor | None,
    other_lesions: Tensor | None,
    bounds: Bounds,
    candidates: Tensor,
    rank_u: Tensor,
    area: Tensor,
    possible: Tensor,
) -> tuple[Tensor, Tensor]:
    """Candidates one after the other for the samples that still look, then the map for what is left."""
    origin, found = torch.zeros_like(candidates[:, 0]), torch.zeros_like(possible)

    def pick(t: Tensor | None, rows: Tensor) -> Tensor | None:
        return None if t is None else t.index_select(0, rows)

    for k in range(candidates.shape[1]):
        rows = (possible & ~found).nonzero().flatten()
        if rows.numel() == 0:
            return origin, found
        here = candidates[rows, k]
        counts = overlaps_at(window[rows], here, shape, pick(region, rows), pick(other_lesions, rows))
        legal = within_bounds(counts, area[rows], bounds, region)
        origin[rows[legal]], found[rows[legal]] = here[legal], True
    rows = (possible & ~found).nonzero().flatten()
    if rows.numel():
        maps = _overlap_maps(window[rows], pick(region, rows), pick(other_lesions, rows), shape)
        index, ok = _draw_index(within_bounds(maps, area[rows], bounds, region), rank_u[rows])
        origin[rows], found[rows] = index - (torch.tensor(window.shape[2:]) - 1), ok
    return origin, found


def _rectangle(size: Tensor, shape: tuple[int, ...], region: Tensor | None, bounds: Bounds) -> tuple[Tensor, Tensor]:
    """First origin and number of origins per axis, (B, n) each, of a rectangle that holds every legal origin."""
    frame = torch.tensor(shape, device=size.device)
    whole = bounds.min_visible == 1.0 and isinstance(bounds.min_visible, float)
    first = torch.zeros_like(size) if whole else 1 - size
    last = frame - size if whole else (frame - 1).expand_as(size)
    if region is not None and bounds.min_region_overlap > 0:
        start, extent, filled = bounding_box(region)
        first = torch.maximum(first, start - size + 1)
        last = torch.where(filled[:, None], torch.minimum(last, start + extent - 1), first - 1)
    return first, (last - first + 1).clamp(min=0)


def within_bounds(counts: Overlaps, area: Tensor, bounds: Bounds, region: Tensor | None) -> Tensor:
    """Whether the counts at each offset, (B, ...), obey all bounds."""
    area = area.view(-1, *(1,) * (counts.visible.ndim - 1))

    def bound(value: int | float) -> Tensor:
        # A fraction of the area is a real number: the slack below only absorbs the rounding of that product.
        return torch.full_like(area, value, dtype=torch.float64) if isinstance(value, int) else area.double() * value

    legal = (area > 0) & (counts.visible >= bound(bounds.min_visible) - 1e-6)
    if region is not None:
        legal = legal & (counts.region >= bound(bounds.min_region_overlap) - 1e-6)
    return legal & (counts.lesion <= bound(bounds.max_lesion_overlap) + 1e-6)


def _overlap_maps(
    window: Tensor, region: Tensor | None, other_lesions: Tensor | None, shape: tuple[int, ...]
) -> Overlaps:
    """Counts at every origin from 1 - w to L - 1 per axis, (B, L + w - 1, ...) each."""
    everywhere = torch.ones((1, 1, *shape), dtype=torch.bool, device=window.device)
    frames = [everywhere.expand(window.shape[0], *everywhere.shape[1:])]
    frames += [frame for frame in (region, other_lesions) if frame is not None]
    counts = _correlate(torch.cat(frames, 1), window).unbind(1)
    zero = torch.zeros_like(counts[0])
    rest = iter(counts[1:])
    return Overlaps(counts[0], zero if region is None else next(rest), zero if other_lesions is None else next(rest))


def _correlate(frames: Tensor, window: Tensor) -> Tensor:
    """Full cross-correlation, (B, F, *L) with (B, 1, *w) to (B, F, L + w - 1, ...), exact for 0/1 inputs."""
    axes = tuple(range(2, window.ndim))
    full = [frames.shape[a] + window.shape[a] - 1 for a in axes]
    fast = [_fast_length(length) for length in full]
    small = math.prod(frames.shape[2:]) * math.prod(window.shape[2:]) <= _FLOAT32_EXACT
    dtype = torch.float32 if small else torch.float64
    spectrum = torch.fft.rfftn(window.flip(axes).to(dtype), s=fast, dim=axes)
    product = torch.fft.rfftn(frames.to(dtype), s=fast, dim=axes) * spectrum
    counts = torch.fft.irfftn(product, s=fast, dim=axes).round().to(torch.int64)
    for axis, length in zip(axes, full, strict=True):
        counts = counts.narrow(axis, 0, length)
    return counts


def _fast_length(length: int) -> int:
    """The next length without a prime factor above 5: what FFTs are quick at."""
    while True:
        rest = length
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return length
        length += 1


def _draw_index(legal: Tensor, rank_u: Tensor) -> tuple[Tensor, Tensor]:
    """Position of the drawn true entry, (B, n) int64, and whether there is one."""
    order = legal.flatten(1).cumsum(1)
    count = order[:, -1]
    rank = torch.minimum((rank_u.double() * count).to(torch.int64), count - 1).clamp(min=0) + 1
    flat = torch.searchsorted(order, rank[:, None])[:, 0].clamp(max=order.shape[1] - 1)
    index = []
    for length in reversed(legal.shape[1:]):
        index.append(flat % length)
        flat = flat // length
    return torch.stack(index[::-1], 1), count > 0
