"""One new sample: pairs are tried until one can be pasted and saved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from softcp_gpu.data import DataError, Layout, Problem, Sample, manifest
from softcp_gpu.modules import LesionBank
from softcp_gpu.synthesize.foreground import foreground
from softcp_gpu.synthesize.pair import Augmentation, Pasted, paste_pair
from softcp_gpu.synthesize.plan import Pair, Pairing
from softcp_gpu.synthesize.save import Saver, patient_of

TRIES = 8  # pairs that are tried for one sample before it is given up


@dataclass(frozen=True)
class Shown:
    """A finished sample, for pictures and progress."""

    number: int
    status: str
    background: Sample | None  # None: could not be read
    pasted: Pasted | None  # None: no try was pasted


class Made(NamedTuple):
    """A finished sample, the line of the record about it, and the files that were of no use."""

    shown: Shown
    record: dict[str, Any]
    problems: list[Problem]


class _Try(NamedTuple):
    status: str
    background: Sample | None = None
    pasted: Pasted | None = None
    saved: dict[str, Any] | None = None
    problem: Problem | None = None
    bad_background: bool = False


@dataclass(frozen=True)
class SampleMaker:
    """What the samples of a run have in common."""

    pairing: Pairing
    layout: Layout
    augmentation: Augmentation
    bank: LesionBank | None  # gives the lesions where the pairing names no source
    device: torch.device
    saver: Saver
    out: Path
    region: str  # as in `Summary`

    def check(self) -> None:
        """Tries the first pair without saving it, so that settings that do not fit the data are told at once.

        Raises:
            ValueError: naming the setting.
        """
        pair = self.pairing.draw(0, 0)
        try:
            background = self.layout.load(pair.background)
            source = self._load_source(pair, background)
        except DataError:  # told when its turn comes
            return
        paste_pair(self.augmentation, background, source, _place(background, self.region), pair.seed, self.device)

    def make(self, number: int) -> Made:
        """Tries pairs until one is pasted and saved; a bad file costs a try."""
        new_id, skipped = f"synth_{number:06d}", 0
        tries: list[dict[str, str]] = []
        problems: list[Problem] = []
        for attempt in range(TRIES):
            pair = self.pairing.draw(number, attempt, skipped)
            last = self._try(new_id, pair)
            source = _source(pair, self.bank)
            tries.append({"background": pair.background.id, "source": source["id"], "status": last.status})
            problems += [last.problem] if last.problem else []
            skipped += last.bad_background
            if last.saved:
                break
        record = {"id": new_id, "status": last.status, "tries": tries, **(last.saved or {"files": {}})}
        return Made(Shown(number, last.status, last.background, last.pasted), record, problems)

    def _try(self, new_id: str, pair: Pair) -> _Try:
        try:
            background = self.layout.load(pair.background)
        except DataError as error:
            return _Try("unreadable", problem=Problem(Path(error.args[0]), str(error)), bad_background=True)
        try:
            source = self._load_source(pair, background)
        except DataError as error:
            return _Try("unreadable", background, problem=Problem(Path(error.args[0]), str(error)))
        place = _place(background, self.region)
        pasted = paste_pair(self.augmentation, background, source, place, pair.seed, self.device)
        if pasted.status != "pasted":
            return _Try(pasted.status, background)
        if not pasted.soft_mask.any():  # by a crop of the result
            return _Try("cropped_away", background)
        try:
            return _Try("pasted", background, pasted, self._save(new_id, pair, pasted))
        except DataError as error:
            if isinstance(error.__cause__, OSError):  # a full disk, say: no other pair would do better
                raise
            path = pair.background.image  # the new files have its format
            problem = Problem(path, str(DataError(path, *error.args[1:])))
            return _Try("unwritable", background, problem=problem, bad_background=True)

    def _load_source(self, pair: Pair, background: Sample) -> Sample | LesionBank:
        if pair.source is None:
            assert self.bank is not None  # or the pairing would name a source
            return self.bank
        source = self.layout.load(pair.source)
        there, here = source.image.shape[-1], background.image.shape[-1]
        if source.grid is not None and there != here:
            raise DataError(pair.source.image, f"{here} channels, as {pair.background.id} has", f"{there}")
        return source

    def _save(self, new_id: str, pair: Pair, pasted: Pasted) -> dict[str, Any]:
        """Writes a sample; returns what its record says about it."""
        source = _source(pair, self.bank)
        parents = [patient_of(pair.background), source["patient"] or source["id"]]
        paths = self.saver.save(new_id, pair, parents, pasted.sample)
        *images, mask = paths
        names = {"mask": mask}
        if pair.background.region is not None and len(images) == 2 + len(pair.background.channels):
            names["region"] = images.pop()
        names = {"image" if k == 0 else f"image_{k}": path for k, path in enumerate(images)} | names
        return {
            "background": {"id": pair.background.id, "patient": pair.background.patient},
            "source": source,
            "seed": pair.seed,
            "lesion_labels": list(pasted.lesion_labels),
            "other_labels": list(pasted.other_labels),
            "placement": manifest.plain(pasted.output.placement),
            "params": manifest.plain(pasted.output.params),
            "files": {kind: path.relative_to(self.out).as_posix() for kind, path in names.items()},
            "sha256": {kind: manifest.sha256(path) for kind, path in names.items()},
        }


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
