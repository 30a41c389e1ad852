"""What a paste needs to know before it touches pixels: boxes, motions, places and weights, in some ten launches."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from softcp_gpu.kernels import maps, packing
from softcp_gpu.kernels import place_operators as places
from softcp_gpu.kernels.launch import STREAMED, Branch, as_numbers, beside_grid, grid_of, launch, shared_grid, three
from softcp_gpu.kernels.paste_inputs import Batch, Draws, Plan, Rules, work_dtype

MOVED = 16  # words that a program does at a time
WARPED = 256  # pixels likewise


class Known(NamedTuple):
    """Of masks that do not move: words (B, *frame, words) int32, and boxes (rows, 7) int32, as jit_lesion.box_pass."""

    others: Tensor
    region: Tensor
    other_box: Tensor
    region_box: Tensor
    source_box: Tensor  # (N, 7)
    moved_box: Tensor  # zeros
    found: Tensor  # (B,) int32, zeros; possible likewise
    possible: Tensor


class _Moved(NamedTuple):
    """The lesions after their motions."""

    affine: Tensor
    corner: Tensor  # of their canvases
    whole: Tensor


class _Tried(NamedTuple):
    """Boxes of the moved lesions, where they may lie, and what some places are like."""

    extent: Tensor
    area: Tensor
    home: Tensor
    first: Tensor
    span: Tensor
    candidates: Tensor


def plan_of(
    x: Batch, draws: Draws, rules: Rules, known: Known, branch: Branch, ranges: Tensor, *, of_sources: bool
) -> Plan:
    """Boxes, motions, places and weights.

    Args:
        x, draws, rules: of the call.
        known: of `look_at_masks`.
        branch: in which the ranges are found.
        ranges: of `find_ranges`; if of_sources, of `paste_tiles.copy_images`.
    """
    from softcp_gpu.kernels import jit_plan

    moved = _motion(x, draws, rules, known)
    tried = _candidates(x, draws, rules, known, moved)
    words = _words(x, draws, rules, moved, tried)
    packed = (words, known.region, known.others)
    sizes = (*words.shape[1:], *three(x.image.shape[2:]), known.others.shape[-1])
    counts, legal = _legal(x, rules, known, packed, tried, sizes)
    branch.join()
    (batch, candidates, n), work = tried.candidates.shape, work_dtype(x.image)
    channels, blocks, k_max = x.image.shape[1], ranges.shape[2], rules.dilate_max
    box, state = _new(x, batch, 7, dtype=torch.int32), _new(x, batch, 5, dtype=torch.int32)
    sampling, limits = _new(x, batch, n, n + 1, dtype=work), _new(x, batch, channels, 2, dtype=work)
    table = _new(x, batch, k_max + 2, dtype=work)
    given = (*packed, known.source_box, draws.source_index, moved.whole, as_numbers(draws.apply), *tried, counts, legal)
    drawn = (draws.rank_u, moved.affine, ranges, draws.alpha, draws.k_dilate)
    numbers = (legal.shape[1], *sizes, *three(x.labels.shape[2:]), channels, blocks, k_max)
    powers = (1 << (blocks - 1).bit_length(), 1 << (k_max + 1).bit_length())
    how = (*_rule(x, rules), rules.geometric, n, candidates, places.RANKED, places.COUNTED, of_sources, *powers)
    out = (box, state, sampling, limits, table)
    launch(jit_plan.plan_pass, (1, batch), *given, *drawn, *out, *numbers, *how)
    return Plan(words, tried.home, moved.affine, *out, known.possible)


def _new(x: Batch, *size: int, dtype: torch.dtype = torch.int64) -> Tensor:
    return torch.empty(size, dtype=dtype, device=x.image.device)


def _rule(x: Batch, rules: Rules) -> tuple[Any, ...]:
    """What jit_words.is_legal asks for."""
    return (x.region is not None, *rules.bounds, *rules.fraction)


def _inside(rules: Rules) -> bool:
    """Whether lesions lie in the frame as a whole."""
    return rules.fraction[2] and rules.bounds[2] == 1


def look_at_masks(x: Batch) -> Known:
    """Words and boxes of all masks."""
    from softcp_gpu.kernels import jit_lesion, jit_masks

    batch, sources = len(x.image), len(x.labels)
    numbers = torch.zeros((3 * batch + sources) * 7 + 2 * batch, dtype=torch.int32, device=x.image.device)
    found, possible = numbers[-2 * batch :].chunk(2)
    boxes = numbers[: -2 * batch].view(-1, 7).split([batch, batch, batch, sources])
    other_box, region_box, moved_box, source_box = boxes
    frame = three(x.image.shape[2:])
    per_line = -(-frame[2] // packing.WORD)
    elsewhere, pieces = x.masks_elsewhere, packing.pieces_of(batch, frame)
    others, fours = packing.flags_of(x.others, frame[2])
    region, region_fours = others, fours
    if x.region is not None:
        region, region_fours = packing.flags_of(x.region, frame[2], elsewhere=elsewhere)
    other_words, region_words = _new(x, 2, batch, *frame[:2], per_line, dtype=torch.int32).unbind(0)
    given = (others, region, other_words, region_words, other_box, region_box, x.places, *frame, per_line)
    how = (x.region is not None, elsewhere, fours, region_fours, pieces.number, pieces.words)
    grid = (pieces.programs * (1 if x.region is None else 2), batch)
    launch(jit_masks.masks_pass, grid, *given, *how, x.image.ndim - 2, packing.PACKED, num_warps=1)
    if x.labels.data_ptr() == x.others.data_ptr() and x.labels.shape == x.others.shape:
        source_box = other_box
    else:
        size = three(x.labels.shape[2:])
        grid = grid_of(sources, math.prod(size), STREAMED)
        launch(jit_lesion.box_pass, grid, as_numbers(x.labels), source_box, *size, STREAMED)
    return Known(other_words, region_words, other_box, region_box, source_box, moved_box, found, possible)


def _motion(x: Batch, draws: Draws, rules: Rules, known: Known) -> _Moved:
    """Motions, and the boxes around what they move, into `known.moved_box`."""
    from softcp_gpu.kernels import jit_lesion, jit_motion

    batch, n, doubles = len(x.image), x.image.ndim - 2, torch.float64
    matrix, affine = _new(x, batch, n + 1, n + 1, dtype=doubles), _new(x, batch, n, n + 1, dtype=doubles)
    reach, corner, whole = _new(x, batch, n, dtype=doubles), _new(x, batch, n), _new(x, batch, dtype=torch.uint8)
    rigid = (draws.flip, draws.angle_deg, draws.scale, draws.shift_px)
    source, canvas = three(x.labels.shape[2:]), three(rules.canvas)
    given = (known.source_box, draws.source_index, *rigid, matrix, affine, reach, corner, whole)
    launch(jit_motion.motion_pass, (1, batch), *given, *source, *canvas, *three(rules.most), True, n)
    found = (as_numbers(x.labels), draws.source_index, affine, corner, reach, known.moved_box)
    grid = shared_grid(batch, math.prod(canvas), WARPED)
    launch(jit_lesion.warped_box_pass, grid, *found, *source, *canvas, True, n, WARPED)
    return _Moved(affine, corner, whole)


def _candidates(x: Batch, draws: Draws, rules: Rules, known: Known, moved: _Moved) -> _Tried:
    """Where each lesion may lie at all, and places there."""
    from softcp_gpu.kernels import jit_plan

    batch, candidates, n = draws.candidate_u.shape
    tried = _Tried(*(_new(x, *size) for size in ((batch, n), (batch,), *[(batch, n)] * 3, (batch, candidates, n))))
    given = (known.moved_box, moved.corner, known.region_box, known.other_box, draws.candidate_u, *tried)
    sizes = (*three(rules.canvas), *three(x.image.shape[2:]))
    asks = (_inside(rules), rules.bounds[0] > 0, rules.in_place)
    launch(jit_plan.places_pass, (1, batch), *given, *sizes, *asks, *_rule(x, rules), n, candidates)
    return tried


def _words(x: Batch, draws: Draws, rules: Rules, moved: _Moved, tried: _Tried) -> Tensor:
    """The moved lesions, packed from their boxes' first pixels on."""
    from softcp_gpu.kernels import jit_masks

    *lines, length = three(rules.window)
    words = _new(x, len(x.image), *lines, -(-length // packing.WORD), dtype=torch.int32)
    given = (as_numbers(x.labels), draws.source_index, moved.affine, tried.home, tried.extent, words)
    grid = shared_grid(len(words), words.shape[1:].numel(), MOVED)
    sizes = (*three(x.labels.shape[2:]), *words.shape[1:])
    launch(jit_masks.moved_words_pass, grid, *given, *sizes, x.image.ndim - 2, MOVED)
    return words


def _legal(
    x: Batch, rules: Rules, known: Known, packed: tuple[Tensor, ...], tried: _Tried, sizes: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """What the candidates cover, (B, K, 4) int32; and of samples none of whose are legal, the map."""
    from softcp_gpu.kernels import jit_places

    batch, candidates, n = tried.candidates.shape
    counts, rule = _new(x, batch, candidates, 4, dtype=torch.int32), _rule(x, rules)
    boxes = (*packed, tried.extent, tried.area)
    given = (*boxes, tried.candidates, tried.span, counts, known.found, candidates)
    launch(jit_places.count_pass, (candidates, batch), *given, *sizes, *rule, n, places.COUNTED)
    # Where a lesion may lie partly outside, its box begins at most its own length before the frame.
    outside = [0] * n if _inside(rules) else [*rules.window[:-1], packing.WORD * packed[0].shape[-1]]
    legal = maps.new_map(tried.extent, x.image.shape[2:], outside)
    maps.fill_map(boxes, tried.first, tried.span, known.found, legal, sizes, rule)
    return counts, legal


def new_ranges(x: Batch) -> Tensor:
    """Memory for the least and the largest value of each channel of each sample's source, in so many blocks."""
    batch, channels = x.image.shape[:2]
    blocks, _ = beside_grid(batch * channels, x.source_image.shape[2:].numel())
    return torch.empty((batch, channels, blocks, 2), dtype=work_dtype(x.image), device=x.image.device)


def find_ranges(x: Batch, draws: Draws, ranges: Tensor) -> None:
    """Fills `new_ranges`, sample by sample."""
    from softcp_gpu.kernels import jit_source

    batch, channels, blocks, _ = ranges.shape
    given = (x.pixels(x.source_image), draws.source_index, draws.gamma, draws.noise_sigma, ranges, x.places)
    sizes = (channels, x.source_image.shape[2:].numel(), blocks, x.images_elsewhere, STREAMED)
    launch(jit_source.ranges_pass, (blocks, batch * channels), *given, *sizes)
