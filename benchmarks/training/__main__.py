"""Trains the arms of the comparison, chooses settings, writes the report.

python -m benchmarks.training run --data FOLDER --preset cpu --arms real,hard,softcp --seeds 0-4
python -m benchmarks.training tune --data FOLDER --preset cpu
python -m benchmarks.training report RESULTS
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

from benchmarks.training import arms
from benchmarks.training.presets import PRESETS, REGIMES
from softcp_gpu import checks

RESULTS = Path(__file__).parent / "results"


def whole_numbers(text: str) -> list[int]:
    """Numbers and ranges.

    Example:
        >>> whole_numbers("0-2,7")
        [0, 1, 2, 7]
    """
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def fractions(text: str) -> list[float]:
    """Shares of the training data."""
    return [float(part) for part in text.split(",")]


def regimes(text: str) -> list[str]:
    """Names of regimes."""
    for name in text.split(","):
        checks.choice("regime", name, REGIMES)
    return text.split(",")


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.training", description="The paper's comparison.")
    commands = made.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="train, and write a JSON file for each run")
    run.add_argument("--arms", default=",".join(arms.ARMS), help="names, with commas: %(default)s")
    run.add_argument("--regime", type=regimes, default=["epochs", "steps"], help="epochs, steps or both")
    run.add_argument("--fraction", type=fractions, default=[1.0], help="of the training patients: 0.1,0.2,0.4,0.7,1")
    tune = commands.add_parser("tune", help="choose Soft-CP's settings on validation data")
    for command, seeds in ((run, "0-4"), (tune, "0-1")):
        command.add_argument("--data", type=Path, required=True, help="folder of the data set")
        command.add_argument("--layout", help="of the data set; found by looking if left out")
        command.add_argument("--preset", choices=PRESETS, default="cpu")
        command.add_argument("--seeds", type=whole_numbers, default=seeds, help="such as 0-4 or 0,2")
        command.add_argument("--out", type=Path, default=RESULTS, help="folder of results")
        command.add_argument("--work", type=Path, help="folder for checkpoints; OUT/.work if left out")
        command.add_argument("--minutes", type=float, help="stop after so many; the same command goes on")
        command.add_argument("--threads", type=int, help="of torch")
        command.add_argument("--device", default="auto")
    report = commands.add_parser("report", help="write tables and figures from results")
    report.add_argument("results", type=Path, nargs="?", default=RESULTS)
    return made


def main(arguments: list[str] | None = None) -> int:
    """The command line: 0 if all is done, 3 if the time was up."""
    began = time.monotonic()
    chosen = parser().parse_args(arguments)
    if chosen.command == "report":
        from benchmarks.training import report

        report.write(chosen.results)
        return 0
    from benchmarks.training import commands

    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    try:
        return commands.run(chosen, began) if chosen.command == "run" else commands.tune(chosen, began)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
