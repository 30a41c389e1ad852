"""On a CPU: which samples of a batch are computed together, and the batch that their results make."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from softcp_gpu.functional import execution
from softcp_gpu.types import PasteParams, PlacementRecord, SoftCPOutput

Rows = slice | Tensor

MOST = 16  # what calling an operation costs is spread over so many samples
PIXELS = 1 << 22  # of the frames of a group: beyond that the calls cost little, and their tiles leave the cache
LESIONS = 1 << 19  # pixels likewise: of more, what is computed on the way comes in fresh pages, which cost more than it
_FRAME = 3  # axes at least of what holds frames


def groups(apply: Sequence[bool], shape: Sequence[int], lesion: int, *, alone: bool) -> Iterator[Rows]:
    """Rows of the samples that are computed together: those that p has drawn, and the others.

    Args:
        apply: of each sample, whether p has drawn it.
        shape: n lengths of the frame.
        lesion: its pixels in a source, about.
        alone: every sample by itself.

    Example:
        >>> list(groups([True, True, False, True], (8, 8), 9, alone=False))
        [tensor([0, 1, 3]), slice(2, 3, None)]
        >>> list(groups([True, False, True], (8, 8), 9, alone=True))
        [slice(0, 1, None), slice(2, 3, None), slice(1, 2, None)]
    """
    most = 1 if alone else max(1, min(MOST, PIXELS // math.prod(shape), LESIONS // max(lesion, 1)))
    for drawn in (True, False):
        numbers = [i for i, on in enumerate(apply) if on == drawn]
        for k in range(0, len(numbers), most):
            yield rows_of(numbers[k : k + most])


def rows_of(numbers: Sequence[int]) -> Rows:
    """An index of these rows; of neighbours one that copies nothing.

    Example:
        >>> rows_of([2, 3, 4]), rows_of([4, 2])
        (slice(2, 5, None), tensor([4, 2]))
    """
    first = numbers[0]
    return (
        slice(first, first + len(numbers))
        if [*numbers] == [*range(first, first + len(numbers))]
        else torch.tensor(numbers)
    )


class Joined:
    """The outputs of groups as one, each written where it belongs before the next is made."""

    def __init__(self, batch: int, image: Tensor | None = None) -> None:
        self.batch, self.image = batch, image  # where groups may have written their images already, or None
        self.fields: list[Tensor] = []  # image, mask, soft mask, status and the placement's

    def add(self, rows: Rows, out: SoftCPOutput) -> None:
        """Takes over the samples of a group."""
        fields = (out.image, out.mask, out.soft_mask, out.status, *out.placement)
        if len(out.status) == self.batch:  # all in one group
            self.fields = [*fields]
            return
        if not self.fields:
            there = [] if self.image is None else [self.image]
            fresh = [execution.empty((self.batch, *x.shape[1:]), x.dtype, x.device) for x in fields[len(there) :]]
            self.fields = [*there, *fresh]
        for whole, field in zip(self.fields, fields, strict=True):
            if whole is self.image and isinstance(rows, slice) and 0 != whole[rows].data_ptr() == field.data_ptr():
                continue  # it lies there
            if isinstance(rows, slice) or field.ndim < _FRAME:
                whole[rows] = field
                continue
            for row, frame in zip(rows.tolist(), field, strict=True):  # an index by a tensor copies value by value
                whole[row] = frame

    def output(self, params: PasteParams) -> SoftCPOutput:
        """The whole batch."""
        image, mask, soft_mask, status, *placement = self.fields
        return SoftCPOutput(image, mask, soft_mask, PlacementRecord(*placement), status, params)
