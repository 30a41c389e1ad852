"""One new sample: pairs are tried until one can be pasted and saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from softcp_gpu import __version__
from softcp_gpu.data import Case, DataError, Layout, Problem, Sample, manifest, run_folder
from softcp_gpu.data.masks import box_of
from softcp_gpu.modules import LesionBank
from softcp_gpu.synthesize.foreground import foreground
from softcp_gpu.synthesize.pair import Augmentation, Pasted, paste_pair, pasted_lesion
from softcp_gpu.synthesize.plan import Pair, Pairing
from softcp_gpu.synthesize.save import Saver, patient_of
from softcp_gpu.synthesize.survey import Inputs, label_pixels, lesion_facts

TRIES = 8  # pairs that are tried for one sample before it is given up


class Shown(NamedTuple):
    """A pasted sample with its parents, for pictures."""

    number: int
    background: Sample
    pasted: Pasted


class _Try(NamedTuple):
    status: str
    pasted: dict[str, Any] = {}  # noqa: RUF012 - a tuple's default is never changed
    problem: Problem | None = None
    bad_background: bool = False


@dataclass(frozen=True)
class SampleMaker:
    """What the samples of a run have in common."""

    pairing: Pairing
    layout: Layout
    inputs: Inputs
    augmentation: Augmentation
    bank: LesionBank | None  # gives the lesions where the pairing names no source
    device: torch.device
    saver: Saver
    out: Path
    region: str  # as in `Summary`
    config_sha256: str
    cases: Mapping[str, Case] = field(repr=False)  # by id: those that may be parents

    def check(self) -> None:
        """Tries the first pair without saving it, so that settings that do not fit the data are told at once.

        Raises:
            ValueError: naming the setting.
        """
        pair = self.pairing.draw(0, 0)
        try:
            self._paste(pair, self._load(pair.background))
        except DataError:  # told when its turn comes
            return

    def make(self, number: int) -> dict[str, Any]:
        """Tries pairs until one is pasted and saved; a bad file costs a try. Returns the sample's record."""
        new_id, skipped = f"synth_{number:06d}", 0
        tries: list[dict[str, str]] = []
        problems: dict[Problem, None] = {}
        for attempt in range(TRIES):
            pair = self.pairing.draw(number, attempt, skipped)
            last = self._try(new_id, pair)
            source = _source(pair, self.bank)["id"]
            tries.append({"background": pair.background.id, "source": source, "status": last.status})
            problems |= {last.problem: None} if last.problem else {}
            skipped += last.bad_background
            if last.pasted:
                break
        record = {"schema": manifest.SCHEMA, "id": new_id, "number": number, "status": last.status}
        record |= {"code": __version__, "config_sha256": self.config_sha256, "tries": tries}
        told = [{"path": str(problem.path), "reason": problem.reason} for problem in problems]
        return {**record, "problems": told, **(last.pasted or {"files": {}})}

    def show(self, record: Mapping[str, Any]) -> Shown:
        """Pastes a recorded sample again, without saving it.

        Args:
            record: of a sample that was pasted.

        Raises:
            DataError: a parent is not there, cannot be read, or is no longer what it was.
        """
        pair = self.pair_of(record)
        background = self._load(pair.background)
        return Shown(record["number"], background, self._paste(pair, background))

    def save_again(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Pastes and saves a recorded sample again; returns what its record should say."""
        pair = self.pair_of(record)
        background = self._load(pair.background)
        return self._save(record["id"], pair, background, self._paste(pair, background))

    def pair_of(self, record: Mapping[str, Any]) -> Pair:
        """The parents and the seed that a record names."""
        background = self._case(record["background"]["id"])
        source = record["source"]
        return Pair(background, None if "bank_row" in source else self._case(source["id"]), record["seed"])

    def _case(self, case_id: str) -> Case:
        if case_id not in self.cases:
            raise DataError(self.inputs.root, f"the parent {case_id}", "no such case in the training part")
        return self.cases[case_id]

    def _try(self, new_id: str, pair: Pair) -> _Try:
        try:
            background = self._load(pair.background)
        except DataError as error:
            return _Try("unreadable", problem=Problem(Path(error.args[0]), str(error)), bad_background=True)
        try:
            pasted = self._paste(pair, background)
        except DataError as error:
            return _Try("unreadable", problem=Problem(Path(error.args[0]), str(error)))
        if pasted.status != "pasted":
            return _Try(pasted.status)
        if not pasted.soft_mask.any():  # by a crop of the result
            return _Try("cropped_away")
        try:
            return _Try("pasted", self._save(new_id, pair, background, pasted))
        except DataError as error:
            if isinstance(error.__cause__, OSError):  # a full disk, say: no other pair would do better
                raise
            run_folder.check_room(self.out, 2 * pasted.sample.image.nbytes)  # not all that writes tells why it failed
            path = pair.background.image  # the new files have its format
            problem = Problem(path, str(DataError(path, *error.args[1:])))
            return _Try("unwritable", problem=problem, bad_background=True)
        except OSError as error:  # where not even what was written can be removed
            raise DataError(self.out, "a folder that can be written", error.strerror or str(error)) from error

    def _load(self, case: Case) -> Sample:
        self.inputs.check(case)
        return self.layout.load(case)

    def _paste(self, pair: Pair, background: Sample) -> Pasted:
        source = self._load_source(pair, background)
        place = _place(background, self.region)
        return paste_pair(self.augmentation, background, source, place, pair.seed, self.device)

    def _load_source(self, pair: Pair, background: Sample) -> Sample | LesionBank:
        if pair.source is None:
            assert self.bank is not None  # or the pairing would name a source
            return self.bank
        source = self._load(pair.source)
        there, here = source.image.shape[-1], background.image.shape[-1]
        if source.grid is not None and there != here:
            raise DataError(pair.source.image, f"{here} channels, as {pair.background.id} has", f"{there}")
        return source

    def _save(self, new_id: str, pair: Pair, background: Sample, pasted: Pasted) -> dict[str, Any]:
        """Writes a sample; returns what its record says about it."""
        source = _source(pair, self.bank)
        source |= {"sha256": self.inputs.hashes(pair.source)} if pair.source else {}
        parents = [patient_of(pair.background), source["patient"] or source["id"]]
        paths = self.saver.save(new_id, pair, parents, pasted.sample)
        *images, mask = paths
        names = {"mask": mask}
        if pair.background.region is not None and len(images) == 2 + len(pair.background.channels):
            names["region"] = images.pop()
        names = {"image" if k == 0 else f"image_{k}": path for k, path in enumerate(images)} | names
        known = {"id": pair.background.id, "patient": pair.background.patient}
        return {
            "background": {**known, "sha256": self.inputs.hashes(pair.background)},
            "source": source,
            "seed": pair.seed,
            "lesion_labels": list(pasted.lesion_labels),
            "other_labels": list(pasted.other_labels),
            "placement": manifest.plain(pasted.output.placement),
            "params": manifest.plain(pasted.output.params),
            **_facts(background, pasted),
            "files": {kind: path.relative_to(self.out).as_posix() for kind, path in names.items()},
            "sha256": {kind: manifest.sha256(path) for kind, path in names.items()},
            "bytes": {kind: path.stat().st_size for kind, path in names.items()},
        }


def _facts(background: Sample, pasted: Pasted) -> dict[str, Any]:
    """What is in the new label, and the pasted lesion in its new place."""
    result = pasted.sample
    new = pasted_lesion(background, pasted)
    spacing, box = background.grid and background.grid.spacing_mm, box_of(new)
    lesion = lesion_facts(new[box], box, new.shape, result.labels, spacing) if new.any() else None
    return {"label_pixels": label_pixels(result.lesion, result.region, result.labels), "lesion": lesion}


def _place(background: Sample, region: str) -> np.ndarray | None:
    """What the lesion must touch; it grows in its organ, so one that is drawn in another colour is part of it."""
    if region == "none":
        return None
    return foreground(background.image) if background.region is None else background.region | background.lesion


def _source(pair: Pair, bank: LesionBank | None) -> dict[str, Any]:
    """Who gave the lesion: a case, or a row of a bank with the case that it was cut out of."""
    if pair.source is not None:
        return {"id": pair.source.id, "patient": pair.source.patient}
    assert bank is not None
    row = int(bank.draw(torch.tensor([pair.seed])))
    return {"id": bank.entries[row].case, "patient": bank.entries[row].patient, "bank_row": row}
