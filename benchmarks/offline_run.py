"""One offline run in a process of its own, which imports no more than its program needs, as do its workers.

    python -m benchmarks.offline_run WHO DATA OUT COUNT WORKERS DEVICE TOGETHER

prints how long it takes: `Taken` as JSON. The device is that of ours alone; the others compute nothing there. TOGETHER
is how many samples may be finished at once.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

BEGIN = time.perf_counter()
OURS = "softcp_gpu"
NUMBA = "softcp_gpu, --numba"
CEILING = "reading and writing alone"
SCRIPT = "plain OpenCV script"


class Taken(NamedTuple):
    """Seconds of one run; the last two per sample, of those that `steady_from` says."""

    start: float  # until the first sample is there, from the start of the program, with all that it imports
    steady: float
    cpu: float  # of the main process, which makes the samples if there are no workers


Program = Callable[[Path, Path, int, int, str, Callable[[], None]], None]
"""From (data, out, number of samples, workers, device, what to call after each sample) to files; all, or it raises."""


def ours(data: Path, out: Path, count: int, workers: int, device: str, tick: Callable[[], None]) -> None:
    """The whole run: every file is looked at and hashed."""
    _offline(workers).ours(data, out, count, workers, device, tick)


def with_numba(data: Path, out: Path, count: int, workers: int, device: str, tick: Callable[[], None]) -> None:
    """The whole run, computed by compiled loops; for a CPU alone."""
    _offline(workers).ours(data, out, count, workers, device, tick, numba=True)


def ceiling(data: Path, out: Path, count: int, workers: int, device: str, tick: Callable[[], None]) -> None:
    """The same run, but what is written is the background."""
    _offline(workers).ceiling(data, out, count, workers, tick)


def _offline(workers: int) -> ModuleType:
    """What both are in, imported as the command line does it: while the workers' server starts."""
    if workers > 1:
        from softcp_gpu.workers import get_ready

        get_ready()
    from benchmarks import offline

    return offline


def script(data: Path, out: Path, count: int, workers: int, device: str, tick: Callable[[], None]) -> None:
    """See `opencv_script`."""
    from benchmarks import opencv_script

    done = 0
    for made in opencv_script.run(data, out, count, workers):
        done += made
        tick()
    check_count(done, count)


PROGRAMS: dict[str, Program] = {OURS: ours, NUMBA: with_numba, CEILING: ceiling, SCRIPT: script}


def check_count(found: int, count: int) -> None:
    """All samples, or it raises."""
    if found != count:
        raise ValueError(f"expected {count} samples, found {found}")


def timed(program: Program, data: Path, out: Path, count: int, workers: int, device: str, together: int) -> Taken:
    """One run in this process."""
    wall, cpu = [], []

    def tick() -> None:
        wall.append(time.perf_counter())
        cpu.append(time.process_time())

    program(data, out, count, workers, device, tick)
    first = steady_from(wall, together * workers)
    rest = count - 1 - first
    return Taken(wall[0] - BEGIN, (wall[-1] - wall[first]) / rest, (cpu[-1] - cpu[first]) / rest)


def steady_from(ends: Sequence[float], together: int) -> int:
    """The sample after which to measure: beyond the first quarter, and the last one of those that end together.

    What is computed as a batch ends at once. From the first of a batch on, the others would count as made in no time.

    Args:
        ends: when each sample was there; more than `together` beyond a quarter of them.
        together: how many samples may end at once.

    Example:
        >>> steady_from([1, 2, 2.1, 2.2, 5, 5.1, 5.2, 8, 8.1, 8.2], 3)
        3
    """
    first = len(ends) // 4
    waits = [ends[k + 1] - ends[k] for k in range(first, min(first + together, len(ends) - 1))]
    return first + waits.index(max(waits))


def timed_alone(who: str, data: Path, out: Path, count: int, workers: int, device: str, together: int) -> Taken:
    """One run in a process of its own, so that each pays for its start."""
    arguments = [who, str(data), str(out), str(count), str(workers), device, str(together)]
    command = [sys.executable, "-m", "benchmarks.offline_run", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
    return Taken(**json.loads(done.stdout))


def main(arguments: list[str]) -> None:
    """The command line."""
    who, data, out, count, workers, device, together = arguments
    taken = timed(PROGRAMS[who], Path(data), Path(out), int(count), int(workers), device, int(together))
    print(json.dumps(taken._asdict()))


if __name__ == "__main__":
    main(sys.argv[1:])
