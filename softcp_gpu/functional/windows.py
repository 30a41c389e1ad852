"""Boxes around lesions and rectangular windows that follow them, one position per sample, any number of axes."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from softcp_gpu import kernels
from softcp_gpu.functional import execution
from softcp_gpu.kernels import lesion_operators

_FEW = 1 << 16  # values of a window: of more, two cores copy them faster than one


def bounding_box(mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Smallest box around the true pixels of each sample.

    Args:
        mask: (B, 1, *spatial) bool.

    Returns:
        first pixel (B, n), size in pixels (B, n), both int64 and 0 for an empty sample; and (B,) bool, not empty.
    """
    if kernels.run_on(mask):
        start, extent, count = lesion_operators.box(mask)
        return start, extent, count > 0
    axes = range(2, mask.ndim)
    lines = [_any(mask, tuple(a for a in axes if a != axis)).flatten(1) for axis in axes]
    if execution.is_array(mask):
        return _ends([line.numpy() for line in lines])
    starts, sizes = [], []
    for line in (line.int() for line in lines):
        first = line.argmax(dim=1)
        last = line.shape[1] - 1 - line.flip(1).argmax(dim=1)
        starts.append(first)
        sizes.append(last - first + 1)
    filled = line.amax(dim=1).bool()
    zero = filled[:, None]
    return torch.stack(starts, 1) * zero, torch.stack(sizes, 1) * zero, filled


def _ends(lines: list[np.ndarray]) -> tuple[Tensor, Tensor, Tensor]:
    """`bounding_box` from the (B, length) projections on each axis, as arrays."""
    filled = lines[0].max(1) > 0
    first = np.stack([line.argmax(1) for line in lines], 1) * filled[:, None]
    end = np.stack([line.shape[1] - line[:, ::-1].argmax(1) for line in lines], 1) * filled[:, None]
    return torch.from_numpy(first), torch.from_numpy(end - first), torch.from_numpy(filled)


def _any(mask: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Bytes are reduced faster than bools, but compiled for a CPU the greatest of many bytes comes out wrong."""
    if torch.compiler.is_compiling():
        return mask.any(dim=axes)
    return mask.view(torch.uint8).amax(dim=axes)


def count_pixels(mask: Tensor) -> Tensor:
    """True pixels of each sample, (B,) int64, of a mask (B, ...) bool."""
    if execution.is_array(mask):
        # Many times as fast as torch counts.
        return torch.tensor([np.count_nonzero(one) for one in mask.numpy()], dtype=torch.int64)
    return execution.as_bytes(mask).flatten(1).sum(1, dtype=torch.int32).to(torch.int64)  # faster than counting bools


def window_index(origin: Tensor, size: tuple[int, ...], shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Linear indices of a window of each sample into its frame.

    Args:
        origin: (B, n) int64, first pixel of the window; may lie outside.
        size: n window lengths.
        shape: n frame lengths.

    Returns:
        (B, *size) int64, clamped into the frame, and (B, *size) bool, true inside the frame.
    """
    batch, axes = origin.shape
    index = torch.zeros((batch,) + (1,) * axes, dtype=torch.int64, device=origin.device)
    inside = torch.ones_like(index, dtype=torch.bool)
    for axis, (length, frame) in enumerate(zip(size, shape, strict=True)):
        view = (batch, *(length if a == axis else 1 for a in range(axes)))
        line = (origin[:, axis, None] + torch.arange(length, device=origin.device)).view(view)
        inside = inside & (line >= 0) & (line < frame)
        index = index * frame + line.clamp(0, frame - 1)
    return index, inside


def take_window(
    x: Tensor, origin: Tensor, size: tuple[int, ...], *, outside: Literal["zero", "border"] = "zero"
) -> Tensor:
    """Cuts one window out of each sample.

    Args:
        x: (B, C, *spatial).
        origin: (B, n) int64.
        size: n window lengths.
        outside: what lies beyond the frame: zeros, or its border repeated.

    Returns:
        (B, C, *size).
    """
    if execution.may_read_values(x) and x.shape[0] and outside == "zero":
        if size == tuple(x.shape[2:]) and not bool(origin.any()):
            return x
        if len(x) > 1 and execution.is_array(x) and math.prod(size) * x.shape[1] <= _FEW:
            return _cut(x, origin.tolist(), size)
        parts = [_slice_window(x, i, first, size) for i, first in enumerate(origin.tolist())]
        return torch.cat(parts) if len(parts) > 1 else parts[0]
    if outside == "zero" and kernels.run_on(x) and not x.requires_grad:
        return lesion_operators.window(x, origin, size)
    index, inside = window_index(origin, size, tuple(x.shape[2:]))
    flat = index.flatten(1)[:, None].expand(-1, x.shape[1], -1)
    window = x.flatten(2).gather(2, flat).unflatten(2, size)
    return window if outside == "border" else window.masked_fill(~inside[:, None], 0)


def take_tile(x: Tensor, corner: Tensor, tile: tuple[int, ...]) -> Tensor:
    """`take_window` of a tile that lies inside the frame: the frame itself, if it is as large."""
    return x if tile == tuple(x.shape[2:]) else take_window(x, corner, tile)


def _cut(x: Tensor, origins: list[list[int]], size: tuple[int, ...]) -> Tensor:
    """`take_window` of small windows, as arrays: NumPy takes a fifth of the time to begin a copy."""
    out = torch.zeros((len(origins), x.shape[1], *size), dtype=x.dtype)
    for window, frame, origin in zip(out.numpy(), x.numpy(), origins, strict=True):
        sides = [
            (first, max(0, first), max(0, min(first + length, whole)))
            for first, length, whole in zip(origin, size, x.shape[2:], strict=True)
        ]
        here = tuple(slice(start - first, max(start, stop) - first) for first, start, stop in sides)
        window[:, *here] = frame[:, *(slice(start, max(start, stop)) for _, start, stop in sides)]
    return out


def _slice_window(x: Tensor, row: int, origin: list[int], size: tuple[int, ...]) -> Tensor:
    """`take_window` of one sample, (1, C, *size), without a gather."""
    if all(0 <= first <= whole - length for first, length, whole in zip(origin, size, x.shape[2:], strict=True)):
        return _view(x, row, origin, size)
    part = x[row : row + 1]
    pad: list[int] = []
    for axis, (first, length) in enumerate(zip(origin, size, strict=True), 2):
        start, stop = min(max(0, first), x.shape[axis]), max(0, min(x.shape[axis], first + length))
        inside = max(0, stop - start)
        part = part.narrow(axis, start, inside)
        before = min(length - inside, max(0, -first))
        pad = [before, length - inside - before, *pad]
    return F.pad(part, pad) if any(pad) else part


def _view(x: Tensor, row: int, origin: list[int], size: tuple[int, ...]) -> Tensor:
    """A window of one sample that lies inside its frame, (1, C, *size), in one step where axis by axis takes five."""
    first = zip((row, 0, *origin), x.stride(), strict=True)
    start = x.storage_offset() + sum(number * stride for number, stride in first)
    return x.as_strided((1, x.shape[1], *size), x.stride(), start)


def place_window(window: Tensor, origin: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Each sample's window in a frame of zeros; the windows must lie inside the frame.

    Args:
        window: (B, C, *size).
        origin: (B, n) int64.
        shape: n frame lengths.
    """
    if tuple(window.shape[2:]) == shape:
        return window
    frame = execution.zeros((*window.shape[:2], *shape), window.dtype, window.device)
    if not execution.may_read_values(window):
        return put_window(frame, window, origin)
    write_windows(frame, window, origin)
    return frame


def write_windows(frame: Tensor, window: Tensor, origin: Tensor) -> None:
    """Where values may be read: writes each sample's window (C, *size) at `origin` (B, n) into its frame."""
    size = tuple(window.shape[2:])
    if execution.is_array(frame, window) and window[:1].numel() <= _FEW:
        for whole, part, corner in zip(frame.numpy(), window.numpy(), origin.tolist(), strict=True):
            whole[:, *(slice(first, first + length) for first, length in zip(corner, size, strict=True))] = part
        return
    for i, (corner, part) in enumerate(zip(origin.tolist(), window.split(1), strict=True)):
        _view(frame, i, corner, size).copy_(part)


def put_window(x: Tensor, window: Tensor, origin: Tensor, *, over: bool = False) -> Tensor:
    """A copy of `x` with each sample's window replaced; the windows must lie inside the frame.

    Args:
        x: (B, C, *spatial).
        window: (B, C, *size).
        origin: (B, n) int64.
        over: `x` is not needed any more, so the result may lie in its memory.
    """
    size = tuple(window.shape[2:])
    if size == tuple(x.shape[2:]):
        return window
    if execution.may_read_values(x):
        out = x if over and not execution.asks_for_gradients(x, window) else execution.copied(x)
        write_windows(out, window, origin)
        return out
    index, _ = window_index(origin, size, tuple(x.shape[2:]))
    flat = index.flatten(1)[:, None].expand(-1, x.shape[1], -1)
    return x.flatten(2).scatter(2, flat, window.flatten(2)).unflatten(2, x.shape[2:])


def surrounding_window(
    start: Tensor, extent: Tensor, margin: Tensor, shape: tuple[int, ...]
) -> tuple[Tensor, tuple[int, ...]]:
    """One window length for all samples that holds each box and its margin, as far as the frame goes.

    An edge of the window that is not an edge of the frame is at least `margin` away from the box.
    Where values may not be read the window is the frame.

    Args:
        start, extent: (B, n) int64, the boxes.
        margin: (n,) int64.
        shape: n frame lengths.

    Returns:
        origin (B, n) int64 inside the frame, and n window lengths.
    """
    if not execution.may_read_values(start):
        return torch.zeros_like(start), shape
    frame = execution.constants(shape, start)
    size = torch.minimum(extent.amax(0) + 2 * margin, frame).clamp(min=1)
    return torch.minimum((start - margin).clamp(min=0), frame - size), tuple(size.tolist())
