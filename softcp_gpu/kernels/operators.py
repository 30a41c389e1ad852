"""Soft mask and blend as operators of torch, so that a compiler sees one node each, with gradients.

Triton is imported when one of them first runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, library

from softcp_gpu.kernels.launch import grid_of, launch, three

BLOCK = 512  # pixels of a program: of more, it needs so many registers that few of them run at once


def erosion_depth(lesion: Tensor, box: Tensor, erode_max: int, margin: int, footprint: str) -> tuple[Tensor, Tensor]:
    """How deep in its lesion each pixel lies, and by how many steps each lesion can be eroded.

    Args:
        lesion: (B, 1, *spatial) bool.
        box: of `lesion_operators.noted`.
        erode_max: what lies deeper than this many steps counts as one step deeper.
        margin: around the box, `erode_max` or more; beyond it nothing is computed, and the depth is anything.
        footprint: "full" or "cross".

    Returns:
        (B, 1, *spatial) integer, 0 outside the lesion, 1 at its rim; and (B,) int32, the most steps, at most
        `erode_max`, that leave a core; 0 for an empty lesion.
    """
    return _erosion_depth(lesion, box, erode_max, margin, footprint == "cross")


def soft_weight(depth: Tensor, box: Tensor, taken: Tensor, table: Tensor, footprint: str) -> tuple[Tensor, Tensor]:
    """S from the table, by each pixel's distance to the core.

    Args:
        depth: (B, 1, *spatial), of `erosion_depth` with a margin for all rings, or the lesion if nothing is eroded.
        box: of the lesion.
        taken: (B,) int64, erosion steps: the core is what is deeper.
        table: (B, k_max + 2) float32 or float64: S outside, at ring k_max, ..., at ring 1, and in the core; gradients
            flow.
        footprint: "full" or "cross".

    Returns:
        S, (B, 1, *spatial) in the dtype of the table, and the index in the table, (B, 1, *spatial) integer.
    """
    soft, level = _soft_weight(depth, box, taken, table, footprint == "cross")
    return soft, level


def soft_blend(
    depth: Tensor, box: Tensor, taken: Tensor, table: Tensor, source_image: Tensor, image: Tensor, footprint: str
) -> tuple[Tensor, Tensor]:
    """`soft_weight`, then S * source_image + (1 - S) * image, in the same pass.

    Args:
        depth, box, taken, table, footprint: as `soft_weight`.
        source_image: (B, C, *spatial) float32 or float64; where S is 0 it may hold anything.
        image: (B, C, *spatial) floating.

    Returns:
        the blend, (B, C, *spatial) in the dtype of `image`, and S, (B, 1, *spatial). Gradients flow to table and
        images, once.
    """
    blended, soft, _ = _soft_blend(depth, box, taken, table, source_image, image, footprint == "cross")
    return blended, soft


@library.custom_op(
    "softcp_gpu::erosion_depth",
    mutates_args=(),
    schema="(Tensor lesion, Tensor box, int erode_max, int margin, bool cross) -> (Tensor, Tensor)",
)
def _erosion_depth(lesion: Tensor, box: Tensor, erode_max: int, margin: int, cross: bool) -> tuple[Tensor, Tensor]:
    from softcp_gpu.kernels import jit_rings as rings

    depth, possible = _erosion_depth_like(lesion, box, erode_max, margin, cross)
    known, reads = _bytes(lesion), rings.OUTSIDE.value
    possible.zero_()
    axes = _axes(lesion.shape, erode_max)
    for i, axis in enumerate(axes):
        last = i + 1 == len(axes)
        found = depth if last else torch.empty_like(depth)
        sizes = (margin, *three(lesion.shape[2:]), erode_max + 1, *axis[:3])
        tensors = (known, known, found, possible, box)
        launch(rings.distance_pass, _grid(lesion), *tensors, *sizes, reads, cross, last, axis[3], BLOCK)
        known, reads = found, rings.DISTANCE.value
    return depth, possible


@_erosion_depth.register_fake
def _erosion_depth_like(lesion: Tensor, box: Tensor, erode_max: int, margin: int, cross: bool) -> tuple[Tensor, Tensor]:
    depth = torch.empty(lesion.shape, dtype=_level_dtype(erode_max + 2), device=lesion.device)
    return depth, torch.empty(lesion.shape[0], dtype=torch.int32, device=lesion.device)


@library.custom_op(
    "softcp_gpu::soft_weight",
    mutates_args=(),
    schema="(Tensor depth, Tensor box, Tensor taken, Tensor table, bool cross) -> (Tensor, Tensor)",
)
def _soft_weight(depth: Tensor, box: Tensor, taken: Tensor, table: Tensor, cross: bool) -> tuple[Tensor, Tensor]:
    soft, level = _soft_weight_like(depth, box, taken, table, cross)
    _run_passes(depth, box, taken, table, cross, soft, level)
    return soft, level


@_soft_weight.register_fake
def _soft_weight_like(depth: Tensor, box: Tensor, taken: Tensor, table: Tensor, cross: bool) -> tuple[Tensor, Tensor]:
    soft = torch.empty(depth.shape, dtype=table.dtype, device=depth.device)
    return soft, torch.empty(depth.shape, dtype=_level_dtype(table.shape[1]), device=depth.device)


@library.custom_op(
    "softcp_gpu::soft_blend",
    mutates_args=(),
    schema="(Tensor depth, Tensor box, Tensor taken, Tensor table, Tensor source, Tensor image, bool cross)"
    " -> (Tensor, Tensor, Tensor)",
)
def _soft_blend(
    depth: Tensor, box: Tensor, taken: Tensor, table: Tensor, source: Tensor, image: Tensor, cross: bool
) -> tuple[Tensor, Tensor, Tensor]:
    blended, soft, level = _soft_blend_like(depth, box, taken, table, source, image, cross)
    _run_passes(depth, box, taken, table, cross, soft, level, (source, image, blended))
    return blended, soft, level


@_soft_blend.register_fake
def _soft_blend_like(
    depth: Tensor, box: Tensor, taken: Tensor, table: Tensor, source: Tensor, image: Tensor, cross: bool
) -> tuple[Tensor, Tensor, Tensor]:
    blended = torch.empty(image.shape, dtype=image.dtype, device=image.device)
    return blended, *_soft_weight_like(depth, box, taken, table, cross)


def _run_passes(
    depth: Tensor,
    box: Tensor,
    taken: Tensor,
    table: Tensor,
    cross: bool,
    soft: Tensor,
    level: Tensor,
    images: tuple[Tensor, Tensor, Tensor] | None = None,
) -> None:
    """Distance to the core along one axis after the other, then S into `soft`, and the blend into the third image."""
    from softcp_gpu.kernels import jit_rings as rings

    known, grid, reads = _bytes(depth), _grid(depth), rings.CORE.value
    far = table.shape[1] - 1
    near = (far - 1, *three(depth.shape[2:]))  # rings reach no further
    *axes, final = _axes(depth.shape, far - 1)
    for axis in axes:
        found = torch.empty_like(level)
        tensors = (known, taken, found, taken, box)
        flags = (reads, cross, False, axis[3], BLOCK)
        launch(rings.distance_pass, grid, *tensors, *near, far, *axis[:3], *flags)
        known, reads = found, rings.DISTANCE.value
    source, image, blended = images or (soft, soft, soft)
    sizes = (*near, image.shape[1], far, *final[:3])
    last = (known, taken, table, source, image, level, soft, blended, box)
    launch(rings.last_pass, grid, *last, *sizes, reads, cross, images is not None, final[3], BLOCK)


@library.custom_op(
    "softcp_gpu::soft_blend_backward",
    mutates_args=(),
    schema="(Tensor level, Tensor table, Tensor grad_soft, Tensor? source, Tensor? image, Tensor? grad_blended)"
    " -> (Tensor, Tensor, Tensor)",
)
def _backward(*inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
    from softcp_gpu.kernels import jit_rings as rings

    level, table, grad_soft, source, image, grad_blended = inputs
    _, grad_source, grad_image = _backward_like(*inputs)
    grid, levels = _grid(level), table.shape[1]
    sums = torch.empty((level.shape[0], grid[0], levels), dtype=table.dtype, device=table.device)
    new, old, by_blended = (grad_soft if x is None else x for x in (source, image, grad_blended))
    tensors = (level, table, new, old, grad_soft, by_blended, grad_source, grad_image, sums)
    sizes = (math.prod(level.shape[2:]), old.shape[1], levels)
    launch(rings.backward_pass, grid, *tensors, *sizes, image is not None, BLOCK)
    return sums.sum(1), grad_source, grad_image


@_backward.register_fake
def _backward_like(
    level: Tensor,
    table: Tensor,
    grad_soft: Tensor,
    source: Tensor | None,
    image: Tensor | None,
    grad_blended: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    def like(x: Tensor | None) -> Tensor:
        return table.new_empty(0) if x is None else torch.empty(x.shape, dtype=x.dtype, device=x.device)

    return torch.empty(table.shape, dtype=table.dtype, device=table.device), like(source), like(image)


def _keep_weight(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(output[1], inputs[3])


def _weight_gradients(ctx: Any, grad_soft: Tensor, grad_level: Tensor) -> tuple[Tensor | None, ...]:
    level, table = ctx.saved_tensors
    return None, None, None, _backward(level, table, grad_soft, None, None, None)[0], None


def _keep_blend(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(output[2], *inputs[3:6])


def _blend_gradients(
    ctx: Any, grad_blended: Tensor, grad_soft: Tensor, grad_level: Tensor
) -> tuple[Tensor | None, ...]:
    level, table, source, image = ctx.saved_tensors
    return None, None, None, *_backward(level, table, grad_soft, source, image, grad_blended), None


_soft_weight.register_autograd(_weight_gradients, setup_context=_keep_weight)
_soft_blend.register_autograd(_blend_gradients, setup_context=_keep_blend)


def _axes(shape: Sequence[int], reach: int) -> list[tuple[int, int, int, int]]:
    """Stride, length, reach and number of each axis that has neighbours within reach; of one axis, if none has."""
    lead = 5 - len(shape)
    axes = [(math.prod(shape[a + 1 :]), shape[a], min(reach, shape[a] - 1), lead + a - 2) for a in range(2, len(shape))]
    return [axis for axis in axes if axis[2] > 0] or axes[-1:]


def _grid(x: Tensor) -> tuple[int, int]:
    return grid_of(x.shape[0], math.prod(x.shape[2:]), BLOCK)


def _bytes(x: Tensor) -> Tensor:
    return x.view(torch.uint8) if x.dtype == torch.bool else x


def _level_dtype(levels: int) -> torch.dtype:
    return torch.uint8 if levels <= 256 else torch.int16 if levels <= 1 << 15 else torch.int32
