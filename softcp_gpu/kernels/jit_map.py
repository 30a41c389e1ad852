"""Triton: all places of the lesions that have found none among their candidates, and one of them is drawn."""

import triton
import triton.language as tl

from softcp_gpu.kernels.jit_words import along_axes, count_shared, is_legal, split


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
    batch, most, w0, w1, words, d0, d1, d2, per_line,
    WITH_REGION: tl.constexpr,
    REGION: tl.constexpr, OTHERS: tl.constexpr, VISIBLE: tl.constexpr,
    REGION_SHARE: tl.constexpr, OTHERS_SHARE: tl.constexpr, VISIBLE_SHARE: tl.constexpr,
    AXES: tl.constexpr,
    PLACES: tl.constexpr,
    ASKED: tl.constexpr,
    BLOCK: tl.constexpr,
    WORDS: tl.constexpr,
):  # fmt: skip
    """All places of the samples none of whose candidates is legal; all programs share each map, as few ask for one."""
    frame = d0 * d1 * per_line
    for begin in range(0, batch, ASKED):
        number = begin + tl.arange(0, ASKED)
        tried = (number[:, None] * PLACES + tl.arange(0, PLACES)[None, :]) * 4 + 3
        some = tl.max(tl.load(counts + tried, mask=(number < batch)[:, None], other=1), axis=1) != 0
        asks = tl.min(tl.where(some, batch, number), axis=0)
        while asks < batch:
            sample = asks.to(tl.int64)
            n0, n1, n2 = along_axes(span + sample * AXES, 1, AXES)
            o0, o1, o2 = along_axes(first + sample * AXES, 0, AXES)
            h0, h1, h2 = along_axes(extent + sample * AXES, 1, AXES)
            across = (h2 + 31) // 32  # where there is a place, the window holds the lesion
            held, pixels = h0 * h1 * across, tl.load(area + sample).to(tl.float64)
            for start in range(tl.program_id(0) * BLOCK, n0 * n1 * n2, tl.num_programs(0) * BLOCK):
                at = start + tl.arange(0, BLOCK)
                z, y, x = split(at, n1, n2, AXES)
                z, y, x = (o0 + z)[:, None], (o1 + y)[:, None], (o2 + x)[:, None]
                visible, in_region = tl.zeros([BLOCK, WORDS], tl.int32), tl.zeros([BLOCK, WORDS], tl.int32)
                on_others = tl.zeros([BLOCK, WORDS], tl.int32)
                for from_word in range(0, held, WORDS):
                    k = from_word + tl.arange(0, WORDS)
                    k0, k1, k2 = split(k, h1, across, AXES)
                    place = ((sample * w0 + k0) * w1 + k1) * words + k2
                    word = tl.load(lesion + place, mask=k < held, other=0)[None, :]
                    a, b, c = count_shared(
                        word, region + sample * frame, others + sample * frame,
                        z + k0[None, :], y + k1[None, :], x + 32 * k2[None, :], d0, d1, d2, per_line, WITH_REGION,
                    )  # fmt: skip
                    visible, in_region, on_others = visible + a, in_region + b, on_others + c
                found = is_legal(
                    tl.sum(visible, axis=1), tl.sum(in_region, axis=1), tl.sum(on_others, axis=1), pixels, WITH_REGION,
                    REGION, OTHERS, VISIBLE, REGION_SHARE, OTHERS_SHARE, VISIBLE_SHARE,
                )  # fmt: skip
                tl.store(legal + sample * most + at, found.to(tl.uint8), mask=at < n0 * n1 * n2)
            asks = tl.min(tl.where(some | (number <= asks), batch, number), axis=0)


@triton.jit
def drawn_place(
    counts, candidates, legal, first, span, rank_u, sample, most,
    AXES: tl.constexpr, PLACES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """As draw_pass; and the number of the candidate, PLACES if none is legal."""
    best = _first_legal(counts, sample, PLACES)
    z, y, x = along_axes(candidates + (sample * PLACES + tl.minimum(best, PLACES - 1)) * AXES, 0, AXES)
    z, y, x = best * 0 + z, best * 0 + y, best * 0 + x
    if best == PLACES:
        n0, n1, n2 = along_axes(span + sample * AXES, 1, AXES)
        total, flags = n0 * n1 * n2, tl.zeros([BLOCK], tl.int32)
        for start in range(0, total, BLOCK):
            at = start + tl.arange(0, BLOCK)
            flags += tl.load(legal + sample * most + at, mask=at < total, other=0).to(tl.int32)
        number = tl.sum(flags, axis=0)
        rank = tl.minimum((tl.load(rank_u + sample) * number).to(tl.int32), number - 1)
        seen, place = 0, 0
        for start in range(0, total, BLOCK):
            at = start + tl.arange(0, BLOCK)
            flag = tl.load(legal + sample * most + at, mask=at < total, other=0).to(tl.int32)
            here = tl.sum(flag, axis=0)
            if (rank >= seen) & (rank < seen + here):
                order = seen + tl.cumsum(flag, axis=0)
                place += tl.sum(tl.where((flag != 0) & (order == rank + 1), at, 0), axis=0)
            seen += here
        o0, o1, o2 = along_axes(first + sample * AXES, 0, AXES)
        z = o0 + place // tl.maximum(n1 * n2, 1)
        y = o1 + (place // tl.maximum(n2, 1)) % tl.maximum(n1, 1)
        x = o2 + place % tl.maximum(n2, 1)
    return z, y, x, best


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
    z, y, x, _ = drawn_place(counts, candidates, legal, first, span, rank_u, sample, most, AXES, PLACES, BLOCK)
    out = origin + sample * AXES
    if AXES == 3:
        tl.store(out, z)
    tl.store(out + AXES - 2, y)
    tl.store(out + AXES - 1, x)
