"""Tensors as the arrays that `jit_images` works on. Frames of two axes are volumes of one slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from softcp_gpu.loops.threads import in_threads


class Slots(NamedTuple):
    """The intensity operations of each sample, slot after slot."""

    values: np.ndarray  # (B, S, 3) float32: gamma, sigma of the noise, whether it blurs
    kernels: np.ndarray  # (B, S, taps) float32
    keys: np.ndarray  # (B, S, 2) uint32: of the noise


def transform_images(
    image: Tensor, out: Tensor, crops: Tensor, lines: Sequence[tuple[np.ndarray, np.ndarray]], slots: Slots
) -> None:
    """`transforms.transform_image`.

    Args:
        image: (B, C, *spatial) float32, contiguous.
        out: likewise; it may be `image`.
        crops: (B,) bool: whether it is cropped.
        lines: of each axis, the first line (B, length) int32 and the weight of the next one, float32.
        slots: the draws.
    """
    from softcp_gpu.loops import jit_images

    first, weight = (_lines(each) for each in zip(*lines, strict=True))
    arrays = _volumes(image), _volumes(out), crops.numpy(), first, weight
    planes, pixels = image.shape[0] * image.shape[1], image[0, 0].numel()
    in_threads(jit_images.transform_images, planes, pixels, *arrays, *slots)


def transform_tiles(
    image: Tensor, rows: Tensor, out: Tensor, affine: Tensor, windows: np.ndarray, bounds: Tensor, slots: Slots
) -> None:
    """`geometry.warp_linear`, then `intensity.apply_intensity`, into tiles of frames.

    Args:
        image: (N, C, *source) float32, contiguous.
        rows: (B,) int64, the source of each sample.
        out: (B, C, *tile) float32, contiguous.
        affine: (B, n, n + 1) float32, from the frame, as `geometry.sampling_affine`.
        windows: (B, 4, n) int64: the first pixel that is needed in its frame, frame, that pixel in the tile, lengths.
        bounds: (B, C, 2) float32: the unit of gamma and noise; NaN for the source's own.
        slots: the draws.
    """
    from softcp_gpu.loops import jit_images

    matrix, boxes = affine.numpy(), windows
    if image.ndim == 4:
        matrix = np.pad(matrix, ((0, 0), (1, 0), (1, 0)))
        boxes = np.concatenate([np.tile([[0], [1], [0], [1]], (len(windows), 1, 1)), windows], 2)
    arrays = _volumes(image), rows.numpy(), _volumes(out), matrix, boxes.reshape(-1, 12), bounds.numpy()
    planes, pixels = out.shape[0] * out.shape[1], out[0, 0].numel()
    in_threads(jit_images.transform_tiles, planes, pixels, *arrays, *slots)


def crop_labels(labels: Tensor, out: Tensor, crops: Tensor, places: Sequence[np.ndarray]) -> None:
    """`lines.sample_nearest` of the samples that are cropped; the others are copied.

    Args:
        labels: (B, 1, *spatial) integer or bool, contiguous.
        out: likewise.
        crops: (B,) bool.
        places: of each axis, the pixel of each line of the result (B, length) int64; -1 for 0.
    """
    from softcp_gpu.loops import jit_labels

    source, target, which, across = _labels(labels), _labels(out), crops.numpy(), _lines(places)
    for sample in range(len(labels)):  # in less time than it takes to start threads
        jit_labels.crop_labels(sample, source, target, which, across)


def warp_labels(labels: Tensor, out: Tensor, affine: np.ndarray, origin: np.ndarray) -> None:
    """`geometry.warp`, nearest.

    Args:
        labels: (B, 1, *spatial), contiguous.
        out: (B, 1, *size) of its dtype, contiguous.
        affine: (B, n, n + 1) float64, as `geometry.inverse`.
        origin: (B, n) int64, first pixel of the result.
    """
    from softcp_gpu.loops import jit_labels

    if labels.ndim == 4:
        affine, origin = np.pad(affine, ((0, 0), (1, 0), (1, 0))), np.pad(origin, ((0, 0), (1, 0)))
    in_threads(jit_labels.warp_labels, len(labels), out[0].numel(), _labels(labels), _labels(out), affine, origin)


def _labels(x: Tensor) -> np.ndarray:
    """(B, 1, *spatial) as (B, depth, height, width) of integers without a sign: loops are compiled for each size."""
    return _volumes(x)[:, 0].view(f"u{x.itemsize}")


def _lines(axes: Sequence[np.ndarray]) -> np.ndarray:
    """One line of numbers for each axis, (B, length), as (B, depth + height + width)."""
    lines = np.concatenate(axes, 1)
    return lines if len(axes) == 3 else np.pad(lines, ((0, 0), (1, 0)))


def _volumes(x: Tensor) -> np.ndarray:
    """(B, C, *spatial) as (B, C, depth, height, width)."""
    return (x if x.ndim == 5 else x[:, :, None]).numpy()
