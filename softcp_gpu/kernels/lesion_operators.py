"""Boxes and windows of lesions as operators of torch. Nothing is differentiated.

Triton is imported when one of them first runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, library

from softcp_gpu.kernels.launch import as_numbers, grid_of, launch, shared_grid, three

BLOCK = 1024


def box(mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The box around what is not 0.

    Args:
        mask: (B, 1, *spatial).

    Returns:
        first pixel (B, n), size in pixels (B, n), both int64 and 0 for an empty sample; and (B,) int64, how many
        pixels there are.
    """
    return _read(_box(mask), mask.shape[2:])


def noted(mask: Tensor) -> Tensor:
    """`box` as its kernel leaves it, for other kernels."""
    return _box(mask)


class Motion(NamedTuple):
    """How each lesion moves, and the canvas around the place where that alone would put it."""

    matrix: Tensor  # (B, n + 1, n + 1) float64, source to frame
    affine: Tensor  # (B, n, n + 1) float64, frame to source
    reach: Tensor  # (B, n) float64: no lesion is longer; it lies in the middle of its canvas
    origin: Tensor  # (B, n) int64, the canvas' first pixel in the frame
    whole: Tensor  # (B,) bool: no longer than it may be


def motion(
    box: Tensor,
    rigid: Sequence[Tensor],
    source: Sequence[int],
    canvas: Sequence[int],
    most: Sequence[int],
) -> Motion:
    """Two rigid operations about the middle of each lesion's box.

    Args:
        box: of `noted`.
        rigid: flip, angle, scale and shift, as `types.RigidParams` has them.
        source: n lengths of the source.
        canvas: n lengths.
        most: n lengths that a lesion may have.
    """
    matrix, affine, reach, origin, whole = _motion(box, *rigid, list(source), list(canvas), list(most))
    return Motion(matrix, affine, reach, origin, whole != 0)


def warped_box(
    labels: Tensor, affine: Tensor, origin: Tensor, reach: Tensor, size: Sequence[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """The box around each lesion after its motion, as `box`, counted from the canvas' first pixel.

    Args:
        labels: (B, 1, *source), not 0 on lesions.
        affine: (B, n, n + 1) float64: pixel of the frame to pixel of the source.
        origin, size: of the canvas: its first pixel in the frame (B, n) int64, and its n lengths.
        reach: (B, n) float64: how long the lesion is at most; it lies in the middle of the canvas.
    """
    return _read(_warped_box(labels, affine, origin, reach, list(size)), size)


def warped_window(labels: Tensor, affine: Tensor, origin: Tensor, extent: Tensor, size: Sequence[int]) -> Tensor:
    """A window of the frame with the lesion after its motion, by nearest neighbour.

    Args:
        labels: (B, 1, *source).
        affine: (B, n, n + 1) float64: pixel of the frame to pixel of the source.
        origin, size: of the window.
        extent: (B, n) int64: what lies beyond is 0.

    Returns:
        (B, 1, *size), the dtype of `labels`.
    """
    return _warped_window(labels, affine, origin, extent, list(size))


def window(x: Tensor, origin: Tensor, size: Sequence[int]) -> Tensor:
    """A window of each frame, 0 beside it.

    Args:
        x: (B, C, *spatial).
        origin: (B, n) int64.
        size: n lengths.
    """
    return _window(x, origin, list(size))


def _read(noted: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """What the kernel noted, as `box` returns it."""
    n = len(size)
    from_end = [noted[:, 6 - n + axis] for axis in range(n)]
    start = torch.stack([length - x for length, x in zip(size, from_end, strict=True)], 1)
    wide = noted.to(torch.int64)
    start = torch.where(noted[:, 6:] > 0, start, 0).to(torch.int64)
    return start, wide[:, 3 - n : 3] - start, wide[:, 6]


@library.custom_op(
    "softcp_gpu::motion",
    mutates_args=(),
    schema="(Tensor box, Tensor flip, Tensor angle, Tensor scale, Tensor shift, int[] source, int[] canvas, int[] most)"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
)
def _motion(box: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    from softcp_gpu.kernels import jit_motion

    *rigid, source, canvas, most = rest
    out = _motion_like(box, *rest)
    sizes = (*three(source), *three(canvas), *three(most))
    launch(jit_motion.motion_pass, (1, len(box)), box, box, *rigid, *out, *sizes, False, len(source))
    return out


@_motion.register_fake
def _motion_like(box: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    n = len(rest[-1])

    def new(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.empty((box.shape[0], *shape), dtype=dtype, device=box.device)

    whole = new(dtype=torch.uint8)
    return new(n + 1, n + 1), new(n, n + 1), new(n), new(n, dtype=torch.int64), whole


@library.custom_op("softcp_gpu::box", mutates_args=(), schema="(Tensor mask) -> Tensor")
def _box(mask: Tensor) -> Tensor:
    from softcp_gpu.kernels import jit_lesion

    noted = mask.new_zeros((len(mask), 7), dtype=torch.int32)
    grid = grid_of(len(mask), math.prod(mask.shape[2:]), BLOCK)
    launch(jit_lesion.box_pass, grid, as_numbers(mask), noted, *three(mask.shape[2:]), BLOCK)
    return noted


@_box.register_fake
def _noted(labels: Tensor, *others: object) -> Tensor:
    return labels.new_empty((labels.shape[0], 7), dtype=torch.int32)


@library.custom_op(
    "softcp_gpu::warped_box",
    mutates_args=(),
    schema="(Tensor labels, Tensor affine, Tensor origin, Tensor reach, int[] size) -> Tensor",
)
def _warped_box(labels: Tensor, affine: Tensor, origin: Tensor, reach: Tensor, size: Sequence[int]) -> Tensor:
    from softcp_gpu.kernels import jit_lesion

    noted = labels.new_zeros((len(labels), 7), dtype=torch.int32)
    grid, sizes = shared_grid(len(labels), math.prod(size), BLOCK), (*three(labels.shape[2:]), *three(size))
    given = (as_numbers(labels), origin, affine, origin, reach, noted)
    launch(jit_lesion.warped_box_pass, grid, *given, *sizes, False, len(size), BLOCK)
    return noted


_warped_box.register_fake(_noted)


@library.custom_op(
    "softcp_gpu::warped_window",
    mutates_args=(),
    schema="(Tensor labels, Tensor affine, Tensor origin, Tensor extent, int[] size) -> Tensor",
)
def _warped_window(labels: Tensor, affine: Tensor, origin: Tensor, extent: Tensor, size: Sequence[int]) -> Tensor:
    from softcp_gpu.kernels import jit_lesion

    out = labels.new_empty((*labels.shape[:2], *size))
    grid, sizes = grid_of(len(labels), math.prod(size), BLOCK), (*three(labels.shape[2:]), *three(size))
    given = (as_numbers(labels), affine, origin, extent, as_numbers(out))
    launch(jit_lesion.warped_take_pass, grid, *given, *sizes, len(size), BLOCK)
    return out


@_warped_window.register_fake
def _warped_window_like(labels: Tensor, affine: Tensor, origin: Tensor, extent: Tensor, size: Sequence[int]) -> Tensor:
    return labels.new_empty((*labels.shape[:2], *size))


@library.custom_op("softcp_gpu::window", mutates_args=(), schema="(Tensor x, Tensor origin, int[] size) -> Tensor")
def _window(x: Tensor, origin: Tensor, size: Sequence[int]) -> Tensor:
    from softcp_gpu.kernels import jit_lesion

    out = x.new_empty((*x.shape[:2], *size))
    grid, sizes = grid_of(len(x), math.prod(size), BLOCK), (x.shape[1], *three(x.shape[2:]), *three(size))
    launch(jit_lesion.take_pass, grid, as_numbers(x), origin, as_numbers(out), *sizes, len(size), BLOCK)
    return out


@_window.register_fake
def _window_like(x: Tensor, origin: Tensor, size: Sequence[int]) -> Tensor:
    return x.new_empty((*x.shape[:2], *size))
