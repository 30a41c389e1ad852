"""Dilation and erosion of hard masks in 2-D and 3-D.

Two engines: kornia's max / min pooling, for any symmetric footprint, and shifted OR on uint8, for the two built-in
footprints. Pixels outside the image are ignored by both operations: an image border never erodes a lesion.
"""

from __future__ import annotations

from collections.abc import Callable

import kornia.morphology as km
import torch
from torch import Tensor


def stepper(footprint: str | Tensor) -> tuple[torch.dtype, Callable[[Tensor], Tensor]]:
    """The engine for a footprint: the dtype that it works on, and one dilation step.

    Args:
        footprint: "full" (3^n ones: chessboard steps), "cross" (3^n, the centre and its 2n neighbours: city block
            steps), or a symmetric tensor of 0 and 1 with odd lengths.
    """
    if isinstance(footprint, Tensor):
        return torch.float32, lambda x: dilate_pool(x, footprint)
    return torch.uint8, lambda x: dilate_once(x, footprint)


def dilate_once(x: Tensor, footprint: str) -> Tensor:
    """One dilation step of a uint8 0/1 mask by OR of shifted copies; "full" is separable, "cross" is not."""
    axes = range(2, x.ndim)
    if footprint == "cross":
        out = x.clone()
        for axis in axes:
            _or_neighbours(out, x, axis)
        return out
    for axis in axes:
        out = x.clone()
        _or_neighbours(out, x, axis)
        x = out
    return x


def _or_neighbours(out: Tensor, x: Tensor, axis: int) -> None:
    length = x.shape[axis] - 1
    out.narrow(axis, 1, length).bitwise_or_(x.narrow(axis, 0, length))
    out.narrow(axis, 0, length).bitwise_or_(x.narrow(axis, 1, length))


def dilate_pool(x: Tensor, footprint: Tensor) -> Tensor:
    """One dilation step by max pooling over the footprint (kornia).

    A 3-D footprint is taken plane by plane: each plane dilates all slices at once, then acts on a shifted depth.

    Args:
        x: (B, 1, *spatial) floating, 0 or 1.
        footprint: n odd lengths, symmetric, 0 or 1.

    Returns:
        (B, 1, *spatial), as `x`.
    """
    if x.ndim == 4:
        return km.dilation(x, footprint.to(x), border_type="geodesic")
    depth, reach = x.shape[2], footprint.shape[0] // 2
    out = torch.zeros_like(x)
    slices = x.transpose(1, 2).flatten(0, 1)
    for plane in range(footprint.shape[0]):
        shift = plane - reach
        if abs(shift) >= depth or not bool(footprint[plane].any()):
            continue
        flat = km.dilation(slices, footprint[plane].to(x), border_type="geodesic")
        flat = flat.unflatten(0, (x.shape[0], depth)).transpose(1, 2)
        here = out.narrow(2, max(shift, 0), depth - abs(shift))
        here.copy_(torch.maximum(here, flat.narrow(2, max(-shift, 0), depth - abs(shift))))
    return out
