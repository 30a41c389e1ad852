"""Made-up organs with lesions: what the demo, the examples, the tests and the benchmarks run on.

Each phantom is a textured body with an elliptical organ and one lesion in it. It is a pure function of (seed, i).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from softcp_gpu.functional.counter_rng import normal_field, uniform
from softcp_gpu.functional.intensity import gaussian_blur
from softcp_gpu.sampling import sample_seeds


def batch(count: int, shape: tuple[int, ...], *, channels: int = 1, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Makes a batch of phantoms.

    Args:
        count: number of phantoms, 0 or more.
        shape: 2 or 3 lengths, each at least 16 pixels.
        channels: of the image; each sees the same anatomy with its own contrast and texture.
        seed: of the set; phantom i of a seed is always the same.

    Returns:
        image (B, C, *shape) float32 about in [0, 1], mask (B, 1, *shape) uint8, region (B, 1, *shape) bool: the organ,
        lesion included.

    Example:
        >>> image, mask, region = batch(2, (32, 48))
        >>> image.shape, mask.dtype, bool((region | (mask == 0)).all())
        (torch.Size([2, 1, 32, 48]), torch.uint8, True)
    """
    axes = len(shape)
    seeds = sample_seeds(seed, torch.arange(count))
    u = uniform(seeds, stream=0, count=6 * axes + channels * 3)
    place, look = u[:, : 6 * axes].view(count, 6, axes), u[:, 6 * axes :].view(count, 3, channels)
    length = torch.tensor(shape, dtype=torch.float64)
    body = _ellipsoid(shape, length * 0.5 + 0 * place[:, 0], length * (0.42 + 0.06 * place[:, 0]), place[:, 5])
    center, radius = length * (0.4 + 0.2 * place[:, 1]), length * (0.2 + 0.1 * place[:, 2])
    organ = _ellipsoid(shape, center, radius, place[:, 5])
    offset = radius * (place[:, 3] - 0.5) * 0.8
    lesion = _ellipsoid(shape, center + offset, length.amin() * (0.05 + 0.06 * place[:, 4]), place[:, 0])
    organ, lesion = organ & body, lesion & organ & body
    level = look.float().view(count, 3, channels, *(1,) * axes)
    image = (
        0.08
        + (0.25 + 0.1 * level[:, 0]) * body
        + (0.15 + 0.1 * level[:, 1]) * organ
        + (0.2 - 0.5 * level[:, 2]) * lesion
    )
    index = torch.arange(math.prod(shape)).view(1, *shape).expand(count, *shape)
    texture = normal_field(seeds, stream=1, index=index, channels=channels, dtype=torch.float32)
    sigma = torch.full((count,), 1.2)
    image = gaussian_blur(image, sigma, 4) + 0.06 * gaussian_blur(texture, sigma, 4)
    return image, lesion.to(torch.uint8), organ


def _ellipsoid(shape: tuple[int, ...], center: Tensor, radius: Tensor, wobble: Tensor) -> Tensor:
    """(B, 1, *shape) bool; `wobble` (B, n) in [0, 1) makes the outline uneven."""
    axes = len(shape)
    view = (-1, 1) + (1,) * axes
    squared, phase = torch.zeros(()), torch.zeros(())
    for axis in range(axes):
        line = torch.arange(shape[axis], dtype=torch.float64).view([-1 if a == axis else 1 for a in range(axes)])
        reach = (line - center[:, axis].view(view)) / radius.expand_as(center)[:, axis].view(view)
        squared = squared + reach**2
        phase = phase + 3 * reach * (0.5 + wobble[:, axis].view(view))
    return squared * (1 + 0.15 * torch.sin(phase)) <= 1
