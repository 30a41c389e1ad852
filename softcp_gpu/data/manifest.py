"""The record of a synthetic set: one JSON line per sample, and a folder that knows which files are its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from softcp_gpu.data.errors import DataError

SAMPLES = "samples.jsonl"
OTHER = "other_files.jsonl"
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
        DataError: as `check_folder`, or it cannot be made.
    """
    if check_folder(out, overwrite):
        _remove_run(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(out, "a place that can be written", error.strerror or str(error)) from error


def check_folder(out: Path, overwrite: bool) -> bool:
    """Whether an earlier run is in the way, and may be removed.

    Args:
        out: the folder.
        overwrite: whether an earlier run's files may be removed.

    Raises:
        DataError: a file or a dead link is in its place, or it holds files and `overwrite` is off, or it holds files
            and no earlier run.
    """
    above = next(path for path in (out, *out.parents) if path.exists() or path.is_symlink())
    if not above.is_dir():
        raise DataError(out, "a folder or nothing", "a file" if above.exists() else f"{above}, a link to nothing")
    if above != out or not any(out.iterdir()):
        return False
    if not overwrite:
        raise DataError(out, "an empty folder or none, or --overwrite to replace an earlier run", "files in it")
    if not (out / SAMPLES).is_file():
        raise DataError(out, f"a folder that an earlier run wrote, with {SAMPLES}", "other files")
    _records(out, SAMPLES)
    _records(out, OTHER)
    return True


def _remove_run(out: Path) -> None:
    listed, samples = _records(out, SAMPLES)
    own = [out / name for name in (SUMMARY, SPLIT, SHEET, OTHER)] + listed + _records(out, OTHER)[0]
    if not (out / SUMMARY).exists():  # cut short: a sample's files are written before its line
        cut = f"synth_{samples:06d}"
        own += [path for path in out.rglob("*") if cut in str(path.relative_to(out)) and not path.is_dir()]
    for path in [*own, out / SAMPLES]:  # the list last: a removal that is cut short can be taken up again
        path.unlink(missing_ok=True)
    for folder in sorted({parent for path in own for parent in path.parents if out in parent.parents}, reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _records(out: Path, name: str) -> tuple[list[Path], int]:
    """The files that a list of an earlier run names, and how many whole lines it has."""
    if not (out / name).exists():
        return [], 0
    files: list[Path] = []
    lines = (out / name).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    for number, line in enumerate(lines):
        try:
            record = json.loads(line)
        except ValueError:
            if number == len(lines) - 1 > 0:
                return files, number  # the line that was being written
            record = None
        if not _is_record(record, out):
            raise DataError(out / name, "the record of an earlier run", f"{line[:60]!r} in line {number + 1}")
        files += [out / file for file in record["files"].values()]
    return files, len(lines)


def _is_record(record: Any, out: Path) -> bool:
    """Whether a run wrote this: the files lie inside the folder and bear the sample's name, or their folder does."""
    if not isinstance(record, dict) or not isinstance(record.get("files"), dict):
        return False
    for name in record["files"].values():
        if not isinstance(name, str) or "\0" in name or not any(str(record.get("id")) in x for x in Path(name).parts):
            return False
        path = out / name
        if not path.resolve().is_relative_to(out.resolve()) or path.is_dir():
            return False
    return True


def append_other(out: Path, paths: Sequence[Path]) -> None:
    """List files of a run that belong to none of its samples, so that they can be removed with it.

    Args:
        out: the run's folder.
        paths: files in it.
    """
    for path in paths:
        append_line(out / OTHER, {"id": path.name, "files": {"file": path.relative_to(out).as_posix()}})


def append_line(path: Path, record: dict[str, Any]) -> None:
    """Add one record to a file of JSON lines.

    Args:
        path: the file; made if it is not there.
        record: what JSON can hold.
    """
    # A name that is not UTF-8 is written as JSON's own escape.
    with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file for people to read.

    Args:
        path: the file.
        content: what JSON can hold.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8", errors="backslashreplace")


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
