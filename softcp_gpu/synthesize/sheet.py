"""The contact sheet: a page on which a person can judge a run.

One row per picture: background, source, soft mask, result with its lesions outlined, and the result's pasted place
magnified, without a line that would hide a seam. A volume has a row for each plane.
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

from softcp_gpu.data import manifest
from softcp_gpu.data.io import replacing
from softcp_gpu.synthesize.again import Run
from softcp_gpu.synthesize.picture import Picture, pictures, surroundings

TITLES = ("background", "source", "soft mask", "result and label", "result, magnified")
_PASTED, _OWN, _REGION = "#ffd400", "#ff5cc8", "#37a7ff"  # apart for the colour-blind as well
_LEGEND = ((_PASTED, "pasted lesion"), (_OWN, "lesion of the background"), (_REGION, "what the lesion must touch"))
_HALO = (withStroke(linewidth=1.6, foreground="#00000099"),)  # a line shows on any tissue


def draw_contact_sheet(run: Run, rows: int) -> bool:
    """Draws samples from all over a run, made anew from their parents, so that it takes nothing but what is on disk.

    Args:
        run: with all of its samples.
        rows: how many samples to show.

    Returns:
        Whether there was one to show.

    Raises:
        DataError: a parent has changed or is gone, or the sheet cannot be written.
    """
    facts = manifest.read_json(run.out / manifest.SUMMARY)
    maker = run.maker()
    chosen: list[Picture] = []
    taken = 0
    for record in run.records():
        if taken < rows and record["files"] and record["number"] >= taken * facts["requested"] / rows:
            chosen += pictures(maker.show(record))
            taken += 1
    if chosen:
        title = f"{facts['layout']}: {facts['written']} synthetic samples from {facts['real']} cases"
        draw_sheet(run.out / manifest.SHEET, chosen, title)
    return bool(chosen)


def draw_sheet(path: Path, rows: Sequence[Picture], title: str) -> None:
    """Writes a contact sheet.

    Args:
        path: a PNG file; replaced if it is there.
        rows: what to show, in order.
        title: one line above.

    Raises:
        DataError: the file cannot be written.
    """
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
            _draw_row(line, row)
        figure.savefig(temporary, dpi=110)


def _draw_row(line: Sequence[Axes], row: Picture) -> None:
    _image(line[0], row.background, row.aspect)
    _contour(line[0], row.region, _REGION)
    _contour(line[0], row.own, _OWN)
    _image(line[1], row.source, row.aspect)
    _contour(line[1], row.given, _PASTED)
    line[2].imshow(row.soft_mask, cmap="magma", vmin=0, vmax=1, aspect=row.aspect)
    _image(line[3], row.result, row.aspect)
    _contour(line[3], row.kept, _OWN)
    _contour(line[3], row.new, _PASTED)
    _image(line[4], row.result[surroundings(row.soft_mask)], row.aspect)
    where = line[0].transAxes
    line[0].text(0, 1, row.title, color="white", backgroundcolor="black", va="top", transform=where)


def _image(axes: Axes, grey: np.ndarray, aspect: float) -> None:
    axes.imshow(grey, cmap="gray", vmin=0, vmax=1, aspect=aspect)


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
