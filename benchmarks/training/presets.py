"""Sizes and lengths of the runs, and settings for each data set."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

REGIMES = ("epochs", "steps")
REAL_PER_SYNTHETIC = 3


class Preset(NamedTuple):
    """The paper's protocol, or what a small machine can do of it."""

    size: int  # images are resized to size x size pixels
    channels: tuple[int, ...]  # of the U-Net's levels
    residual_units: int  # in each level
    epochs: int
    least_steps: int  # there are more epochs where the whole training part would give fewer steps than this
    bf16: bool = False  # on CUDA
    batch: int = 8
    lr: float = 5e-4
    cosine: float = 1.5  # T_max in lengths of the run: the paper's 150 to 100 epochs

    def epochs_for(self, steps_per_epoch: int, tuning: bool = False) -> int:
        """Epochs of a run on a data set whose whole training part has so many batches; half of them for a trial.

        Example:
            >>> PRESETS["paper"].epochs_for(42)
            100
        """
        epochs = max(self.epochs, -(-self.least_steps // steps_per_epoch))
        return -(-epochs // 2) if tuning else epochs


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "paper": Preset(256, (32, 64, 128, 256, 512), 2, epochs=100, least_steps=0, bf16=True),
        "cpu": Preset(128, (16, 32, 64, 128, 256), 0, epochs=1, least_steps=1200, lr=1e-3),
        "smoke": Preset(32, (4, 8), 0, epochs=2, least_steps=6, batch=4),
    }
)

BOUNDS: Mapping[str, Any] = MappingProxyType({"min_region_overlap": 1.0, "max_lesion_overlap": 0, "min_visible": 1.0})
"""Where every arm may paste: inside the body, on no other lesion, as a whole."""

DEFAULT: Mapping[str, Any] = MappingProxyType({"alpha": 0.7, "k_erode": 1, "k_dilate": "auto", "most_scale": 1.25})
"""Settings that depend on the data. `most_scale` is every arm's: lesions are scaled by 1 / most_scale to most_scale."""

TUNED: Mapping[tuple[str, str], Mapping[str, Any]] = MappingProxyType(
    {
        ("cpu", "lgg"): {**DEFAULT, "k_erode": 0},
        ("cpu", "kvasir"): {**DEFAULT, "k_dilate": 2},
        ("cpu", "busi"): {**DEFAULT, "most_scale": 2.0},
    }
)
"""What `tune` chose, by (preset, data set); steps count pixels of `size`."""

_OTHERS = ({}, {"alpha": 0.5}, {"alpha": 0.8}, {"k_erode": 0}, {"k_erode": 2}, {"k_dilate": 2}, {"most_scale": 2.0})
GRID: tuple[Mapping[str, Any], ...] = tuple(MappingProxyType({**DEFAULT, **other}) for other in _OTHERS)
"""What `tune` tries: the default, and one step from it in every direction."""


def tuned(preset: str, data: str) -> dict[str, Any]:
    """The settings for a data set."""
    return dict(TUNED.get((preset, data), DEFAULT))
