"""Leakage across the split, told from the lists of a run: no sample shows a held-out case or its patient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from softcp_gpu.data import manifest
from softcp_gpu.data.nnunet_names import safe_name
from softcp_gpu.data.split import PARTS

ROLES = ("background", "source")


class Fault(NamedTuple):
    """What is not as it should be."""

    expected: str
    found: str


@dataclass
class RealCases:
    """The cases of `inputs.jsonl`; which they are is hashed into `run.json`."""

    from_bank: bool  # whether a bank gave the lesions, which may be of other people
    lines: dict[str, dict[str, Any]] = field(default_factory=dict)  # by id
    held_out: set[str] = field(default_factory=set)  # ids and patients that are not trained on

    def add(self, line: Mapping[str, Any]) -> None:
        """Takes a line; where its lesions are is of no use here, and may be long."""
        self.lines[line["id"]] = {name: value for name, value in line.items() if name != "lesions"}
        if line["part"] != "train":
            self.held_out |= {line["id"], line["patient"]} - {None}

    @property
    def usable(self) -> int:
        """Training cases that could be read."""
        return sum(line["part"] == "train" and "shape" in line for line in self.lines.values())

    def digest(self) -> str:
        """The `data_sha256` of these cases."""
        return manifest.digest({name: [line["part"], line["files"]] for name, line in self.lines.items()})

    def parents(self, record: Mapping[str, Any]) -> Iterator[Fault]:
        """What is wrong with the parents of a sample, and with those that were tried."""
        for role, name in sorted({(role, attempt[role]) for attempt in record["tries"] for role in ROLES}):
            yield from self._tried(role, name)
        if record["status"] != "pasted":
            return
        pair = {role: record[role]["id"] for role in ROLES}
        if record["tries"][-1] != {**pair, "status": "pasted"}:
            yield Fault("background and source of the last try", f"{pair['background']} and {pair['source']}")
        for role in ROLES:
            yield from self._parent(role, record[role])

    def _tried(self, role: str, name: str) -> Iterator[Fault]:
        if role == "source" and self.from_bank:
            if name in self.held_out:
                yield Fault("a lesion of a case that is not held out", name)
            return
        line = self.lines.get(name)
        if line is None or line["part"] != "train":
            part = (
                manifest.INPUTS + " has no such case" if line is None else f"{manifest.INPUTS} has it in {line['part']}"
            )
            yield Fault(f"a {role} of the training part", f"{name}, and {part}")
        elif not line.get(role):
            yield Fault(f"a {role} that {manifest.INPUTS} calls one", name)

    def _parent(self, role: str, parent: Mapping[str, Any]) -> Iterator[Fault]:
        if role == "source" and self.from_bank != ("bank_row" in parent):
            lesions = ("a lesion of a case", "a lesion of the bank")
            yield Fault(lesions[self.from_bank], lesions[not self.from_bank])
        elif role == "source" and self.from_bank:
            if parent["patient"] in self.held_out:
                yield Fault("a lesion of a patient who is not held out", f"{parent['id']} of {parent['patient']}")
        elif line := self.lines.get(parent["id"]):
            if parent["patient"] != line["patient"]:
                yield Fault(f"the patient {line['patient']} of the {role} {parent['id']}", str(parent["patient"]))
            if parent.get("sha256") != {name: file["sha256"] for name, file in line["files"].items()}:
                yield Fault(f"the hashes that {manifest.INPUTS} has of the {role} {parent['id']}", "others")

    def patients(self) -> Iterator[Fault]:
        """Patients in two parts of the split."""
        seen: dict[str, str] = {}
        for line in self.lines.values():
            patient, part = line["patient"], line["part"]
            if patient is not None and part in PARTS and seen.setdefault(patient, part) != part:
                yield Fault("each patient in one part", f"{patient} in {seen[patient]} and {part}")

    def split(self, parts: Mapping[str, Sequence[str]]) -> Iterator[Fault]:
        """Where `split.json` says other than `inputs.jsonl`."""
        for part in PARTS:
            here, there = {name for name, line in self.lines.items() if line["part"] == part}, set(parts.get(part, ()))
            for name in sorted(here ^ there):
                expected = f"{name} in {part}, as in {manifest.INPUTS}" if name in here else f"no {name} in {part}"
                yield Fault(expected, "none" if name in here else "it")

    def folds(self, folds: Sequence[Mapping[str, Sequence[str]]], parents: Mapping[str, set[str]]) -> Iterator[Fault]:
        """Folds of `splits_final.json` that validate on somebody whom they train on.

        Args:
            folds: {"train": ids, "val": ids} of each, with ids as nnU-Net's files have them.
            parents: the patients that each synthetic sample shows.
        """
        patient_of = {safe_name(name): line["patient"] or name for name, line in self.lines.items()}
        for number, fold in enumerate(folds):
            validated = {patient_of.get(name, name) for name in fold["val"]}
            for name in fold["val"]:
                if name not in patient_of:
                    yield Fault(f"real cases to validate on in fold {number}", name)
            for name in fold["train"]:
                shown = parents.get(name, {patient_of.get(name, name)})
                if both := sorted(shown & validated):
                    yield Fault(f"other patients in train of fold {number} than in its val", f"{both[0]} in {name}")
