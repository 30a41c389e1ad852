"""Loops on as many cores as torch uses."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Thread
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
    errors: list[BaseException] = []

    def work() -> None:
        try:
            while waiting:
                try:
                    unit = waiting.popleft()
                except IndexError:  # another thread took the last one
                    return
                loop(unit, *arrays)
        except BaseException as error:  # it is raised again where all have ended
            errors.append(error)

    count = min(torch.get_num_threads(), planes, planes * pixels // _LEAST)
    threads = [Thread(target=work) for _ in range(count - 1)]
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
