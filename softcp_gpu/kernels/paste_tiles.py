"""The pixels of a paste, in the tile around each lesion: rings, the source, and the blend."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from softcp_gpu.kernels.launch import as_numbers, launch, shared_grid, three
from softcp_gpu.kernels.operators import axes_within, level_dtype
from softcp_gpu.kernels.paste_plan import Batch, Draws, Plan, Rules, work_dtype

BLOCK = 256  # pixels that a program does at a time


def ring_counts(x: Batch, draws: Draws, rules: Rules, plan: Plan) -> tuple[Tensor, str]:
    """All passes of erosion, and of the rings all but the last.

    Returns:
        (B, 1, *frame) integer, and what it holds: "lesion": nothing yet, "depth" or "distance".
    """
    from softcp_gpu.kernels import jit_rings, jit_tile

    shape = x.image.shape
    dtype = level_dtype(max(rules.erode_max, rules.dilate_max) + 2)
    new = lambda: torch.empty((shape[0], 1, *shape[2:]), dtype=dtype, device=x.image.device)  # noqa: E731
    known, holds = plan.words, "lesion"
    erosions = axes_within(shape, rules.erode_max) if rules.erode_max else []
    dilations = axes_within(shape, rules.dilate_max)[:-1]
    passes = [(axis, True, i + 1 == len(erosions)) for i, axis in enumerate(erosions)]
    passes += [(axis, False, False) for axis in dilations]
    for axis, erodes, deepest in passes:
        found, packed = new(), holds == "lesion"
        core = not erodes and holds != "distance"
        reads = jit_rings.CORE if core else jit_rings.OUTSIDE if packed else jit_rings.DISTANCE
        tensors = (plan.words, known, plan.box, draws.k_erode, plan.possible, found)
        far = (rules.erode_max if erodes else rules.dilate_max) + 1
        sizes = (margin_of(rules), *_window(plan), *three(shape[2:]), far, axis[0], axis[2])
        flags = (reads.value, packed, rules.erode_max > 0, deepest, rules.cross, axis[3], BLOCK)
        launch(jit_tile.tile_distance_pass, _grid(x), *tensors, *sizes, *flags)
        known, holds = found, "depth" if deepest else "distance"
    return known, holds


def source_tiles(x: Batch, draws: Draws, rules: Rules, plan: Plan) -> Tensor:
    """The source as it will lie in the frame, (B, C, *frame); beyond the tiles it is anything."""
    from softcp_gpu.kernels import jit_source

    shape, n = x.image.shape, x.image.ndim - 2
    after = torch.empty(shape, dtype=work_dtype(x.image), device=x.image.device)
    frame, room = three(shape[2:]), (margin_of(rules), 2 * rules.radius)
    drawn = (plan.limits, draws.gamma, draws.noise_sigma, draws.blur_sigma_px, draws.seed)
    tensors = (x.source_image, draws.source_index, plan.sampling, plan.box, *drawn, after)
    sizes = (*room, shape[1], *three(x.source_image.shape[2:]), *frame, rules.stream)
    launch(jit_source.tile_source_pass, _grid(x), *tensors, *sizes, n, BLOCK)
    if not rules.radius:
        return after
    before, rows = torch.empty_like(after), (_grid(x)[0], shape[0] * shape[1])
    # Back and forth, so that samples that blur end where the others are; of three axes a pass more, which only copies.
    lines = [(math.prod(shape[a + 1 :]), shape[a], rules.radius) for a in range(2, n + 2)]
    lines += [(1, shape[-1], 0)] * (n % 2)
    for slot in range(2):
        for i, (stride, length, radius) in enumerate(lines):
            given, out = (before, after) if i % 2 else (after, before)
            sizes = (*room, shape[1], *frame, rules.stream, stride, length)
            flags = (slot, slot == 0 and i + 1 == len(lines), radius >= length, radius, BLOCK)
            launch(jit_source.tile_blur_pass, rows, given, plan.box, *drawn, out, *sizes, *flags)
    return after


def blended(
    x: Batch, draws: Draws, rules: Rules, plan: Plan, rings: tuple[Tensor, str], source: Tensor, *, over: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The last pass of the rings, and everything that comes out."""
    from softcp_gpu.kernels import jit_rings, jit_tile

    shape, n = x.image.shape, x.image.ndim - 2
    image = x.image if over else x.image.clone(memory_format=torch.contiguous_format)
    mask = x.mask.clone(memory_format=torch.contiguous_format)
    soft = source.new_zeros((shape[0], 1, *shape[2:]))
    record = torch.empty((shape[0], n + 6), dtype=torch.int64, device=soft.device)
    (known, holds), axis = rings, axes_within(shape, rules.dilate_max)[-1]
    reads = jit_rings.DISTANCE if holds == "distance" else jit_rings.CORE
    lesion = (plan.words, known, plan.box, draws.k_erode, plan.possible)
    where = (plan.home, plan.affine, as_numbers(x.labels), draws.source_index, plan.table)
    given = (*lesion, plan.state, *where, source, image, as_numbers(mask), soft, record)
    sizes = (margin_of(rules), *_window(plan), *three(shape[2:]), *three(x.labels.shape[2:]))
    sizes = (*sizes, shape[1], rules.dilate_max + 1, axis[0], axis[2])
    flags = (reads.value, holds == "lesion", rules.erode_max > 0, rules.cross, rules.skips, axis[3], n, BLOCK)
    launch(jit_tile.tile_paste_pass, _grid(x), *given, *sizes, *flags)
    return image, mask, soft, record


def margin_of(rules: Rules) -> int:
    """How far around a lesion's box rings reach; one pixel at least, so that the lesion ends in its tile."""
    return max(rules.dilate_max, 1)


def _window(plan: Plan) -> tuple[int, ...]:
    """Lengths of the words of a lesion."""
    return tuple(plan.words.shape[1:])


def _grid(x: Batch) -> tuple[int, int]:
    return shared_grid(len(x.image), x.image.shape[2:].numel(), BLOCK)
