"""`softcp verify` and `softcp replay`: whether a run is what it says, and where one of its samples comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from softcp_gpu.commands.app import app, console, errors, refused
from softcp_gpu.commands.show import SHOWN_PROBLEMS

if TYPE_CHECKING:
    from softcp_gpu.data import Problem
    from softcp_gpu.synthesize.checking.verify import OnStep

Out = Annotated[Path, typer.Argument(help="Folder of a synthetic set.", show_default=False)]
Data = Annotated[
    Path | None, typer.Option(help="Where the data set is now; where it was, if not given.", show_default=False)
]
Device = Annotated[str | None, typer.Option(help="Where to compute; as the run did, if not given.", show_default=False)]


@app.command("verify")
def verify_command(
    out: Out,
    data: Data = None,
    share: Annotated[
        float, typer.Option(min=0, max=1, help="Of the samples to make again; 0 needs no data set.")
    ] = 0.1,
    device: Device = None,
    show_all: Annotated[bool, typer.Option("--all", help="Show every finding, not the first ones alone.")] = False,
) -> None:
    """Check that a synthetic set is what its record says: files, counts, no leakage, samples made again.

    Changes nothing. Ends with 0 if all is well, with 1 if not.
    """
    from softcp_gpu.synthesize.checking.verify import verify

    try:
        with _progress() as on_step:
            report = verify(out, data, share, device, on_step)
    except ValueError as error:
        raise refused(error) from error
    console.print(
        f"{report.samples} samples, {report.pasted} of them pasted, {report.files} files; {report.remade} made again"
    )
    _show(report.problems, show_all)
    if report.problems:
        errors.print(f"[bold red]error:[/] {len(report.problems)} findings in {escape(str(out))}", soft_wrap=True)
        raise typer.Exit(1)
    console.print("all is as recorded")


@app.command("replay")
def replay_command(
    out: Out,
    sample: Annotated[str, typer.Argument(help="Id of a sample, or its number.", show_default=False)],
    to: Annotated[
        Path | None, typer.Option(help="New folder for its files and a picture of it.", show_default=False)
    ] = None,
    data: Data = None,
    device: Device = None,
) -> None:
    """Make one sample again from its parents, and compare it with the one in the set."""
    from softcp_gpu.data import manifest
    from softcp_gpu.synthesize.checking.replay import replay

    try:
        record, problems = replay(out, sample, to=to, data=data, device=device)
    except ValueError as error:
        raise refused(error) from error
    lines = [f"{record['id']}: {record['status']}"]
    if record["status"] == "pasted":
        for role in ("background", "source"):
            parent = record[role]
            row = f", row {parent['bank_row']} of the bank" if "bank_row" in parent else ""
            patient = "" if parent["patient"] is None else f", patient {parent['patient']}"
            lines.append(f"{role}: {parent['id']}{patient}{row}")
        lines.append(f"seed: {record['seed']}")
    for number, attempt in enumerate(record["tries"], 1):
        lines.append(f"try {number}: {attempt['source']} into {attempt['background']}: {attempt['status']}")
    console.print(escape("\n".join(lines)), soft_wrap=True)
    _show(problems, True)
    if problems:
        errors.print("[bold red]error:[/] it is not the same", soft_wrap=True)
        raise typer.Exit(1)
    if record["status"] == "pasted":
        console.print("made again, it is the same, byte for byte")
        if to is not None:
            console.print(f"picture: {escape(str((to / manifest.SHEET).resolve()))}", soft_wrap=True)


def _show(problems: Sequence[Problem], everything: bool) -> None:
    shown = problems if everything else problems[:SHOWN_PROBLEMS]
    for problem in shown:
        errors.print(f"[yellow]finding:[/] {escape(str(problem))}", soft_wrap=True)
    if len(problems) > len(shown):
        errors.print(f"[yellow]finding:[/] {len(problems) - len(shown)} more; --all shows them")


@contextmanager
def _progress() -> Iterator[OnStep]:
    """A bar for the lines and files, and one for the samples that are made again."""
    bar = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn())
    progress = Progress(TextColumn("{task.description}"), *bar, console=console)
    tasks = {what: progress.add_task(what, total=None, visible=False) for what in ("checked", "made again")}

    def on_step(what: str, total: int) -> None:
        progress.start()
        progress.update(tasks[what], total=total, advance=1, visible=True)

    try:
        yield on_step
    finally:
        if progress.live.is_started:
            progress.stop()
