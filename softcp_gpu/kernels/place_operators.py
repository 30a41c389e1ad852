"""A place for each lesion as operators of torch. Nothing is differentiated.

Triton is imported when one of them first runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, library

from softcp_gpu.kernels import lesion_operators, maps
from softcp_gpu.kernels.launch import as_numbers, launch, three
from softcp_gpu.kernels.packing import PACKED, WORD

COUNTED, RANKED = 256, 2048  # words of a lesion, and of a map, that a program does at a time


class Masks(NamedTuple):
    """What is counted, 32 pixels of a line in a word."""

    lesion: Tensor  # (B, *window, words) int32: each with its box at the first pixel
    extent: Tensor  # (B, n) int64: the box
    area: Tensor  # (B,) int64
    region: Tensor | None  # (B, *frame, words) int32
    others: Tensor  # likewise


def pack(mask: Tensor) -> Tensor:
    """Lines of flags as words.

    Args:
        mask: (B, 1, *spatial), a flag is what is not 0.

    Returns:
        (B, *spatial, words) int32, without the last axis; the pixel of least index is the lowest bit.
    """
    return _pack(mask)


def candidates(
    extent: Tensor,
    area: Tensor,
    region: Tensor | None,
    others: Tensor,
    candidate_u: Tensor,
    shape: Sequence[int],
    bounds: Sequence[float],
) -> tuple[Tensor, Tensor, Tensor]:
    """Where each lesion may lie at all, and some places there.

    Args:
        extent, area: of the lesions, (B, n) and (B,) int64.
        region, others: (B, 1, *frame) bool, the first or None.
        candidate_u: (B, K, n) float64 in [0, 1), K a power of 2.
        shape, bounds: as `count`.

    Returns:
        first place and number of places along each axis, (B, n) int64; and K places, (B, K, n) int64.
    """
    noted = None if region is None else lesion_operators.noted(region)
    return _candidates(extent, area, noted, lesion_operators.noted(others), candidate_u, list(shape), *_plain(bounds))


def _plain(bounds: Sequence[float]) -> tuple[list[float], list[bool]]:
    """Bounds as numbers, and which of them are fractions."""
    return [float(value) for value in bounds], [isinstance(value, float) for value in bounds]


def count(masks: Masks, origin: Tensor, span: Tensor, shape: Sequence[int], bounds: Sequence[float]) -> Tensor:
    """Counts at some places of each sample.

    Args:
        masks: packed.
        origin: (B, K, n) int64, where the boxes begin.
        span: (B, n) int64: where it is 0, no place is legal.
        shape: n lengths of the frame.
        bounds: least in the region, most on other lesions, least visible; integers count pixels, floats are fractions.

    Returns:
        (B, K, 4) int32: visible, in the region, on other lesions; and 1 if that is legal.
    """
    return _count(*masks, origin, span, list(shape), *_plain(bounds))


def draw(
    masks: Masks,
    candidates: Tensor,
    counts: Tensor,
    first: Tensor,
    span: Tensor,
    rank_u: Tensor,
    shape: Sequence[int],
    bounds: Sequence[float],
) -> Tensor:
    """The first legal candidate of each sample, or else one of all legal places.

    Args:
        masks, shape, bounds: as `count`.
        candidates: (B, K, n) int64, K a power of 2.
        counts: of the candidates.
        first, span: (B, n) int64, a rectangle that holds all legal places.
        rank_u: (B,) float64 in [0, 1), picks from all of them.

    Returns:
        (B, n) int64; the first of the rectangle where no place is legal.
    """
    return _draw(*masks, candidates, counts, first, span, rank_u, list(shape), *_plain(bounds))


@library.custom_op("softcp_gpu::pack", mutates_args=(), schema="(Tensor mask) -> Tensor")
def _pack(mask: Tensor) -> Tensor:
    from softcp_gpu.kernels import jit_words

    out = _pack_like(mask)
    words, lines = out.shape[-1], out.shape[:-1].numel()
    grid = (-(-lines * words // PACKED), 1)
    launch(jit_words.pack_pass, grid, as_numbers(mask), out, lines, mask.shape[-1], words, PACKED)
    return out


@_pack.register_fake
def _pack_like(mask: Tensor) -> Tensor:
    return mask.new_empty((mask.shape[0], *mask.shape[2:-1], -(-mask.shape[-1] // WORD)), dtype=torch.int32)


_RULE = "int[] shape, float[] bounds, bool[] fraction"


@library.custom_op(
    "softcp_gpu::candidates",
    mutates_args=(),
    schema="(Tensor extent, Tensor area, Tensor? region, Tensor others, Tensor candidate_u,"
    f" {_RULE}) -> (Tensor, Tensor, Tensor)",
)
def _candidates(*inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
    from softcp_gpu.kernels import jit_places

    extent, area, region, others, candidate_u, shape, bounds, fraction = inputs
    out = _candidates_like(*inputs)
    given = (extent, area, others if region is None else region, others, candidate_u, *out, *three(shape))
    rule = (region is not None, *bounds, *fraction, len(shape), candidate_u.shape[1])
    launch(jit_places.rectangle_pass, (1, len(area)), *given, _whole(bounds, fraction), bounds[0] > 0, *rule)
    return out


@_candidates.register_fake
def _candidates_like(extent: Tensor, area: Any, region: Any, others: Any, candidate_u: Tensor, *rest: Any) -> Any:
    places = torch.empty(candidate_u.shape, dtype=torch.int64, device=extent.device)
    return torch.empty_like(extent), torch.empty_like(extent), places


def _whole(bounds: Sequence[float], fraction: Sequence[bool]) -> bool:
    """Whether lesions must lie in the frame as a whole."""
    return fraction[2] and bounds[2] == 1


_MASKS = "Tensor lesion, Tensor extent, Tensor area, Tensor? region, Tensor others"


@library.custom_op(
    "softcp_gpu::count_places",
    mutates_args=(),
    schema=f"({_MASKS}, Tensor origin, Tensor span, {_RULE}) -> Tensor",
)
def _count(*inputs: Any) -> Tensor:
    from softcp_gpu.kernels import jit_places

    *masks, origin, span, shape, bounds, fraction = inputs
    counts = _count_like(*inputs)
    tensors, sizes, rule = _split(Masks(*masks), shape, bounds, fraction)
    found = torch.zeros(len(origin), dtype=torch.int32, device=origin.device)
    given = (*tensors, origin, span, counts, found, origin.shape[1])
    launch(jit_places.count_pass, (origin.shape[1], len(origin)), *given, *sizes, *rule, len(shape), COUNTED)
    return counts


@_count.register_fake
def _count_like(lesion: Tensor, extent: Any, area: Any, region: Any, others: Any, origin: Tensor, *rest: Any) -> Tensor:
    return origin.new_empty((*origin.shape[:2], 4), dtype=torch.int32)


@library.custom_op(
    "softcp_gpu::draw_place",
    mutates_args=(),
    schema=f"({_MASKS}, Tensor candidates, Tensor counts, Tensor first, Tensor span, Tensor rank_u, {_RULE}) -> Tensor",
)
def _draw(*inputs: Any) -> Tensor:
    from softcp_gpu.kernels import jit_map

    lesion, *masks, candidates, counts, first, span, rank_u, shape, bounds, fraction = inputs
    tensors, sizes, rule = _split(Masks(lesion, *masks), shape, bounds, fraction)
    # Where a lesion may lie partly outside, its box begins at most its own length before the frame.
    outside = (0,) * len(shape) if _whole(bounds, fraction) else (*lesion.shape[1:-1], WORD * lesion.shape[-1])
    legal = maps.new_map(first, shape, outside)
    most, axes, places = legal.shape[1], len(shape), candidates.shape[1]
    maps.fill_map(tensors, first, span, counts[..., 3].amax(1), legal, sizes, rule)
    origin = torch.empty_like(first)
    drawn = (counts, candidates, legal, first, span, rank_u, origin, most, axes, places, RANKED)
    launch(jit_map.draw_pass, (1, len(first)), *drawn)
    return origin


@_draw.register_fake
def _draw_like(
    lesion: Any,
    extent: Any,
    area: Any,
    region: Any,
    others: Any,
    candidates: Any,
    counts: Any,
    first: Tensor,
    *rest: Any,
) -> Tensor:
    return torch.empty_like(first)


def _split(
    masks: Masks, shape: Sequence[int], bounds: Sequence[float], fraction: Sequence[bool]
) -> tuple[tuple[Tensor, ...], tuple[int, ...], tuple[Any, ...]]:
    """The kernels' tensors, sizes, and rule."""
    lesion, extent, area, region, others = masks
    tensors = (lesion, others if region is None else region, others, extent, area)
    sizes = (*three(lesion.shape[1:])[:2], lesion.shape[-1], *three(shape), others.shape[-1])
    return tensors, sizes, (region is not None, *bounds, *fraction)
