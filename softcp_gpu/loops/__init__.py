"""Loops for a CPU, compiled by Numba, behind functions of `functional/`: one pass over memory where torch takes many.

The plain path is always there. Only the files jit_* need Numba; they are imported when a loop first runs.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.util import find_spec

from torch import Tensor

from softcp_gpu import kernels

_UNUSED: ContextVar[bool] = ContextVar("plain torch is asked for", default=False)


def run_on(*tensors: Tensor) -> bool:
    """Whether loops do the work on these: on a CPU, where Numba is installed and nobody asked for plain torch."""
    return not _UNUSED.get() and all(x.device.type == "cpu" for x in tensors) and there()


def there() -> bool:
    """Whether Numba is installed, and nobody asked for plain torch."""
    return os.environ.get(kernels.VARIABLE) != "off" and _usable()


@contextmanager
def unused() -> Iterator[None]:
    """Plain torch in this block: the same bits whether Numba is installed or not."""
    before = _UNUSED.set(True)
    try:
        yield
    finally:
        _UNUSED.reset(before)


@cache
def _usable() -> bool:
    """Whether Numba can be imported."""
    if find_spec("numba") is None:
        return False
    try:
        import numba  # noqa: F401
    except ImportError as error:  # it refuses releases of NumPy that are too new for it
        warnings.warn(f"numba is installed, but cannot be used: {error}. On a CPU plain torch goes on.", stacklevel=2)
        return False
    return True
