"""What is timed: the batches, the settings, and how many bytes each result costs at the least. Needs torch alone."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from softcp_gpu import phantoms
from softcp_gpu.functional.counter_rng import uniform

BATCH, CHANNELS = 16, 3
SIZES = (256, 512)
SOFTNESS = {"k_erode": 2, "k_dilate": 10, "alpha": 0.8}
SEED = 1


class Case(NamedTuple):
    """A batch of square images."""

    size: int
    lesions: str  # "small": 2 % of the frame, as phantoms have them; "large": half of the frame
    count: int = BATCH

    def __str__(self) -> str:
        return self.named(CHANNELS)

    def named(self, channels: int) -> str:
        """The case in words, for tensors with so many channels."""
        return f"{self.count} x {channels} x {self.size} x {self.size}, {self.lesions} lesions"


CASES = tuple(Case(size, lesions) for lesions in ("small", "large") for size in SIZES)

# Every operation of a transform keeps its default probability: what is timed is what a user gets.
FORWARD: dict[str, dict[str, Any]] = {
    "all transforms": {"background_transform": {}, "image_transform": {}},
    "default settings": {},
}
# Half a frame of lesion finds no place beside another one; without this, nothing would be pasted.
ROOM_FOR_LARGE = {"max_lesion_overlap": 1.0, "min_visible": 0.5}


@cache
def batch(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    """Image (B, C, H, W) float32, mask (B, 1, H, W) uint8, region (B, 1, H, W) bool."""
    shape = (case.size, case.size)
    image, mask, region = phantoms.batch(case.count, shape, channels=CHANNELS)
    if case.lesions == "large":
        mask, region = large_lesions(case.count, shape), torch.ones_like(region)
    return image, mask, region


def large_lesions(count: int, shape: tuple[int, int]) -> Tensor:
    """One ellipse in each frame, (B, 1, H, W) uint8."""
    u = uniform(torch.arange(count), stream=0, count=4).view(count, 2, 2, 1, 1)
    inside = torch.zeros((), dtype=torch.float64)
    for axis, length in enumerate(shape):
        line = torch.arange(length).view([-1 if a == axis else 1 for a in range(2)])
        center, radius = length * (0.45 + 0.1 * u[:, 0, axis]), length * (0.36 + 0.08 * u[:, 1, axis])
        inside = inside + ((line - center) / radius) ** 2
    return (inside <= 1)[:, None].to(torch.uint8)


def settings(case: Case, name: str) -> dict[str, Any]:
    """Keywords of `SoftCP` for a case."""
    return {"p": 1.0, **FORWARD[name], **(ROOM_FOR_LARGE if case.lesions == "large" else {})}


def soft_mask_bytes(case: Case) -> int:
    """Read the mask (1 byte a pixel), write S (4)."""
    return case.count * case.size**2 * (1 + 4)


def forward_bytes(case: Case) -> int:
    """Read image, label and region, write image, label and S. The source is not counted: only its lesion is needed."""
    return case.count * case.size**2 * (4 * CHANNELS + 1 + 1 + 4 * CHANNELS + 1 + 4)
