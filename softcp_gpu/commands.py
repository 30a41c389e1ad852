"""The commands behind `softcp`, with typer and rich."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from softcp_gpu import __version__, phantoms
from softcp_gpu.data import LAYOUTS, Case, manifest, write_image, write_mask
from softcp_gpu.synthesize import Shown, Summary, synthesize
from softcp_gpu.synthesize.sheet import draw_sheet

app = typer.Typer(
    help="Soft-CP: soft copy-paste augmentation for medical lesion segmentation.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
SHOWN_PROBLEMS = 10
TRANSFORMS = ("object_transform", "background_transform", "image_transform")
console = Console(emoji=False)  # a folder called :cat: is shown as that
errors = Console(stderr=True, emoji=False)

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
    data: Annotated[Path, typer.Argument(help="Folder of the data set.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="Folder for the synthetic set; new or empty.", show_default=False)],
    layout: Annotated[
        str | None, typer.Option(help=f"One of {', '.join(LAYOUTS)}; found by itself if not given.")
    ] = None,
    ratio: Annotated[str, typer.Option(help="Real : synthetic.")] = "3:1",
    count: Annotated[
        int | None, typer.Option(help="Number of samples, instead of a ratio.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed makes the same set.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, ..., or auto: CUDA if there is one.")] = "auto",
    config: Annotated[
        Path | None, typer.Option(help="TOML or JSON file with keywords of SoftCP.", show_default=False)
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            help="Which cases may be used. auto: the training part of the data set's own split, else all; all; shares "
            "of train:val:test such as 5:1:1, whole patients; or a JSON file with the ids or patients of each part."
        ),
    ] = "auto",
    region: Annotated[
        str,
        typer.Option(help="What lesions must touch. auto: the data set's organ, else the body in the image; none."),
    ] = "auto",
    overwrite: Overwrite = False,
    sheet: SheetRows = 8,
) -> None:
    """Make a synthetic set from a folder of images and masks, in the same format."""

    def run(on_sample: Callable[[Summary, Shown], None]) -> Summary:
        return synthesize(
            data,
            out,
            layout=layout,
            ratio=ratio,
            count=count,
            seed=seed,
            device=device,
            config=read_config(config),
            split=split,
            region=region,
            overwrite=overwrite,
            on_sample=on_sample,
        )

    _run(run, out, sheet)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the demo.")] = Path("softcp_demo"),
    count: Annotated[int, typer.Option(min=2, help="Number of phantoms.")] = 24,
    size: Annotated[int, typer.Option(min=32, help="Their height and width in pixels.")] = 192,
    seed: Annotated[int, typer.Option(help="The same seed makes the same set.")] = 0,
    overwrite: Overwrite = False,
    sheet: SheetRows = 6,
) -> None:
    """Make phantoms, then a synthetic set from them."""

    def run(on_sample: Callable[[Summary, Shown], None]) -> Summary:
        for folder in (out / "phantoms", out / "synthetic"):  # both are checked before one is emptied
            manifest.check_folder(folder, overwrite)
        manifest.prepare_folder(out / "phantoms", overwrite)
        write_phantoms(out / "phantoms", count, size, seed)
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


def write_phantoms(folder: Path, count: int, size: int, seed: int) -> None:
    """Writes phantoms as a data set of slices, four to a patient, with red lesions in blue organs.

    They are recorded as a run's samples are, each before it is written, so that only they are ever overwritten.
    """
    image, mask, region = phantoms.batch(count, (size, size), seed=seed)
    pixels = (image * 255).round().clamp(0, 255).byte().movedim(1, -1).numpy()
    for i in range(count):
        path = folder / "images" / f"case{i // 4:03d}_{i % 4}.png"
        target = folder / "masks" / path.name
        files = {"image": f"images/{path.name}", "mask": f"masks/{path.name}"}
        manifest.append_line(folder / manifest.SAMPLES, {"id": path.stem, "files": files})
        like = Case(path.stem, path, (target,), "kits2d", folder)
        write_image(path, pixels[i])
        write_mask(target, LAYOUTS["kits2d"].encode_labels(like, mask[i, 0].bool().numpy(), region[i, 0].numpy()))


def read_config(path: Path | None) -> dict[str, Any]:
    """Keywords of SoftCP from a TOML or JSON file; TOML has no null, so the word "none" turns a transform off."""
    if path is None:
        return {}
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except (OSError, ValueError) as error:
        raise ValueError(f"config: expected a TOML or JSON file, found {path} ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"config: expected keywords and values, found {type(content).__name__} in {path}")
    return {name: None if name in TRANSFORMS and value == "none" else value for name, value in content.items()}


def _run(run: Callable[[Callable[[Summary, Shown], None]], Summary], out: Path, rows: int) -> None:
    """Runs with a progress bar; then the contact sheet and the counts. Bad input ends in one line on stderr."""
    kept: list[Shown] = []
    bar = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn())
    progress = Progress(TextColumn("pasting"), *bar, TextColumn("{task.fields[counts]}"), console=console)
    task = progress.add_task("", total=None, counts="")
    reading = console.status("reading the data set")

    def on_sample(summary: Summary, shown: Shown) -> None:
        reading.stop()
        progress.start()
        counts = ", ".join(f"{number} {status}" for status, number in summary.statuses.items())
        progress.update(task, total=summary.requested, advance=1, counts=counts)
        if shown.pasted and len(kept) < rows and shown.number >= len(kept) * summary.requested / rows:
            kept.append(shown)

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
        errors.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(2) from error
    _show(summary, out, bool(kept))
    if not summary.written:
        errors.print("[bold red]error:[/] not one sample could be pasted; the statuses above say why")
        raise typer.Exit(1)


def _show(summary: Summary, out: Path, sheet: bool) -> None:
    facts = f"layout: {summary.layout}\nsplit: {summary.split}\nregion: {summary.region}"
    console.print(escape(facts), soft_wrap=True)
    table = Table("status", "samples", "tries")
    for status in summary.tries:
        table.add_row(status, str(summary.statuses[status]), str(summary.tries[status]))
    console.print(table)
    for problem in summary.problems[:SHOWN_PROBLEMS]:
        errors.print(f"[yellow]left out:[/] {escape(str(problem))}", soft_wrap=True)
    if len(summary.problems) > SHOWN_PROBLEMS:
        errors.print(
            f"[yellow]left out:[/] {len(summary.problems) - SHOWN_PROBLEMS} more, listed in {manifest.SUMMARY}"
        )
    if summary.tries["no_legal_place"] > summary.tries["pasted"]:
        console.print("Most tries found no legal place: see min_region_overlap and max_lesion_overlap (--config).")
    console.print(f"{summary.written} of {summary.requested} samples in {escape(str(out))}", soft_wrap=True)
    if sheet:
        console.print(f"picture: {escape(str((out / manifest.SHEET).resolve()))}", soft_wrap=True)
