"""The only place where anything is drawn: seeds from a generator, then every parameter from its sample's seed.

The parameters of a sample are a pure function of (its seed, the ranges, the frame), so they depend neither on the
batch it is in nor on the device. Each kind of draw reads its own stream of the seed, so that a new kind changes none
of the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from softcp_gpu import checks
from softcp_gpu.functional import fused_draws
from softcp_gpu.functional.counter_rng import hash64, hash64_of, uniform, uniforms
from softcp_gpu.functional.drawn import (
    Streams,
    as_float32,
    between,
    image_params,
    image_streams,
    object_params,
    object_streams,
    whole,
)
from softcp_gpu.functional.execution import is_array
from softcp_gpu.functional.ranges import CANDIDATES, ImageRanges, ObjectRanges, PasteRanges, Stream
from softcp_gpu.functional.table import auto_k_dilate
from softcp_gpu.types import ImageParams, ObjectParams, PasteParams


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
    wanted: list[Streams] = [
        [(Stream.APPLY, 1), (Stream.SOFTNESS, 3), (Stream.PLACE, CANDIDATES * axes + 1), (Stream.CARVE, 1)],
        object_streams(axes) if ranges.object else [],
        image_streams(axes, Stream.BACKGROUND) if ranges.background else [],
        image_streams(axes, Stream.IMAGE) if ranges.image else [],
    ]
    # All at once, as a call costs more than its numbers.
    numbers = uniforms(seed, *[stream for streams in wanted for stream in streams])
    parts, begin = [], 0
    for streams in wanted:
        parts.append(numbers[begin : begin + len(streams)])
        begin += len(streams)
    (apply, soft, place, carve_u), object_u, background_u, image_u = parts
    alpha = as_float32(between(soft[:, 0], ranges.alpha))
    k_dilate = auto_k_dilate(torch.as_tensor(alpha)) if ranges.k_dilate is None else whole(soft[:, 1], ranges.k_dilate)
    drawn = {
        "apply": apply[:, 0] < ranges.p,
        "alpha": alpha,
        "k_erode": whole(soft[:, 2], ranges.k_erode),
        "k_dilate": k_dilate,
        "candidate_u": place[:, 1:].reshape(batch, CANDIDATES, axes),
        "rank_u": place[:, 0],
        "carve_u": carve_u[:, 0],
    }
    return PasteParams(
        seed=seed,
        source_index=torch.arange(batch, device=seed.device) if own_source else _cycle(seed),
        **{name: torch.as_tensor(values) for name, values in drawn.items()},
        object=None if ranges.object is None else object_params(object_u, ranges.object, shape),
        background=None if ranges.background is None else image_params(background_u, ranges.background, axes),
        image=None if ranges.image is None else image_params(image_u, ranges.image, axes),
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
    group = whole(u[:, 0], (0, len(size) - 1))
    member = (u[:, 1] * size[group]).floor().to(torch.int64)
    return rows[(size.cumsum(0) - size)[group] + member]


def draw_object(seed: Tensor, ranges: ObjectRanges, shape: tuple[int, ...]) -> ObjectParams:
    """Two rigid and two intensity operations of each sample, drawn with replacement, in random order."""
    return object_params(uniforms(seed, *object_streams(len(shape))), ranges, shape)


def draw_image(seed: Tensor, ranges: ImageRanges, axes: int, stream: int = Stream.IMAGE) -> ImageParams:
    """Crop and intensities of each whole image."""
    return image_params(uniforms(seed, *image_streams(axes, stream)), ranges, axes)


def _cycle(seed: Tensor) -> Tensor:
    """A random cyclic order of the batch: each sample is the source of exactly one other, and never of itself."""
    if is_array(seed):
        place = hash64(seed.numpy(), np.array([int(Stream.SOURCE)])).argsort()
        cycle = np.empty_like(place)
        cycle[place] = np.roll(place, -1)
        return torch.from_numpy(cycle)
    order = hash64(seed, torch.full_like(seed, Stream.SOURCE)).argsort()
    return torch.empty_like(order).index_copy(0, order, order.roll(-1))
