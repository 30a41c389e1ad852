"""The values that travel through Soft-CP: named tuples of tensors, a shape on every field.

`B` is the batch size, `n` the number of spatial axes (2 or 3), `S` the number of intensity slots. Vectors over spatial
axes follow the tensor's own axis order: (y, x) in 2-D, (z, y, x) in 3-D.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any, NamedTuple

import torch
from torch import Tensor

from softcp_gpu.checks import fail


class Status(IntEnum):
    """What happened to one sample of one call."""

    PASTED = 0
    NOT_DRAWN = 1
    EMPTY_SOURCE = 2
    LESION_TOO_SMALL = 3
    NO_LEGAL_PLACE = 4

    @property
    def label(self) -> str:
        """The status as records and reports write it, such as ``"no_legal_place"``."""
        return self.name.lower()


class RigidParams(NamedTuple):
    """Two rigid operations per sample, applied first to last; a slot that draws nothing holds the neutral values."""

    flip: Tensor  # (B, 2, n) float, +1 or -1 (mirrored along that axis)
    angle_deg: Tensor  # (B, 2, 1) in 2-D, (B, 2, 3) in 3-D: about the z, y and x axis
    scale: Tensor  # (B, 2), above 0
    shift_px: Tensor  # (B, 2, n)


class IntensityParams(NamedTuple):
    """`S` slots, applied first to last; within a slot gamma, then noise, then blur. 1, 0 and 0 mean "leave alone"."""

    gamma: Tensor  # (B, S), above 0
    noise_sigma: Tensor  # (B, S), fraction of the image's own range
    blur_sigma_px: Tensor  # (B, S)


class ObjectParams(NamedTuple):
    """What happens to the lesion before it is pasted."""

    rigid: RigidParams
    intensity: IntensityParams  # S = 2

    def to(self, device: torch.device | str) -> ObjectParams:
        """The same params on another device."""
        return map_params(self, lambda t: t.to(device, non_blocking=True))


class ImageParams(NamedTuple):
    """What happens to a whole image: crop and resize back, then the intensities."""

    crop_size: Tensor  # (B, n), fraction of the frame, in (0, 1]; 1 is no crop
    crop_start: Tensor  # (B, n), in [0, 1]: where the crop lies in the room that it has
    intensity: IntensityParams  # S = 1

    def to(self, device: torch.device | str) -> ImageParams:
        """The same params on another device."""
        return map_params(self, lambda t: t.to(device, non_blocking=True))


class PasteParams(NamedTuple):
    """Everything random in one call: the same params on the same inputs give the same pixels."""

    seed: Tensor  # (B,) int64: the sample's own seed; its noise fields are a function of it
    apply: Tensor  # (B,) bool: drawn with probability p
    source_index: Tensor  # (B,) int64: row of the source batch
    alpha: Tensor  # (B,) float, in (0, 1)
    k_erode: Tensor  # (B,) int64
    k_dilate: Tensor  # (B,) int64
    candidate_u: Tensor  # (B, K, n) float64 in [0, 1): candidate places, tried in order
    rank_u: Tensor  # (B,) float64 in [0, 1): which of all legal places, should no candidate be legal
    carve_u: Tensor  # (B,) float64 in [0, 1): how far CarveMix shrinks or grows what it pastes
    object: ObjectParams | None
    background: ImageParams | None
    image: ImageParams | None

    def to(self, device: torch.device | str) -> PasteParams:
        """The same params on another device."""
        return map_params(self, lambda t: t.to(device, non_blocking=True))

    def rows(self, index: slice | Tensor) -> PasteParams:
        """The params of some of the samples."""
        return map_params(self, lambda t: t[index])


class Bounds(NamedTuple):
    """Where a lesion may lie, all inclusive; an int counts pixels, a float is a fraction of the lesion's own pixels."""

    min_region_overlap: int | float = 0.5
    max_lesion_overlap: int | float = 0
    min_visible: int | float = 1.0


class PasteConfig(NamedTuple):
    """Everything about a call that is not random and not a tensor."""

    bounds: Bounds
    in_place: bool
    footprint: str
    blend: str
    on_small: str
    match: str
    lesion_labels: tuple[int, ...] | None  # None: masks are binary
    erode_max: int  # at least the largest of params.k_erode; loops need a length that no device has to tell
    dilate_max: int  # at least the largest of params.k_dilate
    object_blur_px: int  # radius of the blur kernel of each transform
    background_blur_px: int
    image_blur_px: int
    blend_sigma_px: float = 1.0  # of the Gaussian that some blends blur with
    least_mm: tuple[float, ...] | None = None  # `Spacing.least` of the image; None: all works in pixels
    resample: bool = False  # source and image differ in spacing, so a lesion is resampled whatever was drawn
    longest_px: tuple[int, ...] | None = None  # n: no transformed lesion is longer; None: two frames


class Spacing(NamedTuple):
    """The size of a batch's pixels."""

    mm: Tensor  # (B, n) float64, per axis
    least: tuple[float, ...]  # n: the least of the batch, or less; loops need a length that no device has to tell


class PlacementRecord(NamedTuple):
    """Where each lesion went, counted on its hard, transformed mask. Zeros where nothing was pasted."""

    offset_px: Tensor  # (B, n) int64: how far from its own place in the source the lesion was moved
    area_px: Tensor  # (B,) int64: pixels of the transformed lesion
    visible_px: Tensor  # (B,) int64: of these, inside the frame
    region_overlap_px: Tensor  # (B,) int64: of these, inside the region (0 without one)
    lesion_overlap_px: Tensor  # (B,) int64: of these, on lesions that were there
    k_erode: Tensor  # (B,) int64: erosion steps really taken: fewer than asked for of a small lesion, 0 but for Soft-CP


class SoftCPOutput(NamedTuple):
    """Result of one call and its record: enough to replay it, audit it or draw it."""

    image: Tensor  # (B, C, *spatial)
    mask: Tensor  # as the mask that came in
    soft_mask: Tensor  # (B, 1, *spatial) in [0, 1]; zero where nothing was pasted
    placement: PlacementRecord
    status: Tensor  # (B,) int64, codes of `Status`
    params: PasteParams

    def status_labels(self) -> list[str]:
        """The status of every sample in words; reads the device."""
        return [Status(code).label for code in self.status.tolist()]


class LesionCrop(NamedTuple):
    """One lesion cut out of its image with a margin of real tissue, and where it comes from."""

    image: Tensor  # (C, *size), a real dtype
    labels: Tensor  # (1, *size) integer: class ids of this lesion, 0 elsewhere, also where the margin shows another one
    value_range: Tensor  # (C, 2) float64: the unit of gamma and noise, such as the limits of the whole image
    start_px: tuple[int, ...]  # n: where in its image the crop begins
    spacing_mm: tuple[float, ...] | None  # n: the size of a pixel, where it is known
    case: str
    patient: str | None = None

    @property
    def volume_px(self) -> int:
        """Pixels of the lesion; reads the device."""
        return int(self.labels.count_nonzero())

    @property
    def volume_mm3(self) -> float | None:
        """The lesion's volume, in 2-D its area in mm2; None without spacing."""
        return None if self.spacing_mm is None else self.volume_px * math.prod(self.spacing_mm)

    @property
    def classes(self) -> tuple[int, ...]:
        """Class ids of the lesion's pixels; reads the device."""
        return tuple(label for label in self.labels.unique().tolist() if label)

    @property
    def kind(self) -> str:
        """What all lesions of a bank have in common, in words."""
        spacing = "spacing" if self.spacing_mm else "no spacing"
        return f"{self.image.shape[0]} channel(s), {self.image.ndim - 1} axes, {spacing}, device {self.image.device}"

    def check(self, name: str) -> None:
        """Raises a ValueError where a field is not what its comment says; reads the device.

        Args:
            name: of the lesion, for the message.
        """
        name = f"{name} (case {self.case})"
        self._check_pixels(name)
        self._check_origin(name, self.image.ndim - 1)

    def _check_pixels(self, name: str) -> None:
        image, labels, limits = self.image, self.labels, self.value_range
        if image.ndim not in (3, 4) or image.numel() == 0 or image.is_complex() or image.dtype == torch.bool:
            fail(f"{name}: image", "numbers (C, H, W) or (C, D, H, W)", f"{image.dtype} {tuple(image.shape)}")
        shape, integers = (1, *image.shape[1:]), (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
        if tuple(labels.shape) != shape or labels.dtype not in integers:
            fail(f"{name}: labels", f"integers {shape}", f"{labels.dtype} {tuple(labels.shape)}")
        least, largest = int(labels.min()), int(labels.max())
        if least < 0 or not 1 <= largest < 1 << 31:
            fail(f"{name}: labels", "class ids from 1 to 2**31 - 1 on the lesion, else 0", f"{least} to {largest}")
        if tuple(limits.shape) != (len(image), 2):
            fail(f"{name}: value_range", f"shape {(len(image), 2)}", f"{tuple(limits.shape)}")
        low, high = image.double().flatten(1).aminmax(dim=1)  # uint16 knows few operations
        if not (low.isfinite() & high.isfinite()).all():
            fail(f"{name}: image", "finite values", "NaN or infinity")
        if not ((limits[:, 0] <= low) & (high <= limits[:, 1]) & limits.isfinite().all()).all():
            found = f"{limits.tolist()} around {low.tolist()} to {high.tolist()}"
            fail(f"{name}: value_range", "finite numbers, the crop's values between them", found)

    def _check_origin(self, name: str, axes: int) -> None:
        start, spacing = self.start_px, self.spacing_mm
        if len(start) != axes or not all(isinstance(first, int) and first >= 0 for first in start):
            fail(f"{name}: start_px", f"{axes} whole numbers, 0 or more", repr(start))
        if spacing is not None and (len(spacing) != axes or not all(0 < step < math.inf for step in spacing)):
            fail(f"{name}: spacing_mm", f"{axes} numbers above 0, or None", repr(spacing))
        if not isinstance(self.case, str) or not isinstance(self.patient, str | None):
            fail(f"{name}: case, patient", "a string, and a string or None", repr((self.case, self.patient)))


def tensors_of(params: Any) -> list[Tensor]:
    """Every tensor of a (nested) named tuple of params."""
    if params is None or isinstance(params, Tensor):
        return [] if params is None else [params]
    return [tensor for field in params for tensor in tensors_of(field)]


def map_params(params: Any, fn: Any) -> Any:
    """Applies `fn` to every tensor of a (nested) named tuple of params."""
    if params is None:
        return None
    if isinstance(params, Tensor):
        return fn(params)
    return type(params)(*(map_params(field, fn) for field in params))
