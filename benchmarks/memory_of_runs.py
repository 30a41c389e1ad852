"""How much memory a run of many small samples takes, as it goes on. Linux only.

    python -m benchmarks.memory_of_runs 100000

prints what is resident in the main process, and in the largest of the others, at 1, 2, 5, 10, ... thousand samples.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import offline
from softcp_gpu.synthesize import synthesize


class Resident(NamedTuple):
    """Bytes in memory at one moment."""

    samples: int
    main: int
    workers: int  # the largest process that the main one has started, itself or through another
    seconds: float  # since the start


def marks(count: int, first: int = 1000) -> Iterator[int]:
    """Numbers of samples after which to look: 1, 2 and 5 times powers of ten, and the last."""
    step = first
    while step < count:
        yield from (step * factor for factor in (1, 2, 5) if step * factor < count)
        step *= 10
    yield count


def watch(data: Path, out: Path, count: int, workers: int, at: Sequence[int]) -> list[Resident]:
    """A run, and what it takes after so many samples; each is printed at once."""
    looks: list[Resident] = []
    start = time.perf_counter()

    def on_sample(summary: object, record: dict[str, Any]) -> None:
        if record["number"] + 1 in at:
            others = max(map(resident, descendants(os.getpid())), default=0)
            seconds = time.perf_counter() - start
            looks.append(Resident(record["number"] + 1, resident(os.getpid()), others, seconds))
            print(line(looks[-1]), flush=True)

    synthesize(data, out, count=count, split="all", device="cpu", workers=workers, on_sample=on_sample)
    return looks


def line(look: Resident) -> str:
    """In words."""
    main, workers = (size / 2**20 for size in (look.main, look.workers))
    return f"{look.samples:7d} samples, {look.seconds:6.0f} s: main {main:.0f} MiB, largest worker {workers:.0f} MiB"


def resident(process: int) -> int:
    """Bytes of a process in memory; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text("utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)


def descendants(process: int) -> set[int]:
    """Numbers of the processes that it has started, and of those that these have."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text("utf-8", "replace").rpartition(")")[2].split()[1])
        except OSError:  # gone in the meantime
            continue
    found: set[int] = set()
    while new := {child for child, parent in parents.items() if parent in {process, *found}} - found:
        found |= new
    return found


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory_of_runs", description="Memory of a long run.")
    parser.add_argument("count", type=int, help="samples")
    parser.add_argument("--size", type=int, default=32, help="of the images in pixels")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        offline.write_set(data, offline.Kind(chosen.size, 1, False), 32)
        watch(data, Path(folder) / "out", chosen.count, chosen.workers, list(marks(chosen.count)))


if __name__ == "__main__":
    main()
