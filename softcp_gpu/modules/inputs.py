"""The inputs of a call of `SoftCP`, checked and in their full shapes."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from softcp_gpu import checks
from softcp_gpu.functional import execution, looped
from softcp_gpu.functional.inputs import Physical
from softcp_gpu.modules.bank import LesionBank
from softcp_gpu.types import PasteConfig, PasteParams


class Labels(NamedTuple):
    """The class ids that masks may hold besides 0 and 1."""

    lesion: tuple[int, ...] | None  # None: masks are binary
    other: tuple[int, ...]


class Backgrounds(NamedTuple):
    """What lesions are pasted into."""

    image: Tensor  # (B, C, *spatial) floating
    mask: Tensor  # (B, 1, *spatial)
    region: Tensor | None  # (B, 1, *spatial) bool
    mm: Tensor | None  # (B, n) float64 on the CPU: spacing


class Sources(NamedTuple):
    """Where lesions come from, one source for each background."""

    image: Tensor  # (B, C, *source) floating
    mask: Tensor  # (B, 1, *source)
    mm: Tensor | None  # (B, n) float64 on the CPU
    value_range: Tensor | None = None  # (B, C, 2); None: the source's own


def checked_labels(lesion_labels: Any, other_labels: Any) -> Labels:
    """The class ids that a module is made with."""
    lesion, other = checks.labels("lesion_labels", lesion_labels), checks.labels("other_labels", other_labels) or ()
    if other and lesion is None:
        checks.fail("other_labels", "lesion_labels beside it, or none: masks are binary without", repr(other_labels))
    return Labels(lesion, other)


def checked_backgrounds(
    image: Tensor, mask: Tensor, region: Tensor | None, spacing: Any, footprint: str, labels: Labels
) -> Backgrounds:
    """The first arguments of a call."""
    checks.spatial_tensor("image", image)
    _check_finite("image", image)
    full = _checked_mask("mask", mask, image, labels)
    mm = _checked_spacing("spacing", spacing, image)
    if mm is not None and footprint != "full":
        checks.fail("footprint", "'full' with spacing (rings in mm are Euclidean)", repr(footprint))
    return Backgrounds(floating("image", image), full, checks.region_like(region, image), mm)


def checked_sources(
    x: Backgrounds,
    source_image: Tensor | None,
    source_mask: Tensor | None,
    source_spacing: Any,
    source_range: Tensor | None,
    labels: Labels,
) -> Sources:
    """The sources that were given, or the batch itself."""
    if (source_image is None) != (source_mask is None):
        missing = "source_image" if source_image is None else "source_mask"
        checks.fail(missing, "both source_image and source_mask, or neither", "only one of them")
    if source_spacing is not None and (source_image is None or x.mm is None):
        checks.fail("source_spacing", "None without source_image and spacing", repr(source_spacing))
    if source_range is not None:
        checks.range_like("source_range", source_range, x.image)
    if source_image is None or source_mask is None:
        if x.image.shape[0] == 1:
            checks.fail("source_image", "a source or a bank for a batch of one, which cannot be its own", "None")
        return Sources(x.image, x.mask, x.mm, source_range)
    checks.source_like(source_image, x.image)
    _check_finite("source_image", source_image)
    full = _checked_mask("source_mask", source_mask, source_image, labels)
    mm = x.mm if source_spacing is None else _checked_spacing("source_spacing", source_spacing, source_image)
    return Sources(floating("source_image", source_image), full, mm, source_range)


def floating(name: str, image: Tensor) -> Tensor:
    """The image itself, or, of integers, a float32 copy."""
    checks.real(name, image)
    if image.is_floating_point():
        return image
    return execution.empty(image.shape, torch.float32, image.device).copy_(image)


def _check_finite(name: str, image: Tensor) -> None:
    if not looped.all_finite(image):
        checks.finite_image(name, image)


def _checked_mask(name: str, mask: Tensor, image: Tensor, labels: Labels) -> Tensor:
    full = checks.mask_like(name, mask, image)
    checks.label_values(name, full, labels.lesion, labels.other)
    checks.holds_labels(name, full, labels.lesion)
    return full


def _checked_spacing(name: str, spacing: Any, image: Tensor) -> Tensor | None:
    return None if spacing is None else checks.spacing_of(name, spacing, image.shape[0], image.ndim - 2)


def checked_params(params: Any, image: Tensor, module: Any) -> PasteParams:
    """Params of a call on as many samples with as many axes, by a module with the same transforms."""
    if not isinstance(params, PasteParams):
        checks.fail("params", "PasteParams, as `SoftCPOutput` has them", type(params).__name__)
    for name in ("object", "background", "image"):
        drawn, transform = getattr(params, name), getattr(module, f"{name}_transform")
        if (drawn is None) != (transform is None):
            expected, found = ("none" if x is None else "some" for x in (transform, drawn))
            checks.fail("params", f"{expected} of {name}_transform, as this module has", found)
        if drawn is not None and drawn.intensity.blur_sigma_px.numel():
            sigma, radius = float(drawn.intensity.blur_sigma_px.max()), transform.blur_radius_px
            if 4 * sigma > radius + 1e-6:  # the kernel would be cut
                checks.fail("params", f"a blur of at most {radius / 4:g} px, as {name}_transform has", f"{sigma:g}")
    batch, axes = params.seed.shape[0], params.candidate_u.shape[-1]
    if (batch, axes) != (image.shape[0], image.ndim - 2):
        checks.fail("params", f"{image.shape[0]} samples with {image.ndim - 2} axes", f"{batch} with {axes}")
    if batch and not 0 <= int(params.source_index.min()) <= int(params.source_index.max()) < batch:
        checks.fail("params", f"source_index from 0 to {batch - 1}", f"{params.source_index.tolist()}")
    return params


def physical_of(x: Backgrounds, sources: Sources) -> Physical:
    """What is known of both, on the device of the images."""
    device = x.image.device
    if x.mm is None:
        return Physical(source_range=sources.value_range)
    mm, source_mm = (t if t is None else t.to(device, non_blocking=True) for t in (x.mm, sources.mm))
    return Physical(mm, source_mm, sources.value_range)


def call_config(config: PasteConfig, x: Backgrounds, sources: Sources, params: PasteParams) -> PasteConfig:
    """The settings of a module, with what a call asks for besides."""
    config = config._replace(
        erode_max=max(config.erode_max, *params.k_erode.tolist(), 0),
        dilate_max=max(config.dilate_max, *params.k_dilate.tolist(), 0),
    )
    if sources.image.shape[2:] != x.image.shape[2:] and len(x.image):
        config = config._replace(longest_px=_longest_px(x, sources, params))
    if x.mm is None or sources.mm is None or not len(x.mm):
        return config
    resample = not torch.equal(x.mm, sources.mm[params.source_index.cpu()])
    return config._replace(least_mm=tuple(x.mm.amin(0).tolist()), resample=resample)


def _longest_px(x: Backgrounds, sources: Sources, params: PasteParams) -> tuple[int, ...]:
    """The length along each axis that no lesion exceeds, turned and scaled: a source's diagonal, if that is less."""
    frame, source = x.image.shape[2:], torch.tensor(sources.image.shape[2:], dtype=torch.float64)
    mm = torch.ones_like(source) if x.mm is None else x.mm.amin(0)
    source_mm = mm if x.mm is None or sources.mm is None else sources.mm.amax(0)
    scale = 1.0 if params.object is None else float(params.object.rigid.scale.prod(1).max())
    reach = scale * (source * source_mm).norm() / mm
    # In steps of 16, so that a graph that is compiled for a size serves the next call too.
    rounded = [math.ceil((length + 4) / 16) * 16 for length in reach.tolist()]
    lengths = zip(frame, sources.image.shape[2:], rounded, strict=True)
    return tuple(min(max(2 * length, own), most) for length, own, most in lengths)


def checked_bank(bank: Any, labels: Labels, blend: str) -> LesionBank | None:
    """A bank whose lesions have classes that masks may hold."""
    if bank is None:
        return None
    if not isinstance(bank, LesionBank):
        checks.fail("bank", "a LesionBank or None", repr(bank))
    if blend == "carvemix":  # it pastes the label of what is around a lesion, which a bank does not keep
        checks.fail("blend", "another one with a bank", repr(blend))
    if labels.lesion is not None and not set(bank.classes) <= set(labels.lesion):
        checks.fail("bank", f"lesions of the classes {list(labels.lesion)} (lesion_labels)", f"{list(bank.classes)}")
    return bank


def nothing_beside_a_bank(**given: Any) -> None:
    """What a bank knows of its lesions is not given again."""
    for name, value in given.items():
        if value is not None:
            checks.fail(name, "None where lesions come from a bank", repr(value))


def sources_of_bank(bank: LesionBank, seed: Tensor, x: Backgrounds, labels: Labels) -> Sources:
    """A lesion of the bank for each sample, drawn from its seed."""
    drawn = bank.take(bank.draw(seed.cpu()))
    if drawn.image.shape[1] != x.image.shape[1] or drawn.image.ndim != x.image.ndim:
        found = f"{drawn.image.shape[1]} channel(s) and {drawn.image.ndim - 2} axes"
        checks.fail("bank", f"lesions with {x.image.shape[1]} channel(s) and {x.image.ndim - 2} axes", found)
    if drawn.image.device != x.image.device:
        checks.fail("bank", f"device {x.image.device} as the image has", str(drawn.image.device))
    if x.mm is not None and drawn.spacing is None:
        checks.fail("bank", "lesions with spacing, as the image has one", "lesions without")
    mask = drawn.mask if labels.lesion else drawn.mask > 0  # in a binary mask every class is 1
    return Sources(drawn.image, mask, drawn.spacing, drawn.value_range)
