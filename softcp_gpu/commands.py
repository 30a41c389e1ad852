"""The commands behind `softcp`, with typer and rich."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from softcp_gpu import __version__
from softcp_gpu.data import LAYOUTS, VOLUME_LAYOUTS, Problem, find_layout, manifest
from softcp_gpu.data.cut import MARGIN, build_bank
from softcp_gpu.synthesize import Shown, Summary, synthesize
from softcp_gpu.synthesize.inputs import read_config, write_phantoms, write_volumes
from softcp_gpu.synthesize.picture import Picture, pictures
from softcp_gpu.synthesize.plan import real_cases, split_cases
from softcp_gpu.synthesize.save import FORMATS
from softcp_gpu.synthesize.sheet import draw_sheet

app = typer.Typer(
    help="Soft-CP: soft copy-paste augmentation for medical lesion segmentation.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
SHOWN_PROBLEMS = 10
console = Console(emoji=False)  # a folder called :cat: is shown as that
errors = Console(stderr=True, emoji=False)

SPLIT = (
    "Which cases may be used. auto: the training part of the data set's own split, else all; all; shares of "
    "train:val:test such as 5:1:1, whole patients; or a JSON file with the ids or patients of each part."
)
Data = Annotated[Path, typer.Argument(help="Folder of the data set.", show_default=False)]
LayoutName = Annotated[
    str | None, typer.Option(help=f"One of {', '.join([*LAYOUTS, *VOLUME_LAYOUTS])}; found by itself if not given.")
]
Labels = list[int] | None
LesionLabel = Annotated[
    Labels, typer.Option(help="Label id of lesions in volumes; may be repeated.", show_default=False)
]
RegionLabel = Annotated[
    Labels, typer.Option(help="Label id of the organ in volumes; repeated for a union.", show_default=False)
]
Parts = Annotated[str, typer.Option(help=SPLIT)]
Seed = Annotated[int, typer.Option(help="The same seed makes the same set.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier run wrote there.")]
SheetRows = Annotated[int, typer.Option("--sheet", min=0, help="Rows of the contact sheet; 0 makes none.")]


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    """Soft-CP: soft copy-paste augmentation for medical lesion segmentation."""
    if show:
        console.print(__version__)
        raise typer.Exit


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
    split: Parts = "auto",
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
    overwrite: Overwrite = False,
    sheet: SheetRows = 8,
) -> None:
    """Make a synthetic set from a folder of images or volumes and their masks."""

    def run(on_sample: Callable[[Summary, Shown], None]) -> Summary:
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
            config=read_config(config),
            split=split,
            region=region,
            bank=bank,
            format=format,
            overwrite=overwrite,
            on_sample=on_sample,
        )

    _run(run, out, sheet)


@app.command("bank")
def bank_command(
    data: Data,
    bank: Annotated[Path, typer.Argument(help="Folder for the lesion bank; new or empty.", show_default=False)],
    layout: LayoutName = None,
    lesion_label: LesionLabel = None,
    split: Parts = "auto",
    seed: Annotated[int, typer.Option(help="Of a split by chance.")] = 0,
    margin: Annotated[float, typer.Option(min=0, help="Tissue around a lesion: mm in volumes, else pixels.")] = MARGIN,
    overwrite: Overwrite = False,
) -> None:
    """Cut out the lesions of a data set, once, for `--bank` and for training."""
    try:
        found = find_layout(data, layout)
        found = found.with_roles(lesion_label) if lesion_label else found
        cases, problems = real_cases(found, data)
        train = split_cases(cases, split, seed)[0].train
        with console.status(f"cutting out the lesions of {len(train)} cases"):
            built = build_bank(found, train, bank, margin=margin, overwrite=overwrite)
    except ValueError as error:
        raise _refused(error) from error
    _show_problems([*problems, *built.problems], None)
    console.print(f"{built.lesions} lesions in {escape(str(bank))}", soft_wrap=True)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the demo.")] = Path("softcp_demo"),
    count: Annotated[int, typer.Option(min=2, help="Number of phantoms.")] = 24,
    size: Annotated[int, typer.Option(min=32, help="Their height and width in pixels.")] = 192,
    seed: Seed = 0,
    volumes: Annotated[
        bool, typer.Option("--volumes", help="Volumes, half as deep as high, as KiTS19 has them.")
    ] = False,
    overwrite: Overwrite = False,
    sheet: SheetRows = 6,
) -> None:
    """Make phantoms, then a synthetic set from them."""

    def run(on_sample: Callable[[Summary, Shown], None]) -> Summary:
        for folder in (out / "phantoms", out / "synthetic"):  # both are checked before one is emptied
            manifest.check_folder(folder, overwrite)
        manifest.prepare_folder(out / "phantoms", overwrite)
        (write_volumes if volumes else write_phantoms)(out / "phantoms", count, size, seed)
        return synthesize(
            out / "phantoms",
            out / "synthetic",
            seed=seed,
            split="all",
            overwrite=overwrite,
            config={"match": "rim"},
            on_sample=on_sample,
        )

    _run(run, out / "synthetic", sheet)


def _run(run: Callable[[Callable[[Summary, Shown], None]], Summary], out: Path, rows: int) -> None:
    """Runs with a progress bar; then the contact sheet and the counts. Bad input ends in one line on stderr."""
    kept: list[Picture] = []
    samples = 0
    bar = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn())
    progress = Progress(TextColumn("pasting"), *bar, TextColumn("{task.fields[counts]}"), console=console)
    task = progress.add_task("", total=None, counts="")
    reading = console.status("reading the data set")

    def on_sample(summary: Summary, shown: Shown) -> None:
        nonlocal samples
        reading.stop()
        progress.start()
        counts = ", ".join(f"{number} {status}" for status, number in summary.statuses.items())
        progress.update(task, total=summary.requested, advance=1, counts=counts)
        if shown.pasted and samples < rows and shown.number >= samples * summary.requested / rows:
            kept.extend(pictures(shown))
            samples += 1

    try:
        reading.start()
        try:
            summary = run(on_sample)
        finally:
            reading.stop()
            if progress.live.is_started:
                progress.stop()
        if kept:
            title = f"{summary.layout}: {summary.written} synthetic samples from {summary.real} cases"
            draw_sheet(out / manifest.SHEET, kept, title)
    except ValueError as error:
        raise _refused(error) from error
    _show(summary, out, bool(kept))
    if not summary.written:
        errors.print("[bold red]error:[/] not one sample could be pasted; the statuses above say why")
        raise typer.Exit(1)


def _show(summary: Summary, out: Path, sheet: bool) -> None:
    ids = ", ".join(map(str, sorted(summary.lesion_labels)))
    facts = f"layout: {summary.layout}\nsplit: {summary.split}\nregion: {summary.region}\nlesion labels: {ids}"
    console.print(escape(facts), soft_wrap=True)
    table = Table("status", "samples", "tries")
    for status in summary.tries:
        table.add_row(status, str(summary.statuses[status]), str(summary.tries[status]))
    console.print(table)
    _show_problems(summary.problems, manifest.SUMMARY)
    if summary.tries["no_legal_place"] > summary.tries["pasted"]:
        console.print("Most tries found no legal place: see min_region_overlap and max_lesion_overlap (--config).")
    console.print(f"{summary.written} of {summary.requested} samples in {escape(str(out))}", soft_wrap=True)
    if sheet:
        console.print(f"picture: {escape(str((out / manifest.SHEET).resolve()))}", soft_wrap=True)


def _show_problems(problems: Sequence[Problem], listed_in: str | None) -> None:
    shown = problems if listed_in is None else problems[:SHOWN_PROBLEMS]
    for problem in shown:
        errors.print(f"[yellow]left out:[/] {escape(str(problem))}", soft_wrap=True)
    if len(problems) > len(shown):
        errors.print(f"[yellow]left out:[/] {len(problems) - len(shown)} more, listed in {listed_in}")


def _refused(error: ValueError) -> typer.Exit:
    """Bad input ends in one line on stderr."""
    errors.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
    return typer.Exit(2)
