"""Triton: linear resampling, gamma and noise in one pass, and its gradients.

The same rules as functional/geometry.py, intensity.py and counter_rng.py: coordinates in units of half a frame, the
border repeated, one 32-bit hash per noise value.
"""

import triton
import triton.language as tl

from softcp_gpu.kernels.jit_draws import hash64
from softcp_gpu.kernels.jit_words import split

MIX_FIRST = tl.constexpr(0x7FEB352D)
MIX_SECOND = tl.constexpr(0x846CA68B - (1 << 32))
TURN = tl.constexpr(6.283185307179586 / 65536)


@triton.jit
def place_along(line, length):
    """From units of half a source to its pixels, the border repeated."""
    return tl.minimum(tl.maximum(((line + 1) * length - 1) / 2, 0), length - 1)


@triton.jit
def _place(row, k0, k1, k2, length, AXES: tl.constexpr):
    """Where along an axis of the source each pixel comes from."""
    line = tl.load(row + AXES)
    if AXES == 3:
        line = line + tl.load(row) * k0
    line = line + tl.load(row + AXES - 2) * k1
    line = line + tl.load(row + AXES - 1) * k2
    return place_along(line, length)


@triton.jit
def sides(place, stride, length):
    """The two neighbours as offsets, and the weight of the second."""
    first = tl.floor(place)
    lower = first.to(tl.int32)
    return lower * stride, tl.minimum(lower + 1, length - 1) * stride, place - first


@triton.jit
def corners(affine, k0, k1, k2, d0, d1, d2, dtype: tl.constexpr, AXES: tl.constexpr):
    """Between which pixels of the source each pixel of the frame lies, and how near to the second, axis by axis."""
    k0, k1, k2 = k0.to(dtype), k1.to(dtype), k2.to(dtype)
    z, zz, wz = k2.to(tl.int32) * 0, k2.to(tl.int32) * 0, k2 * 0
    if AXES == 3:
        z, zz, wz = sides(_place(affine, k0, k1, k2, d0, AXES), d1 * d2, d0)
    second = affine + (AXES - 2) * (AXES + 1)
    y, yy, wy = sides(_place(second, k0, k1, k2, d1, AXES), d2, d1)
    x, xx, wx = sides(_place(second + AXES + 1, k0, k1, k2, d2, AXES), 1, d2)
    return z, zz, wz, y, yy, wy, x, xx, wx


@triton.jit
def _plane(base, inside, y, yy, wy, x, xx, wx):
    upper = tl.load(base + y + x, mask=inside, other=0) * (1 - wx) + tl.load(base + y + xx, mask=inside, other=0) * wx
    lower = tl.load(base + yy + x, mask=inside, other=0) * (1 - wx) + tl.load(base + yy + xx, mask=inside, other=0) * wx
    return upper * (1 - wy) + lower * wy


@triton.jit
def interpolated(base, inside, z, zz, wz, y, yy, wy, x, xx, wx, AXES: tl.constexpr):
    """Linear between `corners`."""
    value = _plane(base + z, inside, y, yy, wy, x, xx, wx)
    if AXES == 3:
        value = value * (1 - wz) + _plane(base + zz, inside, y, yy, wy, x, xx, wx) * wz
    return value


@triton.jit
def _spread_plane(base, grad, inside, y, yy, wy, x, xx, wx):
    """The transpose of `_plane`."""
    tl.atomic_add(base + y + x, grad * (1 - wy) * (1 - wx), mask=inside)
    tl.atomic_add(base + y + xx, grad * (1 - wy) * wx, mask=inside)
    tl.atomic_add(base + yy + x, grad * wy * (1 - wx), mask=inside)
    tl.atomic_add(base + yy + xx, grad * wy * wx, mask=inside)


@triton.jit
def _normal(index, seed, stream, dtype: tl.constexpr):
    """Standard normal noise, as counter_rng.normal_field."""
    key = hash64(hash64(seed, seed * 0), (stream << 32) + 1)
    x = index ^ (key >> 32).to(tl.int32)
    x = ((x ^ ((x >> 16) & 0xFFFF)) * MIX_FIRST) ^ key.to(tl.int32)
    x = (x ^ ((x >> 15) & 0x1FFFF)) * MIX_SECOND
    x = x ^ ((x >> 16) & 0xFFFF)
    u = (((x >> 16) & 0xFFFF).to(dtype) + 0.5) / 65536
    return tl.sqrt(tl.log(u) * -2) * tl.cos((x & 0xFFFF).to(dtype) * TURN)


@triton.jit
def _unit(value, low, high):
    """In units of the range; whether it lies in the range; and the same with 1 where it does not."""
    width = high - low
    unit = (value - low) / tl.where(width > 0, width, float("inf"))  # without a range nothing lies in it
    within = (unit > 0) & (unit <= 1)
    return within, tl.where(within, unit, 1)


@triton.jit
def transformed(value, index, low, high, gamma, sigma, seed, stream, SLOTS: tl.constexpr):
    """Gamma, then noise, of the first slots."""
    for slot in tl.static_range(SLOTS):
        g, s = tl.load(gamma + slot), tl.load(sigma + slot)
        if g != 1:
            within, unit = _unit(value, low, high)
            value = tl.where(within, low + (high - low) * tl.exp2(g * tl.log2(unit)), value)
        if s > 0:
            value = value + _normal(index, seed, stream + slot, value.dtype) * (s * (high - low))
    return value


@triton.jit
def warp_pass(
    source,  # (B, channels, d0, d1, d2)
    affine,  # (B, AXES, AXES + 1): pixel of the frame to units of half a source, if WARPS
    origin,  # (B, AXES) int64, first pixel of the window
    bounds,  # (B, channels, 2): least and largest value
    gamma,  # (B, SLOTS); sigma likewise
    sigma,
    seed,  # (B,) int64, of the noise
    out,  # (B, channels, s0, s1, s2); without WARPS as the source
    grad_out,  # likewise, if BACKWARD
    grad_bounds,  # (B, blocks, channels, 2), out, if BACKWARD: sums over the block
    channels,
    d0, d1, d2, s0, s1, s2,
    stream,  # of the first slot's noise
    f1, f2,  # lengths of the frame: the noise is addressed by pixel
    rows,  # (B,) int64: which of the sources each sample takes, if PICKS; else its own
    SLOTS: tl.constexpr,
    AXES: tl.constexpr,
    WARPS: tl.constexpr,
    PICKS: tl.constexpr,
    BACKWARD: tl.constexpr,  # then `out` is the gradient of the source, zeros to be added to
    BLOCK: tl.constexpr,
):  # fmt: skip
    """A window of the frame: what is there of the source, through all slots."""
    dtype: tl.constexpr = source.dtype.element_ty
    sample = tl.program_id(1).to(tl.int64)
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < s0 * s1 * s2
    k0, k1, k2 = split(at, s1, s2, AXES)
    corner = origin + sample * AXES
    if AXES == 3:
        k0 += tl.load(corner).to(tl.int32)
    k1 += tl.load(corner + AXES - 2).to(tl.int32)
    k2 += tl.load(corner + AXES - 1).to(tl.int32)
    pixel = ((k0 * f1 + k1) * f2 + k2) * channels
    matrix = affine + sample * AXES * (AXES + 1)
    row = sample
    if PICKS:
        row = tl.load(rows + sample)
    gamma, sigma = gamma + sample * SLOTS, sigma + sample * SLOTS
    own = tl.load(seed + sample)
    first = own * 0 + stream
    if WARPS:
        z, zz, wz, y, yy, wy, x, xx, wx = corners(matrix, k0, k1, k2, d0, d1, d2, dtype, AXES)
    for channel in range(channels):
        base = source + (row * channels + channel) * d0 * d1 * d2
        here = (sample * channels + channel) * s0 * s1 * s2 + at
        limits = bounds + (sample * channels + channel) * 2
        low, high, index = tl.load(limits), tl.load(limits + 1), pixel + channel
        if WARPS:
            value = interpolated(base, inside, z, zz, wz, y, yy, wy, x, xx, wx, AXES)
        else:
            value = tl.load(source + here, mask=inside, other=0)
        if not BACKWARD:
            value = transformed(value, index, low, high, gamma, sigma, own, first, SLOTS)
            tl.store(out + here, value, mask=inside)
        else:
            grad = tl.load(grad_out + here, mask=inside, other=0)
            by_low, by_high = grad * 0, grad * 0
            for slot in tl.static_range(SLOTS - 1, -1, -1):
                g, s = tl.load(gamma + slot), tl.load(sigma + slot)
                if s > 0:
                    noise = grad * _normal(index, own, first + slot, dtype) * s
                    by_low, by_high = by_low - noise, by_high + noise
                if g != 1:
                    given = transformed(value, index, low, high, gamma, sigma, own, first, slot)
                    within, unit = _unit(given, low, high)
                    power = tl.exp2(g * tl.log2(unit))
                    slope = g * power / unit
                    by_low += tl.where(within, grad * (1 - power + slope * (unit - 1)), 0)
                    by_high += tl.where(within, grad * (power - slope * unit), 0)
                    grad = tl.where(within, grad * slope, grad)
            sums = grad_bounds + ((sample * tl.num_programs(0) + tl.program_id(0)) * channels + channel) * 2
            tl.store(sums, tl.sum(by_low, axis=0))
            tl.store(sums + 1, tl.sum(by_high, axis=0))
            if WARPS:
                target = out + (row * channels + channel) * d0 * d1 * d2
                _spread_plane(target + z, grad * (1 - wz), inside, y, yy, wy, x, xx, wx)
                if AXES == 3:
                    _spread_plane(target + zz, grad * wz, inside, y, yy, wy, x, xx, wx)
            else:
                tl.store(out + here, grad, mask=inside)
