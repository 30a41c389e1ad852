"""Stages 2 to 7 of Soft-CP by `loops`, sample by sample, where they run and no gradient is asked for."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from softcp_gpu.functional import execution, looped, looped_soft
from softcp_gpu.functional.blend import SOFTENED
from softcp_gpu.functional.inputs import Inputs
from softcp_gpu.functional.intensity import OBJECT_NOISE
from softcp_gpu.functional.lesion import labels_of, lesion_of, most_of
from softcp_gpu.functional.overlap import overlaps_of_one
from softcp_gpu.functional.search import Rest
from softcp_gpu.loops import paste_loops, soft_loops
from softcp_gpu.loops.image_loops import in_three
from softcp_gpu.loops.paste_loops import Found, Masks, Motions
from softcp_gpu.types import PasteConfig, PasteParams, PlacementRecord, SoftCPOutput, Status


def pastes(x: Inputs, params: PasteParams, config: PasteConfig) -> bool:
    """Whether `paste` does it: all is counted in pixels, and nothing lies between weight and paste."""
    few = max(config.erode_max, config.dilate_max) <= looped_soft.MOST_STEPS and config.blend in SOFTENED
    if params.object is None or not few or config.match != "none" or x.physical.mm is not None:
        return False
    known = x.image.dtype == x.source_image.dtype == torch.float32 and not x.mask.is_floating_point()
    given = (x.source_image, x.mask, x.source_mask, params.alpha, *params.object.rigid, *params.object.intensity)
    usual = known and x.mask.dtype == x.source_mask.dtype and params.alpha.dtype == torch.float32
    return usual and looped.works(x.image, *given)


def paste(x: Inputs, params: PasteParams, config: PasteConfig, *, over: bool) -> SoftCPOutput:
    """Where `pastes` says so.

    Args:
        x: all sources; `params.source_index` picks from them.
        params, config: the draws and the rest.
        over: the image of the result may lie in that of `x`.
    """
    assert params.object is not None
    others, labels = x.mask, x.source_mask
    if config.lesion_labels is not None:
        others = lesion_of(x.mask, config.lesion_labels)
        labels = labels_of(labels, lesion_of(labels, config.lesion_labels))
    masks = paste_loops.masks_of(labels, params.source_index, others, x.region, params.apply)
    boxes = paste_loops.look(masks)
    motions = paste_loops.find_motions(boxes, params.object.rigid, most_of(x.image.shape[2:], labels))
    found = _places(x, others, masks, boxes, motions, params, config)
    may = _status(params.apply.numpy(), boxes[:, 0, 6] > 0, found.area > 0, found.legal & motions.whole)
    pasted = may == Status.PASTED.value
    mask, soft, taken = _soften(x, found, pasted, params, config)
    offset = found.origin - motions.windows[:, :3] - found.start
    image = _blend(x, found, motions.back, offset, soft, pasted, params, config, over)

    status = np.where((may == Status.PASTED.value) & ~pasted, Status.LESION_TOO_SMALL.value, may)
    record = (offset[:, 5 - x.image.ndim :], found.area, *found.counts.T, taken)
    shown = (torch.from_numpy(field * pasted.reshape(-1, *(1,) * (field.ndim - 1))) for field in record)
    return SoftCPOutput(image, mask, soft, PlacementRecord(*shown), torch.from_numpy(status), params)


def _soften(
    x: Inputs, found: Found, pasted: np.ndarray, params: PasteParams, config: PasteConfig
) -> tuple[Tensor, Tensor, np.ndarray]:
    """Label and soft mask of the results, and the steps of erosion taken; leaves `pasted` with what is pasted."""
    mask = execution.empty(x.mask.shape, x.mask.dtype, x.mask.device)
    profile = "geometric" if config.blend == "softcp-geometric" else "softcp"
    drawn = (params.alpha, params.k_erode, params.k_dilate)
    softness = looped_soft.softness_of(len(mask), *drawn, config.footprint, profile, config.on_small)
    soft, taken = soft_loops.soften(found, softness, pasted, x.mask.contiguous(), mask)
    return mask, soft, taken


def _blend(
    x: Inputs,
    found: Found,
    back: np.ndarray,
    offset: np.ndarray,
    soft: Tensor,
    pasted: np.ndarray,
    params: PasteParams,
    config: PasteConfig,
    over: bool,
) -> Tensor:
    """The images of the results."""
    assert params.object is not None
    drawn, rows, limits = params.object.intensity, params.source_index, x.physical.source_range
    source, image = x.source_image.contiguous(), x.image.contiguous()
    out = image if over else execution.empty(image.shape, image.dtype, image.device)
    reach = 1 + params.k_dilate.numpy()
    bounds = torch.full((*image.shape[:2], 2), torch.nan) if limits is None else limits.detach()[rows].float()
    slots = looped.slots_of(drawn, config.object_blur_px, params.seed, OBJECT_NOISE)
    paste_loops.paste(source, rows, image, out, soft, pasted, found, back, offset, reach, bounds, slots)
    return out


def _places(
    x: Inputs,
    others: Tensor,
    masks: Masks,
    boxes: np.ndarray,
    motions: Motions,
    params: PasteParams,
    config: PasteConfig,
) -> Found:
    """The lesions, moved, and their places."""
    tries = np.zeros((len(boxes), 0, 3)) if config.in_place else in_three(params.candidate_u.numpy(), 1)
    bounds = np.array([*map(float, config.bounds)]), np.array([isinstance(bound, float) for bound in config.bounds])
    found = paste_loops.find_places(masks, boxes, motions, tries, bounds, has_region=x.region is not None)
    for i in found.unknown:
        _look_everywhere(i, found, others, x.region, params, config, tuple(x.image.shape[2:]))
    return found


def _look_everywhere(
    i: int,
    found: Found,
    others: Tensor,
    region: Tensor | None,
    params: PasteParams,
    config: PasteConfig,
    shape: tuple[int, ...],
) -> None:
    """A place for a lesion none of whose candidates is legal, by the map of all places."""
    n, one = len(shape), slice(i, i + 1)
    lesion = found.lesion(i).reshape(found.extent[i, 3 - n :]) != 0
    first, span = found.places[i, :, 3 - n :]
    near = [None if mask is None else mask[one].to(torch.bool) for mask in (region, others)]
    window, area = torch.from_numpy(lesion)[None, None], torch.from_numpy(found.area[one])
    rest = Rest(
        window, area, shape, near[0], near[1], config.bounds, torch.from_numpy(first)[None], tuple(span.tolist())
    )
    index, exists = rest.draw(params.rank_u[one])
    if bool(exists):
        origin = first + index[0].numpy()
        flags = [None if mask is None else mask[0, 0].numpy() for mask in near]
        counts = overlaps_of_one(lesion, origin.tolist(), shape, *flags)
        found.put(i, in_three(origin, 1), [*map(int, counts)])


def _status(apply: np.ndarray, filled: np.ndarray, remains: np.ndarray, legal: np.ndarray) -> np.ndarray:
    """The first reason that keeps a sample from being pasted, as `pipeline._status`, (B,) int64."""
    found = np.where(legal, Status.PASTED.value, Status.NO_LEGAL_PLACE.value)
    reasons = ((remains, Status.LESION_TOO_SMALL), (filled, Status.EMPTY_SOURCE), (apply, Status.NOT_DRAWN))
    for holds, status in reasons:  # the first one last, so that it counts
        found = np.where(holds, found, status.value)
    return found
