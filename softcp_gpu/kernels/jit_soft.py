"""Triton: the soft mask of a batch of lesions: one pass over the frames, and the rest in the tiles around the lesions."""

import triton
import triton.language as tl

from softcp_gpu.kernels.jit_plan import weights
from softcp_gpu.kernels.jit_tile import away_from_core, box_of, taken_steps, tile_of


@triton.jit
def frame_pass(
    mask,  # (B, pixels), not 0 on lesions
    alpha,  # (B,), or a number; k_erode and k_dilate likewise, as EACH says
    k_erode,
    k_dilate,
    box,  # (B, 7) int32, zeros, out: as jit_lesion.box_pass
    soft,  # (B, pixels), out: zeros
    steps,  # (B,) int64, out: k_erode
    table,  # (B, k_max + 2), out: S of each level
    s0, s1, s2, k_max,
    ALPHAS: tl.constexpr, ERODES_EACH: tl.constexpr, DILATES_EACH: tl.constexpr,
    GEOMETRIC: tl.constexpr, LEVELS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Boxes around the lesions, zeros everywhere, and the weights."""
    sample = tl.program_id(1).to(tl.int64)
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    first, inside = sample * s0 * s1 * s2, at < s0 * s1 * s2
    there = tl.load(mask + first + at, mask=inside, other=0) != 0
    tl.store(soft + first + at, tl.zeros([BLOCK], dtype=soft.dtype.element_ty), mask=inside)
    count = tl.sum(there.to(tl.int32), axis=0)
    if count > 0:
        own, k0, k1, k2 = box + sample * 7, at // (s1 * s2), (at // s2) % s1, at % s2
        tl.atomic_max(own, tl.max(tl.where(there, k0 + 1, 0), axis=0))
        tl.atomic_max(own + 1, tl.max(tl.where(there, k1 + 1, 0), axis=0))
        tl.atomic_max(own + 2, tl.max(tl.where(there, k2 + 1, 0), axis=0))
        tl.atomic_max(own + 3, tl.max(tl.where(there, s0 - k0, 0), axis=0))
        tl.atomic_max(own + 4, tl.max(tl.where(there, s1 - k1, 0), axis=0))
        tl.atomic_max(own + 5, tl.max(tl.where(there, s2 - k2, 0), axis=0))
        tl.atomic_add(own + 6, count)
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
    known,  # (B, pixels), what READS says
    box,  # (B, 7) int32
    k_erode,  # (B,) int64
    possible,  # (B,) int32, if ERODES
    table,  # (B, far + 1)
    soft,  # (B, pixels), zeros, out
    margin, s0, s1, s2, far, stride, reach,
    READS: tl.constexpr, ERODES: tl.constexpr, CROSS: tl.constexpr,
    SKIPS: tl.constexpr,  # a lesion that cannot be eroded by all steps is left out
    AXIS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The last pass of the rings, and S from the table."""
    sample = tl.program_id(1).to(tl.int64)
    a0, a1, a2, n0, n1, n2 = tile_of(box, sample, margin, s0, s1, s2)
    place, frame = box_of(box, sample, s0, s1, s2), sample * s0 * s1 * s2
    taken, total = taken_steps(k_erode, possible, sample, ERODES), n0 * n1 * n2
    if SKIPS:
        total = tl.where(taken == tl.load(k_erode + sample), total, 0)
    a, n = a2, n2
    if AXIS == 1:
        a, n = a1, n1
    if AXIS == 0:
        a, n = a0, n0
    lesion = (known, sample, 0, 0, 0)
    for begin in range(tl.program_id(0) * BLOCK, total, tl.num_programs(0) * BLOCK):
        t = begin + tl.arange(0, BLOCK)
        k0, k1, k2, inside = a0 + t // (n1 * n2), a1 + (t // n2) % n1, a2 + t % n2, t < total
        at = (k0 * s1 + k1) * s2 + k2
        away = away_from_core(
            lesion, known + frame, place, at, k0, k1, k2, inside, a, n, taken, far, stride, reach,
            READS, False, CROSS, AXIS,
        )  # fmt: skip
        weight = tl.load(table + sample * (far + 1) + far - away, mask=inside, other=0)
        tl.store(soft + frame + at, weight, mask=inside & (weight > 0))
