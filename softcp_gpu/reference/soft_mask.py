"""The soft mask S by the paper's loop, with cv2.erode and cv2.dilate."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np


def auto_k_dilate(alpha: float) -> int:
    """The least number of dilation steps after which the outermost ring weighs at most 0.05.

    Example:
        >>> [auto_k_dilate(alpha) for alpha in (0.5, 0.7, 0.8, 0.9)]
        [5, 9, 14, 29]
    """
    k = 1
    while alpha**k > 0.05 * (1 + 1e-5):  # alpha may be a root of 0.05, rounded to any precision
        k += 1
    return k


def erode_core(mask: np.ndarray, k_erode: int, footprint: Literal["full", "cross"] = "full") -> tuple[np.ndarray, int]:
    """Erodes k_erode times, or as often as leaves a core; pixels outside the frame are ignored.

    Args:
        mask: (H, W) bool.
        k_erode: steps, 0 or more.
        footprint: "full" (3 x 3) or "cross".

    Returns:
        the core (H, W) bool, and the steps taken.
    """
    core, steps = mask.astype(np.uint8), 0
    for _ in range(k_erode):
        eroded = np.asarray(cv2.erode(core, _kernel(footprint)), np.uint8)
        if not eroded.any():
            break
        core, steps = eroded, steps + 1
    return core.astype(bool), steps


def soft_mask(
    mask: np.ndarray,
    k_erode: int,
    k_dilate: int | Literal["auto"],
    alpha: float,
    *,
    footprint: Literal["full", "cross"] = "full",
    profile: Literal["softcp", "geometric"] = "softcp",
    on_small: Literal["shrink", "skip"] = "shrink",
) -> np.ndarray:
    """Softens a hard lesion mask: the algorithm of the paper's figure 5, as written.

    Args:
        mask: (H, W), bool, or numbers in {0, 1}.
        k_erode: erosion steps, 0 or more.
        k_dilate: dilation steps, 0 or more, or "auto", the least k with alpha**k <= 0.05.
        alpha: softening coefficient in (0, 1).
        footprint: "full" (3 x 3) or "cross".
        profile: "softcp", or "geometric": alpha**i in the i-th ring around the core.
        on_small: a lesion that k_erode steps would erase is eroded less ("shrink") or left out, S = 0 ("skip").

    Returns:
        (H, W) float64 in [0, 1].

    Example:
        >>> soft_mask(np.array([[0, 0, 0, 1, 0, 0, 0]]), k_erode=0, k_dilate=2, alpha=0.5)[0].tolist()
        [0.0, 0.25, 0.625, 1.0, 0.625, 0.25, 0.0]
    """
    core, steps = erode_core(mask != 0, k_erode, footprint)
    if on_small == "skip" and steps < k_erode:
        return np.zeros(mask.shape)
    soft = core.astype(np.float64)
    for i in range(1, (auto_k_dilate(alpha) if k_dilate == "auto" else k_dilate) + 1):
        support = cv2.dilate((soft > 0).astype(np.uint8), _kernel(footprint))
        if profile == "softcp":
            soft = soft + (1 - soft) * alpha**i * support
        else:
            soft = np.where((support > 0) & (soft == 0), alpha**i, soft)
    return soft


def _kernel(footprint: str) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_RECT if footprint == "full" else cv2.MORPH_CROSS, (3, 3))
