"""All params of a call drawn by one of `kernels`, where they run: what `sampling.draw_paste` draws."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from softcp_gpu import kernels
from softcp_gpu.functional.ranges import CANDIDATES, SLOTS, ImageRanges, ObjectRanges, PasteRanges, Range
from softcp_gpu.functional.table import AUTO_TAIL
from softcp_gpu.kernels import draw_operators
from softcp_gpu.types import ImageParams, IntensityParams, ObjectParams, PasteParams, RigidParams

_Parts = Iterator[Tensor]


def draws(seed: Tensor) -> bool:
    """Whether `draw_paste` does it."""
    return kernels.run_on(seed) and len(seed) <= draw_operators.MOST_SAMPLES


def draw_paste(seed: Tensor, ranges: PasteRanges, shape: tuple[int, ...], *, own_source: bool) -> PasteParams:
    """`sampling.draw_paste`: the same numbers, but for the last bit of those that are uniform in the logarithm."""
    batch, axes, steps = len(seed), len(shape), (*ranges.k_erode, *(ranges.k_dilate or ()))
    ops, numbers = ([], []) if ranges.object is None else (_ops(ranges.object), _object(ranges.object))
    images = [[] if r is None else _image(r) for r in (ranges.background, ranges.image)]
    soft, tail = (ranges.p, *ranges.alpha), math.log(AUTO_TAIL)
    out = draw_operators.draw(seed, shape, CANDIDATES, tail, own_source, soft, steps, ops, numbers, *images)
    source, k_erode, k_dilate = out[1].view(3, batch)
    places = _split(out[2], batch, [(CANDIDATES, axes), (), ()])
    turns = 1 if axes == 2 else 3
    fields: list[tuple[int, ...]] = [()]
    if ranges.object is not None:
        fields += [(SLOTS, axes), (SLOTS, turns), (SLOTS,), (SLOTS, axes), *[(SLOTS,)] * 3]
    fields += [(axes,), (axes,), *[(1,)] * 3] * sum(r is not None for r in (ranges.background, ranges.image))
    parts = _split(out[3], batch, fields)
    return PasteParams(
        seed=seed,
        apply=out[0].view(torch.bool),
        source_index=source,
        alpha=next(parts),
        k_erode=k_erode,
        k_dilate=k_dilate,
        candidate_u=next(places),
        rank_u=next(places),
        carve_u=next(places),
        object=None if ranges.object is None else ObjectParams(_rigid(parts), _intensity(parts)),
        background=None if ranges.background is None else _image_params(parts),
        image=None if ranges.image is None else _image_params(parts),
    )


def _split(numbers: Tensor, batch: int, fields: list[tuple[int, ...]]) -> _Parts:
    """(B, *field) for each of the fields, which lie one after the other."""
    parts = numbers.split([batch * math.prod(field) for field in fields])
    return (part.view(batch, *field) for part, field in zip(parts, fields, strict=True))


def _rigid(parts: _Parts) -> RigidParams:
    return RigidParams(next(parts), next(parts), next(parts), next(parts))


def _intensity(parts: _Parts) -> IntensityParams:
    return IntensityParams(next(parts), next(parts), next(parts))


def _image_params(parts: _Parts) -> ImageParams:
    return ImageParams(next(parts), next(parts), _intensity(parts))


def _ops(ranges: ObjectRanges) -> list[int]:
    """How many names each list has, and at which places of it each operation is, as bits."""
    bits: list[int] = []
    lists = ((ranges.rigid, ("flip", "rotation", "scaling", "panning")), (ranges.intensity, ("gamma", "noise", "blur")))
    for names, kinds in lists:
        bits += [len(names), *(sum((name == kind) << i for i, name in enumerate(names)) for kind in kinds)]
    return bits


def _object(r: ObjectRanges) -> list[float]:
    return [*r.rotation_deg, *_logarithmic(r.scale), *r.shift, *_intensities(r)]


def _image(r: ImageRanges) -> list[float]:
    return [r.p_crop, r.p_gamma, r.p_noise, r.p_blur, *r.crop, *_intensities(r)]


def _intensities(r: ObjectRanges | ImageRanges) -> list[float]:
    return [*_logarithmic(r.gamma), *r.noise_sigma, *r.blur_sigma_px]


def _logarithmic(bounds: Range) -> tuple[float, float]:
    return bounds[0], math.log(bounds[1] / bounds[0])
