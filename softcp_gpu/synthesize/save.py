"""Where new samples go: into a set of the data set's own format, or into one for nnU-Net."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from softcp_gpu.data import Case, Layout, Sample, manifest
from softcp_gpu.data.nnunet_export import NnunetWriter
from softcp_gpu.synthesize.plan import Pair

FORMATS = ("same", "nnunet")


class Saver(Protocol):
    """Writes samples, one by one."""

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
    """

    def __init__(self, layout: Layout, out: Path, real: Sequence[Case]) -> None:
        self.out, self.patients = out, {patient_of(case) for case in real}
        first, names = layout.load(real[0]), layout.label_names(real)
        self.ids = np.zeros(max(names) + 1, np.uint8 if max(names) < 256 else np.uint16)
        self.ids[list(names)] = range(1, len(names) + 1)
        labels = {"background": 0, **{name: number for number, name in enumerate(names.values(), 1)}}
        ending = ".png" if first.grid is None else ".nii.gz"
        self.writer = NnunetWriter(out, layout.channel_names(real[0], first), labels, ending)
        for case in real:
            paths = self.writer.add_real(case.id, patient_of(case), self._renumbered(layout.load(case)))
            manifest.append_other(out, paths)

    def save(self, new_id: str, pair: Pair, parents: Sequence[str], sample: Sample) -> list[Path]:
        """See `Saver.save`."""
        known = [patient for patient in parents if patient in self.patients]  # a bank may be of other people
        return self.writer.add_synthetic(new_id, known, self._renumbered(sample))

    def finish(self) -> None:
        """See `Saver.finish`."""
        manifest.append_other(self.out, [self.out / "dataset.json", self.out / "splits_final.json"])
        self.writer.finish()

    def _renumbered(self, sample: Sample) -> Sample:
        return sample if sample.labels is None else replace(sample, labels=self.ids[sample.labels])


def patient_of(case: Case) -> str:
    """The patient; where patients are not known, each case counts as one."""
    return case.id if case.patient is None else case.patient
