"""Triton: the soft mask of a batch of lesions: a pass over the masks, and the rest in the tiles around the lesions."""

import triton
import triton.language as tl

from softcp_gpu.kernels.jit_grow import lesion_of, levels, numbers_of, taken_steps
from softcp_gpu.kernels.jit_masks import packed
from softcp_gpu.kernels.jit_plan import weights


@triton.jit
def words_pass(
    mask,  # (B, s0, s1, s2), not 0 on lesions
    alpha,  # (B,), or a number; k_erode and k_dilate likewise, as EACH says
    k_erode,
    k_dilate,
    words,  # (B, s0, s1, per_line) int32, out
    box,  # (B, 7) int32, zeros, out: as jit_lesion.box_pass
    steps,  # (B,) int64, out: k_erode
    table,  # (B, k_max + 2), out: S of each level
    s0, s1, s2, per_line, k_max,
    ALPHAS: tl.constexpr, ERODES_EACH: tl.constexpr, DILATES_EACH: tl.constexpr,
    GEOMETRIC: tl.constexpr, LEVELS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Lesions as words, boxes around them, and the weights."""
    sample = tl.program_id(1).to(tl.int64)
    packed(mask, words, box, sample, s0, s1, s2, per_line, BLOCK)
    if tl.program_id(0) == 0:
        base, erode, dilate = alpha, k_erode, k_dilate
        if ALPHAS:
            base = tl.load(alpha + sample)
        if ERODES_EACH:
            erode = tl.load(k_erode + sample)
        if DILATES_EACH:
            dilate = tl.load(k_dilate + sample)
        tl.store(steps + sample, sample * 0 + erode)
        weights(table + sample * (k_max + 2), base, dilate, k_max, GEOMETRIC, LEVELS)


@triton.jit
def tile_soft_pass(
    cores,  # (B, planes, s0, s1, per_line) int32: lesions after each step of erosion, from the frame's first pixel on
    box,  # (B, 7) int32
    k_erode,  # (B,) int64
    possible,  # (B,) int32, if ERODES
    table,  # (B, k_max + 2)
    soft,  # (B, pixels), zeros, out
    planes, per_line, s0, s1, s2, k_max,
    ERODES: tl.constexpr, CROSS: tl.constexpr,
    SKIPS: tl.constexpr,  # a lesion that cannot be eroded by all steps is left out
    AXES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Rings, and S from the table."""
    sample = tl.program_id(1).to(tl.int64)
    taken = taken_steps(k_erode, possible, sample, ERODES)
    first = (sample * planes + taken) * s0 * s1 * per_line
    core, a, n = lesion_of(cores, first, box, sample, k_max, s1, per_line, s0, s1, s2, True)
    a0, a1, a2 = a
    n0, n1, n2 = n
    bit, total = tl.arange(0, 32)[None, :], n0 * n1 * n2
    if SKIPS:
        total = tl.where(taken == tl.load(k_erode + sample), total, 0)
    for begin in range(tl.program_id(0) * BLOCK, total, tl.num_programs(0) * BLOCK):
        t = begin + tl.arange(0, BLOCK)
        there = t < total
        k0, k1, w = a0 + t // (n1 * n2), a1 + (t // n2) % n1, a2 + t % n2
        number = numbers_of(levels(core, k0, k1, w, there, k_max + n2 * 0, CROSS, AXES))
        k2 = w[:, None] * 32 + bit
        at = (k0[:, None] * s1 + k1[:, None]) * s2 + k2
        shown = there[:, None] & (k2 < s2) & (number > 0)
        weight = tl.load(table + sample * (k_max + 2) + number, mask=shown, other=0)
        tl.store(soft + sample * s0 * s1 * s2 + at, weight, mask=shown)
