"""Figure 6 of the paper: DSC by the share of the training data, for each data set, preset and regime."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.training.arms import ARMS
from benchmarks.training.compare import interval

Curves = Mapping[str, list[tuple[float, list[float]]]]  # arm -> (share, DSC of each seed), by share


def name_of(setting: Any) -> str:
    """The file of a figure."""
    return f"{setting.preset}-{setting.data}-{setting.regime}-shares.svg"


def draw(found: Mapping[Any, Mapping[str, Mapping[int, dict[str, Any]]]], folder: Path) -> list[Path]:
    """Draws what was measured at two shares or more.

    Args:
        found: metrics by setting, arm and seed.
        folder: where the figures go.

    Returns:
        The files, the same bytes for the same numbers.
    """
    groups: dict[Any, dict[str, list[tuple[float, list[float]]]]] = defaultdict(lambda: defaultdict(list))
    for setting, scores in sorted(found.items()):
        for arm, by_seed in scores.items():
            dsc = [metrics["dsc"] for _, metrics in sorted(by_seed.items())]
            groups[setting._replace(fraction=1.0)][arm].append((setting.fraction, dsc))
    drawn = []
    for setting, curves in groups.items():
        if len({share for points in curves.values() for share, _ in points}) > 1:
            drawn.append(folder / name_of(setting))
            _draw_one(curves, f"{setting.data}, preset {setting.preset}, equal {setting.regime}", drawn[-1])
    return drawn


def _draw_one(curves: Curves, title: str, path: Path) -> None:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "softcp", "svg.fonttype": "none"}):  # no random ids, text stays text
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.add_subplot(xlabel="share of the training data, %", ylabel="DSC, %", title=title)
        for arm in (name for name in ARMS if name in curves):
            shares, seeds = zip(*curves[arm], strict=True)
            ends = [interval(values) for values in seeds]
            reach = [0.0 if math.isnan(end.low) else 100 * (end.high - end.mean) for end in ends]
            means = [100 * end.mean for end in ends]
            axes.errorbar([100 * s for s in shares], means, reach, label=ARMS[arm].title, capsize=2, marker=".")
        axes.legend(fontsize="small")
        figure.savefig(path, metadata={"Date": None})
