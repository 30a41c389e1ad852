"""What the passes of a paste work on."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Batch(NamedTuple):
    """What is pasted into what."""

    image: Tensor  # (B, C, *frame) floating
    mask: Tensor  # (B, 1, *frame)
    others: Tensor  # (B, 1, *frame), not 0 on the lesions of the mask
    region: Tensor | None  # (B, 1, *frame) bool
    source_image: Tensor  # (N, C, *source) floating
    labels: Tensor  # (N, 1, *source), the id of each lesion pixel, else 0
    source_range: Tensor | None  # (B, C, 2), the unit of gamma and noise; None: that of the source
    # (3,) int64: where image, source image and result lie, contiguous and at multiples of 16, whatever the tensors are;
    # or (6,): mask, region (or anything) and the result's mask as well. Then the masks hold no class ids.
    addresses: Tensor | None

    @property
    def images_elsewhere(self) -> bool:
        """Whether there are addresses of images."""
        return self.addresses is not None

    @property
    def masks_elsewhere(self) -> bool:
        """Whether there are addresses of masks as well."""
        return self.addresses is not None and len(self.addresses) > 3

    @property
    def places(self) -> Tensor:
        """What kernels get as addresses."""
        return self.labels if self.addresses is None else self.addresses

    def pixels(self, image: Tensor) -> Tensor:
        """What kernels get of an image: the tensor, or, of one that lies elsewhere, its type."""
        return image.new_empty(1) if self.images_elsewhere else image


class Draws(NamedTuple):
    """Of `types.PasteParams`."""

    seed: Tensor
    apply: Tensor
    source_index: Tensor
    alpha: Tensor
    k_erode: Tensor
    k_dilate: Tensor
    candidate_u: Tensor
    rank_u: Tensor
    flip: Tensor
    angle_deg: Tensor
    scale: Tensor
    shift_px: Tensor
    gamma: Tensor
    noise_sigma: Tensor
    blur_sigma_px: Tensor


class Rules(NamedTuple):
    """What holds for all samples."""

    bounds: list[float]  # least in the region, most on other lesions, least visible
    fraction: list[bool]  # which of them are fractions
    most: list[int]  # n: what is longer has no place
    canvas: list[int]  # n: holds every moved lesion
    window: list[int]  # n: holds every moved lesion that may have a place
    erode_max: int
    dilate_max: int
    radius: int  # of the blur's kernel; 0: no slot blurs
    stream: int  # of the noise
    cross: bool
    geometric: bool
    skips: bool
    in_place: bool  # the lesion stays where it was


class Plan(NamedTuple):
    """What jit_plan finds, for the passes over the tiles."""

    words: Tensor
    home: Tensor
    affine: Tensor
    box: Tensor
    state: Tensor
    sampling: Tensor
    limits: Tensor
    table: Tensor
    possible: Tensor


def work_dtype(image: Tensor) -> torch.dtype:
    """What to compute an image in."""
    return torch.float64 if image.dtype == torch.float64 else torch.float32
