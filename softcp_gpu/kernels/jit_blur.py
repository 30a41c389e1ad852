"""Triton: what all Gaussian blurs share."""

import triton
import triton.language as tl

HALVES = tl.constexpr(-0.7213475204444817)  # exp(-t * t / 2) = exp2(HALVES * t * t)


@triton.jit
def _mirrored(place, length, radius, FOLDS: tl.constexpr):
    """Places along an axis; beyond its ends they turn back, more than once if FOLDS."""
    if FOLDS:
        turn = tl.maximum(2 * length - 2, 1)
        place = (place + turn * (radius + 1)) % turn
    place = tl.abs(place)
    return tl.minimum(place, 2 * length - 2 - place)


@triton.jit
def blurred(line, along, length, stride, sigma, inside, INNER: tl.constexpr, FOLDS: tl.constexpr, RADIUS: tl.constexpr):
    """Pixels blurred along an axis.

    `line` points to the axis' first pixel, `along` counts pixels from there, one of them `stride` after the other. All
    neighbours lie on the axis if INNER; else it is mirrored at its ends. FOLDS: the kernel is longer than the axis.
    """
    value = tl.load(line + along * stride, mask=inside, other=0)
    total, scale = sigma * 0 + 1, 1 / (sigma * sigma) * HALVES
    for tap in tl.range(1, RADIUS + 1, loop_unroll_factor=4):  # so that many loads are under way at once
        weight = tl.exp2(scale * (tap * tap))
        lower, upper = along - tap, along + tap
        if not INNER:
            lower, upper = _mirrored(lower, length, RADIUS, FOLDS), _mirrored(upper, length, RADIUS, FOLDS)
        before = tl.load(line + lower * stride, mask=inside, other=0)
        after = tl.load(line + upper * stride, mask=inside, other=0)
        value, total = value + (before + after) * weight, total + 2 * weight
    return value / total
