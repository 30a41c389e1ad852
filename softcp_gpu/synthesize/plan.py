"""What is made from what: which cases may be used, how many samples, and which two cases make each of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from softcp_gpu.data import Case, DataError, Layout, Problem, Split, make_split
from softcp_gpu.sampling import sample_seed, sample_seeds
from softcp_gpu.synthesize.duplicates import Fingerprint, NearDuplicate, near_duplicates
from softcp_gpu.synthesize.survey import Inputs, survey


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


def split_cases(cases: Sequence[Case], split: str, seed: int, fold: int | None = None) -> tuple[Split, str]:
    """The parts of a data set, and in words how it was divided; see `synthesize` for `split`."""
    shares = re.fullmatch(r"(\d+):(\d+):(\d+)", split)
    if fold is not None and (shares or split in ("all", "auto")):
        raise ValueError(f"fold: expected none without a file of folds, found {fold} and the split {split!r}")
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
    which = "" if fold is None else f", fold {fold}"
    return make_split(cases, file=split, fold=fold), f"the file {Path(split).name}{which}"


class Selection(NamedTuple):
    """What may be used of a data set."""

    held_out: list[Case]  # all that is not trained on
    parts: Split
    how: str  # it was divided, in words
    train: list[Case]  # what can be read of it
    backgrounds: list[Case]
    sources: list[Case]
    inputs: Inputs
    lines: list[dict[str, Any]]  # of `inputs.jsonl`
    problems: list[Problem]
    duplicates: list[NearDuplicate]  # across the split


def select_cases(
    layout: Layout,
    data: Path,
    split: str,
    seed: int,
    *,
    fold: int | None = None,
    threads: int = 1,
    on_case: Callable[[int], None] = lambda total: None,
) -> Selection:
    """Lists a data set, divides it, and looks at every file; of what is held out no label is read.

    Where the layout has regions, a case without one is no use as a background.

    Args:
        layout, data, split, seed, fold: as for `synthesize`.
        threads: how many cases to look at at once.
        on_case: called with the number of cases after each.
    """
    cases, problems = real_cases(layout, data)
    parts, how = split_cases(cases, split, seed, fold)
    known = {case.id for part in parts for case in part}
    unused = [case for case in cases if case.id not in known]
    total = len(cases)
    looks = survey(layout, data, parts, unused, threads, lambda: on_case(total))
    lines = [look.line for look in looks]
    stamps = {name: stamp for look in looks for name, stamp in look.stamps.items()}
    facts = {line["id"]: line for line in lines}
    bad = {look.line["id"] for look in looks if look.problem}
    train = [case for case in parts.train if case.id not in bad]
    backgrounds, sources = ([case for case in train if facts[case.id][use]] for use in ("background", "source"))
    prints = [Fingerprint(line["id"], line["part"], line["phash"], line["patient"]) for line in lines if line["phash"]]
    problems = [*problems, *(look.problem for look in looks if look.problem), *layout.absent_labels(train)]
    held_out = [*parts.val, *parts.test, *unused]
    inputs, twins = Inputs(data, stamps), near_duplicates(prints)
    return Selection(held_out, parts, how, train, backgrounds, sources, inputs, lines, problems, twins)


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
        backgrounds = self._backgrounds
        count = len(backgrounds)
        background = backgrounds[self._round(i // count)[(i + skipped) % count]]
        seed = sample_seed(self.seed, i)
        source = self._source(seed, attempt, background) if self.sources else None
        return Pair(background, source, sample_seed(seed, attempt))

    def _source(self, seed: int, attempt: int, background: Case) -> Case:
        """One of an order of all sources but the background, of which only the beginning is ever made."""
        own = self._rank.get(background.id)
        place = attempt % (len(self.sources) - (own is not None))
        first = _keys(seed, 0, len(self.sources)).topk(min(place + 2, len(self.sources)), largest=False).indices
        return self.sources[[rank for rank in first.tolist() if rank != own][place]]

    @cached_property
    def _rank(self) -> dict[str, int]:
        return {case.id: rank for rank, case in enumerate(self.sources)}

    @cached_property
    def _backgrounds(self) -> list[Case]:
        only = self.sources[0].id if len(self.sources) == 1 else None
        return [case for case in self.backgrounds if case.id != only]

    @cached_property
    def _round(self) -> Callable[[int], list[int]]:
        """The order of a round; samples come in turn, so that the last rounds asked for are those asked for next."""
        return lru_cache(4)(lambda number: _order(self.seed, number, len(self._backgrounds)))


def _order(seed: int, number: int, count: int) -> list[int]:
    """An order of 0 ... count - 1."""
    return _keys(seed, number, count).argsort().tolist()


def _keys(seed: int, number: int, count: int) -> Tensor:
    """What an order is sorted by, no two alike; its numbers lie beyond those of samples and tries."""
    return sample_seeds(sample_seed(seed, (1 << 40) + number), np.arange(count))
