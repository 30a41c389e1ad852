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
from softcp_gpu.loops import image_loops
from softcp_gpu.loops.image_loops import Slots
from softcp_gpu.types import ImageParams, IntensityParams


def works(x: Tensor, *params: Tensor) -> bool:
    """Whether the functions of this file do it: labels and images of up to 32 bits."""
    known = not x.is_complex() and x.dtype != torch.float64 and execution.may_read_values(x) and x.numel() > 0
    return known and not execution.asks_for_gradients(x, *params) and loops.run_on(x, *params)


def all_finite(image: Tensor) -> bool:
    """Whether no value of a float32 image is NaN or infinite, where `works`; False also where that is not known."""
    return image.dtype == torch.float32 and image.is_contiguous() and works(image) and image_loops.all_finite(image)


def slots_of(params: IntensityParams, radius: int, seed: Tensor, stream: int) -> Slots:
    """The draws as loops read them."""
    values = np.stack([draw.detach() for draw in params], 2, dtype=np.float32)  # gamma, noise and blur
    reach = np.arange(-radius, radius + 1) / values[..., 2:].clip(1e-3).astype(np.float64)
    weight = np.exp(-0.5 * reach**2)  # as `gaussian_kernel`, but torch would wake its threads for it
    kernels = (weight / weight.sum(2, keepdims=True)).astype(np.float32)
    keys = field_keys(seed[:, None], stream + torch.arange(values.shape[1]))
    return Slots(values, kernels, keys.numpy().view("uint32"))


def transform_image(image: Tensor, params: ImageParams, slots: Slots | None, *, over: bool) -> Tensor:
    """`transforms.transform_image`, if a sample asks for it.

    Args:
        image: (B, C, *spatial).
        params: the draws; of these, the crop.
        slots: those of the intensities, or None.
        over: as there.
    """
    x = image.contiguous().to(torch.float32)
    out = x if over or x is not image else execution.empty(x.shape, x.dtype, x.device)
    if slots is None:
        values, kernels = (np.empty((len(x), 0, length), np.float32) for length in (3, 1))
        slots = Slots(values, kernels, np.empty((len(x), 0, 2), np.uint32))
    places = []
    for place, length in zip(_crop_lines(params, x.shape[2:]), x.shape[2:], strict=True):
        place = place.clip(0, length - 1)
        first = np.floor(place).clip(0, max(length - 2, 0))
        places.append((first.astype(np.int32), (place - first).astype(np.float32)))
    image_loops.transform_images(x, out, crops_of(params), places, slots)
    return out.to(image.dtype)


def crops_of(params: ImageParams) -> np.ndarray:
    """Whether a crop was drawn, (B,) bool."""
    return (params.crop_size.detach().numpy() != 1).any(1)


def crop_labels(labels: Tensor, params: ImageParams) -> Tensor:
    """`transforms.crop_and_resize` of labels."""
    x = labels.contiguous()
    out = execution.empty(x.shape, x.dtype, x.device)
    places = []
    for line, length in zip(_crop_lines(params, x.shape[2:]), x.shape[2:], strict=True):
        place = np.rint(line).astype(np.int32)
        places.append(np.where((place >= 0) & (place < length), place, -1))
    image_loops.crop_labels(x, out, crops_of(params), places)
    return out


def _crop_lines(params: ImageParams, shape: Sequence[int]) -> list[np.ndarray]:
    """`geometry.crop_lines` in pixels: where each line along each axis comes from, (B, length) float64."""
    crop = np.stack([params.crop_size.detach(), params.crop_start.detach()], dtype=np.float64)
    sizes, starts = np.nan_to_num(crop)
    first = starts * (1 - sizes) * shape + 0.5 * sizes - 0.5
    return [first[:, a, None] + sizes[:, a, None] * np.arange(length) for a, length in enumerate(shape)]


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
