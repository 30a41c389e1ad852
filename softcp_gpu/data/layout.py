"""What every layout of a data set can do: list its cases, load one, save a new one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from softcp_gpu.data.cases import Case, Listing, Sample, check_sizes
from softcp_gpu.data.errors import DataError, Problem
from softcp_gpu.data.files import describe, levels


class Layout(ABC):
    """How a data set lays out its files: what images and volumes have in common."""

    name: ClassVar[str]
    expects: ClassVar[str]
    """The layout in one line, for error messages and help texts."""
    descriptions: ClassVar[tuple[str, ...]] = ()
    """Names of files that `save` and `describe` keep beside the cases."""

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
    def check_header(self, case: Case) -> None:
        """Check by the files' headers that all files of a case lie on the same grid.

        Args:
            case: one of `cases`.

        Raises:
            DataError: they do not, or a header cannot be read.
        """

    @abstractmethod
    def load(self, case: Case) -> Sample:
        """Read a case.

        Args:
            case: one of `cases`.

        Returns:
            Image, lesion and, where the data set has one, region; of a volume also labels and grid.

        Raises:
            DataError: a file cannot be read, a mask differs from its image in size or grid, or has values or colours
                that the layout does not know.
        """

    @abstractmethod
    def read_labels(self, case: Case) -> tuple[np.ndarray, np.ndarray | None]:
        """Read the lesion and the region of a case whose sizes agree, without its image.

        Args:
            case: one of `cases`.

        Returns:
            (*axes) bool, and the same or None.

        Raises:
            DataError: a mask cannot be read, or has values that the layout does not know.
        """

    @abstractmethod
    def pixels(self, case: Case) -> np.ndarray:
        """Read the image of a case, (*axes, C), without its masks; of several volumes the first alone."""

    def marks(self, case: Case) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Read lesion and region as `read_labels`, and class ids (*axes) where the data set has them."""
        return *self.read_labels(case), None

    def spacing_mm(self, case: Case) -> tuple[float, ...] | None:
        """Read the millimetres per axis, in the order of an array; None where files do not tell."""
        return None

    @abstractmethod
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
        """Write a new case in the data set's own format: folders, naming, file types, mask encoding.

        It goes where the background is: into its split's and its patient's folder. But it shows two patients, so split
        first, take both parents from the training part, and train on all that is new. The id under which the case is
        listed again ends with `new_id`.

        Args:
            out_root: the new data set's folder; nothing is written outside of it. Files of the same name are replaced.
            new_id: `synth_` and letters, digits or hyphens, so that a new case never looks like an original.
            like: the background's case.
            image: (*axes, C), as `load` gives it.
            labels: (*axes), bool where it marks the lesion, integers where a volume has class ids.
            region: (*axes) bool where the layout has regions that the labels do not hold, else None.
            source: the case that gave the lesion, if it is known.

        Returns:
            The paths of the files: image first, mask last.

        Raises:
            DataError: a shape, a type or an id does not fit, or a file cannot be written; then none of them is there.
        """

    def describe(self, out_root: Path, root: Path) -> None:  # noqa: B027 - most layouts keep nothing
        """Write what the layout keeps beside the cases of a new data set, as the one in `root` has it."""

    def undescribed(self) -> Self:
        """Return the same layout, with a `save` that leaves `describe` to be called: many may save at once then."""
        return self

    @abstractmethod
    def with_roles(self, lesion: Sequence[int] | None = None, region: Sequence[int] | None = None) -> Self:
        """Return the layout with other labels as lesion and as region.

        Args:
            lesion: label ids; None: as before.
            region: label ids, none for no region; None: as before.

        Returns:
            A layout of the same kind.

        Raises:
            ValueError: the ids are no label ids, or the layout has none.
        """

    def absent_labels(self, cases: Iterable[Case]) -> list[Problem]:
        """Look for label ids of lesion and region that no case has: a mistyped id would give an empty data set.

        Args:
            cases: the cases of one data set; their masks are read until every id was seen.

        Returns:
            A problem for each id that was not.
        """
        return []

    @abstractmethod
    def label_names(self, cases: Sequence[Case]) -> dict[int, str]:
        """Name the classes, for formats that ask for names.

        Args:
            cases: those that may hold them, one or more.

        Returns:
            A name for each class id above 0, in ascending order.
        """

    @abstractmethod
    def channel_names(self, case: Case, sample: Sample) -> list[str]:
        """Name the channels, for formats that ask for names.

        Args:
            case: any case of the data set.
            sample: its pixels.

        Returns:
            A name for each channel.
        """

    def cases(self, root: Path | str) -> Listing:
        """List all cases, in natural order.

        Args:
            root: the data set's folder, or one up to two levels above it.

        Returns:
            The cases, and a problem for each file that makes no case: an image without a mask, a mask without an image,
            a second file of the same name, an unknown format. Images are not opened; of the masks as many as it takes
            to learn their style.

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
        return list(unique.values()), problems

    def check_headers(self, cases: Iterable[Case]) -> Listing:
        """Sort out, by headers alone, the cases that cannot be loaded: a quick look before a long run.

        Args:
            cases: any of `cases`.

        Returns:
            The cases whose headers can be read and agree, and a problem for each of the others.
        """
        return check_sizes(cases, self.check_header)

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
