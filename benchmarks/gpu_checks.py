"""What must hold on a GPU besides times: nothing waits, CUDA graphs give the same pixels, memory stays small.

A check returns what it found, or raises. It gates no time: what a result has to be right about is in tests/gpu.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks import cases
from softcp_gpu import SoftCP
from softcp_gpu.functional import soft_cp
from softcp_gpu.modules.graphed import capture
from softcp_gpu.types import SoftCPOutput

MOST_MEMORY = 3.0  # of a call, as a multiple of what the batch itself takes
TOLERANCE = 1e-4  # of the images' range, as in tests/gpu
Call = Callable[..., SoftCPOutput]


def _prepared(case: cases.Case) -> tuple[Call, tuple[Tensor, ...]]:
    """The tensor path of a default SoftCP, everything random drawn before, and its inputs on the GPU."""
    aug = SoftCP(**cases.settings(case, "default settings"))
    seeds = aug.seeds.draw(case.count, torch.Generator().manual_seed(cases.SEED))
    params = aug.draw(seeds, (case.size, case.size), own_source=False).to("cuda")
    inputs = tuple(x.to("cuda") for x in cases.batch(case))

    def call(image: Tensor, mask: Tensor, region: Tensor) -> SoftCPOutput:
        return soft_cp(image, mask, region, image, mask, params, aug.config)

    call(*inputs)  # libraries load, and may wait, when they are first used
    torch.cuda.synchronize()
    return call, inputs


def never_waits(case: cases.Case) -> str:
    """A step of training: draws, Soft-CP, as users call it."""
    aug = SoftCP(**cases.settings(case, "default settings"))
    inputs = tuple(x.to("cuda") for x in cases.batch(case))
    generator = torch.Generator().manual_seed(cases.SEED)
    aug(*inputs, generator=generator)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        aug(*inputs, generator=generator)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return "no call waits for the GPU, draws included"


def graph_replays(case: cases.Case) -> str:
    """Captured once, replayed on other images: the same pixels as without a graph."""
    call, inputs = _prepared(case)
    graph, captured = capture(lambda: call(*inputs))
    inputs[0].copy_(inputs[0].flip(-1).clone())
    graph.replay()
    return _compared(captured, call(*inputs), inputs[0])


def compiled_graph_replays(case: cases.Case) -> str:
    """The same with `torch.compile(mode="reduce-overhead")`, which captures by itself."""
    call, inputs = _prepared(case)
    compiled = torch.compile(call, fullgraph=True, mode="reduce-overhead")
    for _ in range(3):
        found = compiled(*inputs)
    return _compared(found, call(*inputs), inputs[0])


def _compared(found: SoftCPOutput, expected: SoftCPOutput, image: Tensor) -> str:
    torch.cuda.synchronize()
    span = float(image.max() - image.min())
    error = float((found.image - expected.image).abs().max()) / span
    flips = int((found.mask != expected.mask).sum())
    if error > TOLERANCE or flips > TOLERANCE * found.mask.numel() or not torch.equal(found.status, expected.status):
        raise ValueError(f"expected the same result, found a difference of {error:.1e} of the range, {flips} flips")
    return f"largest difference {error:.1e} of the range, {flips} label pixels"


def memory(case: cases.Case) -> str:
    """Peak of a call beside its inputs, results included."""
    call, inputs = _prepared(case)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    call(*inputs)
    torch.cuda.synchronize()
    share = (torch.cuda.max_memory_allocated() - before) / sum(x.nbytes for x in inputs)
    if share > MOST_MEMORY:
        raise ValueError(f"expected at most {MOST_MEMORY} times the batch, found {share:.2f}")
    return f"{share:.2f} times the batch"


CHECKS: dict[str, Callable[[cases.Case], str]] = {
    "nothing waits": never_waits,
    "CUDA graph": graph_replays,
    "compiled, with CUDA graphs": compiled_graph_replays,
    f"memory at most {MOST_MEMORY:g} times the batch": memory,
}


def run(device: str, case: cases.Case) -> dict[str, Any]:
    """By name: "passed: ..." or "failed: ...", or that there was no GPU."""
    found = {}
    for name, check in CHECKS.items():
        try:
            found[name] = f"passed: {check(case)}" if device == "cuda" else "not measured: needs CUDA"
        except Exception as error:
            found[name] = f"failed: {type(error).__name__}: {str(error)[:300]}"
    return found
