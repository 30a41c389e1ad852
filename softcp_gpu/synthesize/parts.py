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

    def painted(self, kept: np.ndarray) -> np.ndarray:
        """A flat mask of some of the runs, (R,) bool."""
        bounds = np.empty(2 * len(self.start) + 2, np.int64)
        bounds[0], bounds[1:-1:2], bounds[2::2], bounds[-1] = 0, self.start, self.end, self.size
        inside = np.zeros(len(bounds) - 1, bool)
        inside[1::2] = kept
        return np.repeat(inside, np.diff(bounds))


def largest(mask: np.ndarray, seeds: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The part of a mask that holds most pixels of another, which lies in it and has some; flat, as both are."""
    runs, marked = _runs(mask), _runs(seeds)
    part = _parts(runs, shape)
    of = part[np.searchsorted(runs.start, marked.start, "right") - 1]
    return runs.painted(part == np.bincount(of, marked.end - marked.start).argmax())


def filled(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A flat mask with its holes: whatever does not hang together with the margin."""
    around = _runs(~mask)
    if (around.start // shape[-1] < around.end // shape[-1]).all():  # each goes over the end of a line
        return mask
    part = _parts(around, shape)
    return ~around.painted(part == part[0])


def _runs(mask: np.ndarray) -> Runs:
    edges = np.flatnonzero(mask[1:] != mask[:-1]) + 1
    if mask[0]:
        edges = np.concatenate(([0], edges))
    if mask[-1]:
        edges = np.concatenate((edges, [len(mask)]))
    return Runs(edges[::2], edges[1::2], len(mask))


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
    while len(one):  # of each pair of parts the later one is put into the earliest that it meets
        np.minimum.at(part, np.maximum(one, other), np.minimum(one, other))
        while (part != (earlier := part[part])).any():
            part = earlier
        one, other = part[one], part[other]
        one, other = one[one != other], other[one != other]
    return part
