"""Results files and the tables in README.md.

python -m benchmarks.report                       write the tables again
python -m benchmarks.report RAW.json --name NAME  first add a run, of pytest-benchmark or of bench_cuda.py
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.common import COPY, OURS
from benchmarks.schema import SCHEMA, check

HERE = Path(__file__).parent
BEGIN, END = "<!-- tables: begin, written by report.py -->", "<!-- tables: end -->"


def trim(raw: dict[str, Any]) -> dict[str, Any]:
    """A results file from the JSON of pytest-benchmark, without its single rounds; others are checked and returned.

    Raises:
        ValueError: if the file does not tell which machine it is from, or is incomplete.
    """
    if "benchmarks" not in raw:
        return check(raw)
    machine = raw.get("machine_info", {}).get("softcp_gpu")
    if machine is None:
        raise ValueError("machine_info.softcp_gpu: expected it, found nothing; run with benchmarks/conftest.py")
    commit = raw.get("commit_info", {})
    changed = "+" if commit.get("dirty") else ""
    return check(
        {
            "schema": SCHEMA,
            "machine": machine,
            "date": raw["datetime"][:10],
            "commit": commit["id"][:12] + changed if commit.get("id") else None,
            "entries": [_entry(one) for one in raw["benchmarks"]],
        }
    )


def _entry(one: dict[str, Any]) -> dict[str, Any]:
    stats = {f"{name}_s": float(one["stats"][name]) for name in ("median", "q1", "q3", "min")}
    return {
        "group": one["group"],
        "who": one["extra_info"]["who"],
        **stats,
        "rounds": one["stats"]["rounds"],
        **{name: one["extra_info"][name] for name in ("bytes_floor", "peak_bytes") if name in one["extra_info"]},
    }


def tables(all_results: Iterable[dict[str, Any]]) -> str:
    """One section per machine, in markdown, and what was not measured."""
    all_results = list(all_results)
    sections = [section(results) for results in all_results]
    if not any(results["machine"]["device"] == "cuda" for results in all_results):
        sections.append("### GPU\n\nNot measured.")
    return "\n\n".join(sections)


def section(results: dict[str, Any]) -> str:
    """The machine, its tables, and where somebody else is faster."""
    machine = results["machine"]
    title = machine.get("gpu", machine["cpu"])
    facts = ", ".join(f"{key} {value}" for key, value in machine.items() if key not in ("device", "gpu", "cpu"))
    lines = [f"### {title}", "", f"{machine['cpu']}; {facts}. {results['date']}, commit {results.get('commit')}."]
    groups: dict[str, list[dict[str, Any]]] = {}
    for line in results["entries"]:
        groups.setdefault(line["group"], []).append(line)
    bandwidth = _bandwidth(groups.pop(COPY, []))
    if bandwidth:
        lines += ["", f"A copy moves {bandwidth / 1e9:.1f} GB/s, read and written bytes counted."]
    for group, entries in groups.items():
        lines += ["", *table(group, entries, bandwidth)]
    lines += ["", *losses(groups)]
    lines += [f"* Failed: {what}: {error}" for what, error in results.get("failed", {}).items()]
    return "\n".join(lines)


def table(group: str, entries: list[dict[str, Any]], bandwidth: float | None) -> list[str]:
    """Median and middle half of the calls, the ratio to ours, and the ratio to what the bytes alone would take."""
    own = _own(entries)
    memory = any("peak_bytes" in line for line in entries)
    lines = [f"| {group} | ms | middle half | x ours | x floor |" + " MiB beside the inputs |" * memory]
    lines += ["|---|---:|---:|---:|---:|" + "---:|" * memory]
    for line in entries:
        ratio = f"{line['median_s'] / own:.2f}" if own else ""
        floor = ""
        if bandwidth and line["bytes_floor"] and line["who"].startswith(OURS):
            floor = f"{line['median_s'] / (line['bytes_floor'] / bandwidth):.1f}"
        middle = f"{line['q1_s'] * 1e3:.2f} to {line['q3_s'] * 1e3:.2f}"
        peak = f" {line['peak_bytes'] / 2**20:.0f} |" if memory else ""
        lines.append(f"| {line['who']} | {line['median_s'] * 1e3:.2f} | {middle} | {ratio} | {floor} |{peak}")
    return lines


def losses(groups: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Who is faster than ours, and where."""
    lines = []
    for group, entries in groups.items():
        own = _own(entries)
        faster = [line for line in entries if own and line["median_s"] < own and not line["who"].startswith(OURS)]
        lines += [f"* {line['who']} takes {line['median_s'] / own:.2f} of our time: {group}" for line in faster]
    return ["Where others are faster:", "", *lines] if lines else ["No competitor is faster in any of these."]


def _own(entries: list[dict[str, Any]]) -> float | None:
    return next((line["median_s"] for line in entries if line["who"] == OURS), None)


def _bandwidth(entries: list[dict[str, Any]]) -> float | None:
    return entries[0]["bytes_floor"] / entries[0]["median_s"] if entries else None


def write_tables(readme: Path, results_folder: Path) -> None:
    """Puts the tables of all results files between the markers of the README."""
    found = [json.loads(file.read_text("utf-8")) for file in sorted(results_folder.glob("*/*.json"))]
    own = (results for results in found if "kind" not in results)  # others have reports of their own
    put_between_markers(readme, tables(check(results) for results in own))


def put_between_markers(readme: Path, body: str) -> None:
    """Replaces what stands between the markers of a file.

    Raises:
        ValueError: the markers are not there.
    """
    text = readme.read_text("utf-8")
    head, _, rest = text.partition(BEGIN)
    _, found, tail = rest.partition(END)
    if not found:
        raise ValueError(f"{readme}: expected the markers {BEGIN} and {END}, found none or one")
    readme.write_text(f"{head}{BEGIN}\n\n{body}\n\n{END}{tail}", "utf-8")


def main(arguments: list[str] | None = None, here: Path = HERE) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description="Benchmark results and tables.")
    parser.add_argument("raw", nargs="?", type=Path, help="a run to add")
    parser.add_argument("--name", help="of its machine, such as epyc-2-cores: letters, digits and hyphens")
    chosen = parser.parse_args(arguments)
    if (chosen.raw is None) != (chosen.name is None):
        parser.error("RAW.json and --name go together")
    if chosen.raw is not None:
        results = trim(json.loads(chosen.raw.read_text("utf-8")))
        file = here / "results" / results["machine"]["softcp_gpu"] / f"{chosen.name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    write_tables(here / "README.md", here / "results")


if __name__ == "__main__":
    main()
