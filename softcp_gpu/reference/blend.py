"""The weights of the blends that Soft-CP is compared with."""

from __future__ import annotations

from typing import Any

import numpy as np

from softcp_gpu.reference.soft_mask import erode_core, soft_mask


def blend_weight(lesion: np.ndarray, params: Any, config: Any) -> tuple[np.ndarray, np.ndarray, int]:
    """The weight S of each blend.

    Args:
        lesion: (H, W) bool, hard and un-eroded.
        params: one sample of `PasteParams`.
        config: a `PasteConfig`, which names the blend.

    Returns:
        S (H, W) in [0, 1]; the rim to match (H, W) bool, the same for every blend; and the erosion steps taken.
    """
    how = {"footprint": config.footprint, "profile": "geometric" if config.blend == "softcp-geometric" else "softcp"}
    soft = soft_mask(lesion, params.k_erode, params.k_dilate, params.alpha, **how)
    rim = (soft > 0) & ~lesion
    if config.blend in ("softcp", "softcp-geometric"):
        return soft, rim, erode_core(lesion, params.k_erode, config.footprint)[1]
    return lesion.astype(np.float64), rim, 0
