"""Scans with one lesion: what `bench_volume.py` times, and, run as a program, how much memory that takes.

    python -m benchmarks.volumes 200,512,512 30 kidney candidates

prints the bytes that a call takes beside its inputs, at most. Linux only.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks import cases
from softcp_gpu import SoftCP

MM = (2.5, 0.8, 0.8)
SEED = 1


class Scan(NamedTuple):
    """A scan, the ball that is its lesion, and where that may lie."""

    shape: tuple[int, int, int]
    lesion_mm: int  # radius
    region: str  # "kidney": a ball of 60 mm; "all": anywhere
    places: str  # "candidates": the usual draw; "map": all places are counted, as where no candidate was legal

    def __str__(self) -> str:
        where = "" if self.places == "candidates" else f", all places in {self.region}"
        return f"{' x '.join(map(str, self.shape))}, lesion of {self.lesion_mm} mm{where}"


SCANS = (
    *(
        Scan(shape, lesion, "kidney", "candidates")
        for shape in ((50, 256, 256), (100, 512, 512), (200, 512, 512))
        for lesion in (10, 30)
    ),
    Scan((200, 512, 512), 30, "kidney", "map"),
    Scan((200, 512, 512), 30, "all", "map"),
)


def ball(shape: tuple[int, ...], center: tuple[float, ...], radius_mm: float) -> Tensor:
    """(1, 1, *shape) bool."""
    inside = torch.zeros((1,) * len(shape))
    for axis, (length, middle, step) in enumerate(zip(shape, center, MM, strict=True)):
        line = ((torch.arange(length) - middle * length) * step) ** 2
        inside = inside + line.view([-1 if a == axis else 1 for a in range(len(shape))])
    return (inside <= radius_mm**2)[None, None]


def job(scan: Scan, device: str = "cpu") -> Callable[[], Any]:
    """What is timed: one call on one scan. Whether it pastes is for the caller to see."""
    lesion = ball(scan.shape, (0.5, 0.5, 0.5), scan.lesion_mm).to(torch.uint8)
    image, source = (torch.randn((1, 1, *scan.shape), generator=seeded()) * 100 for _ in range(2))
    region = ball(scan.shape, (0.5, 0.4, 0.4), 60) if scan.region == "kidney" else torch.ones_like(lesion).bool()
    aug = SoftCP(p=1.0, match="rim", min_region_overlap=1.0)
    image, source, region = image.to(device), source.to(device), region.to(device)
    lesion = lesion.to(device)
    inputs = {"source_image": source, "source_mask": lesion, "spacing": MM}
    seeds = aug.seeds.draw(1, seeded())
    params = aug.draw(seeds, scan.shape)
    if scan.places == "map":
        params = params._replace(candidate_u=params.candidate_u[:, :0])
    healthy = torch.zeros_like(lesion)

    def run() -> Any:
        return aug.augment(image, healthy, region, params=params, **inputs)

    return run


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(SEED)


def bytes_floor(scan: Scan) -> int:
    """Those of any forward, and the source's mask is read: no call that returns whole frames moves less."""
    return torch.Size(scan.shape).numel() * (cases.forward_bytes_each(1) + 1)


def peak_bytes(scan: Scan) -> int:
    """Memory of a call beside its inputs, measured in a process of its own."""
    shape = ",".join(map(str, scan.shape))
    command = [sys.executable, "-m", "benchmarks.volumes", shape, str(scan.lesion_mm), scan.region, scan.places]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    return int(done.stdout)


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def main(arguments: list[str]) -> None:
    shape, lesion, region, places = arguments
    scan = Scan(tuple(int(length) for length in shape.split(",")), int(lesion), region, places)
    job(scan._replace(shape=(20, 64, 64), lesion_mm=4))()  # loads what torch loads late
    run = job(scan)
    Path("/proc/self/clear_refs").write_text("5", "ascii")  # the peak starts here
    before = _resident("VmRSS")
    out = run()
    assert out.status_labels() == ["pasted"], out.status_labels()
    print(_resident("VmHWM") - before)


if __name__ == "__main__":
    main(sys.argv[1:])
