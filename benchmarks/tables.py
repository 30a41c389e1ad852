"""A results file in markdown: a page with all its rows, and a few lines about it for the README."""

from __future__ import annotations

from typing import Any

from benchmarks import curves
from benchmarks.common import COPY, GRAPHED, OURS
from benchmarks.rivals.names import LEAVES_OUT

AGREE = 0.10  # the medians of the runs may differ by this share of their middle one
MARK = "†"
NOT_MEASURED = "not measured: "  # reasons that begin so are known ones
Entry = dict[str, Any]


def facts(results: dict[str, Any]) -> str:
    """What the figures depend on."""
    machine = results["machine"]
    known = ", ".join(f"{key} {value}" for key, value in machine.items() if key not in ("device", "gpu", "cpu"))
    made = f"{machine['cpu']}; {known}. {results['date']}, commit {results.get('commit')}"
    runs = f"{results['runs']} runs in fresh processes" if "runs" in results else "one run"
    return f"{made}, {runs}" + (f": `{results['command']}`." if "command" in results else ".")


def title(results: dict[str, Any]) -> str:
    return results["machine"].get("gpu", results["machine"]["cpu"])


def page(results: dict[str, Any], name: str, plot: str | None) -> str:
    """All rows of a results file, by group; then what was not measured, and why."""
    groups = {g: lines for g, lines in grouped(results["entries"]).items() if not g.startswith(curves.PREFIX)}
    bandwidth = bandwidth_of(groups)
    lines = [f"# {title(results)}: {name}", "", "Written by `benchmarks/report.py`.", "", facts(results)]
    if bandwidth:
        lines += ["", f"A copy moves {bandwidth / 1e9:.1f} GB/s, read and written bytes counted."]
    lines += ["", _how_to_read()]
    for group, entries in groups.items():
        if group != COPY:
            lines += ["", *table(group, entries, bandwidth)]
    if found := curves.collect(results["entries"]):
        lines += ["", "## How time grows", "", curves.table(found)]
        lines += ["", f"![time over batch, image, lesion and steps]({plot})"] if plot else []
    if "checks" in results:
        lines += ["", "## Checks", "", *(f"* {name}: {found}" for name, found in results["checks"].items())]
    lines += ["", "## Where others are faster", "", *losses(groups)]
    lines += ["", "## Not measured", "", *missing(results)]
    return "\n".join(lines) + "\n"


def _how_to_read() -> str:
    return (
        "Middle half: of the calls of one run. Runs: least to greatest median, as a share of the middle one; "
        f"{MARK}: more than {AGREE:.0%} apart. Share of copy: what a copy of the least bytes would take, over the time."
    )


def losses(groups: dict[str, list[Entry]]) -> list[str]:
    """Who is faster than ours, and where."""
    lines = []
    for group, entries in groups.items():
        own = own_time(entries)
        faster = [line for line in entries if own and line["median_s"] < own and not line["who"].startswith(OURS)]
        lines += [f"* {line['who']} takes {line['median_s'] / own:.2f} of our time: {group}" for line in faster if own]
    return lines or ["Nowhere, where ours was timed beside them."]


def missing(results: dict[str, Any]) -> list[str]:
    """What has no time, by reason."""
    why: dict[str, list[str]] = {}
    for what, reason in results.get("failed", {}).items():
        why.setdefault(" ".join(reason.removeprefix(NOT_MEASURED).split()), []).append(what)
    lines = [f"* {reason}\n" + "\n".join(f"  * {one}" for one in whats) for reason, whats in why.items()]
    return lines or ["Nothing is left out."]


def grouped(entries: list[Entry]) -> dict[str, list[Entry]]:
    """Rows by what was computed, on what."""
    groups: dict[str, list[Entry]] = {}
    for line in entries:
        groups.setdefault(line["group"], []).append(line)
    return groups


def bandwidth_of(groups: dict[str, list[Entry]]) -> float | None:
    """Bytes per second that a copy moves; None where it was not measured."""
    copies = groups.get(COPY)
    return copies[0]["bytes_floor"] / copies[0]["median_s"] if copies else None


def table(group: str, entries: list[Entry], bandwidth: float | None) -> list[str]:
    """Median and middle half of the calls, spread of the runs, the ratio to ours, and what each leaves out."""
    own = own_time(entries)
    columns = {"memory": any("peak_bytes" in line for line in entries), "runs": any("medians_s" in x for x in entries)}
    less = any(line["who"] in LEAVES_OUT for line in entries)
    lines = [
        f"| {group} | ms | middle half |"
        + " runs |" * columns["runs"]
        + " x ours | share of copy |"
        + " MiB beside the inputs |" * columns["memory"]
        + " does not do |" * less
    ]
    lines += ["|---|---:|---:|" + "---:|" * (columns["runs"] + 2 + columns["memory"]) + "---|" * less]
    for line in entries:
        cells = [line["who"], f"{line['median_s'] * 1e3:.2f}", f"{line['q1_s'] * 1e3:.2f} to {line['q3_s'] * 1e3:.2f}"]
        cells += [runs_cell(line)] * columns["runs"]
        cells += [f"{line['median_s'] / own:.2f}" if own else "", share_cell(line, bandwidth)]
        cells += [f"{line['peak_bytes'] / 2**20:.0f}" if "peak_bytes" in line else ""] * columns["memory"]
        cells += [LEAVES_OUT.get(line["who"], "")] * less
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def spread(line: Entry) -> float:
    """How far the medians of the runs lie apart, as a share of the middle one."""
    medians = line.get("medians_s", [line["median_s"]])
    return (max(medians) - min(medians)) / line["median_s"]


def runs_cell(line: Entry) -> str:
    """The medians of the runs, and a mark where they do not agree."""
    if "medians_s" not in line:
        return ""
    low, high = (one(line["medians_s"]) / line["median_s"] - 1 for one in (min, max))
    return f"{low:+.0%} to {high:+.0%}" + f" {MARK}" * (spread(line) > AGREE)


def share_cell(line: Entry, bandwidth: float | None) -> str:
    """How much of the copy's bandwidth our own row reaches."""
    if not bandwidth or not line["bytes_floor"] or not line["who"].startswith(OURS):
        return ""
    return f"{line['bytes_floor'] / bandwidth / line['median_s']:.1%}"


def own_time(entries: list[Entry]) -> float | None:
    return next((line["median_s"] for line in entries if line["who"] == OURS), None)


def summary(results: dict[str, Any]) -> list[str]:
    """Who takes how many times as long as ours, by what was computed, over all cases of it."""
    ratios: dict[tuple[str, str], list[float]] = {}
    for group, entries in grouped(results["entries"]).items():
        if group.startswith(curves.PREFIX):
            continue
        graphed = next((line["median_s"] for line in entries if line["who"].startswith(GRAPHED)), None)
        for line in entries:
            for own, which in ((own_time(entries), ""), (graphed, ", ours in a CUDA graph")):
                if own and not line["who"].startswith(OURS):
                    ratios.setdefault((group.split(",")[0] + which, line["who"]), []).append(line["median_s"] / own)
    lines = []
    if ratios:
        lines += ["| beside softcp_gpu | cases | its time, x ours | faster than ours in | does not do |"]
        lines += ["|---|---:|---:|---:|---|"]
    for (family, who), found in sorted(ratios.items(), key=lambda item: item[0][0]):
        ends = dict.fromkeys(f"{end:.2f}" for end in (min(found), max(found)))
        faster = sum(ratio < 1 for ratio in found)
        lines.append(f"| {family}: {who} | {len(found)} | {' to '.join(ends)} | {faster} | {LEAVES_OUT.get(who, '')} |")
    marked = sum(spread(line) > AGREE for line in results["entries"])
    if "runs" in results:
        lines += [
            *[""] * bool(ratios),
            f"{marked} of {len(results['entries'])} rows have medians more than {AGREE:.0%} apart.",
        ]
    return lines
