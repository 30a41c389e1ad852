"""All draws of a call as one operator of torch.

Triton is imported when it first runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, library

from softcp_gpu.kernels.launch import launch, three

MOST_SAMPLES = 1 << 16  # a program looks at the seeds of all others


def draw(
    seed: Tensor,
    frame: Sequence[int],
    candidates: int,
    tail: float,
    own_source: bool,
    soft: Sequence[float],
    steps: Sequence[int],
    ops: Sequence[int],
    ranges: Sequence[float],
    background: Sequence[float],
    image: Sequence[float],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Every parameter of every sample.

    Args:
        seed: (B,) int64, at most `MOST_SAMPLES`.
        frame: n lengths.
        candidates: places per sample, a power of 2.
        tail: the logarithm of what the outermost ring may weigh.
        own_source: each sample is its own source; else they are permuted.
        soft: p, and alpha from and to.
        steps: erosion from and to; dilation likewise, or without it, by alpha.
        ops: how many rigid names there are, and bits of those that flip, turn, scale, shift; how many intensity names,
            and bits of gamma, noise, blur; or nothing: no object params.
        ranges: rotation, scale, shift, gamma, noise, blur, from and to each; of scale and gamma, what is uniform in the
            logarithm, the second number is that of to / from.
        background, image: four probabilities, then crop, gamma, noise, blur likewise; or nothing.

    Returns:
        one after the other, field after field: (B,) uint8, whether p draws it; int64 source, erosion and dilation
        steps; float64 candidates, rank and carve; float32 alpha, flip, angle, scale, shift, gamma, noise, blur, and for
        each whole image crop size and start, gamma, noise, blur.
    """
    return _draw(
        seed,
        list(frame),
        candidates,
        tail,
        own_source,
        [*soft],
        [*steps],
        [*ops],
        *map(list, (ranges, background, image)),
    )


@library.custom_op(
    "softcp_gpu::draw",
    mutates_args=(),
    schema="(Tensor seed, int[] frame, int candidates, float tail, bool own_source, float[] soft, int[] steps,"
    " int[] ops, float[] ranges, float[] background, float[] image) -> (Tensor, Tensor, Tensor, Tensor)",
)
def _draw(*inputs: Any) -> tuple[Tensor, ...]:
    from softcp_gpu.kernels import jit_draws

    seed, frame, candidates, tail, own_source, soft, steps, ops, ranges, background, image = inputs
    out, batch = _draw_like(*inputs), len(seed)
    auto = (None, None) if len(steps) == 2 else ()
    given = ((*soft, *steps, *auto), *(tuple(x) or None for x in (ops, ranges, background, image)))
    sizes = (batch, *three(frame))
    block = 1 << max(batch - 1, 1).bit_length()
    launch(jit_draws.draw_pass, (1, batch), seed, *out, *sizes, own_source, *given, tail, len(frame), candidates, block)
    return out


@_draw.register_fake
def _draw_like(seed: Tensor, frame: Sequence[int], candidates: int, tail: Any, own: Any, *rest: Any) -> Any:
    batch, n, (*_, ops, _, background, image) = seed.shape[0], len(frame), rest
    turns = 1 if n == 2 else 3
    numbers = 1 + (4 * n + 2 * turns + 8) * bool(ops) + (2 * n + 3) * (bool(background) + bool(image))
    kinds = ((torch.uint8, 1), (torch.int64, 3), (torch.float64, candidates * n + 2), (torch.float32, numbers))
    return tuple(torch.empty(batch * count, dtype=dtype, device=seed.device) for dtype, count in kinds)
