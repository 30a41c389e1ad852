"""Whole images and lesions' tiles transformed by `loops`, where they run and no gradient is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from softcp_gpu import loops
from softcp_gpu.functional import execution
from softcp_gpu.functional.geometry import inverse, sampling_affine
from softcp_gpu.loops import image_loops
from softcp_gpu.loops.image_loops import Crops, Slots, numbers_of
from softcp_gpu.types import ImageParams, IntensityParams


def works(x: Tensor, *params: Tensor) -> bool:
    """Whether the functions of this file do it: labels and images of up to 32 bits."""
    return not x.is_complex() and x.dtype != torch.float64 and runs_on(x, *params)


def runs_on(x: Tensor, *params: Tensor) -> bool:
    """Whether loops may do it, on labels and images of any kind."""
    known = execution.may_read_values(x) and x.numel() > 0
    return known and not execution.asks_for_gradients(x, *params) and loops.run_on(x, *params)


def all_finite(image: Tensor) -> bool:
    """Whether no value of a float32 image is NaN or infinite, where `works`; False also where that is not known."""
    return image.dtype == torch.float32 and image.is_contiguous() and works(image) and image_loops.all_finite(image)


def slots_of(params: IntensityParams, radius: int, seed: Tensor, stream: int) -> Slots:
    """The draws as loops read them."""
    gamma, noise, blur = (numbers_of(draw, np.float32) for draw in params)
    return Slots(gamma, noise, blur, radius, numbers_of(seed, np.int64), stream)


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
        none = np.empty((len(x), 0), np.float32)
        slots = Slots(none, none, none, 0, np.zeros(len(x), np.int64), 0)
    image_loops.transform_images(x, out, _crops_of(params), slots)
    return out.to(image.dtype)


def crops(params: ImageParams) -> bool:
    """Whether any crop was drawn."""
    return bool((params.crop_size.detach().numpy() != 1).any())


def crop_labels(labels: Tensor, params: ImageParams) -> Tensor:
    """`transforms.crop_and_resize` of labels."""
    x = labels.contiguous()
    out = execution.empty(x.shape, x.dtype, x.device)
    image_loops.crop_labels(x, out, _crops_of(params))
    return out


def _crops_of(params: ImageParams) -> Crops:
    """The draws as loops read them."""
    return Crops(numbers_of(params.crop_size, np.float32), numbers_of(params.crop_start, np.float32))


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
