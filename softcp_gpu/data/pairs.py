"""Layouts of images beside masks in two folders: generic pairs, Kvasir-SEG, KiTS19 slices."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from softcp_gpu.data.cases import Case, Listing
from softcp_gpu.data.errors import DataError, Problem
from softcp_gpu.data.files import image_files, match, split_parts
from softcp_gpu.data.image_layout import ImageLayout
from softcp_gpu.data.io import LOSSY
from softcp_gpu.data.masks import MaskStyle, read_colour_mask
from softcp_gpu.data.volume_files import holds_volumes


class Pairs(ImageLayout):
    """`images/` and `masks/`, here or in the folders of a split; equal stems, or a mask's with a suffix."""

    name = "pairs"
    expects = (
        "images/ and masks/ with equal names (masks also with _mask, _segmentation or _label), or these in train/, ..."
    )
    suffix = re.compile(r"_(mask|segmentation|label)$", re.IGNORECASE)

    def parts(self, base: Path) -> list[tuple[Path, str | None]]:
        """List the folders that hold `images/` and `masks/`, with their part of the split.

        Args:
            base: an existing folder.

        Returns:
            The folder itself without a split, or else those of its subfolders that a split is made of.
        """
        return split_parts(base, lambda folder: _has(folder, "images", "masks"))

    def fits(self, folder: Path) -> bool:
        """See `Layout.fits`."""
        parts = self.parts(folder)
        return bool(parts) and not any(holds_volumes(part / "images") for part, _ in parts)

    def scan(self, base: Path) -> Listing:
        """See `Layout.scan`."""
        cases: list[Case] = []
        problems: list[Problem] = []
        for folder, split in self.parts(base):
            images, unknown_images = image_files(folder / "images")
            masks, unknown_masks = image_files(folder / "masks")
            pairs, unmatched = match(images, masks, self.suffix)
            problems += unknown_images + unknown_masks + unmatched
            prefix = f"{folder.name}_" if split else ""  # train/images/1.png and test/images/1.png are two cases
            cases += [Case(prefix + image.stem, image, found, self.name, base, split=split) for image, found in pairs]
        return cases, problems

    def targets(self, new_id: str, like: Case, source: Case | None) -> tuple[Path, Path]:
        """See `ImageLayout.targets`."""
        mask = like.masks[0]
        ending = mask.name[len(like.image.stem) :]  # "_segmentation.png"
        image = like.image.relative_to(like.root).with_name(new_id + like.image.suffix)
        return image, mask.relative_to(like.root).with_name(new_id + ending)


class Kvasir(Pairs):
    """Kvasir-SEG, as one set or divided: pairs of JPEG files, whose masks are thresholded at 127."""

    name = "kvasir"
    expects = "images/ and masks/ of JPEG files, or these in train/, validation/ and test/"

    def fits(self, folder: Path) -> bool:
        """See `Layout.fits`."""
        parts = self.parts(folder)
        if not parts:
            return False
        both = [image_files(parts[0][0] / kind)[0] for kind in ("images", "masks")]
        return all(files and files[0].suffix.lower() in LOSSY for files in both)


class Kits2d(Pairs):
    """Slices of KiTS19: `masks/` in colours, and the patient's number before the `_` in the name."""

    name = "kits2d"
    expects = "images/ and masks/ named <patient>_<slice>, masks red (tumour), blue (kidney) and black"
    number = re.compile(r"([^0-9]*[0-9]+)_")
    colours = (("black", (0, 0, 0)), ("red", (255, 0, 0)), ("blue", (0, 0, 255)))
    glances = 16  # masks to look at: a slice may be black

    def fits(self, folder: Path) -> bool:
        """See `Layout.fits`."""
        if not _has(folder, "images", "masks"):
            return False
        masks = [path for path in image_files(folder / "masks")[0] if self.number.match(path.stem)]
        return any(_shows_colours(path) for path in masks[: self.glances])

    def parts(self, base: Path) -> list[tuple[Path, str | None]]:
        """See `Pairs.parts`; these slices come without a split."""
        return [(base, None)] if _has(base, "images", "masks") else []

    def scan(self, base: Path) -> Listing:
        """See `Layout.scan`."""
        pairs, problems = super().scan(base)
        cases = []
        for case in pairs:
            if number := self.number.match(case.id):
                cases.append(Case(case.id, case.image, case.masks, self.name, base, patient=number[1]))
            else:
                problems.append(Problem(case.image, "expected a name <patient>_<slice>, found no number before a _"))
        return cases, problems

    def find_style(self, cases: Iterable[Case]) -> MaskStyle:
        """See `ImageLayout.find_style`; here the colours are fixed."""
        return self.style

    def read_labels(self, case: Case) -> tuple[np.ndarray, np.ndarray | None]:
        """See `Layout.read_labels`."""
        path = case.masks[0]
        pixels = read_colour_mask(path)
        planes = _planes(pixels)
        black, red, blue = (_is_colour(planes, colour) for _, colour in self.colours)
        if not (known := black | red | blue).all():
            y, x = np.argwhere(~known)[0]
            names = ", ".join(f"{name} {colour}" for name, colour in self.colours)
            raise DataError(path, f"only {names}", f"{tuple(pixels[y, x].tolist())} at row {y}, column {x}")
        return red, blue

    def encode_labels(self, like: Case, lesion: np.ndarray, region: np.ndarray | None) -> np.ndarray:
        """See `ImageLayout.encode_labels`."""
        if region is None or region.shape != lesion.shape:
            found = "none" if region is None else str(region.shape)
            raise DataError(like.root, f"a region (the kidney) of shape {lesion.shape}", found)
        values = np.zeros((*lesion.shape, 3), np.uint8)
        _, red, blue = (colour for _, colour in self.colours)
        for mask, colour in ((region & ~lesion, blue), (lesion, red)):
            for channel in np.flatnonzero(colour):
                values[..., channel] |= mask * np.uint8(colour[channel])
        return values

    def targets(self, new_id: str, like: Case, source: Case | None) -> tuple[Path, Path]:
        """See `ImageLayout.targets`."""
        return super().targets(f"{like.patient}_{new_id}", like, source)


def _is_colour(planes: list[np.ndarray], colour: tuple[int, int, int]) -> np.ndarray:
    red, green, blue = (plane == value for plane, value in zip(planes, colour, strict=True))
    return red & green & blue


def _planes(pixels: np.ndarray) -> list[np.ndarray]:
    """The channels one by one: several times as fast as one comparison over the last axis."""
    return [np.ascontiguousarray(pixels[..., channel]) for channel in range(3)]


def _has(folder: Path, *names: str) -> bool:
    return all((folder / name).is_dir() for name in names)


def _shows_colours(path: Path) -> bool:
    try:
        planes = _planes(read_colour_mask(path))
    except DataError:
        return False
    return any(_is_colour(planes, colour).any() for _, colour in Kits2d.colours[1:])
