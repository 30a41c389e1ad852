"""What the contact sheet shows of a sample: an image as it is, a volume in three planes through its pasted lesion."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from softcp_gpu.data import Sample
from softcp_gpu.synthesize.pair import Pasted
from softcp_gpu.synthesize.sample import Shown

_PLANES = ("z", "y", "x")
_OUTLIERS = (0.5, 99.5)  # percentiles: a metal clip or the couch's air would leave no grey levels for tissue


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
    """The rows of a sample: none if it was not pasted, one of an image, three of a volume."""
    pasted, background = shown.pasted, shown.background
    if pasted is None or background is None:
        return []
    new = pasted_lesion(background, pasted)
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


def pasted_lesion(background: Sample, pasted: Pasted) -> np.ndarray:
    """The part of the label that is new; under the rim, a crop of the whole image hides which lesion is which."""
    new = pasted.sample.lesion & (pasted.soft_mask > 0)
    cropped = pasted.output.params.background is not None or pasted.output.params.image is not None
    return new if cropped else new & ~background.lesion


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
    shades = _grey(images, outliers=here is not None)
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


def _grey(images: tuple[np.ndarray, ...], *, outliers: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grey levels, the same for all pictures of a row, so that they can be compared; of many channels the first."""
    images = tuple(x if x.shape[-1] == 3 and not outliers else x[..., 0] for x in images)
    values = np.concatenate([x.ravel() for x in images[:2]])  # background and source
    low, high = np.percentile(values, _OUTLIERS) if outliers else (values.min(), values.max())
    low, high = float(low), float(high)
    width = high - low if high > low else 1.0
    background, source, result = (((x.astype(np.float32) - low) / width).clip(0, 1) for x in images)
    return background, source, result


def _middle(mask: np.ndarray) -> list[int]:
    """The pixel of a mask that is nearest to its centre; the middle of an empty one."""
    pixels = np.argwhere(mask)
    if not len(pixels):
        return [length // 2 for length in mask.shape]
    return [int(x) for x in pixels[((pixels - pixels.mean(0)) ** 2).sum(1).argmin()]]
