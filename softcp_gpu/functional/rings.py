"""Ring counts: for each pixel, how many of the nested sets core, ring 1, ..., ring K hold it.

In pixels, a ring is a dilation step of the footprint. In millimetres it is Euclidean, so that rings are round in the
body whatever the voxel's shape.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from softcp_gpu.functional import execution
from softcp_gpu.functional.morphology import BitGrid, Bits, dilate_pool, library, pack_samples, transpose_bits
from softcp_gpu.types import Spacing

_TOLERANCE = 1e-4  # mm: five pixels of 0.6 mm are 3 mm, whatever the rounding of 0.6


class Rings(NamedTuple):
    """Ring counts of a batch: how many of the nested sets core, ring 1, ..., ring K hold each pixel."""

    level: Tensor  # (B, 1, *spatial) an integer type: K + 1 in the eroded core, falling to 0 outside ring K
    k_erode: Tensor  # (B,) int64: erosion steps really taken
    survives: Tensor  # (B,) bool: all the steps asked for left a core


def ring_count(mask: Tensor, k_erode: Tensor, erode_max: int, k_max: int, footprint: str | Tensor = "full") -> Rings:
    """Erodes each mask, then counts the rings around what is left.

    A mask that `k_erode` steps would erase is eroded by as many steps as leave a core.

    Args:
        mask: (B, 1, *spatial) bool.
        k_erode: (B,) int64, at most `erode_max`.
        erode_max: largest number of erosion steps.
        k_max: number of rings to count.
        footprint: "full" and "cross" run on bytes; a tensor runs through kornia's pooling.
    """
    if isinstance(footprint, Tensor):
        return _ring_count_pooled(mask, k_erode, erode_max, k_max, footprint)
    arrays = execution.is_array(mask)
    flags, asked = (t.numpy() if arrays else t for t in (mask[:, 0], k_erode))
    bits, steps = pack_samples(flags), asked
    if erode_max and execution.may_read_values(mask) and bool((asked == erode_max).all()):
        level = _count(BitGrid(_eroded(bits, erode_max, footprint), k_max, footprint), k_max, len(mask))
        if bool((level.flatten(1).amax(1) > k_max).all()):  # each has a core
            return Rings(level, k_erode, torch.ones_like(k_erode, dtype=torch.bool))
    if erode_max:
        bits, steps = _erode(bits, asked, erode_max, footprint)
    level = _count(BitGrid(bits, k_max, footprint), k_max, len(mask))
    return Rings(level, torch.as_tensor(steps), torch.as_tensor(steps == asked))


def _eroded(bits: Bits, steps: int, footprint: str) -> Bits:
    """Packed masks after so many steps of erosion, whatever is left."""
    rest = BitGrid(~bits, steps, footprint)  # a symmetric footprint erodes a mask as it dilates the rest
    for _ in range(steps):
        rest.grow()
    return ~rest.pixels(rest.now.body)


def _erode(bits: Bits, k_erode: Bits, erode_max: int, footprint: str) -> tuple[Bits, Bits]:
    """Packed masks eroded, and the steps that each sample took, (B,) int64."""
    lib, rest = library(bits), BitGrid(~bits, erode_max, footprint)
    steps = lib.zeros_like(k_erode)
    for i in range(1, erode_max + 1):
        before = _copy(rest.now.body)
        rest.grow()
        go = (k_erode >= i) & ~rest.full_samples()[: len(k_erode)]
        rest.keep(go, before)
        steps = lib.where(go, i, steps)
    return ~rest.pixels(rest.now.body), steps


def _copy(bits: Bits) -> Bits:
    return bits.copy() if isinstance(bits, np.ndarray) else bits.clone()


def _count(grid: BitGrid, k_max: int, batch: int) -> Tensor:
    """Grows the grid k_max times and counts how many of the k_max + 1 nested sets hold each pixel, (B, 1, *spatial).

    The counts are kept as their binary digits, a plane of bits each. A pixel of set i and not of set i - 1 counts
    k_max + 1 - i; so where a digit of that number differs from the next one's, it turns over inside set i.
    """
    planes: dict[int, Bits] = {}
    turn = library(grid.now.body).bitwise_xor
    for i in range(k_max + 1):
        if i:
            grid.grow()
        change = (k_max + 1 - i) ^ (k_max - i)
        for digit in range(change.bit_length()):  # of a number and the next, all digits up to the highest that differs
            if digit in planes:
                turn(planes[digit], grid.now.body, out=planes[digit])
            else:
                planes[digit] = _copy(grid.now.body)
    digits = [planes[i] for i in range(len(planes))]
    dtype = torch.uint8 if len(digits) <= 8 else torch.int16 if len(digits) <= 15 else torch.int32
    level = torch.as_tensor(_numbers(grid, digits[:8], batch))
    if len(digits) > 8:
        level = level.to(dtype)
        for i in range(8, len(digits), 8):
            level += torch.as_tensor(_numbers(grid, digits[i : i + 8], batch)).to(dtype) << i
    return level


def _numbers(grid: BitGrid, digits: list[Bits], batch: int) -> Bits:
    """The number of each pixel from up to eight binary digits, (B, 1, *spatial) bytes."""
    if batch < 2:  # then the other lanes are 0 all along
        number = digits[0]
        for i, digit in enumerate(digits[1:], 1):
            number = number | (digit << i)
        return grid.pixels(number)[:, None]
    lanes = library(digits[0]).stack(transpose_bits(digits)[:batch])
    view = lanes.reshape(len(lanes), grid.shape[0], *grid.lengths)
    view = view[(slice(None), slice(None), *(slice(length) for length in grid.shape[1:]))]
    return view.swapaxes(0, 1).reshape(-1, *grid.shape[1:])[:batch, None]


def _ring_count_pooled(mask: Tensor, k_erode: Tensor, erode_max: int, k_max: int, footprint: Tensor) -> Rings:
    core, steps = mask.to(torch.float32), torch.zeros_like(k_erode)
    for i in range(1, erode_max + 1):
        eroded = 1 - dilate_pool(1 - core, footprint)
        go = (k_erode >= i) & (eroded > 0).flatten(1).any(1)
        steps = torch.where(go, i, steps)
        core = torch.where(_column(go, mask), eroded, core)
    level = core
    for _ in range(k_max):
        core = dilate_pool(core, footprint)
        level = level + core
    return Rings(level.to(torch.int16), steps, steps == k_erode)


def distance_mm(mask: Tensor, spacing: Spacing, reach: int) -> Tensor:
    """Distance to the nearest true pixel, exact up to `reach`, infinite beyond.

    Squared Euclidean distance is separable: one axis after the other takes the least of its shifted parabolas.

    Args:
        mask: (B, 1, *spatial) bool.
        spacing: of the pixels.
        reach: mm.

    Returns:
        (B, 1, *spatial) float32, mm.
    """
    squared = torch.full(mask.shape, torch.inf, dtype=torch.float32, device=mask.device).masked_fill(mask, 0)
    for axis, least in zip(range(2, mask.ndim), spacing.least, strict=True):
        best, step = squared.clone(), _column(spacing.mm[:, axis - 2], mask)
        for j in range(1, min(int(reach / least + _TOLERANCE), mask.shape[axis] - 1) + 1):
            length = mask.shape[axis] - j
            moved = squared + ((j * step) ** 2).to(squared.dtype)
            for start, other in ((0, j), (j, 0)):
                part = best.narrow(axis, start, length)
                part.copy_(torch.minimum(part, moved.narrow(axis, other, length)))
        squared = best
    distance = squared.sqrt()
    return torch.where(distance <= reach + _TOLERANCE, distance, torch.inf)


def ring_count_mm(mask: Tensor, k_erode: Tensor, erode_max: int, k_max: int, spacing: Spacing) -> Rings:
    """As `ring_count`, with steps of one millimetre.

    Erosion by k takes away what lies within k mm of the outside; ring i holds what lies within i mm of the core.

    Args:
        mask: (B, 1, *spatial) bool.
        k_erode: (B,) int64, mm, at most `erode_max`.
        erode_max: largest erosion, mm.
        k_max: number of rings to count, one per mm.
        spacing: of the pixels.
    """
    steps, core = torch.zeros_like(k_erode), mask
    if erode_max:
        depth = torch.where(mask, distance_mm(~mask, spacing, erode_max + 1), 0.0).clamp(max=erode_max + 1)
        possible = (depth.flatten(1).amax(1) - _TOLERANCE).ceil().to(torch.int64) - 1
        steps = torch.minimum(k_erode, possible.clamp(min=0))
        # An erosion by 0 mm keeps every pixel, also where pixels are smaller than the tolerance.
        core = mask & (depth > torch.where(steps > 0, steps + _TOLERANCE, 0.0).view(-1, *(1,) * (mask.ndim - 1)))
    away = (distance_mm(core, spacing, k_max) - _TOLERANCE).clamp(0, k_max + 1).ceil()
    return Rings((k_max + 1 - away).to(torch.int16), steps, steps == k_erode)


def _column(value: Tensor, like: Tensor) -> Tensor:
    """(B,) as (B, 1, 1, ...)."""
    return value.view(-1, *(1,) * (like.ndim - 1))
