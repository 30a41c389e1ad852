"""Triton: how many pixels of a lesion fall where, 32 pixels of a line at a time, and whether that is legal.

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
def ones(word):
    """How many bits of each word are 1, in the form of which compilers make one instruction."""
    word = word.to(tl.uint32, bitcast=True)
    word = word - ((word >> 1) & 0x55555555)
    word = (word & 0x33333333) + ((word >> 2) & 0x33333333)
    word = (word + (word >> 4)) & 0x0F0F0F0F
    return ((word * 0x01010101) >> 24).to(tl.int32)


@triton.jit
def _word(words, row, there, x, per_line):
    """The 32 pixels of a line of the frame from pixel x on, 0 beside the frame."""
    at = x >> 5
    first = words + row * per_line + at
    low = tl.load(first, mask=there & (at >= 0) & (at < per_line), other=0).to(tl.int64)
    high = tl.load(first + 1, mask=there & (at >= -1) & (at + 1 < per_line), other=0).to(tl.int64)
    return (((high << 32) | (low & 0xFFFFFFFF)) >> (x & 31).to(tl.int64)).to(tl.int32)


@triton.jit
def within_line(x, length):
    """Which of the 32 pixels from pixel x on lie in a line of the frame."""
    after = tl.minimum(tl.maximum(length - x, 0), 32).to(tl.int64)
    before = tl.minimum(tl.maximum(-x, 0), 32).to(tl.int64)
    one = after * 0 + 1
    return (((one << after) - 1) & -(one << before)).to(tl.int32)


@triton.jit
def count_shared(
    word, region, others, z, y, x, d0, d1, d2, per_line,
    WHOLE: tl.constexpr,  # all lies in the frame
    WITH_REGION: tl.constexpr,
):  # fmt: skip
    """How many pixels of words that lie at (z, y, x) are visible, in the region, and on other lesions."""
    there = (z >= 0) & (z < d0) & (y >= 0) & (y < d1) & (word != 0)
    row = z * d1 + y
    visible = ones(word) if WHOLE else tl.where(there, ones(word & within_line(x, d2)), 0)
    in_region = visible * 0
    if WITH_REGION:
        in_region = ones(word & _word(region, row, there, x, per_line))
    return visible, in_region, ones(word & _word(others, row, there, x, per_line))


@triton.jit
def _limit(area, BOUND: tl.constexpr, IS_FRACTION: tl.constexpr):
    """A bound in pixels, as float64."""
    return area * BOUND if IS_FRACTION else area * 0 + BOUND


@triton.jit
def is_legal(
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
def length_of(axis: tl.constexpr, s0, s1, s2, AXES: tl.constexpr):
    """One of three lengths, by an axis of images or volumes."""
    length = s2
    if AXES - axis == 2:
        length = s1
    if AXES - axis == 3:
        length = s0
    return length


@triton.jit
def along_axes(vector, first: tl.constexpr, AXES: tl.constexpr):
    """A sample's numbers along three axes."""
    lead = tl.load(vector).to(tl.int32) if AXES == 3 else first
    return lead, tl.load(vector + AXES - 2).to(tl.int32), tl.load(vector + AXES - 1).to(tl.int32)


@triton.jit
def split(at, n1, n2, AXES: tl.constexpr):
    """Places along three axes, of places in reading order; divisions are slow, and an image needs but one."""
    line = at // n2
    k0, k1, k2 = line * 0, line, at - line * n2
    if AXES == 3:
        k0 = line // n1
        k1 = line - k0 * n1
    return k0, k1, k2


@triton.jit
def lies_at(x, addresses, number: tl.constexpr, BY_ADDRESS: tl.constexpr):
    """The pixels of x: there, or where a number on the device says, so that a captured graph runs on other memory."""
    if BY_ADDRESS:
        x = tl.multiple_of(tl.load(addresses + number).to(x.dtype), 16)
    return x
