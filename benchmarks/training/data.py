"""A data set at the network's size, in memory, and its division by patients.

Lesions are pasted at that size, before training as well as while training, so that a step of erosion means the same.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from softcp_gpu import checks
from softcp_gpu.data import Case, Sample, find_layout
from softcp_gpu.synthesize.foreground import foreground

FOLDS = 7  # 5 : 1 : 1
TESTED = 5  # folds that are test parts; the others are what settings are chosen on


class Images(NamedTuple):
    """Images with their masks."""

    image: Tensor  # (N, C, H, W) uint8
    mask: Tensor  # (N, 1, H, W) bool
    region: Tensor  # (N, 1, H, W) bool: the body in the image

    def at(self, index: Tensor | Sequence[int]) -> Images:
        """Some of them."""
        where = torch.as_tensor(index, device=self.image.device)
        return Images(*(x[where] for x in self))

    def and_(self, others: Images) -> Images:
        """These, then the others."""
        return Images(*(torch.cat(pair) for pair in zip(self, others, strict=True)))

    def to(self, device: torch.device) -> Images:
        """The same on a device."""
        return Images(*(x.to(device) for x in self))


class DataSet(NamedTuple):
    """All cases of a data set, resized."""

    name: str
    cases: list[Case]
    samples: list[Sample]
    images: Images

    @property
    def patients(self) -> list[str]:
        """Of each case; where patients are not known, each case is one."""
        return [case.patient or case.id for case in self.cases]


class Parts(NamedTuple):
    """Numbers of the cases of each part; no patient is in two of them."""

    train: list[int]
    val: list[int]
    test: list[int]


def load(folder: Path, size: int, layout: str | None = None) -> DataSet:
    """Reads and resizes a data set of 2-D images; its layout names it.

    Args:
        folder: of the data set.
        size: images become size x size pixels, whatever their shape was.
        layout: None: found by looking.

    Raises:
        DataError: a file cannot be read.
    """
    found = find_layout(folder, layout)
    cases = found.cases(folder)[0]
    samples = [resized(found.load(case), size) for case in cases]
    colours = max(sample.image.shape[-1] for sample in samples)
    samples = [s if s.image.shape[-1] == colours else Sample(s.image.repeat(colours, -1), s.lesion) for s in samples]
    return DataSet(found.name, cases, samples, stacked(samples))


def resized(sample: Sample, size: int) -> Sample:
    """Filtered against aliasing, in 8 bits; a pixel is lesion if at least half of it is."""
    image = torch.from_numpy(sample.image.astype(np.float32)).movedim(-1, 0)[None]
    image = _to_size(image / 257 if sample.image.dtype == np.uint16 else image, size)
    lesion = _to_size(torch.from_numpy(sample.lesion)[None, None].float(), size)
    pixels = image[0].movedim(0, -1).round().clamp(0, 255).byte()
    return Sample(pixels.contiguous().numpy(), (lesion[0, 0] >= 0.5).numpy())


def _to_size(x: Tensor, size: int) -> Tensor:
    return x if x.shape[2:] == (size, size) else F.interpolate(x, (size, size), mode="bilinear", antialias=True)


def stacked(samples: Sequence[Sample]) -> Images:
    """Samples of one size as tensors, with the body in each image."""
    image = torch.from_numpy(np.stack([sample.image for sample in samples])).movedim(-1, 1).contiguous()
    mask = torch.from_numpy(np.stack([sample.lesion for sample in samples]))[:, None]
    return Images(image, mask, torch.from_numpy(np.stack([foreground(sample.image) for sample in samples]))[:, None])


def folds(patients: Sequence[str]) -> list[list[int]]:
    """Deals whole patients to seven folds, each to the one with the fewest cases: the same for every seed.

    Example:
        >>> [len(fold) for fold in folds([f"patient {i // 2}" for i in range(28)])]
        [4, 4, 4, 4, 4, 4, 4]
    """
    cases = defaultdict(list)
    for number, patient in enumerate(patients):
        cases[patient].append(number)
    if len(cases) < FOLDS:
        checks.fail("patients", f"{FOLDS} or more", str(len(cases)))
    dealt: list[list[int]] = [[] for _ in range(FOLDS)]
    for patient in sorted(cases, key=lambda name: _key("fold", name)):
        min(dealt, key=len).extend(cases[patient])
    return [sorted(fold) for fold in dealt]


def split(patients: Sequence[str], seed: int, fraction: float = 1.0, *, tuning: bool = False) -> Parts:
    """Five folds to train on, one to validate, one to test.

    The test parts of seeds 0 to 4 share no case. Settings are tuned on two folds that are never tested: then those
    are the validation parts in turn, and nothing is tested.

    Args:
        patients: of each case.
        seed: says which fold is which.
        fraction: of the training part's patients, in (0, 1]; a larger one contains a smaller one.
        tuning: for choosing settings.
    """
    checks.number("fraction", fraction, 0, 1)
    dealt = folds(patients)
    test = seed % TESTED
    val = TESTED + seed % (FOLDS - TESTED) if tuning else (test + 1 + seed // TESTED % (FOLDS - 1)) % FOLDS
    held_out = range(TESTED, FOLDS) if tuning else (test, val)
    train = sorted(i for k, fold in enumerate(dealt) if k not in held_out for i in fold)
    order = sorted({patients[i] for i in train}, key=lambda name: _key(f"fraction {seed}", name))
    used = set(order[: max(1, math.ceil(fraction * len(order)))])
    return Parts([i for i in train if patients[i] in used], dealt[val], [] if tuning else dealt[test])


def _key(purpose: str, patient: str) -> str:
    return hashlib.sha256(f"{purpose}:{patient}".encode()).hexdigest()
