"""The record of a synthetic set: JSON lines, hashes, and the names of the files that every run writes.

docs/manifest.md describes the fields; `softcp_gpu/schemas/` holds them as JSON Schemas.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from softcp_gpu.data.errors import DataError
from softcp_gpu.data.io import replacing
from softcp_gpu.data.plain_files import MOST_DESCRIPTION, file_size, read_text

_SMALL = 1 << 18

SCHEMA = 1
"""The version of the fields; a change that a reader must know of gives it another number."""

RUN = "run.json"
INPUTS = "inputs.jsonl"
SAMPLES = "samples.jsonl"
OTHER = "other_files.jsonl"
SUMMARY = "summary.json"
SPLIT = "split.json"
SHEET = "contact_sheet.png"
REPORT = "report.html"


def sha256(path: Path) -> str:
    """Hash a file's bytes.

    Args:
        path: an existing file, or a folder with a DICOM series: the names and hashes of its files are hashed.

    Returns:
        64 hexadecimal digits.

    Raises:
        DataError: a pipe, a socket or a device.
        OSError: it cannot be read.
    """
    if path.is_dir():
        return digest({file.name: sha256(file) for file in sorted(path.iterdir()) if file.is_file()})
    size = file_size(path)  # a pipe would never end
    with path.open("rb") as file:
        if size < _SMALL:  # what `file_digest` reads a file with is larger, and cleared for each
            return hashlib.sha256(file.read()).hexdigest()
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(content: Any) -> str:
    """Hash what JSON can hold, whatever the order of its keys.

    Args:
        content: what JSON can hold; other things count by their `repr`.

    Returns:
        64 hexadecimal digits.
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=repr).encode()).hexdigest()


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Read JSON lines, one at a time.

    Args:
        path: the file.

    Yields:
        The records.

    Raises:
        DataError: it is not there, or a line is no JSON object.
    """
    try:
        file_size(path)
        with path.open(encoding="utf-8", errors="surrogateescape") as file:
            for number, line in enumerate(file, 1):
                try:
                    record = json.loads(line)
                except (RecursionError, ValueError):
                    record = None
                if not isinstance(record, dict):
                    raise DataError(path, "a JSON object in each line", f"{line[:60]!r} in line {number}")
                yield record
    except OSError as error:
        raise DataError(path, "the record of a run", str(error.strerror)) from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds one object.

    Args:
        path: the file.

    Returns:
        The object.

    Raises:
        DataError: it is not there, or something else.
    """
    try:
        content = json.loads(read_text(path, MOST_DESCRIPTION))
    except (OSError, RecursionError, ValueError) as error:
        raise DataError(path, "a JSON object", f"{type(error).__name__}: {error}") from error
    if not isinstance(content, dict):
        raise DataError(path, "a JSON object", type(content).__name__)
    return content


def append_other(out: Path, name: str, paths: Sequence[Path], **more: Any) -> None:
    """List files of a run that belong to none of its samples, so that they can be removed with it.

    Args:
        out: the run's folder.
        name: part of the name of each of them, or of its folder.
        paths: files in it.
        **more: what else to record.
    """
    files = {str(k): path.relative_to(out).as_posix() for k, path in enumerate(paths)}
    append_line(out / OTHER, {"id": name, "files": files, **more})


def listed_other(out: Path) -> set[str]:
    """Read what `append_other` was called with.

    Args:
        out: the run's folder.

    Returns:
        The names.
    """
    return {line["id"] for line in read_lines(out / OTHER)} if (out / OTHER).is_file() else set()


def append_line(path: Path, record: dict[str, Any]) -> None:
    """Add one record to a file of JSON lines.

    Args:
        path: the file; made if it is not there.
        record: what JSON can hold.

    Raises:
        DataError: it cannot be written, or not as a whole.
    """
    line = json.dumps(record, ensure_ascii=False) + "\n"
    try:
        # A name that is not UTF-8 is written as JSON's own escape.
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(line)
    except OSError as error:
        raise DataError(path, "a file that can be written", error.strerror or str(error)) from error


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file for people to read; it appears whole or not at all.

    Args:
        path: the file.
        content: what JSON can hold.

    Raises:
        DataError: it cannot be written.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_lines(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """Write a file of JSON lines; it appears whole or not at all.

    Args:
        path: the file.
        records: what JSON can hold.

    Raises:
        DataError: it cannot be written.
    """
    with replacing(path) as temporary:
        temporary.touch()
        for record in records:
            append_line(temporary, record)


def plain(record: Any, count: int) -> list[Any]:
    """Turn a named tuple of a batch into what JSON can hold, sample by sample.

    Args:
        record: a (nested) named tuple whose leaves have `tolist`, or None.
        count: of the samples.

    Returns:
        Dicts of lists and numbers, without the batch axis; or None for each.
    """
    if record is None:
        return [None] * count
    if hasattr(record, "_asdict"):
        columns = {name: plain(value, count) for name, value in record._asdict().items()}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return record.tolist()
