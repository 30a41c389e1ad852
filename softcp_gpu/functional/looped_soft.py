"""Soft masks by `loops`, where they run and no gradient is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from softcp_gpu.functional import looped
from softcp_gpu.loops import soft_loops
from softcp_gpu.loops.image_loops import numbers_of
from softcp_gpu.loops.soft_loops import Softness

MOST_STEPS = 254  # of erosion and of dilation: rings are counted in bytes


def softens(mask: Tensor, alpha: float | Tensor, steps: tuple[int, int]) -> bool:
    """Whether `soft_masks` does it, with at most so many steps."""
    drawn = (alpha,) if isinstance(alpha, Tensor) else ()
    dtype = alpha.dtype if isinstance(alpha, Tensor) else torch.get_default_dtype()
    return max(steps) <= MOST_STEPS and dtype == torch.float32 and looped.runs_on(mask, *drawn)


def soft_masks(mask: Tensor, softness: Softness) -> Tensor:
    """`soft_mask.soft_mask` of checked masks (B, 1, *spatial), where `softens` says so."""
    hard = mask if mask.dtype == torch.uint8 else mask.bool()
    return soft_loops.soften_masks(hard.contiguous(), softness)


def softness_of(
    batch: int,
    alpha: float | Tensor,
    k_erode: int | Tensor,
    k_dilate: int | Tensor,
    footprint: str,
    profile: str,
    on_small: str,
) -> Softness:
    """The draws, a number each or one for each sample, and the settings, as loops read them."""
    erodes, dilates = (_each(x, batch, np.int64) for x in (k_erode, k_dilate))
    how = (profile == "geometric", footprint == "cross", on_small == "skip")
    return Softness(_each(alpha, batch, np.float32), erodes, dilates, *how)


def _each(value: float | Tensor, batch: int, dtype: Any) -> np.ndarray:
    """(B,)."""
    if isinstance(value, Tensor):
        return numbers_of(value.cpu().expand(batch), dtype)
    return np.array([value] * batch, dtype)
