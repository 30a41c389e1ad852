"""One look at every file of a data set before a run: what is in it, and a hash by which a later change is noticed."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from softcp_gpu.data import Case, DataError, Layout, Problem, Split, manifest
from softcp_gpu.data.cut import components
from softcp_gpu.data.volume_labels import ids_in
from softcp_gpu.synthesize.change import LESION, REGION
from softcp_gpu.synthesize.duplicates import fingerprint


class Stamp(NamedTuple):
    """By which a file is known: as long as size and time are the same it is not read again to hash it."""

    sha256: str
    bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class Inputs:
    """The files that a run is made from, as they were when it began."""

    root: Path
    stamps: Mapping[str, Stamp]  # by path below the root

    def hashes(self, case: Case) -> dict[str, str]:
        """The content hash of each file of a case, as it was when the run began."""
        return {name: self.stamps[name].sha256 for name in (relative(path, self.root) for path in files_of(case))}

    def check(self, case: Case) -> None:
        """Checks that the files of a case are what they were.

        Raises:
            DataError: one has changed, or is gone, or was not there.
        """
        for path in files_of(case):
            known = self.stamps.get(relative(path, self.root))
            if known is None:
                raise DataError(path, "no file, as when the run began", "one")
            try:
                same = _size_and_time(path) == known[1:] or manifest.sha256(path) == known.sha256
            except OSError as error:
                raise DataError(path, "the file that was there when the run began", str(error.strerror)) from error
            if not same:
                raise DataError(path, "the content that it had when the run began", "another one")


class Look(NamedTuple):
    """What was found of a case."""

    line: dict[str, Any]  # of `inputs.jsonl`
    stamps: dict[str, Stamp]
    problem: Problem | None


def survey(
    layout: Layout, root: Path, parts: Split, unused: Sequence[Case], threads: int, on_case: Callable[[], None]
) -> list[Look]:
    """Looks at every case; labels are read of the training part alone, pixels only if there is a part to leak into.

    Args:
        layout: of the data set.
        root: the data set's folder.
        parts: its division.
        unused: the cases in no part.
        threads: how many files to read at once.
        on_case: called after each case.

    Returns:
        The looks, in the order train, val, test, unused.
    """
    groups = {**parts._asdict(), "unused": unused}
    listed = [(case, part) for part, cases in groups.items() for case in cases]
    held_out = len(listed) > len(parts.train)
    look = partial(_look, layout, root, held_out)
    looks = []
    with ThreadPoolExecutor(threads) as pool:
        for found in pool.map(lambda one: look(*one), listed):
            looks.append(found)
            on_case()
    return looks


def _look(layout: Layout, root: Path, held_out: bool, case: Case, part: str) -> Look:
    line: dict[str, Any] = {"schema": manifest.SCHEMA, "id": case.id, "patient": case.patient, "part": part}
    line |= {"files": {}, "phash": None}
    stamps: dict[str, Stamp] = {}
    problem = None
    try:
        stamps = {relative(path, root): stamp(path) for path in files_of(case)}
        line["files"] = {name: {"sha256": known.sha256, "bytes": known.bytes} for name, known in stamps.items()}
        if part == "train":
            line |= _labels(layout, case)
        if held_out:
            line["phash"] = fingerprint(layout.pixels(case))
    except DataError as error:
        problem = Problem(Path(error.args[0]), str(error))
    except OSError as error:
        problem = Problem(case.image, f"expected a file that can be read, found {error.strerror}")
    return Look(line, stamps, problem)


def _labels(layout: Layout, case: Case) -> dict[str, Any]:
    layout.check_header(case)
    lesion, region, ids = layout.marks(case)
    spacing = layout.spacing_mm(case)
    return {
        "shape": list(lesion.shape),
        "spacing_mm": None if spacing is None else list(spacing),
        "background": region is None or bool(region.any()),
        "source": bool(lesion.any()),
        "label_pixels": label_pixels(lesion, region, ids),
        "lesions": lesions_of(lesion, ids, spacing),
    }


def label_pixels(lesion: np.ndarray, region: np.ndarray | None, ids: np.ndarray | None) -> dict[str, int]:
    """How many pixels each class id has; where there are none a lesion is 1 and a region 2.

    Example:
        >>> label_pixels(np.array([[True, False]]), None, None)
        {'0': 1, '1': 1}
    """
    if ids is None:  # counted without the sorting that class ids take
        of_lesion = int(np.count_nonzero(lesion))
        of_region = 0 if region is None else int(np.count_nonzero(region > lesion))
        counts = {0: lesion.size - of_lesion - of_region, LESION: of_lesion, REGION: of_region}
        return {str(value): count for value, count in counts.items() if count}
    values, numbers = np.unique(ids, return_counts=True)
    return {str(value): count for value, count in zip(values.tolist(), numbers.tolist(), strict=True)}


def lesions_of(lesion: np.ndarray, ids: np.ndarray | None, spacing: Sequence[float] | None) -> list[dict[str, Any]]:
    """Class, size and place of each lesion, a connected component; see `lesion_facts`."""
    return [lesion_facts(part, box, lesion.shape, ids, spacing) for box, part in components(lesion)]


def lesion_facts(
    part: np.ndarray,
    box: Sequence[slice],
    frame: Sequence[int],
    ids: np.ndarray | None,
    spacing: Sequence[float] | None,
) -> dict[str, Any]:
    """Class, size and place of one lesion.

    Args:
        part: (*box) bool, where in its box it is; one pixel or more.
        box: where the box is.
        frame: the lengths of the image.
        ids: (*frame) class ids, or None.
        spacing: mm per axis, or None.

    Returns:
        `classes`, `pixels`, `mm` (area or volume in mm^n, or None), `center` (share of the frame along each axis).
    """
    pixels = int(np.count_nonzero(part))
    middle = [_middle(part, axis, pixels, side.start) for axis, side in enumerate(box)]
    return {
        "classes": [1] if ids is None else sorted(ids_in(ids[tuple(box)][part])),
        "pixels": pixels,
        "mm": None if spacing is None else float(f"{pixels * float(np.prod(spacing)):.6g}"),
        "center": [round(x / length, 4) for x, length in zip(middle, frame, strict=True)],
    }


def _middle(part: np.ndarray, axis: int, pixels: int, start: int) -> float:
    """Where along an axis the middle of a mask is whose box begins at `start`."""
    counts = part.sum(axis=tuple(other for other in range(part.ndim) if other != axis))
    first = int((counts > 0).argmax())
    # From its own first pixel, so that a larger box gives the same number to the last bit.
    return int(counts[first:] @ np.arange(len(counts) - first)) / pixels + (start + first) + 0.5


def stamp(path: Path) -> Stamp:
    """By what a file, or a folder with a DICOM series, is known again."""
    return Stamp(manifest.sha256(path), *_size_and_time(path))


def _size_and_time(path: Path) -> tuple[int, int]:
    """Bytes and time of the last change, of all files together in a folder."""
    own = path.stat()
    found = [file.stat() for file in path.iterdir()] if stat.S_ISDIR(own.st_mode) else [own]
    return sum(file.st_size for file in found), max((file.st_mtime_ns for file in found), default=0)


def files_of(case: Case) -> Iterator[Path]:
    """Every file of a case, or folder with a DICOM series, once."""
    region = () if case.region is None else (case.region,)
    for path in dict.fromkeys((case.image, *case.channels, *case.masks, *region)):
        yield path
        if path.suffix.lower() == ".mhd":  # a header, and the voxels in a file beside it
            yield from (beside for end in (".raw", ".zraw") if (beside := path.with_suffix(end)).is_file())


def relative(path: Path, root: Path) -> str:
    """A path below the data set's folder, with slashes."""
    text, start = str(path), f"{root}/"
    if text.startswith(start):  # a tenth of the time that pathlib takes
        return text[len(start) :]
    return path.relative_to(root).as_posix()
