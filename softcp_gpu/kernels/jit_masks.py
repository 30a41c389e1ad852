"""Triton: masks as words, 32 pixels of a line in each, as jit_words has it, and the boxes around what is on.

Frames of images have a first axis of length 1.
"""

import triton
import triton.language as tl

from softcp_gpu.kernels.jit_lesion import warped_label
from softcp_gpu.kernels.jit_words import along_axes, lies_at, ones, split


@triton.jit
def _before_first(word):
    """How many bits are 0 before the first 1."""
    return ones((word & -word) - 1)


@triton.jit
def _to_last(word):
    """How many bits there are up to the last 1."""
    for shift in tl.static_range(5):
        word = word | (word >> (1 << shift))
    return ones(word)


@triton.jit
def packed(
    flags, copy, other_copy, words, box, sample, first, step, s0, s1, s2, per_line,
    COPIES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Packs every `step`-th block from the first, and widens the sample's box to what is on; as jit_lesion.box_pass."""
    bit, total = tl.arange(0, 32)[None, :], s0 * s1 * per_line
    end0, end1 = tl.zeros([BLOCK], tl.int32), tl.zeros([BLOCK], tl.int32)
    back0, back1, count = tl.zeros([BLOCK], tl.int32), tl.zeros([BLOCK], tl.int32), tl.zeros([BLOCK], tl.int32)
    end2, back2 = tl.zeros([BLOCK], tl.int32), tl.zeros([BLOCK], tl.int32)
    for begin in range(first * BLOCK, total, step * BLOCK):
        at = begin + tl.arange(0, BLOCK)
        there, line, across = at < total, at // per_line, (at % per_line) * 32
        pixel = across[:, None] + bit
        inside = there[:, None] & (pixel < s2)
        place = sample * s0 * s1 * s2 + line[:, None] * s2 + pixel
        value = tl.load(flags + place, mask=inside, other=0)
        if COPIES:
            tl.store(copy + place, value, mask=inside)
            tl.store(other_copy + place, value, mask=inside)
        word = tl.sum((value != 0).to(tl.int32) << bit, axis=1)
        tl.store(words + sample * total + at, word, mask=there)
        k0, k1, some = line // s1, line % s1, word != 0
        end0, back0 = tl.maximum(end0, tl.where(some, k0 + 1, 0)), tl.maximum(back0, tl.where(some, s0 - k0, 0))
        end1, back1 = tl.maximum(end1, tl.where(some, k1 + 1, 0)), tl.maximum(back1, tl.where(some, s1 - k1, 0))
        end2 = tl.maximum(end2, tl.where(some, across + _to_last(word), 0))
        back2 = tl.maximum(back2, tl.where(some, s2 - across - _before_first(word), 0))
        count += ones(word)
    number = tl.sum(count, axis=0)
    if number > 0:
        own = box + sample * 7
        tl.atomic_max(own, tl.max(end0, axis=0))
        tl.atomic_max(own + 1, tl.max(end1, axis=0))
        tl.atomic_max(own + 2, tl.max(end2, axis=0))
        tl.atomic_max(own + 3, tl.max(back0, axis=0))
        tl.atomic_max(own + 4, tl.max(back1, axis=0))
        tl.atomic_max(own + 5, tl.max(back2, axis=0))
        tl.atomic_add(own + 6, number)


@triton.jit
def masks_pass(
    others,  # (B, s0, s1, s2), not 0 on lesions; region likewise, if WITH_REGION
    region,
    other_words,  # (B, s0, s1, per_line) int32, out; region_words likewise
    region_words,
    other_box,  # (B, 7) int32, zeros, out, as jit_lesion.box_pass; region_box likewise
    region_box,
    addresses,  # (6,) int64, if ELSEWHERE: the last three of mask, region and new mask; then `others` is written
    s0, s1, s2, per_line,
    WITH_REGION: tl.constexpr, ELSEWHERE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Masks as words, and the boxes around what is on; of two masks each is done by every second program."""
    sample, first, step = tl.program_id(1).to(tl.int64), tl.program_id(0), tl.num_programs(0)
    mask, new = lies_at(others, addresses, 3, ELSEWHERE), lies_at(others, addresses, 5, ELSEWHERE)
    region, turn = lies_at(region, addresses, 4, ELSEWHERE and WITH_REGION), first * 0
    if WITH_REGION:
        first, step, turn = first // 2, step // 2, first % 2
    if turn == 0:
        out = (other_words, other_box, sample, first, step)
        packed(mask, others, new, *out, s0, s1, s2, per_line, ELSEWHERE, BLOCK)
    else:
        out = (region_words, region_box, sample, first, step)
        packed(region, region, region, *out, s0, s1, s2, per_line, False, BLOCK)


@triton.jit
def moved_words_pass(
    source,  # (N, d0, d1, d2), not 0 on lesions
    rows,  # (B,) int64, which of them each sample takes
    affine,  # (B, AXES, AXES + 1) float64: pixel of the frame to pixel of the source
    home,  # (B, AXES) int64; extent likewise
    extent,
    words,  # (B, w0, w1, per_line) int32, out: the moved lesion, its box at the first bit
    d0, d1, d2, w0, w1, per_line,
    AXES: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Each moved lesion as words; beyond its box nothing is written."""
    sample = tl.program_id(1).to(tl.int64)
    z, y, x = along_axes(home + sample * AXES, 0, AXES)
    h0, h1, h2 = along_axes(extent + sample * AXES, 1, AXES)
    h0, h1, across = tl.minimum(h0, w0), tl.minimum(h1, w1), tl.minimum((h2 + 31) // 32, per_line)
    frame = source + tl.load(rows + sample) * d0 * d1 * d2
    bit = tl.arange(0, 32)
    for begin in range(tl.program_id(0) * BLOCK, h0 * h1 * across, tl.num_programs(0) * BLOCK):
        at = begin + tl.arange(0, BLOCK)
        there = at < h0 * h1 * across
        k0, k1, k2 = split(at, h1, across, AXES)
        pixel = k2[:, None] * 32 + bit[None, :]
        inside = there[:, None] & (pixel < h2)
        rest = affine + sample * AXES * (AXES + 1)
        label = warped_label(frame, rest, k0[:, None] + z, k1[:, None] + y, pixel + x, inside, d0, d1, d2, AXES)
        word = tl.sum((label != 0).to(tl.int32) << bit[None, :], axis=1)
        tl.store(words + ((sample * w0 + k0) * w1 + k1) * per_line + k2, word, mask=there)
