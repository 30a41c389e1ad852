"""What uniform numbers stand for: the params of transforms, and how numbers are turned into values of a range.

On tensors and on arrays: on a CPU NumPy takes a fifth of torch's time to begin an operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from softcp_gpu.functional.counter_rng import Numbers
from softcp_gpu.functional.execution import constants
from softcp_gpu.functional.morphology import library
from softcp_gpu.functional.ranges import INTENSITY_OPS, RIGID_OPS, SLOTS, ImageRanges, ObjectRanges, Range, Stream
from softcp_gpu.types import ImageParams, IntensityParams, ObjectParams, RigidParams

Streams = list[tuple[int, int]]  # of a seed, and how many numbers are taken from each


def object_streams(axes: int) -> Streams:
    """What `object_params` takes."""
    rigid: Streams = [(Stream.RIGID_OP, SLOTS), (Stream.RIGID, SLOTS * (2 + axes))]
    # At most one operation of a slot is on, so one number serves all.
    return [*rigid, (Stream.INTENSITY_OP, SLOTS), (Stream.INTENSITY, SLOTS)]


def object_params(numbers: Sequence[Any], ranges: ObjectRanges, shape: tuple[int, ...]) -> ObjectParams:
    """Two rigid and two intensity operations of each sample, drawn with replacement, in random order.

    Args:
        numbers: those of `object_streams`, (B, count) each.
        ranges: what they stand for.
        shape: n frame lengths.
    """
    rigid_u, u, op_u, value = numbers
    axes = len(shape)
    turns = 1 if axes == 2 else 3
    rigid, op, u = _choose(rigid_u, ranges.rigid), _choose(op_u, ranges.intensity), u.reshape(-1, SLOTS, 2 + axes)
    lib = library(u)
    axis, turn = (np.arange(count) if lib is np else torch.arange(count, device=u.device) for count in (axes, turns))
    flipped = rigid["flip"][..., None] & (whole(u[..., 0], (0, axes - 1))[..., None] == axis)
    turned = rigid["rotation"][..., None] & (whole(u[..., 0], (0, turns - 1))[..., None] == turn)
    shift = between(u[..., 2:], ranges.shift) * (np.array(shape) if lib is np else constants(shape, u))
    drawn = (
        lib.where(flipped, -1.0, 1.0),
        lib.where(turned, between(u[..., 1], ranges.rotation_deg)[..., None], 0.0),
        lib.where(rigid["scaling"], _log_between(u[..., 1], ranges.scale), 1.0),
        lib.where(rigid["panning"][..., None], shift, 0.0),
    )
    return ObjectParams(RigidParams(*map(_tensor, drawn)), _intensity(value, value, value, ranges, op))


def image_streams(axes: int, stream: int) -> Streams:
    """What `image_params` takes."""
    return [(stream, 4), (stream + 1, 3), (stream + 2, 2 * axes)]


def image_params(numbers: Sequence[Any], ranges: ImageRanges, axes: int) -> ImageParams:
    """Crop and intensities of each whole image.

    Args:
        numbers: those of `image_streams`, (B, count) each.
        ranges: what they stand for.
        axes: n.
    """
    drawn, value, box = numbers
    p = {"crop": ranges.p_crop, "gamma": ranges.p_gamma, "noise": ranges.p_noise, "blur": ranges.p_blur}
    on = {name: drawn[:, i : i + 1] < p[name] for i, name in enumerate(p)}
    intensity = _intensity(value[:, 0:1], value[:, 1:2], value[:, 2:3], ranges, on)
    size = library(box).where(on["crop"], between(box[:, :axes], ranges.crop), 1.0)
    return ImageParams(_tensor(size), _tensor(box[:, axes:]), intensity)


def _intensity(
    gamma_u: Numbers, noise_u: Numbers, blur_u: Numbers, ranges: ObjectRanges | ImageRanges, on: dict[str, Numbers]
) -> IntensityParams:
    """Values where an operation is on, neutral ones elsewhere; (B, S) each."""
    where = library(gamma_u).where
    drawn = (
        where(on["gamma"], _log_between(gamma_u, ranges.gamma), 1.0),
        where(on["noise"], between(noise_u, ranges.noise_sigma), 0.0),
        where(on["blur"], between(blur_u, ranges.blur_sigma_px), 0.0),
    )
    return IntensityParams(*map(_tensor, drawn))


def _choose(u: Numbers, names: tuple[str, ...]) -> dict[str, Numbers]:
    """Which of the names each number draws, as one bool tensor or array per operation there is."""
    drawn = whole(u, (0, len(names) - 1))
    hit: dict[str, Numbers] = {}
    for i, name in enumerate(names):
        hit[name] = hit[name] | (drawn == i) if name in hit else drawn == i
    never = drawn < 0
    return {name: hit.get(name, never) for name in RIGID_OPS + INTENSITY_OPS}


def between(u: Numbers, bounds: Range) -> Numbers:
    """Uniform in a range."""
    return bounds[0] + u * (bounds[1] - bounds[0])


def _log_between(u: Numbers, bounds: Range) -> Numbers:
    """Uniform in the logarithm: twice as large is as likely as half as large."""
    return bounds[0] * (bounds[1] / bounds[0]) ** u


def whole(u: Any, bounds: tuple[int, int]) -> Any:
    """Uniform over the whole numbers from the first to the last, both included."""
    below = library(u).floor(bounds[0] + u * (bounds[1] + 1 - bounds[0]))
    return below.to(torch.int64) if isinstance(below, Tensor) else below.astype(np.int64)


def as_float32(values: Any) -> Any:
    """Draws as params hold them."""
    return values.float() if isinstance(values, Tensor) else values.astype(np.float32)


def _tensor(values: Any) -> Tensor:
    return torch.as_tensor(as_float32(values))
