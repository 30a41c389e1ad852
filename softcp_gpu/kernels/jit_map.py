"""Triton: all places of the lesions that have found none among their candidates, and one of them is drawn."""

import triton
import triton.language as tl

from softcp_gpu.kernels.jit_words import along_axes, count_shared, is_legal, ones, split


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
    found,  # (B,) int32, whether a candidate is legal
    legal,  # (B, most) int32, out: a bit for each place, in reading order; written where no candidate is legal
    batch, most, w0, w1, words, d0, d1, d2, per_line,
    WITH_REGION: tl.constexpr,
    REGION: tl.constexpr, OTHERS: tl.constexpr, VISIBLE: tl.constexpr,
    REGION_SHARE: tl.constexpr, OTHERS_SHARE: tl.constexpr, VISIBLE_SHARE: tl.constexpr,
    AXES: tl.constexpr,
    ASKED: tl.constexpr,
    STRETCH: tl.constexpr,  # words of the lesion after which places are given up
):  # fmt: skip
    """All places of the samples none of whose candidates is legal; all programs share each map, as few ask for one.

    A place is given up once it would not be legal even if the rest of the lesion lay where it should.
    """
    frame, bit = d0 * d1 * per_line, tl.arange(0, 32)
    for begin in range(0, batch, ASKED):
        number = begin + tl.arange(0, ASKED)
        some = tl.load(found + number, mask=number < batch, other=1) != 0
        asks = tl.min(tl.where(some, batch, number), axis=0)
        while asks < batch:
            sample = asks.to(tl.int64)
            n0, n1, n2 = along_axes(span + sample * AXES, 1, AXES)
            o0, o1, o2 = along_axes(first + sample * AXES, 0, AXES)
            h0, h1, h2 = along_axes(extent + sample * AXES, 1, AXES)
            across = (h2 + 31) // 32  # where there is a place, the window holds the lesion
            held, pixels = h0 * h1 * across, tl.load(area + sample).to(tl.int32)
            for block in range(tl.program_id(0), (n0 * n1 * n2 + 31) // 32, tl.num_programs(0)):
                at = block * 32 + bit
                z, y, x = split(at, n1, n2, AXES)
                z, y, x = o0 + z, o1 + y, o2 + x
                visible, in_region, on_others, rest = at * 0, at * 0, at * 0, pixels
                may, done, k0, k1, k2 = at < n0 * n1 * n2, 0, 0, 0, 0
                while (done < held) & (tl.max(may.to(tl.int32), axis=0) > 0):
                    for _ in tl.range(done, tl.minimum(done + STRETCH, held), loop_unroll_factor=4):
                        word = tl.load(lesion + ((sample * w0 + k0) * w1 + k1) * words + k2)
                        a, b, c = count_shared(
                            word, region + sample * frame, others + sample * frame,
                            z + k0, y + k1, x + 32 * k2, d0, d1, d2, per_line,
                            VISIBLE_SHARE and VISIBLE == 1, WITH_REGION,
                        )  # fmt: skip
                        visible, in_region, on_others = visible + a, in_region + b, on_others + c
                        rest -= ones(word)
                        k2 += 1
                        k1 += (k2 == across).to(tl.int32)
                        k2 = tl.where(k2 == across, 0, k2)
                        k0 += (k1 == h1).to(tl.int32)
                        k1 = tl.where(k1 == h1, 0, k1)
                    may = may & is_legal(
                        visible + rest, in_region + rest, on_others, pixels.to(tl.float64), WITH_REGION,
                        REGION, OTHERS, VISIBLE, REGION_SHARE, OTHERS_SHARE, VISIBLE_SHARE,
                    )  # fmt: skip
                    done += STRETCH
                tl.store(legal + sample * most + block, tl.sum(may.to(tl.int32) << bit, axis=0))
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
        map_words, number = (n0 * n1 * n2 + 31) // 32, 0
        for start in range(0, map_words, BLOCK):
            at = start + tl.arange(0, BLOCK)
            number += tl.sum(ones(tl.load(legal + sample * most + at, mask=at < map_words, other=0)), axis=0)
        rank = tl.minimum((tl.load(rank_u + sample) * number).to(tl.int32), number - 1)
        seen, place = 0, 0
        for start in range(0, map_words, BLOCK):
            at = start + tl.arange(0, BLOCK)
            each = ones(tl.load(legal + sample * most + at, mask=at < map_words, other=0))
            here = tl.sum(each, axis=0)
            if (rank >= seen) & (rank < seen + here):
                through = seen + tl.cumsum(each, axis=0)
                held = (through > rank) & (through - each <= rank)  # the one word that holds it
                block, before = tl.sum(tl.where(held, at, 0), axis=0), tl.sum(tl.where(held, through - each, 0), axis=0)
                bit = tl.arange(0, 32)
                on = (tl.load(legal + sample * most + block) >> bit) & 1
                this = (on != 0) & (before + tl.cumsum(on, axis=0) == rank + 1)
                place += tl.sum(tl.where(this, block * 32 + bit, 0), axis=0)
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
    legal,  # (B, most) int32, of map_pass
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
