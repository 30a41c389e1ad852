"""Triton: what a paste needs to know before it touches pixels: where each lesion goes, whether it may, its weights."""

import triton
import triton.language as tl

from softcp_gpu.kernels.jit_map import drawn_place
from softcp_gpu.kernels.jit_places import count_at, rectangle, store_places
from softcp_gpu.kernels.jit_words import along_axes, is_legal, length_of

# What becomes of a sample, as types.Status numbers it.
PASTED, NOT_DRAWN, EMPTY_SOURCE, LESION_TOO_SMALL, NO_LEGAL_PLACE = (
    tl.constexpr(0),
    tl.constexpr(1),
    tl.constexpr(2),
    tl.constexpr(3),
    tl.constexpr(4),
)


@triton.jit
def places_pass(
    moved,  # (B, 7) int32, of jit_lesion.warped_box_pass
    corner,  # (B, AXES) int64, first pixel of the canvas
    in_region,  # (B, 7) int32, if WITH_REGION; on_others likewise
    on_others,
    candidate_u,  # (B, PLACES, AXES) float64 in [0, 1)
    extent,  # (B, AXES) int64, out: the moved lesion's box
    area,  # (B,) int64, out
    home,  # (B, AXES) int64, out: the first pixel of the box
    first,  # (B, AXES) int64, out; span likewise
    span,
    candidates,  # (B, PLACES, AXES) int64, out
    c0, c1, c2, d0, d1, d2,
    WHOLE: tl.constexpr, ASKS: tl.constexpr, IN_PLACE: tl.constexpr, WITH_REGION: tl.constexpr,
    REGION: tl.constexpr, OTHERS: tl.constexpr, VISIBLE: tl.constexpr,
    REGION_SHARE: tl.constexpr, OTHERS_SHARE: tl.constexpr, VISIBLE_SHARE: tl.constexpr,
    AXES: tl.constexpr,
    PLACES: tl.constexpr,
):  # fmt: skip
    """The moved lesion's box, a rectangle that holds every legal place, and places drawn from it."""
    sample = tl.program_id(1).to(tl.int64)
    box, row = moved + sample * 7, sample * AXES
    pixels = tl.load(box + 6).to(tl.int64)
    tl.store(area + sample, pixels)
    for axis in tl.static_range(AXES):
        canvas, length = length_of(axis, c0, c1, c2, AXES), length_of(axis, d0, d1, d2, AXES)
        noted = box + 3 - AXES + axis
        start = tl.where(pixels > 0, canvas - tl.load(noted + 3), 0).to(tl.int64)
        side = tl.load(noted).to(tl.int64) - start
        own = tl.load(corner + row + axis) + start
        tl.store(home + row + axis, own)
        tl.store(extent + row + axis, side)
        lower, number = rectangle(
            axis, length, side, pixels, in_region + sample * 7, on_others + sample * 7, d0, d1, d2,
            WHOLE, ASKS, WITH_REGION,
            REGION, OTHERS, VISIBLE, REGION_SHARE, OTHERS_SHARE, VISIBLE_SHARE, AXES,
        )  # fmt: skip
        if IN_PLACE:
            lower, number = own, side * 0 + 1
        store_places(axis, lower, number, candidate_u, first, span, candidates, sample, AXES, PLACES)


@triton.jit
def weights(table, alpha, steps, most, GEOMETRIC: tl.constexpr, LEVELS: tl.constexpr):
    """S at each level, as functional/table.py has it, the outermost ring first, the core last."""
    level = tl.arange(0, LEVELS)
    ring = most + 1 - level
    base = (level * 0).to(tl.float64) + alpha
    power = (level * 0).to(tl.float64) + 1
    for i in range(1, most + 1):
        power = tl.where(i <= ring, power * base, power)
    power = tl.where((ring >= 1) & (ring <= steps), power, 0.0)
    weight = power
    if not GEOMETRIC:
        left = power * 0 + 1
        for i in range(1, most + 1):
            factor = 1 - tl.sum(tl.where(level == i, power, 0.0), axis=0)
            left = tl.where(level >= i, left * factor, left)
        weight = 1 - left
    weight = tl.where(ring < 1, 1.0, tl.where(level < 1, 0.0, weight))
    tl.store(table + level, weight.to(table.dtype.element_ty), mask=level < most + 2)


@triton.jit
def _limits(limits, ranges, channels, blocks, dtype: tl.constexpr, BLOCK: tl.constexpr):
    """The least and the largest of what the blocks of each channel have found."""
    at = tl.arange(0, BLOCK)
    for channel in range(channels):
        part = ranges + (channel * blocks + at) * 2
        low = tl.load(part, mask=at < blocks, other=float("inf"))
        high = tl.load(part + 1, mask=at < blocks, other=-float("inf"))
        tl.store(limits + channel * 2, tl.min(low, axis=0).to(dtype))
        tl.store(limits + channel * 2 + 1, tl.max(high, axis=0).to(dtype))


@triton.jit
def plan_pass(
    lesion, region, others,  # words
    source_box,  # (N, 7) int32
    rows,  # (B,) int64
    whole, apply,  # (B,) bytes: no longer than it may be; drawn
    extent, area, home, first, span, candidates, counts, legal,  # as jit_places and jit_map have them
    rank_u,
    affine,  # (B, AXES, AXES + 1) float64: pixel of the frame to pixel of the source, of the lesion at home
    ranges,  # (B, channels, blocks, 2): least and largest values; if OF_SOURCES, (N, channels, blocks, 2)
    alpha, k_dilate,  # (B,)
    box,  # (B, 7) int32, out: around what is pasted, as jit_lesion.box_pass
    state,  # (B, 5) int32, out: status; visible, in the region, on other lesions; area
    sampling,  # (B, AXES, AXES + 1), out: pixel of the frame to units of half a source
    limits,  # (B, channels, 2), out
    table,  # (B, k_max + 2), out
    most, w0, w1, words, d0, d1, d2, per_line,
    s0, s1, s2,  # of the source
    channels, blocks, k_max,
    WITH_REGION: tl.constexpr,
    REGION: tl.constexpr, OTHERS: tl.constexpr, VISIBLE: tl.constexpr,
    REGION_SHARE: tl.constexpr, OTHERS_SHARE: tl.constexpr, VISIBLE_SHARE: tl.constexpr,
    GEOMETRIC: tl.constexpr,
    AXES: tl.constexpr, PLACES: tl.constexpr, RANKED: tl.constexpr, COUNTED: tl.constexpr,
    OF_SOURCES: tl.constexpr, RANGED: tl.constexpr, LEVELS: tl.constexpr,
):  # fmt: skip
    """Where each lesion goes, whether it may, and the numbers of the passes over its pixels."""
    sample = tl.program_id(1).to(tl.int64)
    row, ranged = sample * AXES, sample
    if OF_SOURCES:
        ranged = tl.load(rows + sample)
    z, y, x, best = drawn_place(counts, candidates, legal, first, span, rank_u, sample, most, AXES, PLACES, RANKED)
    counted = counts + (sample * PLACES + tl.minimum(best, PLACES - 1)) * 4
    visible, in_region, on_others = tl.load(counted), tl.load(counted + 1), tl.load(counted + 2)
    if best == PLACES:  # a place of the map, where only whether it is legal is known
        visible, in_region, on_others = count_at(
            lesion, region, others, extent, sample, z, y, x,
            w0, w1, words, d0, d1, d2, per_line, WITH_REGION, AXES, COUNTED,
        )  # fmt: skip
    pixels = tl.load(area + sample)
    fits = is_legal(
        visible, in_region, on_others, pixels.to(tl.float64), WITH_REGION,
        REGION, OTHERS, VISIBLE, REGION_SHARE, OTHERS_SHARE, VISIBLE_SHARE,
    )  # fmt: skip
    n0, n1, n2 = along_axes(span + row, 1, AXES)
    fits = fits & (n0 > 0) & (n1 > 0) & (n2 > 0) & (tl.load(whole + sample) != 0)
    status = tl.where(fits, PASTED, NO_LEGAL_PLACE)
    status = tl.where(pixels == 0, LESION_TOO_SMALL, status)
    status = tl.where(tl.load(source_box + tl.load(rows + sample) * 7 + 6) == 0, EMPTY_SOURCE, status)
    status = tl.where(tl.load(apply + sample) == 0, NOT_DRAWN, status)
    own = state + sample * 5
    tl.store(own, status)
    tl.store(own + 1, visible)
    tl.store(own + 2, in_region)
    tl.store(own + 3, on_others)
    tl.store(own + 4, pixels.to(tl.int32))
    dtype: tl.constexpr = sampling.dtype.element_ty
    m1, m2 = (y - tl.load(home + row + AXES - 2)).to(tl.float64), (x - tl.load(home + row + AXES - 1)).to(tl.float64)
    m0 = m1 * 0
    if AXES == 3:
        m0 = (z - tl.load(home + row)).to(tl.float64)
    noted = box + sample * 7
    h0, h1, h2 = along_axes(extent + row, 1, AXES)
    tl.store(noted, z + h0)
    tl.store(noted + 1, y + h1)
    tl.store(noted + 2, x + h2)
    tl.store(noted + 3, d0 - z)
    tl.store(noted + 4, d1 - y)
    tl.store(noted + 5, d2 - x)
    tl.store(noted + 6, tl.where(status == PASTED, pixels.to(tl.int32), 0))
    for axis in tl.static_range(AXES):
        half = (m1 * 0 + length_of(axis, s0, s1, s2, AXES)) / 2
        line, out = affine + (row + axis) * (AXES + 1), sampling + (row + axis) * (AXES + 1)
        moved = tl.load(line + AXES - 2) * m1 + tl.load(line + AXES - 1) * m2
        if AXES == 3:
            moved += tl.load(line) * m0
        for i in tl.static_range(AXES):
            tl.store(out + i, (tl.load(line + i) / half).to(dtype))
        tl.store(out + AXES, ((tl.load(line + AXES) - moved) / half + (0.5 / half - 1)).to(dtype))
    _limits(limits + sample * channels * 2, ranges + ranged * channels * blocks * 2, channels, blocks, dtype, RANGED)
    levels = table + sample * (k_max + 2)
    weights(levels, tl.load(alpha + sample), tl.load(k_dilate + sample), k_max, GEOMETRIC, LEVELS)
