"""The one place that knows where the code runs.

On a CPU, reading a value costs nothing, so work follows the lesions: only the samples and the pixels that matter.
On an accelerator, and under `torch.compile`, reading a value stalls the queue or breaks the graph, so the same
expressions run on whole frames with `where`. Both give the same result.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def may_read_values(x: Tensor) -> bool:
    """Whether Python may look at the values of `x` for free."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def where_active(active: Tensor, x: Tensor, fn: Callable[[Tensor, Callable[[Tensor], Tensor]], Tensor]) -> Tensor:
    """`fn(x, rows)` for the active samples, `x` for the others.

    Args:
        active: (B,) bool.
        x: (B, ...).
        fn: gets the samples to work on and `rows`, which picks the same samples of any other (B, ...) tensor.

    Returns:
        (B, ...), a new tensor unless no sample is active.
    """
    if not may_read_values(x):
        keep = active.view(-1, *(1,) * (x.ndim - 1))
        return torch.where(keep, fn(x, lambda t: t), x)
    index = active.nonzero().flatten()
    if index.numel() == 0:
        return x
    if index.numel() == x.shape[0]:
        return fn(x, lambda t: t)
    return x.index_copy(0, index, fn(x.index_select(0, index), lambda t: t.index_select(0, index)))
