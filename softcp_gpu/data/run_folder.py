"""The folder of a run: new, one that an earlier run may be removed from, or one that a run goes on in."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

from softcp_gpu.data.errors import DataError
from softcp_gpu.data.manifest import INPUTS, OTHER, REPORT, RUN, SAMPLES, SHEET, SPLIT, SUMMARY
from softcp_gpu.data.new_case import check_no_links
from softcp_gpu.data.run_list import parsed, real_cases, records, whole

_OWN = (RUN, INPUTS, SUMMARY, SPLIT, SHEET, REPORT, OTHER)
_FIRST = (RUN, INPUTS, SPLIT)  # are written before the list of samples
_LOCK = ".softcp.lock"
_NUMBER = re.compile(r"synth_([0-9]{6,})")
_TEMPORARY = re.compile(r"\..+\.[0-9]+(-[0-9]+)?\.[A-Za-z]+")  # as `io.replacing` names files
_FOLDER = re.compile(r"\.[a-z0-9_]{8}")  # as `tempfile` names folders, for a volume before it is packed


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keeps a second run out of a folder; a run that is killed lets go of it.

    Args:
        out: an existing folder.

    Raises:
        DataError: another run is writing to it, it cannot be written, or there are links in it.
    """
    from filelock import FileLock, Timeout  # comes with torch

    if not out.is_dir():  # the lock would make it
        raise DataError(out, "a folder", "none")
    check_no_links(out)
    lock = FileLock(out / _LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise DataError(out, "a folder that no other run is writing to", "one that is") from error
    except OSError as error:
        raise DataError(out, "a folder that can be written", error.strerror or str(error)) from error
    try:
        yield
    finally:
        with suppress(OSError):  # a folder that has become read-only
            (out / _LOCK).unlink()
        lock.release()


def prepare_folder(out: Path, overwrite: bool) -> None:
    """Make an empty output folder, or empty one of an earlier run; what no earlier run wrote is never touched.

    Args:
        out: the folder.
        overwrite: whether an earlier run's files may be removed.

    Raises:
        DataError: as `check_folder`, or it cannot be made.
    """
    if check_folder(out, overwrite):
        with _writable(out, "a folder that can be written"):
            _remove_run(out)
    elif out.is_dir():
        remove_temporary(out)
    make_folder(out)


def make_folder(out: Path) -> None:
    """Make a folder and those around it.

    Raises:
        DataError: it cannot be made.
    """
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
    if above != out or _is_bare(out):
        return False
    if not overwrite:
        raise DataError(
            out,
            "an empty folder or none, or --overwrite to replace an earlier run, or --resume to go on with it",
            "files in it",
        )
    if not (out / SAMPLES).is_file():
        raise DataError(out, f"a folder that an earlier run wrote, with {SAMPLES}", "other files")
    records(out, SAMPLES)
    records(out, OTHER)
    return True


def _is_bare(out: Path) -> bool:
    """Whether there is nothing in a folder but what a run leaves that was cut short before its list was there."""
    known = {out / name for name in (*_FIRST, _LOCK)}
    if not all(path in known or _is_temporary(path) or _is_folder(path) for path in out.rglob("*")):
        return False
    facts = parsed((out / RUN).read_bytes()) if (out / RUN).is_file() else None
    ours = isinstance(facts, dict) and "softcp_gpu" in facts
    return ours or not any((out / name).exists() for name in _FIRST)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _is_temporary(path: Path) -> bool:
    """Whether this is what a process that was killed was writing, or an empty folder for it."""
    if _is_folder(path):
        return bool(_FOLDER.fullmatch(path.name)) and not any(path.iterdir())
    return bool(_TEMPORARY.fullmatch(path.name) or (path.stem == "volume" and _FOLDER.fullmatch(path.parent.name)))


@contextmanager
def _writable(out: Path, expected: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(out, expected, error.strerror or str(error)) from error


def check_room(out: Path, size: int) -> None:
    """Check that a folder takes a file of a size; after a failed write this tells a full disk from a bad sample.

    Args:
        out: an existing folder.
        size: in bytes.

    Raises:
        DataError: it does not.
    """
    with _writable(out, f"room for {size} bytes"), TemporaryFile(dir=out) as file:
        block = bytes(1 << 20)
        for done in range(0, size, len(block)):
            file.write(block[: size - done])


def remove_temporary(out: Path) -> None:
    """Remove what processes that were killed were writing; none may be writing now.

    Raises:
        DataError: it cannot be removed.
    """
    with _writable(out, "a folder that can be written"):
        _remove([path for path in out.rglob("*") if _is_temporary(path)], out)


def resume_folder(out: Path, most: int | None = None) -> int:
    """Cut an earlier run back to what is whole of it, so that it can go on from there.

    A sample is whole if its line is, and its files are there in full size; those after the first that is not are made
    again. What was being written is removed.

    Args:
        out: its folder.
        most: how many samples there may be.

    Returns:
        How many samples are whole: the number of the next one.

    Raises:
        DataError: there is no run to go on with, or what is there was not written by one, or there are more samples,
            or the folder cannot be written. Nothing has been changed then.
    """
    if not (out / RUN).is_file():
        raise DataError(out, f"a run to go on with, {RUN} and {SAMPLES}", "none")
    if not (out / SAMPLES).is_file():
        raise DataError(out, "a run to go on with", f"one that had not begun, without {SAMPLES}: start it anew")
    count, end = whole(out)
    if most is not None and count > most:
        raise DataError(out, f"a count of {count} or more, as many as there are", str(most))
    with _writable(out, "a folder that can be written"):
        os.truncate(out / SAMPLES, end)
        if (out / OTHER).is_file():  # of this list only the line that was being written can be wrong
            os.truncate(out / OTHER, (out / OTHER).read_bytes().rfind(b"\n") + 1)
        _remove([*_unlisted(out, count), out / SUMMARY, out / SHEET, out / REPORT], out)
    return count


def _unlisted(out: Path, count: int) -> list[Path]:
    """What a run that was cut short wrote of samples that are not in its list, and what it was writing."""
    found = []
    for path in out.rglob("*"):
        numbers = [int(number) for number in _NUMBER.findall(path.relative_to(out).as_posix())]
        if (numbers and max(numbers) >= count) or _is_temporary(path):
            found.append(path)
    return found


def _remove_run(out: Path) -> None:
    own, samples = records(out, SAMPLES)
    own += records(out, OTHER)[0]
    if not (out / SUMMARY).exists():  # cut short: files are written before they are listed
        own += [*_unlisted(out, samples), *real_cases(out)]
    last = (*_OWN, SAMPLES)  # by which the rest is known: a removal that is cut short can be taken up again
    _remove([*own, *(out / name for name in last)], out)


def _remove(paths: Sequence[Path], out: Path) -> None:
    """Removes files, and folders that are empty without them."""
    for path in paths:
        if not _is_folder(path):
            path.unlink(missing_ok=True)
    above = {parent for path in paths for parent in (path, *path.parents) if out in parent.parents}
    for folder in sorted(above, reverse=True):
        if _is_folder(folder) and not any(folder.iterdir()):
            folder.rmdir()
