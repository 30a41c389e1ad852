"""Mask, trimap and soft mask: as maps, as surfaces, and of a volume, cut open."""

from __future__ import annotations

import math

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D
from torch import Tensor

from benchmarks.credibility.pastes import ALPHA, K_ERODE
from softcp_gpu import phantoms
from softcp_gpu.functional.soft_mask import soft_mask
from softcp_gpu.functional.table import auto_k_dilate

COLOURS = "viridis"
_VIEW = {"elev": 38, "azim": -58}
_SPARE_PX = 3
_FINE = 100  # quads along a landscape
_VOLUME, _SEED, _MM = (48, 48, 48), 4, (1.5, 1.5, 1.5)  # few voxels: each face is drawn by itself


def draw_masks(mask: Tensor) -> Figure:
    """Three columns, mask, trimap and soft mask; three rows, of an image twice and of a volume.

    Args:
        mask: (1, 1, H, W) in {0, 1}, with a lesion.
    """
    figure = Figure(figsize=(6.2, 5.4), layout="constrained")
    cells = figure.add_gridspec(3, 3)
    flat, solid = stages(mask), stages(phantoms.batch(1, _VOLUME, seed=_SEED)[1], spacing=_MM)
    for column, (name, stage) in enumerate(flat.items()):
        axes = figure.add_subplot(cells[0, column], title=name, xticks=[], yticks=[])
        axes.imshow(stage, cmap=COLOURS, vmin=0, vmax=1, interpolation="nearest")
        _surface(figure.add_subplot(cells[1, column], projection="3d"), stage)
        _cut_open(figure.add_subplot(cells[2, column], projection="3d"), solid[name])
    bar = figure.colorbar(ScalarMappable(cmap=COLOURS), ax=figure.axes, shrink=0.5, aspect=40)
    bar.set_label("weight of the pasted image")
    return figure


def stages(mask: Tensor, spacing: tuple[float, ...] | None = None) -> dict[str, np.ndarray]:
    """The way from a lesion to its soft mask, cut out around it; (*spatial) in [0, 1] each.

    Args:
        mask: (1, 1, *spatial) in {0, 1}, with a lesion.
        spacing: mm per axis, for round rings; None: steps are pixels.

    Returns:
        `mask`; `trimap`: 1 in the eroded core, 1/2 in the ring around it, which is blended, 0 outside; `soft mask`.
    """
    soft = soft_mask(mask, K_ERODE, auto_k_dilate(ALPHA), ALPHA, spacing=spacing)
    core = soft_mask(mask, K_ERODE, 0, ALPHA, spacing=spacing)
    whole = {"mask": mask.float(), "trimap": (core + (soft > 0)) / 2, "soft mask": soft}
    box = _box(soft[0, 0].numpy() > 0)
    return {name: stage[0, 0].numpy()[box] for name, stage in whole.items()}


def _box(flags: np.ndarray) -> tuple[slice, ...]:
    ends = [(int(line.min()), int(line.max()) + 1) for line in flags.nonzero()]
    return tuple(slice(max(0, first - _SPARE_PX), last + _SPARE_PX) for first, last in ends)


def _surface(axes: Axes3D, stage: np.ndarray) -> None:
    """The map as a landscape."""
    fine = max(1, _FINE // max(stage.shape))
    steps = stage.repeat(fine, 0).repeat(fine, 1)  # a step stays a step, and does not become a slope
    y, x = np.indices(steps.shape) / fine
    stride = math.ceil(max(steps.shape) / _FINE)
    axes.plot_surface(x, y, steps, cmap=COLOURS, vmin=0, vmax=1, rstride=stride, cstride=stride, antialiased=False)
    axes.set_box_aspect((stage.shape[1], stage.shape[0], 0.5 * max(stage.shape)), zoom=1.25)
    axes.set(xticks=[], yticks=[], zticks=[0, 0.5, 1])
    axes.tick_params(pad=-3)
    axes.view_init(**_VIEW)


def _cut_open(axes: Axes3D, stage: np.ndarray) -> None:
    """The voxels that weigh anything, without the quarter that is nearest to the eye."""
    x_first = stage.transpose(2, 1, 0)
    filled = x_first > 0
    filled[x_first.shape[0] // 2 :, : x_first.shape[1] // 2] = False
    axes.voxels(filled, facecolors=colormaps[COLOURS](x_first), edgecolor=None, shade=True)
    axes.set(**{f"{axis}lim": (0, length) for axis, length in zip("xyz", filled.shape, strict=True)})
    axes.set_box_aspect(filled.shape, zoom=1.25)
    axes.set_axis_off()
    axes.view_init(**_VIEW)
