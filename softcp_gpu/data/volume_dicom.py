"""A folder with one DICOM series: its files in order, and the grid of its slices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from softcp_gpu.data.errors import DataError
from softcp_gpu.data.files import describe, visible
from softcp_gpu.data.grid import Grid
from softcp_gpu.data.volume_files import is_dicom

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
        DataError: no series, several, or a DICOM file that belongs to none, as one that is cut off does.
    """
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
        DataError: the slices are not at equal distances along their normal: one is missing, or the gantry was tilted.
    """
    reader = sitk.ImageFileReader()
    origins = np.empty((len(files), 3))
    for k, file in enumerate(files):
        reader.SetFileName(str(file))
        reader.ReadImageInformation()
        origins[k] = reader.GetOrigin()
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
