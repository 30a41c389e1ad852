"""The way through `samples.jsonl`: each line is checked by itself, and what all of them say is summed up."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from softcp_gpu.data import DataError, Problem, manifest
from softcp_gpu.synthesize.checking.leaks import ROLES, RealCases
from softcp_gpu.synthesize.checking.listed import file_problems, problem
from softcp_gpu.synthesize.checking.schema import check_record


class Line(NamedTuple):
    """A line that was checked."""

    number: int  # from 0
    record: dict[str, Any] | None  # None: it is not one
    problems: list[Problem]


@dataclass
class Samples:
    """The samples of a run, and what was seen of them."""

    out: Path
    facts: Mapping[str, Any] | None  # of `run.json`; None: it is not what it should be
    cases: RealCases | None  # likewise of `inputs.jsonl`
    share: float  # of those that were pasted is to be made again
    lines: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    tries: Counter[str] = field(default_factory=Counter)
    lesion_labels: set[int] = field(default_factory=set)
    told: set[tuple[str, str]] = field(default_factory=set)  # problems: path and reason
    files: set[str] = field(default_factory=set)
    parents: dict[str, set[str]] = field(default_factory=dict)  # of nnU-Net's format: who is shown in each sample
    _drawn: set[int] = field(default_factory=set)
    _least: tuple[float, int] | None = None

    @property
    def path(self) -> Path:
        """Their list."""
        return self.out / manifest.SAMPLES

    @property
    def drawn(self) -> set[int]:
        """The numbers of the samples to make again."""
        return self._drawn if self._drawn or self._least is None else {self._least[1]}

    def read(self) -> Iterator[tuple[int, bytes]]:
        """The lines as they are; a missing list has none."""
        if self.path.is_file():
            with self.path.open("rb") as file:
                yield from enumerate(file)

    def check(self, numbered: tuple[int, bytes]) -> Line:
        """Checks a line with its files; may be called from many threads."""
        number, text = numbered
        at = f"line {number + 1}"
        if not text.endswith(b"\n"):
            cut_off = "one that is cut off: the run was stopped while writing it"
            return Line(number, None, [problem(self.path, "a whole line", cut_off, at)])
        try:
            record = json.loads(text.decode("utf-8", "surrogateescape"))
            check_record("sample", record, self.path)
        except DataError as error:
            _, expected, found = error.args
            return Line(number, None, [problem(self.path, expected, found, at)])
        except (RecursionError, ValueError):
            return Line(number, None, [problem(self.path, "a JSON object", repr(text[:60]), at)])
        wrong = [problem(self.path, expected, found, at) for expected, found in self._faults(number, record)]
        return Line(number, record, [*wrong, *file_problems(self.out, record)])

    def add(self, line: Line) -> Iterator[Problem]:
        """Counts a line; tells what is wrong with it beside others. Lines come in their order."""
        self.lines += 1
        if (record := line.record) is None:
            return
        self.statuses[record["status"]] += 1
        self.tries.update(attempt["status"] for attempt in record["tries"])
        self.lesion_labels.update(record.get("lesion_labels", ()))
        self.told |= {(told["path"], told["reason"]) for told in record["problems"]}
        for name in record["files"].values():
            if name in self.files:
                yield problem(self.path, "each file in one sample", f"{name} in two", record["id"])
            self.files.add(name)
        if record["status"] == "pasted":
            self._draw(line.number, record["id"])
            if self.facts and self.facts["arguments"]["format"] == "nnunet":
                self.parents[record["id"]] = {record[role]["patient"] or record[role]["id"] for role in ROLES}

    def _faults(self, number: int, record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        expected: dict[str, Any] = {
            "number": number,
            "id": f"synth_{number:06d}",
            "status": record["tries"][-1]["status"],
        }
        if self.facts:
            expected |= {"code": self.facts["softcp_gpu"], "config_sha256": self.facts["config_sha256"]}
        for name, value in expected.items():
            if record[name] != value:
                yield f"{name} {value}", str(record[name])
        if self.cases:
            yield from self.cases.parents(record)

    def _draw(self, number: int, name: str) -> None:
        if self.facts is None or self.share == 0:
            return
        place = int(manifest.digest([self.facts["arguments"]["seed"], name])[:16], 16) / (1 << 64)
        self._least = min(self._least or (place, number), (place, number))
        if place < self.share:
            self._drawn.add(number)
