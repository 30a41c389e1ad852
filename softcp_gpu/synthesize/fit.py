"""A source in the background's frame."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from softcp_gpu import checks
from softcp_gpu.data.cases import Sample
from softcp_gpu.data.volume_orient import oriented_like


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
