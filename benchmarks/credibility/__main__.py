"""How credible is a pasted lesion's rim? Scores, figures and the tables in README.md.

    python -m benchmarks.credibility score --data FOLDER --out FILE.json
    python -m benchmarks.credibility figures --out FOLDER [--data FOLDER]
    python -m benchmarks.credibility report

Pictures of real data are for your own eyes unless the data's licence says otherwise.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from benchmarks.credibility import images, report, results
from benchmarks.credibility.pastes import VARIANTS
from benchmarks.credibility.score import Settings
from softcp_gpu.data import DataError

LONGEST = 256  # pixels


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.credibility", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    score = commands.add_parser("score", help="a results file of one data set")
    score.add_argument("--data", type=Path, required=True, help="folder of the data set")
    score.add_argument("--out", type=Path, required=True, help="results file to write")
    score.add_argument("--cases", type=int, help="take so many, evenly spread")
    score.add_argument("--blends", nargs="+", default=VARIANTS, metavar="BLEND", help=", ".join(VARIANTS))
    figures = commands.add_parser("figures", help="pictures of one lesion, one place, every blend")
    figures.add_argument("--data", type=Path, help="folder of a data set; default: phantoms")
    figures.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    figures.add_argument("--seed", type=int, default=0, help="chooses the lesion and the place")
    commands.add_parser("report", help="write the tables again")
    chosen = parser.parse_args(arguments)
    try:
        {"score": _score, "figures": _figures, "report": lambda _: report.write_tables()}[chosen.command](chosen)
    except (ValueError, DataError) as error:
        parser.error(str(error))


def _score(chosen: argparse.Namespace) -> None:
    torch.set_num_threads(1)  # more cost more than they give on tensors of this size
    data = images.read(chosen.data, LONGEST, chosen.cases)
    options = f" --cases {chosen.cases}" if chosen.cases else ""
    options += f" --blends {' '.join(chosen.blends)}" if chosen.blends is not VARIANTS else ""
    command = f"python -m benchmarks.credibility score --data FOLDER{options}"
    found = results.run(data, chosen.blends, Settings(), command, lambda line: print(line, flush=True))
    chosen.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


def _figures(chosen: argparse.Namespace) -> None:
    from benchmarks.credibility import figures  # matplotlib is optional

    data = images.made_up(12, 160) if chosen.data is None else images.read(chosen.data, LONGEST, figures.CASES)
    for path in figures.draw(data, chosen.out, chosen.seed):
        print(path)


if __name__ == "__main__":
    main()
