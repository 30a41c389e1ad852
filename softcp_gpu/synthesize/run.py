"""The run: check everything, make one sample after the other, write each with its record."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from softcp_gpu import __version__, checks
from softcp_gpu.data import Case, DataError, Problem, find_layout, manifest
from softcp_gpu.data.bank_files import load_lesions
from softcp_gpu.modules import LesionBank, SoftCP
from softcp_gpu.synthesize.pair import LESION
from softcp_gpu.synthesize.plan import Pairing, Selection, sample_count, select_cases
from softcp_gpu.synthesize.sample import SampleMaker, Shown
from softcp_gpu.synthesize.save import FORMATS, ForNnunet, SameFormat


@dataclass
class Summary:
    """What a run did; `summary.json` holds it too."""

    layout: str
    real: int
    requested: int
    split: str
    region: str = "none"
    lesion_labels: set[int] = field(default_factory=set)  # ids that were lesions in what was pasted
    problems: list[Problem] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)  # of the samples, after their last try
    tries: Counter[str] = field(default_factory=Counter)  # of every single try

    @property
    def written(self) -> int:
        """Samples that were pasted and saved."""
        return self.statuses["pasted"]


def synthesize(
    data: Path | str,
    out: Path | str,
    *,
    layout: str | None = None,
    lesion_label: Sequence[int] | None = None,
    region_label: Sequence[int] | None = None,
    ratio: str = "3:1",
    count: int | None = None,
    seed: int = 0,
    device: str = "auto",
    config: Mapping[str, Any] | None = None,
    split: str = "auto",
    region: str = "auto",
    bank: Path | str | None = None,
    format: str = "same",
    overwrite: bool = False,
    on_sample: Callable[[Summary, Shown], None] | None = None,
) -> Summary:
    """Makes a synthetic set from the training part of a data set.

    Every sample pastes the lesion of one training case into another one. It depends on (data, config, seed, its
    number) alone.

    Args:
        data: the data set's folder.
        out: where to; a new or empty folder, neither inside `data` nor around it.
        layout: one of `softcp_gpu.data.LAYOUTS`; None: found by looking.
        lesion_label, region_label: ids in the masks of volumes, in place of what the layout takes them for.
        ratio: real : synthetic, such as "3:1".
        count: number of samples, instead of a ratio.
        seed: of the run.
        device: "cpu", "cuda", ..., or "auto": CUDA if there is one.
        config: keywords of `SoftCP`; `p` is 1 here whatever it says, and the layout sets the labels.
        split: where sources and backgrounds come from. "auto": the training part of the data set's own split, or every
            case if it has none; "all": every case; "5:1:1": train : val : test, whole patients, by chance; or a JSON
            file {"train": [...], "val": [...], "test": [...]} with ids or patients.
        region: what a lesion must touch. "auto": the data set's organ if it draws one, else the body in the image,
            found by its brightness, in which the lesion then lies as a whole unless the config says otherwise; "none".
        bank: folder of a lesion bank that gives the lesions, instead of the data set's own cases; those of patients
            outside the training part are left out.
        format: "same": new samples in the data set's own format; "nnunet": the training part and the new samples as a
            raw data set of nnU-Net, with folds.
        overwrite: may remove what an earlier run wrote to `out`.
        on_sample: called after each sample.

    Returns:
        Counts and problems. `out` holds the images and masks, `samples.jsonl`, `summary.json` and `split.json`.

    Raises:
        DataError: nothing can be made from the folder, or `out` is in use.
        ValueError: an argument, or a keyword of the config.
    """
    data, out = Path(data), Path(out)
    checks.choice("region", region, ("auto", "none"))
    checks.choice("format", format, FORMATS)
    config, where = dict(config or {}), choose_device(device)
    make_augmentation(config, (LESION,), ())
    found = find_layout(data, layout)
    if lesion_label or region_label:
        found = found.with_roles(lesion_label or None, region_label or None)
    chosen = select_cases(found, data, split, seed)
    parts = chosen.parts
    lesions = None if bank is None else open_bank(bank, chosen.held_out).to(where)
    real = len(chosen.train)
    summary = Summary(found.name, real, sample_count(real, ratio, count), chosen.how, problems=chosen.problems)
    _check_usable(data, chosen, lesions)
    organ = found.read_labels(chosen.backgrounds[0])[1] is not None
    summary.region = "none" if region == "none" else "the data set's" if organ else "the body in the image"
    drawn_by_hand = not chosen.backgrounds[0].region or region_label  # and not all of the body
    if summary.region == "the body in the image" or not (region == "none" or drawn_by_hand):
        config = {"min_region_overlap": 1.0, **config}
    _check_apart(data, out)
    saver = ForNnunet(found, out, chosen.readable) if format == "nnunet" else SameFormat(found, out)
    pairing = Pairing(chosen.backgrounds, chosen.sources if lesions is None else [], seed)
    make = cache(partial(make_augmentation, config, bank=lesions))
    maker = SampleMaker(pairing, found, make, lesions, where, saver, out, summary.region)
    maker.check()

    manifest.prepare_folder(out, overwrite)
    (out / manifest.SAMPLES).touch()
    manifest.write_json(
        out / manifest.SPLIT, {part: [case.id for case in group] for part, group in parts._asdict().items()}
    )
    summary.problems += saver.start()
    for number in range(summary.requested):
        made = maker.make(number)
        manifest.append_line(out / manifest.SAMPLES, made.record)
        summary.statuses[made.shown.status] += 1
        summary.lesion_labels.update(made.record.get("lesion_labels", []))
        summary.tries.update(attempt["status"] for attempt in made.record["tries"])
        summary.problems = list(dict.fromkeys([*summary.problems, *made.problems]))  # each file is told once
        if on_sample:
            on_sample(summary, made.shown)
    saver.finish()
    asked: dict[str, Any] = {"data": data.name, "bank": None if bank is None else Path(bank).name, "format": format}
    asked |= {"lesion_label": lesion_label, "region_label": region_label, "ratio": ratio, "count": count}
    manifest.write_json(out / manifest.SUMMARY, {**asked, **_report(summary, seed, config, where)})
    return summary


def make_augmentation(
    config: Mapping[str, Any],
    lesion_labels: tuple[int, ...],
    other_labels: tuple[int, ...],
    *,
    bank: LesionBank | None = None,
) -> SoftCP:
    """SoftCP from its keywords; what it does not know is refused."""
    for name in ("lesion_labels", "other_labels", "bank"):
        if name in config:
            raise ValueError(f"config: expected no {name}, which the data set and the call set, found {config[name]!r}")
    checks.number("p", config.get("p", 1.0), 0, 1)  # not used here, but the file may be meant for training too
    try:
        return SoftCP(**{**config, "p": 1.0}, lesion_labels=lesion_labels, other_labels=other_labels, bank=bank)
    except TypeError as error:
        raise ValueError(f"config: expected keywords of SoftCP and its transforms, found: {error}") from error


def open_bank(folder: Path | str, held_out: Iterable[Case]) -> LesionBank:
    """A bank without the lesions of those who are not trained on."""
    names = {name for case in held_out for name in (case.id, case.patient) if name is not None}
    return LesionBank(load_lesions(folder)).subset(without_patients=names)


def choose_device(name: str) -> torch.device:
    """A device by name; "auto" is CUDA if there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        tensor = torch.zeros(1, device=name)
        tensor.item()  # a tensor on "meta" has no values
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device: expected one that this machine has, found {name!r} ({reason})") from error
    return tensor.device


def _check_usable(data: Path, chosen: Selection, bank: LesionBank | None) -> None:
    """At least one pair can be made of what is left."""
    backgrounds, sources = {case.id for case in chosen.backgrounds}, {case.id for case in chosen.sources}
    if backgrounds and (bank is not None or (sources and len(backgrounds | sources) > 1)):
        return
    counts = ", ".join(f"{len(group)} {part}" for part, group in chosen.parts._asdict().items())
    reasons = "".join(f"; {problem}" for problem in chosen.problems[:3])
    raise DataError(
        data,
        "a background and another case with a lesion to paste, in the training part",
        f"{len(backgrounds)} and {len(sources)} (split: {chosen.how}; {counts}{reasons})",
    )


def _check_apart(data: Path, out: Path) -> None:
    here, there = data.resolve(), out.resolve()
    if there == here or here in there.parents or there in here.parents:
        raise DataError(out, "an output folder apart from the data set", f"{data} inside or around it")


def _report(summary: Summary, seed: int, config: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    return {
        "softcp_gpu": __version__,
        "layout": summary.layout,
        "split": summary.split,
        "region": summary.region,
        "lesion_labels": sorted(summary.lesion_labels),
        "seed": seed,
        "device": str(device),
        "config": json.loads(json.dumps(dict(config), default=repr)),  # it may hold modules
        "augmentation": repr(make_augmentation(config, (LESION,), ())).splitlines(),  # each sample names its labels
        "real": summary.real,
        "requested": summary.requested,
        "written": summary.written,
        "statuses": dict(summary.statuses),
        "tries": dict(summary.tries),
        "problems": [{"path": str(problem.path), "reason": problem.reason} for problem in summary.problems],
    }
