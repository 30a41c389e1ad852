"""What nnU-Net asks of the names of cases and classes."""

from __future__ import annotations

import re
from collections.abc import Mapping

from softcp_gpu.checks import fail

_UNSAFE = re.compile(r"[^\w-]+")  # nnU-Net cuts names at fixed lengths, so that letters of any script are safe


def safe_name(case_id: str) -> str:
    """Turn an id into a name that nnU-Net takes; two ids may give the same.

    Args:
        case_id: any id.

    Returns:
        Letters, digits, _ and -; empty, if there are none of the first two.

    Example:
        >>> safe_name("benign (1)")
        'benign_1'
    """
    return _UNSAFE.sub("_", case_id).strip("_-")


def check_labels(labels: Mapping[str, int]) -> None:
    """Check what nnU-Net asks of classes: background 0, then 1, 2, 3, ..., and what is to be ignored last.

    Args:
        labels: class ids by name.

    Raises:
        ValueError: it is otherwise.
    """
    numbers = list(labels.values())
    whole = all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)
    if not whole or sorted(numbers) != list(range(len(numbers))) or len(numbers) < 2 or labels.get("background") != 0:
        fail("labels", "background 0 and the classes 1, 2, 3, ... without a gap", repr(dict(labels)))
    if labels.get("ignore", len(numbers) - 1) != len(numbers) - 1:
        fail("labels", "the highest id for ignore", repr(dict(labels)))
