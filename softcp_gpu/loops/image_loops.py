"""Tensors as the arrays that `jit_images` works on. Frames of two axes are volumes of one slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from softcp_gpu.loops.threads import in_threads


class Slots(NamedTuple):
    """The intensity operations of each sample, slot after slot."""

    values: np.ndarray  # (B, S, 3) float32: gamma, sigma of the noise, whether it blurs
    kernels: np.ndarray  # (B, S, taps) float32
    keys: np.ndarray  # (B, S, 2) uint32: of the noise


def all_finite(image: Tensor) -> bool:
    """Whether no value of (B, C, *spatial) float32, contiguous, is NaN or infinite."""
    from softcp_gpu.loops import jit_values

    parts = image.detach().numpy().reshape(image.shape[0] * image.shape[1], -1)
    finite = np.empty(len(parts), bool)
    in_threads(jit_values.check_finite, len(parts), parts.shape[1] // 4, parts, finite)
    return bool(finite.all())


def transform_images(
    image: Tensor, out: Tensor, crops: np.ndarray, lines: Sequence[tuple[np.ndarray, np.ndarray]], slots: Slots
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
    arrays = volumes_of(image), volumes_of(out), crops, first, weight
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

    boxes = windows
    if image.ndim == 4:
        boxes = np.concatenate([np.tile([[0], [1], [0], [1]], (len(windows), 1, 1)), windows], 2)
    arrays = (
        volumes_of(image),
        rows.numpy(),
        volumes_of(out),
        in_three(affine.numpy(), 2),
        boxes.reshape(-1, 12),
        bounds.numpy(),
    )
    in_threads(jit_images.transform_tiles, *units_of(out), *arrays, *slots)


def crop_labels(labels: Tensor, out: Tensor, crops: np.ndarray, places: Sequence[np.ndarray]) -> None:
    """`lines.sample_nearest` of the samples that are cropped; the others are copied.

    Args:
        labels: (B, 1, *spatial) integer or bool, contiguous.
        out: likewise.
        crops: (B,) bool.
        places: of each axis, the pixel of each line of the result (B, length) int32; -1 for 0.
    """
    from softcp_gpu.loops import jit_labels

    arrays = labels_of(labels), labels_of(out), crops, _lines(places)
    in_threads(jit_labels.crop_labels, len(labels), out[0].numel() // 16, *arrays)  # copied, for the most part


def warp_labels(labels: Tensor, out: Tensor, affine: np.ndarray, origin: np.ndarray) -> None:
    """`geometry.warp`, nearest.

    Args:
        labels: (B, 1, *spatial), contiguous.
        out: (B, 1, *size) of its dtype, contiguous.
        affine: (B, n, n + 1) float64, as `geometry.inverse`.
        origin: (B, n) int64, first pixel of the result.
    """
    from softcp_gpu.loops import jit_labels

    arrays = labels_of(labels), labels_of(out), in_three(affine, 2), in_three(origin, 1)
    in_threads(jit_labels.warp_labels, len(labels), out[0].numel(), *arrays)


def units_of(out: Tensor) -> tuple[int, int, int]:
    """How (B, C, *spatial) is shared out: how many units, pixels of each, and channels.

    Where all channels of a sample are done together, it is found once where they come from.
    """
    batch, channels = out.shape[:2]
    each = channels if batch >= 2 * torch.get_num_threads() else 1
    return batch * channels // each, each * out[0, 0].numel(), each


def labels_of(x: Tensor) -> np.ndarray:
    """(B, 1, *spatial) as (B, depth, height, width) of integers without a sign: loops are compiled for each size."""
    return volumes_of(x)[:, 0].view(f"u{x.itemsize}")


def in_three(values: np.ndarray, axes: int, front: int = 0) -> np.ndarray:
    """Numbers for each axis of a frame, vectors (B, n) or matrices (B, n, n + 1), for three axes.

    `np.pad` would take ten times as long.
    """
    missing = (4 if axes == 2 else 3) - values.shape[-1]
    if not missing:
        return values
    out = np.full([*values.shape[:-axes], *(length + missing for length in values.shape[-axes:])], front, values.dtype)
    inside = out[..., missing:] if axes == 1 else out[..., missing:, missing:]
    inside[:] = values
    return out


def _lines(axes: Sequence[np.ndarray]) -> np.ndarray:
    """One line of numbers for each axis, (B, length), as (B, depth + height + width)."""
    none = [np.zeros_like(axes[0][:, :1])] * (3 - len(axes))
    return np.concatenate([*none, *axes], 1)


def volumes_of(x: Tensor) -> np.ndarray:
    """(B, C, *spatial) as (B, C, depth, height, width)."""
    return (x if x.ndim == 5 else x[:, :, None]).detach().numpy()
