"""Tensors as the arrays that `jit_soft` softens; as in `image_loops`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from softcp_gpu.loops.image_loops import labels_of
from softcp_gpu.loops.paste_loops import Found
from softcp_gpu.loops.threads import in_threads

_KEPT = 1 << 25  # bytes: larger blocks than these the C library gives back at once


class Softness(NamedTuple):
    """How lesions fade."""

    alpha: np.ndarray  # (B,) float32
    k_erode: np.ndarray  # (B,) int64
    k_dilate: np.ndarray  # (B,) int64
    geometric: bool  # the profile
    cross: bool  # the footprint
    skips: bool  # a lesion that erosion would erase is left out


def soften(
    found: Found, softness: Softness, pasted: np.ndarray, mask: Tensor, out: Tensor
) -> tuple[Tensor, np.ndarray]:
    """Soft masks and labels of all samples.

    Args:
        found: of `find_places`.
        softness: the draws and settings.
        pasted: (B,) bool, changed: those that may be pasted, and then those that are.
        mask, out: (B, 1, *spatial), contiguous: the label that is there, and that of the result.

    Returns:
        S, (B, 1, *spatial) float32; and steps of erosion really taken, (B,) int64.
    """
    from softcp_gpu.loops import jit_soft

    labels, taken = labels_of(mask), np.zeros(len(pasted), np.int64)
    soft, blank = _frames(labels)
    given = (found.canvas, found.windows, found.numbers, tuple(softness), pasted)
    in_threads(jit_soft.soften, len(pasted), 4 * labels[0].size, *given, labels, labels_of(out), soft, blank, taken)
    return torch.from_numpy(soft).view(mask.shape), taken


def soften_masks(mask: Tensor, softness: Softness) -> Tensor:
    """Soft masks of whole frames, (B, 1, *spatial) float32.

    Args:
        mask: (B, 1, *spatial) bool or uint8, contiguous; not 0 on the lesion.
        softness: as `soften`.
    """
    from softcp_gpu.loops import jit_soft

    labels = labels_of(mask)
    soft, blank = _frames(labels)
    pixels = labels[0].size // 4  # a quarter of what is done for a pixel elsewhere
    in_threads(jit_soft.soften_mask, len(labels), pixels, labels, tuple(softness), soft, blank)
    return torch.from_numpy(soft).view(mask.shape)


def _frames(labels: np.ndarray) -> tuple[np.ndarray, bool]:
    """Memory for the soft masks of frames (B, depth, height, width), and whether it is 0 all over.

    Much memory comes fresh from the system, and what nobody looks at costs nothing. Less has been used before.
    """
    blank = 4 * labels.size > _KEPT
    return (np.zeros if blank else np.empty)(labels.shape, np.float32), blank
