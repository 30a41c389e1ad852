"""Offline synthesis as ours does it, and as one does that only reads and writes; and the data sets for both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.offline_run import check_count
from softcp_gpu import phantoms
from softcp_gpu.data import LAYOUTS, Case, manifest, write_image, write_mask
from softcp_gpu.modules import LesionBank
from softcp_gpu.synthesize import synthesize
from softcp_gpu.synthesize.engine import on_this_machine
from softcp_gpu.synthesize.job import Job
from softcp_gpu.synthesize.plan import Pair
from softcp_gpu.synthesize.prepare import prepare
from softcp_gpu.synthesize.settings import Settings

SEED = 1


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


def ours(
    data: Path, out: Path, count: int, workers: int, device: str, tick: Callable[[], None], *, numba: bool = False
) -> None:
    """See `offline_run.ours` and `with_numba`."""
    torch.set_num_threads(1)  # as in the workers
    how: dict[str, Any] = {"count": count, "split": "all", "device": device, "workers": workers, "numba": numba}
    found = synthesize(data, out, **how, on_sample=lambda summary, record: tick())
    check_count(found.written, count)


def ceiling(data: Path, out: Path, count: int, workers: int, tick: Callable[[], None]) -> None:
    """The same run on the same workers, but what is written is the background: no draws, no augmentation, no counts."""
    torch.set_num_threads(1)
    job = Ceiling(**vars(prepare(data, out, Settings(count=count, split="all", device="cpu")).job))
    out.mkdir()
    numbers = range(count)
    records = on_this_machine(job, numbers, workers, 1)
    done = 0
    for record in records:
        manifest.append_line(out / manifest.SAMPLES, record)
        done += 1
        tick()
    check_count(done, count)


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
