"""Where worker processes come from: a server that imports torch once, and is forked for each.

It imports nothing itself, so that the server can be started before anything else is.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.context import BaseContext

_PRELOADED = "softcp_gpu.synthesize.engine"


def worker_context() -> BaseContext:
    """How workers are started. They are not forked from the process that asks: torch's threads do not survive that."""
    there = "forkserver" in multiprocessing.get_all_start_methods()
    found = multiprocessing.get_context("forkserver" if there else "spawn")
    if there:
        found.set_forkserver_preload([_PRELOADED])
    return found


def get_ready() -> None:
    """Starts the server, which imports torch while this process does something else; no more than a hint."""
    if worker_context().get_start_method() == "forkserver":
        from multiprocessing import forkserver  # which not every system has

        with starting():
            forkserver.ensure_running()


@contextmanager
def starting() -> Iterator[None]:
    """Processes that are started in it never see Ctrl-C, also while they get ready: who runs them decides.

    Signals are handled after it: a pool that is left in the middle of a start forgets the worker.
    """
    resource_tracker.ensure_running()  # by itself it would let signals through again
    with uninterrupted():
        yield


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Signals are handled after it, as imports that are left in the middle fail in ways of their own."""
    late: list[int] = []
    handlers = {}
    if threading.current_thread() is threading.main_thread():
        known = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not None]
        handlers = {number: signal.signal(number, lambda number, frame: late.append(number)) for number in known}
    blocked = {signal.SIGINT} if hasattr(signal, "pthread_sigmask") else set()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked) if blocked else set()
    try:
        yield
    finally:
        if blocked:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for missed in late:
            signal.raise_signal(missed)
