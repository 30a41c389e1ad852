"""Stages 2 to 7 of Soft-CP by `loops`, sample by sample, where they run and no gradient is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from softcp_gpu.functional import execution, looped
from softcp_gpu.functional.blend import SOFTENED
from softcp_gpu.functional.geometry import compose, inverse, sampling_affine, translation
from softcp_gpu.functional.inputs import Inputs
from softcp_gpu.functional.intensity import OBJECT_NOISE
from softcp_gpu.functional.lesion import labels_of, lesion_of, most_of
from softcp_gpu.functional.overlap import overlaps_of_one
from softcp_gpu.functional.search import Rest
from softcp_gpu.functional.table import soft_mask_table
from softcp_gpu.functional.transforms import object_matrix
from softcp_gpu.loops import paste_loops
from softcp_gpu.loops.image_loops import in_three
from softcp_gpu.loops.paste_loops import Found
from softcp_gpu.types import PasteConfig, PasteParams, PlacementRecord, SoftCPOutput, Status

_MOST_STEPS = 254  # rings are counted in bytes


def pastes(x: Inputs, params: PasteParams, config: PasteConfig) -> bool:
    """Whether `paste` does it: all is counted in pixels, and nothing lies between weight and paste."""
    few = max(config.erode_max, config.dilate_max) <= _MOST_STEPS and config.blend in SOFTENED
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
    n, shape, source = x.image.ndim - 2, tuple(x.image.shape[2:]), x.source_image.contiguous()
    found, matrix, home, whole, filled = _places(x, others, labels, params, config)
    may = _status(params.apply.numpy(), filled, found.area > 0, found.legal & whole)
    pasted = may == Status.PASTED.value

    steps = torch.stack([params.k_erode, params.k_dilate], 1).numpy()
    profile = "geometric" if config.blend == "softcp-geometric" else "softcp"
    tables = soft_mask_table(params.alpha.detach(), params.k_dilate, config.dilate_max, profile).float().numpy()
    mask, soft = execution.empty(x.mask.shape, x.mask.dtype, x.mask.device), _zeros(x.mask.shape)
    tiles = _tiles(found, shape, 1 + steps[:, 1])
    given = (found, np.concatenate(tiles, 1), steps, tables, pasted, x.mask.contiguous(), mask, soft)
    taken = paste_loops.soften(*given, cross=config.footprint == "cross", skips=config.on_small == "skip")

    offset = torch.from_numpy((found.origin - home)[:, 3 - n :])
    image = x.image.contiguous()
    out = image if over else execution.empty(image.shape, image.dtype, image.device)
    blurs = (params.object.intensity.blur_sigma_px > 0).any(1).numpy()
    first, lengths = _tiles(found, shape, 1 + steps[:, 1] + 2 * blurs * config.object_blur_px)
    frame = np.broadcast_to(in_three(np.array(shape), 1, 1), first.shape)
    windows = np.concatenate([first, frame, np.zeros_like(first), lengths], 1)
    back = inverse(source, compose(matrix, translation(offset.double())))
    affine = in_three(sampling_affine(source, back).float().numpy(), 2)
    limits, rows = x.physical.source_range, params.source_index
    bounds = torch.full((len(image), image.shape[1], 2), torch.nan) if limits is None else limits[rows].float()
    slots = looped.slots_of(params.object.intensity, config.object_blur_px, params.seed, OBJECT_NOISE)
    paste_loops.paste(source, rows, image, out, soft, pasted, affine, windows, bounds, slots)

    status = np.where((may == Status.PASTED.value) & ~pasted, Status.LESION_TOO_SMALL.value, may)
    record = (offset.numpy(), found.area, *found.counts.T, taken)
    shown = (torch.from_numpy(field * _column(pasted, field)) for field in record)
    return SoftCPOutput(out, mask, soft, PlacementRecord(*shown), torch.from_numpy(status), params)


def _places(
    x: Inputs, others: Tensor, labels: Tensor, params: PasteParams, config: PasteConfig
) -> tuple[Found, Tensor, np.ndarray, np.ndarray, np.ndarray]:
    """The lesions and their places; their matrices, and where they would lie without being moved, (B, 3).

    And, (B,) bool each: nothing was cut off; the source has a lesion. See `lesion.transformed_lesion`.
    """
    assert params.object is not None
    n, shape = x.image.ndim - 2, tuple(x.image.shape[2:])
    masks = paste_loops.masks_of(labels, params.source_index, others, x.region, params.apply)
    boxes = paste_loops.look(masks)
    start, extent = (torch.from_numpy(each[:, 3 - n :]) for each in (boxes[:, 0, 0:6:2], _extents(boxes[:, 0])))
    center = start + (extent.double() - 1) / 2
    matrix = object_matrix(params.object.rigid, center).detach()
    linear, shift = matrix.numpy()[:, :n, :n], matrix.numpy()[:, :n, n]
    reach, most = (np.abs(linear) @ extent.double().numpy()[..., None])[..., 0], np.array(most_of(shape, labels))
    lengths = np.minimum(most, reach.astype(np.int64) + 4)
    middle = (linear @ center.numpy()[..., None])[..., 0] + shift
    first = np.floor(middle).astype(np.int64) - lengths // 2 + 1

    tries = np.zeros((len(start), 0, 3)) if config.in_place else in_three(params.candidate_u.numpy(), 1)
    bounds = np.array([*map(float, config.bounds)]), np.array([isinstance(bound, float) for bound in config.bounds])
    corner, moves = in_three(first, 1), in_three(inverse(labels, matrix).numpy(), 2)
    how = (in_three(lengths, 1, 1), moves, tries, bounds)
    found = paste_loops.find_places(masks, boxes, corner, *how, has_region=x.region is not None)
    for i in found.unknown:
        _look_everywhere(i, found, others, x.region, params, config, shape)
    return found, matrix, corner + found.start, (reach <= most).all(1), boxes[:, 0, 6] > 0


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
    reasons = [(~apply, Status.NOT_DRAWN), (~filled, Status.EMPTY_SOURCE), (~remains, Status.LESION_TOO_SMALL)]
    conditions = [condition for condition, _ in reasons]
    values = [np.int64(status.value) for _, status in reasons]
    otherwise = np.where(legal, Status.PASTED.value, Status.NO_LEGAL_PLACE.value)
    return np.select(conditions, values, otherwise)


def _tiles(found: Found, shape: tuple[int, ...], margin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`windows.surrounding_window` of each lesion by itself, with margins (B,): first pixel and lengths, (B, 3)."""
    around = in_three(np.repeat(margin[:, None], len(shape), 1), 1)
    frame = in_three(np.array(shape), 1, 1)
    lengths = np.clip(found.extent + 2 * around, 1, frame)
    return np.clip(found.origin - around, 0, frame - lengths), lengths


def _extents(boxes: np.ndarray) -> np.ndarray:
    return boxes[:, 1:6:2] - boxes[:, 0:6:2]


def _zeros(shape: Sequence[int]) -> Tensor:
    """Zeros that no thread of torch has written."""
    return torch.from_numpy(np.zeros(shape, np.float32))


def _column(flag: np.ndarray, like: np.ndarray) -> np.ndarray:
    return flag.reshape(-1, *(1,) * (like.ndim - 1))
