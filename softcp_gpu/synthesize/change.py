"""What comes back of a batch that was pasted, and the samples that it makes of their backgrounds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from softcp_gpu.data.cases import Sample
from softcp_gpu.data.volume_labels import marked
from softcp_gpu.functional.execution import is_array
from softcp_gpu.functional.transforms import crop_and_resize
from softcp_gpu.functional.windows import bounding_box, take_tile
from softcp_gpu.types import PasteParams, SoftCPOutput

LESION, REGION = 1, 2  # class ids of an image while pasting: both go through every transform together
_STEP = 16  # pixels: a kernel that was compiled for a tile serves the next batch too

Box = tuple[slice, ...]


class Change(NamedTuple):
    """What a sample may have that its background has not."""

    box: Box  # around what is pasted, with its rim
    soft: np.ndarray  # (*box) float: the soft mask, 0 elsewhere
    image: np.ndarray  # (*box, C) float; with whole-image transforms (*axes, C)
    ids: np.ndarray  # (*box), or (*axes): class ids
    moved: PasteParams | None  # of the sample, if there are whole-image transforms


def changes(out: SoftCPOutput) -> Iterator[Change]:
    """Those of each sample of a batch; without whole-image transforms no more than a tile leaves an accelerator."""
    params, frame = out.params, tuple(out.soft_mask.shape[2:])
    moved = params.background is not None or params.image is not None
    start, extent = (x.cpu() for x in bounding_box(_above_zero(out.soft_mask))[:2])
    tile = frame if moved or out.image.device.type == "cpu" else _tile(extent, frame)
    corner = torch.minimum(start, torch.tensor(frame) - torch.tensor(tile))
    there = corner.to(out.image.device)
    image, ids, soft = (take_tile(x, there, tile).cpu().numpy() for x in (out.image, out.mask, out.soft_mask))
    for i, sides in enumerate(zip(corner.tolist(), start.tolist(), extent.tolist(), strict=True)):
        spans = [*zip(*sides, strict=True)]
        box = tuple(slice(first, first + length) for _, first, length in spans)
        inner: Any = tuple(slice(first - edge, first - edge + length) for edge, first, length in spans)
        at: Any = (...,) if moved else inner
        pixels, rows = np.moveaxis(image[i, :, *at], 0, -1), params.rows(slice(i, i + 1)) if moved else None
        yield Change(box, soft[i, 0, *inner], pixels, ids[i, 0, *at], rows)


def _above_zero(soft: Tensor) -> Tensor:
    """Where there is any weight."""
    return torch.from_numpy(soft.numpy() > 0) if is_array(soft) else soft > 0  # torch takes four times as long


def _tile(extent: Tensor, frame: tuple[int, ...]) -> tuple[int, ...]:
    """The lengths of a tile that holds each of the boxes."""
    most = ((max(1, length) + _STEP - 1) // _STEP * _STEP for length in extent.amax(0).tolist())
    return tuple(map(min, most, frame))


def result_of(background: Sample, change: Change, lesions: tuple[int, ...]) -> Sample:
    """The result as a sample like the background.

    Args:
        background: what the lesion was pasted into.
        change: what came of it.
        lesions: the class ids of lesions, where there are class ids.
    """
    moved, ids = change.moved, change.ids
    place: Any = change.box if moved is None else ...
    image = background.image.copy()
    np.copyto(image[place], _stored(change.image, image.dtype), where=moved is not None or change.soft[..., None] > 0)
    region = background.region
    if background.labels is None:
        lesion = background.lesion.copy()
        lesion[place] = ids == LESION
        if region is not None:
            region = region > background.lesion
            region[place] = ids == REGION
        return Sample(image, lesion, region)
    held = np.result_type(np.min_scalar_type(int(ids.max(initial=0))), background.labels)
    labels = background.labels.astype(held)
    labels[place] = ids
    if region is not None and moved is not None:
        region = _moved(region, moved)
    return Sample(image, marked(labels, lesions), region, labels, background.grid)


def _stored(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Values as a file of that dtype holds them."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        values = values.round().clip(limits.min, limits.max)
    return values.astype(dtype)


def _moved(region: np.ndarray, params: PasteParams) -> np.ndarray:
    """The region after the crops of the whole image."""
    x = torch.from_numpy(region)[None, None]
    for draws in (params.background, params.image):
        x = x if draws is None else crop_and_resize(x, draws, "nearest")
    return x[0, 0].numpy()
