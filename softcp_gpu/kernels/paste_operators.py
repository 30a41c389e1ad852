"""The whole paste of a batch as one operator of torch: some twenty launches, with nothing of torch between them.

Frames are read and written once; all else follows the lesions. Nothing is differentiated. Triton is imported when it
first runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, library

from softcp_gpu.kernels.launch import Branch
from softcp_gpu.kernels.paste_inputs import Batch, Draws, Rules, work_dtype
from softcp_gpu.kernels.paste_plan import find_ranges, look_at_masks, new_ranges, plan_of
from softcp_gpu.kernels.paste_tiles import blend, copy_images, fill, grow, new_result, source_tiles
from softcp_gpu.kernels.rings import new_cores


def paste(batch: Batch, draws: Draws, rules: Rules, *, over: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Soft-CP of a batch whose draws are made.

    Args:
        batch, draws, rules: contiguous where they are written.
        over: the result is written over `batch.image`, which the sources may be as well.

    Returns:
        image and mask, as they came; of what lies elsewhere, nothing. S (B, 1, *frame), float64 for such
        images, else float32. And (B, n + 6) int64: offset, area, visible, in the region, on other lesions, erosion
        steps, status.
    """
    if over:
        mask, soft, record = _paste_over(*batch, *draws, *rules)
        return batch.image, mask, soft, record
    image, mask, soft, record = _paste(*batch, *draws, *rules)
    return image, mask, soft, record


_GIVEN = "Tensor mask, Tensor others, Tensor? region, Tensor source, Tensor labels, Tensor? source_range"
_GIVEN += ", Tensor? addresses, Tensor seed"
_GIVEN += ", Tensor apply, Tensor rows, Tensor alpha, Tensor k_erode, Tensor k_dilate, Tensor candidate_u"
_GIVEN += ", Tensor rank_u, Tensor flip, Tensor angle, Tensor scale, Tensor shift, Tensor gamma, Tensor sigma"
_GIVEN += ", Tensor blur, float[] bounds, bool[] fraction, int[] most, int[] canvas, int[] window, int erode_max"
_GIVEN += ", int dilate_max, int radius, int stream, bool cross, bool geometric, bool skips, bool in_place"


@library.custom_op(
    "softcp_gpu::paste", mutates_args=(), schema=f"(Tensor image, {_GIVEN}) -> (Tensor, Tensor, Tensor, Tensor)"
)
def _paste(*inputs: Any) -> tuple[Tensor, ...]:
    return _run(*_grouped(inputs), over=False)


@_paste.register_fake
def _paste_like(*inputs: Any) -> tuple[Tensor, ...]:
    batch, _, _ = _grouped(inputs)
    return torch.empty_like(batch.image), torch.empty_like(batch.mask), *_record_like(batch)


@library.custom_op(
    "softcp_gpu::paste_over",
    mutates_args=("image",),
    schema=f"(Tensor(a!) image, {_GIVEN}) -> (Tensor, Tensor, Tensor)",
)
def _paste_over(*inputs: Any) -> tuple[Tensor, ...]:
    return _run(*_grouped(inputs), over=True)[1:]


@_paste_over.register_fake
def _paste_over_like(*inputs: Any) -> tuple[Tensor, ...]:
    batch, _, _ = _grouped(inputs)
    return torch.empty_like(batch.mask), *_record_like(batch)


def _grouped(inputs: Sequence[Any]) -> tuple[Batch, Draws, Rules]:
    first, second = len(Batch._fields), len(Batch._fields) + len(Draws._fields)
    return Batch(*inputs[:first]), Draws(*inputs[first:second]), Rules(*inputs[second:])


def _record_like(x: Batch) -> tuple[Tensor, Tensor]:
    shape = (x.image.shape[0], 1, *x.image.shape[2:])
    record = torch.empty((shape[0], len(shape) + 4), dtype=torch.int64, device=x.image.device)
    return torch.empty(shape, dtype=work_dtype(x.image), device=x.image.device), record


def _run(x: Batch, draws: Draws, rules: Rules, *, over: bool) -> tuple[Tensor, ...]:
    if x.masks_elsewhere:  # the first pass fetches them
        labels = torch.empty(x.mask.shape, dtype=x.mask.dtype, device=x.mask.device)
        x = x._replace(others=labels, labels=labels if x.labels.data_ptr() == x.mask.data_ptr() else x.labels)
    known = look_at_masks(x)  # with all of the memory's bandwidth: what follows waits for it, and not for the frames
    ranged, filled = Branch(x.image), Branch(x.image)
    ranges = new_ranges(x) if x.source_range is None else x.source_range[:, :, None]
    own = x.source_image.data_ptr() == x.image.data_ptr() and x.source_image.shape == x.image.shape
    at_once = filled.beside and own and x.source_range is None and not over
    out = new_result(x, over=over) if filled.beside else None
    with ranged.begin():
        if at_once and out is not None:
            copy_images(x, out.image, ranges)
        elif x.source_range is None:
            find_ranges(x, draws, ranges)
    if out is not None:
        with filled.begin():
            fill(x, out, copies=not over and not at_once)
    plan = plan_of(x, draws, rules, known, ranged, ranges, of_sources=at_once)
    cores = new_cores(plan.words, rules.erode_max)
    if out is not None:
        with filled.begin():
            grow(x, draws, rules, plan, cores, out.soft)
    source = source_tiles(x, draws, rules, plan)
    filled.join()
    if out is None:  # in turn it comes late: by then some memory is free again
        out = new_result(x, over=over)
        fill(x, out, copies=not over)
        grow(x, draws, rules, plan, cores, out.soft)
    blend(x, draws, rules, plan, source, out)
    return tuple(out._replace(mask=out.mask.expand(x.mask.shape)))
