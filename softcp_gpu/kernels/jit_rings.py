"""Triton: ring counts by min-plus passes along the axes, the last of which weighs and blends too.

The distance to a set is separable: after a pass along each axis, d is the least over the offsets of max(|dx|, |dy|),
"full", or of |dx| + |dy|, "cross". A pass reads 2 * reach + 1 neighbours of each pixel, mostly from the cache, and
writes it once.
"""

import triton
import triton.language as tl

# What a pass reads.
DISTANCE = tl.constexpr(0)  # along the axes before
OUTSIDE = tl.constexpr(1)  # a lesion: the set is what lies outside it
CORE = tl.constexpr(2)  # depths, or a lesion: the set is what lies deeper than the erosion


@triton.jit
def _known(start, at, inside, taken, far, READS: tl.constexpr):
    """The distance of pixels that a pass reads, `far` outside the frame: its border neither erodes nor dilates."""
    value = tl.load(start + at, mask=inside, other=0).to(tl.int32)
    if READS == OUTSIDE:
        value = tl.where(value == 0, 0, far)
    if READS == CORE:
        value = tl.where(value > taken, 0, far)
    return tl.where(inside, value, far)


@triton.jit
def _nearest(start, at, inside, taken, far, stride, length, reach, low, high, READS: tl.constexpr, CROSS: tl.constexpr):
    """The distance after a pass along one axis, at most `far`; between low and high lies all that is looked at."""
    along = (at // stride) % length
    best = _known(start, at, inside, taken, far, READS)
    for j in range(1, reach + 1):
        lower = _known(start, at - j * stride, inside & (along - j >= low), taken, far, READS)
        upper = _known(start, at + j * stride, inside & (along + j < high), taken, far, READS)
        near = tl.minimum(lower, upper)
        best = tl.minimum(best, near + j if CROSS else tl.maximum(near, j))
    return tl.minimum(best, far)


@triton.jit
def _ends(box, margin, length, AXIS: tl.constexpr):
    """From where to where along an axis something is near the lesion."""
    low = tl.maximum(length - tl.load(box + 3 + AXIS) - margin, 0)
    return low, tl.minimum(tl.load(box + AXIS) + margin, length)


@triton.jit
def _block(
    known, taken, box, margin, s0, s1, s2, far, stride, length, reach,
    READS: tl.constexpr, CROSS: tl.constexpr, AXIS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """A program's sample, its pixels, which of them lie near the lesion, and their distances after the pass."""
    sample = tl.program_id(1).to(tl.int64)
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    own = box + sample * 7
    near = (at < s0 * s1 * s2) & (tl.load(own + 6) > 0)
    low, high = _ends(own, margin, s0, 0)
    near = near & (at // (s1 * s2) >= low) & (at // (s1 * s2) < high)
    low, high = _ends(own, margin, s1, 1)
    near = near & ((at // s2) % s1 >= low) & ((at // s2) % s1 < high)
    low, high = _ends(own, margin, s2, 2)
    near = near & (at % s2 >= low) & (at % s2 < high)
    away = at * 0 + far
    if tl.max(near.to(tl.int32), axis=0) > 0:
        low, high = _ends(own, margin, length, AXIS)
        steps = 0
        if READS == CORE:
            steps = tl.load(taken + sample).to(tl.int32)
        away = _nearest(
            known + sample * s0 * s1 * s2, at, near, steps, far, stride, length, reach, low, high, READS, CROSS
        )
    return sample, at, near, away


@triton.jit
def distance_pass(
    known,  # (B, pixels), what READS says
    taken,  # (B,) erosion steps, if READS is CORE
    found,  # (B, pixels), distances
    possible,  # (B,) int32, raised to how many steps leave a core, if COUNTS
    box,  # (B, 7) int32, what jit_lesion.box_pass notes of the lesions
    margin,  # around the boxes; beyond it nothing is read or written
    s0, s1, s2,
    far,
    stride,
    length,
    reach,
    READS: tl.constexpr,
    CROSS: tl.constexpr,
    COUNTS: tl.constexpr,
    AXIS: tl.constexpr,  # of three
    BLOCK: tl.constexpr,
):  # fmt: skip
    """One pass that is not the last."""
    sample, at, near, away = _block(
        known, taken, box, margin, s0, s1, s2, far, stride, length, reach, READS, CROSS, AXIS, BLOCK
    )
    tl.store(found + sample * s0 * s1 * s2 + at, away.to(found.dtype.element_ty), mask=near)
    if COUNTS:
        deepest = tl.max(tl.where(near, away, 0), axis=0)
        if deepest > 1:
            tl.atomic_max(possible + sample, deepest - 1)  # a pixel at depth d outlives d - 1 steps


@triton.jit
def last_pass(
    known,  # (B, pixels), what READS says
    taken,  # (B,) erosion steps, if READS is CORE
    table,  # (B, far + 1): S of each level
    source,  # (B, channels, pixels), if BLENDS
    image,  # (B, channels, pixels), if BLENDS
    level,  # (B, pixels), out
    soft,  # (B, pixels), out
    blended,  # (B, channels, pixels), out, if BLENDS
    box,  # as distance_pass; margin and lengths likewise
    margin,
    s0, s1, s2,
    channels,
    far,
    stride,
    length,
    reach,
    READS: tl.constexpr,
    CROSS: tl.constexpr,
    BLENDS: tl.constexpr,
    AXIS: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """The last pass, then S from the table, then S * source + (1 - S) * image."""
    sample, at, near, away = _block(
        known, taken, box, margin, s0, s1, s2, far, stride, length, reach, READS, CROSS, AXIS, BLOCK
    )
    pixels = s0 * s1 * s2
    inside, first, count = at < pixels, sample * pixels, tl.where(near, far - away, 0)
    tl.store(level + first + at, count.to(level.dtype.element_ty), mask=inside)
    weight = tl.load(table + sample * (far + 1) + count, mask=inside, other=0)
    tl.store(soft + first + at, weight, mask=inside)
    if BLENDS:
        weight = weight.to(source.dtype.element_ty)
        for channel in range(channels):
            here = (sample * channels + channel) * pixels + at
            new = tl.load(source + here, mask=inside & (weight > 0), other=0)  # elsewhere it may hold anything
            old = tl.load(image + here, mask=inside, other=0)
            mixed = (new * weight + (1 - weight) * old.to(new.dtype)).to(old.dtype)
            tl.store(blended + here, tl.where(weight > 0, mixed, old), mask=inside)


@triton.jit
def backward_pass(
    level,  # (B, pixels)
    table,  # (B, levels)
    source,  # (B, channels, pixels), if BLENDS; image likewise
    image,
    grad_soft,  # (B, pixels)
    grad_blended,  # (B, channels, pixels), if BLENDS
    grad_source,  # (B, channels, pixels), out, if BLENDS; grad_image likewise
    grad_image,
    grad_table,  # (B, blocks, levels), out: sums over the block, which are added up in a fixed order
    pixels,
    channels,
    levels,
    BLENDS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Gradients of `last_pass`."""
    sample = tl.program_id(1).to(tl.int64)
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < pixels
    first = sample * pixels
    count = tl.load(level + first + at, mask=inside, other=0).to(tl.int32)
    grad = tl.load(grad_soft + first + at, mask=inside, other=0)
    if BLENDS:
        weight = tl.load(table + sample * levels + count, mask=inside, other=0).to(source.dtype.element_ty)
        pasted = weight > 0
        by_weight = tl.zeros([BLOCK], dtype=source.dtype.element_ty)
        for channel in range(channels):
            here = (sample * channels + channel) * pixels + at
            out = tl.load(grad_blended + here, mask=inside, other=0)
            there = tl.where(pasted, out.to(weight.dtype), 0.0)
            new = tl.load(source + here, mask=inside, other=0)
            old = tl.load(image + here, mask=inside, other=0).to(weight.dtype)
            by_weight += tl.where(pasted, there * (new - old), 0.0)  # 0 * infinity far from the lesion is no gradient
            tl.store(grad_source + here, there * weight, mask=inside)
            kept = tl.where(pasted, ((1 - weight) * there).to(out.dtype), out)
            tl.store(grad_image + here, kept, mask=inside)
        grad += by_weight.to(grad.dtype)
    block = (sample * tl.num_programs(0) + tl.program_id(0)) * levels
    for i in range(levels):
        tl.store(grad_table + block + i, tl.sum(tl.where(inside & (count == i), grad, 0.0), axis=0))
