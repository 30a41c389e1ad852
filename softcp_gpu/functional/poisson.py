"""Poisson blending: the lesion keeps its own gradients and takes on the values around its new place.

A harmonic function, one without gradients of its own but those that its border asks for, is added to the source. The
linear system for it lives on the lesion's pixels, an irregular domain, so it is solved by conjugate gradients,
preconditioned by a multigrid cycle whose coarse grids follow the lesion: their number of steps hardly depends on its
size and shape. It is fixed, so that no device has to tell when to stop.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, library

STEPS = 20  # each gains a third of a digit or more: 3e-7 of what is known is left
_SMALL = 256  # pixels of the coarsest grid, which is solved directly
_DAMPING = 0.8  # of Jacobi's smoothing
# A pair of coarse pixels is twice as far apart, so it conducts half of what the pairs between them do; to the fixed
# values around the lesion it is less than twice as far.
_TO_PIXELS, _TO_BORDER = 0.5, 0.7


def seamless(source_image: Tensor, image: Tensor, lesion: Tensor) -> Tensor:
    """The source, changed inside the lesion so that it joins the image around it: Poisson image editing.

    The result f has the source's differences between neighbours and the image's values around the lesion: for each
    lesion pixel p and its neighbours q (2 n of them, fewer at the frame's border)::

        sum over q of (f(p) - f(q)) = sum over q of (source(p) - source(q)),   f(q) = image(q) outside the lesion

    The frame's border is left free. A lesion that fills the frame has nothing to join, and keeps its values.

    Args:
        source_image: (B, C, *spatial) float32 or float64, already where the lesion shall lie.
        image: (B, C, *spatial), the background, in the same dtype.
        lesion: (B, 1, *spatial) bool.

    Returns:
        (B, C, *spatial): f inside the lesion, the source elsewhere; neither clamped nor rescaled. Gradients flow to
        both images.

    References:
        Pérez, Gangnet, Blake, Poisson image editing, SIGGRAPH 2003, equation 7.

    Example:
        >>> source, image = torch.tensor([[[[0.0, 5.0, 6.0, 0.0]]]]), torch.tensor([[[[1.0, 0.0, 0.0, 4.0]]]])
        >>> lesion = torch.tensor([[[[False, True, True, False]]]])
        >>> seamless(source, image, lesion).round().flatten().tolist()
        [0.0, 7.0, 9.0, 0.0]
    """
    given = torch.where(lesion, 0, image - source_image)
    known = torch.zeros_like(given)
    for axis in range(2, given.ndim):
        sides = F.pad(given, [0, 0] * (given.ndim - 1 - axis) + [1, 1])
        known = known + sides.narrow(axis, 0, given.shape[axis]) + sides.narrow(axis, 2, given.shape[axis])
    return source_image + _harmonic(torch.where(lesion, known, 0), lesion)


# One operator, so that it is one node of a compiled graph and not thousands.
@library.custom_op("softcp_gpu::harmonic", mutates_args=(), schema="(Tensor known, Tensor lesion) -> Tensor")
def _harmonic(known: Tensor, lesion: Tensor) -> Tensor:
    """Solves A x = known on the lesion, where A x sums a pixel's differences to its neighbours, 0 outside the lesion.

    Args:
        known: (B, C, *spatial), 0 outside the lesion.
        lesion: (B, 1, *spatial) bool.
    """
    known, lesion = known.contiguous(), lesion.contiguous()  # sums depend on the order in memory
    grids = _grids(lesion, known.dtype)
    joined = grids[0].border.flatten(1).any(1).view(-1, *(1,) * (known.ndim - 1))
    unit = known.abs().flatten(2).sum(2).view(*known.shape[:2], *(1,) * (known.ndim - 2))
    last = _inverse(grids[-1], joined)
    rest = torch.where(lesion & joined, known / torch.where(unit > 0, unit, 1), 0)
    x = torch.zeros_like(rest)
    way = better = _cycle(grids, last, rest)
    gain = _dot(rest, better)
    for _ in range(STEPS):
        pull = grids[0].differences(way)
        step = _ratio(gain, _dot(way, pull))
        x, rest = x + step * way, rest - step * pull
        better, before = _cycle(grids, last, rest), gain
        gain = _dot(rest, better)
        way = better + _ratio(gain, before) * way
    return x * unit


@_harmonic.register_fake
def _(known: Tensor, lesion: Tensor) -> Tensor:
    return known.new_empty(known.shape)


def _keep_lesion(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(inputs[1])


def _gradient(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
    """A is its own transpose, so its inverse is too."""
    (lesion,) = ctx.saved_tensors
    return _harmonic(torch.where(lesion, gradient, 0), lesion), None


_harmonic.register_autograd(_gradient, setup_context=_keep_lesion)


class _Grid(NamedTuple):
    """The lesion's pixels as a net of conductors, at one resolution."""

    pairs: list[Tensor]  # per axis, (B, 1, *size): between a pixel and the one before it, 0 for the first
    border: Tensor  # (B, 1, *size): to what is fixed at 0 around the lesion
    total: Tensor  # (B, 1, *size): of all conductors at a pixel
    inverse: Tensor  # (B, 1, *size): of total; 0 outside the lesion

    @classmethod
    def of(cls, pairs: list[Tensor], border: Tensor) -> _Grid:
        total = border.clone()
        for axis, pair in enumerate(pairs, 2):
            total.add_(pair)
            _but_last(total, axis).add_(_but_first(pair, axis))
        return cls(pairs, border, total, _ratio(torch.ones_like(total), total))

    def differences(self, x: Tensor) -> Tensor:
        """The sum of each pixel's differences to what it is joined to: A x."""
        out = self.total * x
        for axis, pair in enumerate(self.pairs, 2):
            joined = _but_first(pair, axis)
            _but_last(out, axis).addcmul_(joined, _but_first(x, axis), value=-1)
            _but_first(out, axis).addcmul_(joined, _but_last(x, axis), value=-1)
        return out

    def coarser(self) -> _Grid:
        """Blocks of 2^n pixels as pixels."""
        pairs = []
        for axis, pair in enumerate(self.pairs, 2):
            first = torch.arange(0, pair.shape[axis], 2, device=pair.device)  # of each block: it is joined to another
            pairs.append(_TO_PIXELS * _sum_blocks(pair.index_select(axis, first), keep=axis))
        return _Grid.of(pairs, _TO_BORDER * _sum_blocks(self.border))


def _grids(lesion: Tensor, dtype: torch.dtype) -> list[_Grid]:
    """From the frame down to a few pixels."""
    inside = lesion.to(dtype)
    border, pairs = torch.zeros_like(inside), []
    for axis in range(2, lesion.ndim):
        before, after = _but_last(inside, axis), _but_first(inside, axis)
        pairs.append(torch.zeros_like(inside))
        _but_first(pairs[-1], axis).add_(before * after)
        _but_last(border, axis).add_(before * (1 - after))
        _but_first(border, axis).add_(after * (1 - before))
    grids = [_Grid.of(pairs, border)]
    while grids[-1].total.shape[2:].numel() > _SMALL:
        grids.append(grids[-1].coarser())
    return grids


def _inverse(grid: _Grid, joined: Tensor) -> Tensor:
    """Of A on a small grid, (B, P, P) for P pixels; those that stand for nothing stay alone."""
    size = grid.total.shape[2:]
    one = torch.eye(size.numel(), dtype=grid.total.dtype, device=grid.total.device)
    matrix = grid.differences(one.view(1, -1, *size)).flatten(2)
    alone = (grid.total == 0) | ~joined
    return torch.linalg.inv_ex(matrix + torch.diag_embed(alone.flatten(1).to(one.dtype)), check_errors=False).inverse


def _cycle(grids: list[_Grid], last: Tensor, rest: Tensor) -> Tensor:
    """An approximate solution of A x = rest, symmetric: smooth, correct on the coarser grid, smooth.

    Args:
        grids: the grid of `rest`, and the coarser ones.
        last: the inverse of A on the last of them.
        rest: (B, C, *size).
    """
    grid, *coarser = grids
    if not coarser:
        return (rest.flatten(2) @ last).view(rest.shape)
    weight = _DAMPING * grid.inverse
    x = weight * rest
    lift = F.interpolate(_cycle(coarser, last, _sum_blocks(rest - grid.differences(x))), scale_factor=2.0)
    for axis in range(2, x.ndim):
        lift = lift.narrow(axis, 0, x.shape[axis])
    x = torch.where(grid.total > 0, x + lift, 0)
    return x + weight * (rest - grid.differences(x))


def _sum_blocks(x: Tensor, keep: int | None = None) -> Tensor:
    """Sums over blocks of two pixels along each axis, but the one to keep."""
    size = [1 if axis == keep else min(2, x.shape[axis]) for axis in range(2, x.ndim)]
    pool = F.avg_pool2d if x.ndim == 4 else F.avg_pool3d
    return pool(x, size, ceil_mode=True, divisor_override=1)


def _but_first(x: Tensor, axis: int) -> Tensor:
    return x.narrow(axis, 1, x.shape[axis] - 1)


def _but_last(x: Tensor, axis: int) -> Tensor:
    return x.narrow(axis, 0, x.shape[axis] - 1)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Of each channel of each sample, (B, C, 1, ...)."""
    return (a * b).sum(tuple(range(2, a.ndim)), keepdim=True)


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """Quotient a / b, 0 where b is 0."""
    return torch.where(b != 0, a / torch.where(b != 0, b, 1), 0)
