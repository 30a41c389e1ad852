"""Where new samples go: into a set of the data set's own format, or into one for nnU-Net."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from softcp_gpu.data import Case, DataError, Layout, Problem, Sample, manifest, run_folder
from softcp_gpu.data.files import stem
from softcp_gpu.data.nnunet_export import NnunetWriter
from softcp_gpu.data.volume_labels import ids_in
from softcp_gpu.synthesize.plan import Pair


class Saver(Protocol):
    """Writes samples, one by one."""

    def start(self, resume: bool) -> list[Problem]:
        """Called before the first sample, or the first after a stop; returns what is wrong with real cases."""

    def save(self, new_id: str, pair: Pair, parents: Sequence[str], sample: Sample) -> list[Path]:
        """Write a sample that shows these patients; returns its files, image first, label last."""

    def finish(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Called after the last sample, with the records of all of them."""

    def into(self, out: Path) -> Saver:
        """The same, of another folder."""


class SameFormat:
    """A set in the data set's own format, of new samples alone.

    Args:
        layout: of the data set.
        out: the new set's folder.
        root: where the layout of the data set starts.
    """

    def __init__(self, layout: Layout, out: Path, root: Path) -> None:
        self.layout, self.out, self.root = layout.undescribed(), out, root

    def start(self, resume: bool) -> list[Problem]:
        """See `Saver.start`. A layout may keep a description, which belongs to no sample."""
        listed = manifest.listed_other(self.out)
        for name in self.layout.descriptions:
            if name not in listed:
                manifest.append_other(self.out, name, [self.out / name])
        return []

    def save(self, new_id: str, pair: Pair, parents: Sequence[str], sample: Sample) -> list[Path]:
        """See `Saver.save`."""
        labels = sample.lesion if sample.labels is None else sample.labels
        like, source = pair.background, pair.source
        return self.layout.save(self.out, new_id, like, sample.image, labels, sample.region, source=source)

    def finish(self, records: Iterable[Mapping[str, Any]]) -> None:
        """See `Saver.finish`."""
        self.layout.describe(self.out, self.root)

    def into(self, out: Path) -> SameFormat:
        """See `Saver.into`."""
        return SameFormat(self.layout, out, self.root)


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
        self.written: dict[str, str] = {}  # the patient of each real case that was written

    def start(self, resume: bool) -> list[Problem]:
        """See `Saver.start`. Writes the real cases; what nnU-Net would refuse is left out."""
        there = self._reopen() if resume else set()
        writer, problems = self._writer(fresh=not resume), []
        listed = manifest.listed_other(self.out)
        for name in ("dataset.json", "splits_final.json"):
            if name not in listed:
                manifest.append_other(self.out, name, [self.out / name])
        for case in self.real:
            sample = None
            try:
                if case.id in there:
                    writer.know_real(case.id, patient_of(case))
                    continue
                sample = self._renumbered(case.masks[0], self.layout.load(case))
                paths = writer.add_real(case.id, patient_of(case), sample)
            except DataError as error:
                if isinstance(error.__cause__, OSError):  # a full disk, say
                    raise
                if sample is not None:  # not all that writes tells why it failed
                    run_folder.check_room(self.out, 2 * sample.image.nbytes)
                problems.append(Problem(case.image, str(error)))
                continue
            if stem(paths[-1]) not in listed:
                manifest.append_other(self.out, stem(paths[-1]), paths, case=case.id)
            self.written[case.id] = patient_of(case)
        return problems

    def save(self, new_id: str, pair: Pair, parents: Sequence[str], sample: Sample) -> list[Path]:
        """See `Saver.save`."""
        known = self._known(parents)
        if not known:
            raise DataError(pair.background.image, "a background that is a real case of the new set", "one left out")
        renumbered = self._renumbered(pair.background.masks[0], sample)
        return self._writer(fresh=False).add_synthetic(new_id, known, renumbered)

    def finish(self, records: Iterable[Mapping[str, Any]]) -> None:
        """See `Saver.finish`."""
        writer = self._writer(fresh=False)
        for case_id, patient in self.written.items():
            writer.know_real(case_id, patient)
        for record in records:
            if record["files"]:
                background, source = record["background"], record["source"]
                names = [background["patient"] or background["id"], source["patient"] or source["id"]]
                writer.know_synthetic(record["id"], self._known(names))
        writer.finish()

    def into(self, out: Path) -> ForNnunet:
        """See `Saver.into`. Real cases are those of the first folder."""
        other = copy(self)
        other.out = out
        if not self.written:
            self._reopen()
            other.written = self.written
        return other

    def _known(self, parents: Sequence[str]) -> list[str]:
        patients = set(self.written.values())
        return [patient for patient in parents if patient in patients]  # a bank may be of other people

    def _reopen(self) -> set[str]:
        """The real cases that an earlier run has written, as far as their files are whole in its list."""
        lines = (line for line in manifest.read_lines(self.out / manifest.OTHER) if "case" in line)
        there = {line["case"] for line in lines if all((self.out / name).is_file() for name in line["files"].values())}
        self.written = {case.id: patient_of(case) for case in self.real if case.id in there}
        return there

    def _writer(self, fresh: bool) -> NnunetWriter:
        labels = {"background": 0, **{name: self.number[label] for label, name in self.names.items()}}
        return NnunetWriter(self.out, self.channels, labels, self.ending, fresh=fresh)

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


def make_saver(format: str, layout: Layout, out: Path, train: Sequence[Case]) -> Saver:
    """The saver of a format.

    Args:
        format: one of `softcp_gpu.choices.FORMATS`.
        layout: of the data set.
        out: the new set's folder.
        train: the cases of the training part, one or more.
    """
    return ForNnunet(layout, out, train) if format == "nnunet" else SameFormat(layout, out, train[0].root)


def patient_of(case: Case) -> str:
    """The patient; where patients are not known, each case counts as one."""
    return case.id if case.patient is None else case.patient
