"""One image or volume on disk with its masks, and the same as arrays."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from softcp_gpu.data.errors import DataError, Problem
from softcp_gpu.data.grid import Grid
from softcp_gpu.data.io import image_size
from softcp_gpu.data.masks import BLACK_AND_WHITE, MaskStyle

_SYNTHETIC = re.compile(r"(^|_)synth_[A-Za-z0-9-]+$")


@dataclass(frozen=True)
class Case:
    """An image or a volume on disk with the masks that belong to it."""

    id: str  # unique in the data set, safe as a file name
    image: Path  # a file, or a folder with a DICOM series
    masks: tuple[Path, ...]  # their union is the lesion
    layout: str
    root: Path  # the folder that the layout starts in: new files repeat the paths below it
    patient: str | None = None
    split: str | None = None  # the data set's own: "train", "val" or "test"
    style: MaskStyle = BLACK_AND_WHITE
    channels: tuple[Path, ...] = ()  # further volumes of the case, on the same grid: one channel each, after `image`
    region: Path | None = None  # a mask file of the region, where it has one of its own

    @property
    def synthetic(self) -> bool:
        """Whether the id says that `Layout.save` wrote the case."""
        return _SYNTHETIC.search(self.id) is not None


@dataclass(frozen=True)
class Sample:
    """The pixels or voxels of a case; its axes are (H, W) or (D, H, W)."""

    image: np.ndarray  # (*axes, C); of an image C is 1 or 3 and the type uint8 or uint16
    lesion: np.ndarray  # (*axes) bool
    region: np.ndarray | None = None  # (*axes) bool: the organ, where the data set has one
    labels: np.ndarray | None = None  # (*axes) integers: class ids, where the data set has them
    grid: Grid | None = None  # of a volume


Listing = tuple[list[Case], list[Problem]]


def check_size(case: Case) -> None:
    """Check by the files' headers that a case's masks have the size of its image.

    Args:
        case: a case of 2-D images; `Layout.check_header` takes those of its layout.

    Raises:
        DataError: a size differs, or a header cannot be read.
    """
    size = image_size(case.image)
    for path in case.masks:
        check_same_size(path, image_size(path), case.image, size)


def check_same_size(path: Path, found: tuple[int, ...], other: Path, expected: tuple[int, ...]) -> None:
    """Check that one file has the size of another.

    Args:
        path, other: the files.
        found, expected: (H, W) of each.

    Raises:
        DataError: they differ.
    """
    if found != expected:
        raise DataError(path, f"{expected[0]} x {expected[1]} as in {other.name}", f"{found[0]} x {found[1]}")


def check_sizes(cases: Iterable[Case], check: Callable[[Case], None] = check_size) -> Listing:
    """Sort out, by headers alone, the cases that cannot be loaded: a quick look before a long run.

    Args:
        cases: cases of 2-D images, or whatever `check` takes.
        check: raises a DataError where the headers of a case do not agree.

    Returns:
        The cases whose headers can be read and agree, and a problem for each of the others.
    """
    good, problems = [], []
    for case in cases:
        try:
            check(case)
        except DataError as error:
            problems.append(Problem(Path(error.args[0]), str(error)))
        else:
            good.append(case)
    return good, problems
