"""What is made from what: which cases may be used, how many samples, and which two cases make each of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from softcp_gpu.data import Case, DataError, Layout, Problem, Split, make_split
from softcp_gpu.sampling import pick, sample_seeds


def sample_count(real: int, ratio: str, count: int | None) -> int:
    """How many samples to make: `count`, or as the ratio real : synthetic says, at least one.

    Example:
        >>> sample_count(471, "3:1", None)
        157
    """
    if count is not None:
        if count < 1:
            raise ValueError(f"count: expected 1 or more, found {count}")
        return count
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?):(\d{1,9}(?:\.\d{1,9})?)", ratio)
    if not match or not all(float(share) > 0 for share in match.groups()):
        raise ValueError(f"ratio: expected REAL:SYNTHETIC such as 3:1, found {ratio!r}")
    return max(1, round(real * float(match[2]) / float(match[1])))


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


class Pair(NamedTuple):
    """The two parents of a sample, and the seed of everything else."""

    background: Case
    source: Case
    seed: int


@dataclass(frozen=True)
class Pairing:
    """Which cases meet: a pure function of (the lists, the seed of the run, the sample's number, the try).

    Each round over the backgrounds takes every one of them once, in an order of its own. Sources are drawn uniformly
    from the cases with a lesion, never the background itself.
    """

    backgrounds: Sequence[Case]
    sources: Sequence[Case]
    seed: int

    def draw(self, i: int, attempt: int, skipped: int = 0) -> Pair:
        """The pair of one try.

        Args:
            i: the sample's number.
            attempt: the number of the try; each draws another source.
            skipped: how many backgrounds of this sample could not be read; each makes place for the next in order.
        """
        count = len(self.backgrounds)
        order = sample_seeds(self.seed, [(1 << 40) + i // count])
        rank = sample_seeds(int(order), torch.arange(count)).argsort()
        background = self.backgrounds[int(rank[(i + skipped) % count])]
        seed = sample_seeds(int(sample_seeds(self.seed, [i])), [attempt])
        others = [case for case in self.sources if case.id != background.id]
        if not others:
            raise DataError(background.root, "a source other than the background", f"only {background.id} itself")
        return Pair(background, others[int(pick(seed, len(others)))], int(seed))
