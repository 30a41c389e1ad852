"""The generic layout of volumes: images beside masks, in two folders or in one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from softcp_gpu.data.cases import Case, Listing
from softcp_gpu.data.errors import Problem
from softcp_gpu.data.files import match, split_parts, stem
from softcp_gpu.data.volume_files import holds_volumes, volume_files
from softcp_gpu.data.volume_layout import VolumeLayout, written_suffix


@dataclass(frozen=True)
class VolumePairs(VolumeLayout):
    """`images/` and `masks/` or `labels/`, here or in the folders of a split; or images and masks in one folder.

    An image may be a folder with a DICOM series; new ones are NIfTI then. Every label is lesion.
    """

    name = "volume_pairs"
    expects = (
        "images/ and masks/ or labels/ with equal names of volumes, or these in train/, ..., "
        "or NAME_image.nrrd beside NAME_label.nrrd"
    )
    mask = re.compile(r"_(mask|segmentation|seg|label)$", re.IGNORECASE)
    image = re.compile(r"_image$", re.IGNORECASE)

    def fits(self, folder: Path) -> bool:
        """See `Layout.fits`."""
        if parts := split_parts(folder, _has_both):
            return any(holds_volumes(part / "images") for part, _ in parts)
        images, masks, _ = self._in_one(folder)
        return bool(images and masks)

    def scan(self, base: Path) -> Listing:
        """See `Layout.scan`."""
        parts = split_parts(base, _has_both)
        if not parts:
            images, masks, problems = self._in_one(base)
            pairs, unmatched = match(images, masks, self.mask, image_ending=self.image)
            cases = [Case(self._name(image), image, found, self.name, base) for image, found in pairs]
            return cases, problems + unmatched
        cases, problems = [], []
        for folder, split in parts:
            images, unknown = volume_files(folder / "images")
            masks, unknown_masks = volume_files(_masks_of(folder))
            pairs, unmatched = match(images, masks, self.mask)
            problems += unknown + unknown_masks + unmatched
            prefix = f"{folder.name}_" if split else ""
            cases += [Case(prefix + stem(image), image, found, self.name, base, split=split) for image, found in pairs]
        return cases, problems

    def target(self, new_id: str, like: Case, path: Path) -> Path:
        """See `VolumeLayout.target`."""
        together = like.image.parent == like.masks[0].parent
        name = self._name(like.image) if together else stem(like.image)
        ending = stem(path)[len(name) :]  # "_label"
        return path.relative_to(like.root).with_name(new_id + ending + written_suffix(path))

    def _in_one(self, folder: Path) -> tuple[list[Path], list[Path], list[Problem]]:
        """Images, masks, and what is neither, of a folder that has both."""
        files, problems = volume_files(folder)
        images = [path for path in files if self.image.search(stem(path))]
        masks = [path for path in files if self.mask.search(stem(path))]
        reason = "expected a name that ends with _image or _label, found neither"
        return images, masks, problems + [Problem(path, reason) for path in files if path not in images + masks]

    def _name(self, image: Path) -> str:
        return self.image.sub("", stem(image))


def _has_both(folder: Path) -> bool:
    return (folder / "images").is_dir() and _masks_of(folder).is_dir()


def _masks_of(folder: Path) -> Path:
    return folder / ("masks" if (folder / "masks").is_dir() else "labels")
