"""Triton: what the soft mask of a batch of lesions begins with, one pass over the masks."""

import triton
import triton.language as tl

from softcp_gpu.kernels.jit_masks import packed
from softcp_gpu.kernels.jit_plan import weights


@triton.jit
def words_pass(
    mask,  # (B, s0, s1, s2), not 0 on lesions; or four pixels in each number
    alpha,  # (B,), or a number; k_erode and k_dilate likewise, as EACH says
    k_erode,
    k_dilate,
    words,  # (B, s0, s1, per_line) int32, out
    box,  # (B, 7) int32, zeros, out: as jit_lesion.box_pass
    steps,  # (B,) int64, out: k_erode
    table,  # (B, k_max + 2), out: S of each level
    s0, s1, s2, per_line, k_max,
    ALPHAS: tl.constexpr, ERODES_EACH: tl.constexpr, DILATES_EACH: tl.constexpr,
    GEOMETRIC: tl.constexpr, LEVELS: tl.constexpr,
    FOURS: tl.constexpr, PIECES: tl.constexpr, ACROSS: tl.constexpr,  # as jit_masks.packed
    AXES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Lesions as words and boxes around them; and by the first program of each sample, beside it, the weights."""
    sample, program = tl.program_id(1).to(tl.int64), tl.program_id(0)
    if program > 0:
        out = (words, box, sample, program - 1, tl.num_programs(0) - 1)
        packed(mask, mask, mask, *out, s0, s1, s2, per_line, False, FOURS, PIECES, ACROSS, AXES, BLOCK)
    else:
        base, erode, dilate = alpha, k_erode, k_dilate
        if ALPHAS:
            base = tl.load(alpha + sample)
        if ERODES_EACH:
            erode = tl.load(k_erode + sample)
        if DILATES_EACH:
            dilate = tl.load(k_dilate + sample)
        tl.store(steps + sample, sample * 0 + erode)
        weights(table + sample * (k_max + 2), base, dilate, k_max, GEOMETRIC, LEVELS)
