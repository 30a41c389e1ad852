"""Label ids of volumes: whole numbers, whatever type their file has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from softcp_gpu.data.errors import DataError

_COUNTED = 1 << 16  # ids below it are counted, which is faster than sorting


def label_ids(path: Path, values: np.ndarray) -> np.ndarray:
    """Take the values of a mask as label ids.

    Args:
        path: the mask file, for the error.
        values: of any real type; floats that are whole numbers are fine.

    Returns:
        The same shape, in the smallest unsigned integers that hold them.

    Raises:
        DataError: a value is negative, or no whole number that fits into 32 bits.

    Example:
        >>> label_ids(Path("mask.nii"), np.array([0.0, 4.0], dtype=np.float32))
        array([0, 4], dtype=uint8)
    """
    low, high = values.min(), values.max()  # NaN comes through, and fails the comparison
    if not (low >= 0 and high < 2**32):
        raise DataError(path, "label ids of 0 and more", f"values from {low:g} to {high:g}")
    ids = values.astype(np.min_scalar_type(int(high)), copy=False)
    if values.dtype.kind == "f" and (wrong := ids != values).any():
        raise DataError(path, "label ids, which are whole numbers", f"the value {values[wrong][0]:g}")
    return ids


def marked(labels: np.ndarray, ids: Sequence[int]) -> np.ndarray:
    """Find the voxels of some labels.

    Args:
        labels: label ids.
        ids: those that are meant, one or more.

    Returns:
        The same shape, bool.

    Example:
        >>> marked(np.array([0, 1, 2], dtype=np.uint8), (2, 300))
        array([False, False,  True])
    """
    return np.logical_or.reduce([labels == label for label in ids])


def ids_in(labels: np.ndarray) -> set[int]:
    """List the labels that occur.

    Args:
        labels: label ids, of any shape.

    Returns:
        The ids.

    Example:
        >>> sorted(ids_in(np.array([[0, 7], [7, 2]], dtype=np.uint8)))
        [0, 2, 7]
    """
    planes = labels if labels.ndim > 1 else labels[None]  # plane by plane: counting all at once needs all again
    if labels.max(initial=0) < _COUNTED:
        return {int(label) for plane in planes for label in np.flatnonzero(np.bincount(plane.ravel()))}
    return {int(label) for plane in planes for label in np.unique(plane)}


def cast_exactly(path: Path, values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Bring values into a file's type.

    Args:
        path: the file, for the error.
        values: integers, bool, or floats.
        dtype: the type that the file has. Floats are rounded and clipped to an integer type: one channel has it, where
            another one of the case has floats.

    Returns:
        The values in that type.

    Raises:
        DataError: integers do not fit.

    Example:
        >>> cast_exactly(Path("mask.nii"), np.array([0, 4], dtype=np.uint8), np.dtype("float32"))
        array([0., 4.], dtype=float32)
    """
    if values.dtype.kind == "f" and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return values.round().clip(limits.min, limits.max).astype(dtype)
    cast = values.astype(dtype, copy=False)
    if values.dtype.kind in "iu" and not np.array_equal(cast, values):
        raise DataError(path, f"values that {dtype} holds", f"{values.min()} to {values.max()}")
    return cast
