"""The stages of Soft-CP in order, on tensors, with everything random already drawn.

background transform, source lesion, one warp, a legal place, intensities, soft mask, paste, image transform.
"""

from __future__ import annotations

import torch
from torch import Tensor

from softcp_gpu.functional import execution, fused_paste, fused_places, looped_paste
from softcp_gpu.functional.blend import blend_at_once, blend_source, blend_weight, blends_at_once, source_labels
from softcp_gpu.functional.groups import Joined, groups, rows_of
from softcp_gpu.functional.inputs import Inputs, Physical
from softcp_gpu.functional.intensity import BACKGROUND_NOISE, IMAGE_NOISE
from softcp_gpu.functional.lesion import Lesion, lesion_of, transformed_lesion
from softcp_gpu.functional.overlap import Overlaps, overlaps_at, within_bounds
from softcp_gpu.functional.paste import hard_union, match_rim, soft_paste
from softcp_gpu.functional.search import find_origin
from softcp_gpu.functional.soft_mask import Steps
from softcp_gpu.functional.source import source_tile, tile_around
from softcp_gpu.functional.transforms import crop_and_resize, transform_image
from softcp_gpu.functional.windows import count_pixels, place_window, put_window, take_tile, take_window
from softcp_gpu.types import PasteConfig, PasteParams, PlacementRecord, SoftCPOutput, Spacing, Status, tensors_of


def soft_cp(
    image: Tensor,
    mask: Tensor,
    region: Tensor | None,
    source_image: Tensor,
    source_mask: Tensor,
    params: PasteParams,
    config: PasteConfig,
    physical: Physical | None = None,
    *,
    over: bool = False,
    addresses: Tensor | None = None,
) -> SoftCPOutput:
    """Runs Soft-CP on checked tensors; a pure function of its arguments, traceable as one graph.

    Args:
        image: (B, C, *spatial) floating.
        mask: (B, 1, *spatial), binary or class ids.
        region: (B, 1, *spatial) bool, or None.
        source_image: (N, C, *source) floating; its frame may differ from the image's.
        source_mask: (N, 1, *source); `params.source_index` picks from both.
        params: the draws, on the device of the image.
        config: the rest.
        physical: spacing and value range of image and sources, where they are known.
        over: `image` is not needed any more, so the result may lie in its memory.
        addresses: where image, source image and the image of the result lie, see `paste_inputs.Batch`, for a call that
            `fused_paste.pastes` and that transforms no whole image.

    Returns:
        The result and its record. Under autocast, and for half precision, it computes in float32.
    """
    source = params.source_index
    whole = Inputs(image, mask, region, source_image, source_mask, physical or Physical())
    with execution.without_autocast(image), execution.frames_of(image.shape[2:]):
        if not len(image) and execution.may_read_values(image):
            return _untouched(whole, params)
        x, fresh = _with_background(whole, params, config, over=over)
        if execution.may_read_values(image):
            out = _in_groups(x, params, config, over=fresh)
        else:
            out = _pasted(x.with_sources(source), params, config, over=fresh, addresses=addresses)
        return _with_image(out, params, config)


def _in_groups(x: Inputs, params: PasteParams, config: PasteConfig, *, over: bool) -> SoftCPOutput:
    """`_pasted`, of a few samples at a time; a sample gets the same bits in every company."""
    execution.keep_what_is_freed()
    if looped_paste.pastes(x, params, config):
        return looped_paste.paste(x, params, config, over=over)
    alone = _sums(config) or x.physical.mm is not None
    found = lesion_of(x.source_mask[..., ::8, ::8], config.lesion_labels)  # enough to tell large ones
    lesion = 64 * int(count_pixels(found).sum()) // max(1, len(found))
    together = [*groups(params.apply.tolist(), tuple(x.image.shape[2:]), lesion, alone=alone)]
    asked = execution.asks_for_gradients(x.image, x.source_image, *tensors_of(params))
    if len(together) > 1 and not asked:  # each group is pasted where the result will lie
        fresh = x.image if over else execution.empty(x.image.shape, x.image.dtype, x.image.device).copy_(x.image)
        x, over = x._replace(image=fresh), True
    joined = Joined(len(x.image), x.image if over and not asked else None)
    for rows in together:
        some, few = x.rows(rows, rows_of(params.source_index[rows].tolist())), params.rows(rows)
        joined.add(rows, _pasted(some, few, _config_of(config, some.physical, few), over=over))
    return joined.output(params)


def _sums(config: PasteConfig) -> bool:
    """Whether a sample's last bits depend on how many pixels around it are computed: then it is computed alone."""
    return config.match == "rim" or config.blend in ("poisson", "carvemix")


def _config_of(config: PasteConfig, physical: Physical, params: PasteParams) -> PasteConfig:
    """What the call is for a few of its samples: no more steps, and so no larger tiles, than they ask for."""
    config = config._replace(erode_max=int(params.k_erode.max()), dilate_max=int(params.k_dilate.max()))
    if physical.mm is None or physical.source_mm is None:
        return config
    resample = not torch.equal(physical.mm, physical.source_mm)
    return config._replace(least_mm=tuple(physical.mm[0].tolist()), resample=resample)


def _with_background(x: Inputs, params: PasteParams, config: PasteConfig, *, over: bool) -> tuple[Inputs, bool]:
    """The batch with its whole images transformed, and whether the result may lie in their memory."""
    if params.background is None:
        return x, over
    draws, given = params.background, x.image
    x = x._replace(
        image=transform_image(given, draws, config.background_blur_px, params.seed, BACKGROUND_NOISE, over=over),
        mask=crop_and_resize(x.mask, draws, "nearest"),
        region=None if x.region is None else crop_and_resize(x.region, draws, "nearest"),
    )
    return x, over or x.image is not given


def _pasted(
    x: Inputs, params: PasteParams, config: PasteConfig, *, over: bool, addresses: Tensor | None = None
) -> SoftCPOutput:
    """Every sample with its own source pasted."""
    if execution.may_read_values(x.image) and not bool(params.apply.any()):
        return _untouched(x, params)
    if fused_paste.pastes(x, params, config):
        return fused_paste.paste(x, params, config, over=over, addresses=addresses)
    return _paste(x.with_masks(), params, config, over=over)


def _with_image(out: SoftCPOutput, params: PasteParams, config: PasteConfig) -> SoftCPOutput:
    """The result with its whole images transformed."""
    if params.image is None:
        return out
    draws, over = params.image, not execution.asks_for_gradients(out.image)  # which all of them may be needed for
    return SoftCPOutput(  # torch 2.11 did not compile what ended in `out._replace`
        transform_image(out.image, draws, config.image_blur_px, params.seed, IMAGE_NOISE, over=over),
        crop_and_resize(out.mask, draws, "nearest", over=over),
        crop_and_resize(out.soft_mask, draws, "linear", over=over),
        out.placement,
        out.status,
        params,
    )


def _untouched(x: Inputs, params: PasteParams) -> SoftCPOutput:
    """What a sample gets that p has not drawn."""
    zero = torch.zeros_like(params.source_index)
    record = PlacementRecord(zero[:, None].expand(-1, x.image.ndim - 2), zero, zero, zero, zero, zero)
    soft = execution.zeros(x.mask.shape, execution.work_dtype(x.image), x.mask.device)
    return SoftCPOutput(execution.copied(x.image), x.mask.clone(), soft, record, zero + Status.NOT_DRAWN, params)


def _paste(x: Inputs, params: PasteParams, config: PasteConfig, *, over: bool = False) -> SoftCPOutput:
    """Stages 2 to 7."""
    shape, work = tuple(x.image.shape[2:]), execution.work_dtype(x.image)
    mm, source_mm, _ = x.physical
    lesion = transformed_lesion(x.source_mask, params, config, shape, source_mm, mm)
    others = lesion_of(x.mask, config.lesion_labels)
    origin, legal, counts = _place(lesion, x.region, others, shape, params, config)

    # From here on only a tile of the frame counts: the lesion, its rim, and what blurs into them.
    spacing = None if mm is None or config.least_mm is None else Spacing(mm, config.least_mm)
    steps = Steps(params.k_erode, params.k_dilate, params.alpha, config.erode_max, config.dilate_max, spacing)
    corner, tile = tile_around(origin, lesion.size, shape, steps, params, config)
    labels = take_window(lesion.labels, corner - origin, tile)
    hard, offset = labels.to(torch.bool), origin - lesion.home
    source = source_tile(x, lesion, origin, corner, tile, steps, params, config)
    background, old = take_tile(x.image, corner, tile), take_tile(x.mask, corner, tile)

    may = _status(params.apply, lesion, legal & lesion.whole)
    if blends_at_once(hard, steps, config):
        weight = blend_at_once(hard, steps, source, background, may == Status.PASTED.value, config)
    else:
        weight = blend_weight(hard, steps, params.carve_u, config)
    # Erosion comes after the place.
    gone = None if config.on_small == "shrink" else ~weight.survives
    status = may if gone is None else torch.where(may == Status.PASTED.value, gone * Status.LESION_TOO_SMALL.value, may)
    pasted = status == Status.PASTED.value
    soft = weight.soft.to(work) * _column(pasted, weight.soft)
    if weight.rim is not None:
        rim = weight.rim & ~hard & ~take_tile(others, corner, tile)
        source = match_rim(source, background.to(work), rim)
    source = blend_source(source, background, hard, config)
    # A label needs pixels: what no ring reaches is not pasted, so it is not labelled.
    shown = hard & (soft > 0)
    if config.blend == "carvemix":  # all of the source's label goes with its pixels
        labels, there = source_labels(x, lesion, labels, offset, corner, tile, config)
        soft = soft * there
        shown = soft > 0
    blended = soft_paste(background, source, soft) if weight.blended is None else weight.blended
    record = PlacementRecord(offset, lesion.area, *counts, weight.k_erode)
    return SoftCPOutput(
        put_window(x.image, blended, corner, over=over),
        put_window(x.mask, hard_union(old, labels, shown), corner),
        place_window(soft, corner, shape),
        PlacementRecord(*(field * _column(pasted, field) for field in record)),
        status,
        params,
    )


def _place(
    lesion: Lesion,
    region: Tensor | None,
    others: Tensor,
    shape: tuple[int, ...],
    params: PasteParams,
    config: PasteConfig,
) -> tuple[Tensor, Tensor, Overlaps]:
    """Where each lesion's box begins, whether it may lie there, and what it covers there."""
    if fused_places.places(lesion, params):
        return fused_places.place(lesion, region, others, shape, params, config)
    window = lesion.labels.to(torch.bool)
    if not config.in_place:
        origin, legal = find_origin(
            window, lesion.size, lesion.area, shape, region, others, config.bounds, params.candidate_u, params.rank_u
        )
        return origin, legal, overlaps_at(window, origin, shape, region, others)
    counts = overlaps_at(window, lesion.home, shape, region, others)
    return lesion.home, within_bounds(counts, lesion.area, config.bounds, region), counts


def _status(apply: Tensor, lesion: Lesion, legal: Tensor) -> Tensor:
    """The first reason that keeps a sample from being pasted, (B,) int64."""
    status = ~legal * Status.NO_LEGAL_PLACE.value
    status.masked_fill_(lesion.area == 0, Status.LESION_TOO_SMALL.value)
    status.masked_fill_(~lesion.found, Status.EMPTY_SOURCE.value)
    return status.masked_fill_(~apply, Status.NOT_DRAWN.value)


def _column(flag: Tensor, like: Tensor) -> Tensor:
    return flag.view(-1, *(1,) * (like.ndim - 1))
