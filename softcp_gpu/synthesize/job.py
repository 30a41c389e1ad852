"""What a worker must know to make any sample of a run, wherever it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from softcp_gpu import checks, loops
from softcp_gpu.data import Case, Layout
from softcp_gpu.data.bank_files import load_lesions
from softcp_gpu.modules import LesionBank, SoftCP
from softcp_gpu.synthesize.plan import Pairing
from softcp_gpu.synthesize.sample import SampleMaker
from softcp_gpu.synthesize.save import Saver
from softcp_gpu.synthesize.survey import Inputs


@dataclass(frozen=True)
class Job:
    """A run, small enough to be sent to every worker; what is large, such as a bank, each worker reads itself."""

    layout: Layout
    inputs: Inputs
    backgrounds: list[Case] = field(repr=False)
    sources: list[Case] = field(repr=False)  # none: lesions are drawn from the bank
    seed: int
    config: Mapping[str, Any]  # keywords of SoftCP
    bank: Path | None
    held_out: frozenset[str]  # ids and patients of whom no lesion of the bank may be
    device: str
    saver: Saver
    out: Path
    region: str
    config_sha256: str
    numba: bool = False  # where it computes on a CPU

    def into(self, out: Path) -> Job:
        """The same run with another folder to write to."""
        return replace(self, out=out, saver=self.saver.into(out))

    def maker(self, bank: LesionBank | None = None) -> SampleMaker:
        """Reads what the samples have in common.

        Args:
            bank: where it has been read already.

        Raises:
            DataError: the bank cannot be read.
            ValueError: the device is not there, or no Numba to compute with.
        """
        where = choose_device(self.device)
        numba = self.numba and where.type == "cpu"
        if numba:
            check_numba(where)
        if bank is None and self.bank is not None:
            bank = open_bank(self.bank, self.held_out)
        bank = None if bank is None else bank.to(where)
        return SampleMaker(
            Pairing(self.backgrounds, self.sources, self.seed),
            self.layout,
            self.inputs,
            cache(partial(make_augmentation, self.config, bank=bank)),
            bank,
            where,
            self.saver,
            self.out,
            self.region,
            self.config_sha256,
            {case.id: case for case in (*self.backgrounds, *self.sources)},
            numba,
        )


def make_augmentation(
    config: Mapping[str, Any],
    lesion_labels: tuple[int, ...],
    other_labels: tuple[int, ...],
    *,
    bank: LesionBank | None = None,
) -> SoftCP:
    """SoftCP from its keywords; what it does not know is refused."""
    for name in ("lesion_labels", "other_labels", "bank"):
        if name in config:
            raise ValueError(f"config: expected no {name}, which the data set and the call set, found {config[name]!r}")
    checks.number("p", config.get("p", 1.0), 0, 1)  # not used here, but the file may be meant for training too
    try:
        return SoftCP(**{**config, "p": 1.0}, lesion_labels=lesion_labels, other_labels=other_labels, bank=bank)
    except TypeError as error:
        raise ValueError(f"config: expected keywords of SoftCP and its transforms, found: {error}") from error


def open_bank(folder: Path | str, held_out: Iterable[str]) -> LesionBank:
    """A bank without the lesions of those who are not trained on."""
    return LesionBank(load_lesions(folder)).subset(without_patients=set(held_out))


def names_of(cases: Iterable[Case]) -> frozenset[str]:
    """Ids and patients."""
    return frozenset(name for case in cases for name in (case.id, case.patient) if name is not None)


def check_numba(device: torch.device) -> None:
    """Numba can compute what it shall: other bits than asked for would be worse than none."""
    if device.type != "cpu":
        checks.fail("numba", "the device cpu, where it computes", str(device))
    if not loops.there():
        checks.fail("numba", "Numba installed (pip install 'softcp-gpu[cpu]') and not switched off", "none that runs")


def choose_device(name: str) -> torch.device:
    """A device by name; "auto" is CUDA if there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        tensor = torch.zeros(1, device=name)
        tensor.item()  # a tensor on "meta" has no values
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device: expected one that this machine has, found {name!r} ({reason})") from error
    return tensor.device
