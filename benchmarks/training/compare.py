"""Means over seeds with their intervals, and arms against each other on the same seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

LEVEL = 0.95


class Interval(NamedTuple):
    """A mean over seeds and its 95 % interval by Student's t; the ends are NaN for one seed."""

    mean: float
    low: float
    high: float
    seeds: int


class Difference(NamedTuple):
    """An arm less another one, over the seeds that both have."""

    interval: Interval
    p: float  # two-sided paired t test; NaN for one seed


def interval(values: Sequence[float]) -> Interval:
    """The mean of one value or more.

    Example:
        >>> interval([0.5, 0.6, 0.7])
        Interval(mean=0.6, low=0.351..., high=0.848..., seeds=3)
    """
    from scipy.stats import t

    mean, seeds = statistics.fmean(values), len(values)
    if seeds < 2:
        return Interval(mean, math.nan, math.nan, seeds)
    half = float(t.ppf((1 + LEVEL) / 2, seeds - 1)) * statistics.stdev(values) / math.sqrt(seeds)
    return Interval(mean, mean - half, mean + half, seeds)


def difference(one: Mapping[Any, float], other: Mapping[Any, float]) -> Difference | None:
    """One arm less another, seed by seed.

    Args:
        one, other: values by seed, or by data set and seed.

    Returns:
        None where they share no seed.

    Example:
        >>> difference({0: 0.6, 1: 0.7, 2: 0.8}, {0: 0.5, 1: 0.5, 2: 0.7, 3: 0.1}).interval.seeds
        3
    """
    from scipy.stats import ttest_rel

    seeds = sorted(one.keys() & other.keys())
    if not seeds:
        return None
    pairs = [(one[seed], other[seed]) for seed in seeds]
    differs = interval([a - b for a, b in pairs])
    if len(seeds) < 2 or differs.low == differs.high:
        return Difference(differs, math.nan)
    return Difference(differs, float(ttest_rel(*zip(*pairs, strict=True)).pvalue))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction of the p values of one family; a NaN stays one and does not count.

    Example:
        >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    tested = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    corrected, least = list(p_values), 0.0
    for rank, (p, i) in enumerate(tested):
        least = max(least, min(1.0, p * (len(tested) - rank)))
        corrected[i] = least
    return corrected
