"""Who makes the samples: this process, or worker processes beside it. What they make is the same.

An engine gives the records in the order of their numbers, however its workers finish, and has a bounded number of
samples in hand. It may die at any moment: a sample is whole once its record is written.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import torch

from softcp_gpu.data import DataError, run_folder
from softcp_gpu.functional.execution import keep_what_is_freed
from softcp_gpu.synthesize.job import Job
from softcp_gpu.workers import starting, worker_context

Record = dict[str, Any]
AHEAD = 4  # batches in hand per worker: what is slow now and then leaves the others something to do
THREADS = 4  # that read and write in a worker
LIVES = 3  # times that a batch alone may end its worker
LOST = 10  # seconds after which it is asked whether a batch is still in hand


class WorkerError(RuntimeError):
    """Workers die, and starting others does not help."""


class Worker:
    """Makes samples, those of a batch together; for an accelerator they are read and written in threads.

    Args:
        job: the run.
    """

    def __init__(self, job: Job) -> None:
        keep_what_is_freed()
        self.maker = job.maker()

    def make(self, numbers: Sequence[int]) -> list[Record]:
        """The records of some samples, in their order."""
        if len(numbers) == 1 or self.maker.device.type == "cpu":  # where every core computes, threads only cost
            return self.maker.make(numbers)
        with ThreadPoolExecutor(min(THREADS, len(numbers))) as pool:
            return self.maker.make(numbers, pool.map)


def batches(numbers: range, size: int) -> Iterator[range]:
    """Parts of a range.

    Example:
        >>> list(batches(range(3, 8), 2))
        [range(3, 5), range(5, 7), range(7, 8)]
    """
    for first in range(numbers.start, numbers.stop, size):
        yield range(first, min(first + size, numbers.stop))


def on_this_machine(job: Job, numbers: range, workers: int, batch: int) -> Iterator[Record]:
    """Makes the samples in worker processes, or in this one if one worker is enough."""
    return in_this_process(job, numbers, batch) if workers == 1 else in_processes(job, numbers, workers, batch)


def in_this_process(job: Job, numbers: range, batch: int) -> Iterator[Record]:
    """Makes the samples here."""
    worker = Worker(job)
    for part in batches(numbers, batch):
        yield from worker.make(part)


def in_processes(job: Job, numbers: range, workers: int, batch: int) -> Iterator[Record]:
    """Makes the samples in worker processes; one that dies is replaced, and what it had in hand is made again.

    Which batch ended a worker is not known, as all workers end with the first. What was in hand then is therefore made
    one batch after the other, and a batch is to blame for what happens while it is alone: again and again, since a
    worker may also be killed just before it begins.

    Raises:
        WorkerError: the same batch ended its worker again and again.
    """
    coming = batches(numbers, batch)
    pending: deque[_Pending] = deque()
    crew = _Crew(job, workers)
    try:
        while True:
            while len(pending) < AHEAD * workers and (part := next(coming, None)) is not None:
                pending.append(_Pending(part))
            if not pending:
                return
            alone = any(one.suspect for one in pending)
            try:
                for one in [pending[0]] if alone else pending:
                    one.begin(crew)  # a worker may have died while the last samples were recorded
                records = pending[0].result(crew)
            except BrokenProcessPool as error:
                crew.stop()
                for one in pending:
                    one.end(error, alone)
                crew = _Crew(job, workers)
                continue
            pending.popleft()
            yield from records
    finally:
        crew.stop()


@dataclass
class _Pending:
    """A batch in hand."""

    numbers: range
    future: Future[list[Record]] | None = None
    suspect: bool = False  # a worker died while this was in hand
    deaths: int = 0  # of a worker while this was in hand alone

    def begin(self, crew: _Crew) -> None:
        """Has it made, unless it is being made or is there."""
        if self.future is None:
            self.future = crew.make(self.numbers)

    def result(self, crew: _Crew) -> list[Record]:
        """Waits for it."""
        assert self.future is not None
        while not wait([self.future], LOST).done:
            crew.check()
        return self.future.result()

    def end(self, error: Exception, alone: bool) -> None:
        """A worker died: what is not there is to be made again."""
        if self.future is None or (self.future.done() and not self.future.cancelled() and not self.future.exception()):
            return
        self.future = None
        self.suspect = True
        self.deaths += alone
        if self.deaths >= LIVES:
            last = f" to {self.numbers[-1]}" if len(self.numbers) > 1 else ""
            raise WorkerError(
                f"a worker process ended {LIVES} times in a row while making sample {self.numbers[0]}{last}: expected "
                "it to live (is there enough memory? fewer --workers need less)"
            ) from error


class _Crew:
    """Worker processes that end at once when they are told to, or when this process is gone."""

    def __init__(self, job: Job, workers: int) -> None:
        context = worker_context()
        self._out = job.out
        self._told, self._tell = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(workers, context, initializer=_start, initargs=(job, self._told))

    def make(self, numbers: range) -> Future[list[Record]]:
        """Has a batch made."""
        with starting():
            try:
                return self._pool.submit(_make, numbers)
            except OSError:
                self.check()
                raise

    def check(self) -> None:
        """Raises BrokenProcessPool if a worker has died.

        Before Python 3.12 a pool takes no lock while it ends after that. What is given to it at that moment may then
        fail for pipes that are closed, or be forgotten and never end.
        """
        with starting():
            self._pool.submit(int)

    def stop(self) -> None:
        """Ends the workers, also in the middle of a sample, which is then as if it had not been begun."""
        self._tell.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._told.close()
        with suppress(DataError):  # a folder that has become read-only: there is another error to tell
            run_folder.remove_temporary(self._out)


class _Here:
    """What the functions of a worker process share."""

    make: Callable[[Sequence[int]], list[Record]]


def _start(job: Job, told: Connection) -> None:
    """In a worker process: gets ready."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who runs it decides when to stop
    torch.set_num_threads(1)
    threading.Thread(target=_die_when, args=(told,), daemon=True).start()
    _Here.make = Worker(job).make


def _die_when(told: Connection) -> None:
    told.poll(None)  # until it is closed: by the process that began the run, or by its end
    os._exit(1)


def _make(numbers: Sequence[int]) -> list[Record]:
    return _Here.make(numbers)
