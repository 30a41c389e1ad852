"""Where a lesion may lie: every legal offset at once, and a uniform draw from them (equations 3 and 4).

An offset is legal if the lesion, moved by it,

* shows at least `min_visible` of its pixels inside the frame,
* shares at least `min_region_overlap` pixels with the region (if there is one), and
* shares at most `max_lesion_overlap` pixels with lesions that are already there.

All bounds are inclusive. An int counts pixels, a float is a fraction of the lesion's own pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from softcp_gpu.functional import execution
from softcp_gpu.functional.overlap import Lags, Overlaps, fast_length, overlap_maps, overlaps_at, within_bounds
from softcp_gpu.functional.windows import bounding_box, count_pixels, take_window
from softcp_gpu.types import Bounds


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
    area = count_pixels(lesion)
    shape = tuple(lesion.shape[2:])
    full = tuple(2 * length - 1 for length in shape)
    lags = Lags(tuple(1 - length for length in shape), full, tuple(map(fast_length, full)))
    legal = within_bounds(
        overlap_maps(lesion, torch.ones_like(lesion), region, other_lesions, lags), area, bounds, region
    )
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
    middle = execution.constants([length // 2 for length in legal.shape[1:]], legal)
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
    index, found = _draw_index(legal, rank_u)
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
    """Candidates one after the other for the samples that still look, then a map of what the rectangles hold."""
    origin, found = torch.zeros_like(first), torch.zeros_like(area, dtype=torch.bool)
    possible = (span > 0).all(1)

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
    for row in (possible & ~found).nonzero().flatten():  # few: one by one, each on a map no larger than it must be
        rows = row[None]
        count = tuple(span[row].tolist())
        frame = tuple(places + w - 1 for places, w in zip(count, window.shape[2:], strict=True))
        part = [None if t is None else take_window(t[rows], first[rows], frame) for t in (region, other_lesions)]
        lags = Lags((0,) * len(frame), count, tuple(map(fast_length, frame)))
        visible = _inside(-first[rows], torch.tensor([shape]), frame)[:, None]
        maps = overlap_maps(window[rows], visible, part[0], part[1], lags)
        index, ok = _draw_index(within_bounds(maps, area[rows], bounds, region), rank_u[rows])
        origin[rows], found[rows] = first[rows] + index, ok
    return origin, found


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
