"""Resampling that turns nothing, as after a crop: each axis by itself, line by line, where values may be read."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import torch
from torch import Tensor

# torch gathers no unsigned integers but bytes; the same bits under another name will do.
GATHERED = MappingProxyType({torch.uint16: torch.int16, torch.uint32: torch.int32, torch.uint64: torch.int64})


def sample_nearest(x: Tensor, lines: Sequence[Tensor]) -> Tensor:
    """Picks whole lines; 0 outside the frame.

    Args:
        x: (1, C, *spatial), any real dtype.
        lines: n float tensors (1, length): from where along each axis the pixels of the result come.

    Returns:
        (1, C, *lengths), the dtype of `x`.
    """
    if x.dtype in GATHERED:
        return sample_nearest(x.view(GATHERED[x.dtype]), lines).view(x.dtype)
    for axis, line in enumerate(lines, 2):
        place, last = line[0].round().to(torch.int64), x.shape[axis] - 1
        kept = place.clamp(0, last)
        x = x.index_select(axis, kept)
        if not torch.equal(place, kept):
            x = x.masked_fill((place != kept).view(-1, *(1,) * (x.ndim - 1 - axis)), 0)
    return x


def sample_linear(x: Tensor, lines: Sequence[Tensor]) -> Tensor:
    """Between two lines; outside its frame an image repeats its border.

    Args:
        x: (1, C, *spatial) float32 or float64.
        lines: n tensors (1, length) of that dtype, in the coordinates of `torch.nn.functional.grid_sample`.

    Returns:
        (1, C, *lengths); gradients flow to `x`.
    """
    for axis, line in enumerate(lines, 2):
        last = x.shape[axis] - 1
        place = ((line[0] + 1) * (x.shape[axis] / 2) - 0.5).clamp_(0, last)  # in the steps of grid_sample
        before = place.floor()
        first = before.to(torch.int64)
        weight = (place - before).view(-1, *(1,) * (x.ndim - 1 - axis))
        x = torch.lerp(_picked(x, axis, first), _picked(x, axis, (first + 1).clamp_(max=last)), weight)
    return x


def _picked(x: Tensor, axis: int, lines: Tensor) -> Tensor:
    """Some lines; along the last axis a gather takes a third of the time."""
    if axis < x.ndim - 1:
        return x.index_select(axis, lines)
    return x.gather(axis, lines.expand(*x.shape[:-1], -1))
