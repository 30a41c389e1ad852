"""The command line as such: its options that several commands share, and how it speaks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from softcp_gpu import __version__
from softcp_gpu.choices import LAYOUT_NAMES

app = typer.Typer(
    help="Soft-CP: soft copy-paste augmentation for medical lesion segmentation.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console(emoji=False)  # a folder called :cat: is shown as that
errors = Console(stderr=True, emoji=False)

SPLIT = (
    "Which cases may be used. auto: the training part of the data set's own split, else all; all; shares of "
    "train:val:test such as 5:1:1, whole patients; or a JSON file: the ids or patients of each part, or nnU-Net's "
    "splits_final.json."
)
Data = Annotated[Path, typer.Argument(help="Folder of the data set.", show_default=False)]
LayoutName = Annotated[
    str | None, typer.Option(help=f"One of {', '.join(LAYOUT_NAMES)}; found by itself if not given.")
]
Labels = list[int] | None
LesionLabel = Annotated[
    Labels, typer.Option(help="Label id of lesions in volumes; may be repeated.", show_default=False)
]
RegionLabel = Annotated[
    Labels, typer.Option(help="Label id of the organ in volumes; repeated for a union.", show_default=False)
]
Parts = Annotated[str, typer.Option(help=SPLIT)]
Fold = Annotated[int | None, typer.Option(min=0, help="Fold of splits_final.json.", show_default=False)]
Seed = Annotated[int, typer.Option(help="The same seed makes the same set.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier run wrote there.")]
SheetRows = Annotated[int, typer.Option("--sheet", min=0, help="Rows of the contact sheet; 0 makes none.")]


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    """Soft-CP: soft copy-paste augmentation for medical lesion segmentation."""
    if show:
        console.print(__version__)
        raise typer.Exit


def refused(error: Exception) -> typer.Exit:
    """Bad input ends in one line on stderr."""
    errors.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
    return typer.Exit(2)
