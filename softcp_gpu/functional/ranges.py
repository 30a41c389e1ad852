"""What is drawn from which ranges, and which stream of a sample's seed each kind of draw reads."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

CANDIDATES = 16
SLOTS = 2
RIGID_OPS = ("none", "flip", "rotation", "scaling", "panning")
INTENSITY_OPS = ("none", "gamma", "noise", "blur")

Range = tuple[float, float]


class Stream(IntEnum):
    """Streams of a seed; noise fields read from 1000 on."""

    APPLY, SOURCE, SOFTNESS, PLACE, RIGID_OP, RIGID, INTENSITY_OP, INTENSITY, CARVE = range(9)
    BACKGROUND, IMAGE, BANK = 100, 200, 300


class ObjectRanges(NamedTuple):
    """What `ObjectTransform` draws from."""

    rigid: tuple[str, ...]
    intensity: tuple[str, ...]
    rotation_deg: Range
    scale: Range
    shift: Range  # fraction of the frame
    gamma: Range
    noise_sigma: Range  # fraction of the image's range
    blur_sigma_px: Range


class ImageRanges(NamedTuple):
    """What `ImageTransform` draws from, each with its own probability."""

    p_crop: float
    p_gamma: float
    p_noise: float
    p_blur: float
    crop: Range  # fraction of the frame, each axis on its own
    gamma: Range
    noise_sigma: Range
    blur_sigma_px: Range


class PasteRanges(NamedTuple):
    """What `SoftCP` draws from."""

    p: float
    alpha: Range
    k_erode: tuple[int, int]
    k_dilate: tuple[int, int] | None  # None: by alpha
    object: ObjectRanges | None
    background: ImageRanges | None
    image: ImageRanges | None
