"""Comparisons with a tolerance that has an argument. `tests/parity/test_assertions.py` shows that each can fail."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def assert_close_in_range(actual, expected, share: float, what: str = "values") -> float:
    """Every value differs by at most `share` of the range of the expected ones, or of 1 where they have none.

    An absolute bound would mean nothing for images in unknown units, and a relative one nothing near 0.

    Returns:
        the largest difference, as a share of the range.
    """
    actual, expected = (np.asarray(x, np.float64) for x in (actual, expected))
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, expected {expected.shape}"
    if expected.size == 0:
        return 0.0
    worst = np.abs(actual - expected).max() / (np.ptp(expected) or 1.0)
    assert worst <= share, f"{what}: off by {worst:.3g} of the range, at most {share:g} allowed"  # also fails for NaN
    return float(worst)


def assert_masks_match_in_edge_band(pairs: Iterable[tuple], share: float = 1e-4, what: str = "masks") -> int:
    """At most `share` of all pixels differ, and each that does lies at an edge of the expected mask.

    A pixel whose sampling point lies between two pixels may fall either way by rounding, on both sides of an edge and
    nowhere else. The share is of the pixels of all pairs together: one small frame alone would allow none or a lot.

    Args:
        pairs: (actual, expected) masks or label maps, of any number of axes.
        share: of pixels that may differ.
        what: named by the error.

    Returns:
        how many pixels differ.
    """
    flips = total = 0
    for actual, expected in pairs:
        actual, expected = np.asarray(actual), np.asarray(expected)
        assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, expected {expected.shape}"
        flipped = actual != expected
        stray = int((flipped & ~edge_band(expected)).sum())
        assert stray == 0, f"{what}: {stray} pixels differ away from any edge"
        flips, total = flips + int(flipped.sum()), total + flipped.size
    assert flips <= share * total, f"{what}: {flips} of {total} pixels differ, at most {share:g} of them may"
    return flips


def edge_band(mask: np.ndarray) -> np.ndarray:
    """The pixels with another label among their 3^n - 1 neighbours: one pixel on either side of each edge."""
    low = high = np.pad(mask.astype(np.int64), 1, mode="edge")
    for axis in range(mask.ndim):
        low = np.minimum(low, np.minimum(np.roll(low, 1, axis), np.roll(low, -1, axis)))
        high = np.maximum(high, np.maximum(np.roll(high, 1, axis), np.roll(high, -1, axis)))
    inner = (slice(1, -1),) * mask.ndim
    return (low != high)[inner]
