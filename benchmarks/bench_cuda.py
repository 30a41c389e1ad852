"""Soft mask and forward on a GPU, eager and compiled, beside kornia and a copy; and single scans.

    python -m benchmarks.bench_cuda OUT.json

Needs torch and kornia alone. Every time is that of a call and of waiting for its result. `--device cpu` tries the
script where there is no GPU.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks import cases, common, gpu_calls, schema, volumes
from softcp_gpu import GraphedSoftCP, kernels
from softcp_gpu.functional import soft_mask

COMPILED = f"{common.OURS}, compiled"
PLAIN = common.PLAIN
PLAIN_GRAPHED = f"{common.OURS}, plain torch, CUDA graph, params drawn in the call"
DRAWN = f"{common.OURS}, params drawn in the call"
GRAPHED = f"{common.GRAPHED}, params drawn in the call"
KORNIA = "kornia, RandomTransplantation (far less work)"
AS_MUCH = "torch, a copy of as many bytes"

IN_A_ROW = 10


class Job(NamedTuple):
    """What to time."""

    group: str
    who: str
    floor: int  # least bytes
    make: Callable[[], Callable[[], Any]]  # makes the call that is timed
    calls: int = 1  # one after the other, before the last one is waited for; the time is that of one


def jobs(device: str, sizes: list[int], backend: str) -> Iterator[Job]:
    """Everything to time, what takes long to compile last."""
    chosen = [cases.Case(size, lesions) for lesions in ("small", "large") for size in sizes]
    with_many = (*chosen, cases.MANY) if max(sizes) >= cases.MANY.size else chosen
    for case in with_many:
        yield _soft_mask(case, device, common.OURS, lambda f: f)
        if device == "cuda":
            yield _soft_mask(case, device, common.GRAPHED, gpu_calls.graph)
        yield _as_much(f"soft mask, {case.named(1)}", cases.soft_mask_bytes(case), device)
    for case in with_many:
        yield from _forward(case, device)
    if device == "cuda":
        yield from _in_a_row([case for case in with_many if case.lesions == "small"])
    for scan in volumes.SCANS if max(sizes) >= max(cases.SIZES) else ():
        make = partial(gpu_calls.one_scan, scan, device)
        yield Job("one scan", f"{common.OURS}, {scan}", volumes.bytes_floor(scan), make)
    if device == "cuda" and kernels.INSTALLED:
        yield from _plain(chosen)
    for case in chosen:
        yield _soft_mask(case, device, COMPILED, _compiler(backend))
    for case in chosen:
        if case.lesions == "small":
            yield from _forward_compiled(case, device, backend)


def _compiler(backend: str) -> Callable[[Callable], Callable]:
    return lambda f: torch.compile(f, fullgraph=True, dynamic=False, backend=backend)


def _plain(chosen: list[cases.Case]) -> Iterator[Job]:
    """Soft mask and forward again, without Triton kernels."""
    for case in chosen:
        yield _soft_mask(case, "cuda", PLAIN, gpu_calls.without_kernels)
    for case in chosen:
        for name in cases.FORWARD:
            group, floor = f"forward, {name}, {case}", cases.forward_bytes(case)
            yield Job(group, PLAIN, floor, partial(gpu_calls.on_device, case, name, "cuda", gpu_calls.without_kernels))
            graphed = lambda aug: gpu_calls.without_kernels(GraphedSoftCP(aug))  # noqa: E731
            yield Job(group, PLAIN_GRAPHED, floor, partial(gpu_calls.with_draw, case, name, "cuda", graphed))


def _in_a_row(chosen: list[cases.Case]) -> Iterator[Job]:
    """Graphs and copies as in a training loop, where each call is queued while the one before it runs."""
    for case in chosen:
        for job in (_soft_mask(case, "cuda", common.GRAPHED, gpu_calls.graph), *_forward(case, "cuda")):
            if job.who.startswith(common.GRAPHED):
                kind, _, rest = job.group.partition(", ")
                group = f"{kind} in a row of {IN_A_ROW}, {rest}"
                yield job._replace(group=group, calls=IN_A_ROW)
                yield _as_much(group, job.floor, "cuda")._replace(calls=IN_A_ROW)


def _soft_mask(case: cases.Case, device: str, who: str, wrap: Callable) -> Job:
    def make() -> Callable[[], Tensor]:
        mask = cases.batch(case)[1].to(device)
        run = wrap(lambda x: soft_mask(x, **cases.SOFTNESS))
        return lambda: run(mask)

    return Job(f"soft mask, {case.named(1)}", who, cases.soft_mask_bytes(case), make)


def _as_much(group: str, floor: int, device: str) -> Job:
    """A copy that moves what the group has to, launched and waited for as all else is."""

    def make() -> Callable[[], Tensor]:
        x = torch.ones(floor // 8, device=device)  # read once, written once
        y = torch.empty_like(x)
        return lambda: y.copy_(x)

    return Job(group, AS_MUCH, floor, make)


def _forward(case: cases.Case, device: str) -> Iterator[Job]:
    for name in cases.FORWARD:
        group, floor = f"forward, {name}, {case}", cases.forward_bytes(case)
        yield Job(group, common.OURS, floor, partial(gpu_calls.on_device, case, name, device, lambda f: f))
        yield Job(group, DRAWN, floor, partial(gpu_calls.with_draw, case, name, device, lambda aug: aug))
        if device == "cuda":
            yield Job(group, GRAPHED, floor, partial(gpu_calls.with_draw, case, name, device, GraphedSoftCP))
        yield Job(group, KORNIA, floor, partial(gpu_calls.kornia_call, case, device))
        yield _as_much(group, floor, device)


def _forward_compiled(case: cases.Case, device: str, backend: str) -> Iterator[Job]:
    for name in cases.FORWARD:
        make = partial(gpu_calls.on_device, case, name, device, _compiler(backend))
        yield Job(f"forward, {name}, {case}", COMPILED, cases.forward_bytes(case), make)


def run(device: str, sizes: list[int], backend: str, seconds: float, budget: float) -> dict[str, Any]:
    """All jobs that the budget leaves time for; one that fails is named, and the others go on."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    copy, moved = common.copy_run(device)
    entries = [common.entry(common.COPY, "torch", common.times(copy, wait, seconds, (5, 200)), moved)]
    failed: dict[str, str] = {}
    begin = time.perf_counter()
    for group, who, floor, make, calls in jobs(device, sizes, backend):
        if time.perf_counter() - begin > budget:
            failed[f"{who}: {group}"] = f"left out: the budget of {budget:g} s was spent"
            continue
        try:
            call = make()
            peak = _peak_bytes(call) if device == "cuda" else {}
            row = _in_turn(call, calls)
            taken = [time / calls for time in common.times(row, wait, seconds, (5, 200))]
        except Exception as error:
            failed[f"{who}: {group}"] = f"{type(error).__name__}: {str(error)[:500]}"
            continue
        entries.append({**common.entry(group, who, taken, floor), **peak})
        print(f"{entries[-1]['median_s'] * 1e3:10.3f} ms  {group}: {who}", flush=True)
    return {
        "schema": schema.SCHEMA,
        "machine": common.machine(device),
        "date": datetime.date.today().isoformat(),
        "commit": common.commit(),
        "entries": entries,
        "failed": failed,
    }


def _in_turn(call: Callable[[], Any], calls: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(calls):
            call()

    return run


def _peak_bytes(call: Callable[[], Any]) -> dict[str, int]:
    """Memory of a call beside its inputs."""
    call()  # what it makes once and keeps is no part of it
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    call()
    torch.cuda.synchronize()
    return {"peak_bytes": torch.cuda.max_memory_allocated() - before}


def main(arguments: list[str] | None = None) -> int:
    """The command line; 1 if something failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_cuda", description="Times on a GPU.")
    parser.add_argument("out", type=Path, help="the results file to write")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(cases.SIZES))
    parser.add_argument("--backend", default="inductor", help="of torch.compile")
    parser.add_argument("--seconds", type=float, default=0.5, help="per figure")
    parser.add_argument("--budget", type=float, default=180, help="seconds after which no other figure is begun")
    chosen = parser.parse_args(arguments)
    results = run(chosen.device, chosen.sizes, chosen.backend, chosen.seconds, chosen.budget)
    chosen.out.write_text(json.dumps(schema.check(results), indent=1) + "\n", "utf-8")
    for what, error in results["failed"].items():
        print(f"failed: {what}: {error}", file=sys.stderr)
    return 1 if results["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
