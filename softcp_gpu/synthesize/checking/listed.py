"""The files of a run against its lists: each that is named is there and whole, and no other image or mask is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from softcp_gpu.data import Problem, manifest
from softcp_gpu.data.files import VOLUME_SUFFIXES, suffix
from softcp_gpu.data.io import SUFFIXES

_PICTURES = (*SUFFIXES, *VOLUME_SUFFIXES, ".raw", ".zraw", ".dcm")


def problem(path: Path | str, expected: str, found: str, at: str = "") -> Problem:
    """What is wrong with a file, in a sentence; `at` says where in it."""
    return Problem(Path(path), f"{f'{at}: ' if at else ''}expected {expected}, found {found}")


def file_problems(out: Path, record: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with the files of a sample, whose record has the fields that it should have."""
    files, sizes, hashes = record["files"], record.get("bytes", {}), record.get("sha256", {})
    if not files.keys() == sizes.keys() == hashes.keys():
        found = f"{', '.join(files)}; {', '.join(sizes)}; {', '.join(hashes)}"
        yield problem(out / manifest.SAMPLES, "the same kinds in files, bytes and sha256", found, record["id"])
        return
    for kind, name in files.items():
        path = out / name
        try:
            if not path.resolve().is_relative_to(out.resolve()):
                yield problem(path, "a file inside the run's folder", "a link out of it")
            elif (size := path.stat().st_size) != sizes[kind]:
                yield problem(path, f"{sizes[kind]} bytes", str(size))
            elif (found := manifest.sha256(path)) != hashes[kind]:
                yield problem(path, f"the SHA-256 {hashes[kind]}", found)
        except OSError as error:
            yield problem(path, f"the {kind} of {record['id']}", str(error.strerror))


def other_files(out: Path) -> Iterator[tuple[str, bool]]:
    """The files of a run that belong to no sample, and whether each must be there.

    Raises:
        DataError: their list is not what it should be.
    """
    if (out / manifest.OTHER).is_file():
        for line in manifest.read_lines(out / manifest.OTHER):
            yield from ((str(name), "case" in line) for name in dict(line.get("files", {})).values())


def unlisted(out: Path, listed: Set[str]) -> Iterator[Problem]:
    """Images, volumes and masks that no list names: who trains on the folder would train on them."""
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if suffix(path) in _PICTURES and name not in listed and name != manifest.SHEET and not path.is_dir():
            yield problem(path, "only images and masks that the run lists", "another one")
