"""torch's linear sampling on all cores of a CPU: by itself it gives each sample of a batch to one core."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from softcp_gpu.functional.execution import asks_for_gradients, empty, may_read_values

_LEAST = 1 << 14  # pixels: of fewer, torch would give both bands to one core


def sample_linear(x: Tensor, grid: Tensor, rows: Tensor | None = None) -> Tensor:
    """Samples linearly; outside its frame an image repeats its border.

    Args:
        x: (B, C, *spatial) float32 or float64; with rows (N, C, *spatial).
        grid: (B, *size, n), as `torch.nn.functional.grid_sample` reads it.
        rows: (B,) int64, the frame of `x` that each sample looks at, where values may be read; None: its own.

    Returns:
        (B, C, *size), the same bits on any number of cores.
    """
    if rows is None and (len(x) != 1 or not may_read_values(x)):
        return _sampled(x, grid)
    frames = [x[row : row + 1] for row in ([0] if rows is None else rows.tolist())]
    if asks_for_gradients(x, grid):
        return torch.cat([_sampled(frame, one) for frame, one in zip(frames, grid.split(1), strict=True)])
    out = empty((len(frames), x.shape[1], *grid.shape[1:-1]), x.dtype, x.device)
    for i, frame in enumerate(frames):
        for line, band in _bands(frame, grid[i : i + 1]):
            out[i, :, line : line + band.shape[1]] = band
    return out


def _bands(x: Tensor, grid: Tensor) -> Iterator[tuple[int, Tensor]]:
    """One sample, a band of its first axis for each core: the band's first line, and its (C, lines, ...)."""
    count, lines = torch.get_num_threads(), grid.shape[1]
    if x.device.type != "cpu" or lines < count or grid[..., 0].numel() < _LEAST:
        count = 1
    length = -(-lines // count)
    while count > 1 and (lines - length) % (count - 1):  # they begin at equal steps, so as to be one view; some overlap
        length += 1
    step = (lines - length) // max(1, count - 1)
    strides = (step * grid.stride(1), *grid.stride()[1:])
    cut = grid.as_strided((count, length, *grid.shape[2:]), strides, grid.storage_offset())
    yield from ((k * step, band) for k, band in enumerate(_sampled(x.expand(count, *x.shape[1:]), cut)))


def _sampled(x: Tensor, grid: Tensor) -> Tensor:
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
