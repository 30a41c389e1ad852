"""Triton: how many pixels of a lesion fall where, 32 pixels of a line at a time, and a draw from the legal places.

Lines are packed into words, the pixel of least index in the lowest bit. A lesion's box begins at a word; where it lies
in the frame it begins at any pixel, so a word of the lesion meets two of the frame.
"""

import triton
import triton.language as tl

ROUNDING = tl.constexpr(1e-12)  # of a fraction times an area


@triton.jit
def pack_pass(flags, words, lines, length, per_line, BLOCK: tl.constexpr):
    """Flags (lines, length) to words (lines, per_line) int32."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    bit = tl.arange(0, 32)
    line, pixel = (at // per_line)[:, None], (at % per_line)[:, None] * 32 + bit[None, :]
    inside = (at < lines * per_line)[:, None] & (pixel < length)
    on = tl.load(flags + line.to(tl.int64) * length + pixel, mask=inside, other=0) != 0
    word = tl.sum(on.to(tl.int64) << bit[None, :].to(tl.int64), axis=1)
    tl.store(words + at, word.to(tl.int32), mask=at < lines * per_line)


@triton.jit
def _ones(word):
    """How many bits of each word are 1."""
    word = word - ((word >> 1) & 0x55555555)
    word = (word & 0x33333333) + ((word >> 2) & 0x33333333)
    word = (word + ((word >> 4) & 0x0FFFFFFF)) & 0x0F0F0F0F
    return (word + (word >> 8) + (word >> 16) + (word >> 24)) & 0x3F


@triton.jit
def _word(words, row, there, x, per_line):
    """The 32 pixels of a line of the frame from pixel x on, 0 beside the frame."""
    at = x >> 5
    first = words + row * per_line + at
    low = tl.load(first, mask=there & (at >= 0) & (at < per_line), other=0).to(tl.int64)
    high = tl.load(first + 1, mask=there & (at >= -1) & (at + 1 < per_line), other=0).to(tl.int64)
    return (((high << 32) | (low & 0xFFFFFFFF)) >> (x & 31).to(tl.int64)).to(tl.int32)


@triton.jit
def _within(x, length):
    """Which of the 32 pixels from pixel x on lie in a line of the frame."""
    after = tl.minimum(tl.maximum(length - x, 0), 32).to(tl.int64)
    before = tl.minimum(tl.maximum(-x, 0), 32).to(tl.int64)
    one = after * 0 + 1
    return (((one << after) - 1) & -(one << before)).to(tl.int32)


@triton.jit
def _shared(word, region, others, z, y, x, d0, d1, d2, per_line, WITH_REGION: tl.constexpr):
    """How many pixels of words that lie at (z, y, x) are visible, in the region, and on other lesions."""
    there = (z >= 0) & (z < d0) & (y >= 0) & (y < d1) & (word != 0)
    row = z * d1 + y
    visible = tl.where(there, _ones(word & _within(x, d2)), 0)
    in_region = visible * 0
    if WITH_REGION:
        in_region = _ones(word & _word(region, row, there, x, per_line))
    return visible, in_region, _ones(word & _word(others, row, there, x, per_line))


@triton.jit
def _limit(area, BOUND: tl.constexpr, IS_FRACTION: tl.constexpr):
    """A bound in pixels, as float64."""
    return area * BOUND if IS_FRACTION else area * 0 + BOUND


@triton.jit
def _legal(
    visible, in_region, on_others, area, WITH_REGION: tl.constexpr,
    REGION: tl.constexpr, OTHERS: tl.constexpr, VISIBLE: tl.constexpr,
    REGION_SHARE: tl.constexpr, OTHERS_SHARE: tl.constexpr, VISIBLE_SHARE: tl.constexpr,
):  # fmt: skip
    """The rule of functional/overlap.py, to the last bit; of an empty lesion nothing is visible."""
    least = _limit(area, VISIBLE, VISIBLE_SHARE) * (1 - ROUNDING)
    legal = (visible > 0) & (visible.to(tl.float64) >= least)
    if WITH_REGION:
        legal = legal & (in_region.to(tl.float64) >= _limit(area, REGION, REGION_SHARE) * (1 - ROUNDING))
    return legal & (on_others.to(tl.float64) <= _limit(area, OTHERS, OTHERS_SHARE) * (1 + ROUNDING))


@triton.jit
def _three(vector, first: tl.constexpr, AXES: tl.constexpr):
    """A sample's numbers along three axes."""
    lead = tl.load(vector).to(tl.int32) if AXES == 3 else first
    return lead, tl.load(vector + AXES - 2).to(tl.int32), tl.load(vector + AXES - 1).to(tl.int32)


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
    WHOLE: tl.constexpr,  # lesions lie in the frame as a whole
    ASKS: tl.constexpr,  # some of a lesion must lie in the region
    WITH_REGION: tl.constexpr,
    REGION: tl.constexpr, OTHERS: tl.constexpr, VISIBLE: tl.constexpr,
    REGION_SHARE: tl.constexpr, OTHERS_SHARE: tl.constexpr, VISIBLE_SHARE: tl.constexpr,
    AXES: tl.constexpr,
    PLACES: tl.constexpr,
):  # fmt: skip
    """A rectangle that holds every legal place, and places drawn from it; as functional/search.py has it."""
    sample = tl.program_id(1).to(tl.int64)
    pixels, free = tl.load(area + sample), (d0 * d1).to(tl.int64) * d2
    shared, crowded = pixels * 0, pixels * 0
    if WITH_REGION:
        shared = tl.minimum(pixels, tl.load(in_region + sample * 7 + 6).to(tl.int64))
    if WHOLE:
        crowded = tl.maximum(pixels + tl.load(on_others + sample * 7 + 6).to(tl.int64) - free, 0)
    some = _legal(
        pixels, shared, crowded, pixels.to(tl.float64), WITH_REGION,
        REGION, OTHERS, VISIBLE, REGION_SHARE, OTHERS_SHARE, VISIBLE_SHARE,
    ).to(tl.int64)  # fmt: skip
    place = tl.arange(0, PLACES)
    for axis in tl.static_range(AXES):
        length = d2
        if AXES - axis == 2:
            length = d1
        if AXES - axis == 3:
            length = d0
        side = tl.load(extent + sample * AXES + axis)
        lower, upper = side * 0, length - side
        if not WHOLE:
            lower, upper = 1 - side, side * 0 + length - 1
        if WITH_REGION and ASKS:
            noted = in_region + sample * 7 + 3 - AXES + axis
            end, start = tl.load(noted).to(tl.int64), length - tl.load(noted + 3).to(tl.int64)
            filled = tl.load(in_region + sample * 7 + 6) > 0
            lower = tl.maximum(lower, tl.where(filled, start, 0) - side + 1)
            upper = tl.where(filled, tl.minimum(upper, end - 1), lower - 1)
        number = tl.maximum(upper - lower + 1, 0) * some
        tl.store(first + sample * AXES + axis, lower)
        tl.store(span + sample * AXES + axis, number)
        here = (sample * PLACES + place) * AXES + axis
        tl.store(candidates + here, lower + (tl.load(candidate_u + here) * number.to(tl.float64)).to(tl.int64))


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
    z, y, x = _three(origin + here * AXES, 0, AXES)
    h0, h1, h2 = _three(extent + sample * AXES, 1, AXES)
    n0, n1, n2 = _three(span + sample * AXES, 1, AXES)
    across, frame = (h2 + 31) // 32, d0 * d1 * per_line
    visible, in_region, on_others = h2 * 0, h2 * 0, h2 * 0  # numbers of the device, also if no word is counted
    for first in range(0, h0 * h1 * across, BLOCK):
        at = first + tl.arange(0, BLOCK)
        k0, k1, k2 = at // (across * h1), (at // across) % h1, at % across
        inside = at < h0 * h1 * across
        word = tl.load(lesion + ((sample * w0 + k0) * w1 + k1) * words + k2, mask=inside, other=0)
        a, b, c = _shared(
            word, region + sample * frame, others + sample * frame,
            z + k0, y + k1, x + 32 * k2, d0, d1, d2, per_line, WITH_REGION,
        )  # fmt: skip
        visible += tl.sum(a, axis=0)
        in_region += tl.sum(b, axis=0)
        on_others += tl.sum(c, axis=0)
    legal = _legal(
        visible, in_region, on_others, tl.load(area + sample).to(tl.float64), WITH_REGION,
        REGION, OTHERS, VISIBLE, REGION_SHARE, OTHERS_SHARE, VISIBLE_SHARE,
    )  # fmt: skip
    tl.store(counts + here * 4, visible)
    tl.store(counts + here * 4 + 1, in_region)
    tl.store(counts + here * 4 + 2, on_others)
    tl.store(counts + here * 4 + 3, (legal & (n0 > 0) & (n1 > 0) & (n2 > 0)).to(tl.int32))


@triton.jit
def _first_legal(counts, sample, PLACES: tl.constexpr):
    """The number of the first legal candidate, PLACES if none is."""
    number = tl.arange(0, PLACES)
    legal = tl.load(counts + (sample * PLACES + number) * 4 + 3) != 0
    return tl.min(tl.where(legal, number, PLACES), axis=0)


@triton.jit
def map_pass(
    lesion, region, others, extent, area,  # as count_pass
    first,  # (B, AXES) int64: the first place of the map
    span,  # (B, AXES) int64: places along each axis
    counts,  # (B, PLACES, 4) int32, of the candidates
    legal,  # (B, most) bytes, out: of all places, in reading order; written where no candidate is legal
    most, w0, w1, words, d0, d1, d2, per_line,
    WITH_REGION: tl.constexpr,
    REGION: tl.constexpr, OTHERS: tl.constexpr, VISIBLE: tl.constexpr,
    REGION_SHARE: tl.constexpr, OTHERS_SHARE: tl.constexpr, VISIBLE_SHARE: tl.constexpr,
    AXES: tl.constexpr,
    PLACES: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """All places of the samples none of whose candidates is legal, place beside place."""
    sample = tl.program_id(1).to(tl.int64)
    n0, n1, n2 = _three(span + sample * AXES, 1, AXES)
    if _first_legal(counts, sample, PLACES) == PLACES:
        o0, o1, o2 = _three(first + sample * AXES, 0, AXES)
        h0, h1, h2 = _three(extent + sample * AXES, 1, AXES)
        across, frame = (h2 + 31) // 32, d0 * d1 * per_line
        pixels = tl.load(area + sample).to(tl.float64)
        for start in range(tl.program_id(0) * BLOCK, n0 * n1 * n2, tl.num_programs(0) * BLOCK):
            at = start + tl.arange(0, BLOCK)
            z, y, x = o0 + at // (n1 * n2), o1 + (at // n2) % n1, o2 + at % n2
            visible, in_region, on_others = at * 0, at * 0, at * 0
            for k in range(0, h0 * h1 * across):
                k0, k1, k2 = k // (across * h1), (k // across) % h1, k % across
                word = tl.load(lesion + ((sample * w0 + k0) * w1 + k1) * words + k2)
                if word != 0:
                    a, b, c = _shared(
                        word, region + sample * frame, others + sample * frame,
                        z + k0, y + k1, x + 32 * k2, d0, d1, d2, per_line, WITH_REGION,
                    )  # fmt: skip
                    visible += a
                    in_region += b
                    on_others += c
            found = _legal(
                visible, in_region, on_others, pixels, WITH_REGION,
                REGION, OTHERS, VISIBLE, REGION_SHARE, OTHERS_SHARE, VISIBLE_SHARE,
            )  # fmt: skip
            tl.store(legal + sample * most + at, found.to(tl.uint8), mask=at < n0 * n1 * n2)


@triton.jit
def draw_pass(
    counts,  # (B, PLACES, 4) int32, of the candidates
    candidates,  # (B, PLACES, AXES) int64
    legal,  # (B, most) bytes, of map_pass
    first,  # (B, AXES) int64
    span,  # (B, AXES) int64
    rank_u,  # (B,) float64
    origin,  # (B, AXES) int64, out
    most,
    AXES: tl.constexpr,
    PLACES: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """The first legal candidate, or else a place of the map by its rank; without any, the map's first place."""
    sample = tl.program_id(1).to(tl.int64)
    best = _first_legal(counts, sample, PLACES)
    out = origin + sample * AXES
    if best < PLACES:
        for axis in tl.static_range(AXES):
            tl.store(out + axis, tl.load(candidates + (sample * PLACES + best) * AXES + axis))
    else:
        n0, n1, n2 = _three(span + sample * AXES, 1, AXES)
        total, number = n0 * n1 * n2, 0
        for start in range(0, total, BLOCK):
            at = start + tl.arange(0, BLOCK)
            number += tl.sum(tl.load(legal + sample * most + at, mask=at < total, other=0).to(tl.int32), axis=0)
        rank = tl.minimum((tl.load(rank_u + sample) * number).to(tl.int32), number - 1)
        seen, place = 0, 0
        for start in range(0, total, BLOCK):
            at = start + tl.arange(0, BLOCK)
            flag = tl.load(legal + sample * most + at, mask=at < total, other=0).to(tl.int32)
            order = seen + tl.cumsum(flag, axis=0)
            place += tl.sum(tl.where((flag != 0) & (order == rank + 1), at, 0), axis=0)
            seen += tl.sum(flag, axis=0)
        corner = first + sample * AXES
        if AXES == 3:
            tl.store(out, tl.load(corner) + place // tl.maximum(n1 * n2, 1))
        tl.store(out + AXES - 2, tl.load(corner + AXES - 2) + (place // tl.maximum(n2, 1)) % tl.maximum(n1, 1))
        tl.store(out + AXES - 1, tl.load(corner + AXES - 1) + place % tl.maximum(n2, 1))
