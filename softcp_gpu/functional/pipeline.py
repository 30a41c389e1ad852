"""The stages of Soft-CP in order, on tensors, with everything random already drawn.

background transform -> source lesion -> one warp -> a legal place -> intensities -> soft mask -> paste -> image transform
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from softcp_gpu.functional.execution import may_read_values
from softcp_gpu.functional.geometry import compose, translation, warp
from softcp_gpu.functional.paste import hard_union, match_rim, soft_paste
from softcp_gpu.functional.placement import find_origin, overlaps_at, within_bounds
from softcp_gpu.functional.soft_mask import Steps, soften
from softcp_gpu.functional.transforms import lesion_canvas, transform_image, transform_intensity
from softcp_gpu.functional.windows import bounding_box, put_window, surrounding_window, take_window, window_index
from softcp_gpu.types import PasteConfig, PasteParams, PlacementRecord, SoftCPOutput, Status

# Streams of each sample's seed that noise fields are read from; sampling.py keeps its draws below.
OBJECT_NOISE, BACKGROUND_NOISE, IMAGE_NOISE = 1000, 2000, 3000


class Lesion(NamedTuple):
    """The transformed lesion of each source, and where it would lie without being moved."""

    labels: Tensor  # (B, 1, *window): class id of each of its pixels, its box at the first corner
    size: Tensor  # (B, n) int64: its box
    home: Tensor  # (B, n) int64: first pixel of the box, not moved
    matrix: Tensor | None  # (B, n + 1, n + 1): source to frame, not moved; None for the identity
    area: Tensor  # (B,) int64: its pixels
    found: Tensor  # (B,) bool: the source has a lesion


def lesion_of(mask: Tensor, lesion_labels: tuple[int, ...] | None) -> Tensor:
    """Where a label map shows a lesion: its value is one of the ids, or, without ids, not 0."""
    if lesion_labels is None:
        return mask != 0
    hits = [mask == label for label in lesion_labels]
    return torch.stack(hits).any(0)


def soft_cp(
    image: Tensor,
    mask: Tensor,
    region: Tensor | None,
    source_image: Tensor,
    source_mask: Tensor,
    params: PasteParams,
    config: PasteConfig,
) -> SoftCPOutput:
    """Runs Soft-CP on checked tensors; a pure function of its arguments, traceable as one graph.

    Args:
        image: (B, C, *spatial) floating.
        mask: (B, 1, *spatial), binary or class ids.
        region: (B, 1, *spatial) bool, or None.
        source_image, source_mask: as `image` and `mask`; `params.source_index` picks from them.
        params: the draws, on the device of the image.
        config: the rest.

    Returns:
        The result and its record. Under autocast, and for half precision, it computes in float32.
    """
    with torch.autocast(image.device.type, enabled=False):
        work = image.dtype if image.dtype == torch.float64 else torch.float32
        if params.background is not None:
            moved, (mask, region) = transform_image(
                image.to(work), (mask, region), params.background, config.background_blur_px, params.seed, BACKGROUND_NOISE
            )
            image = moved.to(image.dtype)
        out = _paste_drawn(image, mask, region, source_image, source_mask, params, config, work)
        if params.image is None:
            return out
        moved, (mask, soft) = transform_image(
            out.image.to(work), (out.mask, out.soft_mask), params.image, config.image_blur_px, params.seed, IMAGE_NOISE
        )
        return out._replace(image=moved.to(image.dtype), mask=mask, soft_mask=soft)


def _paste_drawn(image, mask, region, source_image, source_mask, params, config, work) -> SoftCPOutput:
    """Pastes where `params.apply` says so; where values may be read, the other samples cost nothing."""
    if not may_read_values(image):
        source = params.source_index
        return _paste(image, mask, region, source_image[source], source_mask[source], params, config, work)
    rows = params.apply.nonzero().flatten()
    zero = torch.zeros_like(params.source_index)
    axes = image.ndim - 2
    empty = PlacementRecord(zero[:, None].expand(-1, axes), zero, zero, zero, zero, zero)
    soft = torch.zeros(mask.shape, dtype=work, device=mask.device)
    out = SoftCPOutput(image.clone(), mask.clone(), soft, empty, zero + Status.NOT_DRAWN, params)
    if rows.numel() == 0:
        return out
    source = params.source_index[rows]
    part = _paste(
        image[rows], mask[rows], None if region is None else region[rows],
        source_image[source], source_mask[source], params.rows(rows), config, work,
    )
    spread = [a.index_copy(0, rows, b) for a, b in zip(out[:3], part[:3], strict=True)]
    record = PlacementRecord(*(a.index_copy(0, rows, b) for a, b in zip(empty, part.placement, strict=True)))
    return SoftCPOutput(*spread, record, out.status.index_copy(0, rows, part.status), params)


def _paste(image, mask, region, source_image, source_mask, params, config, work) -> SoftCPOutput:
    """Stages 2 to 7, every sample with its own source."""
    shape = tuple(image.shape[2:])
    lesion = _transformed_lesion(source_mask, params, config)
    window = lesion.labels > 0
    others = lesion_of(mask, config.lesion_labels)
    if config.in_place:
        origin = lesion.home
        counts = overlaps_at(window, origin, shape, region, others)
        legal = within_bounds(counts, lesion.area, config.bounds, region)
    else:
        origin, legal = find_origin(
            window, lesion.size, lesion.area, shape, region, others, config.bounds, params.candidate_u, params.rank_u
        )
        counts = overlaps_at(window, origin, shape, region, others)

    # From here on only a tile of the frame counts: the lesion, the rim, and what blurs into them.
    margin = config.dilate_max + 1 + 2 * config.object_blur_px
    corner, tile = surrounding_window(origin, lesion.size, torch.tensor(margin), shape)
    labels = take_window(lesion.labels, corner - origin, tile)
    source = _source_tile(source_image.to(work), lesion, origin - lesion.home, corner, tile, params, config)
    background, old = take_window(image, corner, tile), take_window(mask, corner, tile)

    steps = Steps(params.k_erode, params.k_dilate, params.alpha, config.erode_max, config.dilate_max)
    soft, rings = soften(labels > 0, steps, config.footprint, config.profile, config.on_small)
    status = _status(params.apply, lesion.found, lesion.area > 0, rings.survives, legal, config)
    pasted = status == Status.PASTED
    soft = soft.to(work) * _column(pasted, soft)
    if config.match == "rim":
        rim = (soft > 0) & (labels == 0) & ~take_window(others, corner, tile)
        source = match_rim(source, background.to(work), rim)
    # A label needs pixels: what no ring reaches is not pasted, so it is not labelled.
    shown = (labels > 0) & (soft > 0)
    record = PlacementRecord(
        origin - lesion.home, lesion.area, counts.visible, counts.region, counts.lesion, rings.k_erode
    )
    return SoftCPOutput(
        put_window(image, soft_paste(background, source, soft), corner),
        put_window(mask, hard_union(old, labels, shown), corner),
        put_window(torch.zeros(mask.shape, dtype=work, device=mask.device), soft, corner),
        PlacementRecord(*(field * _column(pasted, field) for field in record)),
        status,
        params,
    )


def _transformed_lesion(source_mask: Tensor, params: PasteParams, config: PasteConfig) -> Lesion:
    """Warps the hard lesion, once, and cuts it out with its box at the window's corner."""
    found = lesion_of(source_mask, config.lesion_labels)
    labels = torch.where(found, source_mask, 0).to(torch.float32)
    canvas, canvas_origin, matrix = labels, 0, None
    if params.object is not None:
        canvas, canvas_origin, matrix = lesion_canvas(labels, params.object.rigid)
    start, size, _ = bounding_box(canvas > 0)
    if may_read_values(size):
        window = tuple(max(1, length) for length in size.amax(0).tolist())
    else:
        whole = config.bounds.min_visible == 1.0 and isinstance(config.bounds.min_visible, float)
        window = tuple(source_mask.shape[2:]) if whole else tuple(canvas.shape[2:])
    area = (canvas > 0).flatten(1).sum(1)
    return Lesion(take_window(canvas, start, window), size, canvas_origin + start, matrix, area, found.flatten(1).any(1))


def _source_tile(
    source_image: Tensor, lesion: Lesion, offset: Tensor, corner: Tensor, tile: tuple[int, ...], params: PasteParams, config: PasteConfig
) -> Tensor:
    """The source image as it will lie in the tile, intensities transformed, (B, C, *tile)."""
    if lesion.matrix is None or params.object is None:
        return take_window(source_image, corner - offset, tile, outside="border")
    matrix = compose(lesion.matrix, translation(offset.to(lesion.matrix.dtype)))
    warped = warp(source_image, matrix, "linear", origin=corner, size=tile)
    shape = tuple(source_image.shape[2:])
    index, _ = window_index(corner, tile, shape)
    return transform_intensity(
        warped, source_image, params.object.intensity, config.object_blur_px, params.seed, OBJECT_NOISE, index
    )


def _status(
    apply: Tensor, found: Tensor, visible: Tensor, survives: Tensor, legal: Tensor, config: PasteConfig
) -> Tensor:
    """The first reason that kept a sample from being pasted, (B,) int64."""
    small = ~visible if config.on_small == "shrink" else ~visible | ~survives
    status = torch.where(legal, Status.PASTED.value, Status.NO_LEGAL_PLACE.value)
    status = torch.where(small, Status.LESION_TOO_SMALL.value, status)
    status = torch.where(found, status, Status.EMPTY_SOURCE.value)
    return torch.where(apply, status, Status.NOT_DRAWN.value)


def _column(flag: Tensor, like: Tensor) -> Tensor:
    return flag.view(-1, *(1,) * (like.ndim - 1))
