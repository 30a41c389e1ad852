"""Triton: what all Gaussian blurs share."""

import triton
import triton.language as tl


@triton.jit
def tap_weight(tap, sigma):
    """Of a neighbour so many pixels away, before all are divided by their sum."""
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
