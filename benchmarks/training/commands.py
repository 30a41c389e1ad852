"""What the commands `run` and `tune` do."""

from __future__ import annotations

import argparse
import math

from benchmarks.training import arms, record, tuning
from benchmarks.training.data import DataSet, load
from benchmarks.training.presets import PRESETS
from benchmarks.training.record import Run
from benchmarks.training.sweep import Place, runs, sweep
from benchmarks.training.train import OutOfTime
from softcp_gpu import checks
from softcp_gpu.synthesize.job import choose_device

STOPPED = 3


def run(chosen: argparse.Namespace, began: float) -> int:
    """Trains all arms that are asked for.

    Args:
        chosen: the arguments.
        began: by `time.monotonic`, when the time limit began.
    """
    names = chosen.arms.split(",")
    for fraction in chosen.fraction:
        checks.number("fraction", fraction, 0, 1)
    arms.check(names, chosen.preset, "")  # before anything is read
    data = load(chosen.data, PRESETS[chosen.preset].size, chosen.layout)
    wanted = list(runs(data.name, chosen.preset, names, chosen.regime, chosen.fraction, chosen.seeds))
    return _sweep(chosen, began, data, wanted)


def tune(chosen: argparse.Namespace, began: float) -> int:
    """Tries Soft-CP's settings, and says which were the best on the validation parts.

    Args:
        chosen, began: as for `run`.
    """
    data = load(chosen.data, PRESETS[chosen.preset].size, chosen.layout)
    wanted = tuning.trials(data.name, chosen.preset, chosen.seeds)
    if code := _sweep(chosen, began, data, wanted):
        return code
    ranked = tuning.choices(record.read(chosen.out / trial.file) for trial in wanted)
    for choice in ranked:
        _tell(f"validation DSC {choice.val_dsc:.4f}, loss {choice.val_loss:.4f}, {choice.seeds} seeds: {choice.soft}")
    _tell(f"for TUNED in presets.py: {(chosen.preset, data.name)!r}: {ranked[0].soft}")
    return 0


def _sweep(chosen: argparse.Namespace, began: float, data: DataSet, wanted: list[Run]) -> int:
    deadline = math.inf if chosen.minutes is None else began + 60 * chosen.minutes
    place = Place(chosen.out, chosen.work or chosen.out / ".work", choose_device(chosen.device), deadline, _tell)
    try:
        sweep(data, wanted, place, command_of)
    except OutOfTime:
        _tell("time is up: the same command goes on")
        return STOPPED
    return 0


def command_of(run: Run) -> str:
    """How to make one run again; DATA is the folder of the data set."""
    words = (
        f"--preset {run.preset} --arms {run.arm} --regime {run.regime} --fraction {run.fraction:g} --seeds {run.seed}"
    )
    if run.soft is not None:
        words = f"--preset {run.preset} --seeds {run.seed}"
    return f"python -m benchmarks.training {'run' if run.soft is None else 'tune'} --data DATA {words}"


def _tell(line: str) -> None:
    print(line, flush=True)
