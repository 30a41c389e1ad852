"""How kernels are launched: a program for each block of each sample's pixels, on the device of the tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def grid_of(batch: int, pixels: int, block: int) -> tuple[int, int]:
    """Blocks per sample, and samples."""
    return -(-pixels // block), batch


def launch(kernel: Any, grid: tuple[int, int], *arguments: Tensor | int | bool) -> None:
    """Runs `kernel` on contiguous tensors, the first argument one of them; an empty batch launches nothing."""
    first = arguments[0]
    if grid[0] * grid[1]:
        with torch.cuda.device_of(first):  # Triton takes torch's current device, whatever the tensors are on
            kernel[grid](*(x.contiguous() if isinstance(x, Tensor) else x for x in arguments))
