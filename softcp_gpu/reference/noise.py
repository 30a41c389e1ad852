"""Noise as a pure function of (seed, stream, pixel): integer hashes, then a Box-Muller transform."""

from __future__ import annotations

import numpy as np

_WORD = 1 << 64


def hash64(seed: int, counter: int) -> int:
    """The SplitMix64 generator with state `seed`, read at position `counter`; 64 bits, in [0, 2**64)."""
    z = (seed + (counter + 1) * 0x9E3779B97F4A7C15) % _WORD
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % _WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % _WORD
    return z ^ (z >> 31)


def normal_field(seed: int, stream: int, shape: tuple[int, ...], channels: int) -> np.ndarray:
    """Standard normal noise for a frame.

    Args:
        seed: of the sample; any int, taken modulo 2**64.
        stream: which field of the seed.
        shape: of the frame.
        channels: number of independent channels.

    Returns:
        (*shape, channels) float64. A value depends on the seed, the stream and its own linear index alone.

    Example:
        >>> field = normal_field(7, stream=0, shape=(64, 64), channels=2)
        >>> field.shape, bool(abs(field.mean()) < 0.05), bool(abs(field.std() - 1) < 0.05)
        ((64, 64, 2), True, True)
    """
    key = hash64(hash64(seed, 0), (stream << 32) + 1)
    x = np.arange(np.prod(shape) * channels, dtype=np.uint32)
    x ^= np.uint32(key >> 32)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= np.uint32(key & 0xFFFFFFFF)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    radius_u = ((x >> np.uint32(16)) + 0.5) / 65536  # never 0: its logarithm is taken
    angle_u = (x & np.uint32(0xFFFF)) / 65536
    return (np.sqrt(-2 * np.log(radius_u)) * np.cos(2 * np.pi * angle_u)).reshape(*shape, channels)
