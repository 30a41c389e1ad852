"""What a volume's header says about where its voxels are, read and doubted before SimpleITK sees the file.

SimpleITK takes a header at its word: a wrong number of axes in a MetaImage ends the process or never ends, too few
voxels in it become whatever was in memory, and a size that no file holds is allocated first.
"""

from __future__ import annotations

import math
import re
import zlib
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from softcp_gpu.data.errors import DataError
from softcp_gpu.data.files import suffix
from softcp_gpu.data.plain_files import check_plain

_HEADER = 1 << 20  # bytes of a text header
_GZIP = b"\x1f\x8b"
ANY_WRAPPER = 47  # of zlib: gzip or zlib, told by the first bytes
_NIFTI_BITS = MappingProxyType(
    {2: 8, 4: 16, 8: 32, 16: 32, 32: 64, 64: 64, 128: 24, 256: 8, 512: 16, 768: 32, 1024: 64, 1280: 64, 1792: 128}
)
_BYTES = (  # a number's type in NRRD, by what its name ends with, and in MetaImage
    (1, r"(un)?signed char|u?char|u?int8(_t)?|met_u?char"),
    (2, r"((un)?signed )?short( int)?|u?short|u?int16(_t)?|met_u?short"),
    (4, r"((un)?signed )?int|uint|u?int32(_t)?|float|met_u?(int|long)|met_float"),
    (8, r"((un)?signed )?long long( int)?|u?longlong|u?int64(_t)?|double|met_u?long_long|met_double"),
)
_FIELD = re.compile(r"\s*([A-Za-z][A-Za-z0-9_ ]{0,79}?)[ \t]*[=:]\s*([^\r]{0,4000})")  # MetaIO's buffers are fixed
_VECTORS = ("Offset", "Position", "Origin", "CenterOfRotation", "ElementSpacing", "ElementSize")
_MATRICES = ("TransformMatrix", "Rotation", "Orientation")
_ALL = 1 << 62
_WHOLE = re.compile(r"[0-9]{1,10}")
_REAL = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")


class Stored(NamedTuple):
    """Where the voxels are, and how many bytes they must be."""

    path: Path
    kind: str  # "nifti", "nrrd" or "metaimage"
    start: int  # of the data, bytes
    size: int  # of the data; of a NIfTI file with its header; when decompressed
    packed: bool  # a stream of gzip or zlib
    most: int  # bytes of the file that belong to the data


def read_stored(path: Path) -> Stored | None:
    """Read what a header says, and check that the file can hold as much.

    Args:
        path: a NIfTI, NRRD or MetaImage file.

    Returns:
        Where the voxels are; None where the file is none of these, which SimpleITK is to say.

    Raises:
        DataError: no plain file; a header that contradicts itself, or names a data file elsewhere, or claims more
            voxels than the file holds.
    """
    try:
        size = check_plain(path)
        with path.open("rb") as file:
            head = file.read(_HEADER)
        if suffix(path) in (".nii", ".nii.gz"):
            stored = _nifti(path, head, size)
        else:
            stored = _nrrd(path, head) if suffix(path) == ".nrrd" else _metaimage(path, head)
        if stored is None:
            return None
        return _fitting(stored, check_plain(stored.path))
    except (OSError, UnicodeDecodeError, zlib.error, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(path, "a whole NIfTI, NRRD or MetaImage file", f"{type(error).__name__}: {error}") from error


def _fitting(stored: Stored, length: int) -> Stored:
    """The same, once the file has room for it; a stream is counted later, by `check_whole`."""
    room = min(length - stored.start, stored.most)
    if stored.most > length - stored.start >= 0 and stored.most < _ALL:
        raise DataError(stored.path, f"a whole file with {stored.most} bytes of data", str(length - stored.start))
    if not stored.packed and stored.size > room:
        raise DataError(stored.path, f"a whole file with {stored.size} bytes of voxels", str(max(room, 0)))
    return stored._replace(most=room)


def _count(path: Path, sizes: list[int], channels: int = 1) -> int:
    """How many numbers there are."""
    if min(sizes) < 1 or channels < 1:
        raise DataError(path, "sizes and channels of 1 or more", " x ".join(map(str, (*sizes, channels))))
    return math.prod(sizes) * channels


def _nifti(path: Path, head: bytes, length: int) -> Stored | None:
    packed = head.startswith(_GZIP)
    if packed:
        head = zlib.decompressobj(ANY_WRAPPER).decompress(head, 352)
    order = next((order for order in "<>" if len(head) >= 348 and np.frombuffer(head, f"{order}i4", 1)[0] == 348), None)
    if order is None:
        return None
    axes, *sizes = np.frombuffer(head, f"{order}i2", 8, 40).tolist()
    code, bits = np.frombuffer(head, f"{order}i2", 2, 70).tolist()
    start = float(np.frombuffer(head, f"{order}f4", 1, 108)[0])
    if head[344:348] != b"n+1\0":
        raise DataError(path, "a NIfTI file with header and voxels in one", f"the mark {head[344:348]!r}")
    if not 1 <= axes <= 7 or _NIFTI_BITS.get(code) != bits:
        found = f"{axes} axes, the type {code} of {bits} bits"
        raise DataError(path, "1 to 7 axes and a type of NIfTI with its number of bits", found)
    if not (352 <= start < _ALL and start == int(start)):
        raise DataError(path, "voxels from byte 352 on or later", f"from byte {start:g}")
    size = int(start) + _count(path, sizes[:axes]) * bits // 8
    return Stored(path, "nifti", 0, size, packed, _ALL)


def _nrrd(path: Path, head: bytes) -> Stored | None:
    if not head.startswith(b"NRRD"):
        return None
    end = re.search(rb"\r?\n\r?\n", head)
    lines = (head[: end.start()] if end else head).decode("utf-8", "replace").split("\n")[1:]
    pairs = [line.partition(":") for line in lines if line and not line.startswith("#") and ":=" not in line]
    fields = _once(path, [(name.strip().lower().replace(" ", ""), value.strip()) for name, _, value in pairs])
    sizes = _whole_numbers(path, "sizes", fields)
    if _whole_numbers(path, "dimension", fields) != [len(sizes)] or len(sizes) > 16:
        raise DataError(path, "a size for each dimension, at most 16", f"{fields.get('dimension')} and {sizes}")
    encoding = fields.get("encoding", "").lower()
    if encoding not in ("raw", "gzip", "gz", "txt", "text", "ascii", "hex"):
        raise DataError(path, "the encoding raw, gzip, text or hex", repr(encoding))
    packed, count = encoding in ("gzip", "gz"), _count(path, sizes)
    width = {"hex": 2, "raw": 1}.get(encoding, 1) * _bytes_of(path, fields.get("type", ""))
    lines_skipped, skipped = (fields.get(name, "0") for name in ("lineskip", "byteskip"))
    if not _WHOLE.fullmatch(lines_skipped) or not (_WHOLE.fullmatch(skipped) or (skipped, encoding) == ("-1", "raw")):
        raise DataError(path, "lines and bytes to skip", f"{lines_skipped!r} and {skipped!r}")
    if packed and (lines_skipped, skipped) != ("0", "0"):
        raise DataError(path, "nothing to skip before compressed voxels", f"{lines_skipped} lines, {skipped} bytes")
    if "datafile" in fields:
        voxels, start = _beside(path, fields["datafile"]), 0
    elif end is None:
        raise DataError(path, f"a header of at most {_HEADER} bytes and an empty line below it", "no empty line")
    else:
        voxels, start = path, end.end()
    text = encoding in ("txt", "text", "ascii")
    return Stored(voxels, "nrrd", start + max(int(skipped), 0), count * (1 if text else width), packed, _ALL)


def _metaimage(path: Path, head: bytes) -> Stored | None:
    if b"NDims" not in head:
        return None
    last = re.search(rb"^[ \t]*ElementDataFile[ \t]*[=:][ \t]*([^\r\n]*?)[ \t]*(\r?\n|\Z)", head, re.MULTILINE)
    if last is None:
        raise DataError(path, f"a header of at most {_HEADER} bytes that ends with ElementDataFile", "no such line")
    pairs = []
    for line in head[: last.start()].decode("utf-8", "replace").split("\n"):
        match = _FIELD.fullmatch(line.removesuffix("\r"))
        if match is None and line.strip():
            raise DataError(path, "lines NAME = VALUE in the header", repr(line[:60]))
        pairs += [(match[1], match[2].strip())] if match else []
    fields = _once(path, pairs)
    axes = _whole_numbers(path, "NDims", fields)
    sizes = _whole_numbers(path, "DimSize", fields)
    if axes != [len(sizes)] or not 1 <= len(sizes) <= 9:
        raise DataError(
            path, "NDims of 1 to 9, and a DimSize for each", f"{fields['NDims']!r} and {fields['DimSize']!r}"
        )
    for names, count in ((_VECTORS, len(sizes)), (_MATRICES, len(sizes) ** 2), (("Color", "SequenceID"), 4)):
        for name in names:
            numbers = fields.get(name, "0 " * count).split()
            if len(numbers) != count or not all(map(_REAL.fullmatch, numbers)):
                raise DataError(path, f"{count} numbers as {name}", repr(fields[name][:60]))
    if len(fields.get("AnatomicalOrientation", "")) not in (0, len(sizes), 3):
        raise DataError(path, f"{len(sizes)} letters as AnatomicalOrientation", repr(fields["AnatomicalOrientation"]))
    channels = _whole_numbers(path, "ElementNumberOfChannels", {"ElementNumberOfChannels": "1", **fields})
    count = _count(path, sizes, channels[0] if len(channels) == 1 else 0)
    packed, binary = (fields.get(name, "")[:1] in ("T", "t", "1") for name in ("CompressedData", "BinaryData"))
    skipped = fields.get("HeaderSize", "0")
    if not (_WHOLE.fullmatch(skipped) or skipped == "-1") or (packed and (skipped != "0" or not binary)):
        raise DataError(path, "a HeaderSize of bytes or -1, none before compressed binary voxels", repr(skipped))
    name = last[1].decode("utf-8", "surrogateescape")
    voxels, start = (path, last.end()) if name.upper() == "LOCAL" else (_beside(path, name), 0)
    # Without it ITK reads a whole data file, but of a stream behind a header nothing, and gives what was in memory.
    most = fields.get("CompressedDataSize", "0" if voxels == path else str(_ALL)) if packed else str(_ALL)
    if not (re.fullmatch("[0-9]{1,19}", most) and int(most)):
        raise DataError(path, "a number of bytes as CompressedDataSize", repr(most))
    size = count * (_bytes_of(path, fields.get("ElementType", "")) if binary else 1)
    return Stored(voxels, "metaimage", start + max(int(skipped), 0), size, packed, int(most))


def _once(path: Path, pairs: list[tuple[str, str]]) -> dict[str, str]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(path, "each field of the header once", f"{twice} twice")
    return fields


def _whole_numbers(path: Path, name: str, fields: dict[str, str]) -> list[int]:
    numbers = fields.get(name, "").split()
    if not numbers or not all(map(_WHOLE.fullmatch, numbers)):
        raise DataError(path, f"whole numbers as {name}", repr(fields.get(name, "")[:60]))
    return [int(number) for number in numbers]


def _bytes_of(path: Path, kind: str) -> int:
    for width, names in _BYTES:
        if re.fullmatch(names, kind.lower()):
            return width
    raise DataError(path, "a type of numbers that is known", repr(kind[:60]))


def _beside(path: Path, name: str) -> Path:
    """The one data file of a header; it lies in the header's folder or below."""
    listed = "%" in name or name.upper().startswith(("LIST", "SKIPLIST"))
    if listed or name in ("", "-") or "\0" in name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise DataError(path, "one data file in the header's folder or below it", repr(name[:60]))
    return path.parent / name
