"""Loops on as many cores as torch uses."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from functools import cache
from queue import SimpleQueue
from threading import Thread
from typing import Any

import torch

_LEAST = 1 << 14  # values for each thread: of fewer, to wake it takes longer than to work


def in_threads(loop: Callable[..., None], planes: int, pixels: int, *arrays: Any) -> None:
    """Calls `loop(plane, *arrays)` for each plane, each from the first thread that is free.

    Threads of Python: those of OpenMP end a process that is forked, as a loader's workers are. torch's own stay busy
    for some milliseconds after they worked, so that others come late to a core.

    Args:
        loop: compiled.
        planes: how many there are.
        pixels: of each, about.
        arrays: what it gets.
    """
    waiting, ended = deque(range(planes)), SimpleQueue[BaseException | None]()

    def work() -> None:
        try:
            while waiting:
                try:
                    unit = waiting.popleft()
                except IndexError:  # another thread took the last one
                    break
                loop(unit, *arrays)
        except BaseException as error:  # it is raised again where all have ended
            ended.put(error)
        else:
            ended.put(None)

    cores = torch.get_num_threads()
    count = max(1, min(cores, planes, planes * pixels // _LEAST))
    if count > 1:
        helpers = _helpers(os.getpid(), cores - 1)
        for _ in range(count - 1):
            helpers.put(work)
    work()
    errors = [ended.get() for _ in range(count)]
    for error in errors:
        if error is not None:
            raise error


@cache
def _helpers(process: int, count: int) -> SimpleQueue[Callable[[], None]]:
    """What is put here, one of so many threads calls. They wait in the process that made them: a fork has none."""
    calls = SimpleQueue[Callable[[], None]]()

    def help_out() -> None:
        while True:
            calls.get()()

    for _ in range(count):
        Thread(target=help_out, name="softcp_gpu loops", daemon=True).start()
    return calls
