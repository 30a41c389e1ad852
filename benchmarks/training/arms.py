"""The arms of the comparison: what is pasted, and whether before training or while training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from benchmarks.training.presets import BOUNDS, REAL_PER_SYNTHETIC, tuned
from softcp_gpu import SoftCP, checks

SHARE = 1 / (1 + REAL_PER_SYNTHETIC)  # of the images trained on, that are synthetic where a set is added


class Arm(NamedTuple):
    """One way to train."""

    title: str
    config: Mapping[str, Any] | None  # keywords of `SoftCP` beside those that all arms share; None: nothing is pasted
    online: bool = False
    share: float = SHARE  # of the images trained on, that are pasted into

    @property
    def soft(self) -> bool:
        """Whether alpha and the numbers of steps mean anything to it."""
        return self.config is not None and "blend" not in self.config


REAL = "real"
ARMS: Mapping[str, Arm] = MappingProxyType(
    {
        REAL: Arm("Real", None),
        "hard": Arm("+ hard CP", {"blend": "hard"}),
        "gaussian-mask": Arm("+ Gaussian-CP (mask)", {"blend": "gaussian-mask"}),
        "gaussian-intensity": Arm("+ Gaussian-CP (intensity)", {"blend": "gaussian-intensity"}),
        "poisson": Arm("+ Poisson-CP", {"blend": "poisson"}),
        "softcp": Arm("+ Soft-CP", {}),
        "softcp-online": Arm("+ Soft-CP, online", {}, online=True),
        "softcp-online-half": Arm("+ Soft-CP, online, half of the images", {}, online=True, share=0.5),
        "hard-online": Arm("+ hard CP, online", {"blend": "hard"}, online=True),
        "softcp-rim": Arm("+ Soft-CP, rim matched", {"match": "rim"}),
        "hard-rim": Arm("+ hard CP, rim matched", {"blend": "hard", "match": "rim"}),
        "gaussian-mask-rim": Arm("+ Gaussian-CP (mask), rim matched", {"blend": "gaussian-mask", "match": "rim"}),
    }
)


def adds_images(name: str) -> bool:
    """Whether an arm trains on more images than there are."""
    return ARMS[name].config is not None and not ARMS[name].online


def config_of(name: str, preset: str, data: str, soft: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """Keywords of `SoftCP` for an arm on a data set; None where nothing is pasted.

    Args:
        name: of the arm.
        preset: its name.
        data: name of the data set.
        soft: settings in place of the data set's.

    Raises:
        ValueError: no such arm, or this version of `SoftCP` does not know what it asks for.
    """
    if name not in ARMS:
        checks.fail("arms", f"names of {', '.join(ARMS)}", repr(name))
    arm = ARMS[name]
    if arm.config is None:
        return None
    settings = dict(tuned(preset, data) if soft is None else soft)
    most = settings.pop("most_scale")
    shared = {**BOUNDS, "object_transform": {"scale": [1 / most, most]}}
    config = {**shared, **(settings if arm.soft else {}), **arm.config}
    try:
        SoftCP(**config)
    except (TypeError, ValueError) as error:
        checks.fail("arms", "those whose blend this softcp_gpu knows", f"{name} ({error})")
    return config


def check(names: Sequence[str], preset: str, data: str) -> None:
    """Whether every arm can be trained, told before the first of them is.

    Raises:
        ValueError: as `config_of`.
    """
    for name in names:
        config_of(name, preset, data)
