"""`softcp demo`: the main job on made-up images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softcp_gpu.commands.app import Overwrite, Seed, SheetRows, app
from softcp_gpu.commands.show import OnCase, OnSample, run_shown

if TYPE_CHECKING:
    from softcp_gpu.synthesize import Summary


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
    from softcp_gpu.data import run_folder
    from softcp_gpu.synthesize import synthesize
    from softcp_gpu.synthesize.inputs import write_phantoms, write_volumes

    def run(on_case: OnCase, on_sample: OnSample) -> Summary:
        for folder in (out / "phantoms", out / "synthetic"):  # both are checked before one is emptied
            run_folder.check_folder(folder, overwrite)
        run_folder.prepare_folder(out / "phantoms", overwrite)
        (write_volumes if volumes else write_phantoms)(out / "phantoms", count, size, seed)
        return synthesize(
            out / "phantoms",
            out / "synthetic",
            seed=seed,
            split="all",
            overwrite=overwrite,
            config={"match": "rim"},
            on_case=on_case,
            on_sample=on_sample,
        )

    run_shown(run, out / "synthetic", sheet, go_on="--overwrite")
