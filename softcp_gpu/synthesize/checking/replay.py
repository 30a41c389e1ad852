"""One sample of a run made again, for whoever asks where it comes from."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from softcp_gpu.data import DataError, Problem, manifest
from softcp_gpu.data.files import describe
from softcp_gpu.synthesize.again import Run, open_run
from softcp_gpu.synthesize.checking.listed import file_problems
from softcp_gpu.synthesize.checking.remake import Remaker
from softcp_gpu.synthesize.checking.schema import check_record


class Replay(NamedTuple):
    """A sample, and how it differs from what is made again."""

    record: dict[str, Any]
    problems: list[Problem]  # with its files as they are, and with what was made again


def replay(
    out: Path | str,
    sample: str,
    *,
    to: Path | str | None = None,
    data: Path | str | None = None,
    device: str | None = None,
) -> Replay:
    """Makes one sample of a run again, and compares it with what the run wrote.

    Args:
        out: the folder of the run.
        sample: its id, or its number.
        to: a new or empty folder for its files and a picture of it, apart from run and data set; None: nothing stays.
        data: where the data set is now; None: where it was.
        device: where to compute; None: as the run did.

    Returns:
        The record and all that differs; of a sample that was not pasted nothing is made.

    Raises:
        DataError: there is no such run or sample; a parent is gone or has changed; `to` is no such folder.
        ValueError: the device is not there.
    """
    out = Path(out)
    record = find_record(out, sample)
    if record["status"] != "pasted":
        return Replay(record, [])
    run = open_run(out, data, device)
    with _folder(None if to is None else Path(to), run) as folder:
        remaker = Remaker(run, folder)
        problems = [*file_problems(out, record), *remaker.compare(record, remaker.make(record))]
        if to is not None:
            from softcp_gpu.synthesize.picture import pictures
            from softcp_gpu.synthesize.sheet import draw_sheet

            title = f"{record['id']}: a lesion of {record['source']['id']} in {record['background']['id']}"
            draw_sheet(folder / manifest.SHEET, pictures(remaker.maker.show(record)), title)
    return Replay(record, problems)


def find_record(out: Path, sample: str) -> dict[str, Any]:
    """The record of a sample, by its id or its number.

    Raises:
        DataError: there is none, or it is not what it should be.
    """
    path, last = out / manifest.SAMPLES, None
    for number, record in enumerate(manifest.read_lines(path)):
        last = record.get("id")
        if sample in (last, str(record.get("number"))):
            check_record("sample", record, f"{path}, line {number + 1}")
            return record
    expected = "a run with samples" if last is None else f"a sample from synth_000000 to {last}, or its number"
    raise DataError(path, expected, f"no {sample}")


@contextmanager
def _folder(to: Path | None, run: Run) -> Iterator[Path]:
    if to is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
    here = to.resolve()
    for other in (run.out, run.job.inputs.root):
        if other.resolve() in (here, *here.parents):
            raise DataError(to, f"a folder outside of {other}", "one inside it")
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise DataError(to, "a new or empty folder", describe(to) if to.is_dir() else "a file")
    yield to
