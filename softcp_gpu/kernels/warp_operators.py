"""Resampling, gamma and noise as one operator of torch, with its gradients.

Triton is imported when it first runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, library

from softcp_gpu.kernels.launch import grid_of, launch

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
    rows: Tensor | None = None,
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
        rows: (B,) int64, the source of each sample; None: its own.

    Returns:
        (B, C, *size), the dtype of `source`. Gradients flow to source and bounds, once.
    """
    return _warp_intensity(source, affine, origin, list(size), list(frame), bounds, gamma, sigma, seed, stream, rows)


_INPUTS = "Tensor source, Tensor? affine, Tensor origin, int[] size, int[] frame, Tensor bounds, Tensor gamma"
_INPUTS += ", Tensor sigma, Tensor seed, int stream, Tensor? rows"


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

    source, affine, origin, size, frame, bounds, gamma, sigma, seed, stream, rows = inputs
    axes, lead = len(size), (1,) * (3 - len(size))
    tensors = (source, source if affine is None else affine, origin, bounds, gamma, sigma, seed, out)
    gradients = (out if grad is None else grad, out if sums is None else sums)
    sizes = (source.shape[1], *lead, *source.shape[2:], *lead, *size, stream, *frame[-2:])
    grid, chosen = grid_of(len(origin), math.prod(size), BLOCK), origin if rows is None else rows
    flags = (affine is not None, rows is not None, grad is not None)
    given = (*tensors, *gradients, *sizes, chosen, gamma.shape[1], axes, *flags, BLOCK)
    launch(jit_warp.warp_pass, grid, *given)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    source, affine, origin, ctx.size, ctx.frame, *others, ctx.stream = inputs[:10]
    ctx.save_for_backward(source, affine, origin, *others, inputs[10])


def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    source, affine, origin, *others, rows = ctx.saved_tensors
    by_source, by_bounds = _backward(source, affine, origin, ctx.size, ctx.frame, *others, ctx.stream, rows, grad)
    return by_source, None, None, None, None, by_bounds, *[None] * 5


_warp_intensity.register_autograd(_gradients, setup_context=_keep)
