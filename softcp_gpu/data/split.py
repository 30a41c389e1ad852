"""The training part of a data set: whole patients, the same ones on every machine.

A synthetic case shows two patients, so a data set is split before anything is synthesized, from its training part.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from softcp_gpu.data.cases import Case
from softcp_gpu.data.errors import DataError

PARTS = ("train", "val", "test")


class Split(NamedTuple):
    """Three parts that share no patient, each in the order in which the cases were given."""

    train: list[Case]
    val: list[Case]
    test: list[Case]


def make_split(
    cases: Sequence[Case],
    fractions: Sequence[float] = (5, 1, 1),
    seed: int = 0,
    *,
    file: Path | str | None = None,
    own: bool = True,
) -> Split:
    """Divide cases into training, validation and test part: by a file, by the data set itself, or by chance.

    Args:
        cases: the cases of one data set. Where patients are not known, each case counts as a patient.
        fractions: the parts' shares of the cases, any positive scale; zero leaves a part empty. A part exceeds
            its share by less than one patient's cases, or is that one patient.
        seed: names one of the divisions by chance. It hashes the patients, so their order does not matter.
        file: a JSON file {"train": [...], "val": [...], "test": [...]} with ids or patients; cases that are not named
            in it are in no part.
        own: whether the data set's own split, if it has one, goes before chance.

    Returns:
        The parts.

    Raises:
        DataError: an unknown id, a patient in two parts, bad fractions, fewer patients than parts, or synthetic
            cases to divide by chance.

    Example:
        >>> cases = [Case(str(i), Path("a.png"), (), "pairs", Path()) for i in range(7)]
        >>> [len(part) for part in make_split(cases)]
        [5, 1, 1]
    """
    if file is not None:
        parts = _from_file(cases, Path(file))
    elif own and any(case.split for case in cases):
        parts = _own(cases)
    else:
        parts = _by_chance(cases, fractions, seed)
    _check_patients(cases, parts, Path(file) if file else _root(cases))
    return Split(*([case for case in cases if parts.get(case.id) == part] for part in PARTS))


def training_cases(
    cases: Sequence[Case],
    fractions: Sequence[float] = (5, 1, 1),
    seed: int = 0,
    *,
    file: Path | str | None = None,
    own: bool = True,
) -> list[Case]:
    """Return the training part of `make_split`.

    Args:
        cases, fractions, seed, file, own: as for `make_split`.

    Returns:
        At least one case.

    Raises:
        DataError: as for `make_split`, and when there is no case to train on.
    """
    split = make_split(cases, fractions, seed, file=file, own=own)
    if not split.train:
        counts = ", ".join(f"{len(part)} {name}" for name, part in zip(PARTS, split, strict=True))
        raise DataError(file or _root(cases), "a training part with cases", counts)
    return split.train


def _root(cases: Sequence[Case]) -> Path:
    return cases[0].root if cases else Path()


def _patient(case: Case) -> str:
    return case.id if case.patient is None else case.patient


def _own(cases: Sequence[Case]) -> dict[str, str]:
    parts = {case.id: case.split for case in cases if case.split is not None}
    if outside := [case.id for case in cases if case.id not in parts]:
        raise DataError(_root(cases), "every case in a part of the data set's split", f"{outside[0]} in none")
    return parts


def _by_chance(cases: Sequence[Case], fractions: Sequence[float], seed: int) -> dict[str, str]:
    """Walk through the patients in the order of their hashes; each goes to the part that misses most."""
    if synthetic := sum(case.synthetic for case in cases):
        raise DataError(_root(cases), "original cases, as a new one shows two patients", f"{synthetic} synthetic ones")
    sizes = Counter(_patient(case) for case in cases)
    missing = _targets(_root(cases), fractions, len(cases))
    if len(sizes) < len(missing):
        raise DataError(_root(cases), f"a patient or more for each of {', '.join(missing)}", f"{len(sizes)} patients")
    part_of: dict[str, str] = {}
    unused = list(missing)
    for patient in sorted(sizes, key=lambda name: _hash(seed, name)):
        part = unused.pop(0) if unused else max(missing, key=missing.__getitem__)
        part_of[patient] = part
        missing[part] -= sizes[patient]
    return {case.id: part_of[_patient(case)] for case in cases}


def _targets(root: Path, fractions: Sequence[float], count: int) -> dict[str, float]:
    """Return how many cases each part should have, for the parts that should have any."""
    usable = len(fractions) == len(PARTS) and all(math.isfinite(share) and share >= 0 for share in fractions)
    if not usable or fractions[0] <= 0:
        raise DataError(
            root, "three fractions (train, val, test), finite, not negative, the first above 0", str(fractions)
        )
    return {part: count * share / sum(fractions) for part, share in zip(PARTS, fractions, strict=True) if share > 0}


def _hash(seed: int, patient: str) -> str:
    return hashlib.sha256(f"{seed}:{patient}".encode(errors="surrogateescape")).hexdigest()


def _from_file(cases: Sequence[Case], file: Path) -> dict[str, str]:
    ids_of = defaultdict(set)
    for case in cases:
        ids_of[case.id].add(case.id)
        ids_of[_patient(case)].add(case.id)
    parts: dict[str, str] = {}
    for part, names in _parsed(file).items():
        for name in names:
            if name not in ids_of:
                raise DataError(file, "ids or patients of the data set", f"{name!r} in {part}")
            for case_id in ids_of[name]:
                if parts.setdefault(case_id, part) != part:
                    raise DataError(file, "parts that share nothing", f"{name!r} in {parts[case_id]} and {part}")
    return parts


def _parsed(file: Path) -> dict[str, list[str]]:
    expected = 'JSON of the form {"train": [...], "val": [...], "test": [...]} with ids or patients'
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(file, expected, f"{type(error).__name__}: {error}") from error
    if not isinstance(content, dict) or "train" not in content or not set(content) <= set(PARTS):
        found = f"the keys {', '.join(map(str, content))}" if isinstance(content, dict) else type(content).__name__
        raise DataError(file, expected, found)
    for part, names in content.items():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise DataError(file, expected, f"{part}: {names!r:.80}")
    return content


def _check_patients(cases: Sequence[Case], parts: Mapping[str, str], where: Path) -> None:
    seen: dict[str, str] = {}
    for case in cases:
        part = parts.get(case.id)
        if part and seen.setdefault(_patient(case), part) != part:
            raise DataError(where, "each patient in one part", f"{_patient(case)} in {seen[_patient(case)]} and {part}")
