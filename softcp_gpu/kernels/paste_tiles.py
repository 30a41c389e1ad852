"""The pixels of a paste, in the tile around each lesion: the source, erosion, and rings with the blend."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from softcp_gpu.kernels.launch import as_numbers, launch, shared_grid, three
from softcp_gpu.kernels.paste_plan import Batch, Draws, Plan, Rules, work_dtype

BLOCK, WORDS = 256, 32  # pixels, or words, that a program does at a time


def cores(x: Batch, rules: Rules, plan: Plan) -> tuple[Tensor, int]:
    """Each lesion after 0, 1, ... steps of erosion, packed as `plan.words`, and how many of them there are."""
    from softcp_gpu.kernels import jit_grow

    if not rules.erode_max:
        return plan.words, 1
    batch, *window = plan.words.shape
    out = plan.words.new_empty((batch, rules.erode_max + 1, *window))
    given = (plan.words, plan.box, out, plan.possible, *window, *three(x.image.shape[2:]), rules.erode_max)
    grid = shared_grid(batch, math.prod(window), WORDS)
    launch(jit_grow.erode_pass, grid, *given, False, rules.cross, x.image.ndim - 2, WORDS, num_warps=1)
    return out, rules.erode_max + 1


def source_tiles(x: Batch, draws: Draws, rules: Rules, plan: Plan) -> Tensor:
    """The source as it will lie in the frame, (B, C, *frame); beyond the tiles it is anything."""
    from softcp_gpu.kernels import jit_source

    shape, n = x.image.shape, x.image.ndim - 2
    after = torch.empty(shape, dtype=work_dtype(x.image), device=x.image.device)
    frame, room = three(shape[2:]), (rules.dilate_max, 2 * rules.radius)
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
    x: Batch, draws: Draws, rules: Rules, plan: Plan, source: Tensor, *, over: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The rings, and everything that comes out."""
    from softcp_gpu.kernels import jit_tile

    shape, n = x.image.shape, x.image.ndim - 2
    eroded, planes = cores(x, rules, plan)
    image = x.image if over else x.image.clone(memory_format=torch.contiguous_format)
    mask = x.mask.clone(memory_format=torch.contiguous_format)
    soft = source.new_zeros((shape[0], 1, *shape[2:]))
    record = torch.empty((shape[0], n + 6), dtype=torch.int64, device=soft.device)
    where = (plan.home, plan.affine, as_numbers(x.labels), draws.source_index, plan.table)
    lesion = (eroded, plan.box, draws.k_erode, plan.possible, plan.state, *where)
    sizes = (planes, *plan.words.shape[1:], *three(shape[2:]), *three(x.labels.shape[2:]), shape[1], rules.dilate_max)
    flags = (rules.erode_max > 0, rules.cross, rules.skips, n, WORDS)
    grid = shared_grid(shape[0], shape[2:].numel() // 32, WORDS)
    given = (*lesion, source, image, as_numbers(mask), soft, record, *sizes)
    launch(jit_tile.tile_paste_pass, grid, *given, *flags, num_warps=1)
    return image, mask, soft, record


def _grid(x: Batch) -> tuple[int, int]:
    return shared_grid(len(x.image), x.image.shape[2:].numel(), BLOCK)
