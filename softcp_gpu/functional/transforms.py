"""The two transforms of the paper's section 3.3 with their draws already made: of a whole image, and of a lesion."""

from __future__ import annotations

import torch
from torch import Tensor

from softcp_gpu.functional.execution import where_active
from softcp_gpu.functional.geometry import about, compose, crop_matrix, rigid_matrix, warp
from softcp_gpu.functional.intensity import apply_intensity, value_range
from softcp_gpu.functional.windows import bounding_box
from softcp_gpu.types import ImageParams, IntensityParams, ObjectParams, RigidParams


def object_matrix(rigid: RigidParams, center_px: Tensor) -> Tensor:
    """Both rigid operations of each sample as one motion about its lesion's centre, (B, n + 1, n + 1) float64."""
    first, second = (
        rigid_matrix(*(field[:, slot].double() for field in (rigid.flip, rigid.angle_deg, rigid.scale, rigid.shift_px)))
        for slot in (0, 1)
    )
    return about(center_px.double(), compose(first, second))


def transform_intensity(
    image: Tensor, whole: Tensor, params: IntensityParams, radius: int, seed: Tensor, stream: int, index: Tensor
) -> Tensor:
    """Gamma, noise and blur of `image`, in the unit of the value range of `whole`, (B, C, *spatial) each."""
    needs_range = ((params.gamma != 1) | (params.noise_sigma > 0)).any(1)
    frame_axes = tuple(range(2, whole.ndim))
    blank = whole.new_zeros((2, *whole.shape[:2], *(1,) * len(frame_axes)))
    bounds = where_active(needs_range, blank.transpose(0, 1), lambda x, rows: torch.stack(value_range(rows(whole)), 1))
    return apply_intensity(image, params, (bounds[:, 0], bounds[:, 1]), radius, seed, stream, index)


def transform_image(
    image: Tensor, masks: tuple[Tensor, ...], params: ImageParams, radius: int, seed: Tensor, stream: int
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Crops and resizes back an image with its masks, then transforms its intensities.

    Args:
        image: (B, C, *spatial) floating.
        masks: (B, 1, *spatial) each. Floating ones (soft masks) are resampled linearly, others to the nearest.
        params: the draws.
        radius: of the blur's kernel, pixels.
        seed, stream: of the noise field.

    Returns:
        The image and the masks, shapes and dtypes as they came.
    """
    shape = tuple(image.shape[2:])
    cropped = (params.crop_size != 1).any(1)
    matrix = crop_matrix(params.crop_size.double(), params.crop_start.double(), shape)

    def resample(x: Tensor) -> Tensor:
        if x.is_floating_point():
            return where_active(cropped, x, lambda t, rows: warp(t, rows(matrix), "linear"))
        return where_active(cropped, x, lambda t, rows: warp(t.to(torch.float32), rows(matrix), "nearest").to(t.dtype))

    image, masks = resample(image), tuple(resample(mask) for mask in masks)
    return transform_intensity(image, image, params.intensity, radius, seed, stream, frame_index(image)), masks


def transform_object(
    image: Tensor, labels: Tensor, params: ObjectParams, radius: int, seed: Tensor, stream: int
) -> tuple[Tensor, Tensor]:
    """Transforms each image about the centre of its own lesion, without moving it to another place.

    Args:
        image: (B, C, *spatial) floating.
        labels: (B, 1, *spatial), not 0 where the lesion is; nothing there turns about the first pixel.
        params: the draws.
        radius: of the blur's kernel, pixels.
        seed, stream: of the noise fields.

    Returns:
        Image and labels, shapes and dtypes as they came.
    """
    start, extent, _ = bounding_box(labels != 0)
    matrix = object_matrix(params.rigid, start + (extent.double() - 1) / 2)
    warped = warp(image, matrix, "linear")
    moved = warp(labels.to(torch.float32), matrix, "nearest").to(labels.dtype)
    return transform_intensity(warped, image, params.intensity, radius, seed, stream, frame_index(image)), moved


def frame_index(image: Tensor) -> Tensor:
    """The linear index of every pixel, (B, *spatial) int64."""
    shape = image.shape[2:]
    return torch.arange(shape.numel(), device=image.device).view(1, *shape).expand(image.shape[0], *shape)
