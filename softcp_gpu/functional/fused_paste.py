"""Stages 2 to 7 of Soft-CP in one operator of `kernels`, where they run and no gradient is asked for."""

from __future__ import annotations

import torch
from torch import Tensor

from softcp_gpu import kernels
from softcp_gpu.functional import execution
from softcp_gpu.functional.blend import SOFTENED
from softcp_gpu.functional.inputs import Inputs
from softcp_gpu.functional.intensity import OBJECT_NOISE
from softcp_gpu.functional.lesion import labels_of, lesion_of, most_of, widest_window
from softcp_gpu.kernels import paste_inputs, paste_operators, soft_operators
from softcp_gpu.types import PasteConfig, PasteParams, PlacementRecord, SoftCPOutput


def fits(config: PasteConfig) -> bool:
    """Whether `paste` knows such calls: nothing lies between weight and paste, and there are not too many rings."""
    few = max(config.erode_max, config.dilate_max) <= soft_operators.MOST_STEPS
    return few and config.blend in SOFTENED and config.match == "none"


def pastes(x: Inputs, params: PasteParams, config: PasteConfig) -> bool:
    """Whether `paste` does it: kernels run, all is counted in pixels, and no gradient is asked for."""
    if params.object is None or not fits(config) or x.physical.mm is not None:
        return False
    if not len(x.image) or not kernels.run_on(x.image) or execution.may_read_values(x.image):
        return False
    candidates = params.candidate_u.shape[1]
    given = (x.image, x.source_image, params.alpha, *params.object.rigid, *params.object.intensity)
    return not execution.asks_for_gradients(*given) and candidates > 0 and candidates & (candidates - 1) == 0


def paste(
    x: Inputs, params: PasteParams, config: PasteConfig, *, over: bool = False, addresses: Tensor | None = None
) -> SoftCPOutput:
    """Where `pastes` says so.

    Args:
        x: `source_rows` picks from image and mask of the sources.
        params, config: the draws and the rest.
        over: the image of the result may be written over that of `x`.
        addresses: as `paste_inputs.Batch` has them; then the image of the result means nothing.
    """
    assert params.object is not None
    n, shape, work = x.image.ndim - 2, tuple(x.image.shape[2:]), execution.work_dtype(x.image)
    others, labels = x.mask, x.source_mask
    if config.lesion_labels is not None:
        others = lesion_of(x.mask, config.lesion_labels)
        labels = labels_of(labels, lesion_of(labels, config.lesion_labels))
    rows, limits = x.source_rows, x.physical.source_range
    rows = torch.arange(len(x.image), device=x.image.device) if rows is None else rows
    limits = None if limits is None else limits.to(work).contiguous()
    batch = paste_inputs.Batch(x.image, x.mask, others, x.region, x.source_image, labels, limits, addresses)
    own, intensity = (t.detach() for t in params.object.rigid), (t.detach() for t in params.object.intensity)
    drawn = (params.candidate_u, params.rank_u, *own, *intensity)
    steps = (params.alpha.detach(), params.k_erode, params.k_dilate)
    draws = paste_inputs.Draws(params.seed, params.apply, rows, *steps, *drawn)
    most = most_of(shape, labels)
    canvas = config.longest_px or most
    lengths = (list(most), list(canvas), list(widest_window(canvas, shape, config)))
    bounds = ([float(b) for b in config.bounds], [isinstance(b, float) for b in config.bounds])
    flags = (config.footprint == "cross", config.blend == "softcp-geometric", config.on_small == "skip")
    numbers = (config.erode_max, config.dilate_max, config.object_blur_px, OBJECT_NOISE)
    rules = paste_inputs.Rules(*bounds, *lengths, *numbers, *flags, config.in_place)
    image, mask, soft, record = paste_operators.paste(
        batch, draws, rules, over=over and addresses is None and x.image.is_contiguous()
    )
    offset, counts = record[:, :n], record[:, n:].unbind(1)
    return SoftCPOutput(image, mask, soft, PlacementRecord(offset, *counts[:-1]), counts[-1], params)
