"""Erosion and rings of lesions that are packed into words, and S from them: launches."""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor

from softcp_gpu.kernels.launch import PROGRAMS_OF_A_WARP, STREAMED, beside_grid, launch, shared_grid

WORDS = 32  # that a program does at a time: one for each of its threads


class Lesions(NamedTuple):
    """Of a batch, as jit_grow has them."""

    words: Tensor  # (B, w0, w1, per_line) int32
    cores: Tensor  # of `new_cores`
    box: Tensor  # (B, 7) int32
    possible: Tensor  # (B,) int32, zeros before `erode`: how many steps leave a core


class Shape(NamedTuple):
    """Where lesions lie, and what grows them."""

    frame: tuple[int, ...]  # lengths of three axes
    axes: int
    cross: bool
    framed: bool  # words begin at the frame's first pixel, not at the box's


def new_cores(words: Tensor, erode_max: int) -> Tensor:
    """Memory for each lesion after 0, 1, ... steps of erosion, packed as the words; they are it if none is made."""
    return words.new_empty((len(words), erode_max + 1, *words.shape[1:])) if erode_max else words[:, None]


def erode(lesions: Lesions, shape: Shape) -> None:
    """Fills `new_cores`."""
    from softcp_gpu.kernels import jit_grow

    batch, planes, *window = lesions.cores.shape
    if planes > 1:
        given = (lesions.words, lesions.box, lesions.cores, lesions.possible, *window, *shape.frame, planes - 1)
        how = (shape.framed, shape.cross, (planes - 1).bit_length(), shape.axes, WORDS)
        grid = shared_grid(batch, math.prod(window), WORDS, PROGRAMS_OF_A_WARP)
        launch(jit_grow.erode_pass, grid, *given, *how, num_warps=1)


def weigh(lesions: Lesions, shape: Shape, k_erode: Tensor, table: Tensor, soft: Tensor, *, skips: bool) -> None:
    """Writes S in the tile around each lesion; beyond it all are 0.

    Args:
        lesions, shape: eroded.
        k_erode: (B,) int64, steps to take.
        table: (B, k_max + 2), S of each level.
        soft: (B, 1, *frame).
        skips: of lesions that cannot be eroded by all steps S is 0.
    """
    from softcp_gpu.kernels import jit_grow

    batch, planes, *window = lesions.cores.shape
    k_max, lines = table.shape[1] - 2, math.prod(shape.frame[:2])
    given = (lesions.cores, lesions.box, k_erode, lesions.possible, table, soft)
    sizes = (planes, *window, *shape.frame, k_max)
    how = (planes > 1, shape.cross, skips, shape.framed, k_max.bit_length(), shape.axes, WORDS)
    grid = shared_grid(batch, lines * -(-shape.frame[2] // 32), WORDS, PROGRAMS_OF_A_WARP)
    launch(jit_grow.rings_pass, grid, *given, *sizes, *how, num_warps=1)


def fill_beyond(lesions: Lesions, shape: Shape, margin: int, soft: Tensor) -> None:
    """Writes zeros wherever `weigh` writes nothing, beside it.

    Args:
        lesions, shape: framed.
        margin: the most steps of dilation.
        soft: (B, 1, *frame).
    """
    from softcp_gpu.kernels import jit_frames

    per_line = lesions.words.shape[-1]
    grid = beside_grid(len(soft), soft.shape[1:].numel())
    sizes = (margin, *shape.frame, per_line, shape.axes, STREAMED // 32)
    launch(jit_frames.beyond_pass, grid, soft, lesions.box, *sizes)


def fill_zeros(out: Tensor) -> None:
    """Writes zeros, and leaves room for what runs beside it."""
    from softcp_gpu.kernels import jit_frames

    launch(jit_frames.zeros_pass, beside_grid(1, out.numel()), out, out.numel(), STREAMED)
