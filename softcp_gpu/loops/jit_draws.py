"""The draws of a sample as loops need them: lines of a crop, kernels of a blur, keys of noise, weights of rings."""

import math

import numpy as np
from numpy import float32, float64, int32, uint32, uint64

from softcp_gpu.loops.compiled import compiled

GOLDEN, MIX64 = uint64(0x9E3779B97F4A7C15), (uint64(0xBF58476D1CE4E5B9), uint64(0x94D049BB133111EB))
SHIFTS = (uint64(30), uint64(27), uint64(31), uint64(32))
LEAST_SIGMA = float32(1e-3)  # pixels: of less, no neighbour has any weight


@compiled
def crops(size):
    """Whether a crop was drawn, by its size along each axis."""
    return (size != 1).any()


@compiled
def crop_line(size, start, axis, length):
    """`geometry.crop_lines` in pixels: where the first line along one of three axes comes from, and each next one.

    Args: size, start: (n,), the draws.
    """
    own = axis - (3 - size.size)
    if own < 0:  # a frame of two axes is a volume of one slice
        return 0.0, 1.0
    step = float64(size[own])
    return float64(start[own]) * (1 - step) * length + 0.5 * step - 0.5, step


@compiled
def nearest_lines(size, start, frame, lines):
    """The pixel of each line of the result, axis after axis, (depth + height + width,) int32; -1 where none is."""
    begin = 0
    for axis in range(3):
        first, step = crop_line(size, start, axis, frame[axis])
        for i in range(frame[axis]):
            place = np.rint(first + step * i)
            lines[begin + i] = int32(place) if place >= 0 and place < frame[axis] else int32(-1)
        begin += frame[axis]


@compiled
def linear_lines(size, start, frame, lines, weights):
    """Likewise the pixel before each line, and the weight of the next one, float32."""
    begin = 0
    for axis in range(3):
        first, step = crop_line(size, start, axis, frame[axis])
        for i in range(frame[axis]):
            place = min(first + step * i, float64(frame[axis] - 1))
            place = place if place > 0 else 0.0  # also of what is no number, so that nothing else is read
            before = min(math.floor(place), float64(max(frame[axis] - 2, 0)))
            lines[begin + i], weights[begin + i] = int32(before), float32(place - before)
        begin += frame[axis]


@compiled
def kernel_of(sigma, radius):
    """`intensity.gaussian_kernel` of one sigma."""
    weight = np.empty(2 * radius + 1, float64)
    for k in range(weight.size):
        reach = (k - radius) / float64(max(sigma, LEAST_SIGMA))
        weight[k] = math.exp(-0.5 * reach * reach)
    total, kernel = weight.sum(), np.empty(weight.size, float32)
    for k in range(weight.size):
        kernel[k] = float32(weight[k] / total)
    return kernel


@compiled
def hash64(seed, counter):
    """`counter_rng.hash64` of one seed and counter, uint64."""
    z = seed + (counter + uint64(1)) * GOLDEN
    z = (z ^ (z >> SHIFTS[0])) * MIX64[0]
    z = (z ^ (z >> SHIFTS[1])) * MIX64[1]
    return z ^ (z >> SHIFTS[2])


@compiled
def keys_of(seed, stream):
    """`counter_rng.field_keys` of one seed and stream."""
    bits = hash64(hash64(uint64(seed), uint64(0)), (uint64(stream) << SHIFTS[3]) + uint64(1))
    return uint32(bits >> SHIFTS[3]), uint32(bits)


@compiled
def weights_of(alpha, k_dilate, geometric):
    """`table.soft_mask_table` of one sample, by the number of its rings: S of 0 .. k_dilate + 1, float32."""
    rising, power, left = np.zeros(256, float32), np.empty(k_dilate, float64), 1.0
    for step in range(k_dilate):
        power[step] = float64(alpha) * (power[step - 1] if step > 0 else 1.0)
    for step in range(k_dilate - 1, -1, -1):
        left *= 1 - power[step]
        rising[k_dilate - step] = float32(power[step] if geometric else 1 - left)
    rising[k_dilate + 1] = 1
    return rising
