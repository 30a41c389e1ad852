"""PNG files written in less than half the time that Pillow takes, which tries five filters on every row."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = (0, 2)  # grey, RGB
_SUB, _UP = 1, 2  # filters: what differs from the pixel before, from the one above


def write_png(path: Path, values: np.ndarray, *, few_values: bool = False) -> None:
    """Write an array as a PNG file; the same array gives the same bytes wherever the same zlib is.

    Args:
        path: where to.
        values: (H, W) or (H, W, 3), uint8 or uint16.
        few_values: whether it is a mask, whose runs of equal values are all that there is to compress.
    """
    height, width = values.shape[:2]
    bits, colours = 8 * values.itemsize, values.ndim == 3
    rows = np.ascontiguousarray(values.astype(values.dtype.newbyteorder(">"), copy=False)).view(np.uint8)
    rows = _filtered(rows.reshape(height, -1), values[0, 0].nbytes, up_only=few_values)
    strategy = zlib.Z_RLE if few_values else zlib.Z_DEFAULT_STRATEGY
    packer = zlib.compressobj(zlib.Z_BEST_SPEED, strategy=strategy)
    header = struct.pack(">IIBBBBB", width, height, bits, _COLOUR_TYPES[colours], 0, 0, 0)
    with path.open("wb") as file:
        file.write(_SIGNATURE)
        for kind, content in (
            (b"IHDR", header),
            (b"IDAT", packer.compress(rows.data) + packer.flush()),
            (b"IEND", b""),
        ):
            checksum = zlib.crc32(content, zlib.crc32(kind))
            file.write(b"".join((struct.pack(">I", len(content)), kind, content, struct.pack(">I", checksum))))


def _filtered(rows: np.ndarray, pixel: int, *, up_only: bool) -> np.ndarray:
    """Each row after its filter's number, as differences; of two filters the one whose differences are smaller.

    Args:
        rows: (H, bytes) uint8.
        pixel: bytes of a pixel.
        up_only: whether not to look for the better filter.
    """
    out = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
    out[:, 0], up = _UP, out[:, 1:]
    up[:1] = rows[:1]
    np.subtract(rows[1:], rows[:-1], out=up[1:])
    if not up_only:
        sub = rows.copy()
        sub[:, pixel:] -= rows[:, :-pixel]
        better = _size(sub) < _size(up)
        out[better, 0], up[better] = _SUB, sub[better]
    return out


def _size(differences: np.ndarray) -> np.ndarray:
    """The sum of what the bytes of each row are, as signed numbers, away from 0."""
    return np.abs(differences.view(np.int8)).view(np.uint8).sum(axis=1, dtype=np.uint32)
