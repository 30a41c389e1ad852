"""Lesions of many sizes in flat buffers: where their pixels lie, and what groups they are drawn from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence

import torch
from torch import Tensor

from softcp_gpu import checks

_QUARTERS = (0.25, 0.5, 0.75)


def addresses(first: Tensor, size: Tensor, frame: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Where the pixels of a batch of frames lie in the buffer, each lesion in the first corner of its frame.

    Args:
        first: (B,) int64, address of the first pixel of each lesion.
        size: (B, n) int64, lengths of each lesion; its pixels lie row after row.
        frame: n lengths, none of them less than a lesion's.

    Returns:
        (B, *frame) int64, beyond a lesion the address of its nearest pixel, and (B, *frame) bool, true inside it.

    Example:
        >>> address, inside = addresses(torch.tensor([10]), torch.tensor([[2, 2]]), (2, 3))
        >>> address.tolist()
        [[[10, 11, 11], [12, 13, 13]]]
    """
    batch, axes = size.shape
    ones = (1,) * axes
    address = torch.zeros((batch, *ones), dtype=torch.int64, device=size.device)
    inside = torch.ones_like(address, dtype=torch.bool)
    for axis, length in enumerate(frame):
        line = torch.arange(length, device=size.device).view([-1 if a == axis else 1 for a in range(axes)])
        own = size[:, axis].view(-1, *ones)
        address = address * own + torch.minimum(line, own - 1)
        inside = inside & (line < own)
    return address + first.view(-1, *ones), inside


def frame_for(size: Tensor, shape: Sequence[int] | None) -> tuple[int, ...]:
    """The lengths of frames that hold lesions of these sizes, (B, n) int64 on the CPU: `shape`, or no more than needed.

    Raises:
        ValueError: a lesion is larger than `shape`.
    """
    needed = tuple(size.amax(0).tolist()) if len(size) else (1,) * size.shape[1]
    frame = needed if shape is None else tuple(shape)
    if len(frame) != len(needed) or any(length < least for length, least in zip(frame, needed, strict=True)):
        checks.fail("shape", f"at least {needed}, as the lesions need", repr(shape))
    return frame


def grouped(keys: Iterable[Iterable[Hashable]]) -> tuple[Tensor, Tensor]:
    """Lesions in groups, for `sampling.draw_rows`.

    Args:
        keys: of each lesion the groups that it is in.

    Returns:
        rows (R,) int64, group after group, in the order in which the groups appear; and (G,) int64, their sizes.

    Example:
        >>> rows, size = grouped([["a"], ["a", "b"], ["b"]])
        >>> rows.tolist(), size.tolist()
        ([0, 1, 1, 2], [2, 2])
    """
    members = defaultdict(list)
    for row, groups in enumerate(keys):
        for group in groups:
            members[group].append(row)
    return torch.tensor([row for rows in members.values() for row in rows]), torch.tensor([*map(len, members.values())])


def size_groups(volume: Sequence[float]) -> list[int]:
    """Which quarter of the sizes each lesion is in.

    The edges are the quartiles. Equal volumes are in one group, the lower one at an edge, so a quarter may be empty.
    A logarithm would keep the order, and with it every group.

    Args:
        volume: (N,), any unit, 1 or more lesions.

    Returns:
        (N,) from 0 to 3.

    Example:
        >>> size_groups([5, 1, 80, 9]), size_groups([7, 7])
        ([1, 0, 3, 2], [0, 0])
    """
    x = torch.tensor(volume, dtype=torch.float64)
    edges = torch.quantile(x, torch.tensor(_QUARTERS, dtype=torch.float64))
    return (x[:, None] > edges).sum(1).tolist()
