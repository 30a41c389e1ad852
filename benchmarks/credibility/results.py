"""What a results file of this benchmark holds, `benchmarks/results/<version>/credibility-<data set>.json`.

    {"schema": 1, "kind": "credibility",
     "machine", "date", "commit": as in `benchmarks.schema`,
     "command": that gives the figures, with FOLDER for the data set's,
     "data": {"name", "images", "patients": with a lesion that was pasted, "pastes", "patches": of each class},
     "settings": {name: value},
     "real_gradient_percent": estimate, of full scale per pixel,
     "control_auc": estimate,
     "entries": [{"variant", "auc", "gradient_ratio", "core_change_percent": estimates}]}

An estimate is {"value", "low", "high"}, with the ends of a 95 % interval over patients.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import common, schema
from benchmarks.credibility.images import DataSet
from benchmarks.credibility.pastes import ALPHA, K_ERODE
from benchmarks.credibility.score import Settings, measure, scores

SCHEMA, KIND = 1, "credibility"
FIGURES = ("auc", "gradient_ratio", "core_change_percent")
_TOP = {
    "schema": int,
    "kind": str,
    "machine": dict,
    "date": str,
    "commit": (str, type(None)),
    "command": str,
    "data": dict,
    "settings": dict,
    "real_gradient_percent": dict,
    "control_auc": dict,
    "entries": list,
}
_DATA = {"name": str, "images": int, "patients": int, "pastes": int, "patches": int}
_ESTIMATE = {"value": float, "low": float, "high": float}


def run(
    data: DataSet, variants: Sequence[str], settings: Settings, command: str, tell: Callable[[str], None]
) -> dict[str, Any]:
    """A results file.

    Args:
        data: the images.
        variants: what to score.
        settings: how.
        command: as it is written into the file.
        tell: is given a line about each figure.
    """
    found = measure(data.images, variants, settings)
    counts = {"patients": len(set(found.patient)), "pastes": len(found.patient), "patches": len(found.real)}
    chosen = {**settings._asdict(), **settings.training._asdict(), "alpha": ALPHA, "k_erode": K_ERODE}
    del chosen["training"]
    return check(
        {
            "schema": SCHEMA,
            "kind": KIND,
            "machine": common.machine(),
            "date": datetime.date.today().isoformat(),
            "commit": common.commit(),
            "command": command,
            "data": {"name": data.name, "images": len(data.images), **counts},
            "settings": chosen,
            **scores(found, settings, tell),
        }
    )


def check(results: Any) -> dict[str, Any]:
    """The results themselves if they are complete.

    Raises:
        ValueError: naming the field, what was expected and what was found.
    """
    schema.fields("results", results, _TOP)
    if (results["schema"], results["kind"]) != (SCHEMA, KIND):
        found = results["schema"], results["kind"]
        raise ValueError(f"results.schema, results.kind: expected {SCHEMA, KIND}, found {found}")
    schema.check_machine(results["machine"])
    schema.fields("data", results["data"], _DATA)
    for name in ("real_gradient_percent", "control_auc"):
        _check_estimate(name, results[name])
    if not results["entries"]:
        raise ValueError("entries: expected at least one, found none")
    for i, entry in enumerate(results["entries"]):
        schema.fields(f"entries[{i}]", entry, {"variant": str, **dict.fromkeys(FIGURES, dict)})
        for name in FIGURES:
            _check_estimate(f"entries[{i}].{name}", entry[name])
    return results


def _check_estimate(name: str, found: Any) -> None:
    schema.fields(name, found, _ESTIMATE)
    if not found["low"] <= found["high"]:
        raise ValueError(f"{name}: expected low <= high, found {found}")
