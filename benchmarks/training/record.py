"""What the JSON of one run holds, the check of it, and where it lies.

{"schema": 1,
 "machine": as in benchmarks/schema.py, with "monai",
 "date", "commit", "command": when, from which code, and how to run it again; DATA is the data set's folder,
 "run": {"data", "preset", "regime", "fraction", "arm", "seed"},
 "settings": the preset's, "epochs", "steps", "softcp": keywords of `SoftCP` or null, and what a trial has "tried",
 "cases": {"train", "val", "test", "train_with_lesion", "train_patients", "synthetic"},
 "pasted": {status: samples}, and "p" where they were pasted while training,
 "history": {"step": [...], "lr": [...], "train_loss": [...], "val_loss": [...], "val_dsc": [...]}, after each round,
 "best": {"step", "val_loss", "val_dsc"}: the weights that were tested,
 "metrics": {"dsc", "iou", "dsc_pooled", "iou_pooled", "accuracy", "false_positive_rate"} on the test part; or null
    where settings were tuned,
 "seconds": {"cpu", "wall"}: of the training alone,
 "same_as": the regime whose run was the very same, optional}
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import common, schema
from benchmarks.training.presets import PRESETS, REGIMES, Preset

SCHEMA = 1
_TOP = {
    "schema": int,
    "machine": dict,
    "date": str,
    "command": str,
    "run": dict,
    "settings": dict,
    "cases": dict,
    "pasted": dict,
    "history": dict,
    "best": dict,
    "metrics": (dict, type(None)),
    "seconds": dict,
}
_RUN = {"data": str, "preset": str, "regime": str, "fraction": float, "arm": str, "seed": int}
_CASES = dict.fromkeys(("train", "val", "test", "train_with_lesion", "train_patients", "synthetic"), int)
_HISTORY = dict.fromkeys(("step", "lr", "train_loss", "val_loss", "val_dsc"), list)
_BEST = {"step": int, "val_loss": float, "val_dsc": float}
_METRICS = {
    **dict.fromkeys(("dsc", "iou", "dsc_pooled", "iou_pooled", "accuracy"), float),
    "false_positive_rate": (float, type(None)),
}


class Run(NamedTuple):
    """One training."""

    data: str  # name of the data set
    preset: str
    regime: str
    fraction: float  # of the training part's patients
    arm: str
    seed: int  # of the division, the first weights, the order of batches and every draw
    soft: Mapping[str, Any] | None = None  # settings, while they are tuned

    @property
    def file(self) -> Path:
        """Where its result lies in the folder of results."""
        tried = "" if self.soft is None else "-".join(f"{key}_{value}" for key, value in self.soft.items()) + "-"
        name = f"{self.arm}-{self.regime}-{round(100 * self.fraction)}pct-{tried}seed{self.seed}.json"
        return Path(self.preset, self.data, *(["tune"] if self.soft is not None else []), name)

    @property
    def settings(self) -> Preset:
        """Those of its preset."""
        return PRESETS[self.preset]

    def plain(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {name: value for name, value in self._asdict().items() if name != "soft"}


def origin(device: str, command: str) -> dict[str, Any]:
    """Where a result comes from."""
    from importlib.metadata import version

    machine = common.machine(device) | {"monai": version("monai")}
    today = datetime.date.today().isoformat()
    return {"schema": SCHEMA, "machine": machine, "date": today, "commit": common.commit(), "command": command}


def check(result: Any) -> dict[str, Any]:
    """The result itself if it is complete.

    Raises:
        ValueError: naming the field, what was expected and what was found.
    """
    schema.fields("result", result, _TOP)
    if result["schema"] != SCHEMA:
        raise ValueError(f"result.schema: expected {SCHEMA}, found {result['schema']}")
    schema.check_machine(result["machine"])
    schema.fields("machine", result["machine"], {"monai": str})
    parts = {"run": _RUN, "cases": _CASES, "history": _HISTORY, "best": _BEST, "seconds": {"cpu": float, "wall": float}}
    for name, kinds in parts.items():
        schema.fields(name, result[name], kinds)
    if result["metrics"] is not None:
        schema.fields("metrics", result["metrics"], _METRICS)
    if result["run"]["regime"] not in REGIMES:
        raise ValueError(f"run.regime: expected one of {REGIMES}, found {result['run']['regime']!r}")
    lengths = {len(values) for values in result["history"].values()}
    if len(lengths) != 1 or result["best"]["step"] not in result["history"]["step"]:
        raise ValueError(f"history: expected as many of each, with the best step, found {lengths} values")
    return result


def read(path: Path) -> dict[str, Any]:
    """A checked result.

    Raises:
        ValueError: as `check`.
    """
    return check(json.loads(path.read_text("utf-8")))


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Writes JSON, whole or not at all; a line for each of its parts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in content.items())
    new.write_text(f"{{\n{lines}\n}}\n", "utf-8")
    os.replace(new, path)
