"""Loops on as many cores as torch uses."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import torch

_LEAST = 1 << 16  # values for each thread: of fewer, to start it takes longer than to work


def in_threads(loop: Callable[..., None], planes: int, pixels: int, *arrays: Any) -> None:
    """Calls `loop(plane, *arrays)` for each plane, each from the first thread that is free.

    Threads of Python, made for each call: those of OpenMP end a process that is forked, as a loader's workers are.
    torch's own stay busy for some milliseconds after they worked, so that others come late to a core.

    Args:
        loop: compiled.
        planes: how many there are.
        pixels: of each, about.
        arrays: what it gets.
    """
    waiting = deque(range(planes))

    def work() -> None:
        with suppress(IndexError):
            while True:
                loop(waiting.popleft(), *arrays)

    threads = min(torch.get_num_threads(), planes, planes * pixels // _LEAST)
    if threads < 2:
        work()
        return
    with ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(work) for _ in range(threads - 1)]
        work()
    for other in others:
        other.result()
