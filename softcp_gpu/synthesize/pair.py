"""Pasting the lesion of one case into another, from arrays to arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from softcp_gpu import checks
from softcp_gpu.data.cases import Sample
from softcp_gpu.data.cut import around_lesion, value_limits
from softcp_gpu.data.masks import box_of
from softcp_gpu.data.volume_labels import ids_in, marked
from softcp_gpu.data.volume_orient import oriented_like
from softcp_gpu.functional.transforms import crop_and_resize
from softcp_gpu.modules import LesionBank, SoftCP
from softcp_gpu.types import PasteParams, SoftCPOutput, Status

LESION, REGION = 1, 2  # class ids of an image while pasting: both go through every transform together

Augmentation = Callable[[tuple[int, ...], tuple[int, ...]], SoftCP]  # from class ids of lesions, and further ones


class Pasted(NamedTuple):
    """One try."""

    status: str
    sample: Sample  # the result, in the background's dtype and channels
    region: np.ndarray | None  # (*axes) bool: what the lesion had to touch
    source: Sample  # as it was pasted: with the background's dtype, channels and axes
    soft_mask: np.ndarray  # (*axes) float
    output: SoftCPOutput  # of a batch of one
    lesion_labels: tuple[int, ...]  # class ids that were lesions
    other_labels: tuple[int, ...]  # class ids that were there besides


@torch.inference_mode()  # a sample is over a thousand small tensor operations: a fifth of their time is autograd's
def paste_pair(
    make: Augmentation,
    background: Sample,
    source: Sample | LesionBank,
    region: np.ndarray | None,
    seed: int,
    device: torch.device,
) -> Pasted:
    """Pastes the lesion of `source`, or one of a bank, into `background`.

    A source image of another size is scaled until it fits into the background's frame, centred, its border repeated
    around it. A source volume is turned to the background's axes, and its lesion keeps its size in the body. Sums are
    rounded, and clipped to what the file's dtype holds; where nothing was pasted, values are the background's own.

    Args:
        make: makes the augmentation for the class ids of a pair; where there are none, `LESION` and `REGION`.
        background: the case that receives the lesion.
        source: the case that gives it, or the bank that it is drawn from.
        region: (*axes) bool, what the lesion must touch in the background, or None.
        seed: of every draw.
        device: where to compute.

    Returns:
        The result, or the unchanged background with the status that says why.
    """
    fitted = source if isinstance(source, LesionBank) else fit(source, background)
    lesions, others = _class_ids(background, fitted)
    aug = make(lesions, others)
    image, labels = _tensors(background, device)
    place = None if region is None else torch.from_numpy(region)[None, None].to(device)
    given: dict[str, Any] = {}
    if isinstance(fitted, Sample):
        given["source_image"], given["source_mask"] = _tensors(fitted, device)
        if fitted.grid is not None:
            limits = value_limits(fitted.image[around_lesion(fitted)])
            given |= {"source_spacing": fitted.grid.spacing_mm, "source_range": limits[None].to(given["source_image"])}
    params = aug.draw(torch.tensor([seed]), tuple(image.shape[2:]), own_source=True)
    spacing = background.grid and background.grid.spacing_mm
    out = aug.augment(image, labels, place, spacing=spacing, params=params, **given)
    result = _result(background, out, lesions)
    shown = fitted if isinstance(fitted, Sample) else _drawn(fitted, seed)
    soft = out.soft_mask[0, 0].cpu().numpy()
    return Pasted(Status(int(out.status)).label, result, region, shown, soft, out, lesions, others)


def pasted_lesion(background: Sample, pasted: Pasted) -> np.ndarray:
    """The part of the label that is new; under the rim, a crop of the whole image hides which lesion is which."""
    new = pasted.sample.lesion & (pasted.soft_mask > 0)
    cropped = pasted.output.params.background is not None or pasted.output.params.image is not None
    return new if cropped else new & ~background.lesion


def fit(source: Sample, background: Sample) -> Sample:
    """The source in dtype and channels of the background; an image in its size, a volume on its axes."""
    image, lesion, region = source.image, source.lesion, source.region
    if background.grid is not None:
        if image.shape[-1] != background.image.shape[-1]:
            checks.fail("source", f"{background.image.shape[-1]} channels as the background has", f"{image.shape[-1]}")
        return oriented_like(source, background.grid)
    if image.dtype != background.image.dtype:  # 8 and 16 bits in one set: full scale stays full scale
        scale = np.iinfo(background.image.dtype).max / np.iinfo(image.dtype).max
        image = (image * scale).round().astype(background.image.dtype)
    channels = background.image.shape[2]
    if image.shape[2] != channels:
        grey = image if image.shape[2] == 1 else image.mean(axis=2, keepdims=True).round().astype(image.dtype)
        image = np.repeat(grey, channels, axis=2)
    if image.shape[:2] != background.image.shape[:2]:
        size, pad = _room(image.shape, background.image.shape)
        image, lesion = _resize(image, size, pad), _resize_mask(lesion, size, pad)
        region = None if region is None else _resize_mask(region, size, pad)
    return Sample(image, lesion, region)


def _room(shape: tuple[int, ...], frame: tuple[int, ...]) -> tuple[list[int], tuple[int, ...]]:
    """The size of an image that fits into a frame, and the padding around it."""
    scale = min(want / have for want, have in zip(frame[:2], shape[:2], strict=True))
    size = [max(1, min(want, round(have * scale))) for want, have in zip(frame[:2], shape[:2], strict=True)]
    spare = [want - have for want, have in zip(frame[:2], size, strict=True)]
    return size, (spare[1] // 2, spare[1] - spare[1] // 2, spare[0] // 2, spare[0] - spare[0] // 2)


def _resize(image: np.ndarray, size: list[int], pad: tuple[int, ...]) -> np.ndarray:
    planes = torch.from_numpy(image.astype(np.float32)).movedim(-1, 0)[None]
    small = F.interpolate(planes, size=size, mode="bilinear", antialias=True)
    limits = np.iinfo(image.dtype)
    pixels = F.pad(small, pad, mode="replicate").round().clamp(limits.min, limits.max)
    return pixels[0].movedim(0, -1).numpy().astype(image.dtype)


def _resize_mask(mask: np.ndarray, size: list[int], pad: tuple[int, ...]) -> np.ndarray:
    marks = F.interpolate(torch.from_numpy(mask.astype(np.float32))[None, None], size=size, mode="nearest-exact")
    return F.pad(marks, pad)[0, 0].numpy() > 0


def _class_ids(background: Sample, source: Sample | LesionBank) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The class ids of lesions in both, and the further ones of the background."""
    if background.labels is None:
        return (LESION,), (REGION,)
    lesions, others = set(), set()
    for sample in (background, source) if isinstance(source, Sample) else (background,):
        assert sample.labels is not None  # a data set has class ids or has none
        lesions |= ids_in(sample.labels[sample.lesion])
        others |= ids_in(sample.labels) - {0}
    if isinstance(source, LesionBank):
        lesions |= set(source.classes)
    return tuple(sorted(lesions)), tuple(sorted(others - lesions))


def _tensors(sample: Sample, device: torch.device) -> tuple[Tensor, Tensor]:
    """(1, C, *axes) in a float type that holds every value, and class ids (1, 1, *axes)."""
    exact = np.result_type(sample.image.dtype, np.float32)
    image = torch.from_numpy(np.moveaxis(sample.image, -1, 0).astype(exact, order="C"))[None].to(device)
    labels = sample.labels
    if labels is None:
        others = np.uint8(0) if sample.region is None else sample.region * np.uint8(REGION)
        labels = np.where(sample.lesion, np.uint8(LESION), others)
    narrow = np.uint8 if labels.max(initial=0) < 256 else np.int32
    return image, torch.from_numpy(labels.astype(narrow, copy=False))[None, None].to(device)


def _result(background: Sample, out: SoftCPOutput, lesions: tuple[int, ...]) -> Sample:
    """The result as a sample like the background."""
    image = np.moveaxis(out.image[0].cpu().numpy(), 0, -1)
    if out.params.background is None and out.params.image is None:
        changed = (out.soft_mask[0, 0] > 0).cpu().numpy()
        box, pasted = box_of(changed), image
        image = background.image.copy()
        image[box] = np.where(changed[box][..., None], _stored(pasted[box], image.dtype), image[box])
    else:
        image = _stored(image, background.image.dtype)
    ids = out.mask[0, 0].cpu().numpy()
    if background.labels is None:
        return Sample(image, ids == LESION, None if background.region is None else ids == REGION)
    kept = ids.astype(np.result_type(np.min_scalar_type(int(ids.max())), background.labels))
    region = None if background.region is None else _moved(background.region, out.params)
    return Sample(image, marked(kept, lesions), region, kept, background.grid)


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


def _drawn(bank: LesionBank, seed: int) -> Sample:
    """The lesion that a seed draws from a bank, with the tissue around it."""
    crop = bank[int(bank.draw(torch.tensor([seed])))]
    labels = crop.labels[0].cpu().numpy()
    return Sample(crop.image.movedim(0, -1).cpu().numpy(), labels > 0, labels=labels)
