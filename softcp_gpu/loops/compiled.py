"""How functions are compiled: once for a machine, as Numba keeps the result in a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compiled when it is first called. It gives up Python's lock, so that threads run at the same time."""
    return _compiled(function, fastmath=False)


def reduced(function: Function) -> Function:
    """Likewise, for the least and largest of many values, none of which is NaN: so they may be taken in any order."""
    return _compiled(function, fastmath={"nnan", "nsz"})


def _compiled(function: Function, **options: Any) -> Function:
    options |= {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither beside the file nor in the user's folder may anything be written
        return numba.njit(**options)(function)
