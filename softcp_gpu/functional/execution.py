"""The one place that knows where the code runs.

On a CPU, reading a value costs nothing, so work follows the lesions: only the samples and the pixels that matter.
On an accelerator, and under `torch.compile`, reading a value stalls the queue or breaks the graph, so the same
expressions run on whole frames with `where`. On frames as large as scans a stall costs less than the frame, so there
an accelerator too follows the lesions. All give the same result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

import numpy as np
import torch
from torch import Tensor

from softcp_gpu import kernels

LARGE_FRAME = 1 << 22  # pixels: a frame of 2048 x 2048, or 160 x 160 x 160

_MUCH = 1 << 22  # bytes
_KEPT = 31 << 20  # bytes
Rows = Callable[[Tensor], Tensor]
"""Picks the same samples of any (B, ...) tensor."""

_LARGE: ContextVar[bool] = ContextVar("large frames are being worked on", default=False)


def may_read_values(x: Tensor) -> bool:
    """Whether Python may look at the values of `x`: it costs nothing, or less than to work on whole frames."""
    if torch.compiler.is_compiling():
        return False
    # Kernels that run on a CPU are being interpreted, as they would run on an accelerator.
    return _LARGE.get() or (x.device.type == "cpu" and not kernels.run_on(x))


def is_array(*tensors: Tensor) -> bool:
    """Whether NumPy can do it: it takes a fifth of torch's time to begin an operation, on one core."""
    known = all(x.device.type == "cpu" and x.dtype != torch.bfloat16 for x in tensors)
    return known and may_read_values(tensors[0]) and not asks_for_gradients(*tensors)


def frames_of(shape: Sequence[int]) -> AbstractContextManager[None]:
    """Work on frames of this shape: if they are large, values may be read on every device."""
    return nullcontext() if torch.compiler.is_compiling() else _frames_of(shape)


@contextmanager
def _frames_of(shape: Sequence[int]) -> Iterator[None]:
    before = _LARGE.set(math.prod(shape) >= LARGE_FRAME)
    try:
        yield
    finally:
        _LARGE.reset(before)


def constants(values: Sequence[float], like: Tensor, dtype: torch.dtype = torch.int64) -> Tensor:
    """Numbers as a tensor beside `like`, without waiting for its device.

    An accelerator makes them itself: what is copied to it would not be there when a captured graph runs again.
    """
    if like.device.type == "cpu" or not values:
        return torch.tensor(values, dtype=dtype, device=like.device)
    first, last, count = values[0], values[-1], len(values)
    if count <= 2:  # two numbers are the ends of a line
        return torch.linspace(first, last, count, dtype=dtype, device=like.device)
    return torch.stack([torch.full((), value, dtype=dtype, device=like.device) for value in values])


def keep_what_is_freed() -> None:
    """From now on the C library keeps memory that is freed, as the next call needs as much again.

    glibc returns to the system what lies free beyond twice the largest block that was freed so far, of those up to
    32 MiB. Of few or small images, what is done in fresh pages may take no longer than getting them.
    """
    np.empty(_KEPT, np.uint8)  # freed at once, and never touched


def zeros(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Zeros; on a CPU the system gives many of them, and those that nobody looks at cost nothing."""
    if device.type == "cpu" and math.prod(shape) * dtype.itemsize <= _KEPT:
        return empty(shape, dtype, device).zero_()  # memory that was used before, cleared by all cores
    return _from_numpy(np.zeros, torch.zeros, shape, dtype, device)


def empty(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Memory with anything in it."""
    return _from_numpy(np.empty, torch.empty, shape, dtype, device)


def as_bytes(flags: Tensor) -> Tensor:
    """Flags as bytes that share their memory; compilers cannot look at what they have not yet written."""
    return flags.to(torch.uint8) if torch.compiler.is_compiling() else flags.view(torch.uint8)


def copied(x: Tensor) -> Tensor:
    """A copy of `x` in memory of its own; gradients flow."""
    return empty(x.shape, x.dtype, x.device).copy_(x) if x.is_contiguous() else x.clone()


def _from_numpy(
    make: Callable[[int, type], np.ndarray],
    plain: Callable[..., Tensor],
    shape: Sequence[int],
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """Much memory on a CPU is NumPy's: it asks for large pages, which are there several times as fast as torch's."""
    size = math.prod(shape) * dtype.itemsize
    if size < _MUCH or device.type != "cpu" or torch.compiler.is_compiling():
        return plain(shape, dtype=dtype, device=device)
    return torch.from_numpy(make(size, np.uint8)).view(dtype).view(*shape)


def work_dtype(image: Tensor) -> torch.dtype:
    """What to compute an image in: half precision is computed in float32."""
    return torch.float64 if image.dtype == torch.float64 else torch.float32


def without_autocast(image: Tensor) -> torch.autocast:
    """Autocast would compute some operations in half precision, and so give other pixels than without it."""
    return torch.autocast(image.device.type, enabled=False)


def where_active(
    active: Tensor | list[bool],
    x: Tensor,
    fn: Callable[[Tensor, Rows], Tensor],
    *,
    over: bool = False,
) -> Tensor:
    """`fn(x, rows)` for the active samples, `x` for the others.

    Args:
        active: (B,) bool; or a list, where values may be read and have been.
        x: (B, ...).
        fn: gets the samples to work on and `rows`, which picks the same samples of any other (B, ...) tensor.
        over: `x` is not needed any more, so the result may lie in its memory.

    Returns:
        (B, ...); `x` itself if no sample is active.
    """
    if isinstance(active, Tensor) and not may_read_values(x):
        keep = active.view(-1, *(1,) * (x.ndim - 1))
        return torch.where(keep, fn(x, lambda t: t), x)
    flags = active.tolist() if isinstance(active, Tensor) else active
    if True not in flags:
        return x
    if len(flags) == 1:
        return fn(x, lambda t: t)

    # One after the other: vectorised and single values of exp, log, pow may differ in the last bit, so a sample would
    # depend on where in the batch it is.
    def sample(i: int) -> Tensor:
        return fn(x[i : i + 1], _row(i)) if flags[i] else x[i : i + 1]

    if asks_for_gradients(x):
        return torch.cat([sample(i) for i in range(len(flags))])
    out = x if over else empty(x.shape, x.dtype, x.device)
    for i, on in enumerate(flags):
        # Each is put where it belongs before the next is made, which then finds memory that is in the cache.
        if on or not over:
            done = sample(i)
            if asks_for_gradients(done):  # of the params
                return torch.cat([out[:i], done, *(sample(k) for k in range(i + 1, len(flags)))])
            out[i] = done[0]
    return out


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Samples one after the other, in memory of `empty`; no gradient flows, and one alone is not copied."""
    if len(parts) == 1:
        return parts[0]
    out = empty((sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype, parts[0].device)
    return torch.cat([*parts], out=out)


def asks_for_gradients(*tensors: Tensor) -> bool:
    """Whether gradients will flow to one of them."""
    return torch.is_grad_enabled() and any(x.requires_grad for x in tensors)


def _row(i: int) -> Rows:
    return lambda t: t[i : i + 1]
