"""Runs one after the other: what is there is left alone, what was stopped goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.training import arms, record
from benchmarks.training.course import Course
from benchmarks.training.data import DataSet, Images, Parts, split
from benchmarks.training.measure import measure
from benchmarks.training.pasted import Online, synthetic_count, synthetic_set
from benchmarks.training.presets import REGIMES
from benchmarks.training.record import Run
from benchmarks.training.train import Inputs, State, Trainer
from softcp_gpu import Status, checks


class Place(NamedTuple):
    """Where runs happen and results go."""

    out: Path  # results
    work: Path  # checkpoints
    device: torch.device
    deadline: float  # by `time.monotonic`
    tell: Callable[[str], None] = lambda line: None


def runs(
    data: str,
    preset: str,
    names: Sequence[str],
    regimes: Sequence[str],
    fractions: Sequence[float],
    seeds: Sequence[int],
) -> Iterator[Run]:
    """Seed by seed, and all arms of a comparison one after the other: a sweep that stops leaves whole pairs."""
    for seed in seeds:
        for fraction in fractions:
            for regime in regimes:
                yield from (Run(data, preset, regime, fraction, arm, seed) for arm in names)


def sweep(data: DataSet, wanted: Sequence[Run], place: Place, command: Callable[[Run], str]) -> None:
    """Makes every result that is not there.

    Args:
        data: the data set.
        wanted: the runs, in order.
        place: where.
        command: says how to make one run again.

    Raises:
        OutOfTime: the deadline has come; the same call will go on.
        ValueError: a result or a checkpoint that is there was made with other settings.
    """
    for number, run in enumerate(wanted, 1):
        path = place.out / run.file
        asked = settings_of(run, data)
        if path.exists():
            if (found := record.read(path)["settings"]) != asked:
                checks.fail(str(path), f"a result of {asked}", f"one of {found}")
            continue
        twin = _twin(run, asked, place.out)
        result = twin or run_one(data, run, asked, place) | record.origin(place.device.type, command(run))
        record.write(path, record.check({key: result[key] for key in _ORDER if key in result}))
        (place.work / run.file).with_suffix(".pt").unlink(missing_ok=True)
        scores = result["metrics"] or result["best"]
        shown = ", ".join(f"{name} {value:.4f}" for name, value in scores.items() if isinstance(value, float))
        place.tell(f"{number} of {len(wanted)}: {run.file.as_posix()}: {shown}; {result['seconds']['wall']:.0f} s")


_ORDER = (
    *("schema", "machine", "date", "commit", "command", "run", "settings", "same_as"),
    *("cases", "pasted", "history", "best", "metrics", "seconds"),
)


def settings_of(run: Run, data: DataSet) -> dict[str, Any]:
    """All that decides what a run does."""
    preset = run.settings
    parts = split(data.patients, run.seed, run.fraction, tuning=run.soft is not None)
    whole = len(split(data.patients, run.seed, tuning=run.soft is not None).train)
    per_epoch = max(1, whole // preset.batch)
    epochs = preset.epochs_for(per_epoch, run.soft is not None)
    config = arms.config_of(run.arm, run.preset, run.data, run.soft)
    if run.regime == "epochs":
        own = len(parts.train)
        if arms.adds_images(run.arm):
            own += synthetic_count(own)
        per_epoch = max(1, own // preset.batch)
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in preset._asdict().items()}
    tried = {} if run.soft is None else {"tried": dict(run.soft)}
    return {**plain, "epochs": epochs, "steps": epochs * per_epoch, "softcp": config, **tried}


def run_one(data: DataSet, run: Run, asked: dict[str, Any], place: Place) -> dict[str, Any]:
    """Trains, and tests once.

    Args:
        data: the data set.
        run: which.
        asked: its `settings_of`.
        place: where.

    Returns:
        What `record` describes, without its origin.

    Raises:
        OutOfTime: the deadline has come; the same call will go on.
    """
    parts = split(data.patients, run.seed, run.fraction, tuning=run.soft is not None)
    real = data.images.at(parts.train).to(place.device)
    material = _material(data, parts, real, run, asked["softcp"])
    inputs = Inputs(material.train, data.images.at(parts.val).to(place.device), *_mean_and_std(real))
    course = Course(run.seed, asked["epochs"], asked["steps"] // asked["epochs"])
    kept = (place.work / run.file).with_suffix(".pt")
    trainer = Trainer(run.settings, course, inputs, material.online, kept, asked)
    state = trainer.run(place.deadline)
    return {
        "run": run.plain(),
        "settings": asked,
        "cases": _counts(data, parts, len(material.train.image) - len(real.image)),
        "pasted": _pasted(material, state),
        "history": state.history,
        "best": state.best,
        "metrics": _test(trainer, data, parts, place.device),
        "seconds": {name: round(value, 1) for name, value in state.seconds.items()},
    }


class _Material(NamedTuple):
    train: Images
    online: Online | None
    statuses: dict[str, int]  # of the synthetic set


def _material(data: DataSet, parts: Parts, real: Images, run: Run, config: Mapping[str, Any] | None) -> _Material:
    """What an arm trains on."""
    if config is None:
        return _Material(real, None, {})
    if arms.ARMS[run.arm].online:
        return _Material(real, Online(config, real, run.settings.batch, run.seed, arms.ARMS[run.arm].share), {})
    made = synthetic_set(data, parts.train, config, run.seed)
    return _Material(real.and_(made.images.to(real.image.device)), None, made.statuses)


def _pasted(material: _Material, state: State) -> dict[str, Any]:
    if material.online is None:
        return material.statuses
    counts = zip(Status, state.statuses.tolist(), strict=True)
    return {"p": material.online.p, **{status.label: count for status, count in counts}}


def _test(trainer: Trainer, data: DataSet, parts: Parts, device: torch.device) -> dict[str, Any] | None:
    """The best weights on the test part."""
    if not parts.test:
        return None
    test = data.images.at(parts.test).to(device)
    trainer.state.net.load_state_dict(trainer.state.weights)
    return measure(trainer.logits(trainer.normal(test.image.float() / 255)) > 0, test.mask)


def _mean_and_std(images: Images) -> tuple[torch.Tensor, torch.Tensor]:
    x = images.image.float() / 255
    return x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), keepdim=True).clamp_min(1e-3)


def _counts(data: DataSet, parts: Parts, synthetic: int) -> dict[str, int]:
    lesions = int(data.images.mask[parts.train].flatten(1).any(1).sum())
    patients = len({data.patients[i] for i in parts.train})
    sizes = {name: len(numbers) for name, numbers in parts._asdict().items()}
    return {**sizes, "train_with_lesion": lesions, "train_patients": patients, "synthetic": synthetic}


def _twin(run: Run, asked: Mapping[str, Any], out: Path) -> dict[str, Any] | None:
    """The result of the other regime where it is the very same run: the arm adds no images, and all data are used."""
    for regime in REGIMES:
        path = out / run._replace(regime=regime).file
        if run.soft is None and regime != run.regime and not arms.adds_images(run.arm) and path.exists():
            result = record.read(path)
            if result["settings"] == asked:
                return result | {"run": run.plain(), "same_as": regime}
    return None
