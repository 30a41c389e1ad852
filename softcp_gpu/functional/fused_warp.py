"""The lesion's image resampled and its intensities transformed by `kernels`, where they run."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from softcp_gpu import kernels
from softcp_gpu.functional.execution import asks_for_gradients, where_active
from softcp_gpu.functional.geometry import sampling_affine
from softcp_gpu.functional.intensity import blur_rows, value_range
from softcp_gpu.kernels import warp_operators
from softcp_gpu.types import IntensityParams


def warps(source_image: Tensor, matrix: Tensor, params: IntensityParams) -> bool:
    """Whether `warp_and_transform` does it: kernels run, and no gradient flows to anything but images."""
    return kernels.run_on(source_image) and not asks_for_gradients(matrix, params.gamma, params.noise_sigma)


def channel_ranges(image: Tensor) -> tuple[Tensor, Tensor]:
    """`intensity.value_range`, read once where no gradient is asked for."""
    if asks_for_gradients(image):
        return value_range(image)
    column = (*image.shape[:2], *(1,) * (image.ndim - 2))
    low, high = image.flatten(2).aminmax(dim=2)
    return low.view(column), high.view(column)


def warp_and_transform(
    source_image: Tensor,
    back: Tensor,
    origin: Tensor,
    size: tuple[int, ...],
    frame: tuple[int, ...],
    params: IntensityParams,
    bounds: tuple[Tensor, Tensor],
    radius: int,
    seed: Tensor,
    stream: int,
    rows: Tensor | None = None,
) -> Tensor:
    """`geometry.warp`, linear, then `intensity.apply_intensity`: one pass up to each slot that may blur.

    Args:
        source_image: (B, C, *source) float32 or float64; with rows (N, C, *source).
        back: (B, n, n + 1) float64, frame to source: the `geometry.inverse` of the warp's matrix.
        origin, size: the window, inside the frame.
        frame: n lengths.
        params, bounds, radius, seed, stream: as `apply_intensity`; radius 0: no slot blurs.
        rows: (B,) int64, the source of each sample; None: its own.

    Returns:
        (B, C, *size).
    """
    slots = params.gamma.shape[1]
    drawn = [x.to(source_image.dtype) for x in params[:2]]
    limits = torch.stack([x.flatten(1) for x in bounds], -1)
    image, affine = source_image, sampling_affine(source_image, back).to(source_image.dtype)
    step = slots if radius == 0 else 1
    for slot in range(0, slots, step):
        gamma, sigma = (x[:, slot : slot + step] for x in drawn)
        values = (gamma, sigma, seed, stream + slot)
        if slot == 0:
            image = warp_operators.warp_intensity(image, affine, origin, size, frame, limits, *values, rows)
        else:
            image = warp_operators.warp_intensity(image, None, origin, size, frame, limits, *values)
        blur = params.blur_sigma_px[:, slot]
        if radius:
            image = where_active(blur > 0, image, partial(blur_rows, blur, radius))
    return image
