"""What bench_cuda times: functions that make a call, which is checked where that is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kornia.augmentation as K
import torch
from torch import Tensor

from benchmarks import cases, volumes
from softcp_gpu import SoftCP, kernels
from softcp_gpu.functional import soft_cp
from softcp_gpu.modules.graphed import capture


def graph(f: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The same on one tensor that stays where it is, as a CUDA graph."""
    held: list[Any] = []

    def run(x: Tensor) -> Tensor:
        if not held:
            held.extend(capture(lambda: f(x)))
        held[0].replay()
        return held[1]

    return run


def without_kernels(f: Callable) -> Callable:
    """The same in plain torch."""

    def run(*inputs: Any, **more: Any) -> Any:
        with kernels.use("off"):
            return f(*inputs, **more)

    return run


def on_device(case: cases.Case, name: str, device: str, wrap: Callable) -> Callable[[], Any]:
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


def with_draw(case: cases.Case, name: str, device: str, wrap: Callable) -> Callable[[], Any]:
    """The module, from images, masks and seeds on."""
    aug = wrap(SoftCP(**cases.settings(case, name)))
    image, mask, region = (x.to(device) for x in cases.batch(case))
    return lambda: aug(image, mask, region, generator=torch.Generator().manual_seed(cases.SEED))


def one_scan(scan: volumes.Scan, device: str) -> Callable[[], Any]:
    """A paste into a volume."""
    run = volumes.job(scan, device)
    if run().status_labels() != ["pasted"]:
        raise ValueError("the scan's lesion is not pasted")
    return run


def kornia_call(case: cases.Case, device: str) -> Callable[[], Any]:
    """kornia's transplantation, as its users call it."""
    aug = K.AugmentationSequential(K.RandomTransplantation(p=1.0, excluded_labels=[0]), data_keys=["input", "mask"])
    image, mask, _ = (x.to(device) for x in cases.batch(case))
    return lambda: aug(image, mask[:, 0])
