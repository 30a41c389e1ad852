"""A uniform draw from all legal offsets, with the anatomical rule as settings."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from softcp_gpu import checks, functional
from softcp_gpu.sampling import SeedStream, draw_rank


class Placement(nn.Module):
    """Draws where lesions may lie (equations 3 and 4).

    Args:
        placement: "uniform" over all legal offsets, or "in_place": the offset 0, if it is legal.
        min_region_overlap: least lesion pixels inside the region: an int counts pixels, a float is a fraction.
        max_lesion_overlap: most lesion pixels on other lesions, likewise.
        min_visible: least lesion pixels inside the frame, likewise.

    Shape:
        lesion, region and other_lesions (B, 1, *spatial); the offset (B, n), found (B,).

    Example:
        >>> lesion = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
        >>> lesion[..., 1:3, 1:3] = True
        >>> offset, found = Placement()(lesion, generator=torch.Generator().manual_seed(0))
        >>> offset.shape, found.tolist()
        (torch.Size([1, 2]), [True])
    """

    def __init__(
        self,
        placement: Literal["uniform", "in_place"] = "uniform",
        *,
        min_region_overlap: int | float = 0.5,
        max_lesion_overlap: int | float = 0,
        min_visible: int | float = 1.0,
    ) -> None:
        super().__init__()
        checks.choice("placement", placement, ("uniform", "in_place"))
        checks.bound("min_region_overlap", min_region_overlap)
        checks.bound("max_lesion_overlap", max_lesion_overlap)
        checks.bound("min_visible", min_visible)
        self.placement = placement
        self.min_region_overlap = min_region_overlap
        self.max_lesion_overlap = max_lesion_overlap
        self.min_visible = min_visible
        self.seeds = SeedStream()

    def forward(
        self,
        lesion: Tensor,
        region: Tensor | None = None,
        other_lesions: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """One legal offset (B, n) int64 in pixels for each lesion, and (B,) bool, whether there is one."""
        checks.spatial_tensor("lesion", lesion)
        lesion = _binary("lesion", lesion, lesion)
        region = checks.region_like(region, lesion)
        others = None if other_lesions is None else _binary("other_lesions", other_lesions, lesion)
        rank_u = draw_rank(self.seeds.draw(lesion.shape[0], generator)).to(lesion.device)
        legal = functional.legal_offsets(
            lesion,
            region,
            others,
            min_region_overlap=self.min_region_overlap,
            max_lesion_overlap=self.max_lesion_overlap,
            min_visible=self.min_visible,
            in_place=self.placement == "in_place",
        )
        return functional.draw_offset(legal, rank_u)

    def extra_repr(self) -> str:
        """All settings."""
        return (
            f"placement={self.placement!r}, min_region_overlap={self.min_region_overlap}, "
            f"max_lesion_overlap={self.max_lesion_overlap}, min_visible={self.min_visible}"
        )


def _binary(name: str, mask: Tensor, like: Tensor) -> Tensor:
    full = checks.mask_like(name, mask, like)
    checks.label_values(name, full, None, ())
    return full != 0
