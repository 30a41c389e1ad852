"""Rigid matrices that compose, and the one warp that applies them.

A matrix maps homogeneous coordinates of the input to the output, in pixels and in tensor order, (y, x, 1) or
(z, y, x, 1). Pixel centres have integer coordinates.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from softcp_gpu import loops
from softcp_gpu.functional.bands import sample_linear
from softcp_gpu.functional.execution import constants, is_array, without_autocast
from softcp_gpu.functional.lines import GATHERED
from softcp_gpu.functional.windows import take_window
from softcp_gpu.loops import image_loops

# The planes in which positive angles turn, first axis towards second: about z, then y, then x.
_PLANES = (((0, 1),), ((1, 2), (0, 2), (0, 1)))


def rigid_matrix(flip: Tensor, angle_deg: Tensor, scale: Tensor, shift_px: Tensor) -> Tensor:
    """Flip, then rotate, then scale, then shift, about the origin.

    Args:
        flip: (B, n), +1 or -1.
        angle_deg: (B, 1) in 2-D, positive turns counter-clockwise on a screen; (B, 3) in 3-D, about z, y, x in turn.
        scale: (B,), above 0.
        shift_px: (B, n).

    Returns:
        (B, n + 1, n + 1), the dtype of `scale`; gradients flow to angle, scale and shift.

    Example:
        >>> one, zero = torch.ones(1), torch.zeros(1, 2)
        >>> turn = rigid_matrix(torch.ones(1, 2), torch.tensor([[90.0]]), one, zero)
        >>> (turn @ torch.tensor([0.0, 1.0, 1.0])).round().int().flatten().tolist()  # right goes up
        [-1, 0, 1]
    """
    axes = flip.shape[1]
    linear = torch.diag_embed(flip)
    for k, plane in enumerate(_PLANES[axes - 2]):
        linear = compose(linear, _rotation(angle_deg[:, k], plane, axes))
    return affine_matrix(linear * scale[:, None, None], shift_px)


def _rotation(angle_deg: Tensor, plane: tuple[int, int], axes: int) -> Tensor:
    angle = torch.deg2rad(angle_deg)
    cos, sin = angle.cos(), angle.sin()
    zero, one = torch.zeros_like(cos), torch.ones_like(cos)
    a, b = plane
    entries = {(a, a): cos, (a, b): -sin, (b, a): sin, (b, b): cos}
    rows = [torch.stack([entries.get((i, j), one if i == j else zero) for j in range(axes)], -1) for i in range(axes)]
    return torch.stack(rows, -2)


def affine_matrix(linear: Tensor, shift_px: Tensor) -> Tensor:
    """(B, n, n) and (B, n) as one homogeneous matrix (B, n + 1, n + 1)."""
    top = torch.cat([linear, shift_px[..., None]], dim=2)
    bottom = torch.zeros_like(top[:, :1])
    bottom[:, :, -1] = 1
    return torch.cat([top, bottom], dim=1)


def translation(shift_px: Tensor) -> Tensor:
    """A shift by (B, n) pixels as (B, n + 1, n + 1)."""
    eye = torch.eye(shift_px.shape[1], dtype=shift_px.dtype, device=shift_px.device)
    return affine_matrix(eye.expand(shift_px.shape[0], -1, -1), shift_px)


def scaling(factor: Tensor) -> Tensor:
    """A stretch along each axis by (B, n) as (B, n + 1, n + 1)."""
    return affine_matrix(torch.diag_embed(factor), torch.zeros_like(factor))


def compose(*matrices: Tensor) -> Tensor:
    """One matrix that does what the given ones do, the first one first.

    Example:
        >>> there, back = torch.tensor([[2.0, 3.0]]), torch.tensor([[-2.0, -3.0]])
        >>> bool((compose(translation(there), translation(back)) == torch.eye(3)).all())
        True
    """
    result = matrices[0]
    with without_autocast(result):
        for matrix in matrices[1:]:
            result = matrix @ result
    return result


def about(center_px: Tensor, matrix: Tensor) -> Tensor:
    """The same motion about another point than the origin; `center_px` is (B, n)."""
    return compose(translation(-center_px), matrix, translation(center_px))


def crop_matrix(crop_size: Tensor, crop_start: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Crop, then resize back to the same shape.

    Args:
        crop_size: (B, n), fraction of the frame, in (0, 1].
        crop_start: (B, n), in [0, 1], where the crop lies in the room that it has.
        shape: n frame lengths.

    Returns:
        (B, n + 1, n + 1).
    """
    frame = constants(shape, crop_size, crop_size.dtype)
    first = crop_start * (1 - crop_size) * frame
    # Pixel edges, not centres, are what a resize keeps: x = first + (y + 1/2) * size - 1/2.
    return affine_matrix(torch.diag_embed(1 / crop_size), (0.5 - first) / crop_size - 0.5)


def warp(
    x: Tensor,
    matrix: Tensor,
    mode: Literal["linear", "nearest"] = "linear",
    *,
    origin: Tensor | None = None,
    size: tuple[int, ...] | None = None,
) -> Tensor:
    """Resamples once. Outside its frame an image repeats its border, and a mask is 0.

    Args:
        x: (B, C, *spatial), any real dtype; linear sampling computes in float32 or float64.
        matrix: (B, n + 1, n + 1), input to output coordinates.
        mode: "linear" for images, "nearest" for masks.
        origin: (B, n), output coordinates of the first pixel of the result; default 0.
        size: n lengths of the result; default those of `x`.

    Returns:
        (B, C, *size), the dtype of `x`; gradients flow to `x` and, if linear, to `matrix`.

    Example:
        >>> x = torch.tensor([[[[1.0, 2.0, 3.0]]]])
        >>> warp(x, translation(torch.tensor([[0.0, 0.5]]))).flatten().tolist()
        [1.0, 1.5, 2.5]
    """
    size = tuple(x.shape[2:]) if size is None else size
    return (warp_linear if mode == "linear" else _sample_nearest)(x, matrix, origin, size)


def warp_box(x: Tensor, start: Tensor, extent: Tensor, matrix: Tensor, origin: Tensor, size: tuple[int, ...]) -> Tensor:
    """`warp`, nearest, of labels that are 0 outside a box; where values may be read, so that only the box is.

    Args:
        x: (B, 1, *spatial), any real dtype.
        start, extent: (B, n) int64, the box of each.
        matrix, origin, size: as `warp`.

    Returns:
        (B, 1, *size), the dtype of `x`.
    """
    if is_array(x, matrix) and loops.run_on(x):
        out = torch.empty((len(x), 1, *size), dtype=x.dtype)
        image_loops.warp_labels(x.contiguous(), out, inverse(x, matrix).numpy(), origin.numpy())
        return out
    if x.dtype in GATHERED:
        return warp_box(x.view(GATHERED[x.dtype]), start, extent, matrix, origin, size).view(x.dtype)
    first, lengths = start - 1, tuple((extent.amax(0) + 2).tolist())  # a rim of 0, where all that lies beyond ends up
    index: Tensor | None = None
    for axis, line in enumerate(_coordinates(inverse(x, matrix), origin, size)):
        corner = first[:, axis].view(-1, *(1,) * len(size))
        place = line.round_().sub_(corner).clamp_(0, lengths[axis] - 1)
        index = place if index is None else place.add_(index, alpha=lengths[axis])
    assert index is not None
    box = take_window(x, first, lengths)
    return box.flatten(1).gather(1, index.flatten(1).to(torch.int64)).view(-1, 1, *size)


def sampling_affine(x: Tensor, back: Tensor) -> Tensor:
    """From pixels of the output to where `x` is sampled, (B, n, n + 1) float64, for the `inverse` of a warp's matrix.

    In units of half a frame from its middle (what grid_sample reads): near 0, where floats are finest.
    """
    half = constants([length / 2 for length in x.shape[2:]], x, torch.float64)
    scaled = back / half[:, None]
    return torch.cat([scaled[..., :-1], scaled[..., -1:] + (0.5 / half - 1)[:, None]], -1)


def inverse(x: Tensor, matrix: Tensor) -> Tensor:
    """From output to input coordinates, (B, n, n + 1) float64."""
    if is_array(matrix):
        return torch.from_numpy(np.linalg.inv(matrix.double().numpy())[:, : x.ndim - 2])
    return torch.linalg.inv_ex(matrix.double(), check_errors=False).inverse[:, : x.ndim - 2]


def warp_linear(
    x: Tensor, matrix: Tensor, origin: Tensor | None, size: tuple[int, ...], rows: Tensor | None = None
) -> Tensor:
    """`warp`, linear; with (B,) rows sample b looks at frame rows[b] of `x` (N, C, *spatial), see `sample_linear`."""
    # Integers of up to 24 bits are exact in float32.
    work = torch.float64 if x.dtype in (torch.float64, torch.int32, torch.int64) else torch.float32
    grid = torch.stack(_coordinates(sampling_affine(x, inverse(x, matrix)).to(work), origin, size)[::-1], -1)
    return sample_linear(x.to(work), grid, rows).to(x.dtype)


def _sample_nearest(x: Tensor, matrix: Tensor, origin: Tensor | None, size: tuple[int, ...]) -> Tensor:
    if x.dtype in GATHERED:
        return _sample_nearest(x.view(GATHERED[x.dtype]), matrix, origin, size).view(x.dtype)
    affine = inverse(x, matrix)
    # Indices, so that labels of any type stay what they are, and a scan is read where it is looked at.
    index = torch.zeros((1,) * (len(size) + 1), dtype=torch.int64, device=x.device)
    inside = torch.ones_like(index, dtype=torch.bool)
    for line, length in zip(_coordinates(affine, origin, size), x.shape[2:], strict=True):
        place = line.round().to(torch.int64)
        inside = inside & (place >= 0) & (place < length)
        index = index * length + place.clamp(0, length - 1)
    flat = index.flatten(1)[:, None].expand(-1, x.shape[1], -1)
    return x.flatten(2).gather(2, flat).unflatten(2, size).masked_fill(~inside[:, None], 0)


def crop_lines(x: Tensor, matrix: Tensor, linear: torch.dtype | None) -> list[Tensor]:
    """For matrices that turn nothing: where each line of the result comes from, as `lines` reads it.

    Args:
        x: (B, C, *spatial).
        matrix: (B, n + 1, n + 1), input to output coordinates.
        linear: what it is computed in; None for nearest sampling.

    Returns:
        n tensors (B, length).
    """
    back = inverse(x, matrix)
    affine = back if linear is None else sampling_affine(x, back).to(linear)
    return [line.flatten(1) for line in _coordinates(affine, None, tuple(x.shape[2:]), crossed=False)]


def _coordinates(affine: Tensor, origin: Tensor | None, size: tuple[int, ...], *, crossed: bool = True) -> list[Tensor]:
    """Where each pixel of a window comes from, by (B, n, n + 1) in its dtype: n tensors (B, *size).

    Not `crossed`: if axes are kept, lines along each alone.
    """
    axes = len(size)
    lines = []
    for a in range(axes):
        line = affine[:, a, -1].view(-1, *(1,) * axes)
        for b, length in enumerate(size):
            if not crossed and a != b:
                continue
            # Counted from the frame's corner, so that a pixel gets the same value in whatever window it is computed.
            along = torch.arange(length, dtype=affine.dtype, device=affine.device)[None]
            along = along if origin is None else along + origin[:, b, None]
            line = line + (affine[:, a, b, None] * along).view(-1, *(length if b == i else 1 for i in range(axes)))
        lines.append(line)
    return lines
