"""The body in an image: where a data set draws no organ, a lesion still has no business in the air beside it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

_DARK = 0.05  # of the range up to the 99th percentile: air, and what a JPEG leaves in it
_SPECK = 2  # pixels: thinner things, such as text beside a scan, are no body


def foreground(image: np.ndarray) -> np.ndarray:
    """Finds the largest bright thing in an image and fills its holes.

    A body that shows in one channel of three alone is not found.

    Args:
        image: (H, W, C), any unit.

    Returns:
        (H, W) bool; everything, where the image has no dark surroundings.

    Example:
        >>> image = np.zeros((8, 8, 1), np.uint8)
        >>> image[1:7, 1:7] = 200
        >>> int(foreground(image).sum())
        36
    """
    # The middle one of three channels: air that is noisy or bright in one of them, as where a sequence of an MRI
    # was scaled by its own darkest pixel, is dark in the other two, and tissue is not.
    grey = np.median(image.astype(np.float32), axis=2)
    low, high = grey.min(), np.percentile(grey, 99)
    bright = grey > low + _DARK * (high - low)
    parts, count = ndimage.label(ndimage.binary_opening(bright, iterations=_SPECK))
    if count == 0:
        return np.ones_like(bright)
    largest = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    return ndimage.binary_fill_holes(ndimage.binary_propagation(largest, mask=bright))
