"""`functional.soft_mask` with its settings."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from softcp_gpu import checks, functional


class SoftMask(nn.Module):
    """Softens hard lesion masks.

    Args:
        k_erode: erosion steps, 0 or more.
        k_dilate: dilation steps, 0 or more, or "auto": the least k with alpha**k <= 0.05.
        alpha: softening coefficient in the open interval (0, 1).
        footprint: "full", "cross", or a symmetric tensor of 0 and 1 with odd lengths.
        profile: "softcp" or "geometric".
        spacing: mm per axis in tensor order, or None: a step is a pixel.
        on_small: "shrink" or "skip", what happens to a lesion that erosion would erase.

    Shape:
        (B, 1, *spatial) in {0, 1} to (B, 1, *spatial) in [0, 1].

    Example:
        >>> mask = torch.zeros(1, 1, 5, 5)
        >>> mask[..., 2, 2] = 1
        >>> SoftMask(k_erode=0, k_dilate=1, alpha=0.5)(mask)[0, 0, 2]
        tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """

    def __init__(
        self,
        k_erode: int = 1,
        k_dilate: int | Literal["auto"] = "auto",
        alpha: float = 0.7,
        *,
        footprint: Literal["full", "cross"] | Tensor = "full",
        profile: Literal["softcp", "geometric"] = "softcp",
        spacing: tuple[float, ...] | None = None,
        on_small: Literal["shrink", "skip"] = "shrink",
    ) -> None:
        super().__init__()
        axes = len(spacing) if spacing else footprint.ndim if isinstance(footprint, Tensor) else 2
        probe = torch.zeros((0, 1) + (1,) * axes)
        checks.soft_mask_arguments(probe, k_erode, k_dilate, alpha, footprint, profile, spacing, on_small)
        if isinstance(k_dilate, str):
            checks.fades_in_time(functional.auto_k_dilate(alpha), alpha)
        self.k_erode, self.k_dilate, self.alpha = k_erode, k_dilate, alpha
        self.profile, self.spacing, self.on_small = profile, spacing, on_small
        self.footprint = footprint

    def forward(self, mask: Tensor) -> Tensor:
        """The soft mask of each hard mask."""
        return functional.soft_mask(
            mask,
            self.k_erode,
            self.k_dilate,
            self.alpha,
            footprint=self.footprint,
            profile=self.profile,
            spacing=self.spacing,
            on_small=self.on_small,
        )

    def extra_repr(self) -> str:
        """All settings."""
        return (
            f"k_erode={self.k_erode}, k_dilate={self.k_dilate!r}, alpha={self.alpha}, footprint={self.footprint!r}, "
            f"profile={self.profile!r}, spacing={self.spacing}, on_small={self.on_small!r}"
        )
