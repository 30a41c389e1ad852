"""Machine, times and entries: what all benchmarks share. Needs torch alone."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import softcp_gpu

OURS = "softcp_gpu"
PLAIN = f"{OURS}, plain torch"
GRAPHED = f"{OURS}, CUDA graph"  # what names of its rows begin with
COPY = "copy of 256 MiB"


def machine(device: str = "cpu") -> dict[str, Any]:
    """What a figure depends on; nothing that names a person or a host."""
    info = {
        "softcp_gpu": softcp_gpu.__version__,
        "cpu": _cpu(),
        "cores": os.cpu_count() or 0,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": device,
    }
    rivals = (("numba", "numba"), ("scipy", "scipy"), ("albumentationsx", "albumentationsx"), ("segpaste", "segpaste"))
    for name, package in (("kornia", "kornia"), ("numpy", "numpy"), ("opencv", "opencv-python-headless"), *rivals):
        version = _version(package)
        info |= {name: version} if version else {}
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        memory = round(properties.total_memory / 2**30)
        info |= {"gpu": f"{properties.name}, {memory} GiB", "cuda": torch.version.cuda or "unknown"}
    return info


def _cpu() -> str:
    """The processor's name as Linux tells it, or what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    """None where it is not installed as a package, as when it lies on the path."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def commit() -> str | None:
    """Of the code: what $COMMIT says, or git, with "+" after it if files had changed; None outside of a clone."""
    if "COMMIT" in os.environ:  # for copies of files that git does not know
        return os.environ["COMMIT"]
    command = ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    try:
        here = Path(__file__).parent
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=here).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def times(
    run: Callable[[], object], wait: Callable[[], object], seconds: float, rounds: tuple[int, int]
) -> list[float]:
    """Seconds of each call, at least and at most so many; `wait` is called inside the timed region."""
    run()
    wait()
    taken: list[float] = []
    while len(taken) < rounds[0] or (len(taken) < rounds[1] and sum(taken) < seconds):
        start = time.perf_counter()
        run()
        wait()
        taken.append(time.perf_counter() - start)
    return taken


def entry(group: str, who: str, taken: list[float], bytes_floor: int | None = None) -> dict[str, Any]:
    """One line of a results file."""
    q1, median, q3 = statistics.quantiles(taken, n=4, method="inclusive") if len(taken) > 1 else taken * 3
    stats = {"median_s": median, "q1_s": q1, "q3_s": q3, "min_s": min(taken), "rounds": len(taken)}
    return {"group": group, "who": who, **stats, "bytes_floor": bytes_floor}


def copy_run(device: str) -> tuple[Callable[[], object], int]:
    """A copy that fits into no cache, and the bytes that it moves: read once, written once."""
    x = torch.ones(1 << 26, device=device)
    y = torch.empty_like(x)
    return lambda: y.copy_(x), 2 * x.nbytes
