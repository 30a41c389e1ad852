"""What a reader of a report has to know first, worst first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from softcp_gpu.synthesize.report.tally import TRAIN, Tally

SHOWN = 20  # entries of a list; `summary.json` has them all
MEANINGS = MappingProxyType(
    {
        "pasted": "written to the set",
        "no_legal_place": "no place met the bounds on region and lesions (min_region_overlap, max_lesion_overlap, ...)",
        "lesion_too_small": "the lesion was smaller than erosion needs (k_erode, on_small)",
        "empty_source": "the source showed no lesion, or its transform left none",
        "not_drawn": "the draw left the image as it was",
        "cropped_away": "a crop of the whole image cut the lesion off",
        "unreadable": "a file of the data set could not be read",
        "unwritable": "the data set's format cannot hold the result",
    }
)


class Finding(NamedTuple):
    """One thing, in a sentence or two, with examples."""

    level: str  # "warning" or "note"
    title: str
    text: str
    items: Sequence[str] = ()


def counted(count: int, noun: str) -> str:
    """A number and its noun.

    Example:
        >>> counted(1, "case"), counted(1200, "case")
        ('1 case', '1,200 cases')
    """
    return f"{count:,} {noun}" + "s" * (count != 1)


def look_for(tally: Tally, summary: dict[str, Any], split: dict[str, list[str]]) -> list[Finding]:
    """Everything that a run's record shows to be wrong, unfinished or unknown.

    Args:
        tally: the sums over the run's lists.
        summary: `summary.json`.
        split: `split.json`.

    Returns:
        Warnings, then notes.
    """
    found = [*_leaks(tally, summary, split), *_unfinished(tally, summary), *_unknown(tally, summary)]
    return sorted(found, key=lambda finding: finding.level != "warning")


def _leaks(tally: Tally, summary: dict[str, Any], split: dict[str, list[str]]) -> Iterator[Finding]:
    near = summary.get("near_duplicates") or []
    if near:
        text = "A training case and a held-out one look alike: scores on the held-out part may be too good."
        pairs = [f"{x['train']} ({TRAIN}) and {x['other']} ({x['part']}), {x['distance']} bits apart" for x in near]
        yield Finding("warning", f"{counted(len(near), 'near-duplicate')} across the split", text, _some(pairs))
    if tally.leaking:
        text = "Their background or source, or its patient, is held out: do not train on them."
        title = f"{counted(tally.leaking, 'sample')} made from held-out cases"
        yield Finding("warning", title, text, _some(tally.leaks, tally.leaking))
    if shared := tally.shared_patients():
        text = "They are trained on and held out: scores on the held-out part say nothing about new patients."
        yield Finding("warning", f"{counted(len(shared), 'patient')} on both sides of the split", text, _some(shared))
    listed = {name: part for part, names in split.items() for name in names}
    moved = sorted(name for name, part in tally.part_of.items() if listed.get(name, "unused") != part)
    if moved:
        text = "split.json and inputs.jsonl name different parts: one of them was changed after the run."
        yield Finding("warning", f"{counted(len(moved), 'case')} of which the part is in doubt", text, _some(moved))


def _unfinished(tally: Tally, summary: dict[str, Any]) -> Iterator[Finding]:
    failed = tally.samples - tally.statuses["pasted"]
    if failed:
        statuses = [(status, count) for status, count in tally.statuses.most_common() if status != "pasted"]
        lines = [f"{status}: {counted(count, 'sample')}; {MEANINGS.get(status, '')}" for status, count in statuses]
        text = "None of the pairs that were tried for them worked; the last try of each ended so:"
        yield Finding("warning", f"{failed:,} of {counted(tally.samples, 'sample')} not pasted", text, lines)
    if (tally.samples, tally.statuses["pasted"]) != (summary["requested"], summary["written"]):
        text = f"summary.json tells of {summary['written']:,} written of {summary['requested']:,}."
        title = f"samples.jsonl lists {tally.statuses['pasted']:,} written of {tally.samples:,}"
        yield Finding("warning", title, text)
    if problems := summary["problems"]:
        lines = [x["reason"] if x["path"] in x["reason"] else f"{x['path']}: {x['reason']}" for x in problems]
        yield Finding("warning", f"{counted(len(problems), 'problem')} with files", "They are left out.", _some(lines))


def _unknown(tally: Tally, summary: dict[str, Any]) -> Iterator[Finding]:
    unread = tally.parts[TRAIN].cases - tally.real.count
    if unread:
        text = "Their images or labels could not be used; the counts below are without them."
        yield Finding("note", f"{counted(unread, 'training case')} left out", text)
    cases = sum(part.cases for part in tally.parts.values())
    unknown = sum(part.unknown for part in tally.parts.values())
    if unknown:
        text = "Each such case counts as a patient of its own; two of one patient may lie on both sides of the split."
        yield Finding("note", f"Patients unknown for {unknown:,} of {counted(cases, 'case')}", text)
    if cases == tally.parts[TRAIN].cases:
        text = "Every case may be in a sample, so none of them can test what was trained on this set."
        yield Finding("note", "No case is held out", text)
    elif summary.get("near_duplicates") is None or tally.with_hash < cases:
        without = cases if summary.get("near_duplicates") is None else cases - tally.with_hash
        yield Finding("note", f"Near-duplicates were not looked for among {counted(without, 'case')}", "")


def _some(lines: Sequence[str], total: int | None = None) -> list[str]:
    shown = list(lines[:SHOWN])
    more = (total or len(lines)) - len(shown)
    return [*shown, f"and {more:,} more"] if more else shown
