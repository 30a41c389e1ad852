"""Whole images cropped, resized back and transformed as operators of torch. Nothing is differentiated.

Triton is imported when one of them first runs.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, library

from softcp_gpu.kernels.launch import as_numbers, launch, shared_grid, three

BLOCK = 1024  # pixels that a program does at a time
LINE = 512  # likewise, of a line, at most


def crop_and_resize(x: Tensor, size: Tensor, start: Tensor, mode: str) -> Tensor:
    """`functional.transforms.crop_and_resize`.

    Args:
        x: (B, C, *frame); float32 or float64 if linear.
        size, start: (B, n) float32, fractions of the frame.
        mode: "linear" or "nearest".
    """
    return _crop(x, size, start, mode == "nearest")


def transform_image(
    x: Tensor,
    size: Tensor,
    start: Tensor,
    gamma: Tensor,
    sigma: Tensor,
    blur: Tensor,
    seed: Tensor,
    stream: int,
    radius: int,
) -> Tensor:
    """`functional.transforms.transform_image`.

    Args:
        x: (B, C, *frame) float32 or float64.
        size, start: as `crop_and_resize`.
        gamma, sigma, blur: (B, 1).
        seed, stream: (B,) int64, of the noise, and its stream.
        radius: of the blur's kernel; 0: no sample is blurred.
    """
    return _transform(x, size, start, gamma, sigma, blur, seed, stream, radius)


@library.custom_op(
    "softcp_gpu::crop", mutates_args=(), schema="(Tensor x, Tensor size, Tensor start, bool nearest) -> Tensor"
)
def _crop(x: Tensor, size: Tensor, start: Tensor, nearest: bool) -> Tensor:
    out = _crop_like(x, size, start, nearest)
    _run_crop(x, size, start, out, None, nearest=nearest)
    return out


@_crop.register_fake
def _crop_like(x: Tensor, *rest: Any) -> Tensor:
    return torch.empty(x.shape, dtype=x.dtype, device=x.device)


@library.custom_op(
    "softcp_gpu::transform_image",
    mutates_args=(),
    schema="(Tensor x, Tensor size, Tensor start, Tensor gamma, Tensor sigma, Tensor blur, Tensor seed, int stream,"
    " int radius) -> Tensor",
)
def _transform(x: Tensor, size: Tensor, start: Tensor, *rest: Any) -> Tensor:
    from softcp_gpu.kernels import jit_image

    gamma, sigma, blur, seed, stream, radius = rest
    out, shape = _crop_like(x), x.shape
    pixels, (blocks, _, block) = shape[2:].numel(), _pieces(x)
    ranges = torch.empty((*shape[:2], blocks, 2), dtype=x.dtype, device=x.device)
    _run_crop(x, size, start, out, ranges, nearest=False)
    sizes = (shape[1], pixels, blocks, stream)
    powers = (1 << (blocks - 1).bit_length(), BLOCK)
    rows = shared_grid(len(x) * shape[1], pixels, BLOCK)
    launch(jit_image.intensity_pass, rows, out, ranges, gamma, sigma, seed, *sizes, *powers)
    if radius:
        stages = [out, *(torch.empty_like(out) for _ in shape[3:]), out]
        of_lines = (shape[1], shape[2:-1].numel(), shape[-1])
        for axis, length in enumerate(shape[2:]):
            last = axis + 3 == len(shape)
            along = (math.prod(shape[axis + 3 : -1]), length, last, radius >= length, radius, block)
            # Few pixels a thread where neighbours are read at all offsets, which is done one by one.
            warps = max(block // (64 if last else 128), 1)
            given = (stages[axis], blur, stages[axis + 1], *of_lines, *along)
            launch(jit_image.blur_pass, shared_grid(len(x) * shape[1], pixels, block), *given, num_warps=warps)
    return out


_transform.register_fake(_crop_like)


def _run_crop(x: Tensor, size: Tensor, start: Tensor, out: Tensor, ranges: Tensor | None, *, nearest: bool) -> None:
    from softcp_gpu.kernels import jit_image

    given = (as_numbers(x), size, start, as_numbers(out), out if ranges is None else ranges)
    programs, pieces, block = _pieces(x)
    flags = (nearest, ranges is not None, pieces, x.ndim - 2, BLOCK // block, block)
    launch(jit_image.crop_pass, (programs, len(x)), *given, x.shape[1], *three(x.shape[2:]), *flags)


def _pieces(x: Tensor) -> tuple[int, int, int]:
    """Programs for each sample, as many for each piece of a line; pieces of a line; and pixels of a piece."""
    block = min(1 << (x.shape[-1] - 1).bit_length(), LINE)
    pieces = -(-x.shape[-1] // block)
    programs, _ = shared_grid(len(x), x.shape[2:-1].numel() * pieces * block, BLOCK)
    return -(-programs // pieces) * pieces, pieces, block
