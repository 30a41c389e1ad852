"""Figures 2 and 4 of the paper, of any data set: one paste under every blend, and the soft mask.

A picture shows the data that it is made of: where that may go, its licence says.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MultipleLocator
from torch import Tensor

from benchmarks.credibility.images import DataSet
from benchmarks.credibility.mask_figure import draw_masks
from benchmarks.credibility.pastes import BLENDS, RIM, Pasted, make, pair_up, paste
from benchmarks.credibility.profiles import INSIDE_PX, OUTSIDE_PX, Profile, profile
from softcp_gpu.checks import fail

CASES = 24  # of a data set to choose from
SHOWN = (*BLENDS, f"softcp{RIM}")
STYLE = {"font.size": 7, "axes.linewidth": 0.5, "xtick.major.width": 0.5, "ytick.major.width": 0.5}
DPI = 220
_AREA = (0.01, 0.12)  # of the frame: a lesion that shows, and leaves room around it
_MARGIN_PX = 12
_RESULT, _SOURCE, _BACKGROUND, _BOX = "#111111", "#d55e00", "#0072b2", "#ffd400"


def draw(data: DataSet, out: Path, seed: int) -> list[Path]:
    """Draws both figures.

    Args:
        data: what to choose a lesion and a place from.
        out: folder for the pictures; made if need be.
        seed: of the choice.

    Returns:
        The paths of the pictures.

    Raises:
        ValueError: where no lesion of a fitting size has a legal place.
    """
    one = choose(data, seed)
    out.mkdir(parents=True, exist_ok=True)
    with matplotlib.style.context(["default", STYLE]):
        figures = {"blends.png": _draw_blends(one), "soft_mask.png": draw_masks(one.source.mask)}
        for name, figure in figures.items():
            figure.savefig(out / name, dpi=DPI)
    return [out / name for name in figures]


def choose(data: DataSet, seed: int) -> Pasted:
    """A lesion that can be seen, pasted by every variant that is shown."""
    pairs = pair_up(data.images, 1, seed)
    modules = {variant: make(variant) for variant in SHOWN}
    for i in np.random.default_rng(seed).permutation(len(pairs)).tolist():
        if _AREA[0] <= float(pairs[i].source.mask.float().mean()) <= _AREA[1] and (
            one := paste(pairs[i], modules, seed, i)
        ):
            return one
    fail("data", f"a lesion of {_AREA[0]:.0%} to {_AREA[1]:.0%} of its image, with a legal place", "none")


def _draw_blends(one: Pasted) -> Figure:
    """A row for the lesion where it grew, and one for each variant: image, rim magnified, profile."""
    rows = 1 + len(one.outputs)
    figure = Figure(figsize=(5.4, 1.22 * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, 3, width_ratios=(1, 1, 1.9), squeeze=False)
    for axes in grid[:-1, 2]:
        axes.sharex(grid[-1, 2])
        axes.sharey(grid[-1, 2])
        axes.tick_params(labelbottom=False)
    for axes, title in zip(grid[0], ("image", "rim, magnified", "intensity, % of full scale"), strict=True):
        axes.set_title(title, fontsize=7)
    grown, place = one.source.mask[0, 0].numpy() > 0, _placed(one)
    source = profile(_grey(one.source.image), grown, np.ones_like(grown))
    free = place | (one.background.mask[0, 0].numpy() == 0)  # the background's own lesions are no surroundings
    background = profile(_grey(one.background.image), place, free)
    grid[-1, 2].set_xlabel("pixels from the boundary; lesion to the left")
    _row(grid[0], "real: the source", one.source.image, grown, [(source, _SOURCE, "source")])
    for line, (variant, out) in zip(grid[1:], one.outputs.items(), strict=True):
        result = profile(_grey(out.image), place, free)
        curves = [(background, _BACKGROUND, "background"), (source, _SOURCE, "source"), (result, _RESULT, "result")]
        _row(line, variant.replace(RIM, ",\nrim matched"), out.image, place, curves)
    handles, names = grid[1, 2].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower right", ncols=len(names), frameon=False)
    return figure


def _row(
    line: Sequence[Axes], name: str, image: Tensor, lesion: np.ndarray, curves: Sequence[tuple[Profile, str, str]]
) -> None:
    shown = image[0].movedim(0, -1).clamp(0, 1).numpy()
    shown = shown[..., 0] if shown.shape[-1] != 3 else shown
    rows, columns = _around(lesion)
    for axes, part in ((line[0], shown), (line[1], shown[rows, columns])):
        axes.imshow(part, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
    line[0].set_ylabel(name)
    corner, size = (columns.start, rows.start), (columns.stop - columns.start, rows.stop - rows.start)
    line[0].add_patch(Rectangle(corner, *size, fill=False, edgecolor=_BOX, linewidth=0.8))
    for curve, colour, label in curves:
        style = "-" if label == "result" or len(curves) == 1 else "--"
        line[2].plot(curve.distance_px, 100 * curve.mean, style, color=colour, label=label, linewidth=1)
    drawn, colour, _ = curves[-1]
    band = 100 * (drawn.mean - drawn.spread), 100 * (drawn.mean + drawn.spread)
    line[2].fill_between(drawn.distance_px, *band, color=colour, alpha=0.12, linewidth=0)
    line[2].axvline(0, color="#888888", linewidth=0.6)
    line[2].set_xlim(-INSIDE_PX, OUTSIDE_PX)
    line[2].xaxis.set_major_locator(MultipleLocator(4))
    line[2].spines[["top", "right"]].set_visible(False)


def _placed(one: Pasted) -> np.ndarray:
    """(H, W) bool: the hard lesion where it was pasted; the same for every variant."""
    out = next(iter(one.outputs.values()))
    return (out.mask != one.background.mask)[0, 0].numpy()


def _around(lesion: np.ndarray) -> tuple[slice, slice]:
    """A square around a lesion, as far as the frame reaches."""
    spans = [np.flatnonzero(lesion.any(axis=axis))[[0, -1]] for axis in (1, 0)]
    half = max(last - first for first, last in spans) // 2 + _MARGIN_PX
    ends = [(max(0, sum(span) // 2 - half), sum(span) // 2 + half + 1) for span in spans]
    rows, columns = (slice(int(a), int(min(b, length))) for (a, b), length in zip(ends, lesion.shape, strict=True))
    return rows, columns


def _grey(image: Tensor) -> np.ndarray:
    """(H, W), the mean over the channels."""
    return image[0].mean(0).numpy()
