"""Dilation of hard masks in 2-D and 3-D, by two engines. Pixels outside the image are ignored.

`BitGrid` knows the two built-in footprints, and is fast: a step is a few ORs of shifted bytes, for eight samples at
once. It works on tensors, and on arrays, with which NumPy takes a third of torch's time. `dilate_pool` takes any
symmetric footprint and is kornia's max pooling.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from softcp_gpu.functional.execution import as_bytes

LANES = 8  # samples that share a byte
Bits = Any  # a tensor or an array


def library(bits: Bits) -> ModuleType:
    """Whose functions take these bits: what is called here has the same name and meaning in both."""
    return np if isinstance(bits, np.ndarray) else torch


def pack_samples(flags: Bits) -> Bits:
    """(B, ...) bool as (groups, ...) bytes: sample i is bit i % 8 of group i // 8."""
    flags, lib = flags.view(np.uint8) if isinstance(flags, np.ndarray) else as_bytes(flags), library(flags)
    bits = lib.bitwise_or(flags[::LANES], 0)
    for lane in range(1, min(LANES, len(flags))):
        part = flags[lane::LANES]
        here = bits[: len(part)]
        lib.bitwise_or(here, part * (1 << lane), out=here)  # NumPy shifts to the left in ten times that
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

    def __init__(self, bits: Bits, steps: int, footprint: str) -> None:
        self.shape, self.footprint, self._lib = bits.shape, footprint, library(bits)
        self.lengths = [length + steps for length in bits.shape[1:]]
        strides = [math.prod(self.lengths[axis + 1 :]) for axis in range(len(self.lengths))]
        edge = strides[0]
        size = bits.shape[0] * math.prod(self.lengths) + 2 * edge
        flat = np.zeros(size, np.uint8) if self._lib is np else bits.new_zeros(size)
        other = self._lib.empty_like(flat)
        other[:edge] = 0
        other[-edge:] = 0
        self.now, self._next = _Buffer.of(flat, strides), _Buffer.of(other, strides)
        self.pixels(self.now.body)[:] = bits

    def pixels(self, body: Bits) -> Bits:
        """The pixels of a body, without the zeros between them: a view (groups, *spatial)."""
        return body.reshape(self.shape[0], *self.lengths)[(slice(None), *(slice(n) for n in self.shape[1:]))]

    def full_samples(self) -> Bits:
        """(8 * groups,) bool: the samples whose every pixel is set."""
        bits = self.pixels(self.now.body)
        for axis in range(1, bits.ndim - 1):  # down to one line, which is cheap to unpack
            before = (slice(None),) * axis
            while (length := bits.shape[axis]) > 1:  # the halves may overlap: a bit that counts twice is the same bit
                rest = length - length // 2
                bits = bits[(*before, slice(rest))] & bits[(*before, slice(length - rest, None))]
        where = {} if self._lib is np else {"device": bits.device}
        lane = self._lib.arange(LANES, dtype=self._lib.uint8, **where)[:, None]
        empty = (~bits.reshape(len(bits), 1, -1) >> lane) & 1
        return ~(empty != 0).any(2).flatten()

    def keep(self, chosen: Bits, before: Bits) -> None:
        """Takes the last step back in all samples but the (B,) chosen; `before` is the body as it was."""
        per_group = (self.shape[0], math.prod(self.lengths))
        now = self.now.body.reshape(per_group)
        self._lib.bitwise_and(now, pack_samples(chosen)[:, None], out=now)
        self._lib.bitwise_or(now, before.reshape(per_group), out=now)

    def grow(self) -> None:
        """One dilation step."""
        join, now, grown = self._lib.bitwise_or, self.now, self._next
        if self.footprint == "cross":
            grown.body[:] = now.body
            for lower, upper in now.neighbours:
                join(grown.body, lower, out=grown.body)
                join(grown.body, upper, out=grown.body)
            self.now, self._next = grown, now
            return
        for axis in range(len(self.lengths)):
            join(*now.neighbours[axis], out=grown.body)
            join(grown.body, now.body, out=grown.body)
            now, grown = grown, now
        self.now, self._next = now, grown


class _Buffer(NamedTuple):
    """Bytes of all groups, with zeros before the first and after the last for the longest shift."""

    body: Bits
    neighbours: list[tuple[Bits, Bits]]  # per axis, the body shifted by one pixel down and up

    @classmethod
    def of(cls, flat: Bits, strides: list[int]) -> _Buffer:
        edge = strides[0]
        end = len(flat) - edge
        shifted = [(flat[edge - by : end - by], flat[edge + by : end + by]) for by in strides]
        return cls(flat[edge:end], shifted)


def transpose_bits(digits: list[Bits]) -> list[Bits]:
    """Numbers of each lane from their binary digits.

    Args:
        digits: up to eight tensors or arrays of bytes; bit i of the d-th holds digit d of lane i.

    Returns:
        LANES of them, the numbers.
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


def _exchange(pair: list[Bits], width: int, mask: int) -> tuple[Bits, Bits]:
    """The numbers in the even places of both parts, then those in the odd places, each pair one number of 2 * width."""
    lib = library(pair[0])
    low, high = pair if len(pair) == 2 else (pair[0], lib.zeros_like(pair[0]))
    differ = low >> width
    lib.bitwise_xor(differ, high, out=differ)
    lib.bitwise_and(differ, mask, out=differ)
    return low ^ (differ * (1 << width)), high ^ differ


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
