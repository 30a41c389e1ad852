"""The training part of a data set: whole patients, the same ones on every machine.

A synthetic case shows two patients, so a data set is split before anything is synthesized, from its training part.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from softcp_gpu.data.cases import Case
from softcp_gpu.data.errors import DataError
from softcp_gpu.data.nnunet_names import safe_name

PARTS = ("train", "val", "test")

_FORM = 'JSON of the form {"train": [...], "val": [...], "test": [...]} with ids or patients, or a list of such folds'


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
    fold: int | None = None,
) -> Split:
    """Divide cases into training, validation and test part: by a file, by the data set itself, or by chance.

    Args:
        cases: the cases of one data set. Where patients are not known, each case counts as a patient.
        fractions: the parts' shares of the cases, any positive scale; zero leaves a part empty. A part exceeds
            its share by less than one patient's cases, or is that one patient.
        seed: names one of the divisions by chance. It hashes the patients, so their order does not matter.
        file: a JSON file {"train": [...], "val": [...], "test": [...]} with ids or patients, or nnU-Net's
            `splits_final.json`, a list of folds {"train": [...], "val": [...]} with ids as they are or as
            `NnunetWriter` renames them. Cases that are not named in it are in no part; synthetic cases that are named
            in a fold and are none of the cases given are left out.
        own: whether the data set's own split, if it has one, goes before chance.
        fold: which fold of such a list, from 0; None means the first. Where there are no folds, None or 0.

    Returns:
        The parts.

    Raises:
        DataError: an unknown id, a patient in two parts, a fold that there is not, bad fractions, fewer patients than
            parts, or synthetic cases to divide by chance.

    Example:
        >>> cases = [Case(str(i), Path("a.png"), (), "pairs", Path()) for i in range(7)]
        >>> [len(part) for part in make_split(cases)]
        [5, 1, 1]
    """
    if file is not None:
        parts = _from_file(cases, Path(file), fold)
    elif fold:
        raise DataError(_root(cases), "a file with folds to choose one", f"fold {fold} and no file")
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
    fold: int | None = None,
) -> list[Case]:
    """Return the training part of `make_split`.

    Args:
        cases, fractions, seed, file, own, fold: as for `make_split`.

    Returns:
        At least one case.

    Raises:
        DataError: as for `make_split`, and when there is no case to train on.
    """
    split = make_split(cases, fractions, seed, file=file, own=own, fold=fold)
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


def _from_file(cases: Sequence[Case], file: Path, fold: int | None) -> dict[str, str]:
    content = _read(file)
    in_folds = isinstance(content, list)
    ids_of = _renamed(cases) if in_folds else _ids_and_patients(cases)
    parts: dict[str, str] = {}
    for part, names in _parts(file, _choose(file, content, fold)).items():
        for name in names:
            ids = ids_of.get(name, set())
            if in_folds and not ids and cases and replace(cases[0], id=name).synthetic:
                continue
            if not ids:
                expected = "ids of the data set" if in_folds else "ids or patients of the data set"
                raise DataError(file, expected, f"{name!r} in {part}")
            if in_folds and len(ids) > 1:
                raise DataError(file, "names of one case each", f"{name!r} for {' and '.join(map(repr, sorted(ids)))}")
            for case_id in ids:
                if parts.setdefault(case_id, part) != part:
                    raise DataError(file, "parts that share nothing", f"{name!r} in {parts[case_id]} and {part}")
    return parts


def _ids_and_patients(cases: Sequence[Case]) -> dict[str, set[str]]:
    ids_of = defaultdict(set)
    for case in cases:
        ids_of[case.id].add(case.id)
        ids_of[_patient(case)].add(case.id)
    return ids_of


def _renamed(cases: Sequence[Case]) -> dict[str, set[str]]:
    """Return the ids by their names in a data set of nnU-Net; an id that is itself such a name means no other case."""
    ids_of = defaultdict(set)
    for case in cases:
        ids_of[safe_name(case.id)].add(case.id)
    return ids_of | {case.id: {case.id} for case in cases}


def _choose(file: Path, content: Any, fold: int | None) -> Any:
    """Return what the file says about the parts: a fold of its list, or all of it."""
    if isinstance(content, list) and content:
        if fold is not None and not 0 <= fold < len(content):
            raise DataError(file, f"a fold from 0 to {len(content) - 1}, as it has {len(content)}", f"fold {fold}")
        return content[fold or 0]
    if fold:
        raise DataError(file, "a list of folds to choose one", f"fold {fold} and no such list")
    return content


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, RecursionError, ValueError) as error:
        raise DataError(file, _FORM, f"{type(error).__name__}: {error}") from error


def _parts(file: Path, content: Any) -> dict[str, list[str]]:
    if not isinstance(content, dict) or "train" not in content or not set(content) <= set(PARTS):
        found = f"the keys {', '.join(map(str, content))}" if isinstance(content, dict) else type(content).__name__
        raise DataError(file, _FORM, found)
    for part, names in content.items():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise DataError(file, _FORM, f"{part}: {names!r:.80}")
    return content


def _check_patients(cases: Sequence[Case], parts: Mapping[str, str], where: Path) -> None:
    seen: dict[str, str] = {}
    for case in cases:
        part = parts.get(case.id)
        if part and seen.setdefault(_patient(case), part) != part:
            raise DataError(where, "each patient in one part", f"{_patient(case)} in {seen[_patient(case)]} and {part}")
