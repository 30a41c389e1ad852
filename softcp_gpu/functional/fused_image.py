"""A whole image cropped, resized back and transformed by `kernels`, where they run and no gradient is asked for."""

from __future__ import annotations

from torch import Tensor

from softcp_gpu import kernels
from softcp_gpu.functional import execution
from softcp_gpu.kernels import image_operators
from softcp_gpu.types import ImageParams


def resizes(x: Tensor, params: ImageParams) -> bool:
    """Whether the functions of this file do it."""
    given = (x, params.crop_size, params.crop_start, *params.intensity)
    return kernels.run_on(x) and not execution.asks_for_gradients(*given) and not execution.may_read_values(x)


def crop_and_resize(x: Tensor, params: ImageParams, mode: str) -> Tensor:
    """`transforms.crop_and_resize`: the samples without a crop stay bit for bit."""
    return image_operators.crop_and_resize(x, params.crop_size, params.crop_start, mode)


def transform_image(x: Tensor, params: ImageParams, radius: int, seed: Tensor, stream: int) -> Tensor:
    """`transforms.transform_image` of (B, C, *spatial) float32 or float64."""
    draws = (params.crop_size, params.crop_start, *params.intensity)
    return image_operators.transform_image(x, *draws, seed, stream, radius)
