"""Soft masks by `loops`, where they run and no gradient is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from softcp_gpu.functional import looped
from softcp_gpu.loops import paste_loops
from softcp_gpu.loops.image_loops import numbers_of
from softcp_gpu.loops.paste_loops import Softness

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
    softness = softness_of(steps.alpha, steps.k_erode, steps.k_dilate, profile, footprint, on_small)
    paste_loops.soften_masks(mask.contiguous(), softness, soft)
    return soft


def softness_of(
    alpha: Tensor, k_erode: Tensor, k_dilate: Tensor, profile: str, footprint: str, on_small: str
) -> Softness:
    """The draws, (B,) each, and the settings, as loops read them."""
    erodes, dilates = (numbers_of(x, np.int64) for x in (k_erode, k_dilate))
    how = (profile == "geometric", footprint == "cross", on_small == "skip")
    return Softness(numbers_of(alpha, np.float32), erodes, dilates, *how)
