"""A place for each lesion, found by `kernels`, where they run: the places that `search` and `overlap` find."""

from __future__ import annotations

import torch
from torch import Tensor

from softcp_gpu import kernels
from softcp_gpu.functional import execution
from softcp_gpu.functional.lesion import Lesion
from softcp_gpu.functional.overlap import Overlaps
from softcp_gpu.kernels import place_operators as operators
from softcp_gpu.types import PasteConfig, PasteParams


def places(lesion: Lesion, params: PasteParams) -> bool:
    """Whether `place` does it."""
    candidates = params.candidate_u.shape[1]
    usual = candidates > 0 and candidates & (candidates - 1) == 0
    return usual and kernels.run_on(lesion.labels) and not execution.may_read_values(lesion.labels)


def place(
    lesion: Lesion,
    region: Tensor | None,
    others: Tensor,
    shape: tuple[int, ...],
    params: PasteParams,
    config: PasteConfig,
) -> tuple[Tensor, Tensor, Overlaps]:
    """Where each lesion's box begins, whether it may lie there, and what it covers there.

    Args:
        lesion: of each source.
        region: (B, 1, *spatial) bool, or None.
        others: (B, 1, *spatial) bool, the lesions that are there.
        shape: n lengths of the frame.
        params, config: the draws and the rest.

    Returns:
        (B, n) int64, (B,) bool and the counts, (B,) each.
    """
    packed = None if region is None else operators.pack(region)
    masks = operators.Masks(operators.pack(lesion.labels), lesion.size, lesion.area, packed, operators.pack(others))
    if config.in_place:
        origin, span = lesion.home, torch.ones_like(lesion.home)
    else:
        first, span, candidates = operators.candidates(
            lesion.size, lesion.area, region, others, params.candidate_u, shape, config.bounds
        )
        counts = operators.count(masks, candidates, span, shape, config.bounds)
        origin = operators.draw(masks, candidates, counts, first, span, params.rank_u, shape, config.bounds)
    visible, inside, covered, legal = operators.count(masks, origin[:, None], span, shape, config.bounds)[:, 0].unbind(
        1
    )
    return origin, legal != 0, Overlaps(*(x.to(torch.int64) for x in (visible, inside, covered)))
