"""Triton: erosion and rings of lesions that are packed into words, 32 pixels of a line at a time.

A set grown by i steps of the full footprint holds a pixel if one of the lines at most i away has a pixel at most i away
beside it: so lines are joined one after the other, and what has been joined is spread along the line by doubling its
shift. Of the cross footprint each step is spread by one pixel, and lines join it in their turn. A word is looked at
with its neighbours, so at most 32 steps are possible. The frame's border neither erodes nor dilates.
"""

import triton
import triton.language as tl

from softcp_gpu.kernels.jit_words import split, within_line

TOGETHER = tl.constexpr(8)  # pixels of each word: of more, programs need so many registers that few run at once
UNROLLED = tl.constexpr(4)  # steps whose lines are read while others are spread


@triton.jit
def _word(lesion, k0, k1, w, there, OUTSIDE: tl.constexpr):
    """Pixels of the lesion, or of what lies outside it, that lie in the frame; lines and words counted from its own."""
    words, first, start, end, row, place, frame = lesion
    b0, b1, b2 = start
    h0, h1, across = end
    w1, per_line = row
    z, y, x = place
    s0, s1, s2 = frame
    held = there & (k0 >= b0) & (k0 < h0) & (k1 >= b1) & (k1 < h1) & (w >= b2) & (w < across)
    word = tl.load(words + first + (k0 * w1 + k1) * per_line + w, mask=held, other=0)
    inside = there & (k0 + z >= 0) & (k0 + z < s0) & (k1 + y >= 0) & (k1 + y < s1)
    visible = tl.where(inside, within_line(x + 32 * w, s2), 0)
    return (~word & visible) if OUTSIDE else (word & visible)


@triton.jit
def _line(lesion, k0, k1, w, there, OUTSIDE: tl.constexpr):
    """A word between its neighbours: with the one before it, and with the one after it, the earlier pixel lower."""
    before = _word(lesion, k0, k1, w - 1, there, OUTSIDE).to(tl.int64)
    here = _word(lesion, k0, k1, w, there, OUTSIDE).to(tl.int64)
    after = _word(lesion, k0, k1, w + 1, there, OUTSIDE).to(tl.int64)
    return (here << 32) | (before & 0xFFFFFFFF), (after << 32) | (here & 0xFFFFFFFF)


@triton.jit
def joined(left, right, lesion, k0, k1, w, there, step, OUTSIDE: tl.constexpr, CROSS: tl.constexpr, AXES: tl.constexpr):
    """The lines that are `step` steps away join those that are nearer."""
    if AXES == 2:
        a, b = _line(lesion, k0, k1 - step, w, there, OUTSIDE)
        c, d = _line(lesion, k0, k1 + step, w, there, OUTSIDE)
        left, right = left | a | c, right | b | d
    else:
        for dz in range(-step, step + 1):
            rest = step - tl.abs(dz) if CROSS else step
            # Of the square's sides, two are whole and of the others only the ends are new.
            stride = tl.where(tl.abs(dz) == step, 1, tl.maximum(2 * rest, 1))
            if CROSS:
                stride = tl.maximum(2 * rest, 1)
            for dy in range(-rest, rest + 1, stride):
                a, b = _line(lesion, k0 + dz, k1 + dy, w, there, OUTSIDE)
                left, right = left | a, right | b
    return left, right


@triton.jit
def _spread(left, right, step, STAGES: tl.constexpr):
    """A word whose pixels reach `step` pixels to both sides, less than 2 ** STAGES."""
    done = step * 0
    for _ in tl.static_range(STAGES):
        shift = tl.minimum(done + 1, step - done)
        left, right = left | (left << shift.to(tl.int64)), right | (right >> shift.to(tl.int64))
        done += shift
    return (left >> 32).to(tl.int32) | right.to(tl.int32)


@triton.jit
def _spread_by_one(left, right):
    """A word and its neighbours whose pixels reach one pixel to both sides."""
    rest: tl.constexpr = (1 << 63) - 1
    low = (left << 1) | ((left >> 1) & rest) | (((right >> 32) & 1) << 63)
    high = (right << 1) | ((left >> 31) & 1) | ((right >> 1) & rest)
    return left | low, right | high


@triton.jit
def grown(
    left, right, lesion, k0, k1, w, there, step,
    OUTSIDE: tl.constexpr, CROSS: tl.constexpr, STAGES: tl.constexpr, AXES: tl.constexpr,
):  # fmt: skip
    """The set after one step more, and what the next step goes on from."""
    if CROSS:
        left, right = _spread_by_one(left, right)
    left, right = joined(left, right, lesion, k0, k1, w, there, step, OUTSIDE, CROSS, AXES)
    return left, right, right.to(tl.int32) if CROSS else _spread(left, right, step, STAGES)


@triton.jit
def levels(lesion, k0, k1, w, there, steps, CROSS: tl.constexpr, STAGES: tl.constexpr, AXES: tl.constexpr):
    """How many of the sets after 0, 1, ..., `steps` steps hold each pixel, as six words of binary digits."""
    left, right = _line(lesion, k0, k1, w, there, False)
    digit = right.to(tl.int32)
    a, b, c, d, e, f = digit, digit * 0, digit * 0, digit * 0, digit * 0, digit * 0
    for i in tl.range(1, steps + 1, loop_unroll_factor=UNROLLED):
        left, right, more = grown(left, right, lesion, k0, k1, w, there, i + steps * 0, False, CROSS, STAGES, AXES)
        carry = a & more
        a = a ^ more
        b, carry = b ^ carry, b & carry
        c, carry = c ^ carry, c & carry
        d, carry = d ^ carry, d & carry
        e, carry = e ^ carry, e & carry
        f = f ^ carry
    return a, b, c, d, e, f


@triton.jit
def numbers_of(digits, bit):
    """The number of each pixel of words, (words, bits), from its binary digits."""
    a, b, c, d, e, f = digits
    number = (a[:, None] >> bit) & 1
    number += ((b[:, None] >> bit) & 1) * 2
    number += ((c[:, None] >> bit) & 1) * 4
    number += ((d[:, None] >> bit) & 1) * 8
    number += ((e[:, None] >> bit) & 1) * 16
    return number + ((f[:, None] >> bit) & 1) * 32


@triton.jit
def taken_steps(k_erode, possible, sample, ERODES: tl.constexpr):
    """The erosion steps that a lesion takes."""
    steps = tl.load(k_erode + sample).to(tl.int32)
    return tl.minimum(steps, tl.load(possible + sample)) if ERODES else steps * 0


@triton.jit
def erode_pass(
    words,  # (B, w0, w1, per_line) int32: lesions, from the first pixel of their boxes on, or of the frame if FRAMED
    box,  # (B, 7) int32, as jit_lesion.box_pass
    cores,  # (B, erode_max + 1, w0, w1, per_line) int32, out: after 0, 1, 2, ... steps
    possible,  # (B,) int32, zeros, out: how many steps leave a core
    w0, w1, per_line, s0, s1, s2, erode_max,
    FRAMED: tl.constexpr, CROSS: tl.constexpr, STAGES: tl.constexpr, AXES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Lesions after each step of erosion; only words of their boxes are written."""
    sample = tl.program_id(1).to(tl.int64)
    lesion, a, n = lesion_of(words, sample * w0 * w1 * per_line, box, sample, 0, w1, per_line, s0, s1, s2, FRAMED)
    a0, a1, a2 = a
    n0, n1, n2 = n
    size = w0 * w1 * per_line
    for begin in range(tl.program_id(0) * BLOCK, n0 * n1 * n2, tl.num_programs(0) * BLOCK):
        at = begin + tl.arange(0, BLOCK)
        there = at < n0 * n1 * n2
        k0, k1, w = split(at, n1, n2, AXES)
        k0, k1, w = a0 + k0, a1 + k1, a2 + w
        here = _word(lesion, k0, k1, w, there, False)
        left, right = _line(lesion, k0, k1, w, there, True)
        out = cores + sample * (erode_max + 1) * size + (k0 * w1 + k1) * per_line + w
        tl.store(out, here, mask=there)
        for i in range(1, erode_max + 1):
            left, right, gone = grown(left, right, lesion, k0, k1, w, there, i + n2 * 0, True, CROSS, STAGES, AXES)
            core = here & ~gone
            tl.store(out + i * size, core, mask=there)
            if tl.max((core != 0).to(tl.int32), axis=0) > 0:
                tl.atomic_max(possible + sample, i)


@triton.jit
def lesion_of(words, first, box, sample, margin, w1, per_line, s0, s1, s2, FRAMED: tl.constexpr):
    """A packed lesion, and the lines and words around it that are at most a margin away: from where, and how many."""
    own = box + sample * 7
    z, y, x = s0 - tl.load(own + 3), s1 - tl.load(own + 4), s2 - tl.load(own + 5)
    e0, e1, e2 = tl.load(own), tl.load(own + 1), tl.load(own + 2)
    some = (tl.load(own + 6) > 0).to(tl.int32)
    a0, a1 = tl.maximum(z - margin, 0), tl.maximum(y - margin, 0)
    n0, n1 = tl.minimum(e0 + margin, s0) - a0, tl.minimum(e1 + margin, s1) - a1
    if FRAMED:
        a2 = tl.maximum(x - margin, 0) >> 5
        n2 = (tl.minimum(e2 + margin, s2) + 31 >> 5) - a2
        start, end, place = (z, y, x >> 5), (e0, e1, e2 + 31 >> 5), (z * 0, z * 0, z * 0)
    else:
        across = (e2 - x + 31) >> 5
        a0, a1, a2, n2 = a0 - z, a1 - y, z * 0, across
        if margin > 0:
            a2, n2 = a2 - 1, n2 + 2
        start, end, place = (z * 0, z * 0, z * 0), (e0 - z, e1 - y, across), (z, y, x)
    # Words that are not on lines of the box hold anything.
    lesion = (words, first, start, end, (w1, per_line), place, (s0, s1, s2))
    return lesion, (a0, a1, a2), (tl.maximum(n0, 0) * some, tl.maximum(n1, 0), tl.maximum(n2, 0))


@triton.jit
def rings_pass(
    cores,  # (B, planes, w0, w1, per_line) int32: lesions after each step of erosion, as erode_pass
    box,  # (B, 7) int32, as jit_lesion.box_pass
    k_erode,  # (B,) int64
    possible,  # (B,) int32: how many steps leave a core, if ERODES
    table,  # (B, k_max + 2): S of each level
    soft,  # (B, pixels), out, in tiles
    planes, w0, w1, per_line, s0, s1, s2, k_max,
    ERODES: tl.constexpr, CROSS: tl.constexpr,
    SKIPS: tl.constexpr,  # of a lesion that cannot be eroded by all steps S is 0
    FRAMED: tl.constexpr,  # words begin at the frame's first pixel, not at the box's
    STAGES: tl.constexpr, AXES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Rings, and S from the table."""
    sample = tl.program_id(1).to(tl.int64)
    taken = taken_steps(k_erode, possible, sample, ERODES)
    first = (sample * planes + taken) * w0 * w1 * per_line
    core, a, n = lesion_of(cores, first, box, sample, k_max, w1, per_line, s0, s1, s2, FRAMED)
    a0, a1, a2 = a
    n0, n1, n2 = n
    _, _, _, _, _, place, _ = core
    z, y, x = place
    total, kept = n0 * n1 * n2, 1
    if SKIPS:
        kept = (taken == tl.load(k_erode + sample)).to(tl.int32)
    for begin in range(tl.program_id(0) * BLOCK, total, tl.num_programs(0) * BLOCK):
        t = begin + tl.arange(0, BLOCK)
        there = t < total
        k0, k1, w = split(t, n1, n2, AXES)
        k0, k1, w = a0 + k0, a1 + k1, a2 + w
        digits = levels(core, k0, k1, w, there, k_max + n2 * 0, CROSS, STAGES, AXES)
        line = soft + sample * s0 * s1 * s2 + ((z + k0) * s1 + y + k1) * s2
        for first_bit in range(0, 32, TOGETHER):
            bit = first_bit + tl.arange(0, TOGETHER)[None, :]
            number, k2 = numbers_of(digits, bit), x + w[:, None] * 32 + bit
            shown = there[:, None] & (k2 >= 0) & (k2 < s2)
            weight = tl.load(table + sample * (k_max + 2) + number, mask=shown & (number * kept > 0), other=0)
            tl.store(line[:, None] + k2, weight, mask=shown)
