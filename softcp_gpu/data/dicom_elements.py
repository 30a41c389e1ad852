"""The lengths in a DICOM file, checked before GDCM sees it.

GDCM takes the memory that a length asks for, up to 4 GB, and fills pixels that are missing with what was in it.
"""

from __future__ import annotations

import mmap
import struct
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from softcp_gpu.data.errors import DataError

_START = 132  # a preamble, and the mark
_HEAD = 8  # bytes of an element before its value, or more
_LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
_SHORT = (
    *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN", b"SH"),
    *(b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"),
)
_UNDEFINED = 0xFFFFFFFF
_SYNTAX = (0x0002, 0x0010)
_ROWS, _COLUMNS, _SAMPLES, _BITS = (0x0028, 0x0010), (0x0028, 0x0011), (0x0028, 0x0002), (0x0028, 0x0100)
_FRAMES, _PIXELS = (0x0028, 0x0008), (0x7FE0, 0x0010)
_ITEM, _ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
_DEFLATED, _BIG_ENDIAN = b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.2"
_IMPLICIT = (b"1.2.840.10008.1.2", b"1.2.840.113619.5.2")  # kinds of elements are not written
_FIRST_GROUPS = (b"\x02\0", b"\x08\0")  # of a file without a preamble
_BEARABLE = 1 << 20  # bytes that an element may ask for in vain
_DEEPEST = 32  # sequences in sequences


class _Odd(Exception):
    """Not as the standard has it, but nothing that takes memory: GDCM knows many such files, or says what is wrong."""


class _Element(NamedTuple):
    tag: tuple[int, int]
    kind: bytes  # b"" where the file does not say
    start: int  # of the value, bytes
    length: int


def is_dicom(path: Path) -> bool:
    """Tell a DICOM file by the mark behind its preamble.

    Args:
        path: an existing file.

    Returns:
        True if the mark is there; not if the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(_START)[-4:] == b"DICM"
    except OSError:
        return False


def check_elements(path: Path) -> None:
    """Check that no element of a DICOM file asks for much more than the file holds, and that its pixels are all there.

    Args:
        path: a file; what does not begin as DICOM does is left alone.

    Raises:
        DataError: an element that is much longer than what holds it, pixels that are not compressed and too few, or a
            transfer syntax that is compressed as a whole, whose lengths only show when the memory is taken.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_START)
        start = _START if head[-4:] == b"DICM" else 0
        if start or head[:2] in _FIRST_GROUPS:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data, suppress(_Odd):
                _Walk(path, data).all(start)


class _Walk:
    """One file: its bytes, and how they are to be read."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path, self.data, self.order, self.implicit = path, data, "<", False

    def all(self, at: int) -> None:
        """The meta group, which says how the rest is written; then the rest."""
        syntax, end = b"", len(self.data)
        while end - at >= _HEAD and self._tag(at)[0] == _SYNTAX[0]:
            element = self._element(at, end)
            if element.tag == _SYNTAX:
                syntax = self._text(element)
            at = self._value(element, end, 0)
        if syntax == _DEFLATED:
            raise DataError(self.path, "a transfer syntax that is not deflated", syntax.decode())
        self.order, self.implicit = ">" if syntax == _BIG_ENDIAN else "<", syntax in _IMPLICIT
        sizes: dict[tuple[int, int], int] = {}
        while end - at >= _HEAD:
            element = self._element(at, end)
            if element.tag in (_ROWS, _COLUMNS, _SAMPLES, _BITS) and element.length == 2:
                (sizes[element.tag],) = struct.unpack_from(f"{self.order}H", self.data, element.start)
            elif element.tag == _FRAMES and (text := self._text(element)).isdigit():
                sizes[_FRAMES] = int(text)
            elif element.tag == _PIXELS:
                self._check_pixels(element, sizes)
            at = self._value(element, end, 0)

    def _check_pixels(self, element: _Element, sizes: dict[tuple[int, int], int]) -> None:
        """Compressed pixels have no length of their own, and are their decoder's."""
        voxels = sizes.get(_ROWS, 0) * sizes.get(_COLUMNS, 0) * sizes.get(_SAMPLES, 1) * sizes.get(_FRAMES, 1)
        expected = voxels * sizes.get(_BITS, 8) // 8
        if element.length < expected:
            raise DataError(self.path, f"a whole file with {expected} bytes of pixels", str(element.length))

    def _text(self, element: _Element) -> bytes:
        return self.data[element.start : element.start + min(element.length, 64)].strip(b"\0 ")

    def _tag(self, at: int) -> tuple[int, int]:
        if at + _HEAD > len(self.data):
            raise _Odd
        group, element = struct.unpack_from(f"{self.order}HH", self.data, at)
        return group, element

    def _element(self, at: int, end: int) -> _Element:
        """The head of the element at a place; its length is told by the kind, where that is written."""
        tag, kind = self._tag(at), self.data[at + 4 : at + 6]
        if self.implicit or tag[0] == _ITEM[0] or kind not in (*_LONG, *_SHORT):
            kind = b""
            (length,) = struct.unpack_from(f"{self.order}I", self.data, at + 4)
            found = _Element(tag, kind, at + 8, length)
        elif kind in _LONG:
            if at + 12 > end:
                raise _Odd
            (length,) = struct.unpack_from(f"{self.order}I", self.data, at + 8)
            found = _Element(tag, kind, at + 12, length)
        else:
            (length,) = struct.unpack_from(f"{self.order}H", self.data, at + 6)
            found = _Element(tag, kind, at + 8, length)
        missing = 0 if length == _UNDEFINED else found.start + length - end
        if missing > _BEARABLE or (missing > 0 and tag == _PIXELS):
            raise DataError(self.path, f"at most {end - found.start} bytes in the element at byte {at}", str(length))
        if missing > 0 or found.start > end:
            raise _Odd
        return found

    def _value(self, element: _Element, end: int, depth: int) -> int:
        """Where the element ends. Elements may hold items, and these elements again."""
        if depth > _DEEPEST:
            raise _Odd
        known = element.length != _UNDEFINED
        last = element.start + element.length if known else end
        if known and element.kind != b"SQ":
            return last
        at = element.start
        while at < last:
            item = self._element(at, last)
            at = item.start
            if item.tag == _SEQUENCE_END and not known:
                return at
            if item.tag != _ITEM:
                raise _Odd
            at = (
                self._items(item, last, depth)
                if element.kind in (b"SQ", b"UN", b"")
                else self._value(item, last, depth + 1)
            )
        if not known:
            raise _Odd
        return last

    def _items(self, item: _Element, end: int, depth: int) -> int:
        known = item.length != _UNDEFINED
        at, last = item.start, item.start + item.length if known else end
        while at < last:
            element = self._element(at, last)
            if element.tag == _ITEM_END and not known:
                return element.start
            at = self._value(element, last, depth + 1)
        if not known:
            raise _Odd
        return last
