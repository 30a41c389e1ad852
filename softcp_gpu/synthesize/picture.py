"""What the contact sheet shows of a sample: an image as it is, a volume in three planes through its pasted lesion."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from softcp_gpu.data import Sample
from softcp_gpu.synthesize.pair import Pasted
from softcp_gpu.synthesize.sample import Shown

_PLANES = ("z", "y", "x")
_TISSUE = (1, 99)  # percentiles of what is near a lesion; air and metal would leave no grey levels for it


class Picture(NamedTuple):
    """One row of the sheet; grey levels are in [0, 1]."""

    title: str
    aspect: float  # height of a pixel over its width
    background: np.ndarray  # (H, W) or (H, W, 3) float32
    source: np.ndarray  # (h, w) or (h, w, 3) float32
    result: np.ndarray  # as `background`
    soft_mask: np.ndarray  # (H, W)
    region: np.ndarray | None  # (H, W) bool: what the lesion had to touch
    own: np.ndarray  # (H, W) bool: lesions of the background
    given: np.ndarray  # (h, w) bool: the lesion in its source
    kept: np.ndarray  # (H, W) bool: own lesions in the result
    new: np.ndarray  # (H, W) bool: the pasted one in the result


class _Plane(NamedTuple):
    """A cut through a volume."""

    axis: int
    at: int

    def of(self, x: np.ndarray) -> np.ndarray:
        return x.take(self.at, self.axis)


def pictures(shown: Shown) -> list[Picture]:
    """The rows of a sample: one of an image, three of a volume."""
    pasted, background = shown.pasted, shown.background
    new = pasted.whole_new(background)
    if background.image.ndim == 3:
        return [_picture(f" {shown.number} ", 1.0, background, pasted, new, None, None)]
    centers = [_middle(new), _middle(pasted.source.lesion)]
    mm = (1.0, 1.0, 1.0) if background.grid is None else background.grid.spacing_mm
    rows = []
    for axis, name in enumerate(_PLANES):
        here, there = (_Plane(axis, center[axis]) for center in centers)
        first, second = (step for a, step in enumerate(mm) if a != axis)
        title = f" {shown.number}: {name} = {here.at} "
        rows.append(_picture(title, first / second, background, pasted, new, here, there))
    return rows


def _picture(
    title: str,
    aspect: float,
    background: Sample,
    pasted: Pasted,
    new: np.ndarray,
    here: _Plane | None,
    there: _Plane | None,
) -> Picture:
    def cut(x: np.ndarray) -> np.ndarray:
        return x if here is None else here.of(x)

    def cut_source(x: np.ndarray) -> np.ndarray:
        return x if there is None else there.of(x)

    images = cut(background.image), cut_source(pasted.source.image), cut(pasted.sample.image)
    fresh = cut(new)
    near = None if here is None else (cut(pasted.soft_mask) > 0, cut_source(pasted.source.lesion))
    shades = _grey(images, near)
    return Picture(
        title,
        aspect,
        *shades,
        cut(pasted.soft_mask),
        None if pasted.region is None else cut(pasted.region),
        cut(background.lesion),
        cut_source(pasted.source.lesion),
        cut(pasted.sample.lesion) & ~fresh,
        fresh,
    )


def _grey(
    images: tuple[np.ndarray, ...], near: tuple[np.ndarray, np.ndarray] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grey levels, the same for all pictures of a row, so that they can be compared.

    Args:
        images: background, source and result, (H, W, C).
        near: of a volume, where the lesion lies in background and source: the window is that of the tissue there, and
            of many channels the first is shown. Of an image: None.
    """
    if near is None:
        images = tuple(x if x.shape[-1] == 3 else x[..., 0] for x in images)
        values = np.concatenate([x.ravel() for x in images[:2]])
        low, high = float(values.min()), float(values.max())
    else:
        images = tuple(x[..., 0] for x in images)
        parts = [x[surroundings(mask)].ravel() for x, mask in zip(images, near, strict=False)]
        low, high = (float(x) for x in np.percentile(np.concatenate(parts), _TISSUE))
        low, high = low - (high - low) / 2, high + (high - low) / 2
    width = high - low if high > low else 1.0
    background, source, result = (((x.astype(np.float32) - low) / width).clip(0, 1) for x in images)
    return background, source, result


def surroundings(mask: np.ndarray) -> tuple[slice, slice]:
    """The box of a mask (H, W) and half as much again around it; everything, if it is empty."""
    spans = []
    for axis in (0, 1):
        hit = np.flatnonzero(mask.any(axis=1 - axis))
        first, last = (int(hit[0]), int(hit[-1]) + 1) if hit.size else (0, mask.shape[axis])
        spare = max(8, (last - first) // 2)
        spans.append(slice(max(0, first - spare), min(mask.shape[axis], last + spare)))
    return spans[0], spans[1]


def _middle(mask: np.ndarray) -> list[int]:
    """The pixel of a mask that is nearest to its centre; the middle of an empty one."""
    pixels = np.argwhere(mask)
    if not len(pixels):
        return [length // 2 for length in mask.shape]
    return [int(x) for x in pixels[((pixels - pixels.mean(0)) ** 2).sum(1).argmin()]]
