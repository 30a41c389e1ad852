"""Images that look the same in two parts of a split: what is trained on must not be validated on under another name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from softcp_gpu.checks import fail

SIDE = 16
"""The hash has SIDE x SIDE bits: those of the lowest spatial frequencies of the picture."""

NEAR = 36
"""Up to this many of the 256 bits differ between near-duplicates; between unrelated pictures about 128 do."""

_PICTURE = 4 * SIDE  # pixels a side of what is hashed
_AROUND = 9  # of these pixels: what a contrast is local to
_FLAT = 0.1  # of the range: contrasts far below it, such as noise in air, stay small
_BLOCK = 256  # by four times as many hashes are compared at once


class Fingerprint(NamedTuple):
    """How a case looks, and where it is."""

    id: str
    part: str  # "train", or any other: "val", "test", "unused"
    phash: str | None  # as `fingerprint` gives it
    patient: str | None = None


class NearDuplicate(NamedTuple):
    """A case of the training part and one of another part that look the same."""

    train: str  # its id
    other: str  # its id
    part: str  # of the other one
    distance: int  # in bits


def fingerprint(image: np.ndarray) -> str | None:
    """Hash how an image looks: the perceptual hash (pHash) of its local contrasts.

    Another size, lossy compression, brightness, contrast, or a hundredth cut off each side change few of the 256 bits.
    A mirrored, turned or further cropped image is another one. The contrasts are local: otherwise what all images of a
    set share would decide, such as the outline of the head or the black frame of a screen.

    What is hashed is the mean over the channels and, of a volume, over its first axis: a slice more or less does not
    matter.

    Args:
        image: (*axes, C), two or three axes, any real type without NaN.

    Returns:
        64 hexadecimal digits; None where that mean is the same everywhere.

    Example:
        >>> y, x = np.mgrid[:40, :60]
        >>> image = ((x * y) % 50 + x)[..., None]
        >>> fingerprint(image) == fingerprint(3 * image + 100)
        True
        >>> fingerprint(np.zeros((40, 60, 1))) is None
        True
    """
    if image.ndim not in (3, 4) or image.size == 0:
        fail("image", "(H, W, C) or (D, H, W, C) with pixels", str(image.shape))
    from imagehash import phash

    grey = Image.fromarray(image.mean(axis=(0, -1) if image.ndim == 4 else -1, dtype=np.float32))
    grey = grey.resize((_PICTURE, _PICTURE), Image.Resampling.BOX)
    picture = np.asarray(grey)
    if picture.min() == picture.max():
        return None
    return str(phash(Image.fromarray(_bytes(_local_contrast(_to_unit(picture)))), hash_size=SIDE))


def _local_contrast(picture: np.ndarray) -> np.ndarray:
    from scipy.ndimage import uniform_filter

    mean = uniform_filter(picture, _AROUND)
    variance = np.maximum(uniform_filter(picture**2, _AROUND) - mean**2, 0)
    return (picture - mean) / (np.sqrt(variance) + _FLAT)


def _to_unit(picture: np.ndarray) -> np.ndarray:
    low, high = picture.min(), picture.max()
    return (picture - low) / (high - low)


def _bytes(picture: np.ndarray) -> np.ndarray:
    return (255 * _to_unit(picture)).round().astype(np.uint8)


def near_duplicates(cases: Sequence[Fingerprint]) -> list[NearDuplicate]:
    """Find pairs of a training case and a case of another part whose hashes differ in at most `NEAR` bits.

    Beside cases and result it takes a few megabytes, whatever their number.

    Args:
        cases: in any order. Those without a hash are like none; two of one patient are no pair.

    Returns:
        The pairs, the nearest first.

    Raises:
        ValueError: a hash that is none of `fingerprint`.

    Example:
        >>> zero, one = "0" * 64, "0" * 63 + "1"
        >>> near_duplicates([Fingerprint("a", "train", zero), Fingerprint("b", "val", one)])
        [NearDuplicate(train='a', other='b', part='val', distance=1)]
    """
    hashed = [case for case in cases if case.phash is not None]
    train = [case for case in hashed if case.part == "train"]
    others = [case for case in hashed if case.part != "train"]
    train_words, other_words = _words(train), _words(others)
    found = []
    for top in range(0, len(train), _BLOCK):
        for left in range(0, len(others), 4 * _BLOCK):
            distance = _distance(train_words[:, top : top + _BLOCK], other_words[:, left : left + 4 * _BLOCK])
            for i, j in np.argwhere(distance <= NEAR).tolist():
                one, two = train[top + i], others[left + j]
                if one.patient is None or one.patient != two.patient:
                    found.append(NearDuplicate(one.id, two.id, two.part, int(distance[i, j])))
    return sorted(found, key=lambda pair: (pair.distance, pair))


def _words(cases: Sequence[Fingerprint]) -> np.ndarray:
    """Return the hashes as (4, N) words of 64 bits."""
    digits = SIDE * SIDE // 4
    for case in cases:
        if len(case.phash or "") != digits:
            fail("phash", f"{digits} hexadecimal digits", f"{case.phash!r} of {case.id}")
    rows = np.frombuffer(bytes.fromhex("".join(case.phash or "" for case in cases)), np.uint64)
    return rows.reshape(len(cases), -1).T if cases else np.empty((0, 0), np.uint64)


def _distance(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Return (N, M) numbers of bits that differ between hashes of (words, N) and of (words, M)."""
    total = np.zeros((one.shape[1], two.shape[1]), np.uint16)  # 256 is one more than a byte holds
    for a, b in zip(one, two, strict=True):
        total += np.bitwise_count(a[:, None] ^ b)
    return total
