"""What is looked at: patches on the boundary of a lesion, where it grew and where it was pasted.

Both classes show the same pixels of the same lesions, so neither shape nor size nor kind of a lesion tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.credibility.pastes import K_ERODE, Pasted
from softcp_gpu.checks import fail
from softcp_gpu.functional.soft_mask import soft_mask


class Patches(NamedTuple):
    """What was measured of P pastes, with n patches in all."""

    patient: np.ndarray  # (P,) int: the source's patient
    fold: np.ndarray  # (P,) int
    paste: np.ndarray  # (n,) int: the paste of each patch
    real: Tensor  # (n, C, size, size): where the lesion grew
    real_gradient: np.ndarray  # (P,), along the boundary there
    pasted: Mapping[str, Tensor]  # by variant, as `real`: the same pixels of the lesion, where it was pasted
    gradient: Mapping[str, np.ndarray]  # by variant, (P,)
    change: Mapping[str, np.ndarray]  # by variant, (P,): mean absolute change of the lesion's core


class _Look(NamedTuple):
    """As `Patches`, of one paste."""

    patient: str
    fold: int
    real: Tensor
    real_gradient: float
    pasted: Mapping[str, Tensor]
    gradient: Mapping[str, float]
    change: Mapping[str, float]


def collect(pastes: Iterable[Pasted], size: int, count: int, seed: int) -> Patches:
    """Cuts patches and measures gradients and changes.

    Args:
        pastes: the pastes; their images are not kept.
        size: of a patch, even.
        count: of patches, at most, on one lesion.
        seed: of the choice of boundary pixels.

    Returns:
        What was measured. A lesion is left out where no patch on its boundary fits into both frames.

    Raises:
        ValueError: where no lesion is left.
    """
    looks = [look for i, one in enumerate(pastes) if (look := _look(one, size, count, seed + i))]
    if not looks:
        fail("data", "a lesion that can be pasted, with a boundary inside the frame", "none")
    names = sorted({look.patient for look in looks})
    variants = tuple(looks[0].pasted)
    return Patches(
        patient=np.array([names.index(look.patient) for look in looks]),
        fold=np.array([look.fold for look in looks]),
        paste=np.repeat(np.arange(len(looks)), [len(look.real) for look in looks]),
        real=torch.cat([look.real for look in looks]),
        real_gradient=np.array([look.real_gradient for look in looks]),
        pasted={name: torch.cat([look.pasted[name] for look in looks]) for name in variants},
        gradient={name: np.array([look.gradient[name] for look in looks]) for name in variants},
        change={name: np.array([look.change[name] for look in looks]) for name in variants},
    )


def _look(one: Pasted, size: int, count: int, seed: int) -> _Look | None:
    real, results = one.source.image, {name: out.image for name, out in one.outputs.items()}
    moves = {name: out.placement.offset_px[0] for name, out in one.outputs.items()}
    places = [(torch.zeros(2, dtype=torch.int64), real), *((moves[name], results[name]) for name in results)]
    inner, outer = boundary(one.source.mask)
    pixels, band = fitting(inner, places, size // 2), fitting(inner | outer, places, 1)
    if not len(pixels):
        return None
    pixels = pixels[np.random.default_rng(seed).permutation(len(pixels))[:count]]
    core = (soft_mask(one.source.mask, K_ERODE, 0, 0.5)[0, 0] > 0).nonzero()  # without rings: what erosion leaves
    before = values(real, core)
    return _Look(
        one.source.patient,
        one.fold,
        cut(real, pixels, size),
        gradient(real, band),
        {name: cut(image, pixels + moves[name], size) for name, image in results.items()},
        {name: gradient(image, band + moves[name]) for name, image in results.items()},
        {name: float((values(image, core + moves[name]) - before).abs().mean()) for name, image in results.items()},
    )


def boundary(mask: Tensor) -> tuple[Tensor, Tensor]:
    """The pixels of a lesion beside what is no lesion, and the other way round; a frame's border is no boundary.

    Args:
        mask: (1, 1, H, W) in {0, 1}.

    Returns:
        inner and outer pixels, (H, W) bool each.
    """
    lesion = mask > 0
    near_rest, near_lesion = (soft_mask(x, 0, 1, 0.5, footprint="cross") > 0 for x in (~lesion, lesion))
    return (lesion & near_rest)[0, 0], (near_lesion & ~lesion)[0, 0]


def fitting(flags: Tensor, places: Iterable[tuple[Tensor, Tensor]], margin: int) -> Tensor:
    """The set pixels (N, 2) that lie at least `margin` inside every image, moved as it asks.

    Args:
        flags: (H, W) bool.
        places: a move (2,) and an image (1, C, H, W), each.
        margin: in pixels.
    """
    pixels = flags.nonzero()
    for move, image in places:
        at, frame = pixels + move, torch.tensor(image.shape[2:])
        pixels = pixels[((at >= margin) & (at < frame - margin)).all(1)]
    return pixels


def cut(image: Tensor, centres: Tensor, size: int) -> Tensor:
    """Patches (N, C, size, size) of an image (1, C, H, W); the centre is pixel size // 2 of each."""
    half = size // 2
    return torch.stack([image[0, :, y - half : y + half, x - half : x + half] for y, x in centres.tolist()])


def values(image: Tensor, pixels: Tensor) -> Tensor:
    """(C, N), the values of an image (1, C, H, W) at pixels (N, 2)."""
    return image[0][:, pixels[:, 0], pixels[:, 1]]


def gradient(image: Tensor, pixels: Tensor) -> float:
    """The magnitude of the gradient, by central differences, mean over pixels (N, 2) and channels; per pixel."""
    step_y, step_x = torch.tensor([1, 0]), torch.tensor([0, 1])
    along = [(values(image, pixels + step) - values(image, pixels - step)) / 2 for step in (step_y, step_x)]
    return float(torch.hypot(*along).mean())
