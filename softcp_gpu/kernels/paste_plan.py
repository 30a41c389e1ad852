"""What a paste needs to know before it touches pixels: boxes, motions, places and weights, in some ten launches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from softcp_gpu.kernels import place_operators as places
from softcp_gpu.kernels.launch import Branch, as_numbers, grid_of, launch, shared_grid, three

PACKED, MOVED = 32, 16  # words that a program does at a time
WARPED, RANGED = 256, 2048  # pixels likewise
RANGES = 32  # programs for the range of a channel
PACKING = 1024  # programs for the masks of a batch


class Batch(NamedTuple):
    """What is pasted into what."""

    image: Tensor  # (B, C, *frame) floating
    mask: Tensor  # (B, 1, *frame)
    others: Tensor  # (B, 1, *frame), not 0 on the lesions of the mask
    region: Tensor | None  # (B, 1, *frame) bool
    source_image: Tensor  # (N, C, *source) floating
    labels: Tensor  # (N, 1, *source), the id of each lesion pixel, else 0
    source_range: Tensor | None  # (B, C, 2), the unit of gamma and noise; None: that of the source
    # (3,) int64: where image, source image and result lie, contiguous and at multiples of 16, whatever the tensors are.
    addresses: Tensor | None


class Draws(NamedTuple):
    """Of `types.PasteParams`."""

    seed: Tensor
    apply: Tensor
    source_index: Tensor
    alpha: Tensor
    k_erode: Tensor
    k_dilate: Tensor
    candidate_u: Tensor
    rank_u: Tensor
    flip: Tensor
    angle_deg: Tensor
    scale: Tensor
    shift_px: Tensor
    gamma: Tensor
    noise_sigma: Tensor
    blur_sigma_px: Tensor


class Rules(NamedTuple):
    """What holds for all samples."""

    bounds: list[float]  # least in the region, most on other lesions, least visible
    fraction: list[bool]  # which of them are fractions
    most: list[int]  # n: what is longer has no place
    canvas: list[int]  # n: holds every moved lesion
    window: list[int]  # n: holds every moved lesion that may have a place
    erode_max: int
    dilate_max: int
    radius: int  # of the blur's kernel; 0: no slot blurs
    stream: int  # of the noise
    cross: bool
    geometric: bool
    skips: bool
    in_place: bool  # the lesion stays where it was


class Plan(NamedTuple):
    """What jit_plan finds, for the passes over the tiles."""

    words: Tensor
    home: Tensor
    affine: Tensor
    box: Tensor
    state: Tensor
    sampling: Tensor
    limits: Tensor
    table: Tensor
    possible: Tensor


def work_dtype(image: Tensor) -> torch.dtype:
    """What to compute an image in."""
    return torch.float64 if image.dtype == torch.float64 else torch.float32


def plan_of(x: Batch, draws: Draws, rules: Rules, branch: Branch, ranges: Tensor) -> Plan:
    """Boxes, motions, places and weights.

    Args:
        x, draws, rules: of the call.
        branch: in which the ranges are found.
        ranges: of `new_ranges`.
    """
    from softcp_gpu.kernels import jit_lesion, jit_masks, jit_motion, jit_places, jit_plan

    device, work = x.image.device, work_dtype(x.image)
    shape, own = x.image.shape[2:], x.labels.shape[2:]
    batch, n, candidates = len(x.image), len(shape), draws.candidate_u.shape[1]
    new = lambda *size, dtype=torch.int64: torch.empty(size, dtype=dtype, device=device)  # noqa: E731
    noted = torch.zeros((3 * batch + len(x.labels)) * 7 + batch, dtype=torch.int32, device=device)
    other_box, region_box, moved, source_box = noted[:-batch].view(-1, 7).split([batch, batch, batch, len(x.labels)])
    others, labels, frame = as_numbers(x.others), as_numbers(x.labels), three(shape)
    region = others if x.region is None else as_numbers(x.region)
    per_line = -(-frame[2] // places.WORD)
    other_words, region_words = new(2, batch, *frame[:2], per_line, dtype=torch.int32)
    grid = packing_grid(batch, frame[0] * frame[1] * per_line)
    flags = (x.region is not None, PACKED)
    masks = (others, region, other_words, region_words, other_box, region_box)
    launch(jit_masks.masks_pass, grid, *masks, *frame, per_line, *flags)
    if x.labels.data_ptr() == x.others.data_ptr() and x.labels.shape == x.others.shape:
        source_box = other_box
    else:
        grid = grid_of(len(labels), math.prod(own), WARPED)
        launch(jit_lesion.box_pass, grid, labels, source_box, *three(own), WARPED)
    rows = draws.source_index
    matrix, affine = new(batch, n + 1, n + 1, dtype=torch.float64), new(batch, n, n + 1, dtype=torch.float64)
    reach, corner, whole = new(batch, n, dtype=torch.float64), new(batch, n), new(batch, dtype=torch.uint8)
    motion = (source_box, rows, *draws[8:12], matrix, affine, reach, corner, whole)
    sizes = (*three(own), *three(rules.canvas), *three(rules.most))
    launch(jit_motion.motion_pass, (1, batch), *motion, *sizes, True, n)
    grid = shared_grid(batch, math.prod(rules.canvas), WARPED)
    sizes = (*three(own), *three(rules.canvas))
    launch(jit_lesion.warped_box_pass, grid, labels, rows, affine, corner, reach, moved, *sizes, True, n, WARPED)
    home, extent, first, span, area = *(new(batch, n) for _ in range(4)), new(batch)
    tried = new(batch, candidates, n)
    rule = (*rules.bounds, *rules.fraction)
    inside = rules.fraction[2] and rules.bounds[2] == 1
    asks = (inside, rules.bounds[0] > 0, rules.in_place, x.region is not None)
    found = (moved, corner, region_box, other_box, draws.candidate_u, home, extent, area, first, span, tried)
    launch(jit_plan.places_pass, (1, batch), *found, *three(rules.canvas), *frame, *asks, *rule, n, candidates)
    window = three(rules.window)
    across = -(-window[2] // places.WORD)
    words = new(batch, *window[:2], across, dtype=torch.int32)
    grid = shared_grid(batch, window[0] * window[1] * across, MOVED)
    sizes = (*three(own), *window[:2], across)
    launch(jit_masks.moved_words_pass, grid, labels, rows, affine, home, extent, words, *sizes, n, MOVED)
    counts = new(batch, candidates, 4, dtype=torch.int32)
    sizes, rule = (*window[:2], across, *frame, per_line), (x.region is not None, *rule)
    packed = (words, region_words, other_words)
    given = (*packed, extent, area, tried, span, counts, candidates)
    launch(jit_places.count_pass, (candidates, batch), *given, *sizes, *rule, n, places.COUNTED)
    # Where a lesion may lie partly outside, its box begins at most its own length before the frame.
    most = math.prod(length + side * (not inside) for length, side in zip(shape, _rounded(rules.window), strict=True))
    legal = new(batch, most, dtype=torch.uint8)
    blocks, _ = grid_of(batch, most, places.MAPPED)
    given = (*packed, extent, area, first, span, counts, legal, most)
    grid = (min(blocks, places.PROGRAMS), batch)
    launch(jit_places.map_pass, grid, *given, *sizes, *rule, n, candidates, places.MAPPED)
    branch.join()
    blocks = ranges.shape[2]
    k_max, channels = rules.dilate_max, x.image.shape[1]
    out = (new(batch, 7, dtype=torch.int32), new(batch, 5, dtype=torch.int32), new(batch, n, n + 1, dtype=work))
    out = (*out, new(batch, channels, 2, dtype=work), new(batch, k_max + 2, dtype=work))
    known = (extent, area, home, first, span, tried, counts, legal, draws.rank_u, affine, ranges)
    given = (*packed, source_box, rows, whole, as_numbers(draws.apply), *known, draws.alpha, draws.k_dilate, *out)
    sizes = (most, *sizes, *three(own), channels, blocks, k_max)
    powers = (1 << (blocks - 1).bit_length(), 1 << (k_max + 1).bit_length())
    how = (rules.geometric, n, candidates, places.RANKED, places.COUNTED, *powers)
    launch(jit_plan.plan_pass, (1, batch), *given, *sizes, *rule, *how)
    return Plan(words, home, affine, *out, noted[-batch:])


def packing_grid(batch: int, words: int) -> tuple[int, int]:
    """Programs that pack a mask: few, since each has a box to note at its end."""
    return min(-(-words // PACKED), max(PACKING // max(batch, 1), 1)), batch


def _rounded(window: Sequence[int]) -> list[int]:
    """Lengths of a window that is stored in words."""
    return [*window[:-1], -(-window[-1] // places.WORD) * places.WORD]


def new_ranges(x: Batch) -> Tensor:
    """Memory for the least and the largest value of each channel of each sample's source, in so many blocks."""
    pixels = x.source_image.shape[2:].numel()
    shape = (*x.image.shape[:2], min(RANGES, -(-pixels // RANGED)), 2)
    return torch.empty(shape, dtype=work_dtype(x.image), device=x.image.device)


def find_ranges(x: Batch, draws: Draws, ranges: Tensor) -> None:
    """Fills `new_ranges`."""
    from softcp_gpu.kernels import jit_source

    batch, channels, blocks, _ = ranges.shape
    given = (pixels_of(x.source_image, x), draws.source_index, draws.gamma, draws.noise_sigma, ranges, *address(x))
    sizes = (channels, x.source_image.shape[2:].numel(), blocks, x.addresses is not None, RANGED)
    launch(jit_source.ranges_pass, (blocks, batch * channels), *given, *sizes)


def pixels_of(image: Tensor, x: Batch) -> Tensor:
    """What kernels get: the tensor, or, of one that lies elsewhere, its type."""
    return image if x.addresses is None else image.new_empty(1)


def address(x: Batch) -> tuple[Tensor]:
    """What kernels get as addresses."""
    return (x.labels if x.addresses is None else x.addresses,)
