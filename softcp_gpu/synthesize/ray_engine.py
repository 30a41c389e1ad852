"""The workers as actors on a Ray cluster; what they make is what the other engines make.

Ray says where an actor runs and tells when it is lost. A worker has one batch at a time, so that it is known which one
ended it; whoever is free takes the next.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from softcp_gpu import __version__, checks
from softcp_gpu.data import DataError, run_folder
from softcp_gpu.synthesize.engine import AHEAD, LIVES, Record, Worker, WorkerError, batches
from softcp_gpu.synthesize.job import Job
from softcp_gpu.synthesize.ray_cluster import cluster, import_ray

_PATIENCE_S = 10  # for actors to end


def on_ray(job: Job, numbers: range, workers: int, batch: int) -> Iterator[Record]:
    """Makes the samples on the cluster of RAY_ADDRESS or of `ray start` on this machine, else on a new local one.

    Args:
        job: the run; its folder and the data set lie on a file system that every node sees at the same path.
        numbers: of the samples.
        workers: how many actors, each with a GPU of its own if the job computes on CUDA, else with a CPU.
        batch: how many samples a worker has in hand.

    Returns:
        The records, in the order of the numbers.

    Raises:
        ModuleNotFoundError: there is no Ray.
        WorkerError: no cluster answers, a node sees other files or has other versions, or the same batch ended its
            worker again and again.
    """
    return _records(import_ray(), job, numbers, workers, batch)


def _records(ray: Any, job: Job, numbers: range, workers: int, batch: int) -> Iterator[Record]:
    gpu = torch.device(job.device).type == "cuda"
    with cluster(ray, workers) as where, _mark(job.out) as mark:
        kind = "GPU" if gpu else "CPU"
        there = int(ray.cluster_resources().get(kind, 0))
        print(f"Ray: {workers} workers with one {kind} each on {where}, which has {there}", file=sys.stderr)
        crew = _Crew(ray, replace(job, device="cuda") if gpu else job, workers, batch, mark)
        try:
            yield from crew.make(_Batch(part) for part in batches(numbers, batch))
        finally:
            crew.end()


@dataclass(eq=False)
class _Batch:
    """Samples that one worker makes, and what became of them."""

    numbers: range
    deaths: int = 0
    outcome: list[Record] | BaseException | None = None

    def records(self) -> list[Record]:
        assert self.outcome is not None
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


class _Crew:
    """The actors of a run; one that is lost is replaced as soon as the cluster has room, and the others go on."""

    def __init__(self, ray: Any, job: Job, workers: int, batch: int, mark: str) -> None:
        self.ray, self.workers, self.out = ray, workers, job.out
        needs = {"num_gpus": 1} if torch.device(job.device).type == "cuda" else {"num_cpus": 1}
        self.actor_class = ray.remote(_Actor).options(**needs)
        # In a list Ray hands the job on as it is, to be fetched when the node has been found fit to read it.
        self.start = (_versions(), os.getcwd(), mark, [ray.put(job)])
        self.waiting: deque[_Batch] = deque()
        self.idle: list[Any] = []
        self.busy: dict[Future[Any], tuple[Any, _Batch | None]] = {}  # None: the actor is getting ready
        self.false_starts = 0

    def make(self, coming: Iterator[_Batch]) -> Iterator[Record]:
        """The records of all batches, in their order."""
        pending: deque[_Batch] = deque()
        for _ in range(self.workers):
            self._hire()
        while True:
            new = list(islice(coming, AHEAD * self.workers - len(pending)))
            pending += new
            self.waiting += new
            if not pending:
                return
            while self.waiting and self.idle:
                actor, batch = self.idle.pop(), self.waiting.popleft()
                self.busy[actor.make.remote(batch.numbers).future()] = actor, batch
            self._collect(block=pending[0].outcome is None)
            if pending[0].outcome is not None:
                yield from pending.popleft().records()

    def end(self) -> None:
        """Ends all actors, also in the middle of a sample, which is then as if it had not been begun."""
        for actor in [*self.idle, *(actor for actor, _ in self.busy.values())]:
            self.ray.kill(actor)
        wait(self.busy, _PATIENCE_S)  # what is in hand fails once its process is gone
        with suppress(DataError):  # a folder that has become read-only: there is another error to tell
            run_folder.remove_temporary(self.out)

    def _hire(self) -> None:
        actor = self.actor_class.remote()
        self.busy[actor.start.remote(*self.start).future()] = actor, None

    def _collect(self, block: bool) -> None:
        for future in wait(self.busy, None if block else 0, FIRST_COMPLETED).done:
            actor, batch = self.busy.pop(future)
            try:
                outcome = future.result()
            except self.ray.exceptions.RayTaskError as error:  # what our code has raised over there
                outcome = error.cause
                if batch is None:
                    raise outcome from error
            except self.ray.exceptions.RayError as error:  # a process, a node or a result is gone
                self._lost(actor, batch, error)
                continue
            if batch is None:
                self.false_starts = 0
            else:
                batch.outcome = outcome
            self.idle.append(actor)

    def _lost(self, actor: Any, batch: _Batch | None, error: Exception) -> None:
        self.ray.kill(actor)  # where only the way to it is lost it must not go on
        if batch is None:
            self.false_starts += 1
            if self.false_starts >= LIVES:
                reason = str(error).strip().splitlines()[-1]
                raise WorkerError(_ended("getting ready", reason)) from error
        else:
            batch.deaths += 1
            if batch.deaths < LIVES:
                self.waiting.appendleft(batch)
            else:
                last = f" to {batch.numbers[-1]}" if len(batch.numbers) > 1 else ""
                hint = "is there enough memory? fewer workers on a node need less"
                batch.outcome = WorkerError(_ended(f"making sample {batch.numbers[0]}{last}", hint))
                batch.outcome.__cause__ = error
        self._hire()


def _ended(doing: str, reason: str) -> str:
    return f"a worker on Ray ended {LIVES} times in a row while {doing}: expected it to live ({reason})"


class _Actor:
    """A worker process on some node."""

    worker: Worker

    def start(self, versions: Sequence[str], cwd: str, mark: str, job: Sequence[Any]) -> None:
        """Gets ready.

        Args:
            versions: of those who ask.
            cwd: where they are; the paths of a job may start there.
            mark: name of a file in the run's folder that is in no other.
            job: a reference to it.

        Raises:
            WorkerError: naming the node.
        """
        ray = import_ray()
        try:
            if versions != _versions():
                checks.fail("versions", " and ".join(versions), " and ".join(_versions()))
            with suppress(OSError):  # then the paths had better be absolute
                os.chdir(cwd)
            found: Job = ray.get(job[0])
            _check_shared(found, mark)
            torch.set_num_threads(1)
            self.worker = Worker(found)
        except ValueError as error:
            node = f"{socket.gethostname()} ({ray.util.get_node_ip_address()})"
            raise WorkerError(f"on the node {node}: {error}") from error

    def make(self, numbers: Sequence[int]) -> list[Record]:
        """See `Worker.make`."""
        return self.worker.make(numbers)


def _versions() -> list[str]:
    return [f"softcp_gpu {__version__}", f"torch {torch.__version__}"]


def _check_shared(job: Job, mark: str) -> None:
    """Whether this node sees the files of the run."""
    if not (job.out / mark).is_file():
        raise DataError(job.out, "the folder of this run, on a file system that all nodes share", "another or none")
    if not any(case.image.exists() for case in job.backgrounds):
        raise DataError(job.inputs.root, "the data set, on a file system that all nodes share", "none of its images")


@contextmanager
def _mark(out: Path) -> Iterator[str]:
    """A file that says which folder this is; its name is one of those that `--resume` cleans up."""
    mark = out / f".ray.{time.time_ns()}.mark"
    mark.touch()
    try:
        yield mark.name
    finally:
        mark.unlink(missing_ok=True)
