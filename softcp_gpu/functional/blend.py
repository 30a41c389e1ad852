"""The blends that Soft-CP is compared with: which weight each pastes with, and what it does to the source first.

All of them end in `soft_paste` (equation 1), so a comparison differs in weight and source alone.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from softcp_gpu.functional import execution, fused
from softcp_gpu.functional.carve import carve, most_depth_px
from softcp_gpu.functional.geometry import warp
from softcp_gpu.functional.inputs import Inputs
from softcp_gpu.functional.intensity import gaussian_blur, kernel_radius
from softcp_gpu.functional.lesion import Lesion, lesion_of
from softcp_gpu.functional.poisson import seamless
from softcp_gpu.functional.soft_mask import Steps, rim_reach_px, soften
from softcp_gpu.functional.windows import take_window
from softcp_gpu.types import PasteConfig

Blend = Literal["softcp", "softcp-geometric", "hard", "gaussian-mask", "gaussian-intensity", "poisson", "carvemix"]
BLENDS: tuple[str, ...] = get_args(Blend)
SOFTENED = ("softcp", "softcp-geometric")
BLURRED = ("gaussian-mask", "gaussian-intensity")


class Weight(NamedTuple):
    """How much of each pixel comes from the source, and what else is known from making it."""

    soft: Tensor  # (B, 1, *spatial) in [0, 1]
    rim: Tensor | None  # (B, 1, *spatial) bool: the soft mask's support, for `match_rim`; None: nobody asks
    k_erode: Tensor  # (B,) int64: erosion steps really taken
    survives: Tensor  # (B,) bool: all the steps asked for left a core
    blended: Tensor | None = None  # (B, C, *spatial): the result, where it came with the weight


def reach_px(config: PasteConfig, steps: Steps, origin: Tensor, size: Tensor, shape: tuple[int, ...]) -> list[int]:
    """How far around lesions pixels are looked at or changed.

    Args:
        config: names the blend.
        steps: of the soft mask.
        origin, size: (B, n) int64, the lesions' boxes in the frame.
        shape: n lengths of the frame.

    Returns:
        n numbers, one per axis; without what the lesions tell, where their values may not be read.
    """
    axes = len(shape)
    reach = [kernel_radius(config.blend_sigma_px) if config.blend in BLURRED else 0] * axes
    if config.blend in SOFTENED or config.match == "rim":
        reach = list(map(max, reach, rim_reach_px(steps.k_max, steps.spacing, axes)))
    if config.blend == "carvemix" and execution.may_read_values(origin):
        reach = list(map(max, reach, most_depth_px(origin, size, shape, steps.spacing and steps.spacing.mm)))
    return reach


def blend_weight(lesion: Tensor, steps: Steps, carve_u: Tensor, config: PasteConfig) -> Weight:
    """The weight S of each blend.

    Args:
        lesion: (B, 1, *spatial) bool, hard and un-eroded.
        steps: of the soft mask; of the other blends, only the rim to match depends on it.
        carve_u: (B,), of CarveMix.
        config: names the blend.

    Returns:
        S, and its record.
    """
    if config.blend in SOFTENED:
        soft, rings = soften(lesion, steps, config.footprint, _profile(config), config.on_small)
        return Weight(soft, soft > 0 if config.match == "rim" else None, rings.k_erode, rings.survives)
    # One rim for all blends: so the shift is the same, and they still differ in the blend alone.
    rim = soften(lesion, steps, config.footprint, _profile(config), "shrink")[0] > 0 if config.match == "rim" else None
    taken = steps.k_erode * 0
    soft = lesion.float()
    if config.blend == "gaussian-mask":
        soft = _blurred(soft, config.blend_sigma_px).clamp(max=1)  # a sum of weights may round above 1
    if config.blend == "carvemix":
        soft = carve(lesion, carve_u, steps.spacing and steps.spacing.mm).float()
    return Weight(soft, rim, taken, taken == 0)


def blends_at_once(lesion: Tensor, steps: Steps, config: PasteConfig) -> bool:
    """Whether `blend_at_once` does it: kernels run, and nothing is to be done between weight and paste."""
    return config.blend in SOFTENED and config.match == "none" and fused.softens(lesion, steps, config.footprint)


def blend_at_once(
    lesion: Tensor, steps: Steps, source_image: Tensor, image: Tensor, allowed: Tensor, config: PasteConfig
) -> Weight:
    """`blend_weight`, then `soft_paste` where it is allowed.

    Args:
        lesion, steps, config: as `blend_weight`.
        source_image, image: (B, C, *spatial), as `soft_paste`; the first float32 or float64.
        allowed: (B,) bool; elsewhere S = 0.

    Returns:
        S in the dtype of `source_image`, and the result.
    """
    blended, soft, rings = fused.soften_and_paste(
        lesion, steps, source_image, image, allowed, config.footprint, _profile(config), config.on_small
    )
    return Weight(soft, None, rings.k_erode, rings.survives, blended)


def _profile(config: PasteConfig) -> str:
    """Of S over the rings."""
    return "geometric" if config.blend == "softcp-geometric" else "softcp"


def blend_source(source_image: Tensor, image: Tensor, lesion: Tensor, config: PasteConfig) -> Tensor:
    """What each blend does to the source's intensities before they are pasted.

    Args:
        source_image: (B, C, *spatial) floating, already where the lesion shall lie.
        image: (B, C, *spatial) floating, the background.
        lesion: (B, 1, *spatial) bool.
        config: names the blend.

    Returns:
        (B, C, *spatial).
    """
    if config.blend == "gaussian-intensity":
        return _blurred(source_image, config.blend_sigma_px)
    if config.blend == "poisson":
        return seamless(source_image, image.to(source_image.dtype), lesion)
    return source_image


def auto_sigma_px(blend: str) -> float:
    """The sigma of each blend that blurs, where none is given.

    A mask blurred with 2.5 px falls from 0.9 to 0.1 within 2.56 sigma = 6.4 px, as wide as the default soft mask: so
    the two differ in shape. Intensities keep more of the lesion's texture with 1 px.
    """
    return 2.5 if blend == "gaussian-mask" else 1.0


def _blurred(image: Tensor, sigma_px: float) -> Tensor:
    return gaussian_blur(image, image.new_full((1,), sigma_px), kernel_radius(sigma_px))


def source_labels(
    x: Inputs,
    lesion: Lesion,
    labels: Tensor,
    offset: Tensor,
    corner: Tensor,
    tile: tuple[int, ...],
    config: PasteConfig,
) -> tuple[Tensor, Tensor]:
    """The source's whole label as it will lie in a tile of the frame, for the blend that pastes it too.

    Args:
        x: the sources.
        lesion: their lesions.
        labels: (B, 1, *tile), the lesions as they will lie there.
        offset: (B, n) int64, how far they are moved.
        corner: (B, n) int64, first pixel of the tile.
        tile: n lengths.
        config: tells lesions from other ids.

    Returns:
        (B, 1, *tile) int64: the lesion's ids, and around it the other ids; and (B, 1, *tile) bool: inside the source.
    """
    known = torch.where(lesion_of(x.source_mask, config.lesion_labels), 0, x.source_mask).to(torch.int64) + 1
    if lesion.matrix is None:
        known = take_window(known, corner - offset, tile)
    else:
        known = warp(known, lesion.moved(offset), "nearest", origin=corner, size=tile)
    hard = labels != 0
    return torch.where(hard, labels.to(torch.int64), (known - 1).clamp(min=0)), hard | (known > 0)
