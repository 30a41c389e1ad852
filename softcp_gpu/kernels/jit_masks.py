"""Triton: masks as words, 32 pixels of a line in each, as jit_words has it, and the boxes around what is on.

Frames of images have a first axis of length 1.
"""

import triton
import triton.language as tl

from softcp_gpu.kernels.jit_lesion import sides_of, warped_label, widen
from softcp_gpu.kernels.jit_words import along_axes, lies_at, ones, split

LOW_BITS, ONES = tl.constexpr(0x7F7F7F7F), tl.constexpr(0x01010101)  # of each byte
GATHERED = tl.constexpr(0x01020408)  # times four bits, one in each byte: their sum in the highest byte, side by side


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
def _bits_of_fours(value):
    """Which of the four bytes of each number are not 0, as its lowest bits."""
    on = (((value & LOW_BITS) + LOW_BITS) | value) >> 7 & ONES
    return ((on * GATHERED) >> 24) & 15


@triton.jit
def packed(
    flags, copy, other_copy, words, box, sample, first, step, s0, s1, s2, per_line,
    COPIES: tl.constexpr,
    FOURS: tl.constexpr,  # four pixels in each number
    PIECES: tl.constexpr,  # of a line, each of so many words
    ACROSS: tl.constexpr,
    AXES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Packs every `step`-th block from the first, and widens the sample's box to what is on; as jit_lesion.box_pass."""
    lines, at = s0 * s1, tl.arange(0, BLOCK)
    column, row = first % PIECES * ACROSS + at % ACROSS, at // ACROSS
    together: tl.constexpr = 4 if FOURS else 1
    part, width = tl.arange(0, 32 // together)[None, :], s2 // together
    across, skipped = column[:, None] * (32 // together) + part, sample * lines * width
    flags, copy, other_copy = flags + skipped, copy + skipped, other_copy + skipped
    seen, count = tl.zeros([BLOCK], tl.int32), tl.zeros([BLOCK], tl.int32)
    end0, end1 = tl.zeros([BLOCK], tl.int32), tl.zeros([BLOCK], tl.int32)
    back0, back1 = tl.zeros([BLOCK], tl.int32), tl.zeros([BLOCK], tl.int32)
    for begin in range(first // PIECES * (BLOCK // ACROSS), lines, step // PIECES * (BLOCK // ACROSS)):
        line = begin + row
        there = (line < lines) & (column < per_line)
        place, inside = line[:, None] * width + across, there[:, None] & (across < width)
        value = tl.load(flags + place, mask=inside, other=0)
        if COPIES:
            tl.store(copy + place, value, mask=inside)
            tl.store(other_copy + place, value, mask=inside)
        on = _bits_of_fours(value) if FOURS else (value != 0).to(tl.int32)
        word = tl.sum(on << part * together, axis=1)
        tl.store(words + (sample * lines + line) * per_line + column, word, mask=there)
        k0, k1, some = line * 0, line, word != 0
        if AXES == 3:
            k0 = line // s1
            k1 = line - k0 * s1
        end, back = sides_of(k0, some, s0)
        end0, back0 = tl.maximum(end0, end), tl.maximum(back0, back)
        end, back = sides_of(k1, some, s1)
        end1, back1 = tl.maximum(end1, end), tl.maximum(back1, back)
        seen, count = seen | word, count + ones(word)
    last, rest = column * 32 + _to_last(seen), s2 - column * 32 - _before_first(seen)
    end2, back2 = tl.where(seen != 0, last, 0), tl.where(seen != 0, rest, 0)
    widen(box + sample * 7, end0, end1, end2, back0, back1, back2, count)


@triton.jit
def masks_pass(
    others,  # (B, s0, s1, s2), not 0 on lesions; region likewise, if WITH_REGION; or four pixels in each number
    region,
    other_words,  # (B, s0, s1, per_line) int32, out; region_words likewise
    region_words,
    other_box,  # (B, 7) int32, zeros, out, as jit_lesion.box_pass; region_box likewise
    region_box,
    addresses,  # (6,) int64, if ELSEWHERE: the last three of mask, region and new mask; then `others` is written
    s0, s1, s2, per_line,
    WITH_REGION: tl.constexpr, ELSEWHERE: tl.constexpr,
    FOURS: tl.constexpr, REGION_FOURS: tl.constexpr, PIECES: tl.constexpr, ACROSS: tl.constexpr,  # as packed
    AXES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Masks as words, and the boxes around what is on; of two masks one is done by the second half of the programs."""
    sample, first, step = tl.program_id(1).to(tl.int64), tl.program_id(0), tl.num_programs(0)
    mask, new = lies_at(others, addresses, 3, ELSEWHERE), lies_at(others, addresses, 5, ELSEWHERE)
    region, half = lies_at(region, addresses, 4, ELSEWHERE and WITH_REGION), step
    if WITH_REGION:
        half = step // 2
    if first < half:
        out = (other_words, other_box, sample, first, half)
        packed(mask, others, new, *out, s0, s1, s2, per_line, ELSEWHERE, FOURS, PIECES, ACROSS, AXES, BLOCK)
    else:
        out = (region_words, region_box, sample, first - half, half)
        packed(region, region, region, *out, s0, s1, s2, per_line, False, REGION_FOURS, PIECES, ACROSS, AXES, BLOCK)


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
