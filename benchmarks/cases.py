"""What is timed: the batches, the settings, and how many bytes each result costs at the least. Needs torch alone."""

from __future__ import annotations

import os
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from softcp_gpu import phantoms
from softcp_gpu.functional.counter_rng import uniform

BATCH, CHANNELS = 16, 3
SIZES = (256, 512)
QUICK = "SOFTCP_BENCH_QUICK" in os.environ  # tiny cases, which try the programs and measure nothing
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


LESIONS = ("small", "large")


def _soft_mask_cases(*sizes: int) -> tuple[Case, ...]:
    return tuple(Case(size, lesions) for lesions in LESIONS for size in sizes)


def _forward_cases(counts: dict[int, tuple[int, ...]]) -> tuple[Case, ...]:
    """Batches by size; of large lesions none is above the usual one."""
    small = [Case(size, "small", count) for size, each in counts.items() for count in each]
    return (*small, *(case._replace(lesions="large") for case in small if case.count <= BATCH))


FULL_SOFT_MASK_CASES = _soft_mask_cases(256, 512, 1024)
FULL_PASTE_CASES = (Case(256, "small"), Case(512, "small"))
FULL_FORWARD_CASES = _forward_cases({256: (1, 16, 64), 512: (1, 16)})
MANY = Case(512, "small", 64)  # what fills a GPU
SOFT_MASK_CASES = _soft_mask_cases(64, 96) if QUICK else FULL_SOFT_MASK_CASES
FORWARD_CASES = _forward_cases({64: (1, 2)}) if QUICK else FULL_FORWARD_CASES
PASTE_CASES = (Case(64, "small"),) if QUICK else FULL_PASTE_CASES
RIVAL_CASES = tuple(Case(size, "small", 4 if QUICK else BATCH) for size in ((64,) if QUICK else SIZES))
SCANS = ((2, (16, 48, 40)),) if QUICK else ((2, (48, 160, 160)),)  # samples and shape, for rivals that take volumes

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


@cache
def sources(case: Case) -> tuple[Tensor, Tensor] | None:
    """Images and masks to paste from, for a batch of one, which cannot be its own source."""
    if case.count > 1:
        return None
    image, mask, _ = phantoms.batch(1, (case.size, case.size), channels=CHANNELS, seed=SEED)
    return image, large_lesions(1, (case.size, case.size)) if case.lesions == "large" else mask


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


def too_slow_for_the_reference(case: Case) -> str | None:
    """Why the reference loop is left out, or None: a large lesion is counted at every place, pixel by pixel."""
    if case.lesions == "small" or case.count == 1:
        return None
    return "left out: samples are done one after the other, and the row of a batch of one says how long each takes"


def soft_mask_bytes(case: Case) -> int:
    """Read the mask, write S."""
    return case.count * case.size**2 * soft_mask_bytes_each()


def paste_bytes(case: Case) -> int:
    """Read S, both images, the lesion and the label, write image and label."""
    return case.count * case.size**2 * paste_bytes_each(CHANNELS)


def forward_bytes(case: Case) -> int:
    """Read image, label and region, write image, label and S. The source is not counted: only its lesion is needed."""
    return case.count * case.size**2 * forward_bytes_each(CHANNELS)


# The floor of one pixel: float32 images, one byte for a label or a region, S in float32.


def soft_mask_bytes_each() -> int:
    """Read the mask (1), write S (4)."""
    return 1 + 4


def paste_bytes_each(channels: int) -> int:
    """Read S, both images, the lesion and the label; write an image and a label."""
    return 4 + 2 * 4 * channels + 1 + 1 + 4 * channels + 1


def forward_bytes_each(channels: int) -> int:
    """Read image, label and region; write image, label and S."""
    return 4 * channels + 1 + 1 + 4 * channels + 1 + 4


def soft_mask_operations_each(axes: int, k_erode: int, k_dilate: int) -> int:
    """A step of a full footprint is two ORs (erosion: ANDs) an axis; each dilation is counted; one look-up."""
    return 2 * axes * (k_erode + k_dilate) + k_dilate + 1


def paste_operations_each(channels: int) -> int:
    """1 - S; two products, a sum and a choice a channel; the union of the labels."""
    return 1 + 4 * channels + 1


def warp_operations_each(axes: int, channels: int) -> int:
    """Of one resampling: `axes` sums for the coordinates and as many fractions, 2^axes - 1 interpolations a channel."""
    return 2 * axes + 3 * (2**axes - 1) * channels


def forward_operations_each(axes: int, channels: int, k_erode: int, k_dilate: int) -> int:
    """Warp, soft mask and paste of one pixel in the lesion's tile; a pixel outside of it is only copied."""
    soft = soft_mask_operations_each(axes, k_erode, k_dilate)
    return warp_operations_each(axes, channels) + soft + paste_operations_each(channels)
