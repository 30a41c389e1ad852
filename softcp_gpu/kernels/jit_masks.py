"""Triton: masks as words, 32 pixels of a line in each, as jit_words has it, and the boxes around what is on.

Frames of images have a first axis of length 1.
"""

import triton
import triton.language as tl

from softcp_gpu.kernels.jit_lesion import warped_label
from softcp_gpu.kernels.jit_words import along_axes


@triton.jit
def _note_words(box, on, k0, k1, pixel, s0, s1, s2):
    """Widens a box to the pixels (words, 32) that are on, and counts them; as jit_lesion.box_pass."""
    count = tl.sum(tl.sum(on.to(tl.int32), axis=1), axis=0)
    if count > 0:
        line = tl.max(on.to(tl.int32), axis=1) != 0
        tl.atomic_max(box, tl.max(tl.where(line, k0 + 1, 0), axis=0))
        tl.atomic_max(box + 1, tl.max(tl.where(line, k1 + 1, 0), axis=0))
        tl.atomic_max(box + 2, tl.max(tl.max(tl.where(on, pixel + 1, 0), axis=1), axis=0))
        tl.atomic_max(box + 3, tl.max(tl.where(line, s0 - k0, 0), axis=0))
        tl.atomic_max(box + 4, tl.max(tl.where(line, s1 - k1, 0), axis=0))
        tl.atomic_max(box + 5, tl.max(tl.max(tl.where(on, s2 - pixel, 0), axis=1), axis=0))
        tl.atomic_add(box + 6, count)


@triton.jit
def packed(flags, words, box, sample, at, s0, s1, s2, per_line):
    """Packs some words of a sample and notes what is on."""
    bit = tl.arange(0, 32)
    line, pixel = at // per_line, (at % per_line)[:, None] * 32 + bit[None, :]
    there = at < s0 * s1 * per_line
    inside = there[:, None] & (pixel < s2)
    on = tl.load(flags + sample * s0 * s1 * s2 + line[:, None] * s2 + pixel, mask=inside, other=0) != 0
    word = tl.sum(on.to(tl.int32) << bit[None, :], axis=1)
    tl.store(words + sample * s0 * s1 * per_line + at, word, mask=there)
    _note_words(box + sample * 7, on, line // s1, line % s1, pixel, s0, s1, s2)


@triton.jit
def masks_pass(
    others,  # (B, s0, s1, s2), not 0 on lesions; region likewise, if WITH_REGION
    region,
    other_words,  # (B, s0, s1, per_line) int32, out; region_words likewise
    region_words,
    other_box,  # (B, 7) int32, zeros, out, as jit_lesion.box_pass; region_box likewise
    region_box,
    s0, s1, s2, per_line,
    WITH_REGION: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Masks as words, and the boxes around what is on."""
    sample = tl.program_id(1).to(tl.int64)
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    packed(others, other_words, other_box, sample, at, s0, s1, s2, per_line)
    if WITH_REGION:
        packed(region, region_words, region_box, sample, at, s0, s1, s2, per_line)


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
        k0, k1, k2 = at // (h1 * across), (at // across) % h1, at % across
        pixel = k2[:, None] * 32 + bit[None, :]
        inside = there[:, None] & (pixel < h2)
        rest = affine + sample * AXES * (AXES + 1)
        label = warped_label(frame, rest, k0[:, None] + z, k1[:, None] + y, pixel + x, inside, d0, d1, d2, AXES)
        word = tl.sum((label != 0).to(tl.int32) << bit[None, :], axis=1)
        tl.store(words + ((sample * w0 + k0) * w1 + k1) * per_line + k2, word, mask=there)
