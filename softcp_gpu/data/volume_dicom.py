"""A folder with one DICOM series: its files in order, and the grid of its slices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from softcp_gpu.data.dicom_elements import check_elements, is_dicom
from softcp_gpu.data.errors import DataError
from softcp_gpu.data.files import describe, visible
from softcp_gpu.data.grid import Grid
from softcp_gpu.data.plain_files import file_size

_OFF = 0.1  # of the slices' distance: positions are often given in tenths of a millimetre
_INDEX = "DICOMDIR"


def series_files(sitk: Any, folder: Path) -> list[Path]:
    """List the files of a folder's only series, in the order of its slices.

    Args:
        sitk: SimpleITK.
        folder: an existing folder.

    Returns:
        The files, from the first slice to the last along the normal of the slices.

    Raises:
        DataError: no series, several, or a DICOM file that belongs to none, as one that is cut off does; a pipe, socket
            or device in the folder, which GDCM would open.
    """
    for file in sorted(folder.iterdir()):  # all that GDCM is going to open, hidden ones too
        if file.exists() and not file.is_dir() and file_size(file):
            check_elements(file)
    series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if len(series) != 1:
        found = f"{len(series)}: {', '.join(series)}" if series else f"none; there is: {describe(folder)}"
        raise DataError(folder, "one DICOM series", found)
    files = [Path(name) for name in sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series[0])]
    listed = {file.name for file in files}
    for file in visible(folder):  # what GDCM cannot read it leaves out without a word
        if file.is_file() and file.name not in listed and file.name != _INDEX and is_dicom(file):
            raise DataError(file, f"a slice of the series {series[0]}", "a DICOM file that cannot be read as one")
    return files


def series_grid(sitk: Any, folder: Path, files: list[Path]) -> Grid:
    """Find the grid of a series by the headers of all its slices.

    Args:
        sitk: SimpleITK.
        folder: the folder, for the error.
        files: two slices or more, in order.

    Returns:
        The grid; the third axis is the normal of the slices.

    Raises:
        DataError: a slice differs in size or type, or the slices are not at equal distances along their normal: one is
            missing, or the gantry was tilted.
    """
    reader = sitk.ImageFileReader()
    origins, kinds = np.empty((len(files), 3)), []
    for k, file in enumerate(files):
        reader.SetFileName(str(file))
        reader.ReadImageInformation()
        origins[k] = reader.GetOrigin()
        kinds.append(f"{reader.GetSize()[:2]}, {sitk.GetPixelIDValueAsString(reader.GetPixelIDValue())}")
        if kinds[k] != kinds[0]:  # ITK would cast it to the first one's type, which cuts off what that cannot hold
            raise DataError(file, f"{kinds[0]} as in {files[0].name}", kinds[k])
    normal = np.reshape(reader.GetDirection(), (3, 3))[:, 2]
    step_mm = float(np.linalg.norm(origins[-1] - origins[0])) / (len(files) - 1)
    even = origins[0] + np.arange(len(files))[:, None] * step_mm * normal
    off_mm = np.linalg.norm(origins - even, axis=1)
    if step_mm == 0 or off_mm.max() > _OFF * step_mm:
        worst = int(off_mm.argmax())
        steps_mm = np.linalg.norm(np.diff(origins, axis=0), axis=1)
        expected = f"{len(files)} slices at equal distances along their normal (none missing, no tilt)"
        between = f"{steps_mm.min():.4g} to {steps_mm.max():.4g} mm between them"
        raise DataError(folder, expected, f"{between}, {files[worst].name} {off_mm[worst]:.3g} mm off")
    size = (*reader.GetSize()[:2], len(files))
    return Grid(size, (*reader.GetSpacing()[:2], step_mm), tuple(origins[0].tolist()), reader.GetDirection())
