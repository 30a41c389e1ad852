"""The rivals by name: how to run each on a batch, and to see what it made."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks import cases
from benchmarks.common import OURS, PLAIN
from benchmarks.rivals import arrays, names, tensors
from benchmarks.rivals.pool import Batch, Method, SharedPool, loop
from softcp_gpu import SoftCP, loops
from softcp_gpu.types import PasteParams, map_params

Run = Callable[[], Any]
Result = tuple[Tensor, Tensor]  # image (B, C, *spatial) and mask (B, 1, *spatial)


class Data(NamedTuple):
    """The batch that all of them get."""

    image: Tensor  # (B, C, *spatial) float32
    mask: Tensor  # (B, 1, *spatial) uint8
    region: Tensor  # (B, 1, *spatial) bool


def clamped(image: Tensor, mask: Tensor, region: Tensor) -> Data:
    """A batch that all may have: one of the rivals clips what lies outside 0 to 1."""
    return Data(image.clamp(0, 1), mask, region)


OWN = (OURS, PLAIN) if loops.there() else (OURS,)  # without Numba both are one
ONE_THREAD = f"{OURS}, one thread"
PLANE = (*OWN, ONE_THREAD, *(name for name in names.LEAVES_OUT if name != names.KORNIA_3D))
VOLUME = (*OWN, ONE_THREAD, names.SCIPY, names.SCIPY_POOL, names.KORNIA_3D)


@contextmanager
def prepared(who: str, data: Data) -> Iterator[tuple[Run, Callable[[Any], Result]]]:
    """What to time, with what it keeps alive; and how to bring its result into our layout.

    Raises:
        ImportError: the rival, or what it needs, is not installed.
    """
    if who == OURS:
        yield _ours(data), lambda out: out
    elif who == PLAIN:
        yield loops.unused()(_ours(data)), lambda out: out
    elif who == ONE_THREAD:
        with threads(1):
            yield _ours(data), lambda out: out
    elif who in _TENSORS:
        yield _TENSORS[who](data.image, data.mask), lambda out: out
    else:
        make_method, pooled = _arrays(who, data)
        batch = _batch(data, _params(data).source_index)
        make_method()  # what is not installed shows here, and not in a worker
        if pooled:
            with SharedPool(make_method, batch, os.cpu_count() or 1) as run:
                yield run, _result
        else:
            yield loop(make_method(), batch), _result


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Torch's, for a while: on small frames threads may cost more than they give."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


_TENSORS: dict[str, Callable[[Tensor, Tensor], tensors.Run]] = {
    names.KORNIA: tensors.kornia_transplantation,
    names.KORNIA_3D: tensors.kornia_transplantation,
    names.SEGPASTE: tensors.segpaste_transform,
    names.SIMPLE: tensors.simple_copy_paste,
}


def _arrays(who: str, data: Data) -> tuple[Callable[[], Method], bool]:
    """How a worker makes the method, and whether it is one of a pool."""
    if who in (names.REFERENCE, names.REFERENCE_POOL):
        params = _params(data)
        each = [sample_params(params, i) for i in range(len(data.image))]
        return partial(arrays.reference_method, each, _aug().config), who == names.REFERENCE_POOL
    return {
        names.SCRIPT: (arrays.script_method, False),
        names.SCRIPT_POOL: (arrays.script_method, True),
        names.SCIPY: (arrays.scipy_method, False),
        names.SCIPY_POOL: (arrays.scipy_method, True),
        names.ALBUMENTATIONS: (arrays.albumentations_method, False),
        names.ALBUMENTATIONS_GAUSSIAN: (partial(arrays.albumentations_method, "gaussian"), False),
        names.ALBUMENTATIONS_POOL: (arrays.albumentations_method, True),
    }[who]


def _aug() -> SoftCP:
    return SoftCP(p=1.0)


def _ours(data: Data) -> Callable[[], Result]:
    aug = _aug()
    out = aug.augment(*data, generator=seeded())
    if not (out.status == 0).all():
        raise ValueError(f"status: expected all pasted, found {out.status_labels()}")
    return lambda: aug(*data, generator=seeded())  # drawing the params is part of it


def _params(data: Data) -> PasteParams:
    """The same draws as in a call of ours."""
    aug = _aug()
    return aug.draw(aug.seeds.draw(len(data.image), seeded()), tuple(data.image.shape[2:]), own_source=False)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(cases.SEED)


def sample_params(params: PasteParams, i: int) -> Any:
    """Sample i, as NumPy values."""
    return map_params(params, lambda t: t[i].numpy() if t.ndim > 1 else t[i].item())


def _batch(data: Data, source_index: Tensor) -> Batch:
    """As arrays, channels last."""
    source = source_index.tolist()
    image = np.ascontiguousarray(data.image.movedim(1, -1).numpy())
    return Batch(image, data.mask[:, 0].numpy(), data.region[:, 0].numpy(), tuple(source))


def _result(made: list[tuple[np.ndarray, np.ndarray]]) -> Result:
    images, masks = (torch.from_numpy(np.stack(part)) for part in zip(*made, strict=True))
    return images.movedim(-1, 1).float(), masks[:, None]
