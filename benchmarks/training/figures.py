"""Figure 6 of the paper: DSC by the share of the training data, for each data set, preset and regime."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.training.arms import ARMS

Curves = Mapping[str, Mapping[float, Mapping[int, float]]]  # arm -> share -> seed -> DSC


def name_of(setting: Any) -> str:
    """The file of a figure."""
    return f"{setting.preset}-{setting.data}-{setting.regime}-shares.svg"


def draw(found: Mapping[Any, Mapping[str, Mapping[int, dict[str, Any]]]], folder: Path) -> list[Path]:
    """Draws the arms that were measured at two shares or more: every seed that all shares have, and their mean.

    Args:
        found: metrics by setting, arm and seed.
        folder: where the figures go.

    Returns:
        The files, the same bytes for the same numbers.
    """
    groups: dict[Any, dict[str, dict[float, dict[int, float]]]] = defaultdict(lambda: defaultdict(dict))
    for setting, scores in sorted(found.items()):
        for arm, by_seed in scores.items():
            dsc = {seed: metrics["dsc"] for seed, metrics in sorted(by_seed.items())}
            groups[setting._replace(fraction=1.0)][arm][setting.fraction] = dsc
    drawn = []
    for setting, curves in groups.items():
        several = {arm: curves[arm] for arm in ARMS if len(curves.get(arm, {})) > 1}
        if several:
            drawn.append(folder / name_of(setting))
            _draw_one(several, f"{setting.data}, preset {setting.preset}, equal {setting.regime}", drawn[-1])
    return drawn


def _draw_one(curves: Curves, title: str, path: Path) -> None:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "softcp", "svg.fonttype": "none"}):  # no random ids, text stays text
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.add_subplot(xlabel="share of the training data, %", ylabel="DSC, %", title=title)
        for number, (arm, shares) in enumerate(curves.items()):
            seeds = set.intersection(*(set(each) for each in shares.values()))
            places = [100 * share + number - len(curves) / 2 for share in shares]  # beside each other
            values = [[100 * each[seed] for seed in sorted(seeds)] for each in shares.values()]
            label = f"{ARMS[arm].title}, {len(seeds)} seeds"
            axes.plot(places, [statistics.fmean(each) if each else float("nan") for each in values], label=label)
            colour = axes.lines[-1].get_color()
            for place, each in zip(places, values, strict=True):
                axes.plot([place] * len(each), each, ".", color=colour)
        axes.legend(fontsize="small")
        figure.savefig(path, metadata={"Date": None})
