"""Decoding of image files: Pillow, and kornia_rs for the 16-bit colours that Pillow would cut to 8 bits."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import kornia_rs.io as rust_io
import numpy as np
from PIL import Image

from softcp_gpu.data.complete import check_complete
from softcp_gpu.data.errors import DataError
from softcp_gpu.data.plain_files import check_plain

_FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
_MODES_8_BIT = MappingProxyType(
    {"1": "L", "L": "L", "LA": "LA", "P": "RGB", "PA": "RGBA", "RGB": "RGB", "RGBA": "RGBA"}
)
_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_PLANES, _TIFF_SAMPLE_FORMAT = 258, 262, 284, 339
_SEPARATE, _UNSIGNED = 2, 1
_MANY = 100
_PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_PNG_HEADER = 33  # bytes: the signature, and the first chunk
_MOST_PNG = 1 << 28  # bytes that are read at once
_PLAIN_PNG = ((8, 0), (8, 2))  # bit depth and colour type: grey and RGB of bytes, which most files are


class Raster(NamedTuple):
    """A decoded file. Masks need more of it than images do."""

    values: np.ndarray  # (H, W, 1 or 3), uint8 or uint16
    alpha: np.ndarray | None  # (H, W), same type
    indices: np.ndarray | None  # (H, W) uint8: the palette's indices, where there is a palette
    bits: int  # 1, 8 or 16
    lossy: bool


def decode(path: Path) -> Raster:
    """Decode a file into all that masks and images need.

    Args:
        path: an image file.

    Returns:
        The raster.

    Raises:
        DataError: as for `read_image`, apart from transparency.
    """
    if (plain := _plain_png(path)) is not None:
        return _split(plain, None, 8, lossy=False)
    with opened(path) as image:
        bits = _checked_bits(path, image)
        if image.format == "PNG":
            image.verify()  # the checksums, which Pillow does not look at while it decodes
    with opened(path) as image:
        _checked_bits(path, image)  # it may look at further frames, and then the first is to be found anew
        check_complete(path, image)
        if bits == 16:
            samples = _samples_16_bit(path, image)
            if samples.shape[:2] != (image.height, image.width):  # another decoder, which may read the header otherwise
                raise DataError(path, f"{image.height} x {image.width} pixels", f"{samples.shape[:2]}")
            return _split(samples, None, bits, lossy=False)
        if image.mode not in _MODES_8_BIT:
            raise DataError(path, "a grey or RGB image with 8 or 16 bits", f"Pillow mode {image.mode!r}")
        index = np.array(image) if image.mode == "P" else None
        transparent = image.mode == "P" and "transparency" in image.info
        samples = np.array(image.convert("RGBA" if transparent else _MODES_8_BIT[image.mode]))
        return _split(samples, index, bits, lossy=image.format in ("JPEG", "MPO"))


def _split(samples: np.ndarray, index: np.ndarray | None, bits: int, *, lossy: bool) -> Raster:
    samples = samples[:, :, None] if samples.ndim == 2 else samples
    colours = samples.shape[2] - (samples.shape[2] in (2, 4))
    alpha = samples[:, :, colours] if colours < samples.shape[2] else None
    return Raster(samples[:, :, :colours], alpha, index, bits, lossy)


def _plain_png(path: Path) -> np.ndarray | None:
    """A plain PNG by kornia_rs, in a third of Pillow's time; None leaves all else to Pillow.

    It looks at checksums, and refuses what is not complete.
    """
    try:
        if check_plain(path) > _MOST_PNG:
            return None
        content = path.read_bytes()
    except (DataError, OSError):  # told better there
        return None
    if not (header := _plain_png_header(content)):
        return None
    try:
        return np.asarray(rust_io.decode_image_png_u8(content, *header))
    except Exception:
        with opened(path) as image:
            _checked_bits(path, image)
            check_complete(path, image)  # says what is missing
            raise


def _plain_png_header(content: bytes) -> tuple[tuple[int, int], str] | None:
    """(H, W) and mode of a plain PNG, in a quarter of the time that Pillow takes."""
    if len(content) < _PNG_HEADER or not content.startswith(_PNG_START):
        return None
    width, height, *kind = struct.unpack_from(">II2B", content, len(_PNG_START))
    limit = Image.MAX_IMAGE_PIXELS
    if tuple(kind) not in _PLAIN_PNG or (limit is not None and width * height > limit):
        return None
    at = _PNG_HEADER
    while (name := content[at + 4 : at + 8]) != b"IDAT":  # what says that more images follow comes before the pixels
        if len(name) < 4 or name == b"acTL":
            return None
        at += int.from_bytes(content[at : at + 4], "big") + 12  # length, name, checksum
    return (height, width), "rgb" if kind[1] else "mono"


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Open a file with Pillow; whatever goes wrong inside the block becomes one error that names the file.

    Args:
        path: an image file.

    Yields:
        The image, its header read, its pixels not yet.

    Raises:
        DataError: the file is missing, no plain file, of another format, broken or cut off.
    """
    try:
        check_plain(path)
        with Image.open(path, formats=_FORMATS) as image:
            yield image
    except DataError:
        raise
    except Exception as error:  # on broken files decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        reason = str(error).replace(repr(str(path)), "").rstrip(" :")  # the message has the name already
        raise DataError(path, "a whole PNG, JPEG, BMP or TIFF file", f"{type(error).__name__}: {reason}") from error


def _checked_bits(path: Path, image: Image.Image) -> int:
    """Return 1, 8 or 16 once the header says that the file holds one image of a bearable size and of a known kind."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise DataError(path, f"at most {limit} pixels (PIL.Image.MAX_IMAGE_PIXELS)", f"{image.height} x {image.width}")
    if (frames := _frames(image)) > 1:
        raise DataError(path, "one image", f"a stack of {frames}{' or more' * (frames == _MANY)}")
    if image.format == "TIFF":
        return _tiff_bits(path, image)
    if image.format == "PNG" and _png_header(image)[0] == 16:
        return 16
    return 1 if image.mode == "1" else 8


def _frames(image: Image.Image) -> int:
    """How many images a file holds, up to `_MANY`: Pillow counts those of a TIFF in the square of their number."""
    if image.format != "TIFF":
        return getattr(image, "n_frames", 1) if image.format == "PNG" else 1
    for frame in range(1, _MANY):
        try:
            image.seek(frame)
        except EOFError:
            return frame
    return _MANY


def _tiff_bits(path: Path, image: Image.Image) -> int:
    tags = image.tag_v2  # type: ignore[attr-defined]
    bits, kinds = max(tags.get(_TIFF_BITS, (1,))), set(tags.get(_TIFF_SAMPLE_FORMAT, (_UNSIGNED,)))
    if bits not in (1, 2, 4, 8, 16) or kinds != {_UNSIGNED}:
        kind = "unsigned" if kinds == {_UNSIGNED} else "signed or float"
        raise DataError(path, "unsigned samples with 8 or 16 bits", f"{kind} samples with {bits} bits")
    if _TIFF_PHOTOMETRIC not in tags:  # Pillow would take 0 for white, and give a mask inside out
        raise DataError(path, "a TIFF that says what its values mean (PhotometricInterpretation)", "no such tag")
    return 16 if bits == 16 else 1 if image.mode == "1" else 8


def _png_header(image: Image.Image) -> tuple[int, int]:
    """Return bit depth and colour type, which a PNG file has at fixed places, before its pixels are read."""
    file = image.fp  # type: ignore[attr-defined]
    place = file.tell()
    file.seek(0)
    header = file.read(26)
    file.seek(place)
    return header[24], header[25]


def _samples_16_bit(path: Path, image: Image.Image) -> np.ndarray:
    """Decode with kornia_rs what has several channels, because Pillow would cut it to 8 bits without a word."""
    if image.mode.startswith("I"):
        return np.array(image).astype(np.uint16)
    if image.format == "PNG" and _png_header(image)[1] in (2, 6):
        return np.asarray(rust_io.read_image_png_u16(str(path), image.mode.lower()))
    if image.format == "TIFF" and image.mode == "RGB":
        if image.tag_v2.get(_TIFF_PLANES) == _SEPARATE:  # type: ignore[attr-defined]
            raise DataError(path, "interleaved channels in a 16-bit RGB TIFF", "one plane per channel")
        return np.asarray(rust_io.read_image_tiff_u16(str(path), "rgb"))
    raise DataError(path, "grey or RGB where there are 16 bits", f"16 bits in a {image.format} of mode {image.mode!r}")
