"""Random numbers as a pure function of (seed, counter): no state, no order, the same on every device.

The hashes are public integer mixers: the finaliser of SplitMix64 for parameters, a two-round 32-bit
multiply-xorshift for noise fields, where speed counts.
"""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from softcp_gpu.functional import execution

Numbers = TypeVar("Numbers", Tensor, np.ndarray)


def _signed(value: int, bits: int) -> int:
    """A two's complement constant: torch has no unsigned arithmetic, and its integer products wrap."""
    return value - (1 << bits) if value >> (bits - 1) else value


_ALL64 = (1 << 64) - 1
_GOLDEN = _signed(0x9E3779B97F4A7C15, 64)
_MIX64 = (_signed(0xBF58476D1CE4E5B9, 64), _signed(0x94D049BB133111EB, 64))
_MIX32 = (_signed(0x7FEB352D, 32), _signed(0x846CA68B, 32))


def _shift64(x: Numbers, bits: int) -> Numbers:
    """Logical right shift (torch's is arithmetic)."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def hash64(seed: Numbers, counter: Numbers) -> Numbers:
    """64 mixed bits for each (seed, counter), broadcast together; int64 in, int64 out. Tensors, or arrays of NumPy."""
    z = seed + (counter + 1) * _GOLDEN
    z = (z ^ _shift64(z, 30)) * _MIX64[0]
    z = (z ^ _shift64(z, 27)) * _MIX64[1]
    return z ^ _shift64(z, 31)


def hash64_of(seed: int, counter: int) -> int:
    """`hash64` of one seed and counter, in a tenth of the time."""
    z = (seed + (counter + 1) * _GOLDEN) & _ALL64
    z = ((z ^ z >> 30) * _MIX64[0]) & _ALL64
    z = ((z ^ z >> 27) * _MIX64[1]) & _ALL64
    return _signed(z ^ z >> 31, 64)


def uniform(seed: Tensor, stream: int, count: int) -> Tensor:
    """Uniform numbers in [0, 1) of a named stream.

    Args:
        seed: (B,) int64.
        stream: which stream of the seed, 0 or more; streams do not overlap below 2**32 numbers each.
        count: how many numbers.

    Returns:
        (B, count) float64 with 53 random bits.

    Example:
        >>> u = uniform(torch.tensor([1, 2]), stream=0, count=3)
        >>> u.shape, bool(((u >= 0) & (u < 1)).all())
        (torch.Size([2, 3]), True)
    """
    return torch.as_tensor(uniforms(seed, (stream, count))[0])


def uniforms(seed: Tensor, *streams: tuple[int, int]) -> tuple[Any, ...]:
    """`uniform` of several streams at once, which costs little more than of one.

    Args:
        seed: (B,) int64.
        streams: the number of each stream, and how many numbers of it.

    Returns:
        (B, count) float64 for each stream; arrays where `execution.is_array` says so, and else tensors.
    """
    spans = [(stream << 32, (stream << 32) + count) for stream, count in streams]
    counts = [count for _, count in streams]
    if execution.is_array(seed):
        counters = np.concatenate([np.arange(*span) for span in spans])
        values = _uniform_of(seed.numpy(), counters).astype(np.float64) * 2.0**-53
        return tuple(values[:, end - count : end] for count, end in zip(counts, accumulate(counts), strict=True))
    counter = torch.cat([torch.arange(*span, device=seed.device) for span in spans])
    return (_uniform_of(seed, counter).to(torch.float64) * 2.0**-53).split(counts, dim=1)


def _uniform_of(seed: Numbers, counter: Numbers) -> Numbers:
    """53 random bits for each."""
    # Hashed twice: neighbouring seeds (1, 2, 3, ...) must not give shifted copies of one sequence.
    return _shift64(hash64(hash64(seed, seed * 0)[:, None], counter), 11)


def field_keys(seed: Tensor, stream: Tensor) -> Tensor:
    """The two numbers that a `normal_field` mixes into its hashes.

    Args:
        seed: int64.
        stream: int64, broadcast with it.

    Returns:
        (..., 2) int32.
    """
    key = hash64(hash64(seed, torch.zeros_like(seed)), (stream << 32) + 1)
    return torch.stack([key >> 32, ((key & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000], -1).to(torch.int32)


def _field_key(seed: int, stream: int) -> tuple[int, int]:
    """`field_keys` of one seed, which in torch takes longer than the noise of a small lesion."""
    key = hash64_of(hash64_of(seed, 0), (stream << 32) + 1)
    return key >> 32, _signed(key & 0xFFFFFFFF, 32)


def normal_field(seed: Tensor, stream: int, index: Tensor, channels: int, dtype: torch.dtype) -> Tensor:
    """Standard normal noise addressed by pixel, so that a part of a field equals that part of the whole.

    One 32-bit hash per value is split into the two 16-bit uniforms of a Box-Muller transform: exact to 2**-16 in
    probability, with tails to 4.8 standard deviations.

    Args:
        seed: (B,) int64.
        stream: which stream of the seed.
        index: (B, *spatial) integer, linear index of each pixel in its whole image, below 2**31 / channels.
        channels: number of independent channels.
        dtype: floating dtype of the result.

    Returns:
        (B, channels, *spatial).
    """
    ones = (1,) * (index.ndim - 1)
    if execution.is_array(seed):
        keys = torch.tensor([_field_key(one, stream) for one in seed.tolist()], dtype=torch.int32)
    else:
        keys = field_keys(seed, torch.full_like(seed, stream))
    first, second = (key.view(-1, 1, *ones) for key in keys.unbind(-1))
    channel = torch.arange(channels, device=seed.device, dtype=torch.int32).view(1, -1, *ones)
    # In place: fresh memory costs more than the arithmetic.
    x = ((index.to(torch.int32) * channels)[:, None] + channel).bitwise_xor_(first)
    x.bitwise_xor_((x >> 16).bitwise_and_(0xFFFF)).mul_(_MIX32[0]).bitwise_xor_(second)
    x.bitwise_xor_((x >> 15).bitwise_and_(0x1FFFF)).mul_(_MIX32[1])
    x.bitwise_xor_((x >> 16).bitwise_and_(0xFFFF))
    work = torch.float64 if dtype == torch.float64 else torch.float32  # 16 bits do not fit into half precision
    radius = (x >> 16).bitwise_and_(0xFFFF).to(work).add_(0.5).mul_(2.0**-16).log_().mul_(-2.0).sqrt_()
    angle = x.bitwise_and_(0xFFFF).to(work).mul_(2.0 * math.pi * 2.0**-16)
    return radius.mul_(angle.cos_()).to(dtype)
