"""How kernels are launched: a program for each block of each sample's pixels, on the device of the tensors."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

# Of a launch that follows lesions: as many as run at once on a large GPU, and twice as many of one warp. Of more, most
# would find nothing to do, and wait for each other.
PROGRAMS, PROGRAMS_OF_A_WARP = 2048, 4096
# Of what goes through frames beside them: enough to keep the memory busy, few enough to leave them room; and how many
# pixels a program does at a time.
BESIDE, STREAMED = 192, 2048


def grid_of(batch: int, pixels: int, block: int) -> tuple[int, int]:
    """Blocks per sample, and samples."""
    return -(-pixels // block), batch


def shared_grid(batch: int, pixels: int, block: int, programs: int = PROGRAMS) -> tuple[int, int]:
    """As many programs as keep a GPU busy, or fewer; each does several blocks where there are more of them."""
    blocks, _ = grid_of(batch, pixels, block)
    return min(blocks, max(programs // max(batch, 1), 16)), batch


def beside_grid(rows: int, pixels: int) -> tuple[int, int]:
    """For what goes through frames beside other launches, STREAMED pixels at a time: programs per row, and rows."""
    blocks, _ = grid_of(rows, pixels, STREAMED)
    return min(blocks, max(BESIDE // max(rows, 1), 1)), rows


def three(lengths: Sequence[int]) -> tuple[int, ...]:
    """Lengths of three axes: an image is a volume of one slice."""
    return (*(1,) * (3 - len(lengths)), *lengths)


def as_numbers(x: Tensor) -> Tensor:
    """Flags as bytes, all else as it is."""
    return x.view(torch.uint8) if x.dtype == torch.bool else x


class Branch:
    """What does not depend on the launches in between: beside them where a CUDA graph is captured, else in its turn.

    All memory that it works on is taken before or after it, not inside.
    """

    def __init__(self, like: Tensor) -> None:
        captures = like.device.type == "cuda" and torch.cuda.is_current_stream_capturing()
        self._stream = torch.cuda.Stream(like.device) if captures else None

    @property
    def beside(self) -> bool:
        """Whether it runs beside what is launched in between."""
        return self._stream is not None

    def begin(self) -> AbstractContextManager[object]:
        """What is launched in this context comes after all that has been launched until now."""
        if self._stream is None:
            return nullcontext()
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        return torch.cuda.stream(self._stream)

    def join(self) -> None:
        """What is launched from now on comes after all of the branch."""
        if self._stream is not None:
            torch.cuda.current_stream(self._stream.device).wait_stream(self._stream)


def launch(kernel: Any, grid: tuple[int, int], *arguments: Any, num_warps: int = 4) -> None:
    """Runs `kernel` on contiguous tensors, the first argument one of them; an empty batch launches nothing."""
    first = arguments[0]
    if grid[0] * grid[1]:
        with torch.cuda.device_of(first):  # Triton takes torch's current device, whatever the tensors are on
            given = (x.contiguous() if isinstance(x, Tensor) else x for x in arguments)
            kernel[grid](*given, num_warps=num_warps)
