"""The soft mask as one operator of torch: six launches for images. Nothing is differentiated.

Triton is imported when it first runs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, library

from softcp_gpu.kernels.launch import as_numbers, grid_of, launch, shared_grid, three
from softcp_gpu.kernels.operators import axes_within, level_dtype

FRAMED, BLOCK = 4096, 256  # pixels that a program does at a time


def soft_mask(
    mask: Tensor,
    alpha: float | Tensor,
    k_erode: int | Tensor,
    k_dilate: int | Tensor,
    erode_max: int,
    k_max: int,
    footprint: str,
    profile: str,
    on_small: str,
) -> Tensor:
    """`functional.soft_mask`, on checked arguments.

    Args:
        mask: (B, 1, *spatial), not 0 on lesions.
        alpha, k_erode, k_dilate: numbers, or (B,).
        erode_max, k_max: the largest of the steps.
        footprint, profile, on_small: as there.
    """
    numbers = [x if isinstance(x, Tensor) else None for x in (alpha, k_erode, k_dilate)]
    same = 0.0 if isinstance(alpha, Tensor) else alpha
    flags = (footprint == "cross", profile == "geometric", on_small == "skip")
    return _soft_mask(mask, *numbers, same, erode_max, k_max, *flags)


@library.custom_op(
    "softcp_gpu::soft_mask",
    mutates_args=(),
    schema="(Tensor mask, Tensor? alphas, Tensor? erodes, Tensor? dilates, float alpha, int erode_max, int k_max,"
    " bool cross, bool geometric, bool skips) -> Tensor",
)
def _soft_mask(*inputs: Any) -> Tensor:
    from softcp_gpu.kernels import jit_rings, jit_soft, jit_tile

    mask, alphas, erodes, dilates, alpha, erode_max, k_max, cross, geometric, skips = inputs
    soft, batch, shape = _soft_mask_like(*inputs), len(mask), mask.shape
    frame, pixels = three(shape[2:]), shape[2:].numel()
    noted = torch.zeros(batch * 8, dtype=torch.int32, device=mask.device)
    box, possible = noted[: batch * 7], noted[batch * 7 :]
    steps = torch.empty(batch, dtype=torch.int64, device=mask.device)
    table = torch.empty((batch, k_max + 2), dtype=soft.dtype, device=mask.device)
    same = torch.tensor(alpha, dtype=torch.float32).item()  # what a tensor of it would hold
    drawn = (same if alphas is None else alphas, erode_max if erodes is None else erodes)
    drawn = (*drawn, k_max if dilates is None else dilates)
    each = (alphas is not None, erodes is not None, dilates is not None)
    known = as_numbers(mask)
    sizes, levels = (*frame, k_max), 1 << (k_max + 1).bit_length()
    given = (known, *drawn, box, soft, steps, table)
    launch(jit_soft.frame_pass, grid_of(batch, pixels, FRAMED), *given, *sizes, *each, geometric, levels, FRAMED)
    erosions = axes_within(shape, erode_max) if erode_max else []
    *dilations, last = axes_within(shape, k_max)
    passes = [(axis, erode_max + 1, i + 1 == len(erosions)) for i, axis in enumerate(erosions)]
    passes += [(axis, k_max + 1, False) for axis in dilations]
    margin, dtype, grid = max(k_max, 1), level_dtype(max(erode_max, k_max) + 2), shared_grid(batch, pixels, BLOCK)
    for i, (axis, far, deepest) in enumerate(passes):
        found, reads = torch.empty(shape, dtype=dtype, device=mask.device), jit_rings.DISTANCE
        if i in (0, len(erosions)):
            reads = jit_rings.OUTSIDE if i < len(erosions) else jit_rings.CORE
        sizes = (margin, 1, 1, 1, *frame, far, axis[0], axis[2])
        flags = (reads.value, False, erode_max > 0, deepest, cross, axis[3], BLOCK)
        launch(jit_tile.tile_distance_pass, grid, known, known, box, steps, possible, found, *sizes, *flags)
        known = found
    reads = jit_rings.DISTANCE if dilations else jit_rings.CORE
    sizes = (margin, *frame, k_max + 1, last[0], last[2])
    flags = (reads.value, erode_max > 0, cross, skips, last[3], BLOCK)
    launch(jit_soft.tile_soft_pass, grid, known, box, steps, possible, table, soft, *sizes, *flags)
    return soft


@_soft_mask.register_fake
def _soft_mask_like(mask: Tensor, alphas: Tensor | None, *rest: Any) -> Tensor:
    dtype = torch.float64 if alphas is not None and alphas.dtype == torch.float64 else torch.float32
    return torch.empty(mask.shape, dtype=dtype, device=mask.device)
