"""The pixels of a paste: frames as they were, and in the tile around each lesion the source, rings and the blend."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from softcp_gpu.kernels import rings
from softcp_gpu.kernels.launch import STREAMED, as_numbers, beside_grid, launch, shared_grid, three
from softcp_gpu.kernels.paste_inputs import Batch, Draws, Plan, Rules, work_dtype

BLOCK = 256  # pixels that a program does at a time


class Result(NamedTuple):
    """What comes out."""

    image: Tensor
    mask: Tensor
    soft: Tensor
    record: Tensor


def new_result(x: Batch, *, over: bool) -> Result:
    """Memory for it, except for what is written over, or lies elsewhere."""
    shape, device = x.image.shape, x.image.device
    image = x.pixels(x.image) if over or x.images_elsewhere else torch.empty(shape, dtype=x.image.dtype, device=device)
    mask = torch.empty(1 if x.masks_elsewhere else x.mask.shape, dtype=x.mask.dtype, device=device)
    soft = torch.empty((shape[0], 1, *shape[2:]), dtype=work_dtype(x.image), device=device)
    return Result(image, mask, soft, torch.empty((shape[0], len(shape) + 4), dtype=torch.int64, device=device))


def copy_images(x: Batch, image: Tensor, ranges: Tensor | None) -> None:
    """The images as they are; and, where they are the sources, `new_ranges` of them on the way, source by source."""
    from softcp_gpu.kernels import jit_frames

    rows, pixels = x.image.shape[0] * x.image.shape[1], x.image.shape[2:].numel()
    given = (x.pixels(x.image), image, image if ranges is None else ranges, x.places, pixels)
    flags = (ranges is not None, x.images_elsewhere, STREAMED)
    launch(jit_frames.copy_pass, beside_grid(rows, pixels), *given, *flags)


def fill(x: Batch, out: Result, *, copies: bool) -> None:
    """The frames as they are without a paste; the images only if `copies`."""
    if copies:
        copy_images(x, out.image, None)
    if not x.masks_elsewhere:
        out.mask.copy_(x.mask)
    rings.fill_zeros(out.soft)


def grow(x: Batch, draws: Draws, rules: Rules, plan: Plan, cores: Tensor, soft: Tensor) -> None:
    """Erodes each lesion, into `rings.new_cores`, and writes S into zeros."""
    shape = rings.Shape(three(x.image.shape[2:]), x.image.ndim - 2, rules.cross, framed=False)
    lesions = rings.Lesions(plan.words, cores, plan.box, plan.possible)
    rings.erode(lesions, shape)
    rings.weigh(lesions, shape, draws.k_erode, plan.table, soft, skips=rules.skips)


def source_tiles(x: Batch, draws: Draws, rules: Rules, plan: Plan) -> Tensor:
    """The source as it will lie in the frame, (B, C, *frame); beyond the tiles it is anything."""
    from softcp_gpu.kernels import jit_source

    shape, n = x.image.shape, x.image.ndim - 2
    after = torch.empty(shape, dtype=work_dtype(x.image), device=x.image.device)
    frame, room = three(shape[2:]), (rules.dilate_max, 2 * rules.radius)
    drawn = (plan.limits, draws.gamma, draws.noise_sigma, draws.blur_sigma_px, draws.seed)
    tensors = (x.pixels(x.source_image), draws.source_index, plan.sampling, plan.box, *drawn, after, x.places)
    sizes = (*room, shape[1], *three(x.source_image.shape[2:]), *frame, rules.stream, x.images_elsewhere)
    launch(jit_source.tile_source_pass, _rows(x), *tensors, *sizes, n, BLOCK)
    if not rules.radius:
        return after
    before = torch.empty_like(after)
    # Back and forth, so that samples that blur end where the others are; of three axes a pass more, which only copies.
    lines = [(axis, rules.radius) for axis in range(3 - n, 3)] + [(2, 0)] * (n % 2)
    for slot in range(2):
        for i, (axis, radius) in enumerate(lines):
            given, out = (before, after) if i % 2 else (after, before)
            sizes = (*room, shape[1], *frame, rules.stream)
            flags = (axis, slot, slot == 0 and i + 1 == len(lines), radius >= frame[axis], radius, n, BLOCK)
            launch(jit_source.tile_blur_pass, _rows(x), given, plan.box, *drawn, out, *sizes, *flags)
    return after


def blend(x: Batch, draws: Draws, rules: Rules, plan: Plan, source: Tensor, out: Result) -> None:
    """Everything that changes in image and mask, and the record."""
    from softcp_gpu.kernels import jit_tile

    shape, n = x.image.shape, x.image.ndim - 2
    where = (plan.home, plan.affine, as_numbers(x.labels), draws.source_index, out.soft)
    given = (plan.box, draws.k_erode, plan.possible, plan.state, *where)
    written = (source, out.image, as_numbers(out.mask), out.record, x.places)
    sizes = (rules.dilate_max, *three(shape[2:]), *three(x.labels.shape[2:]), shape[1])
    flags = (rules.erode_max > 0, rules.skips, x.images_elsewhere, x.masks_elsewhere, n, BLOCK)
    launch(jit_tile.tile_blend_pass, _rows(x), *given, *written, *sizes, *flags)


def _rows(x: Batch) -> tuple[int, int]:
    """Programs for each channel of each sample."""
    return shared_grid(x.image.shape[0] * x.image.shape[1], x.image.shape[2:].numel(), BLOCK)
