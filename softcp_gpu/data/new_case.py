"""What a new case may be called, and where its files may go."""

from __future__ import annotations

import re
from pathlib import Path

from softcp_gpu.data.errors import DataError

_NEW_ID = re.compile(r"synth_[A-Za-z0-9-]+")


def check_new_id(out_root: Path | str, new_id: str) -> None:
    """Check the id of a new case.

    Args:
        out_root: the new data set's folder, for the error.
        new_id: the id.

    Raises:
        DataError: it is not `synth_` and letters, digits or hyphens.
    """
    if not _NEW_ID.fullmatch(new_id):
        raise DataError(out_root, "an id of synth_ and letters, digits or hyphens", repr(new_id))


def inside(out_root: Path, relative: Path) -> Path:
    """Join two paths.

    Args:
        out_root: a folder.
        relative: a path below it.

    Returns:
        The path.

    Raises:
        DataError: it leads out of the folder, by `..` or by a link.
    """
    path = out_root / relative
    if not path.resolve().is_relative_to(out_root.resolve()):
        raise DataError(out_root, "new files inside this folder", str(path))
    return path
