"""Soft masks and the reference loop with OpenCV: each takes a batch and returns a function to time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from benchmarks import cases
from benchmarks.common import OURS
from benchmarks.rivals import names
from benchmarks.rivals.registry import sample_params
from softcp_gpu import SoftCP, functional, reference
from softcp_gpu.types import PasteParams

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
    OURS: ours,
    names.FLOAT_LOOP: opencv_float_loop,
    names.LUT: opencv_lut,
    names.LUT_CROPPED: opencv_lut_cropped,
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


def soft_pastes(case: cases.Case) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Equations 1 and 2 on whole frames, the source being the batch in another order: ours, and the reference's loop.

    Each gives images, channels last, and labels.
    """
    image, mask, _ = cases.batch(case)
    source, lesion = image.roll(1, 0), mask.roll(1, 0)
    soft = functional.soft_mask(lesion, **cases.SOFTNESS)
    given = zip(_pixels(image), _images(mask), _pixels(source), _images(lesion), _images(soft), strict=True)
    arrays = [(*one, one[3] > 0) for one in given]

    def ours_run() -> Any:
        pasted = functional.soft_paste(image, source, soft)
        return pasted.permute(0, 2, 3, 1), functional.hard_union(mask, lesion, lesion.bool())

    def loop_run() -> Any:
        made = [
            (reference.soft_paste(pixels, other, s), reference.hard_union(labels, others, inside))
            for pixels, labels, other, others, s, inside in arrays
        ]
        return tuple(zip(*made, strict=True))

    return ours_run, loop_run


def reference_loop(
    aug: SoftCP, image: Tensor, mask: Tensor, region: Tensor, params: PasteParams, source: tuple[Tensor, Tensor] | None
) -> Callable[[], list[reference.Output]]:
    """The OpenCV reference, one sample after the other, with the params that `aug` drew; no source: the batch."""
    images, masks, regions = _pixels(image), _images(mask), _images(region)
    source_images, source_masks = (images, masks) if source is None else (_pixels(source[0]), _images(source[1]))
    samples = [(i, int(params.source_index[i]), sample_params(params, i)) for i in range(len(images))]

    def run() -> list[reference.Output]:
        return [
            reference.soft_cp(images[i], masks[i], regions[i], source_images[j], source_masks[j], one, aug.config)
            for i, j, one in samples
        ]

    return run


def _pixels(image: Tensor) -> list[np.ndarray]:
    return [np.ascontiguousarray(x) for x in image.permute(0, 2, 3, 1).numpy()]


def _images(mask: Tensor) -> list[np.ndarray]:
    return list(mask[:, 0].numpy())
