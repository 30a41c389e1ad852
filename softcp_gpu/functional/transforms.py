"""The two transforms of the paper's section 3.3 with their draws already made: of a whole image, and of a lesion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from softcp_gpu.functional import fused_image, lines, looped
from softcp_gpu.functional.execution import Rows, asks_for_gradients, may_read_values, where_active, work_dtype
from softcp_gpu.functional.geometry import about, compose, crop_lines, crop_matrix, rigid_matrix, scaling, warp
from softcp_gpu.functional.intensity import apply_intensity, is_active, value_range
from softcp_gpu.functional.windows import bounding_box
from softcp_gpu.types import ImageParams, IntensityParams, ObjectParams, RigidParams, map_params


def object_matrix(
    rigid: RigidParams, center_px: Tensor, source_mm: Tensor | None = None, mm: Tensor | None = None
) -> Tensor:
    """Both rigid operations of each sample as one motion about its lesion's centre.

    Args:
        rigid: the draws.
        center_px: (B, n), in the source.
        source_mm, mm: (B, n), the spacing of the source and that of the result. The motion is then one of the body,
            and the lesion keeps its size in it; a shift counts pixels of the result.

    Returns:
        (B, n + 1, n + 1) float64, from pixels of the source to pixels of the result.
    """
    unit = torch.ones_like(center_px, dtype=torch.float64) if mm is None else mm
    source_unit = unit if source_mm is None else source_mm
    shift = rigid.shift_px.double() * unit[:, None]
    drawn = (rigid.flip.double(), rigid.angle_deg.double(), rigid.scale.double(), shift)
    first, second = (rigid_matrix(*(field[:, slot] for field in drawn)) for slot in (0, 1))
    motion = about(center_px.double() * source_unit, compose(first, second))
    return motion if mm is None else compose(scaling(source_unit), motion, scaling(1 / unit))


def transform_intensity(
    image: Tensor, whole: Tensor, params: IntensityParams, radius: int, seed: Tensor, stream: int, index: Tensor
) -> Tensor:
    """Gamma, noise and blur of `image`, in the unit of the value range of `whole`, (B, C, *spatial) each."""
    return apply_intensity(image, params, range_in_use(whole, params), radius, seed, stream, index)


def range_in_use(whole: Tensor, params: IntensityParams, source_rows: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Least and largest value of each channel, (B, C, 1, ...) each; 0 where no draw asks for them.

    Args:
        whole: (B, C, *spatial); with source_rows (N, C, *spatial).
        params: the draws.
        source_rows: (B,) int64, where values may be read: the frame of each sample; None: its own.
    """
    needs_range = ((params.gamma != 1) | (params.noise_sigma > 0)).any(1)
    blank = whole.new_zeros((len(needs_range), 2, whole.shape[1], *(1,) * (whole.ndim - 2)))

    def bounds_of(x: Tensor, rows: Rows) -> Tensor:
        if source_rows is None:
            return torch.stack(value_range(rows(whole)), 1)
        row = int(rows(source_rows))
        return torch.stack(value_range(whole[row : row + 1]), 1)

    bounds = where_active(needs_range, blank, bounds_of)
    return bounds[:, 0], bounds[:, 1]


def crop_and_resize(
    x: Tensor, params: ImageParams, mode: Literal["linear", "nearest"], *, over: bool = False
) -> Tensor:
    """Crops and resizes back, where a crop was drawn; the others stay bit for bit.

    Args:
        x: (B, C, *spatial), any dtype.
        params: the draws.
        mode: "linear" for images and soft masks, "nearest" for labels.
        over: `x` is not needed any more, so the result may lie in its memory.

    Returns:
        As `x`.
    """
    if fused_image.resizes(x, params) and (mode == "nearest" or x.dtype in (torch.float32, torch.float64)):
        return fused_image.crop_and_resize(x, params, mode)

    if looped.works(x, params.crop_size, params.crop_start) and (mode == "linear") == x.is_floating_point():
        if not looped.crops(params):
            return x
        if mode == "nearest":
            return looped.crop_labels(x, params)
        return looped.transform_image(x, params, None, over=over)
    return _crops(x, params, mode)(x, lambda t: t, over)


def _crop_matrix(params: ImageParams, x: Tensor) -> Tensor:
    return crop_matrix(params.crop_size.double(), params.crop_start.double(), tuple(x.shape[2:]))


def _crops(
    x: Tensor, params: ImageParams, mode: Literal["linear", "nearest"]
) -> Callable[[Tensor, Rows, bool], Tensor]:
    """What crops and resizes the samples of `x` that `rows` picks, without `fused_image`."""
    active, matrix = (params.crop_size != 1).any(1), _crop_matrix(params, x)
    along: list[Tensor] = []
    by_lines = may_read_values(x) and not asks_for_gradients(matrix)
    if by_lines:  # of all samples together, so that what calling an operation costs is shared
        along = crop_lines(x, matrix, work_dtype(x) if mode == "linear" else None)
    sample = lines.sample_linear if mode == "linear" else lines.sample_nearest

    def crop(t: Tensor, rows: Rows) -> Tensor:
        return sample(t, [rows(line) for line in along]) if by_lines else warp(t, rows(matrix), mode)

    def crops(t: Tensor, rows: Rows, over: bool) -> Tensor:
        return where_active(rows(active), t, lambda one, row: crop(one, lambda x: row(rows(x))), over=over)

    return crops


def transform_image(
    image: Tensor, params: ImageParams, radius: int, seed: Tensor, stream: int, *, over: bool = False
) -> Tensor:
    """Crops and resizes back an image, then transforms its intensities.

    Args:
        image: (B, C, *spatial) floating; half precision is computed in float32.
        params: the draws.
        radius: of the blur's kernel, pixels.
        seed, stream: of the noise field.
        over: `image` is not needed any more, so the result may lie in its memory.

    Returns:
        As `image`.
    """
    if fused_image.resizes(image, params):
        return fused_image.transform_image(image.to(work_dtype(image)), params, radius, seed, stream).to(image.dtype)

    if looped.works(image, params.crop_size, params.crop_start, *params.intensity):
        if not looped.crops(params) and not bool(is_active(params.intensity).any()):
            return image
        slots = looped.slots_of(params.intensity, radius, seed, stream)
        return looped.transform_image(image, params, slots, over=over)
    crops, index = _crops(image, params, "linear"), frame_index(image)

    def transformed(t: Tensor, rows: Rows) -> Tensor:
        x = crops(t.to(work_dtype(t)), rows, False)
        draws = map_params(params.intensity, rows)
        return transform_intensity(x, x, draws, radius, rows(seed), stream, rows(index)).to(t.dtype)

    if not may_read_values(image):
        return transformed(image, lambda t: t)
    # All that is done to a sample while it is in the cache.
    active = (params.crop_size != 1).any(1) | is_active(params.intensity)
    return where_active(active, image, transformed, over=over)


def transform_object(
    image: Tensor, labels: Tensor, params: ObjectParams, radius: int, seed: Tensor, stream: int
) -> tuple[Tensor, Tensor]:
    """Transforms each image about the centre of its own lesion, without moving it to another place.

    Args:
        image: (B, C, *spatial) floating; half precision is computed in float32.
        labels: (B, 1, *spatial), not 0 where the lesion is; nothing there turns about the first pixel.
        params: the draws.
        radius: of the blur's kernel, pixels.
        seed, stream: of the noise fields.

    Returns:
        Image and labels, shapes and dtypes as they came.
    """
    start, extent, _ = bounding_box(labels != 0)
    matrix = object_matrix(params.rigid, start + (extent.double() - 1) / 2)
    x = image.to(work_dtype(image))
    moved = transform_intensity(
        warp(x, matrix, "linear"), x, params.intensity, radius, seed, stream, frame_index(image)
    )
    return moved.to(image.dtype), warp(labels, matrix, "nearest")


def frame_index(image: Tensor) -> Tensor:
    """The linear index of every pixel, (B, *spatial) int32."""
    shape = image.shape[2:]
    line = torch.arange(shape.numel(), dtype=torch.int32, device=image.device)
    return line.view(1, *shape).expand(image.shape[0], *shape)
