"""Whether a volume's file is all there. SimpleITK fills what is missing with zeros, or with whatever came out."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from softcp_gpu.data.errors import DataError
from softcp_gpu.data.volume_stored import ANY_WRAPPER, Stored, read_stored

_BLOCK = 1 << 18
_SPARE = 1 << 20  # bytes that a stream may hold beyond what the header asks for


def check_whole(path: Path) -> None:
    """Check that a file holds the voxels that its header promises; compressed ones are decompressed to their end.

    Args:
        path: a NIfTI, NRRD or MetaImage file whose header can be read.

    Raises:
        DataError: as `read_stored`; the file is cut off or damaged, decompresses to far more than its header says, or
            is a NIfTI file with NaN or infinity.
    """
    stored = read_stored(path)
    if stored is None:
        return
    floats = _Floats()
    try:
        size = 0
        for block in _decompressed(stored) if stored.packed else _plain(stored):
            size += len(block)
            if size > stored.size + _SPARE and stored.packed:
                raise DataError(path, f"{stored.size} bytes when decompressed, as the header says", "far more")
            if stored.kind == "nifti":
                floats.look(block)
    except (OSError, zlib.error, EOFError) as error:
        raise DataError(path, "a whole file", f"{type(error).__name__}: {error}") from error
    if size < stored.size and stored.packed:
        raise DataError(path, f"a whole file of {stored.size} bytes when decompressed", str(size))
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
    order = "<" if head[:4] == (348).to_bytes(4, "little") else ">"
    code, start = np.frombuffer(head, f"{order}i2", 1, 70)[0], np.frombuffer(head, f"{order}f4", 1, 108)[0]
    kind = {16: "f4", 64: "f8"}.get(int(code))
    return int(start), np.dtype(f"{order}{kind}") if kind else None


def _plain(stored: Stored) -> Iterator[bytes]:
    """The file, block by block; its length is known to be right."""
    if stored.kind == "nifti":
        with stored.path.open("rb") as file:
            yield from iter(lambda: file.read(_BLOCK), b"")


def _decompressed(stored: Stored) -> Iterator[bytes]:
    """The decompressed data, block by block, to the end, where the stream's own checksum is known to be right."""
    with stored.path.open("rb") as file:
        file.seek(stored.start)
        left = stored.most

        def more() -> bytes:
            nonlocal left
            block = file.read(min(_BLOCK, left))
            left -= len(block)
            return block

        block = more()
        while block:
            stream = zlib.decompressobj(ANY_WRAPPER)
            while block and not stream.eof:
                yield stream.decompress(block, _BLOCK)  # not all at once: a byte can become a thousand
                block = stream.unused_data if stream.eof else stream.unconsumed_tail or more()
            if not stream.eof:
                raise EOFError("the compressed data end too early")
            if stored.kind == "metaimage":  # ITK reads no second stream
                return
            block = block.lstrip(b"\0") or more().lstrip(b"\0")  # padding; a file may be several streams
