"""The body in an image: where a data set draws no organ, a lesion still has no business in the air beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
from scipy import ndimage

from softcp_gpu.synthesize.parts import filled, largest, runs_of

_DARK = 0.05  # of the range up to the 99th percentile: air, and what a JPEG leaves in it
_SPECK = 2  # pixels: thinner things, such as text beside a scan, are no body
_BYTES = 1 << 25  # of all foregrounds that are kept: a thousand images of 512 x 512
_SOME = 1 << 12  # pixels that tell a percentile
# Pixels, voxels: a body shows in every second or third of them as well as in all.
_LOOK = MappingProxyType({2: 1 << 18, 3: 1 << 21})


class Bodies:
    """The foregrounds of the images of a run, of which many are backgrounds more than once; a bit for each pixel."""

    def __init__(self) -> None:
        self._found: dict[str, np.ndarray] = {}
        self._room = _BYTES

    def of(self, name: str, image: np.ndarray) -> np.ndarray:
        """`foreground` of the image that always has this name, or the one that was found before."""
        shape = image.shape[:-1]
        if (bits := self._found.get(name)) is not None:
            return np.unpackbits(bits, count=math.prod(shape)).view(bool).reshape(shape)
        body = foreground(image)
        bits = np.packbits(body)
        if bits.nbytes <= self._room:
            self._room -= bits.nbytes
            self._found[name] = bits
        return body


def foreground(image: np.ndarray) -> np.ndarray:
    """Finds the largest bright thing in an image, apart from what is thin, and fills its holes.

    A body that shows in one channel of three alone is not found.

    Args:
        image: (*axes, C), any unit; of a large one a coarser one is looked at.

    Returns:
        (*axes) bool; everything, where the image has no dark surroundings.

    Example:
        >>> image = np.zeros((8, 8, 1), np.uint8)
        >>> image[1:7, 1:7] = 200
        >>> int(foreground(image).sum())
        36
    """
    shape = image.shape[:-1]
    step = max(1, math.ceil((math.prod(shape) / _LOOK[len(shape)]) ** (1 / len(shape))))
    image = image[(slice(None, None, step),) * len(shape)]
    # The middle one of three channels: air that is noisy or bright in one of them, as where a sequence of an MRI
    # was scaled by its own darkest pixel, is dark in the other two, and tissue is not.
    grey = _middle(image)
    if len(shape) == 3:
        grey = grey.astype(np.float32)
        grey = ndimage.uniform_filter(grey, 3)  # the noise of CT reaches from air into tissue
    low, high = grey.min(), _bright(grey.ravel()[:: grey.size // _SOME | 1])
    room = tuple(length + 2 * _SPECK for length in grey.shape)
    inner = (slice(_SPECK, -_SPECK),) * grey.ndim
    bright = np.zeros(room, bool)
    dark = low + _DARK * (high - float(low))
    if grey.dtype.kind == "u":
        dark = grey.dtype.type(dark)  # numbers of one type are compared faster
    bright[inner] = grey > dark
    thick = _eroded(bright)
    if not thick.any():
        return np.ones(shape, bool)
    # With its thin parts, which erosion takes away.
    body = filled(largest(runs_of(bright.ravel()), thick, room), room).painted().reshape(room)[inner]
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


def _eroded(mask: np.ndarray) -> np.ndarray:
    """What is left of a mask with a margin of `_SPECK`, flat, after erosions with a cross: faster than ndimage's."""
    dark = ~mask.ravel()
    for _ in range(_SPECK):
        dark = _grown(dark, [stride // mask.itemsize for stride in mask.strides])
    return ~dark


def _grown(flat: np.ndarray, strides: Sequence[int]) -> np.ndarray:
    """By a pixel along each axis; what goes over the end of a line comes into the margin of the next."""
    grown = flat.copy()
    for stride in strides:
        grown[stride:] |= flat[:-stride]
        grown[:-stride] |= flat[stride:]
    return grown
