"""Where a lesion may lie: every legal offset at once, and a uniform draw from them (equations 3 and 4).

An offset is legal if the lesion, moved by it,

* shows at least `min_visible` of its pixels inside the frame,
* shares at least `min_region_overlap` pixels with the region (if there is one), and
* shares at most `max_lesion_overlap` pixels with lesions that are already there.

All bounds are inclusive. An int counts pixels, a float is a fraction of the lesion's own pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from softcp_gpu.functional import execution
from softcp_gpu.functional.overlap import Lags, fast_length, overlap_maps, within_bounds
from softcp_gpu.functional.windows import count_pixels
from softcp_gpu.types import Bounds


def legal_offsets(
    lesion: Tensor,
    region: Tensor | None = None,
    other_lesions: Tensor | None = None,
    *,
    min_region_overlap: int | float = 0.5,
    max_lesion_overlap: int | float = 0,
    min_visible: int | float = 1.0,
    in_place: bool = False,
) -> Tensor:
    """The map of all legal offsets.

    Args:
        lesion: (B, 1, *spatial) bool, the hard lesion in the frame.
        region: (B, 1, *spatial) bool, or None: equation 3 is left out.
        other_lesions: (B, 1, *spatial) bool, or None: there are none.
        min_region_overlap: least lesion pixels inside the region, int (pixels) or float (fraction of the lesion).
        max_lesion_overlap: most lesion pixels on other lesions, likewise.
        min_visible: least lesion pixels inside the frame, likewise.
        in_place: only the offset 0 can be legal.

    Returns:
        (B, 2 * L_1 - 1, ..., 2 * L_n - 1) bool for a frame of L_1 x ... x L_n. Index L_a - 1 + o of axis a is the
        offset o: the middle is "not moved". An empty lesion has no legal offset.

    Note:
        Counts come from one FFT correlation per mask and are rounded to integers, so the bounds hold exactly.

    Example:
        >>> lesion = torch.zeros(1, 1, 1, 4, dtype=torch.bool)
        >>> lesion[..., 0] = True
        >>> legal_offsets(lesion)[0, 0].int().tolist()  # may move by 0 .. 3 to the right
        [0, 0, 0, 1, 1, 1, 1]
    """
    bounds = Bounds(min_region_overlap, max_lesion_overlap, min_visible)
    area = count_pixels(lesion)
    shape = tuple(lesion.shape[2:])
    full = tuple(2 * length - 1 for length in shape)
    lags = Lags(tuple(1 - length for length in shape), full, tuple(map(fast_length, full)))
    legal = within_bounds(
        overlap_maps(lesion, torch.ones_like(lesion), region, other_lesions, lags), area, bounds, region
    )
    if in_place:
        middle = torch.zeros(legal.shape[1:], dtype=torch.bool, device=legal.device)
        middle[tuple(length // 2 for length in middle.shape)] = True
        legal = legal & middle
    return legal


def draw_offset(legal: Tensor, rank_u: Tensor) -> tuple[Tensor, Tensor]:
    """Draws one legal offset of each sample, all with the same probability.

    Args:
        legal: (B, 2 * L_1 - 1, ...) bool, as `legal_offsets` returns it.
        rank_u: (B,) floating in [0, 1), the draw.

    Returns:
        offset (B, n) int64, and found (B,) bool; the offset is 0 where none is legal.

    Example:
        >>> legal = torch.tensor([[[False, False, True]]])
        >>> draw_offset(legal, torch.tensor([0.3]))
        (tensor([[0, 1]]), tensor([True]))
    """
    index, found = draw_entry(legal, rank_u)
    middle = execution.constants([length // 2 for length in legal.shape[1:]], legal)
    return (index - middle) * found[:, None], found


def draw_entry(legal: Tensor, rank_u: Tensor) -> tuple[Tensor, Tensor]:
    """Position of the drawn true entry, (B, n) int64, and whether there is one."""
    count = count_pixels(legal)
    return entry_of_rank(legal, torch.minimum((rank_u.double() * count).to(torch.int64), count - 1).clamp(min=0))


def entry_of_rank(legal: Tensor, rank: Tensor) -> tuple[Tensor, Tensor]:
    """Position of the true entry of that rank in reading order, (B, n) int64, and whether there is one."""
    order = legal.flatten(1).cumsum(1, dtype=torch.int32)
    flat = torch.searchsorted(order, (rank + 1).to(torch.int32)[:, None])[:, 0].clamp(max=order.shape[1] - 1)
    index = []
    for length in reversed(legal.shape[1:]):
        index.append(flat % length)
        flat = flat // length
    return torch.stack(index[::-1], 1), order[:, -1] > 0
