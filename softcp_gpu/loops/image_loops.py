"""Tensors as the arrays that `jit_images` works on. Frames of two axes are volumes of one slice."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from softcp_gpu.loops.threads import in_threads


class Slots(NamedTuple):
    """The intensity operations of each sample, slot after slot."""

    gamma: np.ndarray  # (B, S) float32
    noise: np.ndarray  # likewise: sigma, as a fraction of the range
    blur: np.ndarray  # likewise: sigma in pixels; 0: it does not
    radius: int  # of the blur's kernel, pixels
    seeds: np.ndarray  # (B,) int64
    stream: int  # of the noise of the first slot


class Crops(NamedTuple):
    """Of whole images, as a fraction of the frame."""

    size: np.ndarray  # (B, n) float32; 1 is none
    start: np.ndarray  # (B, n) float32: where it lies in the room that it has


def all_finite(image: Tensor) -> bool:
    """Whether no value of (B, C, *spatial) float32, contiguous, is NaN or infinite."""
    from softcp_gpu.loops import jit_values

    parts = image.detach().numpy().reshape(image.shape[0] * image.shape[1], -1)
    finite = np.empty(len(parts), bool)
    in_threads(jit_values.check_finite, len(parts), parts.shape[1] // 4, parts, finite)
    return bool(finite.all())


def transform_images(image: Tensor, out: Tensor, crops: Crops, slots: Slots) -> None:
    """`transforms.transform_image`.

    Args:
        image: (B, C, *spatial) float32, contiguous.
        out: likewise; it may be `image`.
        crops, slots: the draws.
    """
    from softcp_gpu.loops import jit_images

    arrays = volumes_of(image), volumes_of(out), *crops, tuple(slots)
    in_threads(jit_images.transform_image, len(out) * out.shape[1], out[0, 0].numel(), *arrays)


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
        tuple(slots),
    )
    in_threads(jit_images.transform_tiles, *units_of(out), *arrays)


def crop_labels(labels: Tensor, out: Tensor, crops: Crops) -> None:
    """`lines.sample_nearest` of the samples that are cropped; the others are copied.

    Args:
        labels: (B, 1, *spatial) integer or bool, contiguous.
        out: likewise.
        crops: the draws.
    """
    from softcp_gpu.loops import jit_labels

    arrays = labels_of(labels), labels_of(out), *crops
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


def numbers_of(x: Tensor, dtype: Any) -> np.ndarray:
    """Draws as loops read them; of other layouts they would be compiled again."""
    return np.ascontiguousarray(x.detach().numpy(), dtype)


def labels_of(x: Tensor) -> np.ndarray:
    """(B, 1, *spatial) as (B, depth, height, width) of integers without a sign: loops are compiled for each size."""
    return volumes_of(x)[:, 0].view(f"u{x.itemsize}")


def in_three(values: np.ndarray, axes: int) -> np.ndarray:
    """Numbers for each axis of a frame, vectors (B, n) or matrices (B, n, n + 1), for three axes.

    `np.pad` would take ten times as long.
    """
    missing = (4 if axes == 2 else 3) - values.shape[-1]
    if not missing:
        return values
    out = np.zeros([*values.shape[:-axes], *(length + missing for length in values.shape[-axes:])], values.dtype)
    inside = out[..., missing:] if axes == 1 else out[..., missing:, missing:]
    inside[:] = values
    return out


def volumes_of(x: Tensor) -> np.ndarray:
    """(B, C, *spatial) as (B, C, depth, height, width)."""
    array = x.detach().numpy()
    return array if x.ndim == 5 else array[:, :, None]
