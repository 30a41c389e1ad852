"""Soft-CP's settings, chosen on validation data that no run tests on."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.training.presets import GRID
from benchmarks.training.record import Run

ARM = "softcp"


class Choice(NamedTuple):
    """A setting that was tried."""

    soft: dict[str, Any]
    val_dsc: float  # mean over seeds, of the weights with the least validation loss
    val_loss: float
    seeds: int


def trials(data: str, preset: str, seeds: Sequence[int], grid: Iterable[Mapping[str, Any]] = GRID) -> list[Run]:
    """All settings for each seed, seed by seed."""
    return [Run(data, preset, "steps", 1.0, ARM, seed, soft) for seed in seeds for soft in grid]


def choices(results: Iterable[dict[str, Any]]) -> list[Choice]:
    """What was tried, best first: by validation DSC, averaged over the seeds.

    Args:
        results: of the trials.
    """
    groups: list[tuple[dict[str, Any], list[dict[str, float]]]] = []
    for result in results:
        soft = result["settings"]["tried"]
        known = next((best for other, best in groups if other == soft), None)
        if known is None:
            groups.append((soft, known := []))
        known.append(result["best"])
    means = [
        Choice(soft, *(statistics.fmean(one[name] for one in best) for name in ("val_dsc", "val_loss")), len(best))
        for soft, best in groups
    ]
    return sorted(means, key=lambda choice: -choice.val_dsc)
