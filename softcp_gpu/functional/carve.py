"""The region that CarveMix pastes: the lesion, shrunk or grown by a part of its own depth."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, library

from softcp_gpu.functional.execution import constants


def carve(lesion: Tensor, carve_u: Tensor, mm: Tensor | None = None) -> Tensor:
    """The pixels whose signed distance to the lesion's boundary is at most a drawn one.

    The distance is Euclidean, from pixel to pixel: below 0 inside the lesion, above it outside. The one that is drawn
    is, with equal probability, uniform from half of the lesion's depth inside to its boundary, or from there to as far
    outside as the lesion is deep. Depth is the largest distance inside.

    Args:
        lesion: (B, 1, *spatial) bool. Outside the frame there is nothing: its border does not count as a boundary.
        carve_u: (B,) in [0, 1), the draw: below 0.5 shrinks, 0.5 and above grows.
        mm: (B, n), the size of the pixels; None: they are cubes.

    Returns:
        (B, 1, *spatial) bool. It holds a pixel of every lesion; a lesion that fills the frame stays whole.

    References:
        Zhang et al., CarveMix, MICCAI 2021.

    Example:
        >>> lesion = torch.tensor([[[[0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0]]]]) == 1
        >>> [carve(lesion, torch.tensor([u])).int().flatten().tolist() for u in (0.1, 0.9)]
        [[0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0], [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0]]
    """
    signed = _signed_distance(lesion, mm)
    depth = (-signed).flatten(1).amax(1).clamp(min=0)
    depth = torch.where(depth.isinf(), 0, depth)
    reach = depth * torch.where(carve_u < 0.5, carve_u - 0.5, 2 * carve_u - 1).to(depth.dtype)
    return signed <= reach.view(-1, *(1,) * (lesion.ndim - 1))


# One operator, so that it is one node of a compiled graph and not one per pixel of its longest axis.
@library.custom_op("softcp_gpu::signed_distance", mutates_args=(), schema="(Tensor lesion, Tensor? mm) -> Tensor")
def _signed_distance(lesion: Tensor, mm: Tensor | None) -> Tensor:
    """To the nearest pixel on the other side, negative inside, infinite where there is none: (B, 1, *spatial) float32.

    Its square is separable: one axis after the other takes the least of all parabolas along it.
    """
    sides = torch.cat([lesion, ~lesion], 1)
    mm = torch.ones((1, lesion.ndim - 2), device=lesion.device) if mm is None else mm
    place = torch.arange(lesion.shape[-1], dtype=torch.float32, device=lesion.device)
    before = place - torch.where(sides, place, -torch.inf).cummax(-1).values
    after = torch.where(sides, place, torch.inf).flip(-1).cummin(-1).values.flip(-1) - place
    squared = (torch.minimum(before, after) * _column(mm[:, -1], sides)).square()
    for axis in range(2, lesion.ndim - 1):
        place = torch.arange(lesion.shape[axis], device=lesion.device).view(-1, *(1,) * (lesion.ndim - 1 - axis))
        least, here = torch.full_like(squared, torch.inf), torch.empty_like(squared)
        for other in range(lesion.shape[axis]):
            gap = ((place - other) * _column(mm[:, axis - 2], sides)).square()
            torch.add(squared.narrow(axis, other, 1), gap, out=here)
            torch.minimum(least, here, out=least)
        squared = least
    outside, inside = squared.sqrt().split(1, 1)
    return torch.where(lesion, -inside, outside)


@_signed_distance.register_fake
def _(lesion: Tensor, mm: Tensor | None) -> Tensor:
    return lesion.new_empty(lesion.shape, dtype=torch.float32)


def _column(value: Tensor, like: Tensor) -> Tensor:
    """(B,) as (B, 1, 1, ...) float32."""
    return value.float().view(-1, *(1,) * (like.ndim - 1))


def most_depth_px(origin: Tensor, size: Tensor, shape: Sequence[int], mm: Tensor | None) -> list[int]:
    """How many pixels along each axis the deepest lesion of a batch can measure; reads the device.

    Args:
        origin, size: (B, n) int64, the lesions' boxes in the frame.
        shape: n lengths of the frame.
        mm: (B, n), the size of the pixels, or None.
    """
    frame = constants(shape, origin)
    first, end = origin.clamp(min=0), torch.minimum(origin + size, frame)
    # Between two boundaries it is half as deep as long. The frame's border is none.
    sides = (first > 0).int() + (end < frame).int()
    length = torch.where(sides == 2, (end - first + 1) / 2, end - first).double()
    unit = torch.ones_like(length) if mm is None else mm
    depth = torch.where(sides == 0, torch.inf, length * unit).amin(1, keepdim=True)
    return [math.ceil(reach) for reach in torch.where(depth.isinf(), 0, depth / unit).amax(0).tolist()]
