"""Whether a volume's file is all there. SimpleITK fills what is missing with zeros, or with whatever came out."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from softcp_gpu.data.errors import DataError
from softcp_gpu.data.files import suffix

_BLOCK = 1 << 18
_GZIP = b"\x1f\x8b"
_ANY_WRAPPER = 47  # of zlib: gzip or zlib, told by the first bytes


class _Data(NamedTuple):
    path: Path  # the file that holds the voxels
    start: int  # of the compressed stream, bytes
    nifti: bool  # whether a NIfTI header comes first


def check_whole(path: Path) -> None:
    """Check that compressed voxels can be decompressed to their end, and that a NIfTI file holds as many as it says.

    What else is cut off (plain NRRD and MetaImage) SimpleITK refuses itself.

    Args:
        path: a NIfTI, NRRD or MetaImage file whose header can be read.

    Raises:
        DataError: the file is cut off or damaged, or a NIfTI file holds NaN or infinity.
    """
    try:
        data, floats = _compressed(path), _Floats()
        if data:
            size, head = _decompressed(data, floats.look if data.nifti else lambda block: None)
        elif suffix(path) in (".nii", ".nii.gz"):
            with path.open("rb") as file:
                head = file.read(352)
                file.seek(0)
                for block in iter(lambda: file.read(_BLOCK), b""):
                    floats.look(block)
            size = path.stat().st_size
        else:
            return
    except (OSError, zlib.error, ValueError) as error:
        raise DataError(path, "a whole file", f"{type(error).__name__}: {error}") from error
    if data is None or data.nifti:
        expected = _nifti_bytes(head)
        if size < expected:
            raise DataError(path, f"a whole file of {expected} bytes{' when decompressed' * bool(data)}", str(size))
    if not floats.finite:
        raise DataError(path, "finite values", "NaN or infinity, which SimpleITK would read as 0")


class _Floats:
    """Looks at the voxels of a NIfTI stream, block by block, if they are floats."""

    def __init__(self) -> None:
        self.finite, self._rest, self._ahead = True, b"", -1  # bytes before the voxels; -1: not known yet
        self._dtype: np.dtype | None = None

    def look(self, block: bytes) -> None:
        """The next bytes of the file."""
        data = self._rest + block
        if self._ahead < 0:
            if len(data) < 348:
                self._rest = data
                return
            self._ahead, self._dtype = _nifti_floats(data)
        if self._dtype is None:
            self._rest = b""
            return
        skipped = min(self._ahead, len(data))
        self._ahead -= skipped
        whole = skipped + (len(data) - skipped) // self._dtype.itemsize * self._dtype.itemsize
        self.finite &= bool(np.isfinite(np.frombuffer(data[skipped:whole], self._dtype)).all())
        self._rest = data[whole:]


def _nifti_floats(head: bytes) -> tuple[int, np.dtype | None]:
    """Where the voxels begin, and their type if it is a float one."""
    for order in "<>":
        if np.frombuffer(head, f"{order}i4", 1)[0] == 348:
            code, start = np.frombuffer(head, f"{order}i2", 1, 70)[0], np.frombuffer(head, f"{order}f4", 1, 108)[0]
            kind = {16: "f4", 64: "f8"}.get(int(code))
            return int(start), np.dtype(f"{order}{kind}") if kind else None
    return 0, None


def _compressed(path: Path) -> _Data | None:
    """Where the compressed voxels are, if they are compressed."""
    kind = suffix(path)
    with path.open("rb") as file:
        if kind in (".nii", ".nii.gz"):
            return _Data(path, 0, nifti=True) if file.read(2) == _GZIP else None
        if kind == ".nrrd":
            header = list(iter(lambda: file.readline().strip(), b""))
            detached = any(line.startswith((b"data file:", b"datafile:")) for line in header)
            packed = any(line in (b"encoding: gzip", b"encoding: gz") for line in header)
            return _Data(path, file.tell(), nifti=False) if packed and not detached else None
        packed = False
        for line in file:
            key, _, value = (part.strip() for part in line.partition(b"="))
            packed |= key == b"CompressedData" and value.lower() == b"true"
            if key == b"ElementDataFile":
                here = value == b"LOCAL"
                voxels = path if here else path.with_name(os.fsdecode(value))
                return _Data(voxels, file.tell() if here else 0, nifti=False) if packed else None
    raise ValueError("a header without an end")


def _decompressed(data: _Data, look: Callable[[bytes], None]) -> tuple[int, bytes]:
    """The size, and the first bytes, once the stream's own checksum is known to be right; `look` gets all of them."""
    size, head = 0, b""
    with data.path.open("rb") as file:
        file.seek(data.start)
        block = file.read(_BLOCK)
        while block:
            stream = zlib.decompressobj(_ANY_WRAPPER)
            while block and not stream.eof:
                values = stream.decompress(block)
                head = head or values[:352]
                look(values)
                size += len(values)
                block = stream.unused_data if stream.eof else file.read(_BLOCK)
            if not stream.eof:
                raise ValueError("the compressed data end too early")
            block = block.lstrip(b"\0") or file.read(_BLOCK).lstrip(b"\0")  # padding; a file may be several streams
    return size, head


def _nifti_bytes(head: bytes) -> int:
    """How long a NIfTI file must be, by its header."""
    for order in "<>":
        if len(head) >= 348 and np.frombuffer(head, f"{order}i4", 1)[0] == 348:
            axes, *sizes = np.frombuffer(head, f"{order}i2", 8, 40).tolist()
            bits = int(np.frombuffer(head, f"{order}i2", 1, 72)[0])
            start = int(np.frombuffer(head, f"{order}f4", 1, 108)[0])
            return start + int(np.prod(sizes[:axes], dtype=np.int64)) * bits // 8
    return 0  # NIfTI-2: its compressed stream was checked, its length is not
