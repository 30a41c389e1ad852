"""Whole images and lesions' tiles transformed by `loops`, where they run and no gradient is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from softcp_gpu import loops
from softcp_gpu.functional import execution
from softcp_gpu.functional.counter_rng import field_keys
from softcp_gpu.functional.geometry import inverse, sampling_affine
from softcp_gpu.functional.intensity import gaussian_kernel
from softcp_gpu.loops import image_loops
from softcp_gpu.loops.image_loops import Slots
from softcp_gpu.types import IntensityParams


def works(x: Tensor, *params: Tensor) -> bool:
    """Whether the functions of this file do it: labels and images of up to 32 bits."""
    known = not x.is_complex() and x.dtype != torch.float64 and execution.may_read_values(x) and x.numel() > 0
    return known and not execution.asks_for_gradients(x, *params) and loops.run_on(x, *params)


def slots_of(params: IntensityParams, radius: int, seed: Tensor, stream: int) -> Slots:
    """The draws as loops read them."""
    values = torch.stack([params.gamma, params.noise_sigma, params.blur_sigma_px], 2).float()
    kernels = gaussian_kernel(params.blur_sigma_px.flatten().clamp(min=1e-3).float(), radius)
    keys = field_keys(seed[:, None], stream + torch.arange(values.shape[1]))
    return Slots(values.numpy(), kernels.view(*values.shape[:2], -1).numpy(), keys.numpy().view("uint32"))


def no_slots(batch: int) -> Slots:
    """Of samples whose intensities stay as they are."""
    values, kernels = (np.empty((batch, 0, length), np.float32) for length in (3, 1))
    return Slots(values, kernels, np.empty((batch, 0, 2), np.uint32))


def transform_image(image: Tensor, crops: Tensor, lines: Sequence[Tensor], slots: Slots, *, over: bool) -> Tensor:
    """`transforms.transform_image`, if a sample asks for it.

    Args:
        image: (B, C, *spatial).
        crops: (B,) bool: whether it is cropped.
        lines: as `geometry.crop_lines` gives them.
        slots: the draws.
        over: as there.
    """
    x = image.contiguous().to(torch.float32)
    out = x if over or x is not image else execution.empty(x.shape, x.dtype, x.device)
    places = []
    for line, length in zip(map(Tensor.numpy, lines), x.shape[2:], strict=True):  # torch would wake its threads for it
        place = np.nan_to_num((line + 1) * np.float32(length / 2) - np.float32(0.5))  # as grid_sample does
        place = place.clip(0, length - 1)
        first = np.floor(place)
        places.append((first.astype(np.int32), place - first))
    image_loops.transform_images(x, out, crops, places, slots)
    return out.to(image.dtype)


def crop_labels(labels: Tensor, crops: Tensor, lines: Sequence[Tensor]) -> Tensor:
    """`lines.sample_nearest` of the samples (B,) that are cropped, for the lines of `geometry.crop_lines`."""
    x = labels.contiguous()
    out = execution.empty(x.shape, x.dtype, x.device)
    places = []
    for line, length in zip(map(Tensor.numpy, lines), x.shape[2:], strict=True):
        place = np.nan_to_num(np.rint(line), nan=-1).astype(np.int64)
        places.append(np.where((place >= 0) & (place < length), place, -1))
    image_loops.crop_labels(x, out, crops, places)
    return out


def warp_and_transform(
    source_image: Tensor,
    rows: Tensor | None,
    matrix: Tensor,
    corner: Tensor,
    tile: tuple[int, ...],
    own: Iterable[Sequence[slice]],
    frame: tuple[int, ...],
    source_range: Tensor | None,
    slots: Slots,
) -> Tensor:
    """`geometry.warp_linear` into a part of each tile, then `intensity.apply_intensity`; the rest is 0.

    Args:
        source_image, matrix: as there; the first float32.
        rows: (B,) int64, the source of each sample; None: its own.
        corner, tile: first pixel of the tiles in their frames (B, n) int64, and their n lengths.
        own: the part of each tile.
        frame: n lengths.
        source_range: (B, C, 2), the unit of gamma and noise; None: the range of the source.
        slots: the draws.

    Returns:
        (B, C, *tile) float32.
    """
    x = source_image.contiguous()
    parts = [[(part.start, part.stop - part.start) for part in each] for each in own]
    begin, length = np.moveaxis(np.array(parts), -1, 0)
    count, channels = len(matrix), x.shape[1]
    out = execution.empty((count, channels, *tile), torch.float32, x.device)
    bounds = torch.full((count, channels, 2), torch.nan) if source_range is None else source_range.float()
    windows = np.stack([corner.numpy() + begin, np.broadcast_to(frame, corner.shape), begin, length], 1)
    affine = sampling_affine(x, inverse(x, matrix)).float()
    rows = torch.arange(count) if rows is None else rows
    image_loops.transform_tiles(x, rows, out, affine, windows, bounds, slots)
    return out
