"""The two transforms of the paper's section 3.3: of a whole image, and of a lesion."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from softcp_gpu.reference.geometry import about, compose, crop_matrix, rigid_matrix, warp
from softcp_gpu.reference.intensity import transform_intensity


def crop_and_resize(x: np.ndarray, params: Any, mode: Literal["linear", "nearest"]) -> np.ndarray:
    """Crops and resizes back, if a crop was drawn.

    Args:
        x: (H, W, C) or (H, W).
        params: one sample of `ImageParams`.
        mode: "linear" for images and soft masks, "nearest" for labels.
    """
    if np.all(np.asarray(params.crop_size) == 1):
        return x
    shape = x.shape[: len(params.crop_size)]
    return warp(x, crop_matrix(params.crop_size, params.crop_start, shape), mode).astype(x.dtype)


def transform_image(image: np.ndarray, params: Any, radius: int, seed: int, stream: int) -> np.ndarray:
    """Crops and resizes back an image, then transforms its intensities.

    Args:
        image: (H, W, C) floating.
        params: one sample of `ImageParams`.
        radius, seed, stream: as `transform_intensity`.
    """
    image = crop_and_resize(image, params, "linear")
    return transform_intensity(image, image, params.intensity, radius, seed, stream)


def object_matrix(labels: np.ndarray, rigid: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both rigid operations as one motion about the middle of the lesion's box; and that middle, (n,)."""
    pixels = np.argwhere(labels != 0)
    center = (pixels.min(0) + pixels.max(0)) / 2
    first, second = (rigid_matrix(*(np.asarray(field, float)[slot] for field in rigid)) for slot in (0, 1))
    return about(center, compose(first, second)), center


def fits_canvas(labels: np.ndarray, rigid: Any) -> bool:
    """Whether a lesion, transformed, is at most two frames long along each axis; a longer one has no place in one."""
    pixels = np.argwhere(labels != 0)
    matrix, _ = object_matrix(labels, rigid)
    reach = np.abs(matrix[:-1, :-1]) @ (pixels.max(0) - pixels.min(0) + 1)
    return bool(np.all(reach <= 2 * np.array(labels.shape)))


def lesion_canvas(labels: np.ndarray, rigid: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Warps a lesion where the transform alone would put it, also outside the frame.

    Args:
        labels: (H, W), the class id of each lesion pixel, 0 elsewhere; some pixel is a lesion.
        rigid: one sample of `RigidParams`.

    Returns:
        the warped labels on a canvas twice as long as the frame, the lesion in its middle; the canvas' first pixel
        (2,), in the frame; the matrix (3, 3).
    """
    matrix, center = object_matrix(labels, rigid)
    middle = (matrix @ [*center, 1])[:-1]
    origin = np.floor(middle).astype(int) - np.array(labels.shape) + 1
    size = tuple(2 * length for length in labels.shape)
    return warp(labels, matrix, "nearest", origin=origin, size=size), origin, matrix


def transform_object(
    image: np.ndarray, labels: np.ndarray, params: Any, radius: int, seed: int, stream: int
) -> tuple[np.ndarray, np.ndarray]:
    """Transforms an image about the centre of its own lesion, without moving it to another place.

    Args:
        image: (H, W, C).
        labels: (H, W), not 0 where the lesion is; some pixel is.
        params: one sample of `ObjectParams`.
        radius, seed, stream: as `transform_intensity`.
    """
    matrix, _ = object_matrix(labels, params.rigid)
    warped = warp(image, matrix, "linear")
    moved = warp(labels, matrix, "nearest").astype(labels.dtype)
    return transform_intensity(warped, image, params.intensity, radius, seed, stream), moved
