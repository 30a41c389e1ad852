"""The lists of a run: what they name, and how much of it is whole."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from softcp_gpu.data.errors import DataError
from softcp_gpu.data.manifest import INPUTS, RUN, SAMPLES, read_lines
from softcp_gpu.data.nnunet_names import safe_name


def whole(out: Path) -> tuple[int, int]:
    """Counts the samples at the start of the list whose line is whole, and whose files are there in full size.

    Args:
        out: the folder of a run.

    Returns:
        How many they are, and where in the list their lines end.

    Raises:
        DataError: it is not the list of a run.
    """
    count, end = 0, 0
    with (out / SAMPLES).open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            record = parsed(line)
            if not _is_record(record, out) or record.get("number") != count:
                found = f"{line[:60]!r} in line {count + 1}"
                raise DataError(out / SAMPLES, "the record of a run, numbered from 0", found)
            if not _is_whole(record, out):
                break
            count, end = count + 1, end + len(line)
    return count, end


def parsed(line: bytes) -> Any:
    """What a line holds, or None if it is no JSON; names need not be UTF-8."""
    try:
        return json.loads(line.decode("utf-8", "surrogateescape"))
    except (RecursionError, ValueError):
        return None


def _is_whole(record: dict[str, Any], out: Path) -> bool:
    sizes = record.get("bytes", {})
    try:
        return all((out / file).stat().st_size == sizes[kind] for kind, file in record["files"].items())
    except (OSError, KeyError):
        return False


def records(out: Path, name: str) -> tuple[list[Path], int]:
    """Reads a list of an earlier run, as far as its lines are whole.

    Args:
        out: the folder of the run.
        name: of the list; it need not be there.

    Returns:
        The files that it names, and how many whole lines it has.

    Raises:
        DataError: it is not the list of a run.
    """
    if not (out / name).exists():
        return [], 0
    files: list[Path] = []
    lines = (out / name).read_bytes().split(b"\n")  # after the last whole line: nothing, or what was being written
    whole = lines[:-1]
    if not whole and lines[-1] and not (out / RUN).is_file():
        raise DataError(out / name, "the record of an earlier run", f"{lines[-1][:60]!r} in line 1")
    for number, line in enumerate(whole, 1):
        record = parsed(line)
        if not _is_record(record, out):
            raise DataError(out / name, "the record of an earlier run", f"{line[:60]!r} in line {number}")
        files += [out / file for file in record["files"].values()]
    return files, len(whole)


def real_cases(out: Path) -> list[Path]:
    """Finds the files of real cases that a run for nnU-Net has written, whether they are listed or not.

    Args:
        out: the folder of a run.

    Returns:
        Files in `imagesTr` and `labelsTr` that bear the names of its inputs.
    """
    facts = parsed((out / RUN).read_bytes()) if (out / RUN).is_file() else None
    if not facts or facts.get("arguments", {}).get("format") != "nnunet" or not (out / INPUTS).is_file():
        return []
    names = {safe_name(line["id"]) for line in read_lines(out / INPUTS)}
    paths = [*out.glob("imagesTr/*"), *out.glob("labelsTr/*")]
    return [path for path in paths if re.sub(r"(_[0-9]{4})?(\.[a-z]+)+$", "", path.name) in names]


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
