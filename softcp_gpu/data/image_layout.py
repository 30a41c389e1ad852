"""Layouts of 2-D images, whose masks are images too. Subclasses say where both are; this class does the rest."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from softcp_gpu import checks
from softcp_gpu.data.cases import Case, Listing, Sample, check_same_size, check_size
from softcp_gpu.data.errors import DataError
from softcp_gpu.data.io import read_image, write_image
from softcp_gpu.data.layout import Layout
from softcp_gpu.data.masks import BLACK_AND_WHITE, MaskStyle, mask_style, read_mask, write_mask
from softcp_gpu.data.new_case import check_new_id, inside

_GLANCES = 5  # published sets have odd masks here and there, but not many


class ImageLayout(Layout):
    """A data set of 2-D images with 8 or 16 bits."""

    style: ClassVar[MaskStyle] = BLACK_AND_WHITE
    """How to store a mask where the data set shows no example."""

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
        """See `Layout.cases`."""
        found, problems = super().cases(root)
        kinds = defaultdict(list)  # a value of 1 in a PNG file is none that a JPEG file could hold
        for case in found:
            kinds[case.masks[0].suffix.lower()].append(case)
        styles = {suffix: self.find_style(cases) for suffix, cases in kinds.items()}
        return [replace(case, style=styles[case.masks[0].suffix.lower()]) for case in found], problems

    def find_style(self, cases: Iterable[Case]) -> MaskStyle:
        """Look at the first masks that are not empty.

        Args:
            cases: all cases of a data set whose masks have the same suffix.

        Returns:
            The style that most of these masks have, for new masks.
        """
        seen = Counter(islice(_styles(cases), _GLANCES))
        return seen.most_common(1)[0][0] if seen else self.style

    def label_names(self, cases: Sequence[Case]) -> dict[int, str]:
        """See `Layout.label_names`. A lesion is 1, or 2 where there is a region, as in `NnunetWriter`."""
        names = ("lesion",) if self.read_labels(cases[0])[1] is None else ("region", "lesion")
        return dict(enumerate(names, 1))

    def channel_names(self, case: Case, sample: Sample) -> list[str]:
        """See `Layout.channel_names`."""
        return ["red", "green", "blue"] if sample.image.shape[-1] == 3 else ["image"]

    def check_header(self, case: Case) -> None:
        """See `Layout.check_header`."""
        check_size(case)

    def load(self, case: Case) -> Sample:
        """See `Layout.load`."""
        image, (lesion, region) = read_image(case.image), self.read_labels(case)
        check_same_size(case.masks[0], lesion.shape, case.image, image.shape[:2])
        return Sample(image, lesion, region)

    def pixels(self, case: Case) -> np.ndarray:
        """See `Layout.pixels`."""
        return read_image(case.image)

    def with_roles(self, lesion: Sequence[int] | None = None, region: Sequence[int] | None = None) -> Self:
        """See `Layout.with_roles`; masks of images have no label ids."""
        for name, ids in (("lesion", lesion), ("region", region)):
            if ids is not None:
                checks.fail(name, f"no label ids for the layout {self.name}, whose masks have none", repr(ids))
        return self

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
        """Write a new case: see `Layout.save`. The file's name ends with `new_id` too.

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
        check_new_id(out_root, new_id)
        if lesion.dtype != bool or lesion.shape != image.shape[:2]:
            found = f"{lesion.dtype} {lesion.shape}"
            raise DataError(out_root, f"a bool lesion {image.shape[:2]} for {new_id}", found)
        paths = [inside(Path(out_root), path) for path in self.targets(new_id, like, source)]
        write_mask(paths[1], self.encode_labels(like, lesion, region))
        try:
            write_image(paths[0], image)
        except DataError:
            paths[1].unlink()
            raise
        return paths

    def read_labels(self, case: Case) -> tuple[np.ndarray, np.ndarray | None]:
        """Read the lesion and the region of a case.

        Args:
            case: one of `cases`.

        Returns:
            (H, W) bool, and the same or None.
        """
        lesion = read_mask(case.masks[0])
        for path in case.masks[1:]:
            other = read_mask(path)
            check_same_size(path, other.shape, case.masks[0], lesion.shape)
            lesion |= other
        return lesion, None

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
