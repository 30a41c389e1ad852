"""What Soft-CP costs in training on a GPU, and what else is asked of it there.

    python -m benchmarks.bench_step OUT.json

A training step of a U-Net with and without it; the soft mask of volumes, beside a copy; the forward beside the OpenCV
loop on the same machine's processor, and on all its cores; and the checks of `gpu_checks.py`. `--device cpu --quick`
tries the script where there is no GPU. OUT is written after each row, so that a machine that is taken away leaves its
rows.
"""

from __future__ import annotations

import argparse
import atexit
import datetime
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import cases, common, gpu_checks, schema
from benchmarks.rivals import names
from benchmarks.tables import NOT_MEASURED
from benchmarks.unet import UNet, soft_dice_loss
from softcp_gpu import GraphedSoftCP, SoftCP, phantoms
from softcp_gpu.functional import soft_mask
from softcp_gpu.modules.graphed import capture

COMPILED = f"{common.OURS}, compiled"
ALONE = "the step without augmentation"
Run = Callable[[], Any]
Job = tuple[str, str, int | None, Callable[[], Run]]  # group, who, least bytes, how to make what is timed


def jobs(device: str, quick: bool, backend: str) -> Iterator[Job]:
    """Everything to time, what takes long to compile last."""
    volumes = (2, (16, 32, 32)) if quick else (4, (96, 160, 160))
    step, loop = (cases.Case(64, "small", 2),) * 2 if quick else (cases.Case(256, "small", 8), cases.Case(512, "small"))
    volume = f"soft mask, {volumes[0]} x 1 x {' x '.join(map(str, volumes[1]))}"
    bytes_of_volumes = volumes[0] * torch.Size(volumes[1]).numel() * cases.soft_mask_bytes_each()

    def soft(who: str) -> Run:
        on_device = phantoms.batch(*volumes)[1].to(device)
        run = soft_mask if who != COMPILED else compiler(soft_mask)
        call = partial(run, on_device, **cases.SOFTNESS)
        return capture(call)[0].replay if who == common.GRAPHED else call

    compiler = lambda f: torch.compile(f, fullgraph=True, dynamic=False, backend=backend)  # noqa: E731
    yield from _steps(step, device, quick)
    group = f"forward and the loop on the processor, default settings, {loop}"
    yield group, common.OURS, cases.forward_bytes(loop), lambda: _forward(loop, device, lambda aug: aug)
    yield group, common.GRAPHED, cases.forward_bytes(loop), lambda: _forward(loop, device, GraphedSoftCP)
    for who in (names.REFERENCE, names.REFERENCE_POOL):
        yield group, f"{who}, on the processor", None, lambda who=who: _opencv(loop, who)
    for who in (common.OURS, *((common.GRAPHED,) if device == "cuda" else ()), COMPILED):
        yield volume, who, bytes_of_volumes, lambda who=who: soft(who)


def _steps(case: cases.Case, device: str, quick: bool) -> Iterator[Job]:
    """The same step with a network that is always there, and with that of benchmarks/training where MONAI is."""
    group = f"training step in bf16, {{}}, {case}"
    plain = partial(UNet, channels=(4, 8)) if quick else UNet
    nets = {"plain U-Net": plain, "U-Net of benchmarks/training": partial(_monai_net, "smoke" if quick else "paper")}
    for net, make in nets.items():
        for who, aug in ((common.OURS, SoftCP(p=1.0)), (common.GRAPHED, GraphedSoftCP(SoftCP(p=1.0))), (ALONE, None)):
            yield group.format(net), who, None, lambda make=make, aug=aug: training_step(make(), case, device, aug)


def training_step(net: nn.Module, case: cases.Case, device: str, aug: nn.Module | None) -> Run:
    """Augment if asked, forward, backward, a step of the optimizer; every sample is pasted into."""
    net = net.to(device).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=5e-4)
    generator = torch.Generator().manual_seed(cases.SEED)
    image, mask, region = (x.to(device) for x in cases.batch(case))

    def run() -> Tensor:
        x, y = aug(image, mask, region, generator=generator) if aug else (image, mask)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):  # processors crawl in bf16
            logits = net(x)
        loss = soft_dice_loss(logits, y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    if not torch.isfinite(run()):
        raise ValueError("loss: expected a finite number, found another")
    return run


def _monai_net(preset: str) -> nn.Module:
    from benchmarks.training.net import make_net
    from benchmarks.training.presets import PRESETS

    return make_net(PRESETS[preset], cases.CHANNELS, seed=0)


def _forward(case: cases.Case, device: str, wrap: Callable) -> Run:
    aug = wrap(SoftCP(**cases.settings(case, "default settings")))
    inputs = tuple(x.to(device) for x in cases.batch(case))
    out = aug.augment(*inputs, generator=torch.Generator().manual_seed(cases.SEED))
    if not bool((out.status == 0).all()):
        raise ValueError(f"status: expected all pasted, found {out.status_labels()}")
    return lambda: aug(*inputs, generator=torch.Generator().manual_seed(cases.SEED))


def _opencv(case: cases.Case, who: str) -> Run:
    from benchmarks.rivals import registry

    kept = ExitStack()
    run, _ = kept.enter_context(registry.prepared(who, registry.Data(*cases.batch(case))))
    atexit.register(kept.close)
    return run


def run(device: str, quick: bool, backend: str, seconds: float, budget: float, out: Path) -> dict[str, Any]:
    """All jobs that the budget leaves time for, then the checks; one that fails is named, and the others go on."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    copy, moved = common.copy_run(device)
    results = {
        "schema": schema.SCHEMA,
        "machine": common.machine(device),
        "date": datetime.date.today().isoformat(),
        "commit": common.commit(),
        "entries": [common.entry(common.COPY, "torch", common.times(copy, wait, seconds, (5, 200)), moved)],
        "failed": {},
    }
    del copy
    begin = time.perf_counter()
    for group, who, floor, make in jobs(device, quick, backend):
        if time.perf_counter() - begin > budget:
            results["failed"][f"{who}: {group}"] = f"left out: the budget of {budget:g} s was spent"
            continue
        try:
            taken = common.times(make(), wait, seconds, (3, 200))
        except Exception as error:
            known = NOT_MEASURED if isinstance(error, ImportError) else ""
            results["failed"][f"{who}: {group}"] = f"{known}{type(error).__name__}: {str(error)[:500]}"
            continue
        results["entries"].append(common.entry(group, who, taken, floor))
        print(f"{results['entries'][-1]['median_s'] * 1e3:10.3f} ms  {group}: {who}", flush=True)
        out.write_text(json.dumps(schema.check(results), indent=1) + "\n", "utf-8")
    case = cases.Case(64, "small", 4) if quick else cases.Case(512, "small")
    results["checks"] = gpu_checks.run(device, case)
    out.write_text(json.dumps(schema.check(results), indent=1) + "\n", "utf-8")
    return results


def main(arguments: list[str] | None = None) -> int:
    """The command line; 1 if something failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_step", description="Soft-CP in training.")
    parser.add_argument("out", type=Path, help="the results file to write")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny cases, to try it")
    parser.add_argument("--backend", default="inductor", help="of torch.compile")
    parser.add_argument("--seconds", type=float, default=0.5, help="per figure")
    parser.add_argument("--budget", type=float, default=70, help="seconds after which no other figure is begun")
    chosen = parser.parse_args(arguments)
    results = run(chosen.device, chosen.quick, chosen.backend, chosen.seconds, chosen.budget, chosen.out)
    wrong = [f"{what}: {why}" for what, why in results["failed"].items() if not why.startswith(NOT_MEASURED)]
    wrong += [f"{name}: {found}" for name, found in results["checks"].items() if found.startswith("failed")]
    for line in wrong:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
