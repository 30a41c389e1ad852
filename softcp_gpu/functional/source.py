"""The source's image as it will lie in the frame: a tile of it, moved by one warp, with its intensities transformed."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter

import torch
from torch import Tensor

from softcp_gpu import kernels
from softcp_gpu.functional import execution, looped
from softcp_gpu.functional.blend import reach_px
from softcp_gpu.functional.fused_warp import channel_ranges, warp_and_transform, warps
from softcp_gpu.functional.geometry import warp_linear
from softcp_gpu.functional.inputs import Inputs
from softcp_gpu.functional.intensity import OBJECT_NOISE, apply_intensity, is_active
from softcp_gpu.functional.lesion import Lesion
from softcp_gpu.functional.soft_mask import Steps
from softcp_gpu.functional.transforms import range_in_use
from softcp_gpu.functional.windows import surrounding_window, take_window, window_index
from softcp_gpu.types import IntensityParams, PasteConfig, PasteParams, map_params


def tile_around(
    origin: Tensor, size: Tensor, shape: tuple[int, ...], steps: Steps, params: PasteParams, config: PasteConfig
) -> tuple[Tensor, tuple[int, ...]]:
    """What part of the frame counts: each lesion, its rim, and what blurs into them.

    Args:
        origin, size: (B, n) int64, the lesions' boxes in the frame.
        shape: n lengths of the frame.
        steps, params, config: the draws and the rest.

    Returns:
        first pixel of the tiles (B, n) int64, and their n lengths; whole frames where values may not be read.
    """
    blurs = params.object is not None and (not execution.may_read_values(origin) or any(_blurs(params)))
    margin = _margin(origin, size, shape, steps, blurs, config)
    return surrounding_window(origin, size, execution.constants(margin, origin), shape)


def _blurs(params: PasteParams) -> list[bool]:
    """Whether each sample's lesion is blurred."""
    assert params.object is not None
    return (params.object.intensity.blur_sigma_px > 0).any(1).tolist()


def _margin(
    origin: Tensor, size: Tensor, shape: tuple[int, ...], steps: Steps, blurs: bool, config: PasteConfig
) -> list[int]:
    return [reach + 1 + 2 * blurs * config.object_blur_px for reach in reach_px(config, steps, origin, size, shape)]


def source_tile(
    x: Inputs,
    lesion: Lesion,
    origin: Tensor,
    corner: Tensor,
    tile: tuple[int, ...],
    steps: Steps,
    params: PasteParams,
    config: PasteConfig,
) -> Tensor:
    """The source's image in the tiles of the frame.

    Args:
        x: the sources, and the frame.
        lesion: their lesions.
        origin: (B, n) int64, where the lesions' boxes begin in the frame.
        corner, tile: as `tile_around` gives them.
        steps, params, config: the draws and the rest.

    Returns:
        (B, C, *tile).
    """
    offset, shape, work = origin - lesion.home, tuple(x.image.shape[2:]), execution.work_dtype(x.image)
    if lesion.matrix is not None and params.object is not None and warps(x.source_image, lesion.matrix, _drawn(params)):
        where = (lesion.back(offset), corner, tile, shape, _drawn(params), _range(x, x.source_image.to(work), params))
        how = (config.object_blur_px, params.seed, OBJECT_NOISE, x.source_rows)
        return warp_and_transform(x.source_image.to(work), *where, *how)
    source_image, rows = x.source_image, x.source_rows
    if not execution.may_read_values(source_image) or source_image.dtype != work:
        source_image, rows = x.sources().to(work), None
    if lesion.matrix is None:
        return _window(source_image, rows, corner - offset, tile)
    matrix, radius = lesion.moved(offset), config.object_blur_px
    boxes = (origin, lesion.size, corner, shape, steps, params, config)
    if params.object is not None and looped.works(source_image, matrix, *_drawn(params)):
        slots = looped.slots_of(_drawn(params), radius, params.seed, OBJECT_NOISE)
        given = (corner, tile, _own_tiles(*boxes), shape, x.physical.source_range)
        return looped.warp_and_transform(source_image, rows, matrix, *given, slots)
    warped = warp_linear(source_image, matrix, corner, tile, rows)
    if params.object is None:
        return warped
    intensity = _drawn(params)
    bounds = _range(x._replace(source_rows=rows), source_image, params)
    index, _ = window_index(corner, tile, shape)
    if not execution.may_read_values(warped):
        return apply_intensity(warped, intensity, bounds, radius, params.seed, OBJECT_NOISE, index)
    for i, (active, own) in enumerate(zip(is_active(intensity).tolist(), _own_tiles(*boxes), strict=True)):
        if active:
            row = slice(i, i + 1)
            part = warped[(row, slice(None), *own)].clone(memory_format=torch.contiguous_format)
            own_bounds, own_index = (bounds[0][row], bounds[1][row]), index[(row, *own)]
            drawn = map_params(intensity, itemgetter(row))
            done = apply_intensity(part, drawn, own_bounds, radius, params.seed[row], OBJECT_NOISE, own_index)
            warped[(row, slice(None), *own)] = done
    return warped


def _window(source_image: Tensor, rows: Tensor | None, origin: Tensor, tile: tuple[int, ...]) -> Tensor:
    """A window of each sample's source, which is not moved."""
    if rows is None:
        return take_window(source_image, origin, tile, outside="border")
    frames = zip((source_image[row : row + 1] for row in rows.tolist()), origin.split(1), strict=True)
    return torch.cat([take_window(frame, corner, tile, outside="border") for frame, corner in frames])


def _own_tiles(
    origin: Tensor,
    size: Tensor,
    corner: Tensor,
    shape: tuple[int, ...],
    steps: Steps,
    params: PasteParams,
    config: PasteConfig,
) -> Iterator[list[slice]]:
    """The tile that each sample would have alone, as a part of the one that it has.

    Powers and logarithms may round otherwise where a tile ends, so they are taken in it, whatever the others are.
    """
    own = zip(steps.k_dilate.tolist(), _blurs(params), strict=True)
    boxes = zip(origin.tolist(), size.tolist(), corner.tolist(), strict=True)
    for (k_dilate, blurs), box in zip(own, boxes, strict=True):
        margin = _margin(origin, size, shape, steps._replace(k_max=k_dilate), blurs, config)
        parts = []
        for start, extent, first, around, frame in zip(*box, margin, shape, strict=True):
            length = max(1, min(extent + 2 * around, frame))
            begin = min(max(start - around, 0), frame - length) - first
            parts.append(slice(begin, begin + length))
        yield parts


def _drawn(params: PasteParams) -> IntensityParams:
    assert params.object is not None
    return params.object.intensity


def _range(x: Inputs, source_image: Tensor, params: PasteParams) -> tuple[Tensor, Tensor]:
    """Least and largest value that gamma and noise refer to, (B, C, 1, ...) each."""
    if x.physical.source_range is None and kernels.run_on(source_image):
        # It costs no more than to ask who needs it.
        low, high = channel_ranges(source_image)
        return (low, high) if x.source_rows is None else (low[x.source_rows], high[x.source_rows])
    if x.physical.source_range is None:
        return range_in_use(source_image, _drawn(params), x.source_rows)
    bounds = x.physical.source_range.to(source_image)
    columns = bounds.view(*bounds.shape, *(1,) * (source_image.ndim - 2))
    return columns[:, :, 0], columns[:, :, 1]
