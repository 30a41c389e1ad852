"""Samples made again from their parents, and compared with what the run wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from softcp_gpu import __version__
from softcp_gpu.data import Case, DataError, Problem, manifest, read_image, read_volume
from softcp_gpu.data.files import VOLUME_SUFFIXES, suffix
from softcp_gpu.synthesize.again import Run
from softcp_gpu.synthesize.checking.leaks import ROLES
from softcp_gpu.synthesize.checking.listed import problem
from softcp_gpu.synthesize.survey import files_of, relative

_OF_FILES = ("sha256", "bytes")
_SHOWN = 60


class Remaker:
    """Makes samples of a run again, into a folder of their own.

    Args:
        run: the run.
        folder: where to.

    Raises:
        DataError: the bank cannot be read.
        ValueError: the device is not there.
    """

    def __init__(self, run: Run, folder: Path) -> None:
        self.run, self.folder, self.maker = run, folder, run.maker(folder)

    def make(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Makes a sample that was pasted; its files lie below the folder.

        Returns:
            What its record should say.

        Raises:
            DataError: a parent or the bank is gone, or a parent has changed.
        """
        if "bank_row" in record["source"] and self.maker.bank is None:
            raise DataError(self.run.out / manifest.RUN, "a bank that gave the lesions", "none")
        for role in ROLES:
            if role == "background" or "bank_row" not in record[role]:
                self._check_files(record[role])
        return json.loads(json.dumps(self.maker.save_again(record)))  # lists for tuples, as in a file

    def problems(self, record: Mapping[str, Any]) -> list[Problem]:
        """How a sample that was pasted differs from what is made again, of which nothing stays."""
        try:
            again = self.make(record)
        except DataError as error:
            path, expected, found = error.args
            return [problem(path, expected, found, f"to make {record['id']} again")]
        except ValueError as error:  # settings that do not fit
            return [Problem(self.run.out / manifest.RUN, f"{record['id']} cannot be made again: {error}")]
        differences = list(self.compare(record, again))
        for name in again["files"].values():
            (self.folder / name).unlink(missing_ok=True)
        return differences

    def compare(self, record: Mapping[str, Any], again: Mapping[str, Any]) -> Iterator[Problem]:
        """How a sample that was made again differs from its record, and then from its files in the run's folder."""
        for name, value in again.items():
            if name not in _OF_FILES and record[name] != value:
                expected, found = f"{name} {_short(record[name])}", f"{_short(value)}{self.elsewhere}"
                yield problem(self.run.out / manifest.SAMPLES, expected, found, f"{record['id']}, made again")
        for kind, name in again["files"].items():
            if record["sha256"].get(kind) != again["sha256"][kind]:
                old, new = self.run.out / name, self.folder / name
                yield problem(old, "the same file", f"{_difference(old, new)}{self.elsewhere}", "made again")

    @property
    def elsewhere(self) -> str:
        """In words, what is another thing here than in the run, if anything is."""
        facts = self.run.facts
        device = (torch.device(facts["arguments"]["device"]).type, self.maker.device.type)
        versions = (
            ("device", *device),
            ("torch", facts["torch"], torch.__version__),
            ("softcp_gpu", facts["softcp_gpu"], __version__),
        )
        others = [f"{name} {there}, here {here}" for name, there, here in versions if here != there]
        return f" (the run had {'; '.join(others)}: bytes may differ)" if others else ""

    def _check_files(self, parent: Mapping[str, Any]) -> None:
        """A case has the files that it had; another one, such as a second mask, may have come."""
        case: Case | None = self.maker.cases.get(parent["id"])
        if case is not None:
            names = {relative(path, self.run.job.inputs.root) for path in files_of(case)}
            if names != parent["sha256"].keys():
                found = ", ".join(sorted(names))
                raise DataError(case.image, f"the files {', '.join(parent['sha256'])} of {case.id}", found)


def _difference(old: Path, new: Path) -> str:
    """How two files differ in what they show, in words."""
    try:
        before, now = _values(old), _values(new)
    except DataError as error:
        return f"none to compare with ({error})"
    if before.shape != now.shape or before.dtype != now.dtype:
        return f"{now.dtype} {now.shape}, made again, and {before.dtype} {before.shape}"
    changed = before != now
    if not changed.any():
        return "the same values in other bytes"
    largest = np.abs(before[changed].astype(np.float64) - now[changed].astype(np.float64)).max()
    return f"{changed.sum()} of {changed.size} values that differ, by {largest:g} at most"


def _values(path: Path) -> np.ndarray:
    return read_volume(path).values if suffix(path) in VOLUME_SUFFIXES else read_image(path)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
