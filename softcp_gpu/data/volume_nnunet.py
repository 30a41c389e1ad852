"""nnU-Net's raw layout, version 2: channels in `imagesTr/`, masks in `labelsTr/`, and `dataset.json` about both."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from softcp_gpu.data.cases import Case, Listing, Sample
from softcp_gpu.data.errors import DataError, Problem
from softcp_gpu.data.files import natural, visible
from softcp_gpu.data.io import replacing
from softcp_gpu.data.plain_files import MOST_DESCRIPTION, read_text
from softcp_gpu.data.volume_io import WRITTEN
from softcp_gpu.data.volume_layout import Roles, VolumeLayout

DESCRIPTION = "dataset.json"
_LESION = re.compile(
    r"lesion|tumou?r|cancer|carcinoma|neoplas|metasta|malignan|glioma|melanoma|nodul|polyp|o?edema|enhanc|necro|infarct",
    re.IGNORECASE,
)
_NO_CLASSES = ("background", "ignore")
_KEYS = ("channel_names", "labels", "file_ending")


class Description(NamedTuple):
    """What `dataset.json` says."""

    path: Path
    channels: tuple[str, ...]
    labels: dict[str, tuple[int, ...]]  # names and ids of the foreground; a region of nnU-Net has several ids
    file_ending: str
    content: dict[str, Any]  # all of it

    def lesion_labels(self) -> tuple[int, ...]:
        """Find the labels whose names are those of lesions, or the only one that there is.

        Returns:
            Label ids in ascending order.

        Raises:
            DataError: no name looks like a lesion.
        """
        named = {label for name, ids in self.labels.items() if _LESION.search(name) for label in ids}
        known = {label for ids in self.labels.values() for label in ids}
        if not named and len(known) != 1:
            there = ", ".join(f"{name} ({', '.join(map(str, ids))})" for name, ids in self.labels.items()) or "none"
            expected = "a label with the name of a lesion, or to be told which one it is (--lesion-label)"
            raise DataError(self.path, expected, f"the labels {there}")
        return tuple(sorted(named or known))


@dataclass(frozen=True)
class NnUnet(VolumeLayout):
    """A data set in nnU-Net's raw format; lesions are told by the names of the labels."""

    name = "nnunet"
    expects = f"imagesTr/CASE_0000.nii.gz, ..., labelsTr/CASE.nii.gz and {DESCRIPTION}"
    descriptions = (DESCRIPTION,)
    described: bool = True  # by `save`
    channel = re.compile(r"(.+)_(\d{4})")

    def fits(self, folder: Path) -> bool:
        """See `Layout.fits`."""
        return (folder / DESCRIPTION).is_file() and (folder / "imagesTr").is_dir()

    def scan(self, base: Path) -> Listing:
        """See `Layout.scan`."""
        description = read_description(base)
        self.roles(base)  # raises where nobody said what a lesion is
        ending, last = description.file_ending, len(description.channels)
        images, problems = self._images(base, ending)
        masks = {path.name.removesuffix(ending): path for path in _files(base / "labelsTr", ending)}
        cases = []
        for name in sorted({*images, *masks}, key=lambda name: natural(Path(name))):
            found = images.get(name, {})
            missing = [f"{name}_{k:04d}{ending}" for k in range(last) if k not in found]
            if name not in masks:
                reason = f"an image without a mask: expected labelsTr/{name}{ending}, found none"
                problems.append(Problem(next(iter(found.values())), reason))
            elif missing or len(found) > last:
                what = "a case with other channels" if found else "a mask without an image"
                among = f", imagesTr/{missing[0]} among them" if missing else ""
                expected = f"the {last} channels of {DESCRIPTION}{among}"
                problems.append(Problem(masks[name], f"{what}: expected {expected}, found {len(found)}"))
            else:
                first, *rest = (found[k] for k in range(last))
                cases.append(Case(name, first, (masks[name],), self.name, base, channels=tuple(rest)))
        return cases, problems

    def roles(self, root: Path) -> Roles:
        """See `VolumeLayout.roles`."""
        lesion = read_description(root).lesion_labels() if self.lesion is None else self.lesion
        return Roles(lesion, self.region)

    def label_names(self, cases: Sequence[Case]) -> dict[int, str]:
        """See `Layout.label_names`. Regions of several ids have no name for each."""
        labels = read_description(cases[0].root).labels
        if any(len(ids) > 1 for ids in labels.values()):
            return super().label_names(cases)
        return {label: name for label, name in sorted((ids[0], name) for name, ids in labels.items())}

    def channel_names(self, case: Case, sample: Sample) -> list[str]:
        """See `Layout.channel_names`."""
        return list(read_description(case.root).channels)

    def target(self, new_id: str, like: Case, path: Path) -> Path:
        """See `VolumeLayout.target`."""
        return path.relative_to(like.root).with_name(new_id + path.name[len(like.id) :])

    def save(
        self,
        out_root: Path | str,
        new_id: str,
        like: Case,
        image: np.ndarray,
        labels: np.ndarray,
        region: np.ndarray | None = None,
        *,
        source: Case | None = None,
    ) -> list[Path]:
        """See `VolumeLayout.save`. Here `dataset.json` is written too, with as many cases as there are."""
        paths = super().save(out_root, new_id, like, image, labels, region, source=source)
        try:
            if self.described:
                self.describe(Path(out_root), like.root)
        except BaseException:
            for path in paths:
                path.unlink()
            raise
        return paths

    def describe(self, out_root: Path, root: Path) -> None:
        """See `Layout.describe`."""
        description = read_description(root)
        count = len(_files(out_root / "labelsTr", description.file_ending))
        with replacing(out_root / DESCRIPTION) as temporary:
            text = json.dumps({**description.content, "numTraining": count}, indent=2, ensure_ascii=False)
            temporary.write_text(text + "\n", encoding="utf-8")

    def undescribed(self) -> Self:
        """See `Layout.undescribed`."""
        return replace(self, described=False)

    def _images(self, base: Path, ending: str) -> tuple[dict[str, dict[int, Path]], list[Problem]]:
        """The channels of each case by number, and files with other names."""
        images: dict[str, dict[int, Path]] = {}
        problems = []
        for path in visible(base / "imagesTr"):
            match = self.channel.fullmatch(path.name.removesuffix(ending)) if path.name.endswith(ending) else None
            if match:
                images.setdefault(match[1], {})[int(match[2])] = path
            else:
                problems.append(Problem(path, f"expected a name CASE_0000{ending}, found {path.name}"))
        return images, problems


def read_description(root: Path) -> Description:
    """Read `dataset.json`.

    Args:
        root: where the layout starts.

    Returns:
        What is used of it, and all of it.

    Raises:
        DataError: it is no such JSON (that of version 1 is not), or its files are of a format that is not known.
    """
    path, expected = root / DESCRIPTION, f"JSON with {', '.join(_KEYS)}, as nnU-Net v2 has"
    try:
        content = json.loads(read_text(path, MOST_DESCRIPTION))
    except DataError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(path, expected, f"{type(error).__name__}: {error}") from error
    if not isinstance(content, dict) or not all(key in content for key in _KEYS):
        raise DataError(
            path, expected, f"the keys {', '.join(content):.200}" if isinstance(content, dict) else "no keys"
        )
    channels, labels, ending = (content[key] for key in _KEYS)
    if ending not in WRITTEN:
        raise DataError(path, f"a file_ending of {', '.join(WRITTEN)}", f"{ending!r:.60}")
    if not isinstance(channels, dict) or not channels or not isinstance(labels, dict):
        raise DataError(path, "channel_names and labels with names and numbers", f"{channels!r:.60}, {labels!r:.60}")
    named = {name: _ids(path, name, ids) for name, ids in labels.items() if name.lower() not in _NO_CLASSES}
    return Description(path, tuple(map(str, channels.values())), named, ending, content)


def _ids(path: Path, name: str, ids: Any) -> tuple[int, ...]:
    several = tuple(ids) if isinstance(ids, list) else (ids,)
    if not all(isinstance(label, int) and label >= 0 for label in several):
        raise DataError(path, f"a whole number, or several, for the label {name}", f"{ids!r:.60}")
    return several


def _files(folder: Path, ending: str) -> list[Path]:
    return [path for path in visible(folder) if path.name.endswith(ending)] if folder.is_dir() else []
