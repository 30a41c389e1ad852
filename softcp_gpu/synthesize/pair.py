"""Pasting the lesion of one case into another, from arrays to arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from softcp_gpu.data import Sample
from softcp_gpu.modules import SoftCP
from softcp_gpu.types import SoftCPOutput, Status

REGION, LESION = 1, 2  # class ids while pasting: region and lesion go through every transform together


class Pasted(NamedTuple):
    """One try."""

    status: str
    sample: Sample  # the result, in the background's dtype and channels
    region: np.ndarray | None  # (H, W) bool: what the lesion had to touch
    source: Sample  # the source as it was pasted: in the background's size, dtype and channels
    soft_mask: np.ndarray  # (H, W) float32
    output: SoftCPOutput  # of a batch of one


def paste_pair(
    aug: SoftCP, background: Sample, source: Sample, region: np.ndarray | None, seed: int, device: torch.device
) -> Pasted:
    """Pastes the lesion of `source` into `background`.

    A source of another size is scaled until it fits into the background's frame, centred, its border repeated around
    it. Sums are rounded, and clipped to what the file's dtype holds.

    Args:
        aug: with `lesion_labels=2`.
        background, source: the two cases.
        region: (H, W) bool, what the lesion must touch in the background, or None.
        seed: of every draw.
        device: where to compute.

    Returns:
        The result, or the unchanged background with the status that says why.
    """
    fitted = fit(source, background)
    image, labels = _tensors(background, device)
    source_image, source_labels = _tensors(fitted, device)
    place = None if region is None else torch.from_numpy(region)[None].to(device)
    params = aug.draw(torch.tensor([seed]), image.shape[2:], own_source=True)
    out = aug.augment(image, labels, place, source_image=source_image, source_mask=source_labels, params=params)
    limits = np.iinfo(background.image.dtype)
    pixels = out.image[0].movedim(0, -1).round().clamp(limits.min, limits.max).cpu().numpy()
    ids = out.mask[0, 0].cpu().numpy()
    result = Sample(
        pixels.astype(background.image.dtype),
        ids == LESION,
        None if background.region is None else ids == REGION,
    )
    return Pasted(Status(int(out.status)).label, result, region, fitted, out.soft_mask[0, 0].cpu().numpy(), out)


def fit(source: Sample, background: Sample) -> Sample:
    """The source in the size, dtype and channels of the background."""
    image, lesion = source.image, source.lesion
    if image.dtype != background.image.dtype:  # 8 and 16 bits in one set: full scale stays full scale
        scale = np.iinfo(background.image.dtype).max / np.iinfo(image.dtype).max
        image = (image * scale).round().astype(background.image.dtype)
    channels = background.image.shape[2]
    if image.shape[2] != channels:
        grey = image if image.shape[2] == 1 else image.mean(axis=2, keepdims=True).round().astype(image.dtype)
        image = np.repeat(grey, channels, axis=2)
    if image.shape[:2] != background.image.shape[:2]:
        image, lesion = _resize(image, lesion, background.image.shape[:2])
    return Sample(image, lesion)


def _resize(image: np.ndarray, lesion: np.ndarray, frame: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    scale = min(want / have for want, have in zip(frame, image.shape, strict=False))
    size = [max(1, min(want, round(have * scale))) for want, have in zip(frame, image.shape, strict=False)]
    spare = [want - have for want, have in zip(frame, size, strict=True)]
    pad = (spare[1] // 2, spare[1] - spare[1] // 2, spare[0] // 2, spare[0] - spare[0] // 2)
    planes = torch.from_numpy(image.astype(np.float32)).movedim(-1, 0)[None]
    small = F.interpolate(planes, size=size, mode="bilinear", antialias=True)
    marks = F.interpolate(torch.from_numpy(lesion.astype(np.float32))[None, None], size=size, mode="nearest-exact")
    limits = np.iinfo(image.dtype)
    pixels = F.pad(small, pad, mode="replicate").round().clamp(limits.min, limits.max)
    return pixels[0].movedim(0, -1).numpy().astype(image.dtype), F.pad(marks, pad)[0, 0].numpy() > 0


def _tensors(sample: Sample, device: torch.device) -> tuple[Tensor, Tensor]:
    """(1, C, H, W) float32, and class ids (1, 1, H, W) uint8."""
    image = torch.from_numpy(sample.image.astype(np.float32)).movedim(-1, 0)[None].to(device)
    labels = np.where(sample.lesion, LESION, 0 if sample.region is None else sample.region * REGION).astype(np.uint8)
    return image, torch.from_numpy(labels)[None, None].to(device)
