"""Resampling, gamma and noise as one operator of torch, with its gradients.

Triton is imported when it first runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, library

from softcp_gpu.kernels.launch import as_numbers, grid_of, launch, three

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
    rows: Tensor | None = None,
    active: Tensor | None = None,
) -> Tensor:
    """A window of the frame: the source resampled linearly, then gamma and noise of each slot.

    Args:
        source: (B, C, *source) float32 or float64; with rows (N, C, *source).
        affine: (B, n, n + 1) in its dtype, from pixels of the frame to units of half a source, what
            `geometry.sampling_affine` gives; or None: the source is the window.
        origin: (B, n) int64, first pixel of the window, which lies inside the frame.
        size: n lengths of the window.
        frame: n lengths of the frame: noise is addressed by pixel.
        bounds: (B, C, 2), least and largest value of each channel, the unit of gamma and noise.
        gamma, sigma: (B, S), 1 and 0 where nothing is to be done; no gradients flow to them, nor to `affine`.
        seed, stream: (B,) int64, of the noise, and the stream of its first slot.
        near: what is computed; elsewhere the result is anything. None: everything, and then gradients flow.
        rows: (B,) int64, the source of each sample; None: its own.
        active: (B,) bool, which samples are resampled; the others, whose window is the source, are not. No gradients.

    Returns:
        (B, C, *size), the dtype of `source`. Gradients flow to source and bounds, once.
    """
    boxes = (None, None, []) if near is None else near
    return _warp_intensity(
        source, affine, origin, list(size), list(frame), bounds, gamma, sigma, seed, stream, *boxes, rows, active
    )


def intensity_(
    image: Tensor,
    bounds: Tensor,
    gamma: Tensor,
    sigma: Tensor,
    seed: Tensor,
    stream: int,
    near: Near,
) -> None:
    """Gamma and noise of each slot in place; no gradient flows.

    Args:
        image: (B, C, *frame) float32 or float64.
        bounds, gamma, sigma, seed, stream: as `warp_intensity`.
        near: what is transformed.
    """
    _intensity(image, bounds, gamma, sigma, seed, stream, *near)


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
_INPUTS += (
    ", Tensor sigma, Tensor seed, int stream, Tensor? start, Tensor? extent, int[] margin, Tensor? rows, Tensor? active"
)


@library.custom_op("softcp_gpu::warp_intensity", mutates_args=(), schema=f"({_INPUTS}) -> Tensor")
def _warp_intensity(*inputs: Any) -> Tensor:
    out = _warp_intensity_like(*inputs)
    _run(inputs, out)
    return out


@_warp_intensity.register_fake
def _warp_intensity_like(source: Tensor, affine: Tensor | None, origin: Tensor, size: Any, *others: Any) -> Tensor:
    return source.new_empty((origin.shape[0], source.shape[1], *size))


@library.custom_op(
    "softcp_gpu::warp_intensity_backward",
    mutates_args=(),
    schema=f"({_INPUTS}, Tensor grad) -> (Tensor, Tensor)",
)
def _backward(*inputs_and_grad: Any) -> tuple[Tensor, Tensor]:
    *inputs, grad = inputs_and_grad
    source, size = inputs[0], inputs[3]
    grad_source = source.new_zeros(source.shape)
    batch = len(inputs[2])
    blocks, _ = grid_of(batch, math.prod(size), BLOCK)
    sums = source.new_empty((batch, blocks, source.shape[1], 2))
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

    source, affine, origin, size, frame, bounds, gamma, sigma, seed, stream, start, extent, margin, rows, active = (
        inputs
    )
    axes, lead = len(size), (1,) * (3 - len(size))
    tensors = (source, source if affine is None else affine, origin, bounds, gamma, sigma, seed, out)
    gradients = (out if grad is None else grad, out if sums is None else sums)
    sizes = (source.shape[1], *lead, *source.shape[2:], *lead, *size, stream, *frame[-2:])
    near = (origin, origin, 0, 0, 0) if start is None else (start, extent, *three(margin))
    grid = grid_of(len(origin), math.prod(size), BLOCK)
    chosen = (origin if rows is None else rows, origin if active is None else as_numbers(active))
    flags = (affine is not None, start is not None, rows is not None, active is not None, out is source)
    given = (*tensors, *gradients, *sizes, *near, *chosen, gamma.shape[1], axes, *flags, grad is not None, BLOCK)
    launch(jit_warp.warp_pass, grid, *given)


@library.custom_op(
    "softcp_gpu::intensity_",
    mutates_args=("image",),
    schema="(Tensor(a!) image, Tensor bounds, Tensor gamma, Tensor sigma, Tensor seed, int stream, Tensor start,"
    " Tensor extent, int[] margin) -> ()",
)
def _intensity(image: Tensor, *rest: Any) -> None:
    *drawn, start, extent, margin = rest
    size = list(image.shape[2:])
    origin = torch.zeros_like(start)
    _run((image, None, origin, size, size, *drawn, start, extent, margin, None, None), image)


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
        tensors, along = (stages[axis], sigma, start, extent, stages[axis + 1]), (math.prod(size[axis + 1 :]), length)
        launch(jit_blur.blur_pass, grid, *tensors, *sizes, *along, radius, radius >= length, len(size), BLOCK)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    source, affine, origin, ctx.size, ctx.frame, *others, ctx.stream = inputs[:10]
    ctx.save_for_backward(source, affine, origin, *others, inputs[13])


def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    source, affine, origin, *others, rows = ctx.saved_tensors
    by_source, by_bounds = _backward(
        source, affine, origin, ctx.size, ctx.frame, *others, ctx.stream, None, None, [], rows, None, grad
    )
    return by_source, None, None, None, None, by_bounds, *[None] * 9


_warp_intensity.register_autograd(_gradients, setup_context=_keep)
