"""New samples: pairs are tried until one can be pasted and saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from softcp_gpu import __version__
from softcp_gpu.data import Case, DataError, Layout, Problem, Sample, manifest, run_folder
from softcp_gpu.modules import LesionBank
from softcp_gpu.synthesize.course import Course, Try, source_of
from softcp_gpu.synthesize.foreground import Bodies
from softcp_gpu.synthesize.pair import Augmentation, Parents, Pasted, paste_pairs
from softcp_gpu.synthesize.plan import Pair, Pairing
from softcp_gpu.synthesize.save import Saver, patient_of
from softcp_gpu.synthesize.survey import Inputs, label_pixels, lesion_facts

Record = dict[str, Any]
Each = Callable[..., Iterable[Any]]
TRIES = 8  # pairs that are tried for one sample before it is given up


class Shown(NamedTuple):
    """A pasted sample with its parents, for pictures."""

    number: int
    background: Sample
    pasted: Pasted


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
    numba: bool = False

    def check(self) -> None:
        """Tries the first pair without saving it, so that settings that do not fit the data are told at once.

        Raises:
            ValueError: naming the setting.
        """
        pair = self.pairing.draw(0, 0)
        try:
            self._paste([self._parents(pair, self._load(pair.background))])
        except DataError:  # told when its turn comes
            return

    def make(self, numbers: Sequence[int], each: Each = map) -> list[Record]:
        """Makes samples, computed together: pairs are tried until each is pasted and saved; a bad file costs a try.

        Args:
            numbers: of the samples.
            each: `map`, or that of a pool of threads, for what is read and written.

        Returns:
            Their records.
        """
        courses = [Course(number) for number in numbers]
        for _ in range(TRIES):
            coming = [course for course in courses if not course.last.pasted]
            read = [*each(self._read, coming)]
            whole = [(course, one) for course, one in zip(coming, read, strict=True) if isinstance(one, Parents)]
            pasted = self._paste([parents for _, parents in whole])
            ends = iter([*each(self._end, *zip(*whole, strict=True), pasted)] if whole else [])
            for course, one in zip(coming, read, strict=True):
                course.note(next(ends) if isinstance(one, Parents) else one, self.bank)
        return [self._record(course) for course in courses]

    def _record(self, course: Course) -> Record:
        record = {"schema": manifest.SCHEMA, "id": course.id, "number": course.number, "status": course.last.status}
        record |= {"code": __version__, "config_sha256": self.config_sha256, "tries": course.tries}
        told = [{"path": str(problem.path), "reason": problem.reason} for problem in course.problems]
        return {**record, "problems": told, **(course.last.pasted or {"files": {}})}

    def show(self, record: Mapping[str, Any]) -> Shown:
        """Pastes a recorded sample again, without saving it.

        Args:
            record: of a sample that was pasted.

        Raises:
            DataError: a parent is not there, cannot be read, or is no longer what it was.
        """
        pair = self.pair_of(record)
        background = self._load(pair.background)
        return Shown(record["number"], background, self._pasted(pair, background))

    def save_again(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Pastes and saves a recorded sample again; returns what its record should say."""
        pair = self.pair_of(record)
        background = self._load(pair.background)
        return self._save(record["id"], pair, background, self._pasted(pair, background))

    def pair_of(self, record: Mapping[str, Any]) -> Pair:
        """The parents and the seed that a record names."""
        background = self._case(record["background"]["id"])
        source = record["source"]
        return Pair(background, None if "bank_row" in source else self._case(source["id"]), record["seed"])

    def _case(self, case_id: str) -> Case:
        if case_id not in self.cases:
            raise DataError(self.inputs.root, f"the parent {case_id}", "no such case in the training part")
        return self.cases[case_id]

    def _read(self, course: Course) -> Parents | Try:
        """The parents of a sample's next try."""
        pair = course.pair = self.pairing.draw(course.number, len(course.tries), course.skipped)
        try:
            background = self._load(pair.background)
        except DataError as error:
            return Try("unreadable", problem=Problem(Path(error.args[0]), str(error)), bad_background=True)
        try:
            return self._parents(pair, background)
        except DataError as error:
            return Try("unreadable", problem=Problem(Path(error.args[0]), str(error)))

    def _end(self, course: Course, parents: Parents, pasted: Pasted) -> Try:
        """What became of a try; what was pasted is saved."""
        if pasted.status != "pasted":
            return Try(pasted.status)
        if not pasted.change.soft.size:  # by a crop of the result
            return Try("cropped_away")
        try:
            return Try("pasted", self._save(course.id, course.pair, parents.background, pasted))
        except DataError as error:
            if isinstance(error.__cause__, OSError):  # a full disk, say: no other pair would do better
                raise
            run_folder.check_room(self.out, 2 * pasted.sample.image.nbytes)  # not all that writes tells why it failed
            path = course.pair.background.image  # the new files have its format
            problem = Problem(path, str(DataError(path, *error.args[1:])))
            return Try("unwritable", problem=problem, bad_background=True)
        except OSError as error:  # where not even what was written can be removed
            raise DataError(self.out, "a folder that can be written", error.strerror or str(error)) from error

    def _load(self, case: Case) -> Sample:
        self.inputs.check(case)
        return self.layout.load(case)

    def _parents(self, pair: Pair, background: Sample) -> Parents:
        source = self._loadsource_of(pair, background)
        return Parents(background, source, self._place(pair.background, background), pair.seed)

    def _paste(self, pairs: Sequence[Parents]) -> list[Pasted]:
        return paste_pairs(self.augmentation, pairs, self.device, numba=self.numba)

    def _pasted(self, pair: Pair, background: Sample) -> Pasted:
        return self._paste([self._parents(pair, background)])[0]

    def _place(self, case: Case, background: Sample) -> np.ndarray | None:
        """What the lesion must touch; it grows in its organ, so one that is drawn in another colour is part of it."""
        if self.region == "none":
            return None
        if background.region is not None:
            return background.region | background.lesion
        return self._bodies.of(case.id, background.image)

    @cached_property
    def _bodies(self) -> Bodies:
        return Bodies()

    def _loadsource_of(self, pair: Pair, background: Sample) -> Sample | LesionBank:
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
        source = source_of(pair, self.bank)
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
            **pasted.record,
            **_facts(background, pasted),
            "files": {kind: path.relative_to(self.out).as_posix() for kind, path in names.items()},
            "sha256": {kind: manifest.sha256(path) for kind, path in names.items()},
            "bytes": {kind: path.stat().st_size for kind, path in names.items()},
        }


def _facts(background: Sample, pasted: Pasted) -> dict[str, Any]:
    """What is in the new label, and the pasted lesion in its new place."""
    result = pasted.sample
    new, spacing, lesion = pasted.new(background), background.grid and background.grid.spacing_mm, None
    if new.any():
        lesion = lesion_facts(new, pasted.change.box, result.lesion.shape, result.labels, spacing)
    return {"label_pixels": label_pixels(result.lesion, result.region, result.labels), "lesion": lesion}
