"""Offline synthesis: samples on disk per second, beside reading and writing alone and an OpenCV script.

    python -m benchmarks.bench_synthesize OUT.json

"start": seconds until the first sample is there, with all that is imported, and with looking at the data set;
"steady state": seconds per sample from then on, without the first quarter of the samples; "CPU time": likewise, of one
process, which other programs on the machine disturb least. The programs take turns, round after round. `--device cuda`
lets ours compute there. Compiled loops have been compiled before: the first run ever on a machine takes longer.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

from benchmarks import common, offline, offline_run, schema
from softcp_gpu.functional.groups import MOST


def measure(
    kind: offline.Kind, folder: Path, cases: int, count: int, workers: int, rounds: int, device: str
) -> list[dict[str, Any]]:
    """The lines of one data set: three groups of these programs."""
    data = folder / "data"
    offline.write_set(data, kind, cases)
    taken: dict[tuple[str, str], list[float]] = defaultdict(list)
    alone = count // workers  # one process takes as much longer
    programs = [who for who in offline_run.PROGRAMS if who != offline_run.NUMBA or device == "cpu"]
    groups = (
        f"start of synthesize, {kind}, {cases} cases, {workers} workers",
        f"synthesize, {kind}, steady state, {workers} workers",
        f"synthesize, {kind}, CPU time",
    )
    for number in range(rounds):
        for turn, who in enumerate(programs):
            many = offline_run.timed_alone(who, data, folder / f"out_{number}_{turn}", count, workers, device, MOST)
            one = offline_run.timed_alone(who, data, folder / f"alone_{number}_{turn}", alone, 1, device, MOST)
            for group, seconds in zip(groups, (many.start, many.steady, one.cpu), strict=True):
                taken[group, who].append(seconds)
    return [common.entry(group, who, taken[group, who]) for group in groups for who in programs]


def results(entries: list[dict[str, Any]], device: str) -> dict[str, Any]:
    """A results file."""
    return schema.check(
        {
            "schema": schema.SCHEMA,
            "machine": common.machine(device),
            "date": datetime.date.today().isoformat(),
            "commit": common.commit(),
            "entries": entries,
        }
    )


def least_count(workers: int) -> int:
    """Of samples: of less, what ends at once is all that comes after the first quarter of a run."""
    return 4 * MOST * workers


def shown(line: dict[str, Any]) -> dict[str, Any]:
    """Prints a line of the results, and returns it."""
    print(f"{line['median_s'] * 1e3:8.1f} ms  {line['group']}: {line['who']}", flush=True)
    return line


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_synthesize", description="Offline synthesis.")
    parser.add_argument("out", type=Path, help="results file to write")
    parser.add_argument("--cases", type=int, default=64, help="real cases in the data set")
    parser.add_argument("--count", type=int, help="samples of a run; without it 400, or more if workers are many")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, nargs="+", default=[256, 512], help="of the images")
    parser.add_argument("--device", default="cpu", help="of ours: cpu or cuda")
    chosen = parser.parse_args(arguments)
    least = least_count(chosen.workers)
    count = max(400, least) if chosen.count is None else chosen.count
    if count < least:
        parser.error(f"--count: expected at least {least} samples with {chosen.workers} workers, found {count}")
    torch.set_num_threads(1)  # as in the processes that are timed
    entries: list[dict[str, Any]] = []
    for kind in (kind for kind in offline.KINDS if kind.size in chosen.size):
        with tempfile.TemporaryDirectory() as folder:
            given = (kind, Path(folder), chosen.cases, count, chosen.workers, chosen.rounds, chosen.device)
            entries += [shown(line) for line in measure(*given)]
        # After each, so that a run that is cut off leaves what it has measured.
        chosen.out.write_text(json.dumps(results(entries, chosen.device), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
