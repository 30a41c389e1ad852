"""Where a lesion may lie (equations 3 and 4), by counting pixels at every offset, and the draw from all legal ones.

An offset is legal if the lesion, moved by it, shows at least `min_visible` of its pixels inside the frame (and at least
one), shares at least `min_region_overlap` with the region, and at most `max_lesion_overlap` with other lesions. All
bounds are inclusive; an int counts pixels, a float is a fraction of the lesion's own pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

Bounds = tuple[int | float, int | float, int | float]  # as the fields of `softcp_gpu.types.Bounds`


class Overlaps(NamedTuple):
    """Pixels of a lesion, at one place or, as arrays, at many."""

    visible: int | np.ndarray
    region: int | np.ndarray
    lesion: int | np.ndarray


def legal_offsets(
    lesion: np.ndarray,
    region: np.ndarray | None = None,
    other_lesions: np.ndarray | None = None,
    *,
    min_region_overlap: int | float = 0.5,
    max_lesion_overlap: int | float = 0,
    min_visible: int | float = 1.0,
    in_place: bool = False,
) -> np.ndarray:
    """The map of all legal offsets.

    Args:
        lesion: (H, W) bool, the hard lesion in the frame.
        region: (H, W) bool, or None: equation 3 is left out.
        other_lesions: (H, W) bool, or None: there are none.
        min_region_overlap: least lesion pixels inside the region.
        max_lesion_overlap: most lesion pixels on other lesions.
        min_visible: least lesion pixels inside the frame.
        in_place: only the offset 0 can be legal.

    Returns:
        (2 H - 1, 2 W - 1) bool; the middle is the offset 0. An empty lesion has no legal offset.

    Example:
        >>> legal_offsets(np.array([[True, False, False, False]]))[0].astype(int).tolist()  # may move right by 0 .. 3
        [0, 0, 0, 1, 1, 1, 1]
    """
    bounds = (min_region_overlap, max_lesion_overlap, min_visible)
    legal = _legal_origins(lesion, lesion.shape, region, other_lesions, bounds)
    if in_place:
        middle = np.zeros_like(legal)
        middle[tuple(length - 1 for length in lesion.shape)] = True
        legal = legal & middle
    return legal


def draw_offset(legal: np.ndarray, rank_u: float) -> np.ndarray | None:
    """The legal offset whose rank, in reading order, is `rank_u` of their number; None where none is legal.

    Args:
        legal: (2 H - 1, 2 W - 1) bool, as `legal_offsets` returns it.
        rank_u: in [0, 1), the draw.

    Example:
        >>> draw_offset(np.array([[False, False, True]]), 0.3).tolist()
        [0, 1]
    """
    index = _ranked(legal, rank_u)
    return None if index is None else index - np.array(legal.shape) // 2


def find_origin(
    window: np.ndarray,
    shape: tuple[int, ...],
    region: np.ndarray | None,
    other_lesions: np.ndarray | None,
    bounds: Bounds,
    candidate_u: np.ndarray,
    rank_u: float,
) -> np.ndarray | None:
    """A uniform draw from all legal places: the first legal candidate, or else a draw from the map of all.

    Args:
        window: (h, w) bool, the lesion in its box.
        shape: of the frame.
        region, other_lesions: (H, W) bool, or None.
        bounds: min_region_overlap, max_lesion_overlap, min_visible.
        candidate_u: (K, 2) in [0, 1), candidate places in a rectangle that holds every legal one.
        rank_u: in [0, 1).

    Returns:
        (2,), where the box begins in the frame, or None.

    Example:
        >>> window, candidate = np.ones((1, 2), bool), np.array([[0.0, 0.9]])
        >>> find_origin(window, (1, 5), None, None, (0.5, 0, 1.0), candidate, 0.0).tolist()
        [0, 3]
    """
    first, last = _rectangle(window, shape, region, bounds)
    if np.any(last < first):
        return None
    for u in candidate_u:
        origin = first + np.floor(u * (last - first + 1)).astype(int)
        counts = overlaps_at(window, origin, shape, region, other_lesions)
        if within_bounds(counts, int(np.count_nonzero(window)), region, bounds):
            return origin
    index = _ranked(_legal_origins(window, shape, region, other_lesions, bounds), rank_u)
    return None if index is None else index - (np.array(window.shape) - 1)


def overlaps_at(
    window: np.ndarray,
    origin: ArrayLike,
    shape: tuple[int, ...],
    region: np.ndarray | None,
    other_lesions: np.ndarray | None,
) -> Overlaps:
    """Counts with the box of `window` beginning at `origin`."""
    pixels = np.argwhere(window) + np.asarray(origin)
    visible = pixels[((pixels >= 0) & (pixels < shape)).all(1)]

    def count(frame: np.ndarray | None) -> int:
        return 0 if frame is None else int(np.count_nonzero(frame[tuple(visible.T)]))

    return Overlaps(len(visible), count(region), count(other_lesions))


def _legal_origins(
    window: np.ndarray,
    shape: tuple[int, ...],
    region: np.ndarray | None,
    other_lesions: np.ndarray | None,
    bounds: Bounds,
) -> np.ndarray:
    """Whether the box may begin at each origin from 1 - h to H - 1, 1 - w to W - 1; (H + h - 1, W + w - 1) bool."""

    def count(frame: np.ndarray | None) -> np.ndarray:
        total = np.zeros([length + box - 1 for length, box in zip(shape, window.shape, strict=True)], int)
        if frame is not None:
            for pixel in np.argwhere(window):
                # With the box at origin o this pixel lies on frame[o + pixel]; origin 1 - box has the index 0.
                first = np.array(window.shape) - 1 - pixel
                total[tuple(slice(i, i + length) for i, length in zip(first, shape, strict=True))] += frame
        return total

    counts = Overlaps(count(np.ones(shape, int)), count(region), count(other_lesions))
    return np.asarray(within_bounds(counts, int(np.count_nonzero(window)), region, bounds))


def within_bounds(counts: Overlaps, area: int, region: np.ndarray | None, bounds: Bounds) -> bool | np.ndarray:
    """Whether the counts obey all bounds, for a lesion of `area` pixels."""
    min_region_overlap, max_lesion_overlap, min_visible = bounds

    def pixels(bound: int | float) -> float:
        return bound if isinstance(bound, int) else bound * area

    slack = 1e-12  # a fraction times an area is rounded: 0.3 of 10 pixels are 3
    legal = counts.visible >= max(1, pixels(min_visible) * (1 - slack))
    if region is not None:
        legal = legal & (counts.region >= pixels(min_region_overlap) * (1 - slack))
    return legal & (counts.lesion <= pixels(max_lesion_overlap) * (1 + slack))


def _rectangle(
    window: np.ndarray, shape: tuple[int, ...], region: np.ndarray | None, bounds: Bounds
) -> tuple[np.ndarray, np.ndarray]:
    """First and last origin, per axis, of a rectangle that holds every legal one."""
    min_region_overlap, _, min_visible = bounds
    box, frame = np.array(window.shape), np.array(shape)
    if isinstance(min_visible, float) and min_visible == 1:  # the box inside the frame
        first, last = 0 * box, frame - box
    else:  # the box touches the frame
        first, last = 1 - box, frame - 1
    if region is not None and min_region_overlap > 0:  # and the region's box
        inside = np.argwhere(region)
        if len(inside) == 0:
            return first, first - 1
        first, last = np.maximum(first, inside.min(0) - box + 1), np.minimum(last, inside.max(0))
    return first, last


def _ranked(legal: np.ndarray, rank_u: float) -> np.ndarray | None:
    places = np.argwhere(legal)
    return places[int(rank_u * len(places))] if len(places) else None
