"""Triton: frames as they are without a paste; what is written leaves the cache first, where masks are worth more."""

import triton
import triton.language as tl

from softcp_gpu.kernels.jit_grow import lesion_of
from softcp_gpu.kernels.jit_words import lies_at, split


@triton.jit
def copy_pass(
    image,  # (B * channels, pixels)
    out,  # likewise
    ranges,  # (B * channels, programs, 2), out: as jit_source.ranges_pass, if RANGES
    addresses,  # (3,) int64, if BY_ADDRESS: of image, source and result
    pixels,
    RANGES: tl.constexpr, BY_ADDRESS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """A copy of the images, whose ranges are found on the way."""
    row = tl.program_id(1).to(tl.int64)
    dtype: tl.constexpr = ranges.dtype.element_ty
    image, out = lies_at(image, addresses, 0, BY_ADDRESS), lies_at(out, addresses, 2, BY_ADDRESS)
    low, high = tl.full([BLOCK], float("inf"), dtype), tl.full([BLOCK], -float("inf"), dtype)
    for begin in range(tl.program_id(0) * BLOCK, pixels, tl.num_programs(0) * BLOCK):
        at = begin + tl.arange(0, BLOCK)
        value = tl.load(image + row * pixels + at, mask=at < pixels, other=0)
        tl.store(out + row * pixels + at, value, mask=at < pixels, cache_modifier=".cs")
        if RANGES:
            low = tl.minimum(low, tl.where(at < pixels, value.to(dtype), float("inf")))
            high = tl.maximum(high, tl.where(at < pixels, value.to(dtype), -float("inf")))
    if RANGES:
        found = ranges + (row * tl.num_programs(0) + tl.program_id(0)) * 2
        tl.store(found, tl.min(low, axis=0))
        tl.store(found + 1, tl.max(high, axis=0))


@triton.jit
def zeros_pass(out, count, BLOCK: tl.constexpr):
    """Nothing, everywhere."""
    for begin in range(tl.program_id(0).to(tl.int64) * BLOCK, count, tl.num_programs(0) * BLOCK):
        at = begin + tl.arange(0, BLOCK)
        tl.store(out + at, tl.zeros([BLOCK], out.dtype.element_ty), mask=at < count, cache_modifier=".cs")


@triton.jit
def beyond_pass(
    out,  # (B, pixels)
    box,  # (B, 7) int32, of lesions that are packed from the frame's first pixel on
    margin, s0, s1, s2, per_line,
    AXES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Nothing, beyond the tiles of jit_grow.rings_pass."""
    sample = tl.program_id(1).to(tl.int64)
    _, a, n = lesion_of(out, 0, box, sample, margin, s1, per_line, s0, s1, s2, True)
    a0, a1, a2 = a
    n0, n1, n2 = n
    bit, total, out = tl.arange(0, 32)[None, :], s0 * s1 * per_line, out + sample * s0 * s1 * s2
    for begin in range(tl.program_id(0) * BLOCK, total, tl.num_programs(0) * BLOCK):
        t = begin + tl.arange(0, BLOCK)
        k0, k1, w = split(t, s1, per_line, AXES)
        tile = (k0 >= a0) & (k0 < a0 + n0) & (k1 >= a1) & (k1 < a1 + n1) & (w >= a2) & (w < a2 + n2)
        k2 = w[:, None] * 32 + bit
        at = (k0 * s1 + k1)[:, None] * s2 + k2
        rest = ((t < total) & ~tile)[:, None] & (k2 < s2)
        tl.store(out + at, tl.zeros([BLOCK, 32], out.dtype.element_ty), mask=rest, cache_modifier=".cs")
