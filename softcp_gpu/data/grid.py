"""Where a volume lies in the body: the geometry that its file states."""

from __future__ import annotations

from typing import NamedTuple


class Grid(NamedTuple):
    """A volume's grid, in the order of its file: x, y, z. Arrays and tensors are in the opposite order: z, y, x."""

    size: tuple[int, ...]  # voxels
    spacing: tuple[float, ...]  # mm
    origin: tuple[float, ...]  # mm: the centre of the first voxel
    direction: tuple[float, ...]  # the axes' cosines, row by row

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels per axis, in the order of an array."""
        return self.size[::-1]

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        """Millimetres per axis, in the order of an array."""
        return self.spacing[::-1]
