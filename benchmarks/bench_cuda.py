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
from typing import Any

import kornia.augmentation as K
import torch
from torch import Tensor

from benchmarks import cases, common, schema, volumes
from softcp_gpu import GraphedSoftCP, SoftCP, kernels
from softcp_gpu.functional import soft_cp, soft_mask
from softcp_gpu.modules.graphed import capture

COMPILED = f"{common.OURS}, compiled"
PLAIN = f"{common.OURS}, plain torch"
PLAIN_GRAPHED = f"{common.OURS}, plain torch, CUDA graph, params drawn in the call"
DRAWN = f"{common.OURS}, params drawn in the call"
GRAPHED = f"{common.GRAPHED}, params drawn in the call"
KORNIA = "kornia, RandomTransplantation (far less work)"
AS_MUCH = "torch, a copy of as many bytes"

Job = tuple[str, str, int, Callable[[], Callable[[], Any]]]  # group, who, least bytes, how to make what is timed


def jobs(device: str, sizes: list[int], backend: str) -> Iterator[Job]:
    """Everything to time, what takes long to compile last."""
    chosen = [cases.Case(size, lesions) for lesions in ("small", "large") for size in sizes]
    with_many = (*chosen, cases.MANY) if max(sizes) >= cases.MANY.size else chosen
    for case in with_many:
        yield _soft_mask(case, device, common.OURS, lambda f: f)
        if device == "cuda":
            yield _soft_mask(case, device, common.GRAPHED, _graph)
        yield _as_much(f"soft mask, {case.named(1)}", cases.soft_mask_bytes(case), device)
    for case in with_many:
        yield from _forward(case, device)
    for scan in volumes.SCANS if max(sizes) >= max(cases.SIZES) else ():
        yield "one scan", f"{common.OURS}, {scan}", volumes.bytes_floor(scan), lambda scan=scan: _scan(scan, device)
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
        yield _soft_mask(case, "cuda", PLAIN, _without_kernels)
    for case in chosen:
        for name in cases.FORWARD:
            group, floor = f"forward, {name}, {case}", cases.forward_bytes(case)
            yield group, PLAIN, floor, partial(_on_device, case, name, "cuda", _without_kernels)
            graphed = lambda aug: _without_kernels(GraphedSoftCP(aug))  # noqa: E731
            yield group, PLAIN_GRAPHED, floor, partial(_with_draw, case, name, "cuda", graphed)


def _graph(f: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The same on one tensor that stays where it is, as a CUDA graph."""
    held: list[Any] = []

    def run(x: Tensor) -> Tensor:
        if not held:
            held.extend(capture(lambda: f(x)))
        held[0].replay()
        return held[1]

    return run


def _without_kernels(f: Callable) -> Callable:
    def run(*inputs: Any, **more: Any) -> Any:
        with kernels.use("off"):
            return f(*inputs, **more)

    return run


def _soft_mask(case: cases.Case, device: str, who: str, wrap: Callable) -> Job:
    def make() -> Callable[[], Tensor]:
        mask = cases.batch(case)[1].to(device)
        run = wrap(lambda x: soft_mask(x, **cases.SOFTNESS))
        return lambda: run(mask)

    return f"soft mask, {case.named(1)}", who, cases.soft_mask_bytes(case), make


def _as_much(group: str, floor: int, device: str) -> Job:
    """A copy that moves what the group has to, launched and waited for as all else is."""

    def make() -> Callable[[], Tensor]:
        x = torch.ones(floor // 8, device=device)  # read once, written once
        y = torch.empty_like(x)
        return lambda: y.copy_(x)

    return group, AS_MUCH, floor, make


def _forward(case: cases.Case, device: str) -> Iterator[Job]:
    for name in cases.FORWARD:
        group, floor = f"forward, {name}, {case}", cases.forward_bytes(case)
        yield group, common.OURS, floor, lambda name=name: _on_device(case, name, device, lambda f: f)
        yield group, DRAWN, floor, lambda name=name: _with_draw(case, name, device, lambda aug: aug)
        if device == "cuda":
            yield group, GRAPHED, floor, lambda name=name: _with_draw(case, name, device, GraphedSoftCP)
        yield group, KORNIA, floor, lambda: _kornia(case, device)
        yield _as_much(group, floor, device)


def _forward_compiled(case: cases.Case, device: str, backend: str) -> Iterator[Job]:
    for name in cases.FORWARD:
        yield (
            f"forward, {name}, {case}",
            COMPILED,
            cases.forward_bytes(case),
            lambda name=name: _on_device(case, name, device, _compiler(backend)),
        )


def _on_device(case: cases.Case, name: str, device: str, wrap: Callable) -> Callable[[], Any]:
    """The tensor path, with everything random drawn before and on the device."""
    aug = SoftCP(**cases.settings(case, name))
    image, mask, region = (x.to(device) for x in cases.batch(case))
    seeds = aug.seeds.draw(case.count, torch.Generator().manual_seed(cases.SEED))
    params = aug.draw(seeds, (case.size, case.size), own_source=False).to(device)
    run = wrap(lambda *x: soft_cp(*x, aug.config))
    out = run(image, mask, region, image, mask, params)
    if not bool((out.status == 0).all()):
        raise ValueError(f"not everything is pasted: {out.status_labels()}")
    return lambda: run(image, mask, region, image, mask, params)


def _with_draw(case: cases.Case, name: str, device: str, wrap: Callable) -> Callable[[], Any]:
    aug = wrap(SoftCP(**cases.settings(case, name)))
    image, mask, region = (x.to(device) for x in cases.batch(case))
    return lambda: aug(image, mask, region, generator=torch.Generator().manual_seed(cases.SEED))


def _scan(scan: volumes.Scan, device: str) -> Callable[[], Any]:
    run = volumes.job(scan, device)
    if run().status_labels() != ["pasted"]:
        raise ValueError("the scan's lesion is not pasted")
    return run


def _kornia(case: cases.Case, device: str) -> Callable[[], Any]:
    aug = K.AugmentationSequential(K.RandomTransplantation(p=1.0, excluded_labels=[0]), data_keys=["input", "mask"])
    image, mask, _ = (x.to(device) for x in cases.batch(case))
    return lambda: aug(image, mask[:, 0])


def run(device: str, sizes: list[int], backend: str, seconds: float, budget: float) -> dict[str, Any]:
    """All jobs that the budget leaves time for; one that fails is named, and the others go on."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    copy, moved = common.copy_run(device)
    entries = [common.entry(common.COPY, "torch", common.times(copy, wait, seconds, (5, 200)), moved)]
    failed: dict[str, str] = {}
    begin = time.perf_counter()
    for group, who, floor, make in jobs(device, sizes, backend):
        if time.perf_counter() - begin > budget:
            failed[f"{who}: {group}"] = f"left out: the budget of {budget:g} s was spent"
            continue
        try:
            call = make()
            peak = _peak_bytes(call) if device == "cuda" else {}
            taken = common.times(call, wait, seconds, (5, 200))
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
