"""The only place where anything is drawn: seeds from a generator, then every parameter from its sample's seed.

The parameters of a sample are a pure function of (its seed, the ranges, the frame), so they depend neither on the
batch it is in nor on the device. Each kind of draw reads its own stream of the seed, so that a new kind changes none
of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from softcp_gpu import checks
from softcp_gpu.functional import fused_draws
from softcp_gpu.functional.counter_rng import Numbers, hash64, hash64_of, uniform, uniforms
from softcp_gpu.functional.execution import constants
from softcp_gpu.functional.morphology import library
from softcp_gpu.functional.ranges import (
    CANDIDATES,
    INTENSITY_OPS,
    RIGID_OPS,
    SLOTS,
    ImageRanges,
    ObjectRanges,
    PasteRanges,
    Range,
    Stream,
)
from softcp_gpu.functional.table import auto_k_dilate
from softcp_gpu.types import ImageParams, IntensityParams, ObjectParams, PasteParams, RigidParams


class SeedStream:
    """Seeds for the samples of a run, one after the other, whatever the batch size.

    With a generator, sample i gets the generator's i-th draw. Without one, it gets a hash of (torch's initial seed, i):
    `torch.manual_seed` and the data loader's seeding of its workers are followed, and the global state is not touched.
    """

    def __init__(self) -> None:
        self.drawn = 0

    def draw(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """The next seeds, (count,) int64."""
        checks.generator(generator)
        if generator is not None:
            return torch.randint(torch.iinfo(torch.int64).max, (count,), generator=generator)
        first, self.drawn = self.drawn, self.drawn + count
        compiling = torch.compiler.is_compiling()  # which follows tensors alone
        index = torch.arange(first, first + count) if compiling else range(first, first + count)
        return sample_seeds(torch.initial_seed(), index)


def sample_seeds(seed: int, index: Tensor | np.ndarray | Sequence[int]) -> Tensor:
    """The seeds of samples of a run: a pure function of (seed, i).

    Args:
        seed: of the run; any int, taken modulo 2**64.
        index: (B,) int64, numbers of the samples.

    Returns:
        (B,) int64.

    Example:
        >>> together = sample_seeds(7, torch.arange(3))
        >>> bool(together[2] == sample_seeds(7, [2])[0])
        True
    """
    base = hash64_of(seed, 0)
    if isinstance(index, Tensor):
        return hash64(torch.tensor(base), index.to(torch.int64))
    # In NumPy, where an operation on a few numbers costs a third of torch's.
    return torch.from_numpy(hash64(np.array([base]), np.asarray(index, np.int64)))


def sample_seed(seed: int, index: int) -> int:
    """One of `sample_seeds`.

    Example:
        >>> sample_seed(-7, 3) == int(sample_seeds(-7, [3]))
        True
    """
    return hash64_of(hash64_of(seed, 0), index)


def draw_paste(seed: Tensor, ranges: PasteRanges, shape: tuple[int, ...], *, own_source: bool) -> PasteParams:
    """All params of a call.

    Args:
        seed: (B,) int64, one per sample; all is drawn on its device.
        ranges: what to draw from.
        shape: n frame lengths.
        own_source: sample i takes source i; else the batch is its own source, permuted so that none takes itself.
    """
    if fused_draws.draws(seed):
        return fused_draws.draw_paste(seed, ranges, shape, own_source=own_source)
    axes, batch = len(shape), seed.shape[0]
    apply, soft, place, carve_u = uniforms(
        seed, (Stream.APPLY, 1), (Stream.SOFTNESS, 3), (Stream.PLACE, CANDIDATES * axes + 1), (Stream.CARVE, 1)
    )
    alpha = _float32(_between(soft[:, 0], ranges.alpha))
    k_dilate = auto_k_dilate(torch.as_tensor(alpha)) if ranges.k_dilate is None else _whole(soft[:, 1], ranges.k_dilate)
    drawn = {
        "apply": apply[:, 0] < ranges.p,
        "alpha": alpha,
        "k_erode": _whole(soft[:, 2], ranges.k_erode),
        "k_dilate": k_dilate,
        "candidate_u": place[:, 1:].reshape(batch, CANDIDATES, axes),
        "rank_u": place[:, 0],
        "carve_u": carve_u[:, 0],
    }
    return PasteParams(
        seed=seed,
        source_index=torch.arange(batch, device=seed.device) if own_source else _cycle(seed),
        **{name: torch.as_tensor(values) for name, values in drawn.items()},
        object=None if ranges.object is None else draw_object(seed, ranges.object, shape),
        background=None if ranges.background is None else draw_image(seed, ranges.background, axes, Stream.BACKGROUND),
        image=None if ranges.image is None else draw_image(seed, ranges.image, axes, Stream.IMAGE),
    )


def draw_rank(seed: Tensor) -> Tensor:
    """The number in [0, 1) that picks from all legal places, (B,) float64."""
    return uniform(seed, Stream.PLACE, 1)[:, 0]


def draw_rows(seed: Tensor, rows: Tensor, size: Tensor) -> Tensor:
    """One row for each seed: a group uniformly, then a row of it uniformly.

    Args:
        seed: (B,) int64 on the CPU.
        rows: (R,) int64, the rows of all groups, group after group.
        size: (G,) int64, how many of them each group has, 1 or more.

    Returns:
        (B,) int64.

    Example:
        >>> draw_rows(torch.tensor([1, 2]), torch.tensor([7, 7, 7]), torch.tensor([1, 2])).tolist()
        [7, 7]
    """
    u = uniform(seed, Stream.BANK, 2)
    group = _whole(u[:, 0], (0, len(size) - 1))
    member = (u[:, 1] * size[group]).floor().to(torch.int64)
    return rows[(size.cumsum(0) - size)[group] + member]


def draw_object(seed: Tensor, ranges: ObjectRanges, shape: tuple[int, ...]) -> ObjectParams:
    """Two rigid and two intensity operations of each sample, drawn with replacement, in random order."""
    batch, axes = seed.shape[0], len(shape)
    turns = 1 if axes == 2 else 3
    rigid_u, u, op_u, value = uniforms(
        seed,
        (Stream.RIGID_OP, SLOTS),
        (Stream.RIGID, SLOTS * (2 + axes)),
        (Stream.INTENSITY_OP, SLOTS),
        (Stream.INTENSITY, SLOTS),  # at most one operation of a slot is on, so one number serves all
    )
    rigid, op, u = _choose(rigid_u, ranges.rigid), _choose(op_u, ranges.intensity), u.reshape(batch, SLOTS, 2 + axes)
    lib = library(u)
    axis, turn = (np.arange(count) if lib is np else torch.arange(count, device=seed.device) for count in (axes, turns))
    flipped = rigid["flip"][..., None] & (_whole(u[..., 0], (0, axes - 1))[..., None] == axis)
    turned = rigid["rotation"][..., None] & (_whole(u[..., 0], (0, turns - 1))[..., None] == turn)
    shift = _between(u[..., 2:], ranges.shift) * (np.array(shape) if lib is np else constants(shape, seed))
    drawn = (
        lib.where(flipped, -1.0, 1.0),
        lib.where(turned, _between(u[..., 1], ranges.rotation_deg)[..., None], 0.0),
        lib.where(rigid["scaling"], _log_between(u[..., 1], ranges.scale), 1.0),
        lib.where(rigid["panning"][..., None], shift, 0.0),
    )
    return ObjectParams(RigidParams(*map(_tensor, drawn)), _intensity(value, value, value, ranges, op))


def draw_image(seed: Tensor, ranges: ImageRanges, axes: int, stream: int = Stream.IMAGE) -> ImageParams:
    """Crop and intensities of each whole image."""
    drawn, value, box = uniforms(seed, (stream, 4), (stream + 1, 3), (stream + 2, 2 * axes))
    p = {"crop": ranges.p_crop, "gamma": ranges.p_gamma, "noise": ranges.p_noise, "blur": ranges.p_blur}
    on = {name: drawn[:, i : i + 1] < p[name] for i, name in enumerate(p)}
    intensity = _intensity(value[:, 0:1], value[:, 1:2], value[:, 2:3], ranges, on)
    size = library(box).where(on["crop"], _between(box[:, :axes], ranges.crop), 1.0)
    return ImageParams(_tensor(size), _tensor(box[:, axes:]), intensity)


def _intensity(
    gamma_u: Numbers, noise_u: Numbers, blur_u: Numbers, ranges: ObjectRanges | ImageRanges, on: dict[str, Numbers]
) -> IntensityParams:
    """Values where an operation is on, neutral ones elsewhere; (B, S) each."""
    where = library(gamma_u).where
    drawn = (
        where(on["gamma"], _log_between(gamma_u, ranges.gamma), 1.0),
        where(on["noise"], _between(noise_u, ranges.noise_sigma), 0.0),
        where(on["blur"], _between(blur_u, ranges.blur_sigma_px), 0.0),
    )
    return IntensityParams(*map(_tensor, drawn))


def _cycle(seed: Tensor) -> Tensor:
    """A random cyclic order of the batch: each sample is the source of exactly one other, and never of itself."""
    order = hash64(seed, torch.full_like(seed, Stream.SOURCE)).argsort()
    return torch.empty_like(order).index_copy(0, order, order.roll(-1))


# What follows works on tensors and on arrays: on a CPU NumPy takes a fifth of torch's time to begin an operation.


def _choose(u: Numbers, names: tuple[str, ...]) -> dict[str, Numbers]:
    """Which of the names each number draws, as one bool tensor or array per operation there is."""
    drawn = _whole(u, (0, len(names) - 1))
    hit: dict[str, Numbers] = {}
    for i, name in enumerate(names):
        hit[name] = hit[name] | (drawn == i) if name in hit else drawn == i
    never = drawn < 0
    return {name: hit.get(name, never) for name in RIGID_OPS + INTENSITY_OPS}


def _between(u: Numbers, bounds: Range) -> Numbers:
    return bounds[0] + u * (bounds[1] - bounds[0])


def _log_between(u: Numbers, bounds: Range) -> Numbers:
    """Uniform in the logarithm: twice as large is as likely as half as large."""
    return bounds[0] * (bounds[1] / bounds[0]) ** u


def _whole(u: Any, bounds: tuple[int, int]) -> Any:
    """Uniform over the whole numbers from the first to the last, both included."""
    below = library(u).floor(bounds[0] + u * (bounds[1] + 1 - bounds[0]))
    return below.to(torch.int64) if isinstance(below, Tensor) else below.astype(np.int64)


def _float32(values: Any) -> Any:
    return values.float() if isinstance(values, Tensor) else values.astype(np.float32)


def _tensor(values: Any) -> Tensor:
    """As a float32 tensor."""
    return torch.as_tensor(_float32(values))
