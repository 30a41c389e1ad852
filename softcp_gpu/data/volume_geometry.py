"""Geometry that comes out exactly as it went in: what one file's header says about its place, put into another's.

SimpleITK turns the vectors of a header into cosines and lengths, and back into vectors when it writes. That loses the
last bit of an oblique direction.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from softcp_gpu.data.files import suffix

# NIfTI: the fields of a place, their offsets in bytes, how many, and the type: qfac and spacing, units, the two codes,
# then quaternion, offset, and the matrix.
_NIFTI = ((76, 8, "f4"), (123, 1, "u1"), (252, 2, "i2"), (256, 18, "f4"))
_NRRD = (b"space:", b"space directions:", b"space origin:")


def repeat_geometry(path: Path, like: Path) -> None:
    """Put the geometry of `like` into a file of the same format.

    Args:
        path: a file that was just written: .nii or .nrrd; others are left alone.
        like: a file on the same grid: .nii or .nii.gz, or .nrrd.
    """
    if path.suffix == ".nii":
        _repeat_nifti(path, like)
    elif path.suffix == ".nrrd":
        _repeat_nrrd(path, like)


def _repeat_nifti(path: Path, like: Path) -> None:
    with gzip.open(like) if suffix(like) == ".nii.gz" else like.open("rb") as source:
        head = source.read(348)
    order = "<" if head[:4] == (348).to_bytes(4, "little") else ">"
    with path.open("r+b") as file:
        for offset, count, kind in _NIFTI:
            file.seek(offset)
            file.write(np.frombuffer(head, f"{order}{kind}", count, offset).astype(f"={kind}").tobytes())


def _repeat_nrrd(path: Path, like: Path) -> None:
    fields = {line.partition(b":")[0]: line for line in _nrrd_header(like) if line.startswith(_NRRD)}
    header = _nrrd_header(path)
    data = path.read_bytes()[sum(len(line) for line in header) :]
    path.write_bytes(b"".join(fields.get(line.partition(b":")[0], line) for line in header) + data)


def _nrrd_header(path: Path) -> list[bytes]:
    """The lines above the empty one."""
    with path.open("rb") as file:
        return list(iter(file.readline, b"\n"))
