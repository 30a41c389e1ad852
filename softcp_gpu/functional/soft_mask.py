"""The soft mask S: how much of each pixel comes from the pasted image.

A ring index counts the dilation steps from the eroded lesion to each pixel; a table turns it into S and carries the
gradient to alpha.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from softcp_gpu import checks
from softcp_gpu.functional import execution, fused, looped_soft
from softcp_gpu.functional.morphology import LANES
from softcp_gpu.functional.rings import Rings, ring_count, ring_count_mm
from softcp_gpu.functional.table import auto_k_dilate, soft_mask_table, weight_dtype
from softcp_gpu.functional.windows import bounding_box, surrounding_window, take_window, write_windows
from softcp_gpu.kernels import soft_operators
from softcp_gpu.types import Spacing

_CACHE_PIXELS = 1 << 20


def soft_mask(
    mask: Tensor,
    k_erode: int | Tensor,
    k_dilate: int | Tensor | Literal["auto"],
    alpha: float | Tensor,
    *,
    footprint: Literal["full", "cross"] | Tensor = "full",
    profile: Literal["softcp", "geometric"] = "softcp",
    spacing: tuple[float, ...] | None = None,
    on_small: Literal["shrink", "skip"] = "shrink",
) -> Tensor:
    """Softens a batch of hard lesion masks.

    The definition, from the algorithm of the paper's figure 5::

        S = erode(mask), k_erode times
        for i = 1 .. k_dilate:
            S = S + (1 - S) * alpha**i * dilate([S > 0])

    Args:
        mask: (B, 1, *spatial), bool, or numbers in {0, 1}.
        k_erode: erosion steps, 0 or more; a number or (B,).
        k_dilate: dilation steps, 0 or more; a number, (B,) or "auto", the least k with alpha**k <= 0.05.
        alpha: softening coefficient in the open interval (0, 1); a number or (B,). Gradients flow to it.
        footprint: "full" (3^n), "cross", or a symmetric tensor of 0 and 1 with odd lengths (runs on kornia's pooling).
        profile: "softcp", or "geometric": S = alpha**d at d steps from the core.
        spacing: mm per axis in tensor order. Steps then count millimetres and rings are Euclidean; without it a step
            is a pixel.
        on_small: a lesion that k_erode steps would erase is eroded by as many as leave a core ("shrink") or left out,
            S = 0 ("skip").

    Returns:
        (B, 1, *spatial) in [0, 1]: float64 if alpha is, else float32. An empty mask gives S = 0.

    Raises:
        ValueError: naming the argument, what was expected and what was found.

    Note:
        Pixels outside the image are ignored: its border never erodes a lesion. Tensors of steps on an accelerator are
        read once, for their maximum; numbers are not.

    References:
        Dai et al., Soft-CP, arXiv 2203.10507, section 3.1 and figure 5.

    Example:
        >>> mask = torch.zeros(1, 1, 1, 7)
        >>> mask[..., 3] = 1
        >>> soft_mask(mask, k_erode=0, k_dilate=2, alpha=0.5).squeeze()
        tensor([0.0000, 0.2500, 0.6250, 1.0000, 0.6250, 0.2500, 0.0000])
    """
    checks.soft_mask_arguments(mask, k_erode, k_dilate, alpha, footprint, profile, spacing, on_small)
    batch = mask.shape[0]
    if isinstance(k_dilate, str):
        k_dilate = auto_k_dilate(alpha)
        checks.fades_in_time(_maximum(k_dilate), alpha)
    most = (_maximum(k_erode), _maximum(k_dilate))
    in_pixels = spacing is None and isinstance(footprint, str)
    if in_pixels and looped_soft.softens(mask, alpha, most):
        softness = looped_soft.softness_of(batch, alpha, k_erode, k_dilate, str(footprint), profile, on_small)
        return looped_soft.soft_masks(mask, softness)
    if in_pixels and fused.softens_at_once(mask, alpha, most):
        return soft_operators.soft_mask(mask, alpha, k_erode, k_dilate, *most, str(footprint), profile, on_small)
    alpha = _per_sample(alpha, batch, mask)
    steps = Steps(
        _per_sample(k_erode, batch, mask),
        _per_sample(k_dilate, batch, mask),
        alpha,
        *most,
        None if spacing is None else _same_spacing(spacing, mask),
    )
    lesion = checks.as_bool(mask)
    with execution.frames_of(mask.shape[2:]):
        if batch and execution.may_read_values(mask):
            return _soften_boxes(lesion, steps, footprint, profile, on_small)
        return soften(lesion, steps, footprint, profile, on_small)[0]


class Steps(NamedTuple):
    """How far to erode and dilate each sample of a batch."""

    k_erode: Tensor  # (B,) int64
    k_dilate: Tensor  # (B,) int64
    alpha: Tensor  # (B,)
    erode_max: int  # the largest of k_erode, or more
    k_max: int  # the largest of k_dilate, or more
    spacing: Spacing | None = None  # None: a step is a pixel

    def rows(self, index: slice) -> Steps:
        """The steps of some samples."""
        spacing = self.spacing and self.spacing._replace(mm=self.spacing.mm[index])
        return Steps(self.k_erode[index], self.k_dilate[index], self.alpha[index], self.erode_max, self.k_max, spacing)


def rim_reach_px(k_dilate: int, spacing: Spacing | None, axes: int) -> list[int]:
    """How far the rim may reach along each axis."""
    return [k_dilate if spacing is None else int(k_dilate / spacing.least[axis]) + 1 for axis in range(axes)]


def soften(lesion: Tensor, steps: Steps, footprint: str | Tensor, profile: str, on_small: str) -> tuple[Tensor, Rings]:
    """`soft_mask` on checked tensors, over the whole of each frame: ring count, then table."""
    if not isinstance(footprint, Tensor) and fused.softens(lesion, steps, footprint):
        return fused.soften(lesion, steps, footprint, profile, on_small)
    rings, table = _rings_and_weights(lesion, steps, footprint, profile, on_small)
    return _look_up(table, rings.level.flatten(1)).reshape(lesion.shape), rings


def _rings_and_weights(
    lesion: Tensor, steps: Steps, footprint: str | Tensor, profile: str, on_small: str
) -> tuple[Rings, Tensor]:
    """The ring count of each pixel, and S as a function of it, (B, k_max + 2), or (1, k_max + 2) for all samples."""
    if steps.spacing is None:
        rings = ring_count(lesion, steps.k_erode, steps.erode_max, steps.k_max, footprint)
    else:
        rings = ring_count_mm(lesion, steps.k_erode, steps.erode_max, steps.k_max, steps.spacing)
    alpha, k_dilate = steps.alpha, steps.k_dilate
    if alpha.stride() == k_dilate.stride() == (0,):  # one number for all samples
        alpha, k_dilate = alpha[:1], k_dilate[:1]
    table = soft_mask_table(alpha, k_dilate, steps.k_max, profile).flip(1).to(weight_dtype(alpha))
    return rings, table * rings.survives[:, None] if on_small == "skip" else table


def _look_up(table: Tensor, level: Tensor, out: Tensor | None = None) -> Tensor:
    """Row b of the (B, T) table, or the only row, at levels (B, N) of sample b; into `out` where that spares a copy."""
    eager = level.device.type == "cpu" and not torch.compiler.is_compiling()
    if not eager or level.numel() == 0 or level.dtype != torch.uint8 or table.shape[1] > 128:
        return table.expand(len(level), -1).gather(1, level.long())
    # On a CPU a look-up costs more than all the counting. Two pixels at a time: a pair of levels is one 16-bit index,
    # and a pair of weights one complex number.
    size, odd = table.shape[1], level.shape[1] % 2
    low, high = table[:, None, :].expand(-1, size, -1), table[:, :, None].expand(-1, -1, size)
    pairs = F.pad(torch.stack([low, high], -1), (0, 0, 0, 256 - size)).flatten(1, 2)
    index = (F.pad(level, (0, 1)) if odd else level.contiguous()).view(torch.int16).to(torch.int32)
    if len(table) > 1:
        index += torch.arange(len(table), dtype=torch.int32)[:, None] * (256 * size)
    target = None if out is None or odd or table.requires_grad else torch.view_as_complex(out.view(-1, 2))
    weights = torch.index_select(torch.view_as_complex(pairs.flatten(0, 1)), 0, index.flatten(), out=target)
    return torch.view_as_real(weights).view(len(level), -1)[:, : level.shape[1]]


def _soften_boxes(lesion: Tensor, steps: Steps, footprint: str | Tensor, profile: str, on_small: str) -> Tensor:
    """Where values may be read: only the boxes around the lesions."""
    steps_px = rim_reach_px(steps.k_max, steps.spacing, lesion.ndim - 2)
    reach = [length // 2 for length in footprint.shape] if isinstance(footprint, Tensor) else [1] * len(steps_px)
    margin = execution.constants([k * r + 2 for k, r in zip(steps_px, reach, strict=True)], lesion)
    shape = tuple(lesion.shape[2:])
    origin, box = surrounding_window(*bounding_box(lesion)[:2], margin, shape)
    if 3 * math.prod(box) > 2 * math.prod(shape):  # to fill the rest with zeros would cost more than to count there
        origin, box = torch.zeros_like(origin), shape
    fresh = execution.empty if box == shape else execution.zeros
    frame = fresh(lesion.shape, weight_dtype(steps.alpha), lesion.device)
    # Counting goes over the same bytes again and again: a few samples at a time, that stay in the cache.
    pixels = math.prod(box)
    for rows in _slices(lesion.shape[0], LANES * max(1, _CACHE_PIXELS // pixels)):
        part = take_window(lesion[rows], origin[rows], box)
        if fused.softens(part, steps, footprint):
            soft = soften(part, steps.rows(rows), footprint, profile, on_small)[0]
            write_windows(frame[rows], soft, origin[rows])
            continue
        rings, table = _rings_and_weights(part, steps.rows(rows), footprint, profile, on_small)
        for few in _slices(len(part), max(1, _CACHE_PIXELS // pixels)):
            target = frame[rows][few]
            out = target.flatten(1) if box == shape else None
            soft = _look_up(table if len(table) == 1 else table[few], rings.level[few].flatten(1), out)
            if out is None or soft.data_ptr() != out.data_ptr():
                write_windows(target, soft.view(-1, 1, *box), origin[rows][few])
    return frame


def _slices(count: int, step: int) -> list[slice]:
    return [slice(i, i + step) for i in range(0, count, step)]


def _per_sample(value: float | Tensor, batch: int, like: Tensor) -> Tensor:
    """A number or a tensor as (B,)."""
    if isinstance(value, Tensor):
        return value.to(like.device).expand(batch)
    return torch.full((1,), value, device=like.device).expand(batch)


def _same_spacing(spacing: tuple[float, ...], mask: Tensor) -> Spacing:
    """One spacing for all samples."""
    mm = execution.constants(spacing, mask, torch.float64)
    return Spacing(mm.expand(mask.shape[0], -1), tuple(spacing))


def _maximum(value: int | Tensor) -> int:
    """The largest of the steps; torch has no loop of unknown length, so a tensor is read once."""
    return value if isinstance(value, int) else int(value.max()) if value.numel() else 0
