"""Where a volume lies in the body: the geometry that its file states."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from softcp_gpu.data.errors import DataError

_SAME = 0.01  # voxels


class Grid(NamedTuple):
    """A volume's grid, in the order of its file: x, y, z. Arrays and tensors are in the opposite order: z, y, x.

    Example:
        >>> print(Grid((512, 512, 60), (0.7, 0.7, 5.0), (-180.0, -180.0, 40.0), (1, 0, 0, 0, 1, 0, 0, 0, 1)))
        512 x 512 x 60 voxels of 0.7 x 0.7 x 5 mm, origin (-180, -180, 40), direction (1, 0, 0; 0, 1, 0; 0, 0, 1)
    """

    size: tuple[int, ...]  # voxels
    spacing: tuple[float, ...]  # mm
    origin: tuple[float, ...]  # mm: the centre of the first voxel
    direction: tuple[float, ...]  # the axes' cosines, row by row: column k is the direction of axis k

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels per axis, in the order of an array."""
        return self.size[::-1]

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        """Millimetres per axis, in the order of an array."""
        return self.spacing[::-1]

    @property
    def axes(self) -> np.ndarray:
        """The direction as a matrix; its columns are the axes x, y, z of the volume in the body."""
        return np.reshape(self.direction, (len(self.size), -1))

    def point_mm(self, index: np.ndarray) -> np.ndarray:
        """Say where voxels lie in the body.

        Args:
            index: (..., 3), voxels along x, y, z.

        Returns:
            (..., 3), mm.
        """
        return index * np.array(self.spacing) @ self.axes.T + np.array(self.origin)

    def __str__(self) -> str:
        rows = "; ".join(_listed(row) for row in self.axes)
        return (
            f"{' x '.join(map(str, self.size))} voxels of {_listed(self.spacing, ' x ')} mm, "
            f"origin ({_listed(self.origin)}), direction ({rows})"
        )


def same_grid(a: Grid, b: Grid) -> bool:
    """Tell whether two volumes have their voxels in the same places.

    Sizes must be equal, and no corner of one may lie further than a hundredth of a voxel from the same corner of the
    other. NIfTI keeps its geometry as float32, and some writers of text headers keep six digits: both move a corner by
    about a thousandth of a voxel. A shift that could change a label is a tenth of a voxel and more.

    Args:
        a, b: two grids.

    Returns:
        True if every voxel of one is that of the other.

    Example:
        >>> grid = Grid((64, 64, 9), (0.7, 0.7, 5.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
        >>> same_grid(grid, grid._replace(spacing=(0.7, 0.7, 5.000001)))
        True
        >>> same_grid(grid, grid._replace(origin=(0.0, 0.0, 0.5)))
        False
    """
    if a.size != b.size:
        return False
    corners = np.indices((2,) * len(a.size)).reshape(len(a.size), -1).T * (np.array(a.size) - 1)
    off = np.linalg.norm(a.point_mm(corners) - b.point_mm(corners), axis=-1)
    return bool(off.max() <= _SAME * min(a.spacing))


def check_same_grid(path: Path, found: Grid, like: Path, expected: Grid) -> None:
    """Check that a file's grid is that of another file.

    Args:
        path: the file, such as a mask.
        found: its grid.
        like: the file that it belongs to, such as the image.
        expected: its grid.

    Raises:
        DataError: the grids differ; the message has both.
    """
    if not same_grid(found, expected):
        raise DataError(path, f"the grid of {like.name}, {expected}", str(found))


def _listed(numbers: np.ndarray | tuple[float, ...], between: str = ", ") -> str:
    return between.join(f"{number + 0.0:.7g}" for number in numbers)  # + 0.0: no -0
