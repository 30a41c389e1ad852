"""How many pixels of a lesion fall where, at one place or at all places at once, and whether that is allowed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from softcp_gpu.functional import execution
from softcp_gpu.functional.windows import count_pixels, take_window, window_index
from softcp_gpu.types import Bounds

Flags = Any  # a bool tensor or array of one sample, (*spatial)
_ROUNDING = 1e-12
_FLOAT32_EXACT = 1 << 32  # product of the two sizes up to which a float32 FFT keeps counts within 0.1 of the truth


class Overlaps(NamedTuple):
    """Pixels of the lesion at one or more places, integers, all of one shape."""

    visible: Tensor
    region: Tensor
    lesion: Tensor


class Lags(NamedTuple):
    """Which places a map is made of, per axis; a place is where the window's first pixel comes to lie."""

    first: tuple[int, ...]
    number: tuple[int, ...]
    period: tuple[int, ...]  # of the circular correlation: long enough that no place that matters wraps around


def overlaps_at(
    window: Tensor, origin: Tensor, shape: tuple[int, ...], region: Tensor | None, other_lesions: Tensor | None
) -> Overlaps:
    """Counts at one place of each sample.

    Args:
        window: (B, 1, *w) bool, the lesion.
        origin: (B, n) int64, where the window's first pixel lies.
        shape: n frame lengths.
        region, other_lesions: (B, 1, *shape) bool or None.

    Returns:
        (B,) each.
    """
    if execution.may_read_values(window):
        counts = [
            overlaps_of_one(flags_of(window, i), corner, shape, flags_of(region, i), flags_of(other_lesions, i))
            for i, corner in enumerate(origin.tolist())
        ]
        return Overlaps(*(execution.constants(kind, window) for kind in zip(*counts, strict=True)))
    size = tuple(window.shape[2:])
    visible = window & window_index(origin, size, shape)[1][:, None]

    def count(frame: Tensor | None) -> Tensor:
        shared = torch.zeros_like(visible) if frame is None else visible & take_window(frame, origin, size)
        return count_pixels(shared)

    return Overlaps(count_pixels(visible), count(region), count(other_lesions))


def overlaps_of_one(
    window: Flags, origin: Sequence[int], shape: tuple[int, ...], region: Flags | None, other_lesions: Flags | None
) -> Overlaps:
    """As `overlaps_at` for one sample, each mask as `flags_of` gives it; the counts are numbers."""
    sides = zip(origin, window.shape, shape, strict=True)
    there = [(max(0, first), max(0, min(first + length, frame))) for first, length, frame in sides]
    visible = window[tuple(slice(a - first, max(a, b) - first) for (a, b), first in zip(there, origin, strict=True))]
    place = tuple(slice(a, max(a, b)) for a, b in there)  # nothing, where all lies beside the frame

    def count(frame: Flags | None) -> int:
        return 0 if frame is None else _count(visible & frame[place])

    return Overlaps(_count(visible), count(region), count(other_lesions))  # type: ignore[arg-type]


def flags_of(mask: Tensor | None, i: int) -> Flags | None:
    """One sample of a mask (B, 1, *spatial) bool that may be absent, (*spatial).

    As an array on a CPU: NumPy takes a tenth of the time to begin an operation, and few pixels are counted.
    """
    if mask is None:
        return None
    return mask[i, 0].numpy() if mask.device.type == "cpu" else mask[i, 0]


def _count(flags: Flags) -> int:
    return int(np.count_nonzero(flags) if isinstance(flags, np.ndarray) else flags.sum())


def overlap_maps(
    window: Tensor, frame: Tensor, region: Tensor | None, other_lesions: Tensor | None, lags: Lags
) -> Overlaps:
    """Counts at many places of each sample, by one FFT correlation per mask.

    Args:
        window: (B, 1, *w) bool, the lesion.
        frame: (B, 1, *L) bool, where it is visible.
        region, other_lesions: as `frame`, or None.
        lags: the places.

    Returns:
        (B, *lags.number) each.
    """
    lesion = _spectrum(window, frame, lags) if len(window) else None  # not every FFT library takes an empty batch

    def count(mask: Tensor | None) -> Tensor:
        if mask is None or lesion is None:
            return torch.zeros((len(window), *lags.number), dtype=torch.int32, device=window.device)
        return _correlate(mask, lesion, lags)

    return Overlaps(count(frame), count(region), count(other_lesions))  # one after the other: memory


def within_bounds(counts: Overlaps, area: Tensor, bounds: Bounds, region: Tensor | None) -> Tensor:
    """Whether the counts, (B, ...), of lesions of (B,) pixels obey all bounds; an empty lesion never does."""
    area = area.view(-1, *(1,) * (counts.visible.ndim - 1)).double()
    return obeys(counts, area, bounds, region is not None)


def obeys(counts: Overlaps, area: Tensor | float, bounds: Bounds, has_region: bool) -> Tensor:
    """The rule itself, for tensors or for numbers.

    Args:
        counts: of one shape, or numbers.
        area: the lesion's pixels as float64.
        bounds: a fraction of the area is a real number: the slack only absorbs the rounding of that product.
        has_region: whether there is one; else equation 3 is left out.
    """
    # Python's own floats would be compared in float32.
    limits = [area * 0 + value if isinstance(value, int) else area * value for value in bounds]
    least_region, most_lesion, least_visible = limits
    # Whatever the bound, a lesion of which nothing is seen is not pasted.
    legal = (area > 0) & (counts.visible > 0) & (counts.visible >= least_visible * (1 - _ROUNDING))
    if has_region:
        legal = legal & (counts.region >= least_region * (1 - _ROUNDING))
    return legal & (counts.lesion <= most_lesion * (1 + _ROUNDING))


def fast_length(length: int) -> int:
    """The next length without a prime factor above 5: what FFTs are quick at."""
    while True:
        rest = length
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return length
        length += 1


def _spectrum(window: Tensor, frame: Tensor, lags: Lags) -> Tensor:
    """The conjugate spectrum of (B, 1, *w), in a type that is exact for 0/1 inputs in a frame of this size."""
    small = math.prod(frame.shape[2:]) * math.prod(window.shape[2:]) <= _FLOAT32_EXACT
    padded = window[:, 0].to(torch.float32 if small else torch.float64)
    return torch.fft.rfftn(padded, s=lags.period, dim=tuple(range(1, padded.ndim))).conj()


def _correlate(frame: Tensor, lesion: Tensor, lags: Lags) -> Tensor:
    """Cross-correlation of (B, 1, *L) with the lesion of that spectrum at some lags, (B, *lags.number) int32."""
    axes = tuple(range(1, lesion.ndim))
    spectrum = torch.fft.rfftn(frame[:, 0].to(lesion.real.dtype), s=lags.period, dim=axes)
    counts = torch.fft.irfftn(spectrum * lesion, s=lags.period, dim=axes)
    for axis, first, count in zip(axes, lags.first, lags.number, strict=True):
        counts = counts.roll(-first, axis) if first else counts
        counts = counts.narrow(axis, 0, count)
    return counts.round().to(torch.int32)
