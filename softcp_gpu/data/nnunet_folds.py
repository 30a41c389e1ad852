"""Folds of a cross-validation in which no synthetic case shows a patient that is validated on."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

from softcp_gpu.checks import fail


def make_folds(
    patients: Mapping[str, str], parents: Mapping[str, Sequence[str]], folds: int = 5, seed: int = 0
) -> list[dict[str, list[str]]]:
    """Divide cases into the folds of a cross-validation, whole patients at a time.

    Each patient is validated on in one fold. A synthetic case is trained on in the folds in which all its parents are,
    which may be none (two folds, and a parent in each), and is validated on in none.

    Args:
        patients: the patient of each real case. Fewer patients than folds make fewer folds.
        parents: the patients that each synthetic case shows, one or more of those above.
        folds: 2 or more. Their sizes differ by at most one patient's cases.
        seed: names one of the divisions. It hashes the patients, so the order of the cases does not matter.

    Returns:
        {"train": ids, "val": ids} for each fold, sorted: what `splits_final.json` holds.

    Raises:
        ValueError: fewer than two folds or patients, or a parent that is no patient.

    Example:
        >>> make_folds({"a1": "a", "a2": "a", "b1": "b"}, {"new": ["a"]}, folds=2)
        [{'train': ['b1'], 'val': ['a1', 'a2']}, {'train': ['a1', 'a2', 'new'], 'val': ['b1']}]
    """
    known = set(patients.values())
    if not isinstance(folds, int) or folds < 2:
        fail("folds", "2 or more", repr(folds))
    if len(known) < 2:
        fail("patients", "2 or more, one to train on and one to validate on", str(len(known)))
    for new_id, names in parents.items():
        if not names or not known.issuperset(names):
            fail("parents", "patients of the real cases", f"{list(names)} for {new_id}")
    return [
        {
            "train": sorted(
                [case for case, patient in patients.items() if patient not in held_out]
                + [new_id for new_id, names in parents.items() if held_out.isdisjoint(names)]
            ),
            "val": sorted(case for case, patient in patients.items() if patient in held_out),
        }
        for held_out in _deal(patients, min(folds, len(known)), seed)
    ]


def _deal(patients: Mapping[str, str], count: int, seed: int) -> list[set[str]]:
    """Deal patients in the order of their hashes, each to the part that has the fewest cases so far."""
    sizes = Counter(patients.values())
    dealt: list[set[str]] = [set() for _ in range(count)]
    filled = [0] * count
    for patient in sorted(sizes, key=lambda name: _hash(seed, name)):
        part = filled.index(min(filled))
        dealt[part].add(patient)
        filled[part] += sizes[patient]
    return dealt


def _hash(seed: int, patient: str) -> str:
    return hashlib.sha256(f"{seed}:{patient}".encode(errors="surrogateescape")).hexdigest()
