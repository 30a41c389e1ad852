"""The report of a run: one HTML file that needs nothing else, for those who ask whether to train on the set."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from softcp_gpu.data import DataError, manifest
from softcp_gpu.data.io import replacing
from softcp_gpu.synthesize.report.findings import MEANINGS, counted, look_for
from softcp_gpu.synthesize.report.tally import TRAIN, Lesions, Tally, quantile

if TYPE_CHECKING:
    from markupsafe import Markup

_PLANES = MappingProxyType({2: ((0, 1),), 3: ((1, 2), (0, 2), (0, 1))})  # axes that point down and right


def write_report(out: Path | str) -> Path:
    """Writes `report.html` from the lists and the summary of a finished run.

    The file asks for nothing from elsewhere, holds no script, and the same run gives the same bytes: neither a date nor
    a folder of this machine is in it. Lists are read line by line.

    Args:
        out: the run's folder.

    Returns:
        The report.

    Raises:
        DataError: a file of the run is missing or is not what a run writes, or the report cannot be written.
    """
    out, tally = Path(out), Tally()
    run, summary, split = (manifest.read_json(out / name) for name in (manifest.RUN, manifest.SUMMARY, manifest.SPLIT))
    for name, add in ((manifest.INPUTS, tally.add_case), (manifest.SAMPLES, tally.add_sample)):
        _each(out / name, add)
    try:
        text = _render(_content(run, summary, split, tally, out), [out.absolute(), *_places(run)])
    except (AttributeError, KeyError, TypeError) as error:
        raise DataError(out, "the record of a run", f"one without {error}") from error
    with replacing(out / manifest.REPORT) as temporary:  # a name that is not UTF-8 is shown as an escape
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    return out / manifest.REPORT


def _each(path: Path, add: Callable[[dict[str, Any]], None]) -> None:
    for number, record in enumerate(manifest.read_lines(path), 1):
        try:
            add(record)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            found = f"{type(error).__name__}: {error}"
            raise DataError(path, f"a record as a run writes it in line {number}", found) from error


def _content(
    run: dict[str, Any], summary: dict[str, Any], split: dict[str, Any], tally: Tally, out: Path
) -> dict[str, Any]:
    """What the template shows."""
    findings = look_for(tally, summary, split)
    sheet = out / manifest.SHEET
    return {
        "data": Path(run["data"]).name,
        "run": run,
        "summary": summary,
        "tally": tally,
        "train": tally.parts[TRAIN],
        "parts": [(name, tally.parts[name]) for name in (TRAIN, "val", "test", "unused") if name in tally.parts],
        "verdict": _verdict(summary, tally),
        "warnings": sum(finding.level == "warning" for finding in findings),
        "findings": findings,
        "statuses": [(name, MEANINGS.get(name, "")) for name in sorted(tally.tries | tally.statuses, key=_order)],
        **_balance(tally),
        "usages": [
            (f"{'patients' if by_patient else 'cases'} as {role}", tally.usage(role, by_patient))
            for by_patient in (False, True)
            for role in ("background", "source")
        ],
        "sheet": _picture(sheet.read_bytes()) if sheet.is_file() else None,
        **_charts(tally),
    }


def _balance(tally: Tally) -> dict[str, Any]:
    """Classes of the real training part, and of that and the synthetic samples together."""
    after = tally.real + tally.synthetic
    both = (tally.real, after)
    shares = [count / group.pixels.total() for group in both for label, count in group.pixels.items() if label]
    lesions = [sum(group.pixels[label] for label in after.lesions.classes) for group in both]
    with_lesion = len(tally.able["source"])
    return {
        "things": "images" if tally.axes == 2 else "volumes",
        "after": after,
        "labels": sorted(after.shown_in),
        "most_share": max(shares, default=0),
        "lesion_share": [_share(count, group.pixels.total()) for count, group in zip(lesions, both, strict=True)],
        "with_lesion": [
            _share(with_lesion, tally.real.count),
            _share(with_lesion + tally.synthetic.count, after.count),
        ],
    }


def _verdict(summary: dict[str, Any], tally: Tally) -> str:
    near, held_out = summary.get("near_duplicates"), len(tally.part_of) > tally.parts[TRAIN].cases
    leak = (
        "no near-duplicate across the split" if not near else f"{counted(len(near), 'near-duplicate')} across the split"
    )
    if near is None and held_out:
        leak = "near-duplicates were not looked for"
    made = f"{tally.statuses['pasted']:,} of {counted(summary['requested'], 'sample')} pasted"
    return f"{made} from {counted(summary['real'], 'real case')}; {leak if held_out else 'no case is held out'}."


def _charts(tally: Tally) -> dict[str, Any]:
    """Pictures of the lesions' sizes and places, and the figures beside them."""
    real, pasted = tally.real.lesions, tally.synthetic.lesions
    every = real + pasted
    in_mm = every.sizes_mm.total() == every.count
    kind, noun = ("area", "pixels") if tally.axes == 2 else ("volume", "voxels")
    unit = f"mm{'²' if tally.axes == 2 else '³'}" if in_mm else noun
    rows = [("real", real), ("pasted", pasted), ("together", every)]
    sizes = [(name, group, group.sizes_mm if in_mm else group.sizes_px) for name, group in rows if group.count]
    content: dict[str, Any] = {"kind": kind, "noun": noun, "unit": unit, "quantile": quantile, "maps": []}
    content |= {"sizes": sizes, "histogram": None}
    if not every.count:
        return content
    from softcp_gpu.synthesize.report.charts import draw_places, draw_sizes

    below, above = (group.sizes_mm if in_mm else group.sizes_px for group in (real, pasted))
    content["histogram"] = _picture(draw_sizes(below, above, f"{kind} of a lesion, {unit}"))
    names = ("y", "x") if tally.axes == 2 else ("z", "y", "x")
    for down, right in _PLANES[tally.axes]:
        maps = [(name, group.map(down, right)) for name, group in rows]
        middles = [_middle(name, group, (down, right), names) for name, group in rows if group.count]
        alt = f"Heat maps of the centres of lesions, {names[down]} down and {names[right]} right. {' '.join(middles)}"
        along = "".join(name for name in names if name not in (names[down], names[right]))
        content["maps"].append((_picture(draw_places(maps, names[down], names[right])), alt, along))
    return content


def _middle(name: str, group: Lesions, plane: tuple[int, int], names: tuple[str, ...]) -> str:
    where = " and ".join(f"{names[axis]} {group.middle(axis):.2f}" for axis in plane)
    return f"{name.capitalize()}: {counted(group.count, 'lesion')}, on average at {where} of the frame."


def _order(status: str) -> tuple[bool, str]:
    return status != "pasted", status


def _picture(png: bytes) -> Markup:
    from markupsafe import Markup

    return Markup(f"data:image/png;base64,{base64.b64encode(png).decode()}")


def _render(content: Mapping[str, Any], places: list[Path]) -> str:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    def without_places(value: Any) -> Any:
        return value if isinstance(value, Markup) or not isinstance(value, str) else _without(value, places)

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=without_places, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"share": _share, "size": _size, "number": "{:,}".format, "json": _plain}
    source = resources.files("softcp_gpu.synthesize.report").joinpath("report.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(source).render(content)


def _places(run: Mapping[str, Any]) -> Iterator[Path]:
    """The folders and files of this machine that a run was told of."""
    for text in (run["data"], *run["arguments"].values()):
        if isinstance(text, str) and Path(text).is_absolute():
            yield Path(text)


def _without(text: str, places: list[Path]) -> str:
    """A text in which files are named from their folder on, and folders by their last name."""
    for place in sorted(places, key=lambda place: -len(str(place))):
        if place.name:
            begin = rf"(?<![\w./-]){re.escape(str(place))}"
            text = re.sub(f"{begin}/", "", text)
            text = re.sub(rf"{begin}(?![\w-])", place.name.replace("\\", r"\\"), text)
    return text


def _share(part: float, whole: float) -> str:
    """Percent with three digits that count; almost all is not all, and almost nothing not nothing."""
    percent = 100 * part / whole if whole else 0.0
    if 0 < percent < 0.001:
        return "< 0.001 %"
    return "> 99.9 %" if percent >= 99.95 and part < whole else f"{percent:.3g} %"


def _size(value: float, unit: str) -> str:
    """Two digits that count, as more are not known."""
    if value >= 10:
        return f"{float(f'{value:.2g}'):,.0f}"
    return f"{value:.2g}" if unit.startswith("mm") else f"{value:.0f}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
