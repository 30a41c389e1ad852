"""Draws as operators of torch.

Triton is imported when one of them first runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, library

from softcp_gpu.kernels.launch import launch

MOST_STREAMS = 4


def uniforms(seed: Tensor, streams: Sequence[tuple[int, int]]) -> tuple[Tensor, ...]:
    """Uniform numbers in [0, 1), as `functional.counter_rng.uniforms`.

    Args:
        seed: (B,) int64.
        streams: at most 4: the number of each, and how many numbers of it.

    Returns:
        (B, count) float64 for each stream.
    """
    counts = [count for _, count in streams]
    return _uniforms(seed, [stream << 32 for stream, _ in streams], counts).split(counts, dim=1)


@library.custom_op(
    "softcp_gpu::uniforms", mutates_args=(), schema="(Tensor seed, int[] starts, int[] counts) -> Tensor"
)
def _uniforms(seed: Tensor, starts: Sequence[int], counts: Sequence[int]) -> Tensor:
    from softcp_gpu.kernels import jit_draws

    total, padded = sum(counts), [0] * (MOST_STREAMS - len(counts))
    out = _uniforms_like(seed, starts, counts)
    ends = [sum(counts[: i + 1]) for i in range(len(counts))]
    block = 1 << (total - 1).bit_length()
    given = (*starts, *padded, *[*ends, *[total] * len(padded)][: MOST_STREAMS - 1])
    launch(jit_draws.uniform_pass, (len(seed), 1), seed, out, total, *given, block)
    return out


@_uniforms.register_fake
def _uniforms_like(seed: Tensor, starts: Sequence[int], counts: Sequence[int]) -> Tensor:
    return torch.empty((seed.shape[0], sum(counts)), dtype=torch.float64, device=seed.device)
