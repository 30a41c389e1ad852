"""The one exception of this subpackage, and its milder form: what is reported without stopping."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class DataError(ValueError):
    """A file or folder is not what it should be.

    Args:
        path: the file or folder.
        expected: what should have been there.
        found: what was there.

    Example:
        >>> str(DataError("a.png", "8 or 16 bits", "32 bits"))
        'a.png: expected 8 or 16 bits, found 32 bits'
    """

    def __init__(self, path: Path | str, expected: str, found: str) -> None:
        super().__init__(path, expected, found)  # the arguments as they came, so that a worker process can pickle it

    def __str__(self) -> str:
        path, expected, found = self.args
        return f"{path}: expected {expected}, found {found}"


@dataclass(frozen=True)
class Problem:
    """A file that cannot be used, and why; the rest of the data set can."""

    path: Path
    reason: str

    def __str__(self) -> str:
        """The file and what is wrong with it, the file once."""
        return self.reason if str(self.path) in self.reason else f"{self.path}: {self.reason}"
