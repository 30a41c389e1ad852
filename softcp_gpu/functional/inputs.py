"""What the stages work on: a batch, its sources, and what their pixels stand for."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Physical(NamedTuple):
    """What the pixels of a batch and of its sources stand for, as far as it is known."""

    mm: Tensor | None = None  # (B, n) float64: spacing of the image
    source_mm: Tensor | None = None  # (B, n) float64
    source_range: Tensor | None = None  # (B, C, 2): unit of the lesion's intensity operations; None: the source's own

    def rows(self, index: slice | Tensor, source: slice | Tensor) -> Physical:
        """Of some of the samples, with their sources."""
        mm = None if self.mm is None else self.mm[index]
        return Physical(mm, *(None if t is None else t[source] for t in (self.source_mm, self.source_range)))


class Inputs(NamedTuple):
    """A batch, and its sources."""

    image: Tensor  # (B, C, *spatial) floating
    mask: Tensor  # (B, 1, *spatial)
    region: Tensor | None  # (B, 1, *spatial) bool
    source_image: Tensor  # (N, C, *source) floating
    source_mask: Tensor  # (N, 1, *source)
    physical: Physical
    source_rows: Tensor | None = None  # (B,) int64, rows of the sources; None: they are those of the samples

    def rows(self, index: slice | Tensor, source: slice | Tensor) -> Inputs:
        """Some of the samples, with their sources: neighbours, or frames that stay where they are."""
        region = None if self.region is None else picked(self.region, index)
        some = self._replace(image=picked(self.image, index), mask=picked(self.mask, index), region=region)
        some = some._replace(physical=self.physical.rows(index, source))
        if isinstance(source, Tensor):
            return some._replace(source_rows=source)
        return some._replace(source_image=self.source_image[source], source_mask=self.source_mask[source])

    def with_sources(self, rows: Tensor) -> Inputs:
        """The samples with their sources, whose frames stay where they are until somebody asks for them."""
        return self._replace(physical=self.physical.rows(slice(None), rows), source_rows=rows)

    def with_masks(self) -> Inputs:
        """With the mask of each sample's source, where it is not yet the sample's."""
        if self.source_rows is None:
            return self
        return self._replace(source_mask=picked(self.source_mask, self.source_rows))

    def sources(self) -> Tensor:
        """The image of each sample's source, (B, C, *source)."""
        return self.source_image if self.source_rows is None else picked(self.source_image, self.source_rows)


def picked(frames: Tensor, rows: slice | Tensor) -> Tensor:
    """Some of the frames; a plain index by a tensor copies value by value, and takes up to twenty times as long."""
    return frames[rows] if isinstance(rows, slice) else frames.index_select(0, rows.to(frames.device))
