"""A finished run opened again: its samples can be made anew from their parents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from softcp_gpu.data import DataError, manifest
from softcp_gpu.synthesize.job import Job
from softcp_gpu.synthesize.sample import SampleMaker
from softcp_gpu.synthesize.save import make_saver
from softcp_gpu.synthesize.settings import Settings
from softcp_gpu.synthesize.survey import Inputs, Stamp


@dataclass(frozen=True)
class Run:
    """A run on disk."""

    out: Path
    facts: dict[str, Any]  # of `run.json`
    job: Job

    def records(self) -> Iterator[dict[str, Any]]:
        """The samples, one at a time, in the order of their numbers."""
        return manifest.read_lines(self.out / manifest.SAMPLES)

    def maker(self, out: Path | None = None) -> SampleMaker:
        """Makes samples as the run did; what it saves goes into another folder."""
        return self.job.into(self.out if out is None else out).maker()


def open_run(out: Path | str, data: Path | str | None = None, device: str | None = None) -> Run:
    """Reads what a run was made from.

    Args:
        out: the folder of the run.
        data: where the data set is now; None: where it was.
        device: where to compute; None: as the run did.

    Raises:
        DataError: there is no run, or no data set.
    """
    out = Path(out)
    facts = manifest.read_json(out / manifest.RUN)
    if facts.get("schema") != manifest.SCHEMA:
        raise DataError(out / manifest.RUN, f"schema {manifest.SCHEMA}", str(facts.get("schema")))
    try:
        settings = Settings(**facts["arguments"])
        root = Path(facts["data"] if data is None else data)
        digest = facts["config_sha256"]
    except (KeyError, TypeError) as error:
        raise DataError(out / manifest.RUN, "the settings of a run", f"{type(error).__name__}: {error}") from error
    if settings.digest() != digest:
        expected = f"the settings and the bank of the run (config_sha256 {digest})"
        raise DataError(out / manifest.RUN, expected, f"others ({settings.digest()})")
    settings = settings if device is None else replace(settings, device=device)
    layout = settings.find_layout(root)
    known = {case.id: case for case in layout.cases(root)[0]}
    try:
        lines = {line["id"]: line for line in manifest.read_lines(out / manifest.INPUTS)}
        usable = [line for line in lines.values() if line["part"] == "train" and "shape" in line]
        train = [known[line["id"]] for line in usable if line["id"] in known]
        backgrounds, sources = ([case for case in train if lines[case.id][use]] for use in ("background", "source"))
        held_out = {line[name] for line in lines.values() if line["part"] != "train" for name in ("patient", "id")}
        files = {name: file for line in lines.values() for name, file in line["files"].items()}
        # No time of change is known, so that every file is hashed before it is used.
        stamps = {name: Stamp(file["sha256"], file["bytes"], -1) for name, file in files.items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise DataError(out / manifest.INPUTS, "the cases of a run", f"{type(error).__name__}: {error}") from error
    if not train:
        raise DataError(root, f"the cases that {out / manifest.INPUTS} names", "none of them")
    job = Job(
        layout=layout,
        inputs=Inputs(root, stamps),
        backgrounds=backgrounds,
        sources=sources if settings.bank is None else [],
        seed=settings.seed,
        config=settings.config or {},
        bank=None if settings.bank is None else Path(settings.bank),
        held_out=frozenset(held_out - {None}),
        device=settings.device,
        saver=make_saver(settings.format, layout, out, train),
        out=out,
        region=settings.region,
        config_sha256=digest,
        numba=settings.numba,
    )
    return Run(out, facts, job)
