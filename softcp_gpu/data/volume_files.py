"""Looking at folders of volumes: files, and folders of DICOM files."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from softcp_gpu.data.dicom_elements import is_dicom
from softcp_gpu.data.errors import Problem
from softcp_gpu.data.files import VOLUME_SUFFIXES, image_files, sort_out, visible

_VOXELS = (".raw", ".zraw")  # what a .mhd file points at
_GLANCES = 4


def volume_files(folder: Path) -> tuple[list[Path], list[Problem]]:
    """List the volumes of a folder.

    Args:
        folder: an existing folder.

    Returns:
        Files, and folders with DICOM files, in natural order; and files that are neither volumes nor known side files.
    """
    files = [path for path in visible(folder) if not path.is_dir() or is_dicom_folder(path)]
    return sort_out([path for path in files if path.suffix.lower() not in _VOXELS], VOLUME_SUFFIXES)


def holds_volumes(folder: Path) -> bool:
    """Tell a folder of volumes from one of images.

    Args:
        folder: an existing folder.

    Returns:
        Whether it has more volumes than images.
    """
    return len(volume_files(folder)[0]) > len(image_files(folder)[0])


def is_dicom_folder(path: Path) -> bool:
    """Tell whether a path is a folder of DICOM files.

    Args:
        path: anything.

    Returns:
        True if one of its first files is a DICOM file; notes may lie beside them.
    """
    files = (file for file in visible(path) if file.is_file()) if path.is_dir() else iter(())
    return any(is_dicom(file) for file in islice(files, _GLANCES))
