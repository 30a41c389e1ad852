"""What a set holds, counted line by line: of a record nothing is kept but what it adds to a sum."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

PER_DECADE = 1000  # bins of lesion sizes between 1 and 10, each 0.2 % wide
CELLS = 16  # of a frame along each axis, for the places of lesions
TRAIN = "train"


@dataclass
class Lesions:
    """Lesions by class, size and place, in a memory that their number does not change."""

    count: int = 0
    classes: Counter[int] = field(default_factory=Counter)
    sizes_px: Counter[int] = field(default_factory=Counter)  # by `size_bin`
    sizes_mm: Counter[int] = field(default_factory=Counter)
    cells: Counter[tuple[int, ...]] = field(default_factory=Counter)  # of the frame, in which the centres lie

    def add(self, lesion: dict[str, Any]) -> None:
        """Count one lesion of a record."""
        self.count += 1
        self.classes.update(lesion["classes"])
        self.sizes_px[size_bin(lesion["pixels"])] += 1
        if lesion["mm"] is not None:
            self.sizes_mm[size_bin(lesion["mm"])] += 1
        self.cells[tuple(min(int(share * CELLS), CELLS - 1) for share in lesion["center"])] += 1

    def __add__(self, other: Lesions) -> Lesions:
        sums = (getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__)
        return Lesions(*sums)

    def map(self, down: int, right: int) -> np.ndarray:
        """(CELLS, CELLS): the share of the lesions that lies in each cell, seen along the other axes."""
        seen = np.zeros((CELLS, CELLS))
        for cell, count in self.cells.items():
            seen[cell[down], cell[right]] += count / self.count
        return seen

    def middle(self, axis: int) -> float:
        """Where the centres lie along an axis on average, in [0, 1]."""
        return sum((cell[axis] + 0.5) / CELLS * count for cell, count in self.cells.items()) / self.count


@dataclass
class Images:
    """Images or volumes by what their labels show."""

    count: int = 0
    pixels: Counter[int] = field(default_factory=Counter)  # by class id
    shown_in: Counter[int] = field(default_factory=Counter)  # images with at least one pixel of the class
    lesions: Lesions = field(default_factory=Lesions)

    def add(self, label_pixels: dict[str, int], lesions: list[dict[str, Any]]) -> None:
        """Count one image."""
        there = {int(label): count for label, count in label_pixels.items() if count}
        self.count += 1
        self.pixels.update(there)
        self.shown_in.update(there.keys())
        for lesion in lesions:
            self.lesions.add(lesion)

    def __add__(self, other: Images) -> Images:
        sums = (getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__)
        return Images(*sums)


class Usage(NamedTuple):
    """How often cases or patients took part."""

    able: int | None  # None: not known, as of the lesions of a bank
    used: int
    median: float  # of all that could be used; of those that were, where the others are not known
    most: int
    which: str | None  # was used most; the first of them in the order of names

    @property
    def never(self) -> int | None:
        """How many could be used and were not."""
        return None if self.able is None else self.able - self.used


@dataclass
class Part:
    """One part of the split."""

    cases: int = 0
    patients: set[str] = field(default_factory=set)
    unknown: int = 0  # cases without a patient


@dataclass
class Tally:
    """The sums over `inputs.jsonl`, which is read first, and `samples.jsonl`."""

    parts: dict[str, Part] = field(default_factory=lambda: defaultdict(Part))
    part_of: dict[str, str] = field(default_factory=dict)  # by case id
    patient_of: dict[str, str | None] = field(default_factory=dict)  # of training cases
    able: dict[str, set[str]] = field(default_factory=lambda: {"background": set(), "source": set()})
    uses: dict[str, Counter[str]] = field(default_factory=lambda: {"background": Counter(), "source": Counter()})
    bank_patients: Counter[str] = field(default_factory=Counter)
    from_bank: bool = False
    axes: int = 2
    with_hash: int = 0  # cases whose pixels could be compared
    real: Images = field(default_factory=Images)
    synthetic: Images = field(default_factory=Images)
    samples: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    tries: Counter[str] = field(default_factory=Counter)
    first: str | None = None  # the first sample that was pasted
    leaks: list[str] = field(default_factory=list)  # some samples with a parent that is held out
    leaking: int = 0

    def add_case(self, record: dict[str, Any]) -> None:
        """Count a real case."""
        name, patient, part = record["id"], record["patient"], self.parts[record["part"]]
        part.cases += 1
        part.unknown += patient is None
        part.patients |= {patient} - {None}
        self.part_of[name] = record["part"]
        self.with_hash += record.get("phash") is not None
        if record["part"] == TRAIN:
            self.patient_of[name] = patient
        if "label_pixels" in record:  # a training case that could be read
            self.axes = len(record["shape"])
            self.real.add(record["label_pixels"], record["lesions"])
            for role, names in self.able.items():
                names |= {name} if record[role] else set()

    def add_sample(self, record: dict[str, Any]) -> None:
        """Count a synthetic sample."""
        self.samples += 1
        self.statuses[record["status"]] += 1
        self.tries.update(attempt["status"] for attempt in record["tries"])
        if record["status"] != "pasted":
            return
        self.first = self.first or record["id"]
        lesion = record["lesion"]  # null: a crop of the whole image left nothing but its rim
        self.synthetic.add(record["label_pixels"], [] if lesion is None else [lesion])
        for role, counts in self.uses.items():
            counts[record[role]["id"]] += 1
        if "bank_row" in record["source"]:
            self.from_bank = True
            self.bank_patients[record["source"]["patient"] or record["source"]["id"]] += 1
        if any(self._held_out(record[role]) for role in self.uses):
            self.leaking += 1
            self.leaks += [record["id"]] if len(self.leaks) < 5 else []

    def _held_out(self, parent: dict[str, Any]) -> bool:
        """Whether a parent is a case, or shows a patient, that is not trained on; a bank may be of other people."""
        others = (part.patients for name, part in self.parts.items() if name != TRAIN)
        return self.part_of.get(parent["id"], TRAIN) != TRAIN or any(parent["patient"] in group for group in others)

    def shared_patients(self) -> list[str]:
        """Patients who are trained on and held out."""
        held_out = set().union(*(part.patients for name, part in self.parts.items() if name != TRAIN))
        return sorted(self.parts[TRAIN].patients & held_out)

    def usage(self, role: str, by_patient: bool) -> Usage:
        """How often cases, or patients, were backgrounds or sources; a case of no known patient is a patient."""
        counts, able = self.uses[role], self.able[role]
        if self.from_bank and role == "source":
            return _usage(self.bank_patients if by_patient else counts, None)
        if by_patient:
            summed: Counter[str] = Counter()
            for name, count in counts.items():
                summed[self._patient(name)] += count
            counts, able = summed, {self._patient(name) for name in able}
        return _usage(counts, able)

    def _patient(self, name: str) -> str:
        return self.patient_of.get(name) or name


def _usage(counts: Counter[str], able: set[str] | None) -> Usage:
    everyone = counts.keys() if able is None else able | counts.keys()
    most = max(counts.values(), default=0)
    which = min((name for name, count in counts.items() if count == most), default=None)
    median = statistics.median([counts[name] for name in everyone] or [0])
    return Usage(None if able is None else len(everyone), len(counts), median, most, which)


def size_bin(size: float) -> int:
    """The bin of a size on a log scale.

    Example:
        >>> size_bin(1), size_bin(10), size_bin(0.1)
        (0, 1000, -1000)
    """
    return math.floor(math.log10(size) * PER_DECADE + 1e-9)


def quantile(sizes: Counter[int], share: float) -> float:
    """The size that this share of the lesions does not exceed, to about 0.1 %.

    Example:
        >>> round(quantile(Counter(map(size_bin, [1, 90, 100, 110, 5000])), 0.5))
        100
    """
    passed = 0
    for step in sorted(sizes):
        passed += sizes[step]
        if passed >= share * sizes.total():
            break
    return 10 ** ((step + 0.5) / PER_DECADE)
