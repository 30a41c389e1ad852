"""Checks of images, masks and what comes with them: what a module is called with."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from softcp_gpu.checks.settings import fail


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


def real(name: str, image: Tensor) -> None:
    """No complex image."""
    if image.is_complex():
        fail(name, "a real dtype", str(image.dtype))


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
    declared = {0, 1, *(lesion_labels or ()), *other_labels}
    if mask.dtype == torch.uint8 and declared.issuperset(range(1 + int(mask.numpy().max()))):
        return  # the usual mask, ten times as fast
    allowed = sorted(declared)
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
    if on_cpu(full) and full.shape[0] and not full.numpy().any():
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
