"""Soft masks by `loops`, where they run and no gradient is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from softcp_gpu.functional import looped
from softcp_gpu.functional.table import soft_mask_table
from softcp_gpu.loops import paste_loops

if TYPE_CHECKING:
    from softcp_gpu.functional.soft_mask import Steps

MOST_STEPS = 254  # of erosion and of dilation: rings are counted in bytes


def softens(mask: Tensor, steps: Steps, footprint: str | Tensor) -> bool:
    """Whether `soft_masks` does it: all is counted in pixels, by one of the two built-in footprints."""
    known = isinstance(footprint, str) and steps.spacing is None and max(steps.erode_max, steps.k_max) <= MOST_STEPS
    return known and steps.alpha.dtype == torch.float32 and looped.works(mask, steps.alpha)


def soft_masks(mask: Tensor, steps: Steps, footprint: str, profile: str, on_small: str) -> Tensor:
    """`soft_mask.soft_mask` of checked masks (B, 1, *spatial) bool, where `softens` says so."""
    soft = torch.from_numpy(np.zeros(mask.shape, np.float32))
    numbers = np.stack([steps.k_erode, steps.k_dilate], 1)
    weights = tables(steps.alpha, steps.k_dilate, steps.k_max, profile)
    how = {"cross": footprint == "cross", "skips": on_small == "skip"}
    paste_loops.soften_masks(mask.contiguous(), numbers, weights, soft, **how)
    return soft


def tables(alpha: Tensor, k_dilate: Tensor, k_max: int, profile: str) -> np.ndarray:
    """S at d steps from the core, for each sample, as loops read it: (B, k_max + 2) float32."""
    return soft_mask_table(alpha.detach(), k_dilate, k_max, profile).float().numpy()
