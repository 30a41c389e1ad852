"""Results files, their pages and plots, and the tables in README.md.

python -m benchmarks.report                               write pages, plots and tables again
python -m benchmarks.report RAW.json [...] --name NAME    first add a run, or several of one machine as one: of
                                                          runs.py, bench_cuda.py, bench_step.py or bench_synthesize.py
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import curves, floor, tables
from benchmarks.merge import merged
from benchmarks.schema import SCHEMA, check

HERE = Path(__file__).parent
BEGIN, END = "<!-- tables: begin, written by report.py -->", "<!-- tables: end -->"
FLOOR = ("<!-- floor: begin, written by report.py -->", "<!-- floor: end -->")


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
            "entries": [
                line for one in raw["benchmarks"] for line in (_entry(one), *one["extra_info"].get("parts", ()))
            ],
            "failed": raw.get("failed", {}),
        }
    )


def _entry(one: dict[str, Any]) -> dict[str, Any]:
    stats = {f"{name}_s": float(one["stats"][name]) for name in ("median", "q1", "q3", "min")}
    return {
        "group": one["group"],
        "who": one["extra_info"]["who"],
        **stats,
        "rounds": one["stats"]["rounds"],
        **{name: one["extra_info"][name] for name in ("bytes_floor", "peak_bytes", "x") if name in one["extra_info"]},
    }


def overview(found: Sequence[tuple[Path, dict[str, Any]]]) -> str:
    """A few lines for each machine, in markdown, and what was not measured."""
    sections = []
    for file, results in found:
        place = f"results/{file.parent.name}/{file.stem}"
        lines = [
            f"### {tables.title(results)}: {file.stem}",
            "",
            f"{tables.facts(results)} [All rows]({place}.md).",
            "",
        ]
        lines += tables.summary(results)
        if growth := curves.collect(results["entries"]):
            lines += ["", curves.table(growth), "", f"![time over batch, image, lesion and steps]({place}-curves.svg)"]
        sections.append("\n".join(lines).rstrip())
    if not any(results["machine"]["device"] == "cuda" for _, results in found):
        sections.append("### GPU\n\nNot measured.")
    return "\n\n".join(sections)


def read_all(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """The results files of the benchmarks, checked; others have reports of their own."""
    found = [(file, json.loads(file.read_text("utf-8"))) for file in sorted(folder.glob("*/*.json"))]
    return [(file, check(results)) for file, results in found if "kind" not in results]


def write_tables(readme: Path, results_folder: Path) -> None:
    """Writes a page and a plot beside each results file, and the tables of the README."""
    found = read_all(results_folder)
    for file, results in found:
        growth, plot = curves.collect(results["entries"]), file.with_name(f"{file.stem}-curves.svg")
        if growth:
            curves.draw(growth, plot)
        file.with_suffix(".md").write_text(tables.page(results, file.stem, plot.name if growth else None), "utf-8")
    put_between_markers(readme, overview(found))
    put_between_markers(readme, floor.tables_of([(file.stem, results) for file, results in found]), FLOOR)


def put_between_markers(readme: Path, body: str, markers: tuple[str, str] = (BEGIN, END)) -> None:
    """Replaces what stands between the markers of a file.

    Raises:
        ValueError: the markers are not there.
    """
    begin, end = markers
    text = readme.read_text("utf-8")
    head, _, rest = text.partition(begin)
    _, found, tail = rest.partition(end)
    if not found:
        raise ValueError(f"{readme}: expected the markers {begin} and {end}, found none or one")
    readme.write_text(f"{head}{begin}\n\n{body}\n\n{end}{tail}", "utf-8")


def add(results: dict[str, Any], name: str, here: Path = HERE) -> None:
    """Keeps a results file and writes all tables."""
    file = here / "results" / results["machine"]["softcp_gpu"] / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(check(results), indent=1) + "\n", "utf-8")
    write_tables(here / "README.md", here / "results")


def main(arguments: list[str] | None = None, here: Path = HERE) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description="Benchmark results and tables.")
    parser.add_argument("raw", nargs="*", type=Path, help="runs to add, of one machine and commit")
    parser.add_argument("--name", help="of the machine, such as epyc-2-cores: letters, digits and hyphens")
    parser.add_argument("--command", help="what made these runs, for the record")
    chosen = parser.parse_args(arguments)
    if bool(chosen.raw) != (chosen.name is not None):
        parser.error("RAW.json and --name go together")
    if not chosen.raw:
        return write_tables(here / "README.md", here / "results")
    runs = [trim(json.loads(file.read_text("utf-8"))) for file in chosen.raw]
    if len(runs) > 1:
        results = merged(runs, chosen.command or "not recorded")
    else:
        results = runs[0] if chosen.command is None else {**runs[0], "command": chosen.command}
    add(results, chosen.name, here)


if __name__ == "__main__":
    main()
