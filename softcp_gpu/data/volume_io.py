"""Volumes as arrays and back, by SimpleITK: NIfTI, NRRD, MetaImage and DICOM, read and written whole or not at all.

Values are taken as they are stored, after the file's own rescaling (Hounsfield units of a DICOM series). Arrays are in
order z, y, x, the last axis of the file first; nothing is reoriented.
"""

from __future__ import annotations

import gzip
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from softcp_gpu.data.errors import DataError
from softcp_gpu.data.files import VOLUME_SUFFIXES, suffix
from softcp_gpu.data.grid import Grid
from softcp_gpu.data.io import replacing
from softcp_gpu.data.plain_files import MOST_VOXELS
from softcp_gpu.data.volume_dicom import series_files, series_grid
from softcp_gpu.data.volume_geometry import repeat_geometry, stored_like
from softcp_gpu.data.volume_stored import read_stored
from softcp_gpu.data.volume_whole import check_whole

WRITTEN = (".nii.gz", ".nii", ".nrrd", ".mha")
"""The suffixes of volumes that can be written."""

_VOLUME = "a volume: three axes of two voxels or more, one real number per voxel"
_WHOLE = "a whole NIfTI, NRRD or MetaImage file, or a DICOM series"
_TYPES = ("UInt8", "Int8", "UInt16", "Int16", "UInt32", "Int32", "UInt64", "Int64", "Float32", "Float64")
_READERS = MappingProxyType(
    {
        ".nii": "NiftiImageIO",
        ".nii.gz": "NiftiImageIO",
        ".nrrd": "NrrdImageIO",
        ".mha": "MetaImageIO",
        ".mhd": "MetaImageIO",
    }
)
_FAST = 1  # of 9: five per cent larger than SimpleITK's level, in a quarter of its time


class Volume(NamedTuple):
    """The voxels of a file and where they lie."""

    values: np.ndarray  # (D, H, W), in the file's dtype
    grid: Grid


class Header(NamedTuple):
    """What a file says about its voxels before they are read."""

    grid: Grid
    dtype: np.dtype


def read_volume(path: Path | str) -> Volume:
    """Read a volume in its own type.

    Args:
        path: a NIfTI (.nii, .nii.gz), NRRD or MetaImage (.mha, .mhd) file, or a folder with one DICOM series.

    Returns:
        Values (D, H, W) and grid.

    Raises:
        DataError: as `read_header`, or the file is cut off or damaged, decompresses to far more than its header says,
            or is a NIfTI file with NaN or infinity.
    """
    path = Path(path)
    header = read_header(path)
    with _simple_itk(path, _WHOLE) as sitk:
        if path.is_dir():
            image = sitk.ReadImage([str(file) for file in series_files(sitk, path)])
        else:
            check_whole(path)
            image = sitk.ReadImage(str(path), imageIO=_READERS[suffix(path)])
        values = sitk.GetArrayFromImage(image)
    if values.shape != header.grid.shape or values.dtype != header.dtype:
        found = f"{values.shape} of {values.dtype}"
        raise DataError(path, f"voxels as the header says, {header.grid.shape} of {header.dtype}", found)
    return Volume(values, header.grid)


def read_grid(path: Path | str) -> Grid:
    """Read a volume's grid, without its voxels.

    Args:
        path: as for `read_volume`.

    Returns:
        The grid.

    Raises:
        DataError: as `read_header`.
    """
    return read_header(path).grid


def read_header(path: Path | str) -> Header:
    """Read a volume's grid and type, without its voxels.

    Args:
        path: as for `read_volume`.

    Returns:
        Grid and dtype.

    Raises:
        DataError: no plain file, an unknown suffix or content, or the format of another suffix; a header that promises
            more voxels than the file holds or than `MOST_VOXELS`, or that names a data file outside its own folder; not
            one DICOM series, or one with a slice missing or broken; other than three axes, one slice only, or more than
            one number per voxel; SimpleITK is not installed.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(path, _WHOLE, "nothing")
    if not path.is_dir() and suffix(path) not in VOLUME_SUFFIXES:
        raise DataError(path, f"a folder, or a suffix of {', '.join(VOLUME_SUFFIXES)}", repr(path.suffix))
    with _simple_itk(path, _WHOLE) as sitk:
        reader = sitk.ImageFileReader()
        files = series_files(sitk, path) if path.is_dir() else [path]
        if not path.is_dir():
            reader.SetImageIO(_reader_of(sitk, path))
        reader.SetFileName(str(files[0]))
        reader.ReadImageInformation()
        size, kind = reader.GetSize(), reader.GetPixelIDValue()
        size = (*size[:2], len(files)) if len(files) > 1 else size
        dtypes = {getattr(sitk, f"sitk{name}"): np.dtype(name.lower()) for name in _TYPES}
        if len(size) != 3 or min(size) < 2 or kind not in dtypes:
            found = f"{' x '.join(map(str, size))}, {sitk.GetPixelIDValueAsString(kind)}"
            raise DataError(path, _VOLUME, found)
        if math.prod(size) > MOST_VOXELS:
            raise DataError(path, f"at most {MOST_VOXELS} voxels", " x ".join(map(str, size)))
        if len(files) > 1:
            grid = series_grid(sitk, path, files)
        else:
            grid = Grid(size, reader.GetSpacing(), reader.GetOrigin(), reader.GetDirection())
    return Header(grid, dtypes[kind])


def _reader_of(sitk: Any, path: Path) -> str:
    """The reader of the suffix. SimpleITK tries others too, and guesses; but nobody checked what these would read."""
    checked = read_stored(path) is not None
    found = sitk.ImageFileReader.GetImageIOFromFileName(str(path))
    if found and not (checked and found == _READERS[suffix(path)]):
        raise DataError(path, f"a header of the format {suffix(path)}", f"another, which {found} would take")
    return found


def write_volume(path: Path | str, volume: Volume, *, like: Path | None = None) -> None:
    """Write a volume in the format of the suffix; the file appears whole or not at all.

    MetaImage keeps a grid exactly. NIfTI keeps float32, of which an oblique direction can come back changed in the
    eighth digit, and NRRD's can in the sixteenth, unless `like` has it.

    Args:
        path: where to: .nii.gz, .nii, .nrrd or .mha; an existing file is replaced, folders are made as needed.
        volume: values (D, H, W), integers or floats of 8 to 64 bits, on a grid of that shape.
        like: a file on the same grid; if its format is the same, its geometry is repeated as it is stored there, and
            NIfTI's slope and intercept are too.

    Raises:
        DataError: the shape, the type or the suffix does not allow it, or the file cannot be written.
    """
    path, (values, grid) = Path(path), volume
    _check_writable(path, volume)
    with _simple_itk(path, "a file that can be written") as sitk, replacing(path) as temporary:
        twin = like if like is not None and _same_format(like, path) and read_grid(like) == grid else None
        values = values if twin is None else stored_like(values, twin)
        image = sitk.GetImageFromArray(np.ascontiguousarray(values, values.dtype.newbyteorder("=")))
        image.SetSpacing(grid.spacing)
        image.SetOrigin(grid.origin)
        image.SetDirection(grid.direction)
        # SimpleITK tells a format by the whole suffix, which `temporary` has not; and of NIfTI it neither says that
        # the disk is full nor can the header be mended once it is compressed.
        with tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as folder:
            plain = Path(folder, f"volume{suffix(path).removesuffix('.gz')}")
            sitk.WriteImage(image, str(plain), plain.suffix != ".nii", compressionLevel=_FAST)
            check_whole(plain)
            if twin is not None:
                repeat_geometry(plain, twin)  # also where both are read alike: NIfTI has two transforms, with codes
            _finish(plain, temporary, packed=suffix(path) == ".nii.gz")


def check_simple_itk(path: Path) -> None:
    """Check that volumes can be read at all.

    Args:
        path: what is to be read.

    Raises:
        DataError: SimpleITK is not installed.
    """
    with _simple_itk(path, _WHOLE):
        pass


@contextmanager
def _simple_itk(path: Path, expected: str) -> Iterator[Any]:
    """Import SimpleITK, keep it quiet, and turn what it throws into one error that names the file."""
    try:
        import SimpleITK as sitk
    except ModuleNotFoundError as error:
        install = "SimpleITK for volumes (pip install 'softcp-gpu[volumes]')"
        raise DataError(path, install, "no such package") from error
    loud = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # what matters is an error here
    try:
        yield sitk
    except (RuntimeError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1].removeprefix("sitk::ERROR: ")
        raise DataError(path, expected, reason) from error
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(loud)


def _check_writable(path: Path, volume: Volume) -> None:
    values, grid = volume
    if suffix(path) not in WRITTEN:
        raise DataError(path, f"a suffix of {', '.join(WRITTEN)}", repr(path.suffix))
    if values.dtype.name not in map(str.lower, _TYPES):
        raise DataError(path, "integers or floats of 8 to 64 bits", str(values.dtype))
    if values.shape != grid.shape or values.ndim != 3 or min(values.shape) < 2:
        raise DataError(path, f"{_VOLUME}, on a grid of its shape", f"{values.shape} on {grid}")


def _same_format(a: Path, b: Path) -> bool:
    return suffix(a).removesuffix(".gz") == suffix(b).removesuffix(".gz")


def _finish(plain: Path, target: Path, *, packed: bool) -> None:
    if not packed:
        os.replace(plain, target)
        return
    # without name and time: the same volume gives the same bytes
    with (
        plain.open("rb") as source,
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", _FAST, raw, mtime=0) as stream,
    ):
        shutil.copyfileobj(source, stream, 1 << 20)
