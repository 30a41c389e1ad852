"""All CPU benchmarks, three times, in fresh processes, into one results file with its tables and plots.

    python -m benchmarks.runs --name cpu-2-cores

A row is the middle one of its three medians, and the report marks rows whose medians do not agree. Rivals that are not
part of .venv are looked for in .rivals, where `make rivals` puts them. `--quick` tries all of it on tiny cases and
writes where `--out` says, and nowhere else.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.merge import merged
from benchmarks.tables import NOT_MEASURED

HERE = Path(__file__).parent
PARTS = ("copy", "soft_mask", "forward", "rivals", "volume", "curves")


def run_part(part: str, number: int, quick: bool, folder: Path) -> dict[str, Any]:
    """One part in a process of its own: its results, or only why there are none."""
    raw = folder / f"{number}-{part}.json"
    command = [sys.executable, "-m", "pytest", f"benchmarks/bench_{part}.py", "-q", "-p", "no:cacheprovider"]
    command += ["--benchmark-only", f"--benchmark-json={raw}", "--benchmark-quiet", "--tb=short"]
    extra = {"SOFTCP_BENCH_QUICK": "1", "SECONDS_EACH": "0.02"} if quick else {}
    extra |= {"SOFTCP_BENCH_LATER_RUN": "1"} if number else {}
    extra |= {"SOFTCP_RIVALS": os.environ.get("SOFTCP_RIVALS", str(HERE.parent / ".rivals"))}
    done = subprocess.run(command, env={**os.environ, **extra}, cwd=HERE.parent, capture_output=True, text=True)
    if raw.exists():
        return report.trim(json.loads(raw.read_text("utf-8")))
    return {"entries": [], "failed": {f"all of bench_{part}.py": (done.stdout + done.stderr)[-500:]}}


def run_once(number: int, parts: tuple[str, ...], quick: bool) -> dict[str, Any]:
    """All parts, one after the other, as one results file."""
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for part in parts:
            start = time.perf_counter()
            found.append(run_part(part, number, quick, Path(folder)))
            rows, failed = len(found[-1]["entries"]), len(found[-1].get("failed", {}))
            seconds = time.perf_counter() - start
            print(f"run {number + 1}, {part}: {rows} rows, {failed} not measured, {seconds:.0f} s", flush=True)
    whole = next((one for one in found if "machine" in one), {})
    entries = [line for one in found for line in one["entries"]]
    failed = {what: why for one in found for what, why in one.get("failed", {}).items()}
    return {**whole, "entries": entries, "failed": failed}


def main(arguments: list[str] | None = None) -> int:
    """The command line; 1 if a row failed for a reason that is not a known one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.runs", description="All CPU benchmarks.")
    parser.add_argument("--name", help="of the machine, such as epyc-2-cores: adds results, tables and plots")
    parser.add_argument("--out", type=Path, help="a results file to write, and nothing else")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--quick", action="store_true", help="tiny cases, with --out: to try it")
    chosen = parser.parse_args(arguments)
    if (chosen.name is None) == (chosen.out is None) or (chosen.quick and chosen.name):
        parser.error("give --name or --out, and --out with --quick")
    runs = [run_once(number, tuple(chosen.parts), chosen.quick) for number in range(chosen.runs)]
    if not all("machine" in run for run in runs):
        print("\n".join(runs[-1]["failed"].values()), file=sys.stderr)
        return 1
    words = sys.argv[1:] if arguments is None else arguments
    results = merged(runs, shlex.join(["python", "-m", "benchmarks.runs", *words]))
    if chosen.out:
        chosen.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    else:
        report.add(results, chosen.name)
    broken = {what: why for what, why in results["failed"].items() if not why.startswith(NOT_MEASURED)}
    for what, why in broken.items():
        print(f"failed: {what}: {why}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
