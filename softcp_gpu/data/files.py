"""Looking at folders: natural order, image files, and which mask belongs to which image."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import MappingProxyType

from softcp_gpu.data.errors import DataError, Problem
from softcp_gpu.data.io import SUFFIXES

VOLUME_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
"""The suffixes of files of volumes, in lower case. A folder of DICOM files is a volume too."""

_DEPTH = 2  # archives wrap a data set in one or two folders
_SIDE_FILES = (".csv", ".db", ".html", ".ini", ".json", ".md", ".pdf", ".tsv", ".txt", ".xlsx", ".xml", ".yaml", ".yml")
_SPLITS = MappingProxyType(
    {
        "train": "train",
        "training": "train",
        "val": "val",
        "valid": "val",
        "validation": "val",
        "test": "test",
        "testing": "test",
    }
)


def natural(path: Path) -> list[tuple[int, str]]:
    """Sort key by which `a2` comes before `a10`.

    Args:
        path: a file or folder.

    Returns:
        The name in parts, numbers as numbers.

    Example:
        >>> [path.name for path in sorted(map(Path, ["a10", "a2", "b1"]), key=natural)]
        ['a2', 'a10', 'b1']
    """
    parts = re.split(r"([0-9]+)", path.name)
    return [(int(part) if i % 2 else 0, part) for i, part in enumerate(parts)]  # every second part is a number


def suffix(path: Path) -> str:
    """Tell a file's suffix, `.nii.gz` as one.

    Args:
        path: a file.

    Returns:
        The suffix in lower case.

    Example:
        >>> suffix(Path("scan.1.nii.gz")), suffix(Path("scan.1.PNG"))
        ('.nii.gz', '.png')
    """
    return ".nii.gz" if path.name.lower().endswith(".nii.gz") else path.suffix.lower()


def stem(path: Path) -> str:
    """Tell a name without the suffix of an image or a volume; a folder of DICOM files keeps its dots.

    Args:
        path: a file or folder.

    Returns:
        The stem.

    Example:
        >>> stem(Path("scan.1.nii.gz")), stem(Path("1.2.840"))
        ('scan.1', '1.2.840')
    """
    known = suffix(path) in (*SUFFIXES, *VOLUME_SUFFIXES)
    return path.name[: -len(suffix(path))] if known else path.name


def folders(folder: Path) -> list[Path]:
    """List the visible folders in a folder.

    Args:
        folder: an existing folder.

    Returns:
        Its subfolders in natural order, without hidden ones and what archivers of macOS add.

    Raises:
        DataError: it cannot be read.
    """
    names = (path for path in _entries(folder) if not path.name.startswith((".", "__")))
    return sorted((path for path in names if path.is_dir()), key=natural)


def levels(root: Path) -> Iterator[list[Path]]:
    """Yield the folder itself, then its subfolders, then theirs.

    Args:
        root: where to start.

    Yields:
        Lists of folders, one per level.

    Raises:
        DataError: it is not a folder.
    """
    if not root.is_dir():
        raise DataError(root, "a folder", "a file" if root.exists() else "nothing")
    level = [root]
    for _ in range(_DEPTH + 1):
        yield level
        level = [inner for outer in level for inner in folders(outer)]


def describe(folder: Path, most: int = 8) -> str:
    """Say in a few words what is in a folder.

    Args:
        folder: an existing folder.
        most: how many names to give.

    Returns:
        Such as "images/, notes.txt and 3 more".
    """
    names = [path.name + "/" * path.is_dir() for path in sorted(_entries(folder), key=natural)]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more if names else "an empty folder"


def image_files(folder: Path) -> tuple[list[Path], list[Problem]]:
    """List the image files of a folder.

    Args:
        folder: an existing folder.

    Returns:
        Images in natural order, and files that are neither images nor known side files.
    """
    files = [path for path in visible(folder) if not path.is_dir()]
    return sort_out(files, SUFFIXES)


def split_parts(base: Path, holds: Callable[[Path], bool]) -> list[tuple[Path, str | None]]:
    """List the folders that hold images and masks, with their part of the split.

    Args:
        base: an existing folder.
        holds: whether a folder has both.

    Returns:
        The folder itself without a split, or else those of its subfolders that a split is made of.
    """
    inner = [(folder, _SPLITS[folder.name.lower()]) for folder in folders(base) if folder.name.lower() in _SPLITS]
    candidates = [(base, None), *inner]
    found = [(folder, split) for folder, split in candidates if holds(folder)]
    return found[:1] if found and found[0][1] is None else found


def visible(folder: Path) -> list[Path]:
    """List what is in a folder, in natural order, without hidden files.

    Args:
        folder: an existing folder.

    Returns:
        Files and folders.

    Raises:
        DataError: it cannot be read.
    """
    return sorted((path for path in _entries(folder) if not path.name.startswith(".")), key=natural)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise DataError(folder, "a folder that can be read", error.strerror or str(error)) from error


def sort_out(paths: Iterable[Path], suffixes: tuple[str, ...]) -> tuple[list[Path], list[Problem]]:
    """Leave out known side files, and report what has another suffix.

    Args:
        paths: files; folders are taken as they are.
        suffixes: those that are wanted.

    Returns:
        The files that are wanted, and a problem for each of the others.
    """
    known, others = [], []
    for path in paths:
        if path.suffix.lower() in _SIDE_FILES:
            continue
        if path.is_dir() or suffix(path) in suffixes:
            known.append(path)
        else:
            others.append(
                Problem(path, f"expected a file of {', '.join(suffixes)}, found {path.suffix or 'no suffix'}")
            )
    return known, others


def match(
    images: Iterable[Path],
    masks: Iterable[Path],
    ending: re.Pattern[str],
    *,
    image_ending: re.Pattern[str] | None = None,
    several: bool = False,
) -> tuple[list[tuple[Path, tuple[Path, ...]]], list[Problem]]:
    """Match masks to images by their stems.

    Args:
        images: files of images, or of volumes.
        masks: their masks; a stem that equals an image's stem wins over one that does so without `ending`.
        ending: what a mask's stem may have after its image's stem.
        image_ending: what an image's stem may have after the name that both share.
        several: whether an image may have more than one mask.

    Returns:
        Images with their masks, in the order of `images`, and the files that have no partner.
    """
    by_stem, masks_of, problems = defaultdict(list), defaultdict(list), []
    for path in images:
        by_stem[image_ending.sub("", stem(path)) if image_ending else stem(path)].append(path)
    for path in masks:
        name = stem(path) if stem(path) in by_stem else ending.sub("", stem(path))
        if name in by_stem:
            masks_of[name].append(path)
        else:
            problems.append(Problem(path, f"a mask without an image: expected an image named {name}, found none"))
    pairs = []
    for name, same in by_stem.items():
        found = masks_of[name]
        if len(same) > 1:
            names = ", ".join(path.name for path in same)
            problems += [Problem(path, f"expected one image named {name}, found {names}") for path in same]
        elif not found:
            problems.append(Problem(same[0], f"an image without a mask: expected a mask named {name}, found none"))
        elif len(found) > 1 and not several:
            names = ", ".join(path.name for path in found)
            problems.append(Problem(same[0], f"expected one mask, found {names}"))
        else:
            pairs.append((same[0], tuple(found)))
    return pairs, problems
