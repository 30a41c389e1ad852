"""Connected parts of a mask, found by its runs: an image has some hundred of them, and ten thousands of pixels.

A mask here is flat and has a margin of one pixel or more around it, so that no run goes on from one line into the next,
and the pixel above is the same number of pixels away everywhere.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Runs(NamedTuple):
    """The runs of a flat mask, in order."""

    start: np.ndarray  # (R,)
    end: np.ndarray  # (R,), one behind the last
    size: int  # of the mask

    def only(self, kept: np.ndarray) -> Runs:
        """Some of the runs, (R,) bool."""
        return Runs(self.start[kept], self.end[kept], self.size)

    def gaps(self) -> Runs:
        """What lies between them, before the first and behind the last: in a margin, so that there is some."""
        return Runs(np.concatenate(([0], self.end)), np.concatenate((self.start, [self.size])), self.size)

    def painted(self) -> np.ndarray:
        """The flat mask."""
        bounds = np.empty(2 * len(self.start) + 2, np.int64)
        bounds[0], bounds[1:-1:2], bounds[2::2], bounds[-1] = 0, self.start, self.end, self.size
        inside = np.zeros(len(bounds) - 1, bool)
        inside[1::2] = True
        return np.repeat(inside, np.diff(bounds))


def runs_of(mask: np.ndarray) -> Runs:
    """The runs of a flat mask."""
    edges = np.flatnonzero(mask[1:] != mask[:-1]) + 1  # as many begin as end, since the margin is empty
    return Runs(edges[::2], edges[1::2], len(mask))


def largest(runs: Runs, seeds: np.ndarray, shape: tuple[int, ...]) -> Runs:
    """The part of a mask that holds most pixels of another, flat too, which lies in it and has some."""
    part = _parts(runs, shape)
    sizes = np.bincount(part, runs.end - runs.start)
    big = sizes.argmax()
    rest = sizes.sum() - sizes[big]
    if np.count_nonzero(seeds) - rest > rest:  # however many of them the others hold: most masks have one large part
        return runs.only(part == big)
    held = runs_of(seeds)
    of = part[np.searchsorted(runs.start, held.start, "right") - 1]
    return runs.only(part == np.bincount(of, held.end - held.start).argmax())


def filled(runs: Runs, shape: tuple[int, ...]) -> Runs:
    """A mask with its holes: whatever does not hang together with the margin."""
    around = runs.gaps()
    if (around.start // shape[-1] < around.end // shape[-1]).all():  # each goes over the end of a line
        return runs
    part = _parts(around, shape)
    rest = around.only(part == part[0])
    return Runs(rest.end[:-1], rest.start[1:], runs.size)


def _parts(runs: Runs, shape: tuple[int, ...]) -> np.ndarray:
    """The first run of the part of each run; runs hang together where they meet along an axis."""
    count, stride, pairs = len(runs.start), 1, []
    for length in shape[:0:-1]:
        stride *= length
        first = np.searchsorted(runs.end, runs.start + stride, "right")
        met = np.searchsorted(runs.start, runs.end + stride, "left") - first
        one = np.repeat(np.arange(count), met)
        pairs.append((one, np.arange(len(one)) + np.repeat(first - (met.cumsum() - met), met)))
    one, other = (np.concatenate(side) for side in zip(*pairs, strict=True))
    part = np.arange(count)
    part[other[::-1]] = one[::-1]  # of the earlier ones that each meets, one
    while True:
        while (part != (earlier := part[part])).any():  # each step halves the way to the earliest
            part = earlier
        one, other = part[one], part[other]
        apart = one != other
        if not apart.any():
            return part
        one, other = one[apart], other[apart]
        # Of each pair of parts the later one is put into the earliest that it meets.
        np.minimum.at(part, np.maximum(one, other), np.minimum(one, other))
