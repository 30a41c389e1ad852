"""Soft-CP of one image: the soft paste (equations 1 and 2), and the stages in order."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from softcp_gpu.reference.blend import blend_source, blend_weight
from softcp_gpu.reference.geometry import compose, translation, warp
from softcp_gpu.reference.intensity import transform_intensity
from softcp_gpu.reference.placement import Overlaps, find_origin, overlaps_at, within_bounds
from softcp_gpu.reference.transforms import crop_and_resize, fits_canvas, lesion_canvas, transform_image

# Streams of a sample's seed that noise fields are read from; slot s of a transform reads the s-th after these.
OBJECT_NOISE, BACKGROUND_NOISE, IMAGE_NOISE = 1000, 2000, 3000


def soft_copy(source_image: np.ndarray, soft_mask: np.ndarray) -> np.ndarray:
    """The lesion with its rim of tissue, fading to zero: I_soft = S * I_A; (H, W, C) and (H, W) to (H, W, C).

    Example:
        >>> soft_copy(np.full((1, 2, 1), 8.0), np.array([[0.5, 0.0]])).ravel().tolist()
        [4.0, 0.0]
    """
    return soft_mask[..., None] * source_image


def soft_paste(image: np.ndarray, source_image: np.ndarray, soft_mask: np.ndarray) -> np.ndarray:
    """Blends the lesion into the image: I_syn = S * I_A + (1 - S) * I_B (equation 1).

    Args:
        image: (H, W, C), the background I_B.
        source_image: (H, W, C), I_A, already where the lesion shall lie.
        soft_mask: (H, W) in [0, 1].

    Example:
        >>> soft_paste(np.zeros((1, 3, 1)), np.full((1, 3, 1), 100.0), np.array([[1, 0.5, 0]])).ravel().tolist()
        [100.0, 50.0, 0.0]
    """
    blended = soft_copy(source_image, soft_mask) + (1 - soft_mask[..., None]) * image
    return np.where(soft_mask[..., None] > 0, blended, image)


def hard_union(mask: np.ndarray, source_labels: np.ndarray, lesion: np.ndarray) -> np.ndarray:
    """The label of the result: the hard lesion over what was there, M_syn = M_A u M_B (equation 2).

    Args:
        mask: (H, W), the background's label.
        source_labels: (H, W), the label of each pasted pixel.
        lesion: (H, W) bool, where a lesion is pasted.

    Example:
        >>> hard_union(np.array([0, 1, 1]), np.array([2, 2, 0]), np.array([True, True, False])).tolist()
        [2, 2, 1]
    """
    return np.where(lesion, source_labels, mask).astype(mask.dtype)


def match_rim(source_image: np.ndarray, image: np.ndarray, rim: np.ndarray) -> np.ndarray:
    """Shifts each channel of the source so that its mean over the rim is that of the image.

    Args:
        source_image, image: (H, W, C).
        rim: (H, W) bool, tissue around the lesion; without any, the source stays as it is.

    Example:
        >>> match_rim(np.array([[[1.0], [5.0]]]), np.full((1, 2, 1), 3.0), np.array([[True, False]])).ravel().tolist()
        [3.0, 7.0]
    """
    if not rim.any():
        return source_image
    return source_image + image[rim].mean(0, dtype=np.float64) - source_image[rim].mean(0, dtype=np.float64)


class Output(NamedTuple):
    """The result, its record, and the stages on the way; counts are 0 and late stages None where nothing is pasted."""

    image: np.ndarray  # (H, W, C)
    mask: np.ndarray  # (H, W)
    soft_mask: np.ndarray  # (H, W) in [0, 1]
    status: str
    background: np.ndarray  # (H, W, C): the image that receives the lesion, transformed
    background_mask: np.ndarray  # (H, W)
    region: np.ndarray | None  # (H, W)
    offset_px: np.ndarray  # (2,): how far from its own place in the source the lesion was moved
    area_px: int = 0  # pixels of the transformed lesion
    counts: Overlaps = Overlaps(0, 0, 0)
    k_erode: int = 0  # steps taken
    labels: np.ndarray | None = None  # (H, W): the hard lesion at its place, class ids
    source: np.ndarray | None = None  # (H, W, C): the source at its place, intensities transformed and matched


def soft_cp(
    image: np.ndarray,
    mask: np.ndarray,
    region: np.ndarray | None,
    source_image: np.ndarray,
    source_mask: np.ndarray,
    params: Any,
    config: Any,
) -> Output:
    """Runs Soft-CP on one sample, with everything random already drawn.

    Args:
        image: (H, W, C) floating.
        mask: (H, W), binary or class ids.
        region: (H, W) bool, or None.
        source_image, source_mask: as `image` and `mask`.
        params: one sample of `PasteParams`.
        config: a `PasteConfig`.
    """
    if params.background is not None:
        draws = params.background
        image = transform_image(image, draws, config.background_blur_px, params.seed, BACKGROUND_NOISE)
        mask = crop_and_resize(mask, draws, "nearest")
        region = None if region is None else crop_and_resize(region, draws, "nearest")
    out = _paste(image, mask, region, source_image, source_mask, params, config)
    if params.image is not None:
        out = out._replace(
            image=transform_image(out.image, params.image, config.image_blur_px, params.seed, IMAGE_NOISE),
            mask=crop_and_resize(out.mask, params.image, "nearest"),
            soft_mask=crop_and_resize(out.soft_mask, params.image, "linear"),
        )
    return out


def _paste(
    image: np.ndarray,
    mask: np.ndarray,
    region: np.ndarray | None,
    source_image: np.ndarray,
    source_mask: np.ndarray,
    params: Any,
    config: Any,
) -> Output:
    """All stages between the two transforms of whole images."""

    def nothing(status: str) -> Output:
        return Output(image, mask, np.zeros(mask.shape), status, image, mask, region, np.zeros(mask.ndim, int))

    if not params.apply:
        return nothing("not_drawn")
    lesion = _lesion_of(source_mask, config.lesion_labels)
    if not lesion.any():
        return nothing("empty_source")

    # The hard lesion is resampled where the transform alone puts it; from there on it moves by whole pixels.
    labels, home, matrix = source_mask * lesion, np.zeros(mask.ndim, int), np.eye(mask.ndim + 1)
    fits = True
    if params.object is not None:
        fits = fits_canvas(labels, params.object.rigid)
        labels, home, matrix = lesion_canvas(labels, params.object.rigid)
    if not labels.any():
        return nothing("lesion_too_small")
    window, first = _cut_out(labels)
    home = home + first

    others = _lesion_of(mask, config.lesion_labels)
    origin: np.ndarray | None = home
    if not config.in_place:
        u = params.candidate_u, params.rank_u
        origin = find_origin(window > 0, mask.shape, region, others, config.bounds, *u)
    if origin is None or not fits:
        return nothing("no_legal_place")
    area = int(np.count_nonzero(window))
    counts = overlaps_at(window > 0, origin, mask.shape, region, others)
    if not within_bounds(counts, area, region, config.bounds):
        return nothing("no_legal_place")

    labels = _put_into_frame(window, origin, mask.shape)
    soft, rim, steps = blend_weight(labels > 0, params, config)
    if config.on_small == "skip" and steps < params.k_erode and config.blend.startswith("softcp"):
        return nothing("lesion_too_small")

    # The source image is resampled once, to its final place.
    source = warp(source_image, compose(matrix, translation(origin - home)), "linear")
    if params.object is not None:
        radius, intensity = config.object_blur_px, params.object.intensity
        source = transform_intensity(source, source_image, intensity, radius, params.seed, OBJECT_NOISE)
    if config.match == "rim":
        source = match_rim(source, image, rim & ~others)
    source = blend_source(source, config)
    shown = (labels > 0) & (soft > 0)  # a label needs pixels: no S, no label
    if config.blend == "carvemix":  # all of the source's label goes with its pixels
        tissue = np.where(lesion, 0, source_mask).astype(np.int64) + 1  # 0: beyond its frame
        found = warp(tissue, compose(matrix, translation(origin - home)), "nearest")
        soft = soft * ((labels > 0) | (found > 0))
        labels, shown = np.where(labels > 0, labels, np.maximum(found - 1, 0)), soft > 0
    blended = soft_paste(image, source, soft)
    union = hard_union(mask, labels, shown)
    record = (origin - home, area, counts, steps, labels, source)
    return Output(blended, union, soft, "pasted", image, mask, region, *record)


def _lesion_of(mask: np.ndarray, lesion_labels: tuple[int, ...] | None) -> np.ndarray:
    """Where a label map shows a lesion: its value is one of the ids, or, without ids, not 0."""
    return mask != 0 if lesion_labels is None else np.isin(mask, lesion_labels)


def _cut_out(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is not 0 in its box, and the first pixel of the box."""
    pixels = np.argwhere(labels)
    first, last = pixels.min(0), pixels.max(0)
    return labels[tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))], first


def _put_into_frame(window: np.ndarray, origin: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The window on an empty frame, its first pixel at `origin`; what lies outside is cut off."""
    frame = np.zeros(shape, window.dtype)
    for pixel in np.argwhere(window):
        at = pixel + origin
        if np.all(at >= 0) and np.all(at < shape):
            frame[tuple(at)] = window[tuple(pixel)]
    return frame
