"""How time grows: what is varied, with what else held; the exponent of each curve, and the plots."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks import cases

PREFIX = "curve, "
OF = ("soft mask", "forward")
TITLES = {
    "batch": "samples",
    "image": "pixels of the frame",
    "lesion": "pixels of the lesion",
    "k_dilate": "dilation steps",
}


class Point(NamedTuple):
    """What is timed: so many samples with one disc as their lesion."""

    count: int = 4
    size_px: int = 512
    radius_px: int = 32
    k_dilate: int = 10

    def x(self, over: str) -> int:
        """Where the point lies on a curve."""
        pixels = int(disc(self).sum())
        return {"batch": self.count, "image": self.size_px**2, "lesion": pixels, "k_dilate": self.k_dilate}[over]


_FULL = {
    "batch": [Point(count, size_px=256) for count in (1, 4, 16, 64)],
    "image": [Point(size_px=size) for size in (128, 256, 512, 1024)],
    "lesion": [Point(radius_px=radius) for radius in (8, 16, 32, 64, 128)],
    "k_dilate": [Point(k_dilate=k) for k in (2, 4, 8, 16, 32)],
}
_TINY = {
    "batch": [Point(count, 64, 8) for count in (1, 2, 4)],
    "image": [Point(1, size, 8) for size in (48, 64, 96)],
    "lesion": [Point(1, 96, radius) for radius in (4, 8, 16)],
    "k_dilate": [Point(1, 64, 8, k) for k in (2, 4, 8)],
}
SWEEPS = _TINY if cases.QUICK else _FULL


def disc(point: Point) -> Tensor:
    """(H, W) uint8, in the middle."""
    line = (torch.arange(point.size_px) - point.size_px // 2) ** 2
    return (line[:, None] + line <= point.radius_px**2).to(torch.uint8)


def data(point: Point) -> tuple[Tensor, Tensor, Tensor]:
    """Backgrounds without a lesion, sources, and the masks of these: (B, 3, H, W) float32 twice, (B, 1, H, W) uint8."""
    generator = torch.Generator().manual_seed(cases.SEED)
    shape = (point.count, cases.CHANNELS, point.size_px, point.size_px)
    image, source = (torch.randn(shape, generator=generator) for _ in range(2))
    return image, source, disc(point).expand(point.count, 1, -1, -1).contiguous()


class Exponent(NamedTuple):
    """Of time ~ x^value, by least squares of the logarithms."""

    value: float
    error: float  # standard error; not a number with two points


def exponent(x: Iterable[float], seconds: Iterable[float]) -> Exponent:
    """The slope of log(seconds) over log(x).

    Raises:
        ValueError: fewer than two different x.
    """
    pairs = [(math.log(a), math.log(b)) for a, b in zip(x, seconds, strict=True)]
    count = len(pairs)
    mean_x, mean_y = (sum(side) / max(count, 1) for side in zip(*pairs, strict=True)) if pairs else (0.0, 0.0)
    spread = sum((a - mean_x) ** 2 for a, _ in pairs)
    if spread == 0:
        raise ValueError(f"x: expected two different values or more, found {sorted({a for a, _ in pairs})}")
    slope = sum((a - mean_x) * (b - mean_y) for a, b in pairs) / spread
    residual = sum((b - mean_y - slope * (a - mean_x)) ** 2 for a, b in pairs)
    error = math.sqrt(residual / (count - 2) / spread) if count > 2 else math.nan
    return Exponent(slope, error)


Curves = dict[tuple[str, str], dict[str, list[tuple[int, float]]]]  # (of, over) -> who -> (x, seconds), by x


def collect(entries: Iterable[dict[str, Any]]) -> Curves:
    """The rows that belong to curves."""
    found: Curves = defaultdict(lambda: defaultdict(list))
    for line in entries:
        if line["group"].startswith(PREFIX):
            of, over = line["group"].removeprefix(PREFIX).split(" over ")
            found[of, over][line["who"]].append((line["x"], line["median_s"]))
    return {key: {who: sorted(points) for who, points in by_who.items()} for key, by_who in found.items()}


def table(curves: Curves) -> str:
    """Exponents with their standard errors, in markdown."""
    lines = ["| exponent of the time of | " + " | ".join(f"over {name}" for name in TITLES.values()) + " |"]
    lines += ["|---|" + "---:|" * len(TITLES)]
    for of in OF:
        for who in dict.fromkeys(who for (one, _), by_who in curves.items() if one == of for who in by_who):
            cells = [_cell(curves.get((of, over), {}).get(who, [])) for over in TITLES]
            lines.append(f"| {of}: {who} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(points: list[tuple[int, float]]) -> str:
    if len(points) < 2:
        return "not measured"
    found = exponent(*zip(*points, strict=True))
    return f"{found.value:.2f}" + ("" if math.isnan(found.error) else f" ± {found.error:.2f}")


def draw(curves: Curves, path: Path) -> None:
    """All curves on one sheet; the same bytes for the same results."""
    from matplotlib import colormaps, rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    names = [who for by_who in curves.values() for who in by_who]
    colour = {who: colormaps["tab20"](2 * i % 20 + i // 10) for i, who in enumerate(dict.fromkeys(names))}
    with rc_context({"svg.hashsalt": "softcp", "svg.fonttype": "none"}):  # no random ids, text stays text
        figure = Figure(figsize=(14, 7.5), layout="constrained")
        grid = figure.subplots(len(OF), len(TITLES), sharey="row", squeeze=False)
        for axes_row, of in zip(grid, OF, strict=True):
            for axes, (over, title) in zip(axes_row, TITLES.items(), strict=True):
                for who, points in curves.get((of, over), {}).items():
                    x, seconds = zip(*points, strict=True)
                    dashed = ":" if "stage" in who else "-"
                    axes.loglog(x, [1e3 * s for s in seconds], dashed, marker=".", color=colour[who], label=who)
                axes.xaxis.set_minor_formatter(NullFormatter())
                axes.set(xlabel=title, ylabel="ms" * (over == "batch"), title=of)
            shown = {line.get_label(): line for axes in axes_row for line in axes.lines}
            if shown:
                beside = {"loc": "upper left", "bbox_to_anchor": (1, 1)}
                axes_row[-1].legend(shown.values(), shown.keys(), fontsize="x-small", **beside)
        figure.savefig(path, metadata={"Date": None})
