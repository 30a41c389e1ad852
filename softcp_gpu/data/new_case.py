"""What a new case may be called, and where its files may go."""

from __future__ import annotations

import os
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
        DataError: it leads out of the folder by `..`, or anywhere by a link in the folder.
    """
    path = out_root / relative
    if relative.is_absolute() or ".." in relative.parts:
        raise DataError(out_root, "new files inside this folder", str(path))
    part = str(out_root)
    for name in relative.parts:
        part = os.path.join(part, name)
        _check_no_link(part)
    return path


def check_no_links(out_root: Path) -> None:
    """Check, before anything is written, that nothing can be written through a link.

    Args:
        out_root: a folder, which may be a link itself, or nothing.

    Raises:
        DataError: there is a link in it, at any depth.
    """
    for folder, names, files in os.walk(out_root):  # which does not follow links
        for name in sorted(names + files):
            _check_no_link(os.path.join(folder, name))


def _check_no_link(path: str) -> None:
    if os.path.islink(path):
        raise DataError(path, "new files inside this folder, which has no links", f"a link to {os.readlink(path)}")
