"""The tables in README.md, from the results files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.credibility.pastes import VARIANTS
from benchmarks.credibility.results import FIGURES, KIND, check
from benchmarks.report import put_between_markers

README = Path(__file__).with_name("README.md")
RESULTS = Path(__file__).parents[1] / "results"
TITLES = ("AUC", "gradient, pasted / real", "change of the core, %")
_DIGITS = (2, 2, 1)


def write_tables(readme: Path = README, results_folder: Path = RESULTS) -> None:
    """Puts one table for each data set between the markers of the README."""
    files = sorted(results_folder.glob(f"*/{KIND}-*.json"))
    sections = [section(check(json.loads(file.read_text("utf-8")))) for file in files]
    put_between_markers(readme, "\n\n".join(sections) or "Not measured.")


def section(results: dict[str, Any]) -> str:
    """A data set, its table, and how it was made."""
    data, machine = results["data"], results["machine"]
    facts = f"{data['pastes']} pastes between {data['images']} images, lesions of {data['patients']} patients"
    lines = [f"### {data['name']}", "", f"{facts}, {data['patches']} patches of each class.", ""]
    lines += [f"| blend | {' | '.join(TITLES)} |", "|---|" + "---:|" * len(TITLES)]
    rows = {entry["variant"]: [entry[name] for name in FIGURES] for entry in results["entries"]}
    control = (estimate(results["control_auc"], _DIGITS[0]), "", "")
    lines.append(_row("real against real", control))
    for variant in dict.fromkeys((*VARIANTS, *rows)):
        cells = map(estimate, rows[variant], _DIGITS) if variant in rows else ["not measured"] * len(TITLES)
        lines.append(_row(variant.replace("+rim", ", rim matched"), cells))
    gradient = estimate(results["real_gradient_percent"], 1)
    versions = f"softcp_gpu {machine['softcp_gpu']}, torch {machine['torch']}, {machine['cpu']}"
    made = f"{versions}. {results['date']}, commit {results['commit']}: `{results['command']}`"
    lines += ["", f"Gradient along real boundaries: {gradient} % of full scale per pixel. {made}"]
    return "\n".join(lines)


def estimate(found: dict[str, float], digits: int) -> str:
    """A figure with its interval."""
    value, low, high = (f"{found[name]:.{digits}f}" for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _row(name: str, cells: Any) -> str:
    return f"| {name} | " + " | ".join(cells) + " |"
