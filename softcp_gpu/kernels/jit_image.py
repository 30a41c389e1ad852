"""Triton: whole images cropped and resized back, then through gamma, noise and blur; every sample has its own draws."""

import triton
import triton.language as tl

from softcp_gpu.kernels.jit_blur import blurred
from softcp_gpu.kernels.jit_lesion import nearest_pixel
from softcp_gpu.kernels.jit_warp import interpolated, place_along, sides, transformed


@triton.jit
def _line(size, start, axis: tl.constexpr, length):
    """From a pixel of the frame to what the crop shows there along an axis: factor and shift, float64."""
    share = tl.load(size + axis).to(tl.float64)
    first = tl.load(start + axis).to(tl.float64) * (1 - share) * length
    return share, first + share / 2 - 0.5


@triton.jit
def _between_pixels(factor, shift, k, length, stride, dtype: tl.constexpr):
    """The two neighbours along an axis as offsets, and the weight of the second."""
    half = (factor * 0 + length) / 2
    line = (shift / half + (0.5 / half - 1)).to(dtype) + (factor / half).to(dtype) * k.to(dtype)
    return sides(place_along(line, length), stride, length)


@triton.jit
def _one_pixel(factor, shift, k, length):
    """The nearest pixel along an axis, and whether it lies in the frame."""
    place = nearest_pixel(shift + factor * k.to(tl.float64))
    return place, (place >= 0) & (place < length)


@triton.jit
def crop_pass(
    x,  # (B, channels, s0, s1, s2)
    size,  # (B, AXES): fraction of the frame that is kept; of samples where all are 1 nothing changes
    start,  # (B, AXES)
    out,  # as x
    ranges,  # (B, channels, programs, 2), out: least and largest value that a program has found, if RANGES
    channels, s0, s1, s2,
    NEAREST: tl.constexpr, RANGES: tl.constexpr,
    PIECES: tl.constexpr,  # of a line; a program keeps to its columns, so that it finds once where they come from
    AXES: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Crops and resizes back."""
    sample, program = tl.program_id(1).to(tl.int64), tl.program_id(0)
    dtype: tl.constexpr = x.dtype.element_ty
    size, start, lines = size + sample * AXES, start + sample * AXES, s0 * s1
    active = (tl.load(size + AXES - 2) != 1) | (tl.load(size + AXES - 1) != 1)
    if AXES == 3:
        active = active | (tl.load(size) != 1)
    along = program % PIECES * BLOCK + tl.arange(0, BLOCK)[None, :]
    column_factor, column_shift = _line(size, start, AXES - 1, s2)
    row_factor, row_shift = _line(size, start, AXES - 2, s1)
    slice_factor, slice_shift = _line(size, start, 0, s0)
    column, in_column = _one_pixel(column_factor, column_shift, along, s2)
    left, right, across = _between_pixels(column_factor, column_shift, along, s2, 1, dtype)
    for channel in range(channels):
        base = (sample * channels + channel) * lines * s2
        if RANGES:
            low = tl.full([ROWS, BLOCK], float("inf"), ranges.dtype.element_ty)
            high = tl.full([ROWS, BLOCK], -float("inf"), ranges.dtype.element_ty)
        for begin in range(program // PIECES * ROWS, lines, tl.num_programs(0) // PIECES * ROWS):
            line = begin + tl.arange(0, ROWS)[:, None]
            inside = (line < lines) & (along < s2)
            value = tl.zeros([ROWS, BLOCK], dtype=dtype)
            if active:
                k0, k1 = line * 0, line
                if AXES == 3:
                    k0 = line // s1
                    k1 = line - k0 * s1
                if NEAREST:
                    row, there = _one_pixel(row_factor, row_shift, k1, s1)
                    place, there = row * s2 + column, inside & in_column & there
                    if AXES == 3:
                        plane, in_plane = _one_pixel(slice_factor, slice_shift, k0, s0)
                        place, there = plane * s1 * s2 + place, there & in_plane
                    value = tl.load(x + base + place, mask=there, other=0)
                else:
                    upper, lower, down = _between_pixels(row_factor, row_shift, k1, s1, s2, dtype)
                    near, far, deep = upper * 0, upper * 0, down * 0
                    if AXES == 3:
                        near, far, deep = _between_pixels(slice_factor, slice_shift, k0, s0, s1 * s2, dtype)
                    corners = (near, far, deep, upper, lower, down, left, right, across)
                    value = interpolated(x + base, inside, *corners, AXES)
            else:
                value = tl.load(x + base + line * s2 + along, mask=inside, other=0)
            tl.store(out + base + line * s2 + along, value, mask=inside)
            if RANGES:
                low = tl.minimum(low, tl.where(inside, value, float("inf")))
                high = tl.maximum(high, tl.where(inside, value, -float("inf")))
        if RANGES:
            found = ranges + ((sample * channels + channel) * tl.num_programs(0) + program) * 2
            tl.store(found, tl.min(tl.min(low, axis=1), axis=0))
            tl.store(found + 1, tl.max(tl.max(high, axis=1), axis=0))


@triton.jit
def intensity_pass(
    image,  # (B, channels, pixels), in place
    ranges,  # (B, channels, blocks, 2), of crop_pass
    gamma,  # (B, 1); sigma likewise
    sigma,
    seed,  # (B,) int64
    channels, pixels, blocks, stream,
    BLOCKS: tl.constexpr,  # a power of 2
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Gamma, then noise, of the samples that have some."""
    row = tl.program_id(1)
    sample, channel = (row // channels).to(tl.int64), row % channels
    if (tl.load(gamma + sample) != 1) | (tl.load(sigma + sample) > 0):
        own, block = tl.load(seed + sample), tl.arange(0, BLOCKS)
        found = ranges + (row.to(tl.int64) * blocks + block) * 2
        low = tl.min(tl.load(found, mask=block < blocks, other=float("inf")), axis=0)
        high = tl.max(tl.load(found + 1, mask=block < blocks, other=-float("inf")), axis=0)
        base = image + row.to(tl.int64) * pixels
        for begin in range(tl.program_id(0) * BLOCK, pixels, tl.num_programs(0) * BLOCK):
            at = begin + tl.arange(0, BLOCK)
            value, index = tl.load(base + at, mask=at < pixels, other=0), at * channels + channel
            value = transformed(value, index, low, high, gamma + sample, sigma + sample, own, own * 0 + stream, 1)
            tl.store(base + at, value, mask=at < pixels)


@triton.jit
def blur_pass(
    image,  # (B, channels, lines, length of a line)
    sigma,  # (B, 1)
    out,  # as image, of the samples whose sigma is above 0
    channels, lines, line_length,
    step,  # lines from one pixel of the axis to the next, unless it is that of the lines
    length,  # of the axis
    ALONG_LINES: tl.constexpr,
    FOLDS: tl.constexpr,  # the kernel is longer than the axis
    RADIUS: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """A Gaussian along one axis, its border mirrored, in pieces of lines."""
    row = tl.program_id(1)
    width = tl.load(sigma + (row // channels).to(tl.int64)).to(image.dtype.element_ty)
    if width > 0:
        first, pieces = row.to(tl.int64) * lines * line_length, tl.cdiv(line_length, BLOCK)
        for piece in range(tl.program_id(0), lines * pieces, tl.num_programs(0)):
            number = piece // pieces
            x = (piece - number * pieces) * BLOCK + tl.arange(0, BLOCK)
            line, inside = first + number * line_length, x < line_length
            if ALONG_LINES:
                value = blurred(image + line, x, length, 1, width, inside, False, FOLDS, RADIUS)
            else:
                along, stride = number // step % length, step * line_length
                start = image + line - along * stride + x
                value = blurred(start, along, length, stride, width, inside, False, FOLDS, RADIUS)
            tl.store(out + line + x, value, mask=inside)
