"""The lesions of an image, a volume or a data set, cut out with the tissue around them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from softcp_gpu import checks
from softcp_gpu.choices import MARGIN
from softcp_gpu.data.bank_files import save_bank
from softcp_gpu.data.cases import Case, Sample
from softcp_gpu.data.errors import DataError, Problem
from softcp_gpu.data.layout import Layout
from softcp_gpu.data.masks import box_of
from softcp_gpu.types import LesionCrop

Box = tuple[slice, ...]


def cut_lesions(
    sample: Sample,
    case: str,
    patient: str | None = None,
    *,
    lesion_labels: int | Sequence[int] | None = None,
    margin: float = MARGIN,
    min_px: int = 1,
) -> tuple[list[LesionCrop], int]:
    """Cut out every lesion.

    A lesion is a connected component, corners included, of all lesion classes together: what belongs to one lesion
    (oedema, core) travels together.

    Args:
        sample: an image, or a volume, whose grid gives the spacing.
        case: its name, for the lesions and for messages.
        patient: whose it is, where that is known.
        lesion_labels: class ids of lesions among `sample.labels`; None: `sample.lesion` tells.
        margin: tissue around a lesion's box, 0 or more, as far as the image goes; in mm with a grid, else in pixels.
        min_px: smaller components are dropped.

    Returns:
        The lesions, whose class ids are those of `sample.labels` or else 1, and how many components were dropped.

    Raises:
        DataError: the case has values that are not finite, or class ids that are missing or out of range.
        ValueError: an argument is out of range.

    Example:
        >>> lesion = np.zeros((40, 40), dtype=bool)
        >>> lesion[0, 0] = lesion[20:22, 5] = True
        >>> crops, dropped = cut_lesions(Sample(np.zeros((40, 40, 3)), lesion), "a", margin=2, min_px=2)
        >>> [(crop.start_px, crop.image.shape) for crop in crops], dropped
        ([((18, 3), torch.Size([3, 6, 5]))], 1)
    """
    checks.number("margin", margin, 0, 10_000)
    checks.number("min_px", min_px, 1, 1 << 62)
    lesion = _lesion_of(sample, case, checks.labels("lesion_labels", lesion_labels))
    spacing = None if sample.grid is None else tuple(map(float, sample.grid.spacing_mm))
    reach = _reach(sample, margin)
    found = list(components(lesion))
    kept = [(box, component) for box, component in found if np.count_nonzero(component) >= min_px]
    if not kept:
        return [], len(found)
    whole, crops = value_limits(sample.image), []
    if not whole.isfinite().all():
        raise DataError(case, "finite values", "NaN or infinity")
    for box, component in kept:
        grown = _grown(box, reach, lesion.shape)
        start = tuple(part.start for part in grown)
        labels = np.zeros(lesion[grown].shape, dtype=np.int32)
        labels[_moved(box, [-first for first in start])][component] = _ids(sample, box, component, case)
        # A copy, so that the rest of a scan can go; in the byte order that torch knows.
        image = np.array(np.moveaxis(sample.image[grown], -1, 0), sample.image.dtype.newbyteorder("="), order="C")
        narrow = labels.astype(np.uint8) if labels.max() < 256 else labels
        limits = whole if spacing is None else value_limits(sample.image[grown])
        tensors = torch.from_numpy(image), torch.from_numpy(narrow[None]), limits
        crops.append(LesionCrop(*tensors, start, spacing, case, patient))
    return crops, len(found) - len(kept)


def around_lesion(sample: Sample, margin: float = MARGIN) -> Box:
    """Find the box of all lesions of a case, and a margin.

    Args:
        sample: an image or a volume.
        margin: as for `cut_lesions`.

    Returns:
        A slice per axis; the whole frame where there is no lesion.
    """
    if not sample.lesion.any():
        return tuple(slice(0, length) for length in sample.lesion.shape)
    return _grown(box_of(sample.lesion), _reach(sample, margin), sample.lesion.shape)


def value_limits(image: np.ndarray) -> torch.Tensor:
    """The unit of gamma and noise: least and largest value of each channel.

    Of an image it is that of all its pixels. Of a volume it is that of a lesion and the tissue around it: over the
    range of a whole scan, from air to metal, the same gamma would turn soft tissue into lung.

    Args:
        image: (*axes, C).

    Returns:
        (C, 2) float64.
    """
    axes = tuple(range(image.ndim - 1))
    return torch.from_numpy(np.stack([image.min(axes), image.max(axes)], axis=1).astype(np.float64))


@dataclass
class BuiltBank:
    """What `build_bank` did."""

    lesions: int = 0
    dropped: int = 0  # components that were too small
    problems: list[Problem] = field(default_factory=list)  # cases that could not be used


def build_bank(
    layout: Layout,
    cases: Iterable[Case],
    folder: Path | str,
    *,
    lesion_labels: int | Sequence[int] | None = None,
    margin: float = MARGIN,
    min_px: int = 1,
    overwrite: bool = False,
) -> BuiltBank:
    """Cut out the lesions of a data set and keep them in a folder, one case at a time in memory.

    Args:
        layout: reads the cases.
        cases: the training part's: lesions of whoever validates do not belong in a bank.
        folder: where to.
        lesion_labels, margin, min_px: as for `cut_lesions`.
        overwrite: whether a bank in its place may go.

    Returns:
        How many lesions were cut out, and a problem for each case that cannot be used: it cannot be read, or differs
        from the first one with a lesion in channels, axes, or in whether its spacing is known.

    Raises:
        DataError: not one lesion, or as `save_bank`.
        ValueError: an argument is out of range.
    """
    built = BuiltBank()

    def crops() -> Iterator[LesionCrop]:
        kind = None
        for case in cases:
            try:
                sample = layout.load(case)
                found, dropped = cut_lesions(
                    sample, case.id, case.patient, lesion_labels=lesion_labels, margin=margin, min_px=min_px
                )
                kind = kind or (found[0].kind if found else None)
                if found and found[0].kind != kind:
                    raise DataError(case.id, f"{kind} as in the first lesion", found[0].kind)
            except DataError as error:
                built.problems.append(Problem(case.image, str(error)))
                continue
            built.dropped += dropped
            yield from found
        if kind is None:
            first = f" such as {built.problems[0]}" if built.problems else ""
            found_here = f"none, {built.dropped} too small, and {len(built.problems)} cases that are of no use{first}"
            raise DataError(folder, "one lesion or more to keep", found_here)

    built.lesions = save_bank(folder, crops(), overwrite=overwrite)
    return built


def _lesion_of(sample: Sample, case: str, lesion_labels: tuple[int, ...] | None) -> np.ndarray:
    lesion = sample.lesion
    if lesion_labels is not None:
        if sample.labels is None:
            raise DataError(case, f"class ids, with {list(lesion_labels)} among them", "a mask without class ids")
        lesion = np.isin(sample.labels, lesion_labels)
    if lesion.shape != sample.image.shape[:-1]:
        raise DataError(case, f"a mask {sample.image.shape[:-1]} as the image has", f"{lesion.shape}")
    return lesion


def components(lesion: np.ndarray) -> Iterator[tuple[Box, np.ndarray]]:
    """Find the connected components of a lesion, corners included.

    Args:
        lesion: (*axes) bool.

    Yields:
        The box of each component in the frame, and (*box) bool: where in it the component is.
    """
    try:
        from scipy import ndimage
    except ModuleNotFoundError as error:
        message = "cutting lesions needs SciPy; install it with: pip install 'softcp-gpu[cli]'"
        raise ModuleNotFoundError(message, name="scipy") from error
    for whole in ndimage.find_objects(lesion.astype(np.uint8)):  # the box of all lesions: the rest needs no labelling
        parts, _ = ndimage.label(lesion[whole], np.ones((3,) * lesion.ndim))
        for number, box in enumerate(ndimage.find_objects(parts), 1):
            yield _moved(box, [side.start for side in whole]), parts[box] == number


def _moved(box: Box, offset: Sequence[int]) -> Box:
    return tuple(slice(side.start + by, side.stop + by) for side, by in zip(box, offset, strict=True))


def _reach(sample: Sample, margin: float) -> list[int]:
    """A margin in pixels along each axis."""
    spacing = (1.0,) * sample.lesion.ndim if sample.grid is None else sample.grid.spacing_mm
    return [math.ceil(margin / step - 1e-6) for step in spacing]


def _grown(box: Box, reach: Sequence[int], shape: tuple[int, ...]) -> Box:
    """The box with its margin, inside the frame."""
    sides = zip(box, reach, shape, strict=True)
    return tuple(slice(max(0, side.start - more), min(length, side.stop + more)) for side, more, length in sides)


def _ids(sample: Sample, box: Box, component: np.ndarray, case: str) -> np.ndarray:
    """The class id of each pixel of a component."""
    if sample.labels is None:
        return np.ones(np.count_nonzero(component), np.int32)
    ids = sample.labels[box][component]
    if not 1 <= ids.min() <= ids.max() < 1 << 31:
        raise DataError(case, "class ids from 1 to 2**31 - 1 on lesions", f"{ids.min()} to {ids.max()}")
    return ids
