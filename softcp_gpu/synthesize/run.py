"""The run: check everything, have the samples made, write the record of each once it is whole."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from softcp_gpu import __version__, checks
from softcp_gpu.choices import ENGINES
from softcp_gpu.data import DataError, manifest, run_folder
from softcp_gpu.functional.groups import MOST, PIXELS
from softcp_gpu.synthesize.change import LESION
from softcp_gpu.synthesize.engine import Record, on_this_machine
from softcp_gpu.synthesize.job import Job, make_augmentation
from softcp_gpu.synthesize.prepare import Prepared, prepare
from softcp_gpu.synthesize.same_run import check_same_run
from softcp_gpu.synthesize.settings import Settings
from softcp_gpu.synthesize.summary import Summary
from softcp_gpu.workers import get_ready

BATCHES = 4  # for each worker, so that none is left without work


def synthesize(
    data: Path | str,
    out: Path | str,
    *,
    layout: str | None = None,
    lesion_label: Sequence[int] | None = None,
    region_label: Sequence[int] | None = None,
    ratio: str = "3:1",
    count: int | None = None,
    seed: int = 0,
    device: str = "auto",
    config: Mapping[str, Any] | None = None,
    split: str = "auto",
    fold: int | None = None,
    region: str = "auto",
    bank: Path | str | None = None,
    format: str = "same",
    numba: bool = False,
    workers: int = 1,
    batch_size: int | None = None,
    engine: str = "local",
    overwrite: bool = False,
    resume: bool = False,
    strict: bool = False,
    dry_run: bool = False,
    on_case: Callable[[int], None] = lambda total: None,
    on_sample: Callable[[Summary, Record], None] = lambda summary, record: None,
) -> Summary:
    """Makes a synthetic set from the training part of a data set.

    Every sample pastes the lesion of one training case into another one. It depends on (data, config, seed, its
    number) alone: neither on workers, batch size and engine, nor on whether the run was stopped and resumed.

    Args:
        data: the data set's folder.
        out: where to; a new or empty folder, neither inside `data` nor around it.
        layout: one of `softcp_gpu.data.LAYOUTS`; None: found by looking.
        lesion_label, region_label: ids in the masks of volumes, in place of what the layout takes them for.
        ratio: real : synthetic, such as "3:1".
        count: number of samples, instead of a ratio.
        seed: of the run.
        device: "cpu", "cuda", ..., or "auto": CUDA if there is one.
        config: keywords of `SoftCP`; `p` is 1 here whatever it says, and the layout sets the labels.
        split: where sources and backgrounds come from. "auto": the training part of the data set's own split, or every
            case if it has none; "all": every case; "5:1:1": train : val : test, whole patients, by chance; or a JSON
            file: {"train": [...], "val": [...], "test": [...]} with ids or patients, or nnU-Net's `splits_final.json`.
        fold: of `splits_final.json`, from 0.
        region: what a lesion must touch. "auto": the data set's organ if it draws one, else the body in the image,
            found by its brightness, in which the lesion then lies as a whole unless the config says otherwise; "none".
        bank: folder of a lesion bank that gives the lesions, instead of the data set's own cases; those of patients
            outside the training part are left out.
        format: "same": new samples in the data set's own format; "nnunet": the training part and the new samples as a
            raw data set of nnU-Net, with folds.
        numba: compute with the loops that Numba compiles (`pip install 'softcp-gpu[cpu]'`): faster on a CPU, other last
            bits. A process needs a second or two more to begin, and far more where they have never been compiled.
        workers: processes that make samples; 1: this one.
        batch_size: samples that a worker has in hand at once, and computes together where their images have one size;
            none depends on the others. Default: up to 16, fewer of large images.
        engine: "local", or "ray": the workers are actors on a Ray cluster.
        overwrite: may remove what an earlier run wrote to `out`.
        resume: goes on with an earlier run of the same arguments on the same files.
        strict: any problem, and near-duplicates across the split, are errors.
        dry_run: looks at everything, and writes nothing.
        on_case: called with the number of cases after each one that was looked at.
        on_sample: called with the counts and the sample's record after each sample.

    Returns:
        Counts and problems. `out` holds the images and masks and what docs/manifest.md describes.

    Raises:
        DataError: nothing can be made from the folder, or `out` is in use; the disk is full; with `strict`, a problem.
        ValueError: an argument, or a keyword of the config.
        WorkerError: workers keep dying.
    """
    data, out = Path(data), Path(out)
    asked = Settings(
        layout, lesion_label, region_label, ratio, count, seed, device, config, split, fold, region, bank, format, numba
    )
    asked.check()
    checks.choice("engine", engine, ENGINES)
    for name, value in (("workers", workers), ("batch_size", 1 if batch_size is None else batch_size)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            checks.fail(name, "a whole number of 1 or more", repr(value))
    if resume and (overwrite or dry_run):
        checks.fail("resume", f"no {'overwrite' if overwrite else 'dry_run'} beside it", "both")
    _check_apart(data, out)
    if not (resume or dry_run):
        run_folder.check_folder(out, overwrite)
    make = _engine(engine)
    if workers > 1 and engine == ENGINES[0] and not dry_run:
        get_ready()
    prepared = prepare(data, out, asked, on_case)
    batch = _batch(prepared, workers) if batch_size is None else batch_size
    if strict:
        _check_strict(data, prepared.summary)
    if dry_run:
        return prepared.summary
    if not resume:
        run_folder.make_folder(out)
    with run_folder.locked(out):
        make = partial(make, workers=workers, batch=batch)
        _run(data, prepared, make, overwrite=overwrite, resume=resume, strict=strict, on_sample=on_sample)
    return prepared.summary


def _run(
    data: Path,
    prepared: Prepared,
    make: Callable[[Job, range], Iterator[Record]],
    *,
    overwrite: bool,
    resume: bool,
    strict: bool,
    on_sample: Callable[[Summary, Record], None],
) -> None:
    """Makes the samples that are not there, in a folder that is ours."""
    job, chosen, summary, settings = prepared
    out, facts = job.out, _facts(data, prepared)
    done = 0
    if resume:
        check_same_run(out, facts, chosen.lines)
        done = run_folder.resume_folder(out, summary.requested)
        manifest.write_json(out / manifest.RUN, facts)  # the count may be another one
    else:
        run_folder.prepare_folder(out, overwrite)
        manifest.write_json(out / manifest.RUN, facts)
        manifest.write_lines(out / manifest.INPUTS, chosen.lines)
        parts = {part: [case.id for case in group] for part, group in chosen.parts._asdict().items()}
        manifest.write_json(out / manifest.SPLIT, parts)
        manifest.write_lines(out / manifest.SAMPLES, [])  # last: what has it can be resumed
    for problem in job.saver.start(resume):
        summary.tell(problem)
    for record in manifest.read_lines(out / manifest.SAMPLES):
        summary.add(record)
    summary.resumed = done
    if strict:
        _check_strict(data, summary)
    for record in make(job, range(done, summary.requested)):
        manifest.append_line(out / manifest.SAMPLES, record)
        summary.add(record)
        on_sample(summary, record)
        if strict:
            _check_strict(data, summary)
    job.saver.finish(manifest.read_lines(out / manifest.SAMPLES))
    augmentation = make_augmentation(job.config, (LESION,), ())
    manifest.write_json(out / manifest.SUMMARY, summary.plain(settings, data.name, repr(augmentation)))


def _engine(name: str) -> Callable[..., Iterator[Record]]:
    """Makes the records of (job, numbers, workers, batch)."""
    if name == "local":
        return on_this_machine
    from softcp_gpu.synthesize.ray_cluster import import_ray
    from softcp_gpu.synthesize.ray_engine import on_ray

    import_ray()  # what is missing is told before the data set is looked at
    return on_ray


def _batch(prepared: Prepared, workers: int) -> int:
    """As many samples as are computed together, but so few that every worker gets several batches."""
    largest = max(math.prod(line["shape"]) for line in prepared.chosen.lines if "shape" in line)
    each = prepared.summary.requested // (BATCHES * workers)
    return max(1, min(MOST, PIXELS // largest, each))


def _facts(data: Path, prepared: Prepared) -> dict[str, Any]:
    """What `run.json` holds: all it takes to make a sample again, and the versions."""
    files = {line["id"]: [line["part"], line["files"]] for line in prepared.chosen.lines}
    return {
        "schema": manifest.SCHEMA,
        "softcp_gpu": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "data": str(data.resolve()),
        "arguments": prepared.settings.plain(),
        "config_sha256": prepared.job.config_sha256,
        "data_sha256": manifest.digest(files),
    }


def _check_apart(data: Path, out: Path) -> None:
    here, there = data.resolve(), out.resolve()
    if there == here or here in there.parents or there in here.parents:
        raise DataError(out, "an output folder apart from the data set", f"{data} inside or around it")


def _check_strict(data: Path, summary: Summary) -> None:
    if summary.problems:
        more = f" and {len(summary.problems) - 1} more" if len(summary.problems) > 1 else ""
        raise DataError(data, "a data set without problems (--strict)", f"{summary.problems[0]}{more}")
    if summary.duplicates:
        pair = summary.duplicates[0]
        found = f"{pair.train} in train and {pair.other} in {pair.part}, and {len(summary.duplicates)} pairs in all"
        raise DataError(data, "no near-duplicates across the split (--strict)", found)
