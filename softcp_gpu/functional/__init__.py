"""Soft-CP as pure functions on tensors, (B, C, *spatial) with two or three spatial axes."""

from softcp_gpu.functional.carve import carve
from softcp_gpu.functional.geometry import (
    about,
    affine_matrix,
    compose,
    crop_matrix,
    rigid_matrix,
    scaling,
    translation,
    warp,
)
from softcp_gpu.functional.intensity import gamma, gaussian_blur, gaussian_noise, value_range
from softcp_gpu.functional.paste import hard_union, match_rim, soft_copy, soft_paste
from softcp_gpu.functional.pipeline import soft_cp
from softcp_gpu.functional.placement import draw_offset, legal_offsets
from softcp_gpu.functional.poisson import seamless
from softcp_gpu.functional.soft_mask import soft_mask
from softcp_gpu.functional.table import auto_k_dilate, soft_mask_table

__all__ = [
    "about",
    "affine_matrix",
    "auto_k_dilate",
    "carve",
    "compose",
    "crop_matrix",
    "draw_offset",
    "gamma",
    "gaussian_blur",
    "gaussian_noise",
    "hard_union",
    "legal_offsets",
    "match_rim",
    "rigid_matrix",
    "scaling",
    "seamless",
    "soft_copy",
    "soft_cp",
    "soft_mask",
    "soft_mask_table",
    "soft_paste",
    "translation",
    "value_range",
    "warp",
]
