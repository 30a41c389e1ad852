"""`softcp bank`: the lesions of a data set, cut out once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from softcp_gpu.choices import MARGIN
from softcp_gpu.commands.app import Data, Fold, LayoutName, LesionLabel, Overwrite, Parts, app, console, refused
from softcp_gpu.commands.show import show_problems


@app.command("bank")
def bank_command(
    data: Data,
    bank: Annotated[Path, typer.Argument(help="Folder for the lesion bank; new or empty.", show_default=False)],
    layout: LayoutName = None,
    lesion_label: LesionLabel = None,
    split: Parts = "auto",
    fold: Fold = None,
    seed: Annotated[int, typer.Option(help="Of a split by chance.")] = 0,
    margin: Annotated[float, typer.Option(min=0, help="Tissue around a lesion: mm in volumes, else pixels.")] = MARGIN,
    overwrite: Overwrite = False,
) -> None:
    """Cut out the lesions of a data set, once, for `--bank` and for training."""
    from softcp_gpu.data import find_layout
    from softcp_gpu.data.cut import build_bank
    from softcp_gpu.synthesize.plan import real_cases, split_cases

    try:
        found = find_layout(data, layout)
        found = found.with_roles(lesion_label) if lesion_label else found
        cases, problems = real_cases(found, data)
        train = split_cases(cases, split, seed, fold)[0].train
        with console.status(f"cutting out the lesions of {len(train)} cases"):
            built = build_bank(found, train, bank, margin=margin, overwrite=overwrite)
    except ValueError as error:
        raise refused(error) from error
    show_problems([*problems, *built.problems], None)
    console.print(f"{built.lesions} lesions in {escape(str(bank))}", soft_wrap=True)
