"""Tensors as the arrays that `jit_lesion` and `jit_images` paste with; as in `image_loops`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from softcp_gpu.loops.image_loops import Slots, labels_of, units_of, volumes_of
from softcp_gpu.loops.threads import in_threads
from softcp_gpu.types import RigidParams


class Masks(NamedTuple):
    """What the lesions of a batch are found in, and may not lie on."""

    labels: np.ndarray  # (N, depth, height, width): the lesions of the sources
    rows: np.ndarray  # (B,) int64, the source of each sample
    others: np.ndarray  # (B, ...): lesions that are there
    region: np.ndarray  # (B, ...)
    drawn: np.ndarray  # (B,) bool: else nothing is done


def masks_of(labels: Tensor, rows: Tensor, others: Tensor, region: Tensor | None, drawn: Tensor) -> Masks:
    """Masks (B, 1, *spatial) as loops read them."""
    there = labels_of(others.contiguous())
    inside = there if region is None else labels_of(region.contiguous())
    return Masks(labels_of(labels.contiguous()), rows.numpy(), there, inside, drawn.numpy())


def look(masks: Masks) -> np.ndarray:
    """(B, 3, 7) int64: boxes of lesion, other lesions and region, first and end along each axis, and their pixels."""
    from softcp_gpu.loops import jit_lesion

    boxes = np.zeros((len(masks.rows), 3, 7), np.int64)
    in_threads(jit_lesion.look, len(boxes), 3 * masks.others[0].size, *masks, boxes)
    return boxes


class Found(NamedTuple):
    """The lesion of each sample, moved, and its place; frames of two axes are volumes of one slice."""

    canvas: np.ndarray  # their labels, window after window
    windows: np.ndarray  # (B, 7) int64: as those of `Motions`
    numbers: np.ndarray  # (B, 20) int64: as jit_lesion.place

    @property
    def start(self) -> np.ndarray:
        """First pixel of the box in its window, (B, 3)."""
        return self.numbers[:, 0:6:2]

    @property
    def extent(self) -> np.ndarray:
        """Lengths of the box, (B, 3)."""
        return self.numbers[:, 1:6:2] - self.start

    @property
    def area(self) -> np.ndarray:
        """Pixels of the lesion, (B,)."""
        return self.numbers[:, 6]

    @property
    def origin(self) -> np.ndarray:
        """Where the box begins in the frame, (B, 3)."""
        return self.numbers[:, 7:10]

    @property
    def counts(self) -> np.ndarray:
        """`overlap.Overlaps` there, (B, 3)."""
        return self.numbers[:, 10:13]

    @property
    def places(self) -> np.ndarray:
        """The rectangle of all places: first, and how many along each axis, (B, 2, 3)."""
        return self.numbers[:, 13:19].reshape(-1, 2, 3)

    @property
    def legal(self) -> np.ndarray:
        """Whether there is a place, (B,) bool."""
        from softcp_gpu.loops import jit_lesion

        return self.numbers[:, 19] == jit_lesion.YES

    @property
    def unknown(self) -> list[int]:
        """Samples whose candidates are not legal, so that all places have to be counted."""
        from softcp_gpu.loops import jit_lesion

        return np.flatnonzero(self.numbers[:, 19] == jit_lesion.UNKNOWN).tolist()

    def lesion(self, sample: int) -> np.ndarray:
        """The labels of one lesion, in its box."""
        from softcp_gpu.loops import jit_lesion

        return jit_lesion.boxed(jit_lesion.window_of(self.canvas, self.windows[sample]), self.numbers[sample])

    def put(self, sample: int, origin: np.ndarray, counts: Sequence[int]) -> None:
        """The place of a lesion, and what it covers there."""
        from softcp_gpu.loops import jit_lesion

        self.numbers[sample, 7:13] = *origin, *counts
        self.numbers[sample, 19] = jit_lesion.YES


class Motions(NamedTuple):
    """How each lesion moves, and where it would come to lie without being put to a place."""

    back: np.ndarray  # (B, 3, 4) float64: from the frame to the source
    windows: np.ndarray  # (B, 7) int64: first pixel in the frame and lengths of each, and how many pixels precede them
    whole: np.ndarray  # (B,) bool: the lesion is not too long for any place


def find_motions(boxes: np.ndarray, rigid: RigidParams, most: Sequence[int]) -> Motions:
    """The motions of lesions in such boxes.

    Args:
        boxes: of `look`.
        rigid: the draws.
        most: n lengths above which a lesion has no place.
    """
    from softcp_gpu.loops import jit_motion

    count, longest = len(boxes), np.array([*[1] * (3 - len(most)), *most])
    motions = Motions(np.empty((count, 3, 4)), np.empty((count, 7), np.int64), np.empty(count, bool))
    flip, angle_deg, scale, shift_px = (t.detach().numpy() for t in rigid)
    jit_motion.find_motions(boxes, longest, flip, angle_deg, scale, shift_px, *motions)
    return motions


def find_places(
    masks: Masks,
    boxes: np.ndarray,
    motions: Motions,
    tries: np.ndarray,
    rule: tuple[np.ndarray, np.ndarray],
    *,
    has_region: bool,
) -> Found:
    """Moves each lesion, and tries some places.

    Args:
        masks, boxes: as `look`.
        motions: of `find_motions`.
        tries: (B, K, 3) in [0, 1); K = 0: it stays where it is.
        rule: bounds (3,) float64, and whether each is a fraction of the lesion.
        has_region: or there is none.
    """
    from softcp_gpu.loops import jit_lesion

    windows = motions.windows
    pixels = int(windows[:, 3:6].prod(1).sum())
    found = Found(np.empty(pixels, masks.labels.dtype), windows, np.zeros((len(windows), 20), np.int64))
    given = (*masks, has_region, boxes, found.canvas, windows, motions.back, tries, rule, found.numbers)
    in_threads(jit_lesion.place, len(windows), pixels // max(1, len(windows)), *given)
    return found


def paste(
    image: Tensor,
    rows: Tensor,
    background: Tensor,
    out: Tensor,
    soft: Tensor,
    pasted: np.ndarray,
    found: Found,
    back: np.ndarray,
    offset: np.ndarray,
    reach: np.ndarray,
    bounds: Tensor,
    slots: Slots,
) -> None:
    """Moves the sources' images, transforms their intensities, and blends them into backgrounds.

    Args:
        image: (N, C, *source) float32, contiguous.
        rows: (B,) int64, the source of each sample.
        background, out: (B, C, *spatial) float32, contiguous; they may be the same.
        soft: (B, 1, *spatial) float32.
        pasted: (B,) bool; the others are copied.
        found: the lesions.
        back: of `Motions`.
        offset: (B, 3) int64, how far their places shift them.
        reach: (B,) int64, how far from a lesion there is any weight.
        bounds: (B, C, 2) float32: the unit of gamma and noise; NaN for the source's own.
        slots: the draws.
    """
    from softcp_gpu.loops import jit_images

    arrays = volumes_of(image), rows.numpy(), volumes_of(background), volumes_of(out), volumes_of(soft)[:, 0]
    given = (pasted, found.numbers, back, offset, reach, bounds.numpy(), tuple(slots))
    in_threads(jit_images.paste_tiles, *units_of(out), *arrays, *given)
