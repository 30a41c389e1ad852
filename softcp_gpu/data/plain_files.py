"""What may be opened at all: plain files that hold something, and text of a bearable length.

Links are followed when reading, to files and to folders: data sets are often put together from links. Pipes, sockets
and devices are refused, because reading them may wait for ever, or never end.
"""

from __future__ import annotations

import stat
from pathlib import Path

from softcp_gpu.data.errors import DataError

MOST_DESCRIPTION = 1 << 26
"""Bytes of `dataset.json`. nnU-Net's own, with a line for each of a hundred thousand cases, takes a fifth of it."""

MOST_INDEX = 1 << 30
"""Bytes of a lesion bank's index: two million lesions."""

MOST_VOXELS = 1 << 31
"""Of a volume's file or a DICOM series: 1024 x 1024 x 2048."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def file_size(path: Path) -> int:
    """Tell a plain file's size; links are followed.

    Args:
        path: a file.

    Returns:
        Bytes.

    Raises:
        DataError: a folder, a pipe, a socket or a device.
        OSError: it is not there, or a link of it leads nowhere or in a circle.
    """
    status = path.stat()
    for is_kind, name in _KINDS:
        if is_kind(status.st_mode):
            raise DataError(path, "a plain file", name)
    return status.st_size


def check_plain(path: Path) -> int:
    """Check that a path leads to a plain file that is not empty.

    Args:
        path: a file.

    Returns:
        Its size in bytes.

    Raises:
        DataError: as `file_size`, or the file is empty.
        OSError: as there.
    """
    if (size := file_size(path)) == 0:
        raise DataError(path, "a whole file", "0 bytes")
    return size


def read_text(path: Path, most: int) -> str:
    """Read a text file of a bearable length.

    Args:
        path: a file in UTF-8.
        most: bytes.

    Returns:
        Its text.

    Raises:
        DataError: as `file_size`, or the file is longer.
        OSError, UnicodeDecodeError: it is not there, or no text.
    """
    if (size := file_size(path)) > most:
        raise DataError(path, f"at most {most} bytes of text", str(size))
    return path.read_text(encoding="utf-8")
