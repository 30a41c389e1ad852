"""Where new samples go: into a set of the data set's own format, or into one for nnU-Net."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from softcp_gpu.data import Case, DataError, Layout, Problem, Sample, manifest
from softcp_gpu.data.nnunet_export import NnunetWriter
from softcp_gpu.data.volume_labels import ids_in
from softcp_gpu.synthesize.plan import Pair

FORMATS = ("same", "nnunet")


class Saver(Protocol):
    """Writes samples, one by one."""

    def start(self) -> list[Problem]:
        """Called before the first sample; returns what is wrong with real cases."""

    def save(self, new_id: str, pair: Pair, parents: Sequence[str], sample: Sample) -> list[Path]:
        """Write a sample that shows these patients; returns its files, image first, label last."""

    def finish(self) -> None:
        """Called after the last sample."""


class SameFormat:
    """A set in the data set's own format, of new samples alone.

    Args:
        layout: of the data set.
        out: the new set's folder.
    """

    def __init__(self, layout: Layout, out: Path) -> None:
        self.layout, self.out = layout, out

    def start(self) -> list[Problem]:
        """See `Saver.start`. A layout may keep a description, which belongs to no sample."""
        manifest.append_other(self.out, [self.out / name for name in self.layout.descriptions])
        return []

    def save(self, new_id: str, pair: Pair, parents: Sequence[str], sample: Sample) -> list[Path]:
        """See `Saver.save`."""
        labels = sample.lesion if sample.labels is None else sample.labels
        like, source = pair.background, pair.source
        return self.layout.save(self.out, new_id, like, sample.image, labels, sample.region, source=source)

    def finish(self) -> None:
        """See `Saver.finish`."""


class ForNnunet:
    """A raw data set of nnU-Net: the real cases, the new samples, and folds in which no parent is validated on.

    nnU-Net asks for class ids without gaps: those of the data set are numbered anew, in order.

    Args:
        layout: of the data set.
        out: the new set's folder.
        real: the cases that nnU-Net is to train and validate on.

    Raises:
        DataError: fewer than two patients, one to train on and one to validate on.
    """

    def __init__(self, layout: Layout, out: Path, real: Sequence[Case]) -> None:
        if len({patient_of(case) for case in real}) < 2:
            raise DataError(real[0].root, "two patients or more, for folds", f"only {patient_of(real[0])}")
        self.layout, self.out, self.real = layout, out, real
        self.names, first = layout.label_names(real), layout.load(real[0])
        self.number = {0: 0, **{label: number for number, label in enumerate(self.names, 1)}}
        self.channels = layout.channel_names(real[0], first)
        self.ending = ".png" if first.grid is None else ".nii.gz"
        self.patients: set[str] = set()  # of the cases that were written

    def start(self) -> list[Problem]:
        """See `Saver.start`. Writes the real cases; what nnU-Net would refuse is left out."""
        labels = {"background": 0, **{name: self.number[label] for label, name in self.names.items()}}
        self.writer = NnunetWriter(self.out, self.channels, labels, self.ending)
        problems = []
        manifest.append_other(self.out, [self.out / "dataset.json", self.out / "splits_final.json"])
        for case in self.real:
            try:
                sample = self._renumbered(case.masks[0], self.layout.load(case))
                paths = self.writer.add_real(case.id, patient_of(case), sample)
            except DataError as error:
                problems.append(Problem(case.image, str(error)))
                continue
            manifest.append_other(self.out, paths)
            self.patients.add(patient_of(case))
        return problems

    def save(self, new_id: str, pair: Pair, parents: Sequence[str], sample: Sample) -> list[Path]:
        """See `Saver.save`."""
        known = [patient for patient in parents if patient in self.patients]  # a bank may be of other people
        if not known:
            raise DataError(pair.background.image, "a background that is a real case of the new set", "one left out")
        return self.writer.add_synthetic(new_id, known, self._renumbered(pair.background.masks[0], sample))

    def finish(self) -> None:
        """See `Saver.finish`."""
        self.writer.finish()

    def _renumbered(self, mask: Path, sample: Sample) -> Sample:
        if sample.labels is None:
            return sample
        found = ids_in(sample.labels)
        if unknown := found - self.number.keys():
            known, there = (", ".join(map(str, sorted(ids))) for ids in (self.number, unknown))
            raise DataError(mask, f"the labels {known}", there)
        table = np.zeros(max(found) + 1, np.uint16)
        table[list(found)] = [self.number[label] for label in found]
        return replace(sample, labels=table[sample.labels])


def patient_of(case: Case) -> str:
    """The patient; where patients are not known, each case counts as one."""
    return case.id if case.patient is None else case.patient
