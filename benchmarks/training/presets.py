"""Sizes and lengths of the runs, and Soft-CP's settings for each data set."""

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

    def epochs_for(self, steps_per_epoch: int) -> int:
        """Epochs of a run on a data set whose whole training part has so many batches.

        Example:
            >>> PRESETS["paper"].epochs_for(42)
            100
        """
        return max(self.epochs, -(-self.least_steps // steps_per_epoch))


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "paper": Preset(256, (32, 64, 128, 256, 512), 2, epochs=100, least_steps=0, bf16=True),
        "cpu": Preset(128, (16, 32, 64, 128, 256), 0, epochs=1, least_steps=1200, lr=1e-3),
        "smoke": Preset(32, (4, 8), 0, epochs=2, least_steps=6, batch=4),
    }
)

BOUNDS: Mapping[str, Any] = MappingProxyType({"min_region_overlap": 1.0, "max_lesion_overlap": 0, "min_visible": 1.0})
"""Where every arm may paste: inside the body, on no other lesion, as a whole."""

DEFAULT_SOFTNESS: Mapping[str, Any] = MappingProxyType({"alpha": 0.7, "k_erode": 1, "k_dilate": "auto"})

SOFTNESS: Mapping[tuple[str, str], Mapping[str, Any]] = MappingProxyType({})
"""Soft-CP's settings by (preset, data set) where `tune` chose others than the default; steps count pixels of `size`."""

GRID: tuple[Mapping[str, Any], ...] = tuple(
    MappingProxyType({"alpha": alpha, "k_erode": k_erode, "k_dilate": "auto"})
    for alpha in (0.5, 0.7, 0.8)
    for k_erode in (0, 1, 2)
)
"""What `tune` tries."""


def softness(preset: str, data: str) -> dict[str, Any]:
    """Soft-CP's settings for a data set."""
    return dict(SOFTNESS.get((preset, data), DEFAULT_SOFTNESS))
