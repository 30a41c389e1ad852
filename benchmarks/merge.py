"""Several runs of one machine as one results file."""

from __future__ import annotations

from typing import Any

from benchmarks import schema


def merged(runs: list[dict[str, Any]], command: str) -> dict[str, Any]:
    """One results file from several of the same machine and commit: of each row the run in the middle.

    A row that some run lacks is named in `failed`.

    Raises:
        ValueError: the runs differ in what they depend on.
    """
    first = runs[0]
    for other in runs[1:]:
        if any(other[key] != first[key] for key in ("machine", "commit")):
            raise ValueError("runs: expected the same machine and commit, found others")
    rows: dict[tuple[str, str, int | None], list[dict[str, Any]]] = {}
    for run in runs:
        for line in run["entries"]:
            rows.setdefault((line["group"], line["who"], line.get("x")), []).append(line)
    failed = {what: why for run in runs for what, why in run.get("failed", {}).items()}
    entries = []
    for (group, who, x), lines in rows.items():
        if len(lines) == len(runs):
            entries.append(_middle(lines))
        else:
            at = "" if x is None else f" at {x}"
            failed.setdefault(f"{who}: {group}{at}", f"measured in {len(lines)} of {len(runs)} runs")
    both = {"command": command, "runs": len(runs), "entries": entries, "failed": failed}
    return schema.check({**first, **both})


def _middle(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """The run whose median is in the middle (the faster one of two), with all medians, and the memory that one saw."""
    ordered = sorted(lines, key=lambda line: line["median_s"])
    peaks = [line["peak_bytes"] for line in lines if "peak_bytes" in line]
    memory = {"peak_bytes": max(peaks)} if peaks else {}
    medians = [line["median_s"] for line in lines]
    return {**ordered[(len(ordered) - 1) // 2], **memory, "medians_s": medians}
