"""What every layout of a data set can do: list its cases, load one, save a new one."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import ClassVar

import numpy as np

from softcp_gpu.data.cases import Case, Listing, Sample, check_size
from softcp_gpu.data.errors import DataError, Problem
from softcp_gpu.data.files import describe, levels
from softcp_gpu.data.io import read_image, write_image
from softcp_gpu.data.masks import BLACK_AND_WHITE, MaskStyle, mask_style, read_mask, write_mask

_GLANCES = 5  # published sets have odd masks here and there, but not many
_NEW_ID = re.compile(r"synth_[A-Za-z0-9-]+")


class Layout(ABC):
    """How a data set lays out its files. Subclasses say where images and masks are; this class does the rest."""

    name: ClassVar[str]
    expects: ClassVar[str]
    """The layout in one line, for error messages and help texts."""
    style: ClassVar[MaskStyle] = BLACK_AND_WHITE
    """How to store a mask where the data set shows no example."""

    @abstractmethod
    def fits(self, folder: Path) -> bool:
        """Tell whether this folder has the layout.

        Args:
            folder: an existing folder.

        Returns:
            True if the layout starts right here.
        """

    @abstractmethod
    def scan(self, base: Path) -> Listing:
        """List the cases of a folder that fits.

        Args:
            base: where the layout starts.

        Returns:
            The cases, and the files that make no case.
        """

    @abstractmethod
    def targets(self, new_id: str, like: Case, source: Case | None) -> tuple[Path, Path]:
        """Say where a new case goes.

        Args:
            new_id: `synth_` and letters, digits or hyphens.
            like: the background's case.
            source: the case that gave the lesion, if it is known.

        Returns:
            The paths of the image and of the mask, relative to the layout's start.
        """

    def cases(self, root: Path | str) -> Listing:
        """List all cases, in natural order.

        Args:
            root: the data set's folder, or one up to two levels above it.

        Returns:
            The cases, and a problem for each file that makes no case: an image without a mask, a mask without an image,
            a second file of the same name, an unknown format. Images are not
            opened; of the masks as many as it takes to learn their style.

        Raises:
            DataError: no folder, not this layout, or not one case or problem in it.
        """
        base = self.base(Path(root))
        found, problems = self.scan(base)
        if not found and not problems:
            found_here = f"no image files; there is: {describe(base)}"
            raise DataError(base, f"images and masks in the layout {self.name} ({self.expects})", found_here)
        unique: dict[str, Case] = {}
        for case in found:
            if case.id in unique:
                problems.append(Problem(case.image, f"the id {case.id} belongs to {unique[case.id].image} already"))
            unique.setdefault(case.id, case)
        kinds = defaultdict(list)  # a value of 1 in a PNG file is none that a JPEG file could hold
        for case in unique.values():
            kinds[case.masks[0].suffix.lower()].append(case)
        styles = {suffix: self.find_style(cases) for suffix, cases in kinds.items()}
        return [replace(case, style=styles[case.masks[0].suffix.lower()]) for case in unique.values()], problems

    def find_style(self, cases: Iterable[Case]) -> MaskStyle:
        """Look at the first masks that are not empty.

        Args:
            cases: all cases of a data set whose masks have the same suffix.

        Returns:
            The style that most of these masks have, for new masks.
        """
        seen = Counter(islice(_styles(cases), _GLANCES))
        return seen.most_common(1)[0][0] if seen else self.style

    def base(self, root: Path) -> Path:
        """Find the one folder that the layout starts in.

        Args:
            root: the folder itself, or one up to two levels above it.

        Returns:
            The folder.

        Raises:
            DataError: no such folder, or several on the same level.
        """
        for level in levels(root):
            hits = [folder for folder in level if self.fits(folder)]
            if len(hits) > 1:
                names = ", ".join(str(hit.relative_to(root)) for hit in hits)
                raise DataError(root, "one data set", f"several: {names}")
            if hits:
                return hits[0]
        raise DataError(root, f"the layout {self.name} ({self.expects})", describe(root))

    def load(self, case: Case) -> Sample:
        """Read a case.

        Args:
            case: one of `cases`.

        Returns:
            Image, lesion and, where the data set has one, region.

        Raises:
            DataError: a file cannot be read, a mask differs from its image in size, or has values or colours that the
                layout does not know.
        """
        check_size(case)
        return Sample(read_image(case.image), *self.read_labels(case))

    def save(
        self,
        out_root: Path | str,
        new_id: str,
        like: Case,
        image: np.ndarray,
        lesion: np.ndarray,
        region: np.ndarray | None = None,
        *,
        source: Case | None = None,
    ) -> list[Path]:
        """Write a new case in the data set's own format: folders, naming, file types, mask encoding.

        It goes where the background is: into its split's and its patient's folder. But it shows two patients, so split
        first, take both parents from the training part, and train on all that is new. The file's name, and the id under
        which the case is listed again, end with `new_id`.

        Args:
            out_root: the new data set's folder; nothing is written outside of it. Files of the same name are replaced.
            new_id: `synth_` and letters, digits or hyphens, so that a new case never looks like an original.
            like: the background's case.
            image: (H, W, 1 or 3), uint8 or uint16.
            lesion: (H, W) bool.
            region: (H, W) bool where the layout has regions, else None. The lesion covers the region.
            source: the case that gave the lesion; BUSI needs it to name the class.

        Returns:
            The paths of the image and of the mask.

        Raises:
            DataError: a shape, a type or an id does not fit, or a file cannot be written; then neither file is there.
        """
        if not _NEW_ID.fullmatch(new_id):
            raise DataError(out_root, "an id of synth_ and letters, digits or hyphens", repr(new_id))
        if lesion.dtype != bool or lesion.shape != image.shape[:2]:
            found = f"{lesion.dtype} {lesion.shape}"
            raise DataError(out_root, f"a bool lesion {image.shape[:2]} for {new_id}", found)
        paths = [_inside(Path(out_root), path) for path in self.targets(new_id, like, source)]
        write_mask(paths[1], self.encode_labels(like, lesion, region))
        try:
            write_image(paths[0], image)
        except DataError:
            paths[1].unlink()
            raise
        return paths

    def read_labels(self, case: Case) -> tuple[np.ndarray, np.ndarray | None]:
        """Read the lesion and the region of a case whose sizes agree.

        Args:
            case: one of `cases`.

        Returns:
            (H, W) bool, and the same or None.
        """
        return np.logical_or.reduce([read_mask(path) for path in case.masks]), None

    def encode_labels(self, like: Case, lesion: np.ndarray, region: np.ndarray | None) -> np.ndarray:
        """Turn lesion and region into the values of a mask file.

        Args:
            like: a case of the data set.
            lesion: (H, W) bool.
            region: (H, W) bool or None.

        Returns:
            What `write_mask` takes.

        Raises:
            DataError: there is a region, and the layout has none.
        """
        if region is not None:
            raise DataError(like.root, f"no region, as the layout {self.name} cannot store one", "a region")
        return like.style.encode(lesion)


def _styles(cases: Iterable[Case]) -> Iterator[MaskStyle]:
    """Yield the mask styles that can be seen; what cannot be read is left for `load` to report."""
    for case in cases:
        for path in case.masks:
            try:
                if style := mask_style(path):
                    yield style
            except DataError:
                continue


def _inside(out_root: Path, relative: Path) -> Path:
    path = out_root / relative
    if not path.resolve().is_relative_to(out_root.resolve()):
        raise DataError(out_root, "new files inside this folder", str(path))
    return path
