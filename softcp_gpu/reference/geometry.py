"""Rigid matrices that compose, and the one warp that applies them.

A matrix maps homogeneous coordinates (y, x, 1) of the input to the output; pixel centres have whole coordinates.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import ArrayLike


def rigid_matrix(flip: ArrayLike, angle_deg: ArrayLike, scale: float, shift_px: ArrayLike) -> np.ndarray:
    """Flip, then rotate, then scale, then shift, about the origin.

    Args:
        flip: (2,), +1 or -1.
        angle_deg: (1,), positive turns counter-clockwise on a screen.
        scale: above 0.
        shift_px: (2,).

    Returns:
        (3, 3) float64.

    Example:
        >>> turn = rigid_matrix([1, 1], [90], 1, [0, 0])
        >>> (turn @ [0, 1, 1]).round().astype(int).tolist()  # right goes up
        [-1, 0, 1]
    """
    rotation = np.eye(3)
    rotation[:2] = cv2.getRotationMatrix2D((0, 0), float(np.squeeze(angle_deg)), 1)  # in (x, y)
    rotation = rotation[[1, 0, 2]][:, [1, 0, 2]]
    return compose(np.diag([*np.asarray(flip, float), 1]), rotation, np.diag([scale, scale, 1]), translation(shift_px))


def translation(shift_px: ArrayLike) -> np.ndarray:
    """A shift by (n,) pixels as (n + 1, n + 1)."""
    shift = np.asarray(shift_px, float)
    matrix = np.eye(len(shift) + 1)
    matrix[:-1, -1] = shift
    return matrix


def compose(*matrices: np.ndarray) -> np.ndarray:
    """One matrix that does what the given ones do, the first one first.

    Example:
        >>> compose(translation([1, 0]), np.diag([2, 2, 1]))[:2, 2].tolist()
        [2.0, 0.0]
    """
    result = matrices[0]
    for matrix in matrices[1:]:
        result = matrix @ result
    return result


def about(center_px: ArrayLike, matrix: np.ndarray) -> np.ndarray:
    """The same motion about another point than the origin."""
    center = np.asarray(center_px, float)
    return compose(translation(-center), matrix, translation(center))


def crop_matrix(crop_size: ArrayLike, crop_start: ArrayLike, shape: tuple[int, ...]) -> np.ndarray:
    """Crop, then resize back to the same shape.

    Args:
        crop_size: (n,), fraction of the frame, in (0, 1].
        crop_start: (n,), in [0, 1], where the crop lies in the room that it has.
        shape: n frame lengths.
    """
    size = np.asarray(crop_size, float)
    first_edge = np.asarray(crop_start, float) * (1 - size) * shape
    half = np.full(len(shape), 0.5)  # from pixel centres to pixel edges and back: edges are what a resize keeps
    return compose(translation(half - first_edge), np.diag([*1 / size, 1]), translation(-half))


def warp(
    x: np.ndarray,
    matrix: np.ndarray,
    mode: Literal["linear", "nearest"] = "linear",
    *,
    origin: ArrayLike = (0, 0),
    size: tuple[int, ...] | None = None,
) -> np.ndarray:
    """Resamples once, with cv2.warpAffine. Outside its frame an image repeats its border, and a mask is 0.

    Args:
        x: (H, W, C) or (H, W).
        matrix: (3, 3), input to output coordinates.
        mode: "linear" for images, "nearest" for masks.
        origin: (2,), output coordinates of the first pixel of the result.
        size: of the result, (rows, columns); default that of `x`.

    Returns:
        (*size, C) or (*size,) float32.

    Example:
        >>> warp(np.array([[1.0, 2.0, 3.0]]), translation([0, 0.5])).tolist()
        [[1.0, 1.5, 2.5]]
    """
    if x.ndim == 3:
        return np.stack(
            [warp(channel, matrix, mode, origin=origin, size=size) for channel in np.moveaxis(x, -1, 0)], -1
        )
    rows, columns = size or x.shape
    in_xy = compose(matrix, translation(-np.asarray(origin, float)))[[1, 0]][:, [1, 0, 2]]
    flags, border = (
        (cv2.INTER_LINEAR, cv2.BORDER_REPLICATE) if mode == "linear" else (cv2.INTER_NEAREST, cv2.BORDER_CONSTANT)
    )
    # In float64 cv2 rounds coordinates to 1/32 pixel; in float32 it does not.
    return cv2.warpAffine(x.astype(np.float32), in_xy, (columns, rows), flags=flags, borderMode=border)
