"""S as a function of the ring index, and how many rings it takes to fade."""

from __future__ import annotations

import math

import torch
from torch import Tensor

AUTO_TAIL = 0.05 * (1 + 1e-5)  # an alpha whose power is 0.05 needs no further step because it is rounded


def auto_k_dilate(alpha: float | Tensor) -> int | Tensor:
    """The least number of dilation steps after which the outermost ring weighs at most 0.05.

    Args:
        alpha: softening coefficient in (0, 1), a number or (B,).

    Returns:
        The least k with alpha**k <= 0.05, an int or (B,) int64.

    Example:
        >>> [auto_k_dilate(alpha) for alpha in (0.5, 0.7, 0.8, 0.9)]
        [5, 9, 14, 29]
    """
    if isinstance(alpha, Tensor):
        steps = math.log(AUTO_TAIL) / alpha.detach().double().log()
        return steps.ceil().to(torch.int64)
    return math.ceil(math.log(AUTO_TAIL) / math.log(alpha))


def soft_mask_table(alpha: Tensor, k_dilate: Tensor, k_max: int, profile: str = "softcp") -> Tensor:
    """S as a function of the ring index d, the closed form of the paper's loop.

    `softcp`: S(d) = 1 - prod over j = d .. k_dilate of (1 - alpha**j). `geometric`: S(d) = alpha**d. Both are 1 at
    d = 0 and 0 beyond k_dilate.

    Args:
        alpha: (B,) floating in (0, 1); gradients flow.
        k_dilate: (B,) int64, at most `k_max`.
        k_max: the largest number of dilation steps.
        profile: "softcp" or "geometric".

    Returns:
        (B, k_max + 2), S at d = 0 .. k_max + 1, in float64.

    Example:
        >>> soft_mask_table(torch.tensor([0.8]), torch.tensor([5]), 5).mul(1000).round().int().tolist()
        [[1000, 986, 930, 806, 603, 328, 0]]
    """
    ring = torch.arange(1, k_max + 1, device=alpha.device)
    powers = alpha.double()[:, None].expand(-1, k_max).cumprod(1)  # `**` rounds otherwise elsewhere in a batch
    power = powers * (ring <= k_dilate[:, None])
    inner = power if profile == "geometric" else 1 - (1 - power).flip(1).cumprod(1).flip(1)
    one = torch.ones_like(alpha, dtype=torch.float64)[:, None]
    return torch.cat([one, inner, torch.zeros_like(one)], dim=1)


def weight_dtype(alpha: Tensor) -> torch.dtype:
    """What S is computed in."""
    return torch.float64 if alpha.dtype == torch.float64 else torch.float32
