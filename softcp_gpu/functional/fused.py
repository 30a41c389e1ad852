"""Soft mask and blend in the passes of `kernels`, where they run; else the functions beside this file do the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from softcp_gpu import kernels
from softcp_gpu.functional.rings import Rings
from softcp_gpu.functional.table import soft_mask_table, weight_dtype
from softcp_gpu.kernels import lesion_operators, operators, soft_operators

if TYPE_CHECKING:
    from softcp_gpu.functional.soft_mask import Steps


def softens(lesion: Tensor, steps: Steps, footprint: str | Tensor) -> bool:
    """Whether kernels soften these masks: they count pixels, and know the two built-in footprints."""
    return steps.spacing is None and isinstance(footprint, str) and kernels.run_on(lesion)


def softens_at_once(mask: Tensor, alpha: float | Tensor, steps: tuple[int, int]) -> bool:
    """Whether `soft_operators.soft_mask` does it: few steps, and no gradient is asked for."""
    if not kernels.run_on(mask):
        return False
    asked = torch.is_grad_enabled() and isinstance(alpha, Tensor) and alpha.requires_grad
    return max(steps) <= soft_operators.MOST_STEPS and not asked


def soften(lesion: Tensor, steps: Steps, footprint: str, profile: str, on_small: str) -> tuple[Tensor, Rings]:
    """`soft_mask.soften`, where `softens` says so."""
    box = lesion_operators.noted(lesion)
    depth, taken, survives = _core(lesion, box, steps, footprint)
    table = _weights(steps, profile, survives if on_small == "skip" else None)
    soft, level = operators.soft_weight(depth, box, taken, table, footprint)
    return soft, Rings(level, taken, survives)


def soften_and_paste(
    lesion: Tensor,
    steps: Steps,
    source_image: Tensor,
    image: Tensor,
    allowed: Tensor,
    footprint: str,
    profile: str,
    on_small: str,
) -> tuple[Tensor, Tensor, Rings]:
    """`soften`, then `soft_paste` where allowed, with nothing between them, where `softens` says so.

    Args:
        lesion, steps, footprint, profile, on_small: as `soften`.
        source_image: (B, C, *spatial) float32 or float64, already where the lesion shall lie.
        image: (B, C, *spatial) floating, the background.
        allowed: (B,) bool; elsewhere S = 0.

    Returns:
        the blend, as `image`; S, (B, 1, *spatial) in the dtype of `source_image`; and the ring counts without levels.
    """
    box = lesion_operators.noted(lesion)
    depth, taken, survives = _core(lesion, box, steps, footprint)
    shown = allowed & survives if on_small == "skip" else allowed
    table = _weights(steps, profile, shown).to(source_image.dtype)
    blended, soft = operators.soft_blend(depth, box, taken, table, source_image, image, footprint)
    return blended, soft, Rings(depth, taken, survives)


def _core(lesion: Tensor, box: Tensor, steps: Steps, footprint: str) -> tuple[Tensor, Tensor, Tensor]:
    """Depths, the erosion steps that each sample takes, and whether those are all that it was asked for."""
    if not steps.erode_max:
        taken = torch.zeros_like(steps.k_erode)
        return lesion, taken, taken == steps.k_erode
    depth, possible = operators.erosion_depth(
        lesion, box, steps.erode_max, max(steps.erode_max, steps.k_max), footprint
    )
    taken = torch.minimum(steps.k_erode, possible)
    return depth, taken, taken == steps.k_erode


def _weights(steps: Steps, profile: str, shown: Tensor | None) -> Tensor:
    """S as a function of the level, (B, k_max + 2); 0 for a sample that is not shown."""
    table = soft_mask_table(steps.alpha, steps.k_dilate, steps.k_max, profile).flip(1).to(weight_dtype(steps.alpha))
    return table if shown is None else table * shown[:, None]
