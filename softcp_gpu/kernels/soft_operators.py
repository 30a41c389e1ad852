"""The soft mask as one operator of torch: five launches. Nothing is differentiated.

Triton is imported when it first runs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, library

from softcp_gpu.kernels import rings
from softcp_gpu.kernels.launch import Branch, launch, three
from softcp_gpu.kernels.packing import PACKED, WORD, flags_of, pieces_of

MOST_STEPS = 32  # of erosion and of dilation: a word is looked at with its neighbours


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
    from softcp_gpu.kernels import jit_soft

    mask, alphas, erodes, dilates, alpha, erode_max, k_max, cross, geometric, skips = inputs
    batch, shape, frame, device = len(mask), mask.shape, three(mask.shape[2:]), mask.device
    soft = torch.empty(shape, dtype=_dtype(alphas), device=device)
    noted = torch.zeros(batch * 8, dtype=torch.int32, device=device)
    box, possible = noted[: batch * 7], noted[batch * 7 :]
    steps = torch.empty(batch, dtype=torch.int64, device=device)
    table = torch.empty((batch, k_max + 2), dtype=soft.dtype, device=device)
    per_line = -(-frame[2] // WORD)
    words = torch.empty((batch, *frame[:2], per_line), dtype=torch.int32, device=device)
    same = torch.tensor(alpha, dtype=torch.float32).item()  # what a tensor of it would hold
    drawn = [same if alphas is None else alphas, erode_max if erodes is None else erodes]
    drawn += [k_max if dilates is None else dilates]
    each = (alphas is not None, erodes is not None, dilates is not None)
    (flags, fours), pieces, axes = flags_of(mask, frame[2]), pieces_of(batch, frame), len(shape) - 2
    given = (flags, *drawn, words, box, steps, table, *frame, per_line, k_max)
    how = (*each, geometric, 1 << (k_max + 1).bit_length(), fours, pieces.number, pieces.words, axes, PACKED)
    launch(jit_soft.words_pass, (1 + pieces.programs, batch), *given, *how, num_warps=1)
    lesions = rings.Lesions(words, rings.new_cores(words, erode_max), box, possible)
    grown = rings.Shape(frame, axes, cross, framed=True)
    beyond = Branch(mask)
    with beyond.begin():
        rings.fill_beyond(lesions, grown, k_max, soft)
    rings.erode(lesions, grown)
    rings.weigh(lesions, grown, steps, table, soft, skips=skips)
    beyond.join()
    return soft


@_soft_mask.register_fake
def _soft_mask_like(mask: Tensor, alphas: Tensor | None, *rest: Any) -> Tensor:
    return torch.empty(mask.shape, dtype=_dtype(alphas), device=mask.device)


def _dtype(alphas: Tensor | None) -> torch.dtype:
    """What S is computed in."""
    return torch.float64 if alphas is not None and alphas.dtype == torch.float64 else torch.float32
