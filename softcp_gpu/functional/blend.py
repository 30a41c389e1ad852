"""The blends that Soft-CP is compared with: which weight each pastes with, and what it does to the source first.

All of them end in `soft_paste` (equation 1), so a comparison differs in weight and source alone.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from softcp_gpu.functional import execution
from softcp_gpu.functional.soft_mask import Steps, rim_reach_px, soften
from softcp_gpu.types import PasteConfig

BLENDS = ("softcp", "softcp-geometric", "hard")
SOFTENED = BLENDS[:2]


class Weight(NamedTuple):
    """How much of each pixel comes from the source, and what else is known from making it."""

    soft: Tensor  # (B, 1, *spatial) in [0, 1]
    rim: Tensor | None  # (B, 1, *spatial) bool: the soft mask's support, for `match_rim`; None: nobody asks
    k_erode: Tensor  # (B,) int64: erosion steps really taken
    survives: Tensor  # (B,) bool: all the steps asked for left a core


def reach_px(config: PasteConfig, steps: Steps, lesion: Tensor) -> Tensor:
    """How far around a lesion (B, 1, *spatial) its pixels are looked at or changed, per axis, (n,) int64."""
    axes = lesion.ndim - 2
    reach = [0] * axes
    if config.blend in SOFTENED or config.match == "rim":
        reach = rim_reach_px(steps.k_max, steps.spacing, axes)
    return execution.constants(reach, lesion)


def blend_weight(lesion: Tensor, steps: Steps, config: PasteConfig) -> Weight:
    """The weight S of each blend.

    Args:
        lesion: (B, 1, *spatial) bool, hard and un-eroded.
        steps: of the soft mask; of the other blends, only the rim to match depends on it.
        config: names the blend.

    Returns:
        S, and its record.
    """
    profile = "geometric" if config.blend == "softcp-geometric" else "softcp"
    if config.blend in SOFTENED:
        soft, rings = soften(lesion, steps, config.footprint, profile, config.on_small)
        return Weight(soft, soft > 0 if config.match == "rim" else None, rings.k_erode, rings.survives)
    # One rim for all blends: so the shift is the same, and they still differ in the blend alone.
    rim = soften(lesion, steps, config.footprint, profile, "shrink")[0] > 0 if config.match == "rim" else None
    taken = steps.k_erode * 0
    return Weight(lesion.float(), rim, taken, taken == 0)
