"""How kernels are launched: a program for each block of each sample's pixels, on the device of the tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

PROGRAMS = 4096  # of a launch that follows lesions: some more than run at once on a large GPU


def grid_of(batch: int, pixels: int, block: int) -> tuple[int, int]:
    """Blocks per sample, and samples."""
    return -(-pixels // block), batch


def shared_grid(batch: int, pixels: int, block: int) -> tuple[int, int]:
    """As many programs as keep a GPU busy: each does several blocks where there are more, or fewer if there are less."""
    blocks, _ = grid_of(batch, pixels, block)
    return min(blocks, max(PROGRAMS // max(batch, 1), 16)), batch


def three(lengths: Sequence[int]) -> tuple[int, ...]:
    """Lengths of three axes: an image is a volume of one slice."""
    return (*(1,) * (3 - len(lengths)), *lengths)


def as_numbers(x: Tensor) -> Tensor:
    """Flags as bytes, all else as it is."""
    return x.view(torch.uint8) if x.dtype == torch.bool else x


def launch(kernel: Any, grid: tuple[int, int], *arguments: Any, num_warps: int = 4) -> None:
    """Runs `kernel` on contiguous tensors, the first argument one of them; an empty batch launches nothing."""
    first = arguments[0]
    if grid[0] * grid[1]:
        with torch.cuda.device_of(first):  # Triton takes torch's current device, whatever the tensors are on
            given = (x.contiguous() if isinstance(x, Tensor) else x for x in arguments)
            kernel[grid](*given, num_warps=num_warps)
