"""Layouts of published data sets with folders and names of their own: BUSI, ISIC, LGG, PH2."""

from __future__ import annotations

import re
from pathlib import Path

from softcp_gpu.data.cases import Case, Listing
from softcp_gpu.data.errors import DataError, Problem
from softcp_gpu.data.files import folders, image_files, match
from softcp_gpu.data.image_layout import ImageLayout
from softcp_gpu.data.masks import MaskStyle


class Busi(ImageLayout):
    """BUSI: a folder per class, in it images with one mask or more, which are united.

    A new case goes to the more severe class of its two parents.
    """

    name = "busi"
    expects = "benign/, malignant/ or normal/ with NAME.png and NAME_mask.png, NAME_mask_1.png, ..."
    style = MaskStyle(bits=1)
    suffix = re.compile(r"_mask(_[0-9]+)?$")
    classes = ("normal", "benign", "malignant")  # from mild to severe

    def fits(self, folder: Path) -> bool:
        """See `Layout.fits`."""
        return any(self.suffix.search(path.stem) for inner in self._classes_in(folder) for path in inner.iterdir())

    def scan(self, base: Path) -> Listing:
        """See `Layout.scan`."""
        cases: list[Case] = []
        problems: list[Problem] = []
        for folder in self._classes_in(base):
            pairs, unmatched = _side_by_side(folder, self.suffix, several=True)
            cases += [Case(image.stem, image, masks, self.name, base) for image, masks in pairs]
            problems += unmatched
        return cases, problems

    def targets(self, new_id: str, like: Case, source: Case | None) -> tuple[Path, Path]:
        """See `ImageLayout.targets`."""
        names = [case.image.parent.name for case in (like, source) if case]
        folder = max(names, key=self.classes.index)
        if folder == "normal":
            raise DataError(
                like.image, "a source that is benign or malignant, to name the new case's class", str(source)
            )
        return Path(folder, new_id + like.image.suffix), Path(folder, f"{new_id}_mask{like.masks[0].suffix}")

    def _classes_in(self, folder: Path) -> list[Path]:
        return [inner for inner in folders(folder) if inner.name in self.classes]


class Lgg(ImageLayout):
    """LGG (kaggle_3m): a folder per patient, in it numbered slices, each with a mask."""

    name = "lgg"
    expects = "a folder per PATIENT with PATIENT_<n>.tif and PATIENT_<n>_mask.tif"
    suffix = re.compile(r"_mask$")

    def fits(self, folder: Path) -> bool:
        """See `Layout.fits`."""
        masks = (path for inner in folders(folder) for path in inner.glob("*_mask.tif*"))
        return any(path.with_name(self.suffix.sub("", path.stem) + path.suffix).exists() for path in masks)

    def scan(self, base: Path) -> Listing:
        """See `Layout.scan`."""
        cases: list[Case] = []
        problems: list[Problem] = []
        for folder in (folder for folder in folders(base) if any(folder.glob("*.tif*"))):
            pairs, unmatched = _side_by_side(folder, self.suffix)
            cases += [Case(image.stem, image, masks, self.name, base, patient=folder.name) for image, masks in pairs]
            problems += unmatched
        return cases, problems

    def targets(self, new_id: str, like: Case, source: Case | None) -> tuple[Path, Path]:
        """See `ImageLayout.targets`."""
        folder = like.image.parent.name
        stem = f"{folder}_{new_id}"
        return Path(folder, stem + like.image.suffix), Path(folder, f"{stem}_mask{like.masks[0].suffix}")


class Isic(ImageLayout):
    """ISIC 2016 to 2018, task or part 1: images in one folder, masks in another, for each part of the challenge."""

    name = "isic"
    expects = "ISIC*_<Training|Validation|Test>_<Data|Input>/NAME.jpg and ISIC*_GroundTruth/NAME_segmentation.png"
    suffix = re.compile(r"_segmentation$", re.IGNORECASE)
    inputs = re.compile(r"ISIC(?!.*(Task|Part)[23]).*_(Training|Validation|Test)(_v[0-9])?_(Data|Input)$")
    truths = re.compile(r"ISIC(?!.*(Task|Part)[23]).*_(Training|Validation|Test)(_v[0-9])?_(Part1_)?GroundTruth$")
    year = re.compile(r"20[0-9]{2}")
    splits = (("Training", "train"), ("Validation", "val"), ("Test", "test"))

    def fits(self, folder: Path) -> bool:
        """See `Layout.fits`."""
        return any(self.inputs.search(inner.name) for inner in folders(folder))

    def scan(self, base: Path) -> Listing:
        """See `Layout.scan`."""
        cases: list[Case] = []
        problems: list[Problem] = []
        truths = {self._part(folder): folder for folder in folders(base) if self.truths.search(folder.name)}
        for folder in (folder for folder in folders(base) if self.inputs.search(folder.name)):
            year, split = self._part(folder)
            if (truth := truths.pop((year, split), None)) is None:
                problems.append(Problem(folder, "images without masks: expected a GroundTruth folder, found none"))
                continue
            images, unknown = image_files(folder)
            images = [path for path in images if not path.stem.endswith("_superpixels")]
            masks, unknown_masks = image_files(truth)
            pairs, unmatched = match(images, masks, self.suffix)
            cases += [Case(image.stem, image, found, self.name, base, split=split) for image, found in pairs]
            problems += unknown + unknown_masks + unmatched
        problems += [
            Problem(path, "masks without images: expected a Data folder, found none") for path in truths.values()
        ]
        return cases, problems

    def targets(self, new_id: str, like: Case, source: Case | None) -> tuple[Path, Path]:
        """See `ImageLayout.targets`."""
        image, mask = like.image, like.masks[0]
        ending = self.suffix.search(mask.stem)
        name = f"ISIC_{new_id}{ending[0] if ending else ''}{mask.suffix}"
        return Path(image.parent.name, f"ISIC_{new_id}{image.suffix}"), Path(mask.parent.name, name)

    def _part(self, folder: Path) -> tuple[str, str]:
        year = self.year.search(folder.name)
        return year[0] if year else "", next(split for word, split in self.splits if f"_{word}_" in folder.name)


class Ph2(ImageLayout):
    """PH2: a folder per case with a folder for the image and one for the lesion; the class masks are left alone."""

    name = "ph2"
    expects = "a folder per CASE with CASE_Dermoscopic_Image/CASE.bmp and CASE_lesion/CASE_lesion.bmp"
    style = MaskStyle(bits=1)
    suffix = re.compile(r"_lesion$")

    def fits(self, folder: Path) -> bool:
        """See `Layout.fits`."""
        return any((inner / f"{inner.name}_lesion").is_dir() for inner in folders(folder))

    def scan(self, base: Path) -> Listing:
        """See `Layout.scan`."""
        cases: list[Case] = []
        problems: list[Problem] = []
        for folder in folders(base):
            parts = [folder / f"{folder.name}{end}" for end in ("_Dermoscopic_Image", "_lesion")]
            (images, unknown), (masks, unknown_masks) = (
                image_files(path) if path.is_dir() else ([], []) for path in parts
            )
            pairs, unmatched = match(images, masks, self.suffix)
            cases += [Case(image.stem, image, found, self.name, base) for image, found in pairs]
            problems += unknown + unknown_masks + unmatched
        return cases, problems

    def targets(self, new_id: str, like: Case, source: Case | None) -> tuple[Path, Path]:
        """See `ImageLayout.targets`."""
        image = Path(new_id, f"{new_id}_Dermoscopic_Image", new_id + like.image.suffix)
        return image, Path(new_id, f"{new_id}_lesion", f"{new_id}_lesion{like.masks[0].suffix}")


def _side_by_side(
    folder: Path, suffix: re.Pattern[str], *, several: bool = False
) -> tuple[list[tuple[Path, tuple[Path, ...]]], list[Problem]]:
    """Match the images of a folder with the masks in the same folder."""
    files, unknown = image_files(folder)
    masks = [path for path in files if suffix.search(path.stem)]
    images = [path for path in files if not suffix.search(path.stem)]
    pairs, unmatched = match(images, masks, suffix, several=several)
    return pairs, unknown + unmatched
