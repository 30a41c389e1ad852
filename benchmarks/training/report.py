"""Tables and figures from the JSON files, written between the markers of README.md."""

from __future__ import annotations

import itertools
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.report import put_between_markers
from benchmarks.training import figures, record, tuning
from benchmarks.training.arms import ARMS, REAL
from benchmarks.training.compare import Difference, difference, holm, interval
from benchmarks.training.presets import DEFAULT, REGIMES

README, PAPER = (Path(__file__).parent / name for name in ("README.md", "paper.json"))
MAIN = "dsc"  # the metric that arms are compared by, fixed before any result was there
RIVALS = ("hard", "gaussian-mask", "gaussian-intensity", "poisson")
NOT_MEASURED = "not measured"
RUNS, TRIALS = "*/*/*.json", "*/*/tune/*.json"
COLUMNS = (
    ("DSC", "dsc"),
    ("IoU", "iou"),
    ("DSC, pooled", "dsc_pooled"),
    ("IoU, pooled", "iou_pooled"),
    ("accuracy", "accuracy"),
    ("false positives", "false_positive_rate"),
)
TITLES = (("lgg", "LGG"), ("kvasir", "Kvasir-SEG"), ("busi", "BUSI"))


class Setting(NamedTuple):
    """What runs that may be compared have in common."""

    preset: str
    data: str
    regime: str
    fraction: float


Scores = Mapping[str, Mapping[Any, dict[str, Any]]]  # arm -> seed -> metrics


def collect(results: Iterable[dict[str, Any]]) -> dict[Setting, Scores]:
    """Sorts the metrics of tested runs."""
    found: dict[Setting, dict[str, dict[int, dict[str, Any]]]] = defaultdict(lambda: defaultdict(dict))
    for result in results:
        run = result["run"]
        if result["metrics"] is not None:
            setting = Setting(run["preset"], run["data"], run["regime"], run["fraction"])
            found[setting][run["arm"]][run["seed"]] = result["metrics"]
    return found


def values(scores: Scores, arm: str, metric: str) -> dict[Any, float]:
    """By seed."""
    each = {seed: metrics[metric] for seed, metrics in scores.get(arm, {}).items()}
    return {seed: value for seed, value in each.items() if value is not None}


def cell(found: Mapping[Any, float], *, count: bool = True) -> str:
    """A mean in per cent with its interval and the number of seeds."""
    if not found:
        return NOT_MEASURED
    mean, low, high, seeds = interval(list(found.values()))
    ends = "" if math.isnan(low) else f" ({100 * low:.1f} to {100 * high:.1f})"
    return f"{100 * mean:.1f}{ends}" + f", n {seeds}" * count


def overview(found: Mapping[Setting, Scores]) -> str:
    """The paper's table 3 for the data at hand, all of the training data: its protocol, and with equal steps."""
    shown = (REAL, "hard", "gaussian-mask", "gaussian-intensity", "softcp", "softcp-rim")
    lines = ["| data set | preset | equal | " + " | ".join(ARMS[arm].title for arm in shown) + " | the paper's* |"]
    lines += ["|---|---|---|" + "---:|" * (len(shown) + 1)]
    for data, title in TITLES:
        presets = sorted({s.preset for s in found if s.data == data}) or ["paper"]
        for preset, regime in itertools.product(presets, REGIMES):
            scores = found.get(Setting(preset, data, regime, 1.0), {})
            cells = " | ".join(cell(values(scores, arm, MAIN)) for arm in shown)
            lines.append(f"| {title} | {preset} | {regime} | {cells} | {papers(data) * (regime == REGIMES[0])} |")
    note = "real / Gaussian-CP / Soft-CP; one run each, on other divisions, at 256 x 256; all of BUSI and of LGG"
    head = "DSC, all of the training data, with equal epochs as in the paper, and with equal steps:"
    return "\n".join([head, "", *lines, "", f"\\* {note}"])


def papers(data: str) -> str:
    """What the paper has for a data set: real / Gaussian-CP / Soft-CP."""
    rows = json.loads(PAPER.read_text("utf-8"))["dsc"].get(data, {})
    return "; ".join(f"{name} {' / '.join(map(str, row))}".strip() for name, row in rows.items())


def arms_table(scores: Scores) -> list[str]:
    """All metrics of all arms."""
    lines = ["| arm | n | " + " | ".join(title for title, _ in COLUMNS) + " |", "|---|" + "---:|" * (1 + len(COLUMNS))]
    for name, arm in ARMS.items():
        if name in scores:
            cells = " | ".join(cell(values(scores, name, metric), count=False) for _, metric in COLUMNS)
            lines.append(f"| {arm.title} | {len(scores[name])} | {cells} |")
    return lines


def comparisons(scores: Scores) -> list[tuple[str, Difference]]:
    """Every arm against real data alone, and Soft-CP against each of its rivals."""
    pairs = [(arm, REAL) for arm in ARMS if arm != REAL] + [("softcp", rival) for rival in RIVALS]
    pairs += [("softcp-online", other) for other in ("softcp", "hard-online")]
    pairs += [("softcp-rim", "softcp"), *(("softcp-rim", f"{rival}-rim") for rival in ("hard", "gaussian-mask"))]
    found = [
        (f"{one} - {other}", difference(*(values(scores, arm, MAIN) for arm in (one, other)))) for one, other in pairs
    ]
    return [(name, found) for name, found in found if found is not None]


def comparison_table(scores: Scores) -> list[str]:
    """Differences, and p values corrected for how many there are."""
    found = comparisons(scores)
    if not found:
        return []
    corrected = holm([each.p for _, each in found])
    lines = ["| difference in DSC | points | n | p | p, Holm |", "|---|---:|---:|---:|---:|"]
    for (name, each), p in zip(found, corrected, strict=True):
        mean, low, high, seeds = each.interval
        ends = "" if math.isnan(low) else f" ({100 * low:+.1f} to {100 * high:+.1f})"
        lines.append(f"| {name} | {100 * mean:+.1f}{ends} | {seeds} | {_number(each.p)} | {_number(p)} |")
    return lines


def _number(p: float) -> str:
    return "" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def fraction_table(found: Mapping[Setting, Scores], like: Setting) -> list[str]:
    """DSC of each arm by the share of the training data."""
    group = {s.fraction: scores for s, scores in sorted(found.items()) if s._replace(fraction=1.0) == like}
    if len(group) < 2:
        return [f"By share of the training data: {NOT_MEASURED}."]
    figure = ["", f"![DSC of each arm by the share of the training data](results/{figures.name_of(like)})"]
    lines = ["| DSC at | " + " | ".join(f"{fraction:.0%}" for fraction in group) + " |", "|---|" + "---:|" * len(group)]
    for name, arm in ARMS.items():
        if any(name in scores for scores in group.values()):
            cells = " | ".join(cell(values(scores, name, MAIN)) for scores in group.values())
            lines.append(f"| {arm.title} | {cells} |")
    return lines + figure


def machines(results: Iterable[dict[str, Any]], like: Setting) -> list[str]:
    """On what, and for how long."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for result in results:
        run, m = result["run"], result["machine"]
        if (run["preset"], run["data"], run["regime"]) == like[:3] and "same_as" not in result:
            where = f"{m.get('gpu', m['cpu'])}, threads {m['threads']}, torch {m['torch']}, MONAI {m['monai']}"
            seconds[f"{where}, softcp_gpu {m['softcp_gpu']}"].append(result["seconds"]["cpu"])
    return [f"Trainings: {len(s)}, {sum(s) / 3600:.1f} h of processor time. {where}." for where, s in seconds.items()]


def section(found: Mapping[Setting, Scores], results: list[dict[str, Any]], like: Setting) -> str:
    """One data set, one preset, one regime."""
    scores = found.get(like, {})
    title = dict(TITLES).get(like.data, like.data)
    parts = [
        [f"### {title}, preset {like.preset}, equal {like.regime}"],
        machines(results, like),
        arms_table(scores) if scores else [f"All of the training data: {NOT_MEASURED}."],
        comparison_table(scores),
        fraction_table(found, like),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def together(found: Mapping[Setting, Scores], preset: str, regime: str) -> str:
    """Differences over the seeds of all data sets, each of them a pair; nothing where there is one data set."""
    merged: dict[str, dict[tuple[str, int], dict[str, Any]]] = defaultdict(dict)
    there = [setting for setting in found if (setting.preset, setting.regime, setting.fraction) == (preset, regime, 1)]
    for setting in there:
        for arm, seeds in found[setting].items():
            merged[arm] |= {(setting.data, seed): metrics for seed, metrics in seeds.items()}
    title = f"### All {len(there)} data sets together, preset {preset}, equal {regime}"
    table = comparison_table(merged)
    return "\n".join([title, "", *table]) if len(there) > 1 and table else ""


def tuning_table(trials: Iterable[dict[str, Any]]) -> str:
    """What `tune` tried, best first."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for trial in trials:
        groups[trial["run"]["preset"], trial["run"]["data"]].append(trial)
    lines = ["### Soft-CP's settings, on validation data", ""]
    if not groups:
        return "\n".join([*lines, f"{NOT_MEASURED.capitalize()}: all data sets have the default."])
    lines += [
        "| preset | data set | alpha | k_erode | k_dilate | most scale | DSC | loss | n |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for (preset, data), group in sorted(groups.items()):
        for choice in tuning.choices(group):
            soft = " | ".join(str(choice.soft[name]) for name in DEFAULT)
            scores = f"{100 * choice.val_dsc:.1f} | {choice.val_loss:.3f} | {choice.seeds}"
            lines.append(f"| {preset} | {data} | {soft} | {scores} |")
    return "\n".join(lines)


def body(results: list[dict[str, Any]], trials: Iterable[dict[str, Any]] = ()) -> str:
    """All tables."""
    found = collect(results)
    settings = sorted({setting._replace(fraction=1.0) for setting in found})
    sections = [section(found, results, like) for like in settings]
    kinds = sorted({(setting.preset, setting.regime) for setting in settings})
    sections += [text for kind in kinds if (text := together(found, *kind))]
    return "\n\n".join([overview(found), *sections, tuning_table(trials)])


def write(folder: Path, readme: Path = README, draw: Callable[..., None] = figures.draw) -> None:
    """Reads a folder of results; writes the tables, and a figure for each comparison over shares of the data.

    Args:
        folder: of the JSON files.
        readme: has the markers.
        draw: draws the figures.
    """
    results, trials = ([record.read(path) for path in sorted(folder.glob(where))] for where in (RUNS, TRIALS))
    put_between_markers(readme, body(results, trials))
    draw(collect(results), folder)
