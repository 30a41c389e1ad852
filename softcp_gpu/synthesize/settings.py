"""What a run is asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from softcp_gpu import checks
from softcp_gpu.choices import FORMATS
from softcp_gpu.data import DataError, Layout, find_layout, manifest
from softcp_gpu.data.bank_files import INDEX
from softcp_gpu.synthesize.change import LESION
from softcp_gpu.synthesize.job import check_numba, choose_device, make_augmentation

_NOT_A_SAMPLES_BUSINESS = ("ratio", "count", "device", "split", "fold")  # the parts themselves count, as data


@dataclass(frozen=True)
class Settings:
    """What a run is asked for; see `synthesize`."""

    layout: str | None = None
    lesion_label: Sequence[int] | None = None
    region_label: Sequence[int] | None = None
    ratio: str = "3:1"
    count: int | None = None
    seed: int = 0
    device: str = "auto"
    config: Mapping[str, Any] | None = None
    split: str = "auto"
    fold: int | None = None
    region: str = "auto"
    bank: Path | str | None = None
    format: str = "same"
    numba: bool = False

    def check(self) -> None:
        """What can be told without the data set.

        Raises:
            ValueError: naming the setting.
        """
        checks.choice("region", self.region, ("auto", "none"))
        checks.choice("format", self.format, FORMATS)
        where = choose_device(self.device)
        if self.numba:
            check_numba(where)
        make_augmentation(self.config or {}, (LESION,), ())

    def find_layout(self, data: Path) -> Layout:
        """The data set's layout, with the roles that are asked for."""
        found = find_layout(data, self.layout)
        if self.lesion_label or self.region_label:
            found = found.with_roles(self.lesion_label or None, self.region_label or None)
        return found

    def plain(self) -> dict[str, Any]:
        """What JSON can hold; a module in the config becomes its `repr`."""
        bank = None if self.bank is None else str(Path(self.bank).resolve())
        config = json.loads(json.dumps(dict(self.config or {}), default=repr))
        return {**asdict(replace(self, config=None)), "config": config, "bank": bank}

    def digest(self) -> str:
        """A hash of all that a sample depends on besides the data and its parts.

        Raises:
            DataError: the bank cannot be read.
        """
        facts = {name: value for name, value in self.plain().items() if name not in _NOT_A_SAMPLES_BUSINESS}
        if self.bank is not None:
            index = Path(self.bank) / INDEX
            if not index.is_file():
                raise DataError(self.bank, f"the folder of a lesion bank, with {INDEX}", "none")
            facts["bank"] = manifest.sha256(index)
        return manifest.digest(facts)
