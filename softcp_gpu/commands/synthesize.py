"""`softcp synthesize`: a synthetic set from a data set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softcp_gpu.choices import BLENDS, ENGINES, FORMATS, PRESETS
from softcp_gpu.commands.app import (
    Data,
    Fold,
    LayoutName,
    LesionLabel,
    Overwrite,
    Parts,
    RegionLabel,
    Seed,
    SheetRows,
    app,
    console,
    refused,
)
from softcp_gpu.commands.show import OnCase, OnSample, run_shown, show_facts, show_problems
from softcp_gpu.workers import get_ready, uninterrupted

if TYPE_CHECKING:
    from softcp_gpu.synthesize import Summary

_MIB = 1 << 20


def _cores(engine: str) -> int:
    if engine != ENGINES[0]:
        raise ValueError(f"workers: expected 1 or more, as a cluster's cores are not counted ({engine}), found 0")
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@app.command("synthesize")
def synthesize_command(
    data: Data,
    out: Annotated[Path, typer.Argument(help="Folder for the synthetic set; new or empty.", show_default=False)],
    layout: LayoutName = None,
    lesion_label: LesionLabel = None,
    region_label: RegionLabel = None,
    ratio: Annotated[str, typer.Option(help="Real : synthetic.")] = "3:1",
    count: Annotated[
        int | None, typer.Option(help="Number of samples, instead of a ratio.", show_default=False)
    ] = None,
    seed: Seed = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, ..., or auto: CUDA if there is one.")] = "auto",
    config: Annotated[
        Path | None, typer.Option(help="TOML or JSON file with keywords of SoftCP.", show_default=False)
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help=f"{', '.join(PRESETS)}: keywords chosen on that data set, which --config refines.", show_default=False
        ),
    ] = None,
    blend: Annotated[
        str | None,
        typer.Option(help=f"{', '.join(BLENDS)}; {BLENDS[0]} if the config names none.", show_default=False),
    ] = None,
    split: Parts = "auto",
    fold: Fold = None,
    region: Annotated[
        str,
        typer.Option(help="What lesions must touch. auto: the data set's organ, else the body in the image; none."),
    ] = "auto",
    bank: Annotated[
        Path | None, typer.Option(help="Folder of a lesion bank that gives the lesions.", show_default=False)
    ] = None,
    format: Annotated[
        str,
        typer.Option(help=f"{FORMATS[0]}: the data set's own; {FORMATS[1]}: for nnU-Net, real cases and folds too."),
    ] = FORMATS[0],
    numba: Annotated[
        bool, typer.Option("--numba", help="Compute with Numba: faster on a CPU, in long runs; other last bits.")
    ] = False,
    workers: Annotated[int, typer.Option(min=0, help="Processes that make samples; 0: one per core.")] = 1,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Samples that a worker computes together.", show_default="up to 16, of small images"),
    ] = None,
    engine: Annotated[
        str, typer.Option(help=f"{ENGINES[0]}: this machine; {ENGINES[1]}: the workers run on a Ray cluster.")
    ] = ENGINES[0],
    overwrite: Overwrite = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse any problem, and near-duplicates across the split.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be made; write nothing.")] = False,
    sheet: SheetRows = 8,
) -> None:
    """Make a synthetic set from a folder of images or volumes and their masks."""
    with uninterrupted():
        if workers != 1 and engine == ENGINES[0] and not dry_run:
            get_ready()  # before torch is imported here, while `synthesize` itself can do it only after
        from softcp_gpu.synthesize import synthesize
        from softcp_gpu.synthesize.inputs import read_config

    def run(on_case: OnCase, on_sample: OnSample) -> Summary:
        return synthesize(
            data,
            out,
            layout=layout,
            lesion_label=lesion_label,
            region_label=region_label,
            ratio=ratio,
            count=count,
            seed=seed,
            device=device,
            config=read_config(config, blend, preset),
            split=split,
            fold=fold,
            region=region,
            bank=bank,
            format=format,
            numba=numba,
            workers=workers or _cores(engine),
            batch_size=batch_size,
            engine=engine,
            overwrite=overwrite,
            resume=resume,
            strict=strict,
            dry_run=dry_run,
            on_case=on_case,
            on_sample=on_sample,
        )

    if not dry_run:
        run_shown(run, out, sheet)
        return
    try:
        with console.status("looking at the data set"):
            summary = run(lambda total: None, lambda summary, record: None)
    except ValueError as error:
        raise refused(error) from error
    show_facts(summary)
    show_problems(summary.problems, None)
    size = summary.bytes_expected / _MIB
    console.print(f"would make {summary.requested} samples from {summary.real} cases, about {size:.1f} MiB")
