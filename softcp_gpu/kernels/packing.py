"""How masks are packed into words of 32 pixels of a line: what a program takes, and bytes read by fours."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from softcp_gpu.kernels.launch import PROGRAMS_OF_A_WARP, as_numbers, shared_grid

WORD = 32
PACKED = 64  # words that a program, of one warp, does at a time: of more, its warps would wait for each other's boxes
BY_FOURS = 4  # bytes


class Pieces(NamedTuple):
    """Pieces of lines, so narrow that a program keeps to its columns."""

    programs: int  # for each sample, a multiple of `number`
    number: int  # of a line
    words: int  # of a piece, a power of 2


def pieces_of(batch: int, frame: tuple[int, ...]) -> Pieces:
    """For a batch of frames of three axes."""
    per_line = -(-frame[2] // WORD)
    words = min(1 << (per_line - 1).bit_length(), PACKED)
    number = -(-per_line // words)
    programs, _ = shared_grid(batch, frame[0] * frame[1] * number * words, PACKED, PROGRAMS_OF_A_WARP)
    return Pieces(-(-programs // number) * number, number, words)


def flags_of(mask: Tensor, length: int, *, elsewhere: bool = False) -> tuple[Tensor, bool]:
    """What kernels get of a mask, and whether that is four pixels in each number.

    Args:
        mask: (B, 1, *frame).
        length: of its lines.
        elsewhere: of the mask only the type counts; what kernels read lies at a multiple of 16 bytes.
    """
    numbers = as_numbers(mask)
    fours = numbers.element_size() == 1 and length % BY_FOURS == 0
    if elsewhere:
        return numbers.new_empty(1, dtype=torch.int32 if fours else numbers.dtype), fours
    numbers = numbers.contiguous()
    if fours and numbers.data_ptr() % BY_FOURS == numbers.storage_offset() % BY_FOURS == 0:
        return numbers.view(-1).view(torch.int32), True
    return numbers, False
