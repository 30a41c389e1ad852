"""No time of a wrong result: whether a copy-paste did what every one of them claims."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

REACH_PX = 24  # no rim that is compared is wider


def assert_pasted(image: Tensor, mask: Tensor, new_image: Tensor, new_mask: Tensor) -> None:
    """Every sample has a new lesion, with pixels and with a label, beside its old ones, and is otherwise unchanged.

    Args:
        image: (B, C, *spatial), what was given.
        mask: (B, 1, *spatial) in {0, 1}, likewise.
        new_image, new_mask: what came back, in the same shapes.

    Raises:
        ValueError: what a sample lacks.
    """
    for name, before, after in (("image", image, new_image), ("mask", mask, new_mask)):
        if after.shape != before.shape:
            raise ValueError(f"{name}: expected shape {tuple(before.shape)}, found {tuple(after.shape)}")
    if not torch.isfinite(new_image).all():
        raise ValueError("image: expected finite values, found others")
    for i in range(len(image)):
        old, new = mask[i].bool(), new_mask[i].bool()
        changed = (new_image[i] != image[i]).any(0, keepdim=True)
        added = new & ~old
        near = _near(new)
        wrong = {
            "a lesion more in the label": not added.any(),
            "the old lesions in the label": bool((old & ~new).any()),
            "new pixels where the new label is": not bool(changed[added].any()),
            "the old pixels far from all lesions": bool((changed & ~near).any()),
        }
        for expected, missing in wrong.items():
            if missing:
                raise ValueError(f"sample {i}: expected {expected}, found none of it")


def _near(mask: Tensor) -> Tensor:
    """(1, *spatial) bool: what lies at most `REACH_PX` from the mask, axis after axis."""
    near = mask.float()
    for axis in range(1, mask.ndim):
        lines = near.movedim(axis, -1)
        near = F.max_pool1d(lines.reshape(1, -1, lines.shape[-1]), 2 * REACH_PX + 1, 1, REACH_PX)
        near = near.reshape(lines.shape).movedim(-1, axis)
    return near > 0
