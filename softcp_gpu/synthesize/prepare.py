"""From what is asked for to a job: the data set is looked at, and everything is checked before a file is written."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from softcp_gpu.data import DataError
from softcp_gpu.modules import LesionBank
from softcp_gpu.synthesize.job import Job, choose_device, names_of, open_bank
from softcp_gpu.synthesize.plan import Selection, sample_count, select_cases
from softcp_gpu.synthesize.save import make_saver
from softcp_gpu.synthesize.settings import Settings
from softcp_gpu.synthesize.summary import Summary

_THREADS = 8  # for reading: more than this no disk feeds


class Prepared(NamedTuple):
    """A run that can begin."""

    job: Job
    chosen: Selection
    summary: Summary
    settings: Settings  # as used: nothing is left to be found out


def prepare(data: Path, out: Path, settings: Settings, on_case: Callable[[int], None] = lambda total: None) -> Prepared:
    """Looks at a data set and makes the job of a run; writes nothing.

    Args:
        data: the data set's folder.
        out: where the run will write.
        settings: checked ones.
        on_case: called with the number of cases after each one that was looked at.

    Raises:
        DataError: nothing can be made from the folder.
        ValueError: a setting does not fit the data.
    """
    found = settings.find_layout(data)
    threads = min(_THREADS, os.cpu_count() or 1)
    chosen = select_cases(
        found, data, settings.split, settings.seed, fold=settings.fold, threads=threads, on_case=on_case
    )
    bank = None if settings.bank is None else open_bank(settings.bank, names_of(chosen.held_out))
    _check_usable(data, chosen, bank)
    real, config = len(chosen.train), dict(settings.config or {})
    requested = sample_count(real, settings.ratio, settings.count)
    organ = found.read_labels(chosen.backgrounds[0])[1] is not None
    region = "none" if settings.region == "none" else "the data set's" if organ else "the body in the image"
    drawn_by_hand = not chosen.backgrounds[0].region or settings.region_label  # and not all of the body
    if region == "the body in the image" or not (region == "none" or drawn_by_hand):
        config = {"min_region_overlap": 1.0, **config}
    used = replace(
        settings, layout=found.name, device=str(choose_device(settings.device)), config=config, region=region
    )
    job = Job(
        layout=found,
        inputs=chosen.inputs,
        backgrounds=chosen.backgrounds,
        sources=chosen.sources if bank is None else [],
        seed=settings.seed,
        config=config,
        bank=None if settings.bank is None else Path(settings.bank),
        held_out=names_of(chosen.held_out),
        device=used.device,
        saver=make_saver(settings.format, found, out, chosen.train),
        out=out,
        region=region,
        config_sha256=used.digest(),
        numba=used.numba,
    )
    job.maker(bank).check()
    summary = Summary(found.name, real, requested, chosen.how, region, problems=chosen.problems)
    summary.duplicates, summary.bytes_expected = chosen.duplicates, _bytes_expected(chosen, requested)
    return Prepared(job, chosen, summary, used)


def _check_usable(data: Path, chosen: Selection, bank: LesionBank | None) -> None:
    """At least one pair can be made of what is left."""
    backgrounds, sources = {case.id for case in chosen.backgrounds}, {case.id for case in chosen.sources}
    if backgrounds and (bank is not None or (sources and len(backgrounds | sources) > 1)):
        return
    counts = ", ".join(f"{len(group)} {part}" for part, group in chosen.parts._asdict().items())
    reasons = "".join(f"; {problem}" for problem in chosen.problems[:3])
    raise DataError(
        data,
        "a background and another case with a lesion to paste, in the training part",
        f"{len(backgrounds)} and {len(sources)} (split: {chosen.how}; {counts}{reasons})",
    )


def _bytes_expected(chosen: Selection, requested: int) -> int:
    ids = {case.id for case in chosen.backgrounds}
    sizes = [sum(file["bytes"] for file in line["files"].values()) for line in chosen.lines if line["id"] in ids]
    return round(requested * sum(sizes) / len(sizes))
