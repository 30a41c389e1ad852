"""Checks of the arguments of `functional.soft_mask`."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from softcp_gpu.checks.settings import MOST_STEPS, choice, fail, number
from softcp_gpu.checks.tensors import label_values, on_cpu, spatial_tensor


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
