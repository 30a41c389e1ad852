"""Volumes on axes of another order or sign: turned to those of another grid by permuting and flipping alone."""

from __future__ import annotations

from itertools import permutations
from typing import NamedTuple

import numpy as np

from softcp_gpu import checks
from softcp_gpu.data.cases import Sample
from softcp_gpu.data.grid import Grid


class Turn(NamedTuple):
    """Which axes of a volume take whose place, in the order of a grid: x, y, z."""

    order: tuple[int, ...]  # the new axis i is the old axis order[i]
    flips: tuple[bool, ...]  # whether the new axis i runs against the old one

    def array(self, values: np.ndarray) -> np.ndarray:
        """Turn an array.

        Args:
            values: (D, H, W), or (D, H, W, C) whose channels stay.

        Returns:
            The same values in another order, contiguous.
        """
        axes = [2 - old for old in self.order[::-1]]
        turned = values.transpose(*axes, *range(3, values.ndim))
        return np.ascontiguousarray(np.flip(turned, tuple(axis for axis in range(3) if self.flips[2 - axis])))

    def grid(self, grid: Grid) -> Grid:
        """Turn a grid; every voxel stays where it is in the body.

        Args:
            grid: that of the volume.

        Returns:
            That of the turned volume.
        """
        signs = np.where(self.flips, -1, 1)
        first = np.zeros(3)  # the voxel that becomes the first
        for old, flip in zip(self.order, self.flips, strict=True):
            first[old] = (grid.size[old] - 1) * flip
        return Grid(
            tuple(grid.size[old] for old in self.order),
            tuple(grid.spacing[old] for old in self.order),
            tuple(grid.point_mm(first).tolist()) if any(self.flips) else grid.origin,
            tuple((grid.axes[:, list(self.order)] * signs).ravel().tolist()),
        )


def turn_like(grid: Grid, like: Grid) -> Turn:
    """Find the order and the signs of axes that come nearest to another grid's.

    Args:
        grid: of the volume that is to be turned.
        like: whose axes to take; its size, spacing and origin do not matter.

    Returns:
        The turn with the largest sum of cosines between axes; of equal ones the one that changes less.

    Example:
        >>> axial = Grid((9, 8, 7), (1.0, 1.0, 5.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
        >>> turn_like(axial._replace(direction=(0, 0, 1, 0, -1, 0, 1, 0, 0)), axial)
        Turn(order=(2, 1, 0), flips=(False, True, False))
    """
    cosines = like.axes.T @ grid.axes  # row: axis of `like`, column: axis of `grid`
    places = range(3)
    best = max(permutations(places), key=lambda order: round(sum(abs(cosines[i, order[i]]) for i in places), 6))
    return Turn(best, tuple(bool(cosines[i, best[i]] < 0) for i in places))


def oriented_like(sample: Sample, like: Grid) -> Sample:
    """Turn a volume to the axes nearest to another grid's, so that its lesion keeps its orientation in the body.

    Nothing is resampled: axes are permuted and flipped, and what is left is at most the angle by which one scan was
    oblique to the other.

    Args:
        sample: a volume with its grid.
        like: whose axes to take.

    Returns:
        The turned sample with its new grid; the sample itself where nothing is to turn.

    Raises:
        ValueError: the sample has no grid.
    """
    if sample.grid is None:
        checks.fail("sample", "a volume with its grid", "none")
    turn = turn_like(sample.grid, like)
    if turn == Turn((0, 1, 2), (False,) * 3):
        return sample
    region = None if sample.region is None else turn.array(sample.region)
    labels = None if sample.labels is None else turn.array(sample.labels)
    return Sample(turn.array(sample.image), turn.array(sample.lesion), region, labels, turn.grid(sample.grid))
