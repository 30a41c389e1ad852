"""Triton: the hashes of functional/counter_rng.py, and where lesions may lie at all."""

import triton
import triton.language as tl

GOLDEN = tl.constexpr(0x9E3779B97F4A7C15 - (1 << 64))
FIRST = tl.constexpr(0xBF58476D1CE4E5B9 - (1 << 64))
SECOND = tl.constexpr(0x94D049BB133111EB - (1 << 64))
ULP = tl.constexpr(2.0**-53)


@triton.jit
def _shift(x, BITS: tl.constexpr):
    """To the right, without the sign."""
    return (x >> BITS) & ((1 << (64 - BITS)) - 1)


@triton.jit
def hash64(seed, counter):
    """64 mixed bits."""
    z = seed + (counter + 1) * GOLDEN
    z = (z ^ _shift(z, 30)) * FIRST
    z = (z ^ _shift(z, 27)) * SECOND
    return z ^ _shift(z, 31)


@triton.jit
def uniform_pass(
    seed,  # (B,) int64
    out,  # (B, total) float64
    total,
    s0, s1, s2, s3,  # int64: the first counter of each stream
    e0, e1, e2,  # where it ends in `out`
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Uniform numbers in [0, 1) of up to four streams."""
    sample = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    i = at.to(tl.int64)
    counter = tl.where(i < e1, s1 + i - e0, tl.where(i < e2, s2 + i - e1, s3 + i - e2))
    counter = tl.where(i < e0, s0 + i, counter)
    own = tl.load(seed + sample)
    bits = hash64(hash64(own, own * 0), counter)
    tl.store(out + sample * total + at, _shift(bits, 11).to(tl.float64) * ULP, mask=at < total)
