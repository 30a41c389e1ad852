"""Image files as arrays and back: PNG, JPEG, BMP and TIFF with 8 or 16 bits, read and written whole or not at all.

Pixels are taken as they are stored: an EXIF orientation is applied neither to images nor to masks, so that both stay on
the same grid. The format is told by a file's content when it is read and by its suffix when it is written.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import kornia_rs.io as rust_io
import numpy as np
from PIL import Image

from softcp_gpu.data.decode import decode, opened
from softcp_gpu.data.errors import DataError
from softcp_gpu.data.png import write_png

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
"""The suffixes of image files, in lower case."""

LOSSY = (".jpg", ".jpeg")
"""The ones among them that do not keep every pixel."""


def read_image(path: Path | str) -> np.ndarray:
    """Read an image in its own type.

    Args:
        path: a PNG, JPEG, BMP or TIFF file with 1 to 8 or with 16 bits per sample.

    Returns:
        (H, W, C): uint8 or uint16, C = 1 for grey and 3 for RGB. Palettes are expanded to RGB; an alpha channel that is
        opaque everywhere is dropped.

    Raises:
        DataError: the file is missing, broken, cut off, larger than `PIL.Image.MAX_IMAGE_PIXELS`, a stack, of another
            kind (CMYK, float, signed), or has transparent parts.
    """
    raster = decode(Path(path))
    if raster.alpha is not None and raster.alpha.min() < np.iinfo(raster.alpha.dtype).max:
        raise DataError(path, "an opaque image", f"an alpha channel that goes down to {raster.alpha.min()}")
    return raster.values


def image_size(path: Path | str) -> tuple[int, int]:
    """Read (H, W) from a file's header, without decoding the pixels.

    Args:
        path: an image file.

    Returns:
        Height and width in pixels.

    Raises:
        DataError: the header cannot be read.
    """
    with opened(Path(path)) as image:
        return image.height, image.width


def write_image(path: Path | str, image: np.ndarray) -> None:
    """Write an image, with all its bits, in the format of the suffix; the file appears whole or not at all.

    JPEG is written at quality 100 without chroma subsampling. Folders are made as needed.

    Args:
        path: where to; an existing file is replaced.
        image: (H, W, 1) or (H, W, 3), uint8 or uint16.

    Raises:
        DataError: the shape, the type or the suffix does not allow it, or the file cannot be written.
    """
    path, shape = Path(path), image.shape
    if len(shape) != 3 or shape[2] not in (1, 3) or image.size == 0 or image.dtype not in (np.uint8, np.uint16):
        raise DataError(path, "an array (H, W, 1 or 3) of uint8 or uint16", f"{shape} of {image.dtype}")
    with replacing(path) as temporary:
        encode(temporary, image)


def encode(path: Path, values: np.ndarray) -> None:
    """Write an array to this very path, as the suffix says; `write_image` and `write_mask` check and tidy up around it.

    Args:
        path: where to.
        values: (H, W), (H, W, 1) or (H, W, 3), uint8 or uint16, or (H, W) bool for a 1-bit file.

    Raises:
        DataError: the suffix is unknown or cannot hold the type.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(path, f"a suffix of {', '.join(SUFFIXES)}", repr(path.suffix))
    if values.dtype == np.uint16 and suffix in (*LOSSY, ".bmp"):
        raise DataError(path, f"8 bits in a {suffix} file", "16 bits")
    values = values[:, :, 0] if values.ndim == 3 and values.shape[2] == 1 else values
    values = np.ascontiguousarray(values)
    if suffix == ".png" and values.dtype != bool:
        write_png(path, values)
    elif values.dtype == np.uint16 and values.ndim == 3:  # Pillow has no such mode
        rust_io.write_image_tiff_u16(str(path), values, "rgb")
    else:
        options: Mapping[str, Any] = {"quality": 100, "subsampling": 0} if suffix in LOSSY else {}
        Image.fromarray(values).save(path, **options)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a hidden temporary path in the same folder that takes the place of `path` when the block ends well.

    Args:
        path: the final file.

    Yields:
        The path to write to.

    Raises:
        DataError: the file could not be written; nothing is left behind.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}-{threading.get_native_id()}{path.suffix}")
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)  # left behind, or a link, through which nothing may be written
        yield temporary
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):  # where no file can be, there is none to remove
            temporary.unlink()
        if isinstance(error, DataError):
            raise DataError(path, *error.args[1:]) from error
        if isinstance(error, Exception):  # encoders, like decoders, raise types of their own
            raise DataError(path, "a file that can be written", f"{type(error).__name__}: {error}") from error
        raise
