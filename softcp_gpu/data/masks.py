"""What mask files mean: two values, JPEG noise around two values, or colours; and masks written so that they read back.

A mask's alpha channel is dropped. A palette mask is read by its colours where these are black and white, else by its
indices.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from softcp_gpu.data.decode import Raster, decode
from softcp_gpu.data.errors import DataError
from softcp_gpu.data.io import LOSSY, encode, replacing

_ON_VALUES = (1, 255, 65535)
_THRESHOLD = 127
_BETWEEN = (64, 192)  # neither black nor white, whatever the JPEG quality
_NOISE_PX = 5  # JPEG and resizing blur an edge, but never fill a square of this size with grey


class MaskStyle(NamedTuple):
    """How the masks of a data set are stored, so that new ones can be stored alike."""

    bits: int = 8  # 1, 8 or 16
    channels: int = 1  # 1 or 3
    on: int = 255  # the value of the lesion, unless bits is 1

    def encode(self, lesion: np.ndarray) -> np.ndarray:
        """Turn a lesion into what `write_mask` takes.

        Args:
            lesion: (H, W) bool.

        Returns:
            (H, W) or (H, W, 3): bool, uint8 or uint16.

        Example:
            >>> MaskStyle(on=1).encode(np.array([[False, True]]))
            array([[0, 1]], dtype=uint8)
        """
        if self.bits == 1:
            return lesion
        dtype = np.dtype(np.uint16 if self.bits == 16 else np.uint8)
        values = lesion * dtype.type(self.on)  # `np.where` takes twenty times as long
        return values if self.channels == 1 else np.repeat(values[:, :, None], self.channels, axis=2)


BLACK_AND_WHITE = MaskStyle()
"""8 bits, 0 and 255."""


def read_mask(path: Path | str) -> np.ndarray:
    """Read a mask of two values, 0 and 1 or black and white; what is not 0 is the lesion.

    A JPEG mask is cut at 127.

    Args:
        path: an image file; grey, or RGB with equal channels, or a palette.

    Returns:
        (H, W) bool.

    Raises:
        DataError: the file cannot be read, has colours, or has other values, such as class ids.
    """
    raster = decode(Path(path))
    return _lesion(path, raster, _single_values(path, raster))


def read_colour_mask(path: Path | str) -> np.ndarray:
    """Read a mask whose colours are classes.

    Args:
        path: an image file with 8 bits; grey and palettes are expanded.

    Returns:
        (H, W, 3) uint8.

    Raises:
        DataError: the file cannot be read, has 16 bits, or is a JPEG, which does not keep colours.
    """
    raster = decode(Path(path))
    if raster.lossy or raster.bits == 16:
        raise DataError(path, "a colour mask with 8 bits that are kept exactly", "JPEG" if raster.lossy else "16 bits")
    return np.broadcast_to(_without_alpha(path, raster), (*raster.values.shape[:2], 3))


def mask_style(path: Path | str) -> MaskStyle | None:
    """Tell how a mask of two values is stored.

    Args:
        path: an image file.

    Returns:
        The style, or None when the mask is empty and so does not show its value.

    Raises:
        DataError: as for `read_mask`.
    """
    raster = decode(Path(path))
    values = _single_values(path, raster)
    if not _lesion(path, raster, values).any():
        return None
    channels = 1 if raster.indices is not None else raster.values.shape[2]
    return MaskStyle(raster.bits, channels, 255 if raster.lossy else int(values.max()))


def write_mask(path: Path | str, mask: np.ndarray) -> None:
    """Write a mask so that it reads back identically; the file appears whole or not at all.

    Args:
        path: where to; an existing file is replaced.
        mask: (H, W) bool for a 1-bit file, (H, W) or (H, W, 3) uint8, or (H, W) uint16. For JPEG, which is verified by
            reading it back: (H, W) or (H, W, 3) uint8 of 0 and 255.

    Raises:
        DataError: the format cannot keep this mask, or the file cannot be written.
    """
    path = Path(path)
    if mask.ndim not in (2, 3) or mask.size == 0 or mask.shape[2:] not in ((), (1,), (3,)):
        raise DataError(path, "a mask (H, W) or (H, W, 3)", str(mask.shape))
    if mask.dtype not in (np.bool_, np.uint8, np.uint16):
        raise DataError(path, "a mask of bool, uint8 or uint16", str(mask.dtype))
    with replacing(path) as temporary:
        if path.suffix.lower() in LOSSY:
            _write_lossy(temporary, mask)
        else:
            encode(temporary, mask)


def _write_lossy(path: Path, mask: np.ndarray) -> None:
    values = mask.reshape(*mask.shape[:2], -1)
    on = values[:, :, 0] == 255
    if mask.dtype != np.uint8 or (values != np.where(on, 255, 0)[:, :, None]).any():
        raise DataError(path, "a mask of 0 and 255 where the format is JPEG", _listed(np.unique(mask)))
    encode(path, mask)
    if not np.array_equal(read_mask(path), on):
        raise DataError(path, "a JPEG mask that reads back identically", "one that does not: use PNG")


def _lesion(path: Path | str, raster: Raster, values: np.ndarray) -> np.ndarray:
    if raster.lossy:
        return _cut(path, values)
    lesion, on = values != 0, int(values.max())
    if on and (on not in _ON_VALUES or np.count_nonzero(values == on) < np.count_nonzero(lesion)):
        expected = "a mask of two values, 0 and 1 or 0 and 255 (16 bits: 65535)"
        raise DataError(path, expected, _listed(np.unique(values)))
    return lesion


def _single_values(path: Path | str, raster: Raster) -> np.ndarray:
    """Return (H, W): one number per pixel."""
    values = _without_alpha(path, raster)
    grey = values.shape[2] == 1 or bool((values == values[:, :, :1]).all())
    if raster.indices is not None and not (grey and np.isin(values, (0, 255)).all()):
        return raster.indices
    if not grey:
        y, x = np.argwhere((values != values[:, :, :1]).any(axis=2))[0]
        raise DataError(path, "a grey mask", f"the colour {tuple(values[y, x].tolist())} at row {y}, column {x}")
    return values[:, :, 0]


def _without_alpha(path: Path | str, raster: Raster) -> np.ndarray:
    values, alpha = raster.values, raster.alpha
    if alpha is not None and alpha.min() < alpha.max() and (values == values[0, 0]).all():
        raise DataError(path, "a mask in the colours", "one colour everywhere, and a mask in the alpha channel")
    return values


def _cut(path: Path | str, values: np.ndarray) -> np.ndarray:
    """Threshold a JPEG mask, unless its values say that it was never black and white."""
    lesion = values > _THRESHOLD
    expected = "a JPEG mask of 0 and 255, apart from noise along the edges"
    if values.any() and not lesion.any():
        raise DataError(path, expected, f"values up to {values.max()}")
    grey = (values >= _BETWEEN[0]) & (values < _BETWEEN[1])
    for _ in range(2):  # erosion of the grey by a square: rows, then columns
        length = max(len(grey) - _NOISE_PX + 1, 0)
        grey = np.logical_and.reduce([grey[i : i + length] for i in range(_NOISE_PX)]).T
    if grey.any():
        y, x = np.argwhere(grey)[0]
        raise DataError(path, expected, f"areas of grey, such as {values[y, x]} at row {y}, column {x}")
    return lesion


def _listed(values: np.ndarray, most: int = 8) -> str:
    shown = ", ".join(str(int(value)) for value in values[:most])
    return f"the values {shown}" + (f" and {len(values) - most} more" if len(values) > most else "")


def box_of(mask: np.ndarray) -> tuple[slice, ...]:
    """Find the least box around what is true.

    Args:
        mask: (*axes) bool.

    Returns:
        A slice per axis; empty ones if nothing is.

    Example:
        >>> box_of(np.array([[False, False, False], [False, True, True]]))
        (slice(1, 2, None), slice(1, 3, None))
    """
    axes = range(mask.ndim)
    lines = [np.flatnonzero(mask.any(axis=tuple(other for other in axes if other != axis))) for axis in axes]
    return tuple(slice(int(line[0]), int(line[-1]) + 1) if len(line) else slice(0, 0) for line in lines)
