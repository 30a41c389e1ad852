"""Triton: the source's image in the tile around each pasted lesion: resampled, through gamma, noise and blur."""

import triton
import triton.language as tl

from softcp_gpu.kernels.jit_blur import blurred
from softcp_gpu.kernels.jit_tile import tile_of
from softcp_gpu.kernels.jit_warp import corners, interpolated, transformed
from softcp_gpu.kernels.jit_words import lies_at, split


@triton.jit
def _asks(gamma, sigma, sample):
    """Whether a slot of the sample needs the range of its source."""
    first, second = tl.load(gamma + sample * 2) != 1, tl.load(gamma + sample * 2 + 1) != 1
    return first | second | (tl.load(sigma + sample * 2) > 0) | (tl.load(sigma + sample * 2 + 1) > 0)


@triton.jit
def ranges_pass(
    source,  # (N, channels, pixels)
    rows,  # (B,) int64, which of them each sample takes
    gamma,  # (B, 2); sigma likewise
    sigma,
    ranges,  # (B, channels, blocks, 2), out: least and largest value that a program has found
    addresses,  # (3,) int64, if BY_ADDRESS: of image, source and result
    channels, pixels, blocks,
    BY_ADDRESS: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """The range of each source that somebody asks for, block by block."""
    row = tl.program_id(1)
    sample = (row // channels).to(tl.int64)
    if _asks(gamma, sigma, sample):
        channel = row % channels
        source = lies_at(source, addresses, 1, BY_ADDRESS)
        base = source + (tl.load(rows + sample) * channels + channel) * pixels
        at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        dtype: tl.constexpr = ranges.dtype.element_ty
        low = tl.load(base + at, mask=at < pixels, other=float("inf")).to(dtype)
        high = tl.load(base + at, mask=at < pixels, other=-float("inf")).to(dtype)
        for begin in range((tl.program_id(0) + blocks) * BLOCK, pixels, blocks * BLOCK):
            at = begin + tl.arange(0, BLOCK)
            value = tl.load(base + at, mask=at < pixels, other=0).to(dtype)
            low = tl.minimum(low, tl.where(at < pixels, value, float("inf")))
            high = tl.maximum(high, tl.where(at < pixels, value, -float("inf")))
        out = ranges + (row.to(tl.int64) * blocks + tl.program_id(0)) * 2
        tl.store(out, tl.min(low, axis=0))
        tl.store(out + 1, tl.max(high, axis=0))


@triton.jit
def _blurs(blur, sample):
    """Whether each of the two slots blurs."""
    return tl.load(blur + sample * 2) > 0, tl.load(blur + sample * 2 + 1) > 0


@triton.jit
def _pointwise(value, limits, gamma, sigma, pixel, seed, stream, sample, channel, channels, SLOT: tl.constexpr):
    """Gamma, then noise, of one slot."""
    here = limits + (sample * channels + channel) * 2
    slot, own = sample * 2 + SLOT, tl.load(seed + sample)
    low, high, index = tl.load(here), tl.load(here + 1), pixel * channels + channel
    return transformed(value, index, low, high, gamma + slot, sigma + slot, own, own * 0 + stream + SLOT, 1)


@triton.jit
def tile_source_pass(
    source,  # (N, channels, d0, d1, d2)
    rows,  # (B,) int64, which of them each sample takes
    sampling,  # (B, AXES, AXES + 1): pixel of the frame to units of half a source
    box,  # (B, 7) int32, of jit_plan; limits likewise
    limits,
    gamma,  # (B, 2); sigma and blur likewise
    sigma,
    blur,
    seed,  # (B,) int64, of the noise
    out,  # (B, channels, s0, s1, s2)
    addresses,  # as ranges_pass
    margin, room,  # around the box; and beyond it, where anything blurs
    channels, d0, d1, d2, s0, s1, s2,
    stream,  # of the first slot's noise
    BY_ADDRESS: tl.constexpr,
    AXES: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Resampled, and both slots, but for what comes after a first one that blurs."""
    row = tl.program_id(1).to(tl.int64)
    sample, channel = row // channels, row % channels
    first, second = _blurs(blur, sample)
    wide = margin + tl.where(first | second, room, 0)
    a0, a1, a2, n0, n1, n2 = tile_of(box, sample, wide, s0, s1, s2)
    dtype: tl.constexpr = out.dtype.element_ty
    source = lies_at(source, addresses, 1, BY_ADDRESS)
    matrix = sampling + sample * AXES * (AXES + 1)
    base = source + (tl.load(rows + sample) * channels + channel) * d0 * d1 * d2
    for begin in range(tl.program_id(0) * BLOCK, n0 * n1 * n2, tl.num_programs(0) * BLOCK):
        t = begin + tl.arange(0, BLOCK)
        k0, k1, k2 = split(t, n1, n2, AXES)
        k0, k1, k2, inside = a0 + k0, a1 + k1, a2 + k2, t < n0 * n1 * n2
        at = (k0 * s1 + k1) * s2 + k2
        z, zz, wz, y, yy, wy, x, xx, wx = corners(matrix, k0, k1, k2, d0, d1, d2, dtype, AXES)
        value = interpolated(base, inside, z, zz, wz, y, yy, wy, x, xx, wx, AXES).to(dtype)
        value = _pointwise(value, limits, gamma, sigma, at, seed, stream, sample, channel, channels, 0)
        if not first:
            value = _pointwise(value, limits, gamma, sigma, at, seed, stream, sample, channel, channels, 1)
        tl.store(out + row * s0 * s1 * s2 + at, value, mask=inside)


@triton.jit
def tile_blur_pass(
    image,  # (B, channels, s0, s1, s2)
    box, limits, gamma, sigma, blur, seed,  # as tile_source_pass
    out,  # (B, channels, s0, s1, s2)
    margin, room, channels, s0, s1, s2, stream,
    AXIS: tl.constexpr,  # of three
    SLOT: tl.constexpr,
    ENDS: tl.constexpr,  # the first slot: then the second one's gamma and noise follow
    FOLDS: tl.constexpr,  # the kernel is longer than the axis
    RADIUS: tl.constexpr,
    AXES: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """One axis of one slot's blur, of the samples that it blurs; beyond the tile anything may come in."""
    row = tl.program_id(1)
    sample, channel = (row // channels).to(tl.int64), row % channels
    width = tl.load(blur + sample * 2 + SLOT).to(image.dtype.element_ty)
    if width > 0:
        a0, a1, a2, n0, n1, n2 = tile_of(box, sample, margin + room, s0, s1, s2)
        start, count, length, stride = a2, n2, s2, 1
        if AXIS == 1:
            start, count, length, stride = a1, n1, s1, s2
        if AXIS == 0:
            start, count, length, stride = a0, n0, s0, s1 * s2
        inner = (start >= RADIUS) & (start + count + RADIUS <= length)
        first = row.to(tl.int64) * s0 * s1 * s2
        for begin in range(tl.program_id(0) * BLOCK, n0 * n1 * n2, tl.num_programs(0) * BLOCK):
            t = begin + tl.arange(0, BLOCK)
            k0, k1, k2 = split(t, n1, n2, AXES)
            k0, k1, k2, inside = a0 + k0, a1 + k1, a2 + k2, t < n0 * n1 * n2
            at = (k0 * s1 + k1) * s2 + k2
            along = k2
            if AXIS == 1:
                along = k1
            if AXIS == 0:
                along = k0
            line = image + first + at - along * stride
            if inner:
                value = blurred(line, along, length, stride, width, inside, True, FOLDS, RADIUS)
            else:
                value = blurred(line, along, length, stride, width, inside, False, FOLDS, RADIUS)
            if ENDS:
                value = _pointwise(value, limits, gamma, sigma, at, seed, stream, sample, channel, channels, 1)
            tl.store(out + first + at, value, mask=inside)
