"""Figures with an interval, by drawing patients again and again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

INTERVAL = 0.95


class Estimate(NamedTuple):
    """A figure, and the ends of its interval."""

    value: float
    low: float
    high: float


def resampled(patient: np.ndarray, fold: np.ndarray, rounds: int, seed: int) -> np.ndarray:
    """How often each paste counts, (1 + rounds, P): once each, then as patients are drawn with replacement.

    As many patients are drawn from each fold as it has.

    Args:
        patient, fold: (P,) ints.
        rounds: how often to draw.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    counts = np.ones((1 + rounds, len(patient)))
    for one in np.unique(fold):
        inside = fold == one
        names, number = np.unique(patient[inside], return_inverse=True)
        drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=rounds)
        counts[1:, inside] = drawn[:, number]
    return counts


def interval(figures: np.ndarray) -> Estimate:
    """The first figure is the estimate; the others tell its interval."""
    low, high = np.nanquantile(figures[1:], [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2])
    return Estimate(*(float(x) for x in (figures[0], low, high)))


def mean(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The mean of (P,) under weights (R, P), (R,)."""
    return weights @ x / weights.sum(1)


def auc(score: np.ndarray, label: np.ndarray, fold: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The probability that one of class 1 scores higher than one of class 0 of its fold; ties count half.

    Args:
        score, label, fold: (n,); labels are 0 and 1.
        weights: (R, n).

    Returns:
        (R,), the mean over the folds.
    """
    one_by_one = [_auc(score[fold == one], label[fold == one], weights[:, fold == one]) for one in np.unique(fold)]
    return np.nanmean(one_by_one, axis=0)


def _auc(score: np.ndarray, label: np.ndarray, weights: np.ndarray) -> np.ndarray:
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf))  # of each group of equal scores
    ones, zeros = (np.add.reduceat(weights[:, order] * (label[order] == k), starts, axis=1) for k in (1, 0))
    below = zeros.cumsum(1) - zeros / 2
    pairs = ones.sum(1) * zeros.sum(1)
    return (ones * below).sum(1) / np.where(pairs > 0, pairs, np.nan)
