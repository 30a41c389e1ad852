"""The way of a sample: pair after pair is tried, and each try is kept for its record."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from softcp_gpu.data import Problem
from softcp_gpu.modules import LesionBank
from softcp_gpu.synthesize.plan import Pair


class Try(NamedTuple):
    """What became of one pair."""

    status: str
    pasted: dict[str, Any] = {}  # noqa: RUF012 - a tuple's default is never changed
    problem: Problem | None = None
    bad_background: bool = False


class Course:
    """The tries of one sample."""

    pair: Pair  # of the last one

    def __init__(self, number: int) -> None:
        self.number, self.id = number, f"synth_{number:06d}"
        self.last, self.skipped = Try(""), 0
        self.tries: list[dict[str, str]] = []
        self.problems: dict[Problem, None] = {}  # each once, in their order

    def note(self, last: Try, bank: LesionBank | None) -> None:
        """Adds a try."""
        source = source_of(self.pair, bank)["id"]
        self.tries.append({"background": self.pair.background.id, "source": source, "status": last.status})
        self.problems |= {last.problem: None} if last.problem else {}
        self.skipped += last.bad_background
        self.last = last


def source_of(pair: Pair, bank: LesionBank | None) -> dict[str, Any]:
    """Who gave the lesion: a case, or a row of a bank with the case that it was cut out of."""
    if pair.source is not None:
        return {"id": pair.source.id, "patient": pair.source.patient}
    assert bank is not None
    row = int(bank.draw(torch.tensor([pair.seed])))
    return {"id": bank.entries[row].case, "patient": bank.entries[row].patient, "bank_row": row}
