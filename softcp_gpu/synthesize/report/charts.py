"""The charts of the report, as PNG files in memory: the same numbers give the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from softcp_gpu.synthesize.report.tally import PER_DECADE

REAL, PASTED = "#0072B2", "#E69F00"  # blue and orange of Okabe and Ito: apart for the colour-blind, and when printed
_BARS = 30  # at most, for lesions of all sizes
_STYLE = ("default", {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True})


class _Canvas:
    """A figure, and its bytes once it is drawn."""

    def __init__(self, width: float, height: float) -> None:
        self.figure, self.png = Figure(figsize=(width, height), dpi=160, layout="constrained"), b""


@contextmanager
def _canvas(width: float, height: float) -> Iterator[_Canvas]:
    canvas, buffer = _Canvas(width, height), BytesIO()
    with matplotlib.style.context(list(_STYLE)):
        yield canvas
        canvas.figure.savefig(buffer, format="png", dpi=160, metadata={"Software": None})
    canvas.png = buffer.getvalue()


def draw_sizes(real: Counter[int], pasted: Counter[int], label: str) -> bytes:
    """Draws lesion sizes on a log axis, the pasted ones on top of the real ones.

    Args:
        real, pasted: lesions by `size_bin`; not both empty.
        label: of the axis.

    Returns:
        A PNG file.
    """
    steps = real.keys() | pasted.keys()
    group = next((n for n in (50, 100, 200, 250, 500) if (max(steps) - min(steps)) / n < _BARS - 1), PER_DECADE)
    bars = np.arange(min(steps) // group, max(steps) // group + 1)
    edges = 10.0 ** (np.append(bars, bars[-1] + 1) * group / PER_DECADE)
    below = np.zeros(len(bars))
    with _canvas(5.6, 3.3) as canvas:
        axes = canvas.figure.subplots()
        for sizes, colour, name in ((real, REAL, "real"), (pasted, PASTED, "pasted")):
            heights = np.zeros(len(bars))
            for step, count in sizes.items():
                heights[step // group - bars[0]] += count
            look: dict[str, Any] = {"color": colour, "edgecolor": "white", "linewidth": 0.6}
            axes.bar(edges[:-1], heights, np.diff(edges), below, align="edge", label=name, **look)
            below = below + heights
        axes.set(xscale="log", xlabel=label, ylabel="lesions", xlim=(edges[0], edges[-1]))
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if edges[-1] > 1e3 * edges[0] else (1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
        axes.xaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.grid(axis="y", color="#dddddd")
        axes.legend(frameon=False, reverse=True)
    return canvas.png


def draw_places(maps: Sequence[tuple[str, np.ndarray]], down: str, right: str) -> bytes:
    """Draws heat maps side by side, on one scale.

    Args:
        maps: title and shares (n, n) of each.
        down, right: names of the axes.

    Returns:
        A PNG file.
    """
    norm = PowerNorm(0.5, 0, max(float(shares.max()) for _, shares in maps))  # a few lesions show beside many
    with _canvas(6.4, 2.5) as canvas:
        for axes, (title, shares) in zip(canvas.figure.subplots(1, len(maps), squeeze=False).flat, maps, strict=True):
            seen = np.ma.masked_equal(shares, 0)
            drawn = axes.imshow(seen, cmap="viridis_r", norm=norm, extent=(0, 1, 1, 0))
            axes.set(title=title, xlabel=right, ylabel=down, xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
            axes.set_xticklabels(("0", "½", "1"))
            axes.set_yticklabels(("0", "½", "1"))
            axes.spines[["top", "right"]].set_visible(True)
            axes.label_outer()
        percent = FuncFormatter(lambda share, _: f"{100 * share:g} %")
        scale: dict[str, Any] = {"format": percent, "ticks": MaxNLocator(4), "shrink": 0.85, "aspect": 14}
        canvas.figure.colorbar(drawn, ax=canvas.figure.axes, label="lesions in a cell", **scale)
    return canvas.png
