"""The pixels of a paste, in the tile around each lesion: the source, erosion, and rings with the blend."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from softcp_gpu.kernels.launch import Branch, as_numbers, launch, shared_grid, three
from softcp_gpu.kernels.paste_inputs import Batch, Draws, Plan, Rules, address, pixels_of, work_dtype

BLOCK, WORDS, COPIED = 256, 32, 4096  # pixels, words, numbers that a program does at a time
BLENDED = 8  # words likewise: of more, what is known of their pixels does not fit into the registers


class Result(NamedTuple):
    """What comes out."""

    image: Tensor
    mask: Tensor
    soft: Tensor
    record: Tensor


def filled_result(x: Batch, branch: Branch, *, over: bool) -> Result:
    """The frames as they are without a paste: copied, unless the image is written over."""
    from softcp_gpu.kernels import jit_source

    shape, device = x.image.shape, x.image.device
    there = over or x.addresses is not None
    image = pixels_of(x.image, x) if there else torch.empty(shape, dtype=x.image.dtype, device=device)
    mask = torch.empty(x.mask.shape, dtype=x.mask.dtype, device=device)
    soft = torch.empty((shape[0], 1, *shape[2:]), dtype=work_dtype(x.image), device=device)
    with branch.begin():
        if x.addresses is not None:
            blocks, count = -(-x.image.numel() // COPIED), x.image.numel()
            launch(jit_source.copy_pass, (blocks, 1), image, image, x.addresses, count, True, COPIED)
        elif not over:
            image.copy_(x.image)
        mask.copy_(x.mask)
        soft.zero_()
    return Result(image, mask, soft, torch.empty((shape[0], len(shape) + 4), dtype=torch.int64, device=device))


def new_cores(rules: Rules, plan: Plan) -> Tensor:
    """Memory for each lesion after 0, 1, ... steps of erosion, packed as `plan.words`; they are it if none is made."""
    if not rules.erode_max:
        return plan.words[:, None]
    batch, *window = plan.words.shape
    return plan.words.new_empty((batch, rules.erode_max + 1, *window))


def erode(x: Batch, rules: Rules, plan: Plan, cores: Tensor) -> None:
    """Fills `new_cores`."""
    from softcp_gpu.kernels import jit_grow

    if rules.erode_max:
        batch, _, *window = cores.shape
        given = (plan.words, plan.box, cores, plan.possible, *window, *three(x.image.shape[2:]), rules.erode_max)
        grid = shared_grid(batch, math.prod(window), WORDS)
        launch(jit_grow.erode_pass, grid, *given, False, rules.cross, x.image.ndim - 2, WORDS, num_warps=1)


def source_tiles(x: Batch, draws: Draws, rules: Rules, plan: Plan) -> Tensor:
    """The source as it will lie in the frame, (B, C, *frame); beyond the tiles it is anything."""
    from softcp_gpu.kernels import jit_source

    shape, n = x.image.shape, x.image.ndim - 2
    after = torch.empty(shape, dtype=work_dtype(x.image), device=x.image.device)
    frame, room = three(shape[2:]), (rules.dilate_max, 2 * rules.radius)
    drawn = (plan.limits, draws.gamma, draws.noise_sigma, draws.blur_sigma_px, draws.seed)
    tensors = (pixels_of(x.source_image, x), draws.source_index, plan.sampling, plan.box, *drawn, after, *address(x))
    sizes = (*room, shape[1], *three(x.source_image.shape[2:]), *frame, rules.stream, x.addresses is not None)
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


def blend(x: Batch, draws: Draws, rules: Rules, plan: Plan, cores: Tensor, source: Tensor, out: Result) -> None:
    """Rings, and everything that changes in the result."""
    from softcp_gpu.kernels import jit_tile

    shape, n = x.image.shape, x.image.ndim - 2
    where = (plan.home, plan.affine, as_numbers(x.labels), draws.source_index, plan.table)
    lesion = (cores, plan.box, draws.k_erode, plan.possible, plan.state, *where)
    given = (*lesion, source, out.image, as_numbers(out.mask), out.soft, out.record, *address(x))
    sizes = (*cores.shape[1:], *three(shape[2:]), *three(x.labels.shape[2:]), shape[1], rules.dilate_max)
    flags = (rules.erode_max > 0, rules.cross, rules.skips, x.addresses is not None, n, BLENDED)
    grid = shared_grid(shape[0], shape[2:].numel() // 32, BLENDED)
    launch(jit_tile.tile_paste_pass, grid, *given, *sizes, *flags, num_warps=1)


def _grid(x: Batch) -> tuple[int, int]:
    return shared_grid(len(x.image), x.image.shape[2:].numel(), BLOCK)
