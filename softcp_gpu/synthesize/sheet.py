"""The contact sheet: a page on which a person can judge a run.

One row per sample: background, source, soft mask, result with its lesions outlined, and the result's pasted place
magnified, without a line that would hide a seam.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from softcp_gpu.data import Sample
from softcp_gpu.data.io import replacing
from softcp_gpu.synthesize.pair import Pasted
from softcp_gpu.synthesize.sample import Shown

TITLES = ("background", "source", "soft mask", "result and label", "result, magnified")
_PASTED, _OWN, _REGION = "#ffd400", "#ff5cc8", "#37a7ff"  # apart for the colour-blind as well
_LEGEND = ((_PASTED, "pasted lesion"), (_OWN, "lesion of the background"), (_REGION, "what the lesion must touch"))
_HALO = (withStroke(linewidth=1.6, foreground="#00000099"),)  # a line shows on any tissue


def draw_sheet(path: Path, samples: Sequence[Shown], title: str) -> None:
    """Writes a contact sheet.

    Args:
        path: a PNG file; replaced if it is there.
        samples: those with a result are shown, in order.
        title: one line above.

    Raises:
        DataError: the file cannot be written.
    """
    rows = [(s.number, s.background, s.pasted) for s in samples if s.pasted is not None and s.background is not None]
    with matplotlib.style.context(["default", {"font.size": 8}]), replacing(path) as temporary:
        figure = Figure(figsize=(2.2 * len(TITLES), 2.2 * max(1, len(rows)) + 0.6), layout="constrained")
        figure.suptitle(title, x=0.01, ha="left")
        lines = [Line2D([], [], color=colour, label=label, path_effects=_HALO) for colour, label in _LEGEND]
        figure.legend(handles=lines, loc="outside upper right", ncols=len(lines), frameon=False)
        grid = figure.subplots(max(1, len(rows)), len(TITLES), squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, name in zip(grid[0], TITLES, strict=True):
            axes.set_title(name)
        for line, row in zip(grid, rows, strict=False):
            _draw_row(line, *row)
        figure.savefig(temporary, dpi=110)


def _draw_row(line: Sequence[Axes], number: int, background: Sample, pasted: Pasted) -> None:
    window = _shared_window(background.image, pasted)
    new = _pasted_lesion(background, pasted)
    _image(line[0], background.image, window)
    _contour(line[0], pasted.region, _REGION)
    _contour(line[0], background.lesion, _OWN)
    _image(line[1], pasted.source.image, window)
    _contour(line[1], pasted.source.lesion, _PASTED)
    line[2].imshow(pasted.soft_mask, cmap="magma", vmin=0, vmax=1)
    _image(line[3], pasted.sample.image, window)
    _contour(line[3], pasted.sample.lesion & ~new, _OWN)
    _contour(line[3], new, _PASTED)
    rows, columns = _surroundings(pasted.soft_mask)
    _image(line[4], pasted.sample.image[rows, columns], window)
    where = line[0].transAxes
    line[0].text(0, 1, f" {number} ", color="white", backgroundcolor="black", va="top", transform=where)


def _pasted_lesion(background: Sample, pasted: Pasted) -> np.ndarray:
    """The part of the label that is new; under the rim, a crop of the whole image hides which lesion is which."""
    new = pasted.sample.lesion & (pasted.soft_mask > 0)
    cropped = pasted.output.params.background is not None or pasted.output.params.image is not None
    return new if cropped else new & ~background.lesion


def _shared_window(image: np.ndarray, pasted: Pasted) -> tuple[float, float]:
    """Grey levels to show as black and white: the same for all pictures of a row, so that they can be compared."""
    values = np.concatenate([image.ravel(), pasted.source.image.ravel()])
    return float(values.min()), float(max(values.max(), values.min() + 1))


def _image(axes: Axes, image: np.ndarray, window: tuple[float, float]) -> None:
    low, high = window
    unit = ((image.astype(np.float32) - low) / (high - low)).clip(0, 1)
    axes.imshow(unit[..., 0] if unit.shape[2] == 1 else unit, cmap="gray", vmin=0, vmax=1)


def _contour(axes: Axes, mask: np.ndarray | None, colour: str) -> None:
    if mask is None or not mask.any() or mask.all():
        return
    height, width = mask.shape
    axes.autoscale(False)
    # A frame of zeros closes the line where the lesion meets the border, and lets a line be drawn around one pixel.
    drawn = axes.contour(
        np.arange(-1, width + 1), np.arange(-1, height + 1), np.pad(mask, 1), levels=[0.5], colors=[colour]
    )
    drawn.set(linewidths=1, path_effects=_HALO)


def _surroundings(soft_mask: np.ndarray) -> tuple[slice, slice]:
    """The pasted place and half as much again around it."""
    spans = []
    for axis in (0, 1):
        hit = np.flatnonzero(soft_mask.any(axis=1 - axis))
        first, last = (int(hit[0]), int(hit[-1]) + 1) if hit.size else (0, soft_mask.shape[axis])
        spare = max(8, (last - first) // 2)
        spans.append(slice(max(0, first - spare), min(soft_mask.shape[axis], last + spare)))
    return spans[0], spans[1]
