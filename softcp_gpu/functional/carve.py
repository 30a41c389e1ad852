"""The region that CarveMix pastes: the lesion, shrunk or grown by a part of its own depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from softcp_gpu.functional.execution import constants

_CHUNK = 1 << 22  # values that are compared at once


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
    outside, inside = _distance(lesion, mm), _distance(~lesion, mm)
    depth = torch.where(lesion, inside, 0).flatten(1).amax(1)
    depth = torch.where(depth.isinf(), 0, depth)
    reach = depth * torch.where(carve_u < 0.5, carve_u - 0.5, 2 * carve_u - 1).to(depth.dtype)
    return torch.where(lesion, -inside, outside) <= reach.view(-1, *(1,) * (lesion.ndim - 1))


def _distance(found: Tensor, mm: Tensor | None) -> Tensor:
    """To the nearest true pixel, (B, 1, *spatial) float32; infinite where there is none.

    Its square is separable: one axis after the other takes the least of all parabolas along it.
    """
    squared = torch.where(found, 0.0, torch.inf)
    step = max(1, _CHUNK // max(1, squared.numel()))
    for axis in range(2, found.ndim):
        place = torch.arange(found.shape[axis], device=found.device)
        gap = (place[:, None] - place)[None].double()
        gap = (gap if mm is None else gap * mm[:, axis - 2, None, None]).square().float()
        gap = gap.view(-1, *(1,) * (found.ndim - 2), *gap.shape[1:])
        lines = squared.movedim(axis, -1).unsqueeze(-2)
        least = [(a + b).amin(-1) for a, b in zip(lines.split(step, -1), gap.split(step, -1), strict=True)]
        squared = reduce(torch.minimum, least).movedim(-1, axis)
    return squared.sqrt()


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
