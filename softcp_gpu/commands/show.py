"""What a run looks like on the screen: progress while it goes on, counts and problems when it is over."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from softcp_gpu.commands.app import console, errors, refused

if TYPE_CHECKING:
    from softcp_gpu.data import Problem
    from softcp_gpu.synthesize import Summary

SHOWN_PROBLEMS = 10

OnCase = Callable[[int], None]
OnSample = Callable[["Summary", dict[str, Any]], None]


class _Stopped(KeyboardInterrupt):
    """Stopped by a signal other than Ctrl-C."""


def run_shown(run: Callable[[OnCase, OnSample], Summary], out: Path, rows: int, *, go_on: str = "--resume") -> None:
    """Runs with progress; then pictures, the report and the counts. Bad input ends in one line on stderr.

    Args:
        run: makes the samples.
        out: where to.
        rows: of the contact sheet.
        go_on: the option with which the same command goes on after a stop.
    """
    from softcp_gpu.synthesize.engine import WorkerError

    try:
        with _stop_by_signal():
            with _progress() as (on_case, on_sample):
                summary = run(on_case, on_sample)
            sheet = draw_pictures(out, rows)
    except (ValueError, OSError, WorkerError) as error:
        raise refused(error) from error
    except KeyboardInterrupt as stopped:
        raise _stopped(out, 143 if isinstance(stopped, _Stopped) else 130, go_on) from stopped
    show_summary(summary, out, sheet)
    if not summary.written:
        errors.print("[bold red]error:[/] not one sample could be pasted; the statuses above say why")
        raise typer.Exit(1)


def draw_pictures(out: Path, rows: int) -> bool:
    """Draws the contact sheet and the report; whether there is a sheet."""
    from softcp_gpu.synthesize.again import open_run
    from softcp_gpu.synthesize.report import write_report
    from softcp_gpu.synthesize.sheet import draw_contact_sheet

    with console.status("drawing the contact sheet and the report"):
        drawn = rows > 0 and draw_contact_sheet(open_run(out), rows)
        write_report(out)
    return drawn


def show_summary(summary: Summary, out: Path, sheet: bool) -> None:
    """Counts, problems, and where everything is."""
    from softcp_gpu.data import manifest

    show_facts(summary)
    table = Table("status", "samples", "tries")
    for status in summary.tries:
        table.add_row(status, str(summary.statuses[status]), str(summary.tries[status]))
    console.print(table)
    show_problems(summary.problems, manifest.SUMMARY)
    if summary.tries["no_legal_place"] > summary.tries["pasted"]:
        console.print("Most tries found no legal place: see min_region_overlap and max_lesion_overlap (--config).")
    here = f", {summary.resumed} of them from before" if summary.resumed else ""
    console.print(f"{summary.written} of {summary.requested} samples in {escape(str(out))}{here}", soft_wrap=True)
    if sheet:
        console.print(f"picture: {escape(str((out / manifest.SHEET).resolve()))}", soft_wrap=True)
    console.print(f"report: {escape(str((out / manifest.REPORT).resolve()))}", soft_wrap=True)


def show_facts(summary: Summary) -> None:
    """What was found of the data set."""
    facts = f"layout: {summary.layout}\nsplit: {summary.split}\nregion: {summary.region}"
    if summary.lesion_labels:
        facts += f"\nlesion labels: {', '.join(map(str, sorted(summary.lesion_labels)))}"
    console.print(escape(facts), soft_wrap=True)
    if summary.duplicates:
        pair = summary.duplicates[0]
        text = (
            f"{len(summary.duplicates)} across the split, such as {pair.train} (train) and {pair.other} ({pair.part})"
        )
        errors.print(f"[yellow]near-duplicates:[/] {escape(text)}; --strict refuses them", soft_wrap=True)


def show_problems(problems: Sequence[Problem], listed_in: str | None) -> None:
    """The first problems, or all where no file lists them."""
    shown = problems if listed_in is None else problems[:SHOWN_PROBLEMS]
    for problem in shown:
        errors.print(f"[yellow]left out:[/] {escape(str(problem))}", soft_wrap=True)
    if len(problems) > len(shown):
        errors.print(f"[yellow]left out:[/] {len(problems) - len(shown)} more, listed in {listed_in}")


@contextmanager
def _progress() -> Iterator[tuple[OnCase, OnSample]]:
    """A bar for the look at the data set, and one for the samples with their statuses."""
    bar = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn())
    text = TextColumn("{task.description}"), TextColumn("{task.fields[counts]}")
    progress = Progress(text[0], *bar, text[1], console=console)
    tasks = [progress.add_task(what, total=None, counts="", visible=False) for what in ("looking", "pasting")]

    def on_case(total: int) -> None:
        progress.start()
        progress.update(tasks[0], total=total, advance=1, visible=True)

    def on_sample(summary: Summary, record: dict[str, Any]) -> None:
        progress.start()
        counts = ", ".join(f"{number} {status}" for status, number in summary.statuses.items())
        done = sum(summary.statuses.values())
        progress.update(tasks[1], total=summary.requested, completed=done, counts=counts, visible=True)

    try:
        yield on_case, on_sample
    finally:
        if progress.live.is_started:
            progress.stop()


@contextmanager
def _stop_by_signal() -> Iterator[None]:
    """A polite request to end, as batch systems send it, stops a run as cleanly as Ctrl-C."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise _Stopped

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # signals are for the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stopped(out: Path, code: int, go_on: str) -> typer.Exit:
    """What is whole stays; says how to go on."""
    from softcp_gpu.data import manifest

    path = out / manifest.SAMPLES
    whole = path.read_bytes().count(b"\n") if path.is_file() else 0
    errors.print(f"[bold yellow]stopped:[/] {whole} samples are whole in {escape(str(out))}", soft_wrap=True)
    if path.is_file():
        words = [word for word in sys.argv[1:] if word not in ("--overwrite", "--resume")]
        errors.print(f"go on with: {escape(shlex.join(['softcp', *words, go_on]))}", soft_wrap=True)
    return typer.Exit(code)
