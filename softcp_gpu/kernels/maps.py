"""Maps of all places of lesions none of whose candidates is legal: memory, and the launch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from softcp_gpu.kernels.launch import PROGRAMS_OF_A_WARP, launch
from softcp_gpu.kernels.packing import WORD

MAPPERS, ASKED = PROGRAMS_OF_A_WARP, 64  # programs for all maps of a batch; samples that one looks up at once
STRETCH = 32  # words of a lesion after which places are given up that cannot be legal any more


def new_map(extent: Tensor, shape: Sequence[int], outside: Sequence[int]) -> Tensor:
    """Memory for all places of each sample, a bit for each.

    Args:
        extent: (B, n), of the lesions.
        shape: n lengths of the frame.
        outside: n numbers of places before the frame's first pixel.
    """
    most = math.prod(length + side for length, side in zip(shape, outside, strict=True))
    return torch.empty((len(extent), -(-most // WORD)), dtype=torch.int32, device=extent.device)


def fill_map(
    tensors: Sequence[Tensor],
    first: Tensor,
    span: Tensor,
    found: Tensor,
    legal: Tensor,
    sizes: Sequence[int],
    rule: Sequence[Any],
) -> None:
    """All places of the samples none of whose candidates is legal, into `new_map`."""
    from softcp_gpu.kernels import jit_map

    batch, most = legal.shape
    given = (*tensors, first, span, found, legal, batch, most, *sizes, *rule, first.shape[1], ASKED, STRETCH)
    launch(jit_map.map_pass, (min(batch * most, MAPPERS), 1), *given, num_warps=1)
