"""The competitors that need OpenCV or kornia: each takes a batch in its own layout and returns a function to time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import kornia.augmentation as K
import numpy as np
import torch
from torch import Tensor

from softcp_gpu import SoftCP, functional, reference
from softcp_gpu.types import PasteParams, map_params

_FULL = np.ones((3, 3), np.uint8)


def ours(mask: Tensor, softness: dict[str, Any]) -> Callable[[], Tensor]:
    return lambda: functional.soft_mask(mask, **softness)


def footprint_tensor(mask: Tensor, softness: dict[str, Any]) -> Callable[[], Tensor]:
    """Our own other engine, for any footprint: kornia's pooling."""
    return lambda: functional.soft_mask(mask, **softness, footprint=torch.ones(3, 3))


def opencv_float_loop(mask: Tensor, softness: dict[str, Any]) -> Callable[[], list[np.ndarray]]:
    """The paper's loop as the reference has it."""
    images = _images(mask)
    return lambda: [reference.soft_mask(image, **softness) for image in images]


def opencv_lut(mask: Tensor, softness: dict[str, Any]) -> Callable[[], list[np.ndarray]]:
    """OpenCV at its best: dilations of uint8 added up, one table look-up per image."""
    images = _images(mask)
    return lambda: [lut_soft_mask(image, **softness) for image in images]


def opencv_lut_cropped(mask: Tensor, softness: dict[str, Any]) -> Callable[[], list[np.ndarray]]:
    """The same on the box around the lesion alone, which is what our CPU path does too."""
    images = _images(mask)
    return lambda: [cropped_lut_soft_mask(image, **softness) for image in images]


SOFT_MASK: dict[str, Callable[..., Callable[[], Any]]] = {
    "softcp_gpu": ours,
    "OpenCV, the paper's loop in floats": opencv_float_loop,
    "OpenCV, uint8 dilations + LUT": opencv_lut,
    "OpenCV, uint8 dilations + LUT, cropped": opencv_lut_cropped,
    "softcp_gpu, footprint as a tensor (kornia's pooling)": footprint_tensor,
}


def lut_soft_mask(mask: np.ndarray, k_erode: int, k_dilate: int, alpha: float) -> np.ndarray:
    """S of one uint8 0/1 mask whose lesion survives its erosion, (H, W) float32."""
    support = cv2.erode(mask, _FULL, iterations=k_erode)
    rings = support.copy()
    for _ in range(k_dilate):
        support = cv2.dilate(support, _FULL)
        cv2.add(rings, support, dst=rings)
    return cv2.LUT(rings, _table(k_dilate, alpha))


def cropped_lut_soft_mask(mask: np.ndarray, k_erode: int, k_dilate: int, alpha: float) -> np.ndarray:
    """The same, (H, W) float32."""
    x, y, width, height = cv2.boundingRect(mask)
    rows = slice(max(y - k_dilate - 1, 0), y + height + k_dilate + 1)
    columns = slice(max(x - k_dilate - 1, 0), x + width + k_dilate + 1)
    soft = np.zeros(mask.shape, np.float32)
    soft[rows, columns] = lut_soft_mask(mask[rows, columns], k_erode, k_dilate, alpha)
    return soft


def _table(k_dilate: int, alpha: float) -> np.ndarray:
    """S by the number of nested sets (core, ring 1, ..., ring k) that hold a pixel."""
    outside = np.cumprod([1 - alpha**d for d in range(k_dilate, 0, -1)])
    table = np.ones(256, np.float32)
    table[: k_dilate + 1] = [0, *(1 - outside)]
    return table


def reference_loop(
    aug: SoftCP, image: Tensor, mask: Tensor, region: Tensor, params: PasteParams
) -> Callable[[], list[reference.Output]]:
    """The OpenCV reference, one sample after the other, with the params that `aug` drew."""
    images = [np.ascontiguousarray(x) for x in image.permute(0, 2, 3, 1).numpy()]
    masks, regions = _images(mask), _images(region)
    samples = [(i, int(params.source_index[i]), _sample(params, i)) for i in range(len(images))]

    def run() -> list[reference.Output]:
        return [
            reference.soft_cp(images[i], masks[i], regions[i], images[j], masks[j], one, aug.config)
            for i, j, one in samples
        ]

    return run


def kornia_transplantation(image: Tensor, mask: Tensor) -> Callable[[], Any]:
    """kornia's copy-paste: the lesion in its own place, hard edge, no transform, no rule. Far less work than ours."""
    aug = K.AugmentationSequential(K.RandomTransplantation(p=1.0, excluded_labels=[0]), data_keys=["input", "mask"])
    labels = mask[:, 0]
    return lambda: aug(image, labels)


def _images(mask: Tensor) -> list[np.ndarray]:
    return list(mask[:, 0].numpy())


def _sample(params: PasteParams, i: int) -> Any:
    """Sample i, as NumPy values."""
    return map_params(params, lambda t: t[i].numpy() if t.ndim > 1 else t[i].item())
