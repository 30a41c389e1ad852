"""What the parity tests share: made-up images and lesions, and the way from a batch of tensors to single arrays."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("cv2", minversion="5", reason="the reference needs opencv-python-headless 5 or newer")

from softcp_gpu import reference

__all__ = ["KINDS", "lesions", "masks", "one", "reference", "single_image", "single_mask", "textures"]

KINDS = ("one", "several", "border", "pixel", "empty", "full")


def lesions(rng, shape, kind):
    """A mask with ellipses or ellipsoids, (*shape,) bool; `kind` is one of `KINDS`."""
    mask = np.zeros(shape, bool)
    length = np.array(shape)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    if kind == "pixel":
        mask[tuple(rng.integers(length))] = True
    if kind == "full":
        mask[:] = True
    for _ in range({"one": 1, "several": 3, "border": 1}.get(kind, 0)):
        center = (length - 1) * rng.uniform(0.2, 0.8, len(shape))
        if kind == "border":
            axis = rng.integers(len(shape))
            center[axis] = rng.choice([0, shape[axis] - 1])
        radius = np.maximum(length.min() * rng.uniform(0.05, 0.2, len(shape)), 0.6)
        mask |= (((grid - center.round()) / radius) ** 2).sum(-1) <= 1
    return mask


def masks(rng, shape, kinds=KINDS):
    """One mask of each kind, (B, 1, *shape) bool tensor."""
    return torch.from_numpy(np.stack([lesions(rng, shape, kind) for kind in kinds])[:, None])


def textures(rng, count, channels, shape, *, low=0.0, high=1.0):
    """Waves under white noise, which hides no shift by a part of a pixel; (B, C, *shape) float32 tensor."""
    grid = np.meshgrid(*(np.linspace(0, 4, length) for length in shape), indexing="ij")
    phase = rng.uniform(0, 6, (count, channels, *(1,) * len(shape)))
    image = rng.random((count, channels, *shape)) + np.sin(sum(grid) + phase)
    image = (image - image.min()) / np.ptp(image)
    return torch.from_numpy((low + (high - low) * image).astype(np.float32))


def single_image(x, i):
    """Sample i of (B, C, *spatial) as the reference takes it, (*spatial, C)."""
    return x[i].movedim(0, -1).numpy()


def single_mask(x, i):
    """Sample i of (B, 1, *spatial) as (*spatial,); None stays None."""
    return None if x is None else x[i, 0].numpy()


def one(params, i):
    """Sample i of (nested) params, as NumPy values."""
    if params is None:
        return None
    if isinstance(params, torch.Tensor):
        value = params[i].numpy()
        return value if value.ndim else value.item()
    return type(params)(*(one(field, i) for field in params))
