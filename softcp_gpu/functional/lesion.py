"""The lesion of each source, found by its labels and transformed as a hard mask."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from softcp_gpu import kernels
from softcp_gpu.functional import execution
from softcp_gpu.functional.geometry import compose, inverse, scaling, translation, warp, warp_box
from softcp_gpu.functional.transforms import object_matrix
from softcp_gpu.functional.windows import bounding_box, count_pixels, take_window
from softcp_gpu.kernels import lesion_operators
from softcp_gpu.types import PasteConfig, PasteParams, RigidParams


class Lesion(NamedTuple):
    """The transformed lesion of each source, and where it would lie without being moved."""

    labels: Tensor  # (B, 1, *window): class id of each of its pixels, its box at the first corner
    size: Tensor  # (B, n) int64: its box
    home: Tensor  # (B, n) int64: first pixel of the box, not moved
    matrix: Tensor | None  # (B, n + 1, n + 1): source to frame, not moved; None for the identity
    area: Tensor  # (B,) int64: its pixels
    found: Tensor  # (B,) bool: the source has a lesion
    whole: Tensor  # (B,) bool: nothing was cut off; what is longer than two frames, and than its own, has no place
    affine: Tensor | None = None  # (B, n, n + 1): frame to source, not moved; None where nobody has asked

    def moved(self, offset: Tensor) -> Tensor:
        """The matrix followed by a shift of (B, n) pixels, for a lesion that has one."""
        assert self.matrix is not None
        return compose(self.matrix, translation(offset.to(self.matrix.dtype)))

    def back(self, offset: Tensor) -> Tensor:
        """From the frame to the source, (B, n, n + 1), of the lesion moved by (B, n) pixels."""
        if self.affine is None:
            return inverse(self.labels, self.moved(offset))
        linear, shift = self.affine[..., :-1], self.affine[..., -1:]
        return torch.cat([linear, shift - linear @ offset.double()[..., None]], -1)


def lesion_of(mask: Tensor, lesion_labels: tuple[int, ...] | None) -> Tensor:
    """Where a label map shows a lesion: its value is one of the ids, or, without ids, not 0."""
    if lesion_labels is None:
        return mask.to(torch.bool)  # on a CPU a tenth of the time of a comparison
    if execution.is_array(mask):  # torch takes twenty times as long to compare bytes
        values = mask.numpy()
        return torch.from_numpy(np.logical_or.reduce([values == label for label in lesion_labels]))
    return torch.stack([mask == label for label in lesion_labels]).any(0)


def labels_of(mask: Tensor, lesion: Tensor) -> Tensor:
    """A label map without what is no lesion."""
    if execution.is_array(mask) and not mask.is_floating_point():
        return torch.from_numpy(mask.numpy() * lesion.numpy())
    return torch.where(lesion, mask, 0)


def transformed_lesion(
    source_mask: Tensor,
    params: PasteParams,
    config: PasteConfig,
    shape: tuple[int, ...] | None = None,
    source_mm: Tensor | None = None,
    mm: Tensor | None = None,
) -> Lesion:
    """Warps the hard lesion of each source, once, and cuts it out with its box at the window's first corner.

    Args:
        source_mask: (B, 1, *spatial).
        params, config: the draws and the rest.
        shape: n lengths of the frame that it is for; None: those of the source.
        source_mm, mm: (B, n), spacing of the source and of the frame, or None.
    """
    shape = tuple(source_mask.shape[2:]) if shape is None else shape
    found = lesion_of(source_mask, config.lesion_labels)
    labels = source_mask if config.lesion_labels is None else labels_of(source_mask, found)
    if params.object is not None and source_mm is None and _moved_by_kernels(labels, params.object.rigid):
        return _by_kernels(labels, params.object.rigid, shape, config)
    start, extent, filled = bounding_box(found)
    canvas, home, matrix = labels, torch.zeros((), dtype=torch.int64, device=labels.device), None
    whole = torch.ones_like(params.apply)
    if params.object is not None or config.resample:
        center = start + (extent.double() - 1) / 2
        if params.object is not None:
            matrix = object_matrix(params.object.rigid, center, source_mm, mm)
        else:
            assert source_mm is not None  # or there would be nothing to resample
            assert mm is not None
            matrix = scaling(source_mm / mm)
        most = most_of(shape, labels)
        canvas, home, whole = _canvas(labels, matrix, start, extent, most, config.longest_px or most)
        start, extent, _ = bounding_box(canvas.to(torch.bool))
    window = _window(extent, tuple(canvas.shape[2:]), shape, config)
    area = count_pixels(canvas.to(torch.bool))
    return Lesion(take_window(canvas, start, window), extent, home + start, matrix, area, filled, whole)


def _window(extent: Tensor, canvas: tuple[int, ...], shape: tuple[int, ...], config: PasteConfig) -> tuple[int, ...]:
    """Lengths of a window that holds the box of every lesion that may have a place."""
    if execution.may_read_values(extent):
        return tuple(max(1, length) for length in extent.amax(0).tolist())
    return widest_window(canvas, shape, config)


def widest_window(canvas: tuple[int, ...], shape: tuple[int, ...], config: PasteConfig) -> tuple[int, ...]:
    """The same, whatever the lesions are."""
    inside = config.bounds.min_visible == 1.0 and isinstance(config.bounds.min_visible, float)
    return tuple(map(min, shape, canvas)) if inside else canvas


def most_of(shape: tuple[int, ...], labels: Tensor) -> tuple[int, ...]:
    """The length along each axis above which a lesion has no place."""
    return tuple(max(2 * frame, length) for frame, length in zip(shape, labels.shape[2:], strict=True))


def _moved_by_kernels(labels: Tensor, rigid: RigidParams) -> bool:
    """Whether `_by_kernels` does it: of a scan, a canvas of two frames would be more than it spares."""
    return kernels.run_on(labels) and not execution.asks_for_gradients(*rigid) and not execution.may_read_values(labels)


def _by_kernels(labels: Tensor, rigid: RigidParams, shape: tuple[int, ...], config: PasteConfig) -> Lesion:
    """The same lesion, without a canvas in memory; no gradient flows."""
    most = most_of(shape, labels)
    canvas = config.longest_px or most
    noted = lesion_operators.noted(labels)
    motion = lesion_operators.motion(noted, rigid, labels.shape[2:], canvas, most)
    start, extent, area = lesion_operators.warped_box(labels, motion.affine, motion.origin, motion.reach, canvas)
    home = motion.origin + start
    moved = lesion_operators.warped_window(labels, motion.affine, home, extent, _window(extent, canvas, shape, config))
    return Lesion(moved, extent, home, motion.matrix, area, noted[:, 6] > 0, motion.whole, motion.affine)


def _canvas(
    labels: Tensor,
    matrix: Tensor,
    start: Tensor,
    extent: Tensor,
    most: tuple[int, ...],
    longest: tuple[int, ...],
) -> tuple[Tensor, Tensor, Tensor]:
    """Warps the labels of each lesion, in a canvas around the place where the transform alone would put it.

    Args:
        labels: (B, 1, *spatial): the class id of each lesion pixel, 0 elsewhere.
        matrix: (B, n + 1, n + 1), source to frame.
        start, extent: (B, n) int64, each lesion's box in its source.
        most: n lengths: what is longer has no place.
        longest: n lengths of a canvas that holds every lesion, where values may not be read.

    Returns:
        the warped labels (B, 1, *canvas); the canvas' first pixel in the frame (B, n) int64; and (B,) bool: the lesion
        is no longer than that along each axis. What lies beyond is cut off.
    """
    axes = len(most)
    reach = (matrix[:, :axes, :axes].detach().abs() @ extent.double()[..., None])[..., 0]
    whole = (reach <= execution.constants(most, labels)).all(1)
    if execution.may_read_values(labels):
        size = tuple(min(length, int(r) + 4) for length, r in zip(most, reach.amax(0).tolist(), strict=True))
    else:
        size = longest
    center = start + (extent.double() - 1) / 2
    middle = (matrix[:, :axes, :axes] @ center[..., None])[..., 0] + matrix[:, :axes, axes]
    origin = middle.detach().floor().to(torch.int64) - execution.constants([length // 2 for length in size], labels) + 1
    if execution.may_read_values(labels):
        return warp_box(labels, start, extent, matrix, origin, size), origin, whole
    return warp(labels, matrix, "nearest", origin=origin, size=size), origin, whole
