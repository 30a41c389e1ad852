"""Operations on values while they are in the cache: gamma, noise and blur of one channel of a sample.

Sums and products round as they are written, vectorised or not: a sample has the same bits in every company.
"""

import math

import numpy as np
from numpy import float32, int32, uint32

from softcp_gpu.loops.compiled import compiled, reduced
from softcp_gpu.loops.jit_draws import kernel_of, keys_of
from softcp_gpu.loops.jit_spans import blank

MADE_OF = (("jit_draws", 0x2D3EC2F7), ("jit_spans", 0x04CDED8E))  # see jit_images.py

TINY = float32(np.finfo(np.float32).tiny)
ROUNDS = float32(1.5 * 2**23)  # added and taken away again, it leaves a whole number
MIX = (uint32(0x7FEB352D), uint32(0x846CA68B))  # see functional/counter_rng.py
LOG = float32(-2 * math.log(2))
FAINT = float32(2.0**-26)
LEAST16 = float32(2.0**-16)

# Least-squares fits, weighted until their largest errors are equal. Whole chains of products would wait for each other.


@compiled
def log2(x):
    """To 4e-7 of it, for normal x above 0."""
    bits = float32(x).view(int32)
    whole = int32(bits - int32(0x3F3504F3)) >> int32(23)  # the mantissa lies between sqrt(1/2) and sqrt(2)
    m = int32(bits - int32(whole << int32(23))).view(float32) - float32(1)
    m2 = m * m
    low = (float32(1.4426949) + float32(-0.72135246) * m) + (float32(0.48093116) + float32(-0.36026344) * m) * m2
    high = (float32(0.28686899) + float32(-0.24832311) * m) + (float32(0.23570886) + float32(-0.14973131) * m) * m2
    return (low + high * (m2 * m2)) * m + float32(whole)


@compiled
def exp2(x):
    """To 2e-7 of it, for x from -126 to 127."""
    shifted = x + ROUNDS
    f = x - (shifted - ROUNDS)
    f2 = f * f
    low = (float32(0.69314718) + float32(0.24022651) * f) + (float32(0.05550357) + float32(0.009618031) * f) * f2
    part = (low + (float32(0.0013390867) + float32(0.0001546973) * f) * (f2 * f2)) * f + float32(1)
    whole = int32(float32(shifted).view(int32) - float32(ROUNDS).view(int32))
    return part * int32(int32(whole + int32(127)) << int32(23)).view(float32)


@compiled
def cos_turns(x):
    """The cosine of x turns to 1e-6, for x from -1/2 to 1/2."""
    t = x * x
    t2 = t * t
    low = (float32(1) + float32(-19.739204) * t) + (float32(64.939117) + float32(-85.450165) * t) * t2
    high = (float32(60.167831) + float32(-25.968313) * t) + float32(6.5296097) * t2
    return low + high * (t2 * t2)


@compiled
def unit_of(x, low, scale):
    """Between 0 and 1."""
    return min(max((x - low) * scale, float32(0)), float32(1))


@compiled
def correct_gamma(x, gamma, low, high, exponents):
    """`intensity.gamma` of a row, in place; in two loops, as each of them alone keeps a core busier.

    Args: exponents: memory for as many values.
    """
    width = high - low
    scale = float32(1) / width if width > 0 else float32(0)
    power = gamma - float32(1)
    for i in range(x.size):
        exponent = log2(max(unit_of(x[i], low, scale), TINY)) * power
        exponents[i] = min(max(exponent, float32(-126)), float32(127))
    for i in range(x.size):
        x[i] += width * (unit_of(x[i], low, scale) * (exp2(exponents[i]) - float32(1)))


@compiled
def add_noise(x, amplitude, first, step, key, other):
    """`counter_rng.normal_field` times the amplitude, onto a line whose values are numbered from `first`."""
    for i in range(x.size):
        h = uint32(uint32(first + uint32(uint32(i) * step)) ^ key)
        h = uint32(uint32(h ^ uint32(h >> uint32(16))) * MIX[0]) ^ other
        h = uint32(uint32(h ^ uint32(h >> uint32(15))) * MIX[1])
        h = uint32(h ^ uint32(h >> uint32(16)))
        radius = np.sqrt(LOG * log2((float32(int32(h >> uint32(16))) + float32(0.5)) * LEAST16))
        turn = float32(int32(h & uint32(0xFFFF))) * LEAST16 - float32(0.5)
        x[i] -= amplitude * (radius * cos_turns(turn))  # half a turn away


@compiled
def copy(source, target):
    """All values of one block, into another one of its size."""
    flat, to = source.ravel(), target.ravel()
    for i in range(to.size):
        to[i] = flat[i]


@compiled
def check_finite(part, parts, finite):
    """Whether a part (P, values) float32 holds neither NaN nor infinity."""
    bits, most = parts[part].view(int32), int32(0)
    for i in range(bits.size):
        most = max(most, int32(bits[i] & int32(0x7FFFFFFF)))
    finite[part] = most < int32(0x7F800000)


@reduced
def bounds_of(block):
    """The least and the largest value."""
    flat = block.ravel()
    low = high = flat[0]
    for i in range(flat.size):
        low, high = min(low, flat[i]), max(high, flat[i])
    return low, high


@compiled
def ranged(draws):
    """Whether a slot asks for the range of the image."""
    return (draws[0] != 1).any() or (draws[1] > 0).any()


@compiled
def mirrored(place, length):
    """A place on an axis that is mirrored at its ends, the last pixel not repeated, as often as it takes."""
    period = max(2 * length - 2, 1)
    place %= period
    return place if place < length else period - place


@compiled
def add_rows(one, other, weight, row):
    """Adds two neighbours of each pixel, weighted alike."""
    for x in range(row.size):
        row[x] += weight * (one[x] + other[x])


@compiled
def reach_of(blurs, radius):
    """How far the blurs of all slots look, one after the other."""
    reach = 0
    for sigma in blurs:
        if sigma > 0:
            reach += taps_of(kernel_of(sigma, radius)).size // 2
    return reach


@compiled
def taps_of(kernel):
    """Without the outer weights that no sum in float32 would notice, which most kernels have."""
    radius = kernel.size // 2
    least = radius
    while least > 1 and kernel[radius + least] < FAINT:
        least -= 1
    return kernel[radius - least : radius + least + 1]


@compiled
def sum_lines(lines, n, left, kernel, row):
    """The neighbours of line n along an axis, (length, width), weighted; from pixel `left` on."""
    radius, length, middle = kernel.size // 2, lines.shape[0], lines[n][left:]
    for x in range(row.size):
        row[x] = kernel[radius] * middle[x]
    for k in range(1, radius + 1):
        one, other = lines[mirrored(n - k, length)], lines[mirrored(n + k, length)]
        add_rows(one[left:], other[left:], kernel[radius + k], row)


@compiled
def blur(block, out, kernel, line, spans):
    """Along the last two axes of (depth, height, width); `line` is for a row with its mirrored ends."""
    radius = kernel.size // 2
    for z in range(block.shape[0]):
        for y in range(block.shape[1]):
            left, right = spans[z, y]
            blank(out[z, y], left, right)
            row, width = out[z, y, left:right], right - left
            middle = line[radius : radius + width]
            sum_lines(block[z], y, left, kernel, middle)
            for k in range(radius if width > 0 else 0):
                line[radius - 1 - k] = middle[mirrored(-1 - k, width)]
                line[radius + width + k] = middle[mirrored(width + k, width)]
            for x in range(width):
                row[x] = kernel[radius] * middle[x]
            for k in range(1, radius + 1):
                add_rows(line[radius - k :][:width], line[radius + k :][:width], kernel[radius + k], row)


@compiled
def blur_layers(block, out, kernel):
    """Along the first axis."""
    layers, to = block.reshape(block.shape[0], -1), out.reshape(block.shape[0], -1)
    for z in range(len(layers)):
        sum_lines(layers, z, 0, kernel, to[z])


@compiled
def change(source, block, spare, line, bounds, window, draws, spans):
    """`intensity.apply_intensity` of one channel of a sample, (depth, height, width), into `block`.

    Args: source: may be `block` or `spare`, which is as large; bounds (2,); window: first pixel, channel and channels,
    and lengths of the frame, (8,) int64; draws: those of the sample, of `image_loops.Slots`; spans (depth, height, 2)
    int64: first and end of what is needed of each row, and for a blur of its neighbours too.
    """
    here, amplitude, (gammas, sigmas, blurs, radius, seed, stream) = source, bounds[1] - bounds[0], draws
    for slot in range(gammas.size):
        gamma, sigma, blur_sigma = gammas[slot], sigmas[slot], blurs[slot]
        if gamma != 1 or sigma > 0:
            to = here if here is block or here is spare else spare if blur_sigma > 0 else block
            key, other_key = keys_of(seed, stream + slot)
            for z in range(block.shape[0]):
                for y in range(block.shape[1]):
                    left, right = spans[z, y]
                    if to is not here:
                        copy(here[z, y], to[z, y])
                    row = to[z, y, left:right]
                    if gamma != 1:
                        correct_gamma(row, gamma, bounds[0], bounds[1], line)
                    if sigma > 0:
                        pixel = ((window[0] + z) * window[6] + window[1] + y) * window[7] + window[2] + left
                        first, step = uint32(pixel * window[4] + window[3]), uint32(window[4])
                        add_noise(row, sigma * amplitude, first, step, key, other_key)
            here = to
        if blur_sigma > 0:
            to, other, kernel = block, spare, taps_of(kernel_of(blur_sigma, radius))
            if here is block:
                to, other = spare, block
            if block.shape[0] > 1:
                blur_layers(here, to, kernel)
                here, to = to, other
            blur(here, to, kernel, line, spans)
            here = to
    if here is not block:
        copy(here, block)
