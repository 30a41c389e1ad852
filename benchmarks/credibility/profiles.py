"""Intensities across a boundary: the mean over all its normals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

INSIDE_PX, OUTSIDE_PX = 8, 14


class Profile(NamedTuple):
    """How intensities go from the inside of a lesion to its surroundings."""

    distance_px: np.ndarray  # (N,) from the boundary, negative inside
    mean: np.ndarray  # (N,), NaN where there is no such pixel
    spread: np.ndarray  # (N,) standard deviation


def profile(grey: np.ndarray, lesion: np.ndarray, seen: np.ndarray) -> Profile:
    """Mean and spread of the intensities at each distance from a boundary.

    Args:
        grey: (H, W).
        lesion: (H, W) bool, whose boundary is meant; not empty.
        seen: (H, W) bool, the pixels that count.
    """
    edges = np.arange(-INSIDE_PX, OUTSIDE_PX + 1)
    bins = np.digitize(signed_distance_px(lesion), edges)
    parts = [grey[seen & (bins == i)] for i in range(1, len(edges))]
    stats = np.array([(part.mean(), part.std()) if part.size else (np.nan, np.nan) for part in parts])
    return Profile(edges[:-1] + 0.5, *stats.T)


def signed_distance_px(lesion: np.ndarray) -> np.ndarray:
    """Distance of each pixel's centre from the boundary, about; negative inside."""
    outside, inside = (ndimage.distance_transform_edt(x) for x in (~lesion, lesion))
    return np.where(lesion, 0.5 - inside, outside - 0.5)
