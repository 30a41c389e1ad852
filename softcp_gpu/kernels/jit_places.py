"""Triton: where lesions may lie at all, and how many of their pixels fall where at some places there."""

import triton
import triton.language as tl

from softcp_gpu.kernels.jit_words import along_axes, count_shared, is_legal, length_of, split


@triton.jit
def rectangle(
    axis: tl.constexpr, length, side, pixels, in_region, on_others, d0, d1, d2,
    WHOLE: tl.constexpr,  # lesions lie in the frame as a whole
    ASKS: tl.constexpr,  # some of a lesion must lie in the region
    WITH_REGION: tl.constexpr,
    REGION: tl.constexpr, OTHERS: tl.constexpr, VISIBLE: tl.constexpr,
    REGION_SHARE: tl.constexpr, OTHERS_SHARE: tl.constexpr, VISIBLE_SHARE: tl.constexpr,
    AXES: tl.constexpr,
):  # fmt: skip
    """One axis of a rectangle that holds every legal place, as functional/search.py has it: from where, how many."""
    free = (pixels * 0 + d0) * d1 * d2
    shared, crowded = pixels * 0, pixels * 0
    if WITH_REGION:
        shared = tl.minimum(pixels, tl.load(in_region + 6).to(tl.int64))
    if WHOLE:
        crowded = tl.maximum(pixels + tl.load(on_others + 6).to(tl.int64) - free, 0)
    some = is_legal(
        pixels, shared, crowded, pixels.to(tl.float64), WITH_REGION,
        REGION, OTHERS, VISIBLE, REGION_SHARE, OTHERS_SHARE, VISIBLE_SHARE,
    ).to(tl.int64)  # fmt: skip
    lower, upper = side * 0, length - side
    if not WHOLE:
        lower, upper = 1 - side, side * 0 + length - 1
    if WITH_REGION and ASKS:
        noted = in_region + 3 - AXES + axis
        end, start = tl.load(noted).to(tl.int64), length - tl.load(noted + 3).to(tl.int64)
        filled = tl.load(in_region + 6) > 0
        lower = tl.maximum(lower, tl.where(filled, start, 0) - side + 1)
        upper = tl.where(filled, tl.minimum(upper, end - 1), lower - 1)
    return lower, tl.maximum(upper - lower + 1, 0) * some


@triton.jit
def store_places(
    axis: tl.constexpr, lower, number, candidate_u, first, span, candidates, sample,
    AXES: tl.constexpr, PLACES: tl.constexpr,
):  # fmt: skip
    """One axis of a rectangle, and of places drawn from it."""
    tl.store(first + sample * AXES + axis, lower)
    tl.store(span + sample * AXES + axis, number)
    here = (sample * PLACES + tl.arange(0, PLACES)) * AXES + axis
    tl.store(candidates + here, lower + (tl.load(candidate_u + here) * number.to(tl.float64)).to(tl.int64))


@triton.jit
def rectangle_pass(
    extent,  # (B, AXES) int64, the lesion's box
    area,  # (B,) int64
    in_region,  # (B, 7) int32, what jit_lesion.box_pass notes of the region, if WITH_REGION; of other lesions
    on_others,
    candidate_u,  # (B, PLACES, AXES) float64 in [0, 1)
    first,  # (B, AXES) int64, out; span likewise
    span,
    candidates,  # (B, PLACES, AXES) int64, out
    d0, d1, d2,
    WHOLE: tl.constexpr, ASKS: tl.constexpr, WITH_REGION: tl.constexpr,
    REGION: tl.constexpr, OTHERS: tl.constexpr, VISIBLE: tl.constexpr,
    REGION_SHARE: tl.constexpr, OTHERS_SHARE: tl.constexpr, VISIBLE_SHARE: tl.constexpr,
    AXES: tl.constexpr,
    PLACES: tl.constexpr,
):  # fmt: skip
    """A rectangle that holds every legal place, and places drawn from it; as functional/search.py has it."""
    sample = tl.program_id(1).to(tl.int64)
    pixels = tl.load(area + sample)
    for axis in tl.static_range(AXES):
        length = length_of(axis, d0, d1, d2, AXES)
        side = tl.load(extent + sample * AXES + axis)
        lower, number = rectangle(
            axis, length, side, pixels, in_region + sample * 7, on_others + sample * 7, d0, d1, d2,
            WHOLE, ASKS, WITH_REGION,
            REGION, OTHERS, VISIBLE, REGION_SHARE, OTHERS_SHARE, VISIBLE_SHARE, AXES,
        )  # fmt: skip
        store_places(axis, lower, number, candidate_u, first, span, candidates, sample, AXES, PLACES)


@triton.jit
def count_at(
    lesion, region, others, extent, sample, z, y, x, w0, w1, words, d0, d1, d2, per_line,
    WITH_REGION: tl.constexpr, AXES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """How many pixels of a sample's lesion, its box at (z, y, x), are visible, in the region, and on other lesions."""
    h0, h1, h2 = along_axes(extent + sample * AXES, 1, AXES)
    # A lesion that is longer than its window has no place, and its window no more words.
    h0, h1, across = tl.minimum(h0, w0), tl.minimum(h1, w1), tl.minimum((h2 + 31) // 32, words)
    frame = d0 * d1 * per_line
    visible, in_region = tl.zeros([BLOCK], tl.int32), tl.zeros([BLOCK], tl.int32)
    on_others = tl.zeros([BLOCK], tl.int32)
    for first in tl.range(0, h0 * h1 * across, BLOCK, loop_unroll_factor=4):  # so that many loads are under way at once
        at = first + tl.arange(0, BLOCK)
        k0, k1, k2 = split(at, h1, across, AXES)
        inside = at < h0 * h1 * across
        word = tl.load(lesion + ((sample * w0 + k0) * w1 + k1) * words + k2, mask=inside, other=0)
        a, b, c = count_shared(
            word, region + sample * frame, others + sample * frame,
            z + k0, y + k1, x + 32 * k2, d0, d1, d2, per_line, False, WITH_REGION,
        )  # fmt: skip
        visible, in_region, on_others = visible + a, in_region + b, on_others + c
    return tl.sum(visible, axis=0), tl.sum(in_region, axis=0), tl.sum(on_others, axis=0)


@triton.jit
def count_pass(
    lesion,  # (B, w0, w1, words) int32: its box begins at the first bit
    region,  # (B, d0, d1, per_line) int32, if WITH_REGION; others likewise
    others,
    extent,  # (B, AXES) int64, the lesion's box
    area,  # (B,) int64
    origin,  # (B, places, AXES) int64: where the box begins
    span,  # (B, AXES) int64: without any place along an axis, none is legal
    counts,  # (B, places, 4) int32, out: visible, in the region, on other lesions; and whether that is legal
    found,  # (B,) int32, raised to 1 if a place is legal
    places, w0, w1, words, d0, d1, d2, per_line,
    WITH_REGION: tl.constexpr,
    REGION: tl.constexpr, OTHERS: tl.constexpr, VISIBLE: tl.constexpr,
    REGION_SHARE: tl.constexpr, OTHERS_SHARE: tl.constexpr, VISIBLE_SHARE: tl.constexpr,
    AXES: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """One place of one sample, the words of the lesion side by side."""
    sample = tl.program_id(1).to(tl.int64)
    here = sample * places + tl.program_id(0)
    z, y, x = along_axes(origin + here * AXES, 0, AXES)
    n0, n1, n2 = along_axes(span + sample * AXES, 1, AXES)
    visible, in_region, on_others = count_at(
        lesion, region, others, extent, sample, z, y, x, w0, w1, words, d0, d1, d2, per_line, WITH_REGION, AXES, BLOCK
    )
    legal = is_legal(
        visible, in_region, on_others, tl.load(area + sample).to(tl.float64), WITH_REGION,
        REGION, OTHERS, VISIBLE, REGION_SHARE, OTHERS_SHARE, VISIBLE_SHARE,
    )  # fmt: skip
    tl.store(counts + here * 4, visible)
    tl.store(counts + here * 4 + 1, in_region)
    tl.store(counts + here * 4 + 2, on_others)
    legal = legal & (n0 > 0) & (n1 > 0) & (n2 > 0)
    tl.store(counts + here * 4 + 3, legal.to(tl.int32))
    if legal:
        tl.atomic_max(found + sample, 1)
