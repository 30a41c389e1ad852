"""The weights of the blends that Soft-CP is compared with."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from softcp_gpu.reference.intensity import gaussian_blur
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
    weight = lesion.astype(np.float64)
    if config.blend == "gaussian-mask":
        weight = blur_mask(weight, config.blend_sigma_px)
    if config.blend == "carvemix":
        weight = carve(lesion, params.carve_u).astype(np.float64)
    return weight, rim, 0


def blur_mask(mask: np.ndarray, sigma_px: float) -> np.ndarray:
    """Gaussian blur (H, W), the kernel cut at 4 sigma; borders are mirrored without repeating the edge pixel."""
    size = 2 * int(np.ceil(4 * sigma_px)) + 1
    return np.asarray(cv2.GaussianBlur(mask, (size, size), sigma_px, borderType=cv2.BORDER_REFLECT_101))


def carve(lesion: np.ndarray, carve_u: float) -> np.ndarray:
    """CarveMix: the pixels whose signed distance to the lesion's boundary is at most a drawn one.

    Args:
        lesion: (H, W) bool.
        carve_u: in [0, 1), the draw: below 0.5 it shrinks by up to half of the depth, else it grows by up to the depth.

    Returns:
        (H, W) bool.
    """
    if lesion.all():
        return lesion
    inside, outside = (
        cv2.distanceTransform(side.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for side in (lesion, ~lesion)
    )
    depth = inside.max()
    reach = (carve_u - 0.5) * depth if carve_u < 0.5 else (2 * carve_u - 1) * depth
    return np.where(lesion, -inside, outside) <= reach


def blend_source(source_image: np.ndarray, config: Any) -> np.ndarray:
    """What each blend does to the source's intensities, (H, W, C), before they are pasted; Poisson has none here."""
    if config.blend == "poisson":
        raise ValueError(f"blend: expected one of this reference, found {config.blend!r}")
    if config.blend == "gaussian-intensity":
        return gaussian_blur(source_image, config.blend_sigma_px, int(np.ceil(4 * config.blend_sigma_px)))
    return source_image
