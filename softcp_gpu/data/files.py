"""Looking at folders: natural order, image files, and which mask belongs to which image."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from softcp_gpu.data.errors import DataError, Problem
from softcp_gpu.data.io import SUFFIXES

_DEPTH = 2  # archives wrap a data set in one or two folders
_SIDE_FILES = (".csv", ".db", ".html", ".ini", ".json", ".md", ".pdf", ".tsv", ".txt", ".xlsx", ".xml", ".yaml", ".yml")


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


def folders(folder: Path) -> list[Path]:
    """List the visible folders in a folder.

    Args:
        folder: an existing folder.

    Returns:
        Its subfolders in natural order, without hidden ones and what archivers of macOS add.
    """
    names = (path for path in folder.iterdir() if not path.name.startswith((".", "__")))
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
    names = [path.name + "/" * path.is_dir() for path in sorted(folder.iterdir(), key=natural)]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more if names else "an empty folder"


def image_files(folder: Path) -> tuple[list[Path], list[Problem]]:
    """List the image files of a folder.

    Args:
        folder: an existing folder.

    Returns:
        Images in natural order, and files that are neither images nor known side files.
    """
    images, others = [], []
    for path in sorted(folder.iterdir(), key=natural):
        if path.name.startswith(".") or path.suffix.lower() in _SIDE_FILES or path.is_dir():
            continue
        if path.suffix.lower() in SUFFIXES:
            images.append(path)
        else:
            others.append(
                Problem(path, f"expected a file of {', '.join(SUFFIXES)}, found {path.suffix or 'no suffix'}")
            )
    return images, others


def match(
    images: Iterable[Path], masks: Iterable[Path], suffix: re.Pattern[str], *, several: bool = False
) -> tuple[list[tuple[Path, tuple[Path, ...]]], list[Problem]]:
    """Match masks to images by their stems.

    Args:
        images: image files.
        masks: mask files; a stem that equals an image's stem wins over one that does so without `suffix`.
        suffix: what a mask's stem may have after its image's stem.
        several: whether an image may have more than one mask.

    Returns:
        Images with their masks, in the order of `images`, and the files that have no partner.
    """
    by_stem, masks_of, problems = defaultdict(list), defaultdict(list), []
    for path in images:
        by_stem[path.stem].append(path)
    for path in masks:
        stem = path.stem if path.stem in by_stem else suffix.sub("", path.stem)
        if stem in by_stem:
            masks_of[stem].append(path)
        else:
            problems.append(Problem(path, f"a mask without an image: expected an image named {stem}, found none"))
    pairs = []
    for stem, same in by_stem.items():
        found = masks_of[stem]
        if len(same) > 1:
            names = ", ".join(path.name for path in same)
            problems += [Problem(path, f"expected one image named {stem}, found {names}") for path in same]
        elif not found:
            problems.append(Problem(same[0], f"an image without a mask: expected a mask named {stem}, found none"))
        elif len(found) > 1 and not several:
            names = ", ".join(path.name for path in found)
            problems.append(Problem(same[0], f"expected one mask, found {names}"))
        else:
            pairs.append((same[0], tuple(found)))
    return pairs, problems
