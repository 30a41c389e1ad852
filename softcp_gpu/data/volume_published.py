"""Layouts of published volumes with a folder per case: KiTS19, BraTS."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from softcp_gpu.data.cases import Case, Listing, Sample
from softcp_gpu.data.errors import Problem
from softcp_gpu.data.files import VOLUME_SUFFIXES, folders, stem, suffix, visible
from softcp_gpu.data.volume_layout import VolumeLayout, written_suffix

_SYNTHETIC = re.compile(r"_synth_[A-Za-z0-9-]+$")


@dataclass(frozen=True)
class Kits19(VolumeLayout):
    """KiTS19: labels 1 kidney and 2 tumour. The region is both, because the tumour grows in the kidney."""

    name = "kits19"
    expects = "a folder per CASE with imaging.nii.gz and segmentation.nii.gz"
    files = ("imaging.nii.gz", "segmentation.nii.gz")

    lesion: tuple[int, ...] | None = (2,)
    region: tuple[int, ...] = (1, 2)

    def fits(self, folder: Path) -> bool:
        """See `Layout.fits`."""
        return any((inner / name).is_file() for inner in folders(folder) for name in self.files)

    def scan(self, base: Path) -> Listing:
        """See `Layout.scan`."""
        cases: list[Case] = []
        problems: list[Problem] = []
        for folder in folders(base):
            image, mask = (folder / name for name in self.files)
            if image.is_file() and mask.is_file():
                patient = _SYNTHETIC.sub("", folder.name)
                cases.append(Case(folder.name, image, (mask,), self.name, base, patient))
            elif image.is_file():
                problems.append(Problem(image, f"an image without a mask: expected {mask.name}, found none"))
            elif mask.is_file():
                problems.append(Problem(mask, f"a mask without an image: expected {image.name}, found none"))
        return cases, problems

    def label_names(self, cases: Sequence[Case]) -> dict[int, str]:
        """See `Layout.label_names`."""
        return {1: "kidney", 2: "tumour"}

    def channel_names(self, case: Case, sample: Sample) -> list[str]:
        """See `Layout.channel_names`."""
        return ["CT"]

    def target(self, new_id: str, like: Case, path: Path) -> Path:
        """See `VolumeLayout.target`."""
        return Path(f"{like.patient}_{new_id}", path.name)


class _Files(NamedTuple):
    channels: tuple[Path, ...]
    masks: tuple[Path, ...]
    brains: tuple[Path, ...]


@dataclass(frozen=True)
class Brats(VolumeLayout):
    """BraTS of all years: several channels per case, one mask, and perhaps a brain mask, which is the region.

    Every label is lesion: oedema, core and what enhances travel together.
    """

    name = "brats"
    expects = "a folder per CASE with CASE_flair.nii.gz, CASE_t1ce.nii.gz, ... and CASE_seg.nii.gz"
    channel = re.compile(r"(?:^|[_-])(flair|t1|t1c|t1ce|t1gd|t1n|t2|t2f|t2w)(?=[_.-]|$)", re.IGNORECASE)
    mask = re.compile(r"(?:^|[_-])(segm?|OT|OTMultiClass)$", re.IGNORECASE)
    brain = re.compile(r"(?:^|[_-])brain_?mask$", re.IGNORECASE)
    patient = re.compile(r"(BraTS-[A-Za-z]+-\d+)-\d+$|(brats_\w+_pat\d+)_\d+$")  # what follows is the visit
    groups = ("HGG", "LGG")

    def fits(self, folder: Path) -> bool:
        """See `Layout.fits`."""
        found = (self._files(inner) for inner in self._inner(folder))
        return any(files.channels and files.masks for files in found)

    def scan(self, base: Path) -> Listing:
        """See `Layout.scan`. A case whose channels are not those of most is reported: a paste needs the same ones."""
        cases: list[Case] = []
        problems: list[Problem] = []
        for folder in self._inner(base):
            channels, masks, brains = self._files(folder)
            if len(masks) == 1 and channels and len(brains) < 2:
                cases.append(self._case(base, folder))
            elif masks or channels:
                found = ", ".join(path.name for path in (*channels, *masks, *brains))
                problems.append(Problem(folder, f"expected channels, one mask, at most one brain mask, found {found}"))
        kinds = Counter(self._channels(case) for case in cases)
        usual = kinds.most_common(1)[0][0] if kinds else ()
        for case in cases:
            if (there := self._channels(case)) != usual:
                reason = f"expected the channels {', '.join(usual)} as in most cases, found {', '.join(there)}"
                problems.append(Problem(case.image.parent, reason))
        return [case for case in cases if self._channels(case) == usual], problems

    def target(self, new_id: str, like: Case, path: Path) -> Path:
        """See `VolumeLayout.target`."""
        folder = path.parent
        new = f"{_SYNTHETIC.sub('', folder.name)}_{new_id}"
        name = stem(path)
        if name.startswith(folder.name):
            name = new + name[len(folder.name) :]
        return folder.relative_to(like.root).with_name(new) / (name + written_suffix(path))

    def channel_names(self, case: Case, sample: Sample) -> list[str]:
        """See `Layout.channel_names`."""
        return list(self._channels(case))

    def _case(self, base: Path, folder: Path) -> Case:
        (image, *channels), masks, brains = self._files(folder)
        name = _SYNTHETIC.sub("", folder.name)
        match = self.patient.match(name)
        patient = match[1] or match[2] if match else name
        region = brains[0] if brains else None
        return Case(folder.name, image, masks, self.name, base, patient, channels=tuple(channels), region=region)

    def _inner(self, base: Path) -> list[Path]:
        """The folders that may be cases; BraTS 2018 has them in HGG and LGG."""
        outer = folders(base)
        return outer + [inner for group in outer if group.name in self.groups for inner in folders(group)]

    def _files(self, folder: Path) -> _Files:
        files = [path for path in visible(folder) if suffix(path) in VOLUME_SUFFIXES]
        masks = tuple(path for path in files if self.mask.search(stem(path)))
        brains = tuple(path for path in files if self.brain.search(stem(path)))
        rest = (path for path in files if path not in masks + brains)
        return _Files(tuple(path for path in rest if self.channel.search(stem(path))), masks, brains)

    def _channels(self, case: Case) -> tuple[str, ...]:
        names = (self.channel.search(stem(path)) for path in (case.image, *case.channels))
        return tuple(match[1].lower() for match in names if match)
