"""Dilation of hard masks in 2-D and 3-D, by two engines. Pixels outside the image are ignored.

`ByteGrid` knows the two built-in footprints, and is fast: a step is a few ORs of shifted bytes. `dilate_pool` takes any
symmetric footprint and is kornia's max pooling.
"""

from __future__ import annotations

import math

import kornia.morphology as km
import torch
from torch import Tensor


class ByteGrid:
    """0/1 masks in one flat buffer that grow step by step.

    Behind each line, slice and sample lie as many zeros as there are steps to come. So a neighbour along any axis is a
    shift of the whole buffer, and what a shift carries over an edge never reaches another line in time.

    Args:
        mask: (B, 1, *spatial) bool or uint8, 0/1.
        steps: how often it may grow.
        footprint: "full" (3^n: chessboard steps) or "cross" (a pixel and its 2n neighbours: city block steps).
    """

    def __init__(self, mask: Tensor, steps: int, footprint: str) -> None:
        self.shape, self.full = mask.shape, footprint == "full"
        self.lengths = [length + steps for length in mask.shape[2:]]
        self.strides = [math.prod(self.lengths[axis + 1 :]) for axis in range(len(self.lengths))]
        self.edge = self.strides[0]  # zeros before the first and after the last sample, for the longest shift
        self.body = mask.shape[0] * math.prod(self.lengths)
        self.now = torch.zeros(self.body + 2 * self.edge, dtype=torch.uint8, device=mask.device)
        self.next = torch.empty_like(self.now)
        self.next[: self.edge] = 0
        self.next[self.edge + self.body :] = 0
        self.pixels(self.now).copy_(mask)

    def pixels(self, buffer: Tensor) -> Tensor:
        """The pixels in a buffer, without the zeros around them: a view (B, 1, *spatial)."""
        view = buffer.narrow(0, self.edge, self.body).view(self.shape[0], 1, *self.lengths)
        for axis, length in enumerate(self.shape[2:], 2):
            view = view.narrow(axis, 0, length)
        return view

    def samples(self) -> Tensor:
        """All bytes of the samples, the zeros among them: a view (B, bytes)."""
        return self._moved(0).view(self.shape[0], math.prod(self.lengths))

    def grow(self) -> None:
        """One dilation step."""
        if self.full:
            for stride in self.strides:
                torch.bitwise_or(self._moved(-stride), self._moved(stride), out=self._target())
                self._target().bitwise_or_(self._moved(0))
                self.now, self.next = self.next, self.now
            return
        self._target().copy_(self._moved(0))
        for stride in self.strides:
            self._target().bitwise_or_(self._moved(-stride)).bitwise_or_(self._moved(stride))
        self.now, self.next = self.next, self.now

    def _moved(self, by: int) -> Tensor:
        return self.now.narrow(0, self.edge + by, self.body)

    def _target(self) -> Tensor:
        return self.next.narrow(0, self.edge, self.body)


def dilate_pool(x: Tensor, footprint: Tensor) -> Tensor:
    """One dilation step by max pooling over the footprint.

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
