"""A lesion bank on disk: a folder of lesions that were cut out once.

`bank.jsonl` holds a line for the version and one for each lesion: where it comes from, what it is, its file and the
file's hash. The files are compressed NumPy archives of two arrays, `image` (C, *size) and `labels` (1, *size). None of
them needs pickle.

Example:
    >>> from softcp_gpu.data.cut import build_bank
    >>> from softcp_gpu.modules.bank import LesionBank
    >>> build_bank(layout, training_cases(cases), "bank")  # doctest: +SKIP
    >>> bank = LesionBank(load_lesions("bank"), by="patient")  # doctest: +SKIP
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from softcp_gpu.checks import fail
from softcp_gpu.data.errors import DataError
from softcp_gpu.data.files import describe
from softcp_gpu.data.manifest import sha256
from softcp_gpu.data.plain_files import MOST_INDEX, check_plain, read_text
from softcp_gpu.types import LesionCrop

INDEX = "bank.jsonl"
VERSION = 1
_LESIONS = "lesions"
_MOST = 1 << 32  # bytes of a lesion
_OWN = re.compile(r"bank\.jsonl|lesions|lesions/[0-9]{6,}\.npz")
_NUMBERS = ("start_px", "size_px", "spacing_mm", "value_range", "dtype", "classes", "volume_px", "volume_mm3")
_KEYS = ("case", "patient", *_NUMBERS, "file", "sha256")


def save_bank(folder: Path | str, lesions: Iterable[LesionCrop], *, overwrite: bool = False) -> int:
    """Write lesions to a folder, which appears whole or not at all.

    Args:
        folder: where to.
        lesions: one or more, such as `cut_lesions` gives, or a `LesionBank`; taken one after the other.
        overwrite: whether a bank in its place may go. A folder that holds anything else is never touched.

    Returns:
        How many.

    Raises:
        DataError: there is something in the folder's place, it cannot be written, no lesion, or lesions that differ in
            channels, axes, or in whether spacing is known.
        ValueError: a lesion's fields do not fit each other.
    """
    with _new_folder(Path(folder), overwrite) as new:
        records: list[dict[str, Any]] = []
        kind = None
        for number, crop in enumerate(lesions):
            crop.check(f"lesions[{number}]")
            if crop.image.dtype == torch.bfloat16:
                fail(f"lesions[{number}]: image", "a type that NumPy has", "torch.bfloat16")
            kind = kind or crop.kind
            if crop.kind != kind:
                raise DataError(folder, f"{kind} as lesion 0 has", f"{crop.kind} in lesion {number}")
            file = f"{_LESIONS}/{number:06d}.npz"
            np.savez_compressed(new / file, image=_array(crop.image), labels=_array(crop.labels))
            records.append({"id": f"{number:06d}", **_facts(crop), "file": file, "sha256": sha256(new / file)})
        if not records:
            raise DataError(folder, "one lesion or more to keep", "none")
        head = {"lesion_bank": VERSION, "lesions": len(records)}
        lines = [json.dumps(line, allow_nan=False) + "\n" for line in (head, *records)]
        (new / INDEX).write_text("".join(lines), encoding="utf-8")
    return len(records)


def load_lesions(folder: Path | str) -> list[LesionCrop]:
    """Read the lesions of a bank, each checked against what `bank.jsonl` says.

    Args:
        folder: what `save_bank` wrote.

    Returns:
        The lesions in order, images in the types they had; `LesionBank` takes them.

    Raises:
        DataError: naming the file that is missing, has changed, or is not what it should be.
    """
    index = Path(folder) / INDEX
    try:
        lines = read_text(index, MOST_INDEX).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(index, "the index of a lesion bank", f"{type(error).__name__}: {error}") from error
    records = [_parsed(index, number, line) for number, line in enumerate(lines, 1)]
    head, count = (records or [{}])[0], len(records) - 1
    if head.get("lesion_bank") != VERSION:
        raise DataError(index, f"version {VERSION} of a lesion bank in line 1", repr("".join(lines[:1])[:60]))
    if head.get("lesions") != count:
        raise DataError(index, f"{head.get('lesions')} lesions, as line 1 says", str(count))
    return [_load(index, number, record) for number, record in enumerate(records[1:], 2)]


def _parsed(index: Path, number: int, line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise DataError(index, f"a JSON object in line {number}", repr(line[:60]))
    return record


def _load(index: Path, number: int, record: dict[str, Any]) -> LesionCrop:
    """A lesion, and the same as its record says."""
    if missing := {*_KEYS} - {*record}:
        raise DataError(index, f"{', '.join(sorted(missing))} in line {number}", f"{', '.join(record)}")
    path, content = _content(index, record["file"])
    if (found := hashlib.sha256(content).hexdigest()) != record["sha256"]:
        raise DataError(path, f"the content that {INDEX} knows, {record['sha256']}", f"another, {found}")
    try:
        _check_archive(content)
        with np.load(BytesIO(content), allow_pickle=False) as arrays:
            image, labels = (torch.from_numpy(arrays[name]) for name in ("image", "labels"))
        limits = torch.tensor(record["value_range"], dtype=torch.float64)
        spacing = record["spacing_mm"] and tuple(record["spacing_mm"])
        crop = LesionCrop(image, labels, limits, tuple(record["start_px"]), spacing, record["case"], record["patient"])
        crop.check(f"line {number} of {INDEX}")
    except Exception as error:  # a broken archive raises types of all kinds
        raise DataError(path, "a lesion's image and labels", f"{type(error).__name__}: {error}") from error
    for name, value in _facts(crop).items():
        if record[name] != value:
            raise DataError(path, f"{name} {record[name]}, as {INDEX} says", f"{value}")
    return crop


def _content(index: Path, name: Any) -> tuple[Path, bytes]:
    """A file of the bank, which a record must not look for elsewhere."""
    folder = index.parent
    try:
        if not isinstance(name, str) or "\0" in name or not (folder / name).resolve().is_relative_to(folder.resolve()):
            raise DataError(index, "files inside the bank's folder", f"{name!r:.60}")
        check_plain(folder / name)
        return folder / name, (folder / name).read_bytes()
    except (OSError, RuntimeError) as error:  # the second for links that go in a circle
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(folder / name, f"a file, as {INDEX} says", reason) from error


def _check_archive(content: bytes) -> None:
    """A few kilobytes of an archive can become any number when they are decompressed."""
    with zipfile.ZipFile(BytesIO(content)) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > _MOST:
        raise ValueError(f"{size} bytes when decompressed, more than {_MOST}")


def _facts(crop: LesionCrop) -> dict[str, Any]:
    """What a record says of a lesion: what its arrays do not hold, and what they are known by."""
    return {
        "case": crop.case,
        "patient": crop.patient,
        "start_px": [*crop.start_px],
        "size_px": [*crop.image.shape[1:]],
        "spacing_mm": crop.spacing_mm and [*crop.spacing_mm],
        "value_range": crop.value_range.tolist(),
        "dtype": str(crop.image.dtype).removeprefix("torch."),
        "classes": [*crop.classes],
        "volume_px": crop.volume_px,
        "volume_mm3": crop.volume_mm3,
    }


def _array(x: torch.Tensor) -> np.ndarray:
    return x.detach().cpu().contiguous().numpy()


@contextmanager
def _new_folder(folder: Path, overwrite: bool) -> Iterator[Path]:
    """A hidden folder beside it that takes its place when the block ends well."""
    _check_place(folder, overwrite)
    folder = folder.resolve()  # what a link points at
    new, old = (folder.with_name(f".{folder.name}.{os.getpid()}.{word}") for word in ("new", "old"))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        new.mkdir()  # raises if there is something, as a link
    except OSError as error:
        raise DataError(folder, "a folder that can be written", error.strerror or str(error)) from error
    try:
        (new / _LESIONS).mkdir()
        yield new
        _swap(folder, new, old)
    except OSError as error:
        raise DataError(folder, "a folder that can be written", error.strerror or str(error)) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _swap(folder: Path, new: Path, old: Path) -> None:
    """Puts `new` in the folder's place; what was there goes last, or comes back."""
    if folder.exists():
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _check_place(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise DataError(folder, "a folder or nothing", "a file")
    inside = [*folder.rglob("*")] if folder.exists() else []
    if inside and not overwrite:
        raise DataError(folder, "an empty folder or none, or overwrite=True to replace a bank", describe(folder))
    for path in inside:
        if not _OWN.fullmatch(path.relative_to(folder).as_posix()):
            raise DataError(folder, "a lesion bank and nothing else, to replace it", str(path))
