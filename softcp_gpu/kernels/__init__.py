"""Fused Triton kernels behind functions of `functional/`, and the switch between them and plain torch operations.

The plain path is always there. Only the files jit_* need Triton; they are imported when a kernel first runs.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from types import TracebackType
from typing import Literal

from torch import Tensor

from softcp_gpu import checks

# What "auto" means on CUDA: benchmarks/results holds runs of benchmarks/gpu_suite.sh in which they pay.
KERNELS_PAY = True

VARIABLE = "SOFTCP_KERNELS"  # of the environment: so it holds for all threads and workers, and nothing else keeps it
INSTALLED = find_spec("triton") is not None


class use:
    """Chooses between Triton kernels and plain torch operations, from this call on or for a `with` block.

    Args:
        choice: "on": kernels, for tensors on CUDA, and on a CPU under Triton's interpreter (TRITON_INTERPRET=1);
            "off": plain torch, also where a CPU would use `softcp_gpu.loops`; "auto", the default: what has been
            measured to be faster, so kernels on CUDA where Triton is installed, and none elsewhere.

    Raises:
        ValueError: naming the argument, what was expected and what was found.
        ImportError: "on" without Triton.

    Note:
        It sets SOFTCP_KERNELS in the environment of the process. A function compiled by `torch.compile` keeps what
        held when it was traced.

    Example:
        >>> import torch
        >>> with use("off"):
        ...     run_on(torch.zeros(1))
        False
    """

    def __init__(self, choice: Literal["auto", "on", "off"]) -> None:
        checks.choice("choice", choice, ("auto", "on", "off"))
        if choice == "on" and not INSTALLED:
            raise ImportError("the kernels need Triton. Install it with: pip install 'softcp-gpu[kernels]'")
        self._before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = choice

    def __enter__(self) -> None:
        """What was chosen already holds."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What held before holds again."""
        if self._before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = self._before


def run_on(x: Tensor) -> bool:
    """Whether kernels do the work on `x`."""
    choice = os.environ.get(VARIABLE, "auto")
    if choice == "auto":
        return x.device.type == "cuda" and KERNELS_PAY and INSTALLED
    checks.choice(VARIABLE, choice, ("auto", "on", "off"))
    interpreted = x.device.type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"
    return choice == "on" and (x.device.type == "cuda" or interpreted)
