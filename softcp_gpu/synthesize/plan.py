"""What is made from what: which cases may be used, how many samples, and which two cases make each of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from softcp_gpu.data import Case, DataError, Layout, Problem, Split, make_split
from softcp_gpu.sampling import sample_seeds


def sample_count(real: int, ratio: str, count: int | None) -> int:
    """How many samples to make: `count`, or as the ratio real : synthetic says, at least one.

    Example:
        >>> sample_count(471, "3:1", None)
        157
    """
    if count is not None and count < 1:
        raise ValueError(f"count: expected 1 or more, found {count}")
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?):(\d{1,9}(?:\.\d{1,9})?)", ratio)
    if not match or not all(float(share) > 0 for share in match.groups()):
        raise ValueError(f"ratio: expected REAL:SYNTHETIC such as 3:1, found {ratio!r}")
    return max(1, round(real * float(match[2]) / float(match[1]))) if count is None else count


def split_cases(cases: Sequence[Case], split: str, seed: int) -> tuple[Split, str]:
    """The parts of a data set, and in words how it was divided; see `synthesize` for `split`."""
    shares = re.fullmatch(r"(\d+):(\d+):(\d+)", split)
    if shares:
        if int(shares[1]) == 0:
            raise ValueError(f"split: expected shares with a training part, found {split!r}")
        return make_split(cases, [float(share) for share in shares.groups()], seed, own=False), f"by chance, {split}"
    if split == "all" or (split == "auto" and not any(case.split for case in cases)):
        return Split(list(cases), [], []), "none: every case was used"
    if split == "auto":
        return make_split(cases), "the data set's own"
    if not Path(split).is_file():
        raise ValueError(f"split: expected 'auto', 'all', shares such as 5:1:1, or a JSON file, found {split!r}")
    return make_split(cases, file=split), f"the file {Path(split).name}"


def sort_out(layout: Layout, cases: Sequence[Case]) -> tuple[list[Case], list[Case], list[Problem]]:
    """Reads every mask: the cases that can be used, those of them that show a lesion, and what is wrong with the rest.

    Where the layout has regions, a case without one is no use as a background and is left out of the first list.
    """
    usable, sources, problems = [], [], []
    for case in cases:
        try:
            lesion, region = layout.read_labels(case)
        except DataError as error:
            problems.append(Problem(Path(error.args[0]), str(error)))
            continue
        if region is None or region.any():
            usable.append(case)
        if lesion.any():
            sources.append(case)
    return usable, sources, problems


class Selection(NamedTuple):
    """What may be used of a data set."""

    held_out: list[Case]  # all that is not trained on
    parts: Split
    how: str  # it was divided, in words
    train: list[Case]
    readable: list[Case]  # of these
    backgrounds: list[Case]
    sources: list[Case]
    problems: list[Problem]


def select_cases(layout: Layout, data: Path, split: str, seed: int) -> Selection:
    """Lists a data set, divides it, and looks at the headers and masks of its training part."""
    cases, problems = real_cases(layout, data)
    parts, how = split_cases(cases, split, seed)
    train, broken = layout.check_headers(parts.train)
    backgrounds, sources, unreadable = sort_out(layout, train)
    bad = {problem.path for problem in unreadable}
    readable = [case for case in train if bad.isdisjoint(case.masks)]
    problems = [*problems, *broken, *unreadable, *layout.absent_labels(train)]
    held_out = [case for case in cases if case not in parts.train]
    return Selection(held_out, parts, how, train, readable, backgrounds, sources, problems)


def real_cases(layout: Layout, data: Path) -> tuple[list[Case], list[Problem]]:
    """The cases of a data set that show one patient, and what is wrong with the others."""
    cases, problems = layout.cases(data)
    synthetic = [case for case in cases if case.synthetic]
    if synthetic and len(synthetic) == len(cases):
        expected = "original cases, as a synthetic one shows two patients"
        raise DataError(data, expected, f"{len(synthetic)} synthetic ones")
    reason = "a synthetic case shows two patients: expected real ones"
    return [case for case in cases if not case.synthetic], [*problems, *(Problem(c.image, reason) for c in synthetic)]


class Pair(NamedTuple):
    """The two parents of a sample, and the seed of everything else."""

    background: Case
    source: Case | None  # None: its lesion is drawn from a bank, by the seed
    seed: int


@dataclass(frozen=True)
class Pairing:
    """Which cases meet: a pure function of (the lists, the seed of the run, the sample's number, the try).

    Each round over the backgrounds takes every one of them once, in an order of its own. Sources are drawn uniformly
    from the cases with a lesion, never the background itself; a case that holds the only lesion is no background.
    """

    backgrounds: Sequence[Case]
    sources: Sequence[Case]  # none: lesions are drawn from a bank
    seed: int

    def draw(self, i: int, attempt: int, skipped: int = 0) -> Pair:
        """The pair of one try.

        Args:
            i: the sample's number.
            attempt: the number of the try; each draws another source, while there are others.
            skipped: how many backgrounds of this sample were of no use; each makes place for the next in order.
        """
        only = self.sources[0].id if len(self.sources) == 1 else None
        backgrounds = [case for case in self.backgrounds if case.id != only]
        count = len(backgrounds)
        background = backgrounds[self._order(self.seed, i // count, count)[(i + skipped) % count]]
        seed = int(sample_seeds(self.seed, [i]))
        if not self.sources:
            return Pair(background, None, int(sample_seeds(seed, [attempt])))
        order = [self.sources[rank] for rank in self._order(seed, 0, len(self.sources))]
        others = [case for case in order if case.id != background.id]
        return Pair(background, others[attempt % len(others)], int(sample_seeds(seed, [attempt])))

    @staticmethod
    def _order(seed: int, number: int, count: int) -> list[int]:
        """An order of 0 ... count - 1; its numbers lie beyond those of samples and tries."""
        key = int(sample_seeds(seed, [(1 << 40) + number]))
        return sample_seeds(key, torch.arange(count)).argsort().tolist()
