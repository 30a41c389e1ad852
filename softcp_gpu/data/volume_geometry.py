"""Geometry that comes out exactly as it went in: what one file's header says about its place, put into another's.

SimpleITK turns the vectors of a header into cosines and lengths, and back into vectors when it writes. That loses the
last bit of an oblique direction.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from types import MappingProxyType

import numpy as np

from softcp_gpu.data.files import suffix

# NIfTI: the fields of a place, their offsets in bytes, how many, and the type: qfac and spacing, units, the two codes,
# then quaternion, offset, and the matrix; and before them slope and intercept of the values.
_NIFTI = ((76, 8, "f4"), (112, 2, "f4"), (123, 1, "u1"), (252, 2, "i2"), (256, 18, "f4"))
_INTEGERS = MappingProxyType({2: "u1", 4: "i2", 8: "i4", 256: "i1", 512: "u2", 768: "u4"})  # NIfTI's codes
_NRRD = (b"space:", b"space directions:", b"space origin:")


def stored_like(values: np.ndarray, like: Path) -> np.ndarray:
    """Turn values into what a NIfTI file with a slope and an intercept stores of them.

    Args:
        values: what the file means.
        like: a file; the header of the new one repeats its slope and intercept.

    Returns:
        Numbers of its type, the nearest there are; the values themselves where it stores them as they are.
    """
    if suffix(like) not in (".nii", ".nii.gz"):
        return values
    head, order = _nifti_header(like)
    slope, intercept = np.frombuffer(head, f"{order}f4", 2, 112).astype(float)
    kind = _INTEGERS.get(int(np.frombuffer(head, f"{order}i2", 1, 70)[0]))
    if slope == 0 or not np.isfinite(slope) or (slope, intercept) == (1, 0):
        return values
    if kind is None:
        return ((values - intercept) / slope).astype(values.dtype)
    limits = np.iinfo(kind)
    return ((values.astype(np.float64) - intercept) / slope).round().clip(limits.min, limits.max).astype(kind)


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
    head, order = _nifti_header(like)
    with path.open("r+b") as file:
        for offset, count, kind in _NIFTI:
            file.seek(offset)
            file.write(np.frombuffer(head, f"{order}{kind}", count, offset).astype(f"={kind}").tobytes())


def _nifti_header(path: Path) -> tuple[bytes, str]:
    """The header, and the order of its bytes."""
    with gzip.open(path) if suffix(path) == ".nii.gz" else path.open("rb") as source:
        head = source.read(348)
    return head, "<" if head[:4] == (348).to_bytes(4, "little") else ">"


def _repeat_nrrd(path: Path, like: Path) -> None:
    fields = {line.partition(b":")[0]: line for line in _nrrd_header(like) if line.startswith(_NRRD)}
    header = _nrrd_header(path)
    data = path.read_bytes()[sum(len(line) for line in header) :]
    path.write_bytes(b"".join(fields.get(line.partition(b":")[0], line) for line in header) + data)


def _nrrd_header(path: Path) -> list[bytes]:
    """The lines above the empty one."""
    with path.open("rb") as file:
        return list(iter(file.readline, b"\n"))
