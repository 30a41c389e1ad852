"""Checks of numbers, words and ranges: what a module is made with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor

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


def fades_in_time(k_dilate: Any, alpha: Any) -> int:
    """The steps that "auto" asks for, if they can be taken."""
    k_dilate = int(k_dilate)
    if k_dilate > MOST_STEPS:
        found = alpha.max().item() if isinstance(alpha, Tensor) else alpha
        fail("alpha", f"one whose rim fades within {MOST_STEPS} steps if k_dilate is 'auto'", f"{found!r}: {k_dilate}")
    return k_dilate


def generator(value: Any) -> None:
    """A CPU generator or None: draws are the same on every device because they are made on one."""
    if value is not None and not (isinstance(value, torch.Generator) and value.device.type == "cpu"):
        found = f"one on {value.device}" if isinstance(value, torch.Generator) else type(value).__name__
        fail("generator", "a torch.Generator on the CPU", found)
