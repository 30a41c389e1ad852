"""Triton: a Gaussian along one axis, its border mirrored, for the samples that are blurred and only around lesions."""

import triton
import triton.language as tl


@triton.jit
def around(k0, k1, k2, start, extent, m0, m1, m2, AXES: tl.constexpr):
    """Whether pixels lie in a sample's box or at most the margins beside it."""
    lower, upper = tl.load(start + AXES - 2), tl.load(extent + AXES - 2)
    near = (k1 >= lower - m1) & (k1 < lower + upper + m1)
    lower, upper = tl.load(start + AXES - 1), tl.load(extent + AXES - 1)
    near = near & (k2 >= lower - m2) & (k2 < lower + upper + m2)
    if AXES == 3:
        lower, upper = tl.load(start), tl.load(extent)
        near = near & (k0 >= lower - m0) & (k0 < lower + upper + m0)
    return near


@triton.jit
def tap_weight(tap, sigma):
    ratio = tap / sigma
    return tl.exp(-0.5 * ratio * ratio)


@triton.jit
def mirrored(place, length, radius, FOLDS: tl.constexpr):
    """Places along an axis; beyond its ends they turn back, more than once if FOLDS."""
    if FOLDS:
        turn = tl.maximum(2 * length - 2, 1)
        place = (place + turn * (radius + 1)) % turn
    place = tl.abs(place)
    return tl.where(place < length, place, 2 * length - 2 - place)


@triton.jit
def blur_pass(
    image,  # (B, channels, s0, s1, s2)
    sigma,  # (B,), the dtype of image
    start,  # (B, AXES) int64, boxes in the frame; extent likewise
    extent,
    out,  # (B, channels, s0, s1, s2): written around the boxes of samples whose sigma is above 0
    channels,
    s0, s1, s2, m0, m1, m2,
    stride,  # of the axis
    length,
    radius,
    FOLDS: tl.constexpr,  # the kernel is longer than the axis
    AXES: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """One axis."""
    sample = tl.program_id(1).to(tl.int64)
    width = tl.load(sigma + sample)
    if width > 0:
        at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        k0, k1, k2 = at // (s1 * s2), (at // s2) % s1, at % s2
        boxes = sample * AXES
        near = around(k0, k1, k2, start + boxes, extent + boxes, m0, m1, m2, AXES) & (at < s0 * s1 * s2)
        if tl.max(near.to(tl.int32), axis=0) > 0:
            total = width * 0
            for tap in range(-radius, radius + 1):
                total += tap_weight(tap, width)
            along = (at // stride) % length
            for channel in range(channels):
                first = (sample * channels + channel) * s0 * s1 * s2
                line = image + first + at - along * stride
                value = tl.zeros([BLOCK], dtype=image.dtype.element_ty)
                for tap in range(-radius, radius + 1):
                    place = mirrored(along + tap, length, radius, FOLDS)
                    value += tl.load(line + place * stride, mask=near, other=0) * (tap_weight(tap, width) / total)
                tl.store(out + first + at, value, mask=near)
