"""How well a network segments: per image and over all pixels, by MONAI's metrics."""

from __future__ import annotations

from typing import Any

import torch
from monai.metrics import compute_confusion_matrix_metric, compute_dice, compute_iou, get_confusion_matrix
from torch import Tensor

POOLED = (("dsc_pooled", "f1 score"), ("iou_pooled", "threat score"), ("accuracy", "accuracy"))


def measure(found: Tensor, mask: Tensor) -> dict[str, Any]:
    """All metrics of a part.

    Args:
        found: (N, 1, H, W) bool, what the network says.
        mask: (N, 1, H, W) bool, the truth.

    Returns:
        `dsc`, `iou`: means over the images with a lesion; `dsc_pooled`, `iou_pooled`, `accuracy`: over the pixels of
        all images; `false_positive_rate`: share of the images without a lesion in which one is found. None where there
        is no such image.

    Example:
        >>> mask = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0]], dtype=torch.bool).view(2, 1, 2, 2)
        >>> found = torch.tensor([[1, 0, 0, 0], [1, 0, 0, 0]], dtype=torch.bool).view(2, 1, 2, 2)
        >>> {name: round(value, 3) for name, value in measure(found, mask).items()}
        {'dsc': 0.667, 'iou': 0.5, 'dsc_pooled': 0.5, 'iou_pooled': 0.333, 'accuracy': 0.75, 'false_positive_rate': 1.0}
    """
    y_pred, y = found.float(), mask.float()
    with_lesion = mask.flatten(1).any(1)
    each = {"dsc": compute_dice(y_pred, y)[with_lesion], "iou": compute_iou(y_pred, y)[with_lesion]}
    counts = get_confusion_matrix(y_pred, y).sum((0, 1))
    pooled = {name: float(compute_confusion_matrix_metric(metric, counts)) for name, metric in POOLED}
    false = found[~with_lesion].flatten(1).any(1)
    return {
        **{name: _mean(values) for name, values in each.items()},
        **pooled,
        "false_positive_rate": _mean(false),
    }


def _mean(values: Tensor) -> float | None:
    return float(values.double().mean()) if values.numel() else None


def logits_of(net: torch.nn.Module, image: Tensor, batch: int = 32) -> Tensor:
    """(N, 1, H, W) float32 for (N, C, H, W), without a gradient."""
    net.eval()
    with torch.inference_mode():
        found = torch.cat([net(part).float() for part in image.split(batch)])
    net.train()
    return found
