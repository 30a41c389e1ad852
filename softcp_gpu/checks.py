"""Every check of an argument, and every error text: the argument, what was expected, what was found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

import torch
from torch import Tensor

from softcp_gpu.types import PasteParams

MOST_STEPS = 1000  # of erosion or dilation


def fail(name: str, expected: str, found: str) -> NoReturn:
    """Raises the one kind of error that bad input gets."""
    raise ValueError(f"{name}: expected {expected}, found {found}")


def choice(name: str, value: Any, allowed: Sequence[str]) -> None:
    """`value` is one of the words."""
    if not isinstance(value, str) or value not in allowed:
        fail(name, "one of " + ", ".join(map(repr, allowed)), repr(value))


def number(name: str, value: Any, low: float, high: float, *, open_ends: bool = False) -> None:
    """`value` is a finite number in [low, high], or in (low, high)."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or not (low < value < high if open_ends else low <= value <= high):
        ends = "()" if open_ends else "[]"
        fail(name, f"a number in {ends[0]}{low:g}, {high:g}{ends[1]}", repr(value))


def value_range(name: str, value: Any, low: float, high: float, *, open_ends: bool = False) -> tuple[float, float]:
    """A number, or a pair (least, largest), as a pair."""
    pair = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(pair) != 2:
        fail(name, "a number or a pair (least, largest)", repr(value))
    for end in pair:
        number(name, end, low, high, open_ends=open_ends)
    if pair[0] > pair[1]:
        fail(name, "a pair (least, largest)", repr(value))
    return pair


def step_range(name: str, value: Any) -> tuple[int, int]:
    """A number of steps, or a pair (least, largest), as a pair of ints."""
    if name == "k_dilate" and isinstance(value, str):
        fail(name, "a whole number of steps, a pair (least, largest), or 'auto'", repr(value))
    pair = value_range(name, value, 0, MOST_STEPS)
    if not all(isinstance(end, int) for end in pair):
        fail(name, "whole numbers of steps, 0 or more", repr(value))
    return int(pair[0]), int(pair[1])


def bound(name: str, value: Any) -> None:
    """An anatomical bound: an int of pixels, 0 or more, or a float fraction of the lesion in [0, 1]."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        fail(name, "an int (pixels) or a float (fraction of the lesion)", repr(value))
    if isinstance(value, int) and value < 0:
        fail(name, "0 pixels or more", repr(value))
    if isinstance(value, float) and not 0 <= value <= 1:
        fail(name, "a fraction in [0, 1] (an int counts pixels)", repr(value))


def names(name: str, value: Any, allowed: Sequence[str]) -> None:
    """A list of operations to draw from, not empty."""
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        fail(name, "a list of names", repr(value))
    for word in value:
        choice(name, word, allowed)


def labels(name: str, value: Any) -> tuple[int, ...] | None:
    """Class ids above 0 as a tuple; None stays None."""
    if value is None:
        return None
    ids = tuple(value) if isinstance(value, Sequence) else (value,)
    if any(isinstance(i, bool) or not isinstance(i, int) or i < 1 for i in ids):
        fail(name, "whole class ids, 1 or more", repr(value))
    if name == "lesion_labels" and not ids:
        fail(name, "at least one class id, or None for binary masks", repr(value))
    return ids


def floating(name: str, image: Tensor) -> Tensor:
    """The image itself, or, of integers, a float32 copy."""
    if image.is_complex():
        fail(name, "a real dtype", str(image.dtype))
    return image if image.is_floating_point() else image.to(torch.float32)


def params_fit(params: Any, image: Tensor, transforms: Sequence[Any]) -> None:
    """Params of a call on as many samples with as many axes, by a module with such transforms (or None)."""
    if not isinstance(params, PasteParams):
        fail("params", "PasteParams, as `SoftCPOutput` has them", type(params).__name__)
    for drawn, transform, name in zip(params[-3:], transforms, ("object", "background", "image"), strict=True):
        if (drawn is None) != (transform is None):
            expected, found = ("none" if x is None else "some" for x in (transform, drawn))
            fail("params", f"{expected} of {name}_transform, as this module has", found)
        sigma = (
            0.0 if drawn is None or not drawn.intensity.blur_sigma_px.numel() else drawn.intensity.blur_sigma_px.max()
        )
        if transform is not None and 4 * float(sigma) > transform.blur_radius_px + 1e-6:
            fail(
                "params",
                f"a blur of at most {transform.blur_radius_px / 4:g} px, as {name}_transform has",
                f"{sigma:g}",
            )
    batch, axes = params.seed.shape[0], params.candidate_u.shape[-1]
    if (batch, axes) != (image.shape[0], image.ndim - 2):
        fail("params", f"{image.shape[0]} samples with {image.ndim - 2} axes", f"{batch} with {axes}")
    if batch and not 0 <= int(params.source_index.min()) <= int(params.source_index.max()) < batch:
        fail("params", f"source_index from 0 to {batch - 1}", f"{params.source_index.tolist()}")


def fades_in_time(k_dilate: Any, alpha: Any) -> int:
    """The steps that "auto" asks for, if they can be taken."""
    k_dilate = int(k_dilate)
    if k_dilate > MOST_STEPS:
        found = alpha.max().item() if isinstance(alpha, Tensor) else alpha
        fail("alpha", f"one whose rim fades within {MOST_STEPS} steps if k_dilate is 'auto'", f"{found!r}: {k_dilate}")
    return k_dilate


def soft_mask_arguments(
    mask: Tensor,
    k_erode: Any,
    k_dilate: Any,
    alpha: Any,
    footprint: Any,
    profile: Any,
    spacing: Any,
    on_small: Any,
) -> None:
    """The arguments of `functional.soft_mask`."""
    spatial_tensor("mask", mask)
    if mask.shape[1] != 1:
        fail("mask", "one channel, (B, 1, *spatial)", f"shape {tuple(mask.shape)}")
    batch, axes = mask.shape[0], mask.ndim - 2
    _steps("k_erode", k_erode, batch)
    if k_dilate != "auto" if isinstance(k_dilate, str) else True:
        _steps("k_dilate", k_dilate, batch)
    if isinstance(alpha, Tensor):
        _sample_tensor("alpha", alpha, batch)
        if on_cpu(alpha) and not bool(((alpha > 0) & (alpha < 1)).all()):
            fail("alpha", "values in the open interval (0, 1)", f"{alpha.tolist()}")
    else:
        number("alpha", alpha, 0, 1, open_ends=True)
    choice("profile", profile, ("softcp", "geometric"))
    choice("on_small", on_small, ("shrink", "skip"))
    _footprint(footprint, axes)
    if spacing is not None:
        _spacing(spacing, axes, footprint)
    label_values("mask", mask, None, ())


def _steps(name: str, value: Any, batch: int) -> None:
    if isinstance(value, Tensor):
        _sample_tensor(name, value, batch)
        if value.is_floating_point() or value.dtype == torch.bool:
            fail(name, "an integer tensor", str(value.dtype))
        if on_cpu(value) and value.numel() and not 0 <= int(value.min()) <= int(value.max()) <= MOST_STEPS:
            fail(name, f"0 steps or more, at most {MOST_STEPS}", f"{value.tolist()}")
    elif isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_STEPS:
        auto = ", or 'auto'" if name == "k_dilate" else ""
        fail(name, f"a whole number of steps, 0 or more{auto}, at most {MOST_STEPS}", repr(value))


def _sample_tensor(name: str, value: Tensor, batch: int) -> None:
    if value.ndim > 1 or value.numel() not in (1, batch):
        fail(name, f"a number or one value per sample, shape ({batch},)", f"shape {tuple(value.shape)}")


def _footprint(footprint: Any, axes: int) -> None:
    if not isinstance(footprint, Tensor):
        choice("footprint", footprint, ("full", "cross"))
        return
    if footprint.ndim != axes or any(length % 2 == 0 for length in footprint.shape):
        fail("footprint", f"{axes} odd lengths", f"shape {tuple(footprint.shape)}")
    if not bool(((footprint == 0) | (footprint == 1)).all()):
        fail("footprint", "values 0 and 1", "other values")
    if footprint[tuple(length // 2 for length in footprint.shape)] != 1:
        fail("footprint", "a footprint with its centre set", "one without")
    if not torch.equal(footprint, footprint.flip(tuple(range(axes)))):
        fail("footprint", "a footprint that is its own mirror image", "an asymmetric one")


def _spacing(spacing: Any, axes: int, footprint: Any) -> None:
    if not isinstance(spacing, tuple | list) or len(spacing) != axes:
        fail("spacing", f"{axes} numbers, mm per axis", repr(spacing))
    for step in spacing:
        number("spacing", step, 0, math.inf, open_ends=True)
    if isinstance(footprint, Tensor) or footprint != "full":
        fail("footprint", "'full' with spacing (rings in mm are Euclidean)", repr(footprint))


def on_cpu(x: Tensor) -> bool:
    """Whether values can be checked for free; on an accelerator a check would wait for the queue."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def spatial_tensor(name: str, x: Any) -> None:
    """A tensor (B, C, H, W) or (B, C, D, H, W)."""
    if not isinstance(x, Tensor):
        fail(name, "a tensor", type(x).__name__)
    elif x.ndim not in (4, 5):
        fail(name, "shape (B, C, H, W) or (B, C, D, H, W)", f"shape {tuple(x.shape)}")
    elif 0 in x.shape[1:]:
        fail(name, "no empty axis but the batch", f"shape {tuple(x.shape)}")


def finite_image(name: str, image: Tensor) -> None:
    """No NaN and no infinity; skipped where it would cost a wait."""
    if not image.is_floating_point() or not on_cpu(image) or image.numel() == 0:
        return
    low, high = image.detach().aminmax()  # one pass; NaN comes through
    if not bool(torch.isfinite(low) & torch.isfinite(high)):
        bad = (~torch.isfinite(image)).flatten(1).any(1).nonzero().flatten().tolist()
        fail(name, "finite values", f"NaN or infinity in sample(s) {bad}")


def as_bool(mask: Tensor) -> Tensor:
    """A checked binary mask as bool; on a CPU bytes are known to be 0 or 1, and need no copy."""
    return mask.view(torch.bool) if mask.dtype == torch.uint8 and on_cpu(mask) else mask.bool()


def label_values(name: str, mask: Tensor, lesion_labels: Sequence[int] | None, other_labels: Sequence[int]) -> None:
    """Values are 0, 1 or declared class ids; skipped where it would cost a wait."""
    if mask.dtype == torch.bool or not on_cpu(mask) or mask.numel() == 0:
        return
    if mask.dtype == torch.uint8 and int(mask.max()) <= 1:  # the usual mask, ten times as fast as what follows
        return
    allowed = sorted({0, 1, *(lesion_labels or ()), *other_labels})
    bad = mask != allowed[0]
    for value in allowed[1:]:
        if mask.is_floating_point() or value <= torch.iinfo(mask.dtype).max:  # a comparison would wrap the id around
            bad &= mask != value
    if bool(bad.any()):
        found = mask[bad].unique()[:5].tolist()
        hint = "" if lesion_labels else " (declare class ids with lesion_labels=)"
        fail(name, f"values in {allowed}{hint}", f"{found}")


def holds_labels(name: str, mask: Tensor, lesion_labels: Sequence[int] | None) -> None:
    """The mask's dtype can hold the ids of the lesions that are pasted into it."""
    for label in lesion_labels or (1,):
        if mask.is_floating_point():
            held = int(torch.tensor(label, dtype=torch.float64).to(mask.dtype)) == label  # above 2**k floats have gaps
        else:
            held = label <= (1 if mask.dtype == torch.bool else torch.iinfo(mask.dtype).max)
        if not held:
            fail(name, f"a dtype that holds the lesion label {label}", str(mask.dtype))


def mask_like(name: str, mask: Any, image: Tensor) -> Tensor:
    """A mask (B, *spatial) or (B, 1, *spatial) that fits the image, as (B, 1, *spatial)."""
    if not isinstance(mask, Tensor):
        fail(name, "a tensor", type(mask).__name__)
    shape = (image.shape[0], 1, *image.shape[2:])
    full = mask.unsqueeze(1) if mask.ndim == image.ndim - 1 else mask
    if tuple(full.shape) != shape:
        fail(name, f"shape {shape} or {(shape[0], *shape[2:])} as the image has", f"shape {tuple(mask.shape)}")
    if full.device != image.device:
        fail(name, f"device {image.device} as the image has", str(full.device))
    if full.is_complex():
        fail(name, "bool, integer or floating labels", str(full.dtype))
    return full


def region_like(region: Tensor | None, image: Tensor) -> Tensor | None:
    """A region that fits the image, as (B, 1, *spatial) bool; not empty in every sample."""
    if region is None:
        return None
    full = mask_like("region", region, image)
    label_values("region", full, None, ())
    full = as_bool(full)
    if on_cpu(full) and full.shape[0] and not bool(full.view(torch.uint8).max()):
        fail("region", "at least one sample with a region pixel", "a region that is empty everywhere")
    return full


def source_like(source_image: Any, image: Tensor) -> None:
    """A source for each image, with its channels and on its device; its frame may differ."""
    spatial_tensor("source_image", source_image)
    if source_image.shape[:2] != image.shape[:2] or source_image.ndim != image.ndim:
        expected = f"{image.shape[0]} samples, {image.shape[1]} channels and {image.ndim - 2} axes as image has"
        fail("source_image", expected, f"shape {tuple(source_image.shape)}")
    if source_image.device != image.device:
        fail("source_image", f"device {image.device} as image has", str(source_image.device))


def range_like(name: str, value: Any, image: Tensor) -> None:
    """Least and largest value of each channel of each sample."""
    shape = (*image.shape[:2], 2)
    if not isinstance(value, Tensor) or tuple(value.shape) != shape or not value.is_floating_point():
        found = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        fail(name, f"a floating tensor {shape}: least and largest value of each channel", found)
    if value.device != image.device:
        fail(name, f"device {image.device} as the image has", str(value.device))
    if on_cpu(value) and not bool((torch.isfinite(value).all(2) & (value[..., 0] <= value[..., 1])).all()):
        fail(name, "finite values, the least first", f"{value.tolist()}")


def spacing_of(name: str, value: Any, batch: int, axes: int) -> Tensor:
    """Spacing of each sample, (B, n) float64 on the CPU, from n numbers or (B, n)."""
    expected = f"{axes} numbers above 0, mm per axis in tensor order, or a tensor ({batch}, {axes}) of them"
    mm = None
    with suppress(TypeError, ValueError, RuntimeError):  # so that the error below is the only one
        mm = torch.as_tensor(value, dtype=torch.float64, device="cpu")
    if mm is None:
        fail(name, expected, repr(value))
    if tuple(mm.shape) not in ((axes,), (batch, axes)):
        fail(name, expected, f"shape {tuple(mm.shape)}")
    if not bool((torch.isfinite(mm) & (mm > 0)).all()):
        fail(name, expected, f"{mm.tolist()}")
    return mm.expand(batch, axes)


def generator(value: Any) -> None:
    """A CPU generator or None: draws are the same on every device because they are made on one."""
    if value is not None and not (isinstance(value, torch.Generator) and value.device.type == "cpu"):
        found = f"one on {value.device}" if isinstance(value, torch.Generator) else type(value).__name__
        fail("generator", "a torch.Generator on the CPU", found)
