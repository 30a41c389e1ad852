"""Whether what is asked for is the run that is there: only the same one is gone on with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from softcp_gpu.data import DataError, manifest

_ANY = ("ratio", "count", "split", "fold", "device")  # settings that are free here, or compared otherwise


def check_same_run(out: Path, facts: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> None:
    """What is there was made by the same code on such a device, from the same files with the same settings.

    Args:
        out: the folder of the run.
        facts: what its `run.json` should hold.
        lines: what its `inputs.jsonl` should hold.

    Raises:
        DataError: there is no run, or another one; says what differs.
    """
    path = out / manifest.RUN
    if not path.is_file():
        raise DataError(out, f"a run to go on with, {manifest.RUN} and {manifest.SAMPLES}", "none")
    there = manifest.read_json(path)
    for name, what in (("softcp_gpu", "version"), ("torch", "version of PyTorch")):
        if there.get(name) != facts[name]:
            raise DataError(path, f"the {what} of the run to go on with, {there.get(name)}", facts[name])
    before, now = there.get("arguments", {}), facts["arguments"]
    if there.get("config_sha256") != facts["config_sha256"]:
        names = [name for name in now if name not in _ANY and before.get(name) != now[name]]
        first, second = (", ".join(f"{name} {settings.get(name)}" for name in names) for settings in (before, now))
        raise DataError(path, f"the settings of the run to go on with, {first or 'config_sha256'}", second or "others")
    if there.get("data_sha256") != facts["data_sha256"]:
        known, found = (
            {line["id"]: (line["part"], line["files"]) for line in group}
            for group in (manifest.read_lines(out / manifest.INPUTS), lines)
        )
        changed = next((case for case in (*known, *found) if known.get(case) != found.get(case)), "the order")
        expected = "the files of the data set and its parts as in the run to go on with"
        raise DataError(path, expected, f"others, such as {changed}")
    device, other = (str(settings.get("device")).partition(":")[0] for settings in (before, now))
    if device != other:  # last bits may differ
        raise DataError(path, f"the device of the run to go on with (--device {device})", other)
