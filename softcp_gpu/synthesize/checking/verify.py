"""Whether a run is what its record says: files, counts, no leakage, and samples that can be made again."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from softcp_gpu import checks
from softcp_gpu.data import DataError, Problem, manifest
from softcp_gpu.synthesize.again import open_run
from softcp_gpu.synthesize.checking.leaks import Fault, RealCases
from softcp_gpu.synthesize.checking.lines import Samples
from softcp_gpu.synthesize.checking.listed import other_files, problem, unlisted
from softcp_gpu.synthesize.checking.remake import Remaker
from softcp_gpu.synthesize.checking.schema import check_record

_CHUNK = 256  # lines in hand
_THREADS = 8  # for reading: more than this no disk feeds
_SAME = ("layout", "lesion_label", "region_label", "seed", "region", "format", "config")
_FOLDS = "splits_final.json"

OnStep = Callable[[str, int], None]
_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass
class Report:
    """What was looked at, and all that is wrong."""

    samples: int = 0  # lines of the list
    pasted: int = 0
    files: int = 0  # of these samples
    remade: int = 0  # samples that were made again
    finished: bool = False
    problems: list[Problem] = field(default_factory=list)

    def add(self, path: Path | str, expected: str, found: str, at: str = "") -> None:
        """Adds what is wrong with a file."""
        self.problems.append(problem(path, expected, found, at))


def verify(
    out: Path | str,
    data: Path | str | None = None,
    share: float = 0.1,
    device: str | None = None,
    on_step: OnStep = lambda what, total: None,
) -> Report:
    """Checks a run against its own lists, and makes some of its samples again; changes nothing.

    Checked are: the fields of every list; what one list says against the others; size and hash of every file, and that
    no image or mask is there that no list names; that nobody who is held out is in a sample; and of the samples that
    are made again that the files are the same, byte for byte.

    Args:
        out: the folder of the run, finished or not.
        data: where the data set is now; None: where it was.
        share: of the pasted samples to make again, in [0, 1], drawn by a hash of the seed and the id; at least one,
            unless it is 0, which needs no data set.
        device: where to compute; None: as the run did.
        on_step: called with what is done and how often it will be, each time that it is.

    Returns:
        What was found.

    Raises:
        DataError: there is no run; the data set is not there.
        ValueError: the share or the device.
    """
    out, report = Path(out), Report()
    checks.number("share", share, 0, 1)
    if not any((out / name).is_file() for name in (manifest.RUN, manifest.SAMPLES)):
        raise DataError(out, f"the folder of a run, with {manifest.RUN} and {manifest.SAMPLES}", "none")
    facts = _read(out, "run", manifest.RUN, report)
    if facts and share:
        _check_data(Path(facts["data"] if data is None else data))
    cases = _real_cases(out, facts, report)
    samples = Samples(out, facts, cases, share)
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        _check_samples(samples, pool, report, on_step)
        _check_files(samples, report)
        _check_split(samples, report)
        _check_summary(samples, report)
        if facts and cases and samples.drawn:
            _make_again(samples, data, device, pool, report, on_step)
    return report


def _read(out: Path, kind: str, name: str, report: Report) -> dict[str, Any] | None:
    """A file of one record, if it is what it should be."""
    try:
        content = manifest.read_json(out / name)
        check_record(kind, content, out / name)
    except DataError as error:
        report.add(*error.args)
        return None
    return content


def _check_data(root: Path) -> None:
    if not root.is_dir():
        raise DataError(
            root, "the data set of the run (--data says where it is now; --share 0 needs none)", "no folder"
        )


def _real_cases(out: Path, facts: Mapping[str, Any] | None, report: Report) -> RealCases | None:
    """The cases of `inputs.jsonl`, if they are what they should be."""
    path, before = out / manifest.INPUTS, len(report.problems)
    cases = RealCases(from_bank=bool(facts and facts["arguments"]["bank"]))
    try:
        for number, line in enumerate(manifest.read_lines(path), 1):
            check_record("input", line, f"{path}, line {number}")
            if line["id"] in cases.lines:
                report.add(path, "each case once", f"{line['id']} twice")
            cases.add(line)
    except DataError as error:
        report.add(*error.args)
    if len(report.problems) > before:
        return None
    if facts and (found := cases.digest()) != facts["data_sha256"]:
        report.add(path, f"the data_sha256 {facts['data_sha256']} of {manifest.RUN}", found)
    return cases


def _check_samples(samples: Samples, pool: Executor, report: Report, on_step: OnStep) -> None:
    if not samples.path.is_file():
        report.add(samples.path, "the list of the samples", "none")
    total = sum(1 for _ in samples.read())
    for line in _in_threads(pool, samples.check, samples.read()):
        report.problems += [*line.problems, *samples.add(line)]
        on_step("checked", total)
    report.samples, report.pasted = samples.lines, samples.statuses["pasted"]
    report.files = len(samples.files)


def _check_files(samples: Samples, report: Report) -> None:
    out, listed = samples.out, set(samples.files)
    try:
        for name, needed in other_files(out):
            listed.add(name)
            if needed and not (out / name).is_file():
                report.add(out / name, "a file of a real case", "none")
    except DataError as error:
        report.add(*error.args)
    report.problems += unlisted(out, listed)


def _check_split(samples: Samples, report: Report) -> None:
    out, cases = samples.out, samples.cases
    if cases is None:
        return
    for fault in cases.patients():
        report.add(out / manifest.INPUTS, *fault)
    checked: list[tuple[str, Callable[[Any], Iterable[Fault]]]] = [(manifest.SPLIT, cases.split)]
    if samples.parents and (out / manifest.SUMMARY).is_file():
        checked.append((_FOLDS, lambda folds: cases.folds(folds, samples.parents)))
    for name, faults in checked:
        try:
            for fault in faults(json.loads((out / name).read_text(encoding="utf-8"))):
                report.add(out / name, *fault)
        except (OSError, RecursionError, ValueError, AttributeError, KeyError, TypeError) as error:
            report.add(out / name, "ids by part", f"{type(error).__name__}: {error}")


def _check_summary(samples: Samples, report: Report) -> None:
    """The counts are those of the lists, and the settings those of `run.json`."""
    path = samples.out / manifest.SUMMARY
    if not path.is_file():
        report.add(path, "a finished run (softcp synthesize --resume goes on with it)", "one that was cut short")
        return
    if (summary := _read(samples.out, "summary", manifest.SUMMARY, report)) is None:
        return
    report.finished = True
    expected: dict[str, Any] = {
        "requested": samples.lines,
        "written": samples.statuses["pasted"],
        "statuses": dict(samples.statuses),
        "tries": dict(samples.tries),
        "lesion_labels": sorted(samples.lesion_labels),
    }
    if samples.cases:
        expected["real"] = samples.cases.usable
    if samples.facts:
        arguments = samples.facts["arguments"]
        expected |= {name: arguments[name] for name in _SAME} | {"softcp_gpu": samples.facts["softcp_gpu"]}
    for name, value in expected.items():
        if summary[name] != value:
            report.add(path, f"{name} {value}, as in the lists and {manifest.RUN}", str(summary[name]))
    for told, reason in sorted(samples.told - {(x["path"], x["reason"]) for x in summary["problems"]}):
        report.add(path, f"the problem {told}: {reason}, as in {manifest.SAMPLES}", "none such")


def _make_again(
    samples: Samples, data: Path | str | None, device: str | None, pool: Executor, report: Report, on_step: OnStep
) -> None:
    """Makes the drawn samples again, in a folder that goes."""
    drawn = samples.drawn
    records = (json.loads(text) for number, text in samples.read() if number in drawn)
    with tempfile.TemporaryDirectory() as folder:
        try:
            remaker = Remaker(open_run(samples.out, data, device), Path(folder))
        except DataError as error:
            report.add(*error.args)
            return
        for found in _in_threads(pool, remaker.problems, records):
            report.problems += found
            report.remade += 1
            on_step("made again", len(drawn))


def _in_threads(pool: Executor, function: Callable[[_T], _R], items: Iterable[_T]) -> Iterator[_R]:
    """`map` in order, with few items in hand."""
    rest = iter(items)
    while some := list(islice(rest, _CHUNK)):
        yield from pool.map(function, some)
