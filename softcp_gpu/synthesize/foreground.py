"""The body in an image: where a data set draws no organ, a lesion still has no business in the air beside it."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

_DARK = 0.05  # of the range up to the 99th percentile: air, and what a JPEG leaves in it
_SPECK = 2  # pixels: thinner things, such as text beside a scan, are no body
_SOME = 1 << 16  # pixels that tell a percentile
_LOOK = 1 << 21  # voxels: a body shows in every second or third voxel of a scan as well as in all


def foreground(image: np.ndarray) -> np.ndarray:
    """Finds the largest bright thing in an image, apart from what is thin, and fills its holes.

    A body that shows in one channel of three alone is not found.

    Args:
        image: (*axes, C), any unit; of a large volume a coarser one is looked at.

    Returns:
        (*axes) bool; everything, where the image has no dark surroundings.

    Example:
        >>> image = np.zeros((8, 8, 1), np.uint8)
        >>> image[1:7, 1:7] = 200
        >>> int(foreground(image).sum())
        36
    """
    shape = image.shape[:-1]
    step = max(1, math.ceil((math.prod(shape) / _LOOK) ** (1 / 3))) if len(shape) == 3 else 1
    image = image[(slice(None, None, step),) * len(shape)]
    # The middle one of three channels: air that is noisy or bright in one of them, as where a sequence of an MRI
    # was scaled by its own darkest pixel, is dark in the other two, and tissue is not.
    grey = _middle(image)
    if len(shape) == 3:
        grey = grey.astype(np.float32)
        grey = ndimage.uniform_filter(grey, 3)  # the noise of CT reaches from air into tissue
    low, high = grey.min(), _bright(grey.ravel()[:: max(1, grey.size // _SOME)])
    bright = grey > low + _DARK * (high - float(low))
    thick = _opened(bright)
    if not thick.any():
        return np.ones(shape, bool)
    parts = ndimage.label(bright)[0]  # with their thin parts, which the opening has cut off
    body = _filled(parts == np.bincount(parts[thick]).argmax())
    for axis, length in enumerate(shape):
        body = body if step == 1 else body.repeat(step, axis).take(range(length), axis)
    return body


def _middle(image: np.ndarray) -> np.ndarray:
    """The median of the channels; of three it takes no sorting."""
    if image.shape[-1] != 3:
        return image[..., 0] if image.shape[-1] == 1 else np.median(image.astype(np.float32), axis=-1)
    a, b, c = (np.ascontiguousarray(image[..., channel]) for channel in range(3))
    return np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))


def _bright(values: np.ndarray) -> float:
    """The 99th percentile; bytes are counted, which takes a quarter of the time of sorting."""
    if values.dtype != np.uint8:
        return float(np.percentile(values, 99))
    return float(np.searchsorted(np.bincount(values).cumsum(), 0.99 * values.size))


def _opened(mask: np.ndarray) -> np.ndarray:
    """Erosion and dilation with a cross; ndimage's go from pixel to pixel and take ten times as long."""
    around = [(_SPECK, _SPECK)] * mask.ndim
    dark = np.pad(~mask, around, constant_values=True)
    for _ in range(_SPECK):
        dark = _grown(dark)
    opened = ~dark
    for _ in range(_SPECK):
        opened = _grown(opened)
    return opened[(slice(_SPECK, -_SPECK),) * mask.ndim]


def _grown(mask: np.ndarray) -> np.ndarray:
    grown = mask.copy()
    for axis in range(mask.ndim):
        line, old = np.moveaxis(grown, axis, 0), np.moveaxis(mask, axis, 0)
        line[1:] |= old[:-1]
        line[:-1] |= old[1:]
    return grown


def _filled(mask: np.ndarray) -> np.ndarray:
    """With its holes: whatever does not hang together with what is around the image."""
    parts = ndimage.label(np.pad(~mask, 1, constant_values=True))[0]
    return (parts != parts.flat[0])[(slice(1, -1),) * mask.ndim]
