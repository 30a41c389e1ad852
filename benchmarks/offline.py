"""Offline synthesis as three programs do it: ours, a plain OpenCV script, and one that only reads and writes.

    python -m benchmarks.offline WHO DATA OUT COUNT WORKERS DEVICE

prints how long one run takes: `Taken` as JSON. The device is that of ours alone; the others compute nothing there.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks import opencv_script
from benchmarks.common import OURS
from softcp_gpu import phantoms
from softcp_gpu.data import LAYOUTS, Case, manifest, write_image, write_mask
from softcp_gpu.functional.groups import MOST
from softcp_gpu.modules import LesionBank
from softcp_gpu.synthesize import synthesize
from softcp_gpu.synthesize.engine import on_this_machine
from softcp_gpu.synthesize.job import Job
from softcp_gpu.synthesize.plan import Pair
from softcp_gpu.synthesize.prepare import prepare
from softcp_gpu.synthesize.settings import Settings

CEILING = "reading and writing alone"
SCRIPT = "plain OpenCV script"
SEED = 1


class Taken(NamedTuple):
    """Seconds per sample of one run; the last two without the first quarter of the samples."""

    run: float  # from the start to the end
    steady: float  # without looking at the data set and starting workers, see `steady_from`
    cpu: float  # of the main process, which makes the samples if there are no workers


class Kind(NamedTuple):
    """What a data set is made of."""

    size: int
    channels: int
    organ: bool

    def __str__(self) -> str:
        colours = "grey" if self.channels == 1 else "RGB"
        return f"{self.size} x {self.size} {colours} PNG, {'an' if self.organ else 'no'} organ"


KINDS = tuple(Kind(size, channels, organ) for size, channels in ((256, 1), (512, 3)) for organ in (False, True))


def write_set(folder: Path, kind: Kind, count: int) -> None:
    """Phantoms as files: white lesions, or red ones in blue organs."""
    for i in range(count):
        images, masks, regions = phantoms.batch(1, (kind.size,) * 2, channels=kind.channels, seed=SEED + i)
        lesion, region = masks[0, 0].bool().numpy(), regions[0, 0].numpy()
        path, target = (folder / part / f"case{i:05d}_0.png" for part in ("images", "masks"))
        write_image(path, (images[0] * 255).round().clamp(0, 255).byte().movedim(0, -1).numpy())
        like = Case(path.stem, path, (target,), "kits2d", folder)
        encoded = LAYOUTS["kits2d"].encode_labels(like, lesion, region) if kind.organ else lesion * np.uint8(255)
        write_mask(target, encoded)


Program = Callable[[Path, Path, int, int, str, Callable[[], None]], None]
"""From (data, out, number of samples, workers, device, what to call after each sample) to files; all, or it raises."""


def ours(data: Path, out: Path, count: int, workers: int, device: str, tick: Callable[[], None]) -> None:
    """The whole run, with what it does before the first sample: it looks at every file and hashes it."""
    found = synthesize(
        data, out, count=count, split="all", device=device, workers=workers, on_sample=lambda summary, record: tick()
    )
    _check(found.written, count)


def ceiling(data: Path, out: Path, count: int, workers: int, device: str, tick: Callable[[], None]) -> None:
    """The same run on the same workers, but what is written is the background: no draws, no augmentation, no counts."""
    job = Ceiling(**vars(prepare(data, out, Settings(count=count, split="all", device="cpu")).job))
    out.mkdir()
    numbers = range(count)
    records = on_this_machine(job, numbers, workers, 1)
    done = 0
    for record in records:
        manifest.append_line(out / manifest.SAMPLES, record)
        done += 1
        tick()
    _check(done, count)


def script(data: Path, out: Path, count: int, workers: int, device: str, tick: Callable[[], None]) -> None:
    """See `opencv_script`."""
    done = 0
    for made in opencv_script.run(data, out, count, workers):
        done += made
        tick()
    _check(done, count)


PROGRAMS: dict[str, Program] = {OURS: ours, CEILING: ceiling, SCRIPT: script}


def _check(found: int, count: int) -> None:
    if found != count:
        raise ValueError(f"expected {count} samples, found {found}")


class Ceiling(Job):
    """A run that pastes nothing."""

    def maker(self, bank: LesionBank | None = None) -> Copier:  # type: ignore[override]
        return Copier(self)


@dataclass(frozen=True)
class Copier:
    """Does with files what a `SampleMaker` does: reads both parents, checks them, writes a sample and hashes it."""

    job: Job

    device = torch.device("cpu")

    def make(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        return [self._copy(number) for number in numbers]

    def _copy(self, number: int) -> dict[str, Any]:
        cases = self.job.backgrounds
        background, source = cases[number % len(cases)], cases[(number + 1) % len(cases)]
        hashes = [self.job.inputs.hashes(case) for case in (background, source)]
        sample, _ = (self.job.layout.load(case) for case in (background, source))
        new_id = f"synth_{number:06d}"
        paths = self.job.saver.save(new_id, Pair(background, source, 0), [background.id, source.id], sample)
        names = dict(zip(("image", "mask"), paths, strict=True))
        return {
            "id": new_id,
            "number": number,
            "parents": hashes,
            "files": {kind: path.relative_to(self.job.out).as_posix() for kind, path in names.items()},
            "sha256": {kind: manifest.sha256(path) for kind, path in names.items()},
            "bytes": {kind: path.stat().st_size for kind, path in names.items()},
        }


def timed(program: Program, data: Path, out: Path, count: int, workers: int, device: str) -> Taken:
    """One run in this process."""
    start, wall, cpu = time.perf_counter(), [], []

    def tick() -> None:
        wall.append(time.perf_counter())
        cpu.append(time.process_time())

    program(data, out, count, workers, device, tick)
    end, first = time.perf_counter(), steady_from(wall, MOST * workers)
    rest = count - 1 - first
    return Taken((end - start) / count, (wall[-1] - wall[first]) / rest, (cpu[-1] - cpu[first]) / rest)


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


def timed_alone(who: str, data: Path, out: Path, count: int, workers: int, device: str) -> Taken:
    """One run in a process of its own, so that each pays for starting its workers."""
    command = [sys.executable, "-m", "benchmarks.offline", who, str(data), str(out), str(count), str(workers), device]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
    return Taken(**json.loads(done.stdout))


def main(arguments: list[str]) -> None:
    """The command line."""
    who, data, out, count, workers, device = arguments
    torch.set_num_threads(1)  # as in the workers
    print(json.dumps(timed(PROGRAMS[who], Path(data), Path(out), int(count), int(workers), device)._asdict()))


if __name__ == "__main__":
    main(sys.argv[1:])
