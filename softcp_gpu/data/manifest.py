"""The record of a synthetic set: one JSON line per sample, and a folder that knows which files are its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from softcp_gpu.data.errors import DataError

SAMPLES = "samples.jsonl"
SUMMARY = "summary.json"
SPLIT = "split.json"
SHEET = "contact_sheet.png"


def sha256(path: Path) -> str:
    """Hash a file's bytes.

    Args:
        path: an existing file.

    Returns:
        64 hexadecimal digits.
    """
    return hashlib.sha256(path.read_bytes()).hexdigest()


def prepare_folder(out: Path, overwrite: bool) -> None:
    """Make an empty output folder, or empty one of an earlier run; what no earlier run wrote is never touched.

    Args:
        out: the folder.
        overwrite: whether an earlier run's files may be removed.

    Raises:
        DataError: it is a file, or holds files and `overwrite` is off, or holds files that no earlier run wrote.
    """
    if out.exists() and not out.is_dir():
        raise DataError(out, "a folder or nothing", "a file")
    if out.exists() and any(out.iterdir()):
        if not overwrite:
            raise DataError(out, "an empty folder or none, unless overwriting is asked for", "files in it")
        if not (out / SAMPLES).is_file():
            raise DataError(out, f"a folder that an earlier run wrote, with {SAMPLES}", "other files")
        _remove_run(out)
    out.mkdir(parents=True, exist_ok=True)


def _remove_run(out: Path) -> None:
    own = [out / name for name in (SUMMARY, SPLIT, SHEET)] + list(_listed_files(out))
    for path in [*own, out / SAMPLES]:  # the list last: a removal that is cut short can be taken up again
        path.unlink(missing_ok=True)
    for folder in sorted({parent for path in own for parent in path.parents if out in parent.parents}, reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _listed_files(out: Path) -> Iterator[Path]:
    lines = (out / SAMPLES).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            names = list(json.loads(line)["files"].values())
            known = all(isinstance(name, str) for name in names)
        except (ValueError, KeyError, TypeError, AttributeError):
            if number == len(lines) > 1:
                continue  # a run that was cut short
            known, names = False, []
        if not known:
            raise DataError(out / SAMPLES, "the record of an earlier run", f"{line[:60]!r} in line {number}")
        for name in names:
            path = out / name
            if not path.resolve().is_relative_to(out.resolve()) or path.is_dir():
                raise DataError(out / SAMPLES, "files inside the folder", f"{name!r} in line {number}")
            yield path


def append_line(path: Path, record: dict[str, Any]) -> None:
    """Add one record to a file of JSON lines.

    Args:
        path: the file; made if it is not there.
        record: what JSON can hold.
    """
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file for people to read.

    Args:
        path: the file.
        content: what JSON can hold.
    """
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def plain(record: Any) -> Any:
    """Turn a named tuple of a batch of one into what JSON can hold.

    Args:
        record: a (nested) named tuple whose leaves have `tolist`, or None.

    Returns:
        Dicts of lists and numbers, without the batch axis.
    """
    if record is None:
        return None
    if hasattr(record, "_asdict"):
        return {name: plain(value) for name, value in record._asdict().items()}
    return record.tolist()[0]
