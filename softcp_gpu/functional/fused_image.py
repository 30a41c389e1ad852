"""A whole image cropped, resized back and transformed by `kernels`, where they run and no gradient is asked for."""

from __future__ import annotations

import torch
from torch import Tensor

from softcp_gpu import kernels
from softcp_gpu.functional import execution
from softcp_gpu.functional.fused_warp import channel_ranges
from softcp_gpu.functional.geometry import sampling_affine
from softcp_gpu.kernels import lesion_operators, warp_operators
from softcp_gpu.types import ImageParams


def resizes(x: Tensor, params: ImageParams) -> bool:
    """Whether the functions of this file do it."""
    given = (x, params.crop_size, params.crop_start, *params.intensity)
    asked = torch.is_grad_enabled() and any(t.requires_grad for t in given)
    return kernels.run_on(x) and not asked and not execution.may_read_values(x)


def crop_and_resize(x: Tensor, params: ImageParams, mode: str) -> Tensor:
    """`transforms.crop_and_resize`: the samples without a crop stay bit for bit."""
    shape = tuple(x.shape[2:])
    active, back, first = (params.crop_size != 1).any(1), _back(params, shape), _first(params)
    if mode == "linear":
        none = x.new_empty((len(x), 0))
        limits = x.new_empty((*x.shape[:2], 2))
        affine = sampling_affine(x, back).to(x.dtype)
        draws = (limits, none, none, first[:, 0], 0)
        return warp_operators.warp_intensity(x, affine, first, shape, shape, *draws, active=active)
    moved = lesion_operators.warped_window(x, back, first, _lengths(first, shape), shape)
    return torch.where(active.view(-1, *(1,) * (x.ndim - 1)), moved, x)


def transform_image(x: Tensor, params: ImageParams, radius: int, seed: Tensor, stream: int) -> Tensor:
    """`transforms.transform_image` of (B, C, *spatial) float32 or float64."""
    out, first = crop_and_resize(x, params, "linear"), _first(params)
    near = (first, _lengths(first, tuple(x.shape[2:])), [0] * (x.ndim - 2))
    limits = torch.stack([t.flatten(1) for t in channel_ranges(out)], -1)
    gamma, sigma, blur = (t.to(x.dtype) for t in params.intensity)
    warp_operators.intensity_(out, limits, gamma, sigma, seed, stream, near)
    if radius:
        warp_operators.blur_(out, blur[:, 0], radius, near)
    return out


def _back(params: ImageParams, shape: tuple[int, ...]) -> Tensor:
    """From the frame to what the crop shows there: the inverse of `geometry.crop_matrix`."""
    size, start = params.crop_size.double(), params.crop_start.double()
    first = start * (1 - size) * execution.constants(shape, size, size.dtype)
    return torch.cat([torch.diag_embed(size), (first + size / 2 - 0.5)[..., None]], -1)


def _first(params: ImageParams) -> Tensor:
    """The first pixel of each frame."""
    return torch.zeros(params.crop_size.shape, dtype=torch.int64, device=params.crop_size.device)


def _lengths(first: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The frame's lengths for each sample."""
    return first + execution.constants(shape, first)
