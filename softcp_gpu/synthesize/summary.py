"""The counts of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from softcp_gpu import __version__
from softcp_gpu.data import Problem, manifest
from softcp_gpu.synthesize.duplicates import NearDuplicate
from softcp_gpu.synthesize.settings import Settings


@dataclass
class Summary:
    """What a run did, or of a dry run: would do; `summary.json` holds it too."""

    layout: str
    real: int
    requested: int
    split: str
    region: str = "none"
    lesion_labels: set[int] = field(default_factory=set)  # ids that were lesions in what was pasted
    problems: list[Problem] = field(default_factory=list)
    duplicates: list[NearDuplicate] = field(default_factory=list)  # across the split
    statuses: Counter[str] = field(default_factory=Counter)  # of the samples, after their last try
    tries: Counter[str] = field(default_factory=Counter)  # of every single try
    resumed: int = 0  # samples that an earlier run had made
    bytes_expected: int = 0  # of all samples, if each is as large as the files of its background

    @property
    def written(self) -> int:
        """Samples that were pasted and saved."""
        return self.statuses["pasted"]

    def add(self, record: Mapping[str, Any]) -> None:
        """Counts a sample."""
        self.statuses[record["status"]] += 1
        self.lesion_labels.update(record.get("lesion_labels", []))
        self.tries.update(attempt["status"] for attempt in record["tries"])
        for told in record["problems"]:
            self.tell(Problem(Path(told["path"]), told["reason"]))

    def tell(self, problem: Problem) -> None:
        """Adds a problem; each is told once."""
        if problem not in self.problems:
            self.problems.append(problem)

    def plain(self, settings: Settings, data: str, augmentation: str) -> dict[str, Any]:
        """What `summary.json` holds.

        Args:
            settings: of the run.
            data: the name of the data set's folder.
            augmentation: what was used, in words.
        """
        bank = None if settings.bank is None else Path(settings.bank).name
        asked = {**settings.plain(), "bank": bank}
        return {
            "schema": manifest.SCHEMA,
            **asked,
            "data": data,
            "softcp_gpu": __version__,
            "layout": self.layout,
            "split": self.split,
            "region": self.region,
            "lesion_labels": sorted(self.lesion_labels),
            "augmentation": augmentation.splitlines(),  # each sample names its labels
            "real": self.real,
            "requested": self.requested,
            "written": self.written,
            "statuses": dict(self.statuses),
            "tries": dict(self.tries),
            "problems": [{"path": str(problem.path), "reason": problem.reason} for problem in self.problems],
            "near_duplicates": [pair._asdict() for pair in self.duplicates],
        }
