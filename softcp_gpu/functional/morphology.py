"""Dilation of hard masks in 2-D and 3-D, by two engines. Pixels outside the image are ignored.

`BitGrid` knows the two built-in footprints, and is fast: a step is a few ORs of shifted bytes, for eight samples at
once. `dilate_pool` takes any symmetric footprint and is kornia's max pooling.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from softcp_gpu.functional.execution import as_bytes

LANES = 8  # samples that share a byte


def pack_samples(flags: Tensor) -> Tensor:
    """(B, ...) bool as (groups, ...) bytes: sample i is bit i % 8 of group i // 8."""
    flags = as_bytes(flags)
    bits = flags[::LANES].clone()
    for lane in range(1, min(LANES, len(flags))):
        part = flags[lane::LANES]
        bits[: len(part)].add_(part, alpha=1 << lane)
    return bits


class BitGrid:
    """Packed masks in one flat buffer that grow step by step.

    Behind each line, slice and group lie as many zeros as there are steps to come. So a neighbour along any axis is a
    shift of the whole buffer, and what a shift carries over an edge never reaches another line in time.

    Args:
        bits: (groups, *spatial) bytes, as `pack_samples` returns them.
        steps: how often it may grow.
        footprint: "full" (3^n: chessboard steps) or "cross" (a pixel and its 2n neighbours: city block steps).
    """

    def __init__(self, bits: Tensor, steps: int, footprint: str) -> None:
        self.shape, self.footprint = bits.shape, footprint
        self.lengths = [length + steps for length in bits.shape[1:]]
        strides = [math.prod(self.lengths[axis + 1 :]) for axis in range(len(self.lengths))]
        edge = strides[0]
        flat = bits.new_zeros(bits.shape[0] * math.prod(self.lengths) + 2 * edge)
        other = torch.empty_like(flat)
        other[:edge] = 0
        other[-edge:] = 0
        self.now, self._next = _Buffer.of(flat, strides), _Buffer.of(other, strides)
        self.pixels(self.now.body).copy_(bits)

    def pixels(self, body: Tensor) -> Tensor:
        """The pixels of a body, without the zeros between them: a view (groups, *spatial)."""
        view = body.view(self.shape[0], *self.lengths)
        for axis, length in enumerate(self.shape[1:], 1):
            view = view.narrow(axis, 0, length)
        return view

    def full_samples(self) -> Tensor:
        """(8 * groups,) bool: the samples whose every pixel is set."""
        bits = self.pixels(self.now.body)
        for axis in range(1, bits.ndim - 1):  # down to one line, which is cheap to unpack
            while (length := bits.shape[axis]) > 1:  # the halves may overlap: a bit that counts twice is the same bit
                rest = length - length // 2
                bits = bits.narrow(axis, 0, rest) & bits.narrow(axis, length - rest, rest)
        lane = torch.arange(LANES, dtype=torch.uint8, device=bits.device)[:, None]
        return ~((~bits.flatten(1)[:, None] >> lane) & 1).bool().any(2).flatten()

    def keep(self, chosen: Tensor, before: Tensor) -> None:
        """Takes the last step back in all samples but the (B,) chosen; `before` is the body as it was."""
        per_group = (self.shape[0], math.prod(self.lengths))
        now = self.now.body.view(per_group)
        now.bitwise_and_(pack_samples(chosen)[:, None]).bitwise_or_(before.view(per_group))

    def grow(self) -> None:
        """One dilation step."""
        if self.footprint == "cross":
            self._next.body.copy_(self.now.body)
            for lower, upper in self.now.neighbours:
                self._next.body.bitwise_or_(lower).bitwise_or_(upper)
            self.now, self._next = self._next, self.now
            return
        for axis in range(len(self.lengths)):
            torch.bitwise_or(*self.now.neighbours[axis], out=self._next.body)
            self._next.body.bitwise_or_(self.now.body)
            self.now, self._next = self._next, self.now


class _Buffer(NamedTuple):
    """Bytes of all groups, with zeros before the first and after the last for the longest shift."""

    body: Tensor
    neighbours: list[tuple[Tensor, Tensor]]  # per axis, the body shifted by one pixel down and up

    @classmethod
    def of(cls, flat: Tensor, strides: list[int]) -> _Buffer:
        edge = strides[0]
        body = len(flat) - 2 * edge
        shifted = [(flat.narrow(0, edge - by, body), flat.narrow(0, edge + by, body)) for by in strides]
        return cls(flat.narrow(0, edge, body), shifted)


def transpose_bits(digits: list[Tensor]) -> list[Tensor]:
    """Numbers of each lane from their binary digits.

    Args:
        digits: up to eight byte tensors; bit i of the d-th holds digit d of lane i.

    Returns:
        LANES byte tensors, the numbers.
    """
    width = 1  # of the numbers that lie side by side in a byte
    fields = [digits]  # of the lanes r, r + len(fields), ...: the parts of their numbers, lowest digits first
    while len(fields[0]) > 1:
        mask = {1: 0x55, 2: 0x33, 4: 0x0F}[width]
        pairs = [_exchange(field[i : i + 2], width, mask) for field in fields for i in range(0, len(field), 2)]
        half = len(pairs) // len(fields)
        low = [[pair[0] for pair in pairs[i : i + half]] for i in range(0, len(pairs), half)]
        high = [[pair[1] for pair in pairs[i : i + half]] for i in range(0, len(pairs), half)]
        fields, width = low + high, 2 * width
    numbers = [field[0] for field in fields]
    for shift in range(width, LANES, width):
        numbers += [field[0] >> shift for field in fields]
    last = (1 << width) - 1
    return [number & last for number in numbers[:-width]] + numbers[-width:]  # nothing lies above the last ones


def _exchange(pair: list[Tensor], width: int, mask: int) -> tuple[Tensor, Tensor]:
    """The numbers in the even places of both parts, then those in the odd places, each pair one number of 2 * width."""
    low, high = pair if len(pair) == 2 else (pair[0], torch.zeros_like(pair[0]))
    differ = (low >> width).bitwise_xor_(high).bitwise_and_(mask)
    return low ^ (differ << width), high ^ differ


def dilate_pool(x: Tensor, footprint: Tensor) -> Tensor:
    """One dilation step by max pooling over the footprint.

    A 3-D footprint is taken plane by plane: each plane dilates all slices at once, then acts on a shifted depth.

    Args:
        x: (B, 1, *spatial) floating, 0 or 1.
        footprint: n odd lengths, symmetric, 0 or 1.

    Returns:
        (B, 1, *spatial), as `x`.
    """
    from kornia import morphology  # a long import, for a footprint that few ask for

    if x.ndim == 4:
        return morphology.dilation(x, footprint.to(x), border_type="geodesic")
    depth, reach = x.shape[2], footprint.shape[0] // 2
    out = torch.zeros_like(x)
    slices = x.transpose(1, 2).flatten(0, 1)
    for plane in range(footprint.shape[0]):
        shift = plane - reach
        if abs(shift) >= depth or not bool(footprint[plane].any()):
            continue
        flat = morphology.dilation(slices, footprint[plane].to(x), border_type="geodesic")
        flat = flat.unflatten(0, (x.shape[0], depth)).transpose(1, 2)
        here = out.narrow(2, max(shift, 0), depth - abs(shift))
        here.copy_(torch.maximum(here, flat.narrow(2, max(-shift, 0), depth - abs(shift))))
    return out
