"""Whether an image file holds as many pixels as its header says: Pillow leaves black what is missing."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

from PIL import Image

from softcp_gpu.data.errors import DataError

_SAMPLES = (1, 0, 3, 1, 2, 0, 4)  # of a PNG file's colour types
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_BLOCK = 1 << 18
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLES_PER_PIXEL, _ROWS, _PLANES = 256, 257, 258, 259, 277, 278, 284
_STRIPS, _STRIP_BYTES, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 273, 279, 322, 323, 324, 325
_PLAIN, _SEPARATE = 1, 2


def check_complete(path: Path, image: Image.Image) -> None:
    """Check that a PNG or TIFF file has data for every pixel; other formats have nothing to count.

    Args:
        path: the file.
        image: the same, its header read.

    Raises:
        DataError: it has not.
        Exception: what decoders raise on a damaged file.
    """
    if image.format == "PNG":
        _check_png(path)
    elif image.format == "TIFF":
        _check_tiff(path, image.tag_v2, path.stat().st_size)  # type: ignore[attr-defined]


def _check_png(path: Path) -> None:
    """Decompress the pixels without keeping them; checksums are known to be right."""
    with path.open("rb") as file:
        header = file.read(33)
        width, height = int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big")
        bits = header[24] * _SAMPLES[header[25]]
        expected = sum(
            -(-(height - y) // step_y) * (1 + -(-(-(-(width - x) // step_x) * bits) // 8))
            for x, y, step_x, step_y in (_PASSES if header[28] else ((0, 0, 1, 1),))
            if width > x and height > y
        )
        stream, found = zlib.decompressobj(), 0
        while found < expected and (head := file.read(8))[4:] not in (b"", b"IEND"):
            length = int.from_bytes(head[:4], "big")
            data = file.read(length)
            file.seek(4, 1)  # the checksum
            while head[4:] == b"IDAT" and data and found < expected:
                found += len(stream.decompress(data, _BLOCK))
                data = stream.unconsumed_tail
    if found < expected:
        raise DataError(path, f"a whole file, with {expected} bytes of pixels when decompressed", str(found))


def _check_tiff(path: Path, tags: Any, length: int) -> None:
    """Count strips or tiles, and what each of them holds where they are not compressed."""
    width, height = tags[_WIDTH], tags[_HEIGHT]
    samples = tags.get(_SAMPLES_PER_PIXEL, 1)
    planes, samples = (samples, 1) if tags.get(_PLANES) == _SEPARATE else (1, samples)
    if _TILES in tags:
        across, down = tags[_TILE_WIDTH], tags[_TILE_HEIGHT]
        places, sizes = tags[_TILES], tags.get(_TILE_BYTES, ())
    else:
        across, down = width, min(tags.get(_ROWS, height), height)
        places, sizes = tags[_STRIPS], tags.get(_STRIP_BYTES, ())
    expected = -(-width // across) * -(-height // down) * planes
    if len(places) != expected or len(sizes) not in (expected, 0):
        raise DataError(
            path, f"a whole file, with {expected} strips or tiles for {height} x {width} pixels", str(len(places))
        )
    if tags.get(_COMPRESSION, _PLAIN) != _PLAIN:
        return
    row = -(-across * samples * max(tags.get(_BITS, (1,))) // 8)
    for number, place in enumerate(places):
        rows = down if _TILES in tags else min(down, height - number % (expected // planes) * down)
        there = min(length - place, *sizes[number : number + 1])
        if there < row * rows:
            raise DataError(
                path, f"a whole file, with {row * rows} bytes in strip or tile {number}", str(max(there, 0))
            )
