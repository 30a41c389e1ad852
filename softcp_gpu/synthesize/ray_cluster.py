"""Ray itself, and the cluster to work on: one that is there, or a local one for the time of a run."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from softcp_gpu.synthesize.engine import WorkerError


def import_ray() -> Any:
    """The package Ray, or how to get it.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        hint = "the engine ray needs Ray. Install it with: pip install 'softcp-gpu[ray]'"
        raise ModuleNotFoundError(hint, name="ray") from error
    return ray


@contextmanager
def cluster(ray: Any, workers: int) -> Iterator[str]:
    """A connection, for as long as the block lasts; what was there before stays, what was started here ends.

    Args:
        ray: the package.
        workers: how many CPUs a cluster of this machine should have, if none is there.

    Yields:
        Where it is, in words.

    Raises:
        WorkerError: there is no cluster at the address that is given.
    """
    if ray.is_initialized():
        yield f"the cluster at {ray.get_runtime_context().gcs_address}"
        return
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        with _own_sigterm():
            try:
                ray.init(_address(), num_cpus=workers, include_dashboard=False, **quiet)
                where = "this machine"
            except ValueError:  # there is a cluster, with CPUs of its own
                ray.init(**quiet)
                where = f"the cluster at {ray.get_runtime_context().gcs_address}"
    except (ConnectionError, RuntimeError) as error:
        raise WorkerError(f"expected a Ray cluster to work on, found: {error}") from error
    try:
        yield where
    finally:
        ray.shutdown()


def _address() -> str | None:
    """Leaves the choice to Ray, unless the cluster that it would choose is gone: it would try that one for minutes."""
    named = os.environ.get("RAY_ADDRESS")
    if named and (silence := _silence(named)):
        raise WorkerError(f"RAY_ADDRESS: expected a cluster that answers, found {named} ({silence})")
    last = _ray_folder() / "ray_current_cluster"  # written by `ray start`, removed by `ray stop` and nobody else
    return "local" if not named and last.is_file() and _silence(last.read_text().strip()) else None


def _silence(address: str) -> OSError | None:
    """Why nobody answers; what is no host and port is left to Ray."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host.removeprefix("ray://").strip("[]"), int(port)), timeout=10).close()
        except OSError as error:
            return error
    return None


def _ray_folder() -> Path:
    linux = os.environ.get("TMPDIR") if sys.platform == "linux" else None
    return Path(os.environ.get("RAY_TMPDIR") or linux or "/tmp", "ray")


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Ray takes the signal for itself; who runs it has plans for it."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
