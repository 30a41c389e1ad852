"""Resampling, gamma and noise as one operator of torch, with its gradients.

Triton is imported when it first runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, library

from softcp_gpu.kernels.launch import grid_of, launch, three

Near = tuple[Tensor, Tensor, list[int]]  # boxes in the frame: first pixel, size, (B, n) int64; n margins around them
BLOCK = 256  # pixels of a program: of 1024, its numbers no longer fit into the registers


def warp_intensity(
    source: Tensor,
    affine: Tensor | None,
    origin: Tensor,
    size: Sequence[int],
    frame: Sequence[int],
    bounds: Tensor,
    gamma: Tensor,
    sigma: Tensor,
    seed: Tensor,
    stream: int,
    near: Near | None = None,
) -> Tensor:
    """A window of the frame: the source resampled linearly, then gamma and noise of each slot.

    Args:
        source: (B, C, *source) float32 or float64.
        affine: (B, n, n + 1) in its dtype, from pixels of the frame to units of half a source, what
            `geometry.sampling_affine` gives; or None: the source is the window.
        origin: (B, n) int64, first pixel of the window, which lies inside the frame.
        size: n lengths of the window.
        frame: n lengths of the frame: noise is addressed by pixel.
        bounds: (B, C, 2), least and largest value of each channel, the unit of gamma and noise.
        gamma, sigma: (B, S), 1 and 0 where nothing is to be done; no gradients flow to them, nor to `affine`.
        seed, stream: (B,) int64, of the noise, and the stream of its first slot.
        near: what is computed; elsewhere the result is anything. None: everything, and then gradients flow.

    Returns:
        (B, C, *size), the dtype of `source`. Gradients flow to source and bounds, once.
    """
    boxes = (None, None, []) if near is None else near
    return _warp_intensity(source, affine, origin, list(size), list(frame), bounds, gamma, sigma, seed, stream, *boxes)


def blur_(image: Tensor, sigma_px: Tensor, radius: int, near: Near) -> None:
    """Gaussian blur in place, borders mirrored; no gradient flows.

    Args:
        image: (B, C, *frame) float32 or float64.
        sigma_px: (B,); samples where it is 0 stay as they are.
        radius: of the kernel.
        near: what is blurred; what blurs into it from beyond the margins is anything.
    """
    _blur(image, sigma_px.to(image.dtype), radius, *near)


_INPUTS = "Tensor source, Tensor? affine, Tensor origin, int[] size, int[] frame, Tensor bounds, Tensor gamma"
_INPUTS += ", Tensor sigma, Tensor seed, int stream, Tensor? start, Tensor? extent, int[] margin"


@library.custom_op("softcp_gpu::warp_intensity", mutates_args=(), schema=f"({_INPUTS}) -> Tensor")
def _warp_intensity(*inputs: Any) -> Tensor:
    out = _warp_intensity_like(*inputs)
    _run(inputs, out)
    return out


@_warp_intensity.register_fake
def _warp_intensity_like(source: Tensor, affine: Tensor | None, origin: Tensor, size: Any, *others: Any) -> Tensor:
    return source.new_empty((*source.shape[:2], *size))


@library.custom_op(
    "softcp_gpu::warp_intensity_backward",
    mutates_args=(),
    schema=f"({_INPUTS}, Tensor grad) -> (Tensor, Tensor)",
)
def _backward(*inputs_and_grad: Any) -> tuple[Tensor, Tensor]:
    *inputs, grad = inputs_and_grad
    source, size = inputs[0], inputs[3]
    grad_source = source.new_zeros(source.shape)
    blocks, _ = grid_of(source.shape[0], math.prod(size), BLOCK)
    sums = source.new_empty((source.shape[0], blocks, source.shape[1], 2))
    _run(inputs, grad_source, grad, sums)
    return grad_source, sums.sum(1)


@_backward.register_fake
def _backward_like(
    source: Tensor, affine: Any, origin: Any, size: Any, frame: Any, bounds: Tensor, *others: Any
) -> Any:
    return source.new_empty(source.shape), bounds.new_empty(bounds.shape)


def _run(inputs: Sequence[Any], out: Tensor, grad: Tensor | None = None, sums: Tensor | None = None) -> None:
    """The pass: of the inputs into `out`, or, given `grad`, of the gradient into `out` and `sums`."""
    from softcp_gpu.kernels import jit_warp

    source, affine, origin, size, frame, bounds, gamma, sigma, seed, stream, start, extent, margin = inputs
    axes, lead = len(size), (1,) * (3 - len(size))
    tensors = (source, source if affine is None else affine, origin, bounds, gamma, sigma, seed, out)
    gradients = (out if grad is None else grad, out if sums is None else sums)
    sizes = (source.shape[1], *lead, *source.shape[2:], *lead, *size, stream, *frame[-2:])
    near = (origin, origin, 0, 0, 0) if start is None else (start, extent, *three(margin))
    grid = grid_of(source.shape[0], math.prod(size), BLOCK)
    flags = (gamma.shape[1], axes, affine is not None, start is not None, grad is not None)
    launch(jit_warp.warp_pass, grid, *tensors, *gradients, *sizes, *near, *flags, BLOCK)


@library.custom_op(
    "softcp_gpu::blur_",
    mutates_args=("image",),
    schema="(Tensor(a!) image, Tensor sigma, int radius, Tensor start, Tensor extent, int[] margin) -> ()",
)
def _blur(image: Tensor, sigma: Tensor, radius: int, start: Tensor, extent: Tensor, margin: Sequence[int]) -> None:
    from softcp_gpu.kernels import jit_blur

    size = image.shape[2:]
    grid, sizes = grid_of(len(image), math.prod(size), BLOCK), (image.shape[1], *three(size), *three(margin))
    stages = [image, *(torch.empty_like(image) for _ in size[1:]), image]
    for axis, length in enumerate(size):
        given = (stages[axis], sigma, start, extent, stages[axis + 1], *sizes)
        launch(jit_blur.blur_pass, grid, *given, math.prod(size[axis + 1 :]), length, radius, len(size), BLOCK)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    source, affine, origin, ctx.size, ctx.frame, *others, ctx.stream = inputs[:10]
    ctx.save_for_backward(source, affine, origin, *others)


def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    source, affine, origin, *others = ctx.saved_tensors
    by_source, by_bounds = _backward(
        source, affine, origin, ctx.size, ctx.frame, *others, ctx.stream, None, None, [], grad
    )
    return by_source, None, None, None, None, by_bounds, None, None, None, None, None, None, None


_warp_intensity.register_autograd(_gradients, setup_context=_keep)
