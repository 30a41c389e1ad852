"""The images that lesions are pasted between: a data set on disk, or phantoms."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from softcp_gpu import phantoms
from softcp_gpu.checks import fail
from softcp_gpu.data import Case, Layout, find_layout
from softcp_gpu.synthesize.foreground import foreground


class Labelled(NamedTuple):
    """An image with its lesion, as a batch of one."""

    id: str
    patient: str
    image: Tensor  # (1, C, H, W) float32, as a file of 8 bits holds it; full scale is 1
    mask: Tensor  # (1, 1, H, W) uint8
    region: Tensor  # (1, 1, H, W) bool: the organ, or else the body


class DataSet(NamedTuple):
    """What the lesions of one data set are pasted between."""

    name: str
    images: list[Labelled]


def read(root: Path | str, longest: int, most: int | None = None) -> DataSet:
    """Reads a data set of 2-D images.

    Args:
        root: its folder; the layout is found.
        longest: the longer side of an image is at most so many pixels; larger ones are scaled down.
        most: take so many cases, evenly spread over the list; None: all.

    Raises:
        DataError: no layout fits, or a file cannot be read.
        ValueError: volumes, or images that differ in their channels.
    """
    layout = find_layout(root)
    cases = layout.cases(root)[0]
    if most is not None and most < len(cases):
        cases = [cases[i] for i in np.linspace(0, len(cases) - 1, most).round().astype(int)]
    images = [_load(layout, case, longest) for case in cases]
    channels = {one.image.shape[1] for one in images}
    if len(channels) != 1:
        fail("data", "images with the same number of channels", f"{sorted(channels)} in {layout.name}")
    return DataSet(layout.name, images)


def made_up(count: int, size: int, seed: int = 0) -> DataSet:
    """Phantoms, one to a patient."""
    image, *masks = phantoms.batch(count, (size, size), seed=seed)
    rows = ([x[i : i + 1] for x in (as_stored(image), *masks)] for i in range(count))
    return DataSet("phantoms", [Labelled(f"phantom_{i}", f"phantom_{i}", *row) for i, row in enumerate(rows)])


def as_stored(image: Tensor) -> Tensor:
    """As a file of 8 bits holds it, in steps of 1 / 255 from 0 to 1: what no file holds would betray a paste."""
    return (image * 255).round().clamp(0, 255) / 255


def _load(layout: Layout, case: Case, longest: int) -> Labelled:
    sample = layout.load(case)
    if sample.image.ndim != 3:
        fail("data", "2-D images (H, W, C)", f"{sample.image.shape} in {case.id}")
    scale = np.iinfo(sample.image.dtype).max
    image = torch.from_numpy(sample.image.astype(np.float32) / scale).movedim(-1, 0)[None]
    body = foreground(sample.image) if sample.region is None else sample.region | sample.lesion
    masks = torch.from_numpy(np.stack([sample.lesion, body]).astype(np.float32))[None]
    size = _at_most(sample.image.shape[:2], longest)
    if size != tuple(image.shape[2:]):
        image = F.interpolate(image, size, mode="bilinear", antialias=True)
        masks = F.interpolate(masks, size, mode="nearest-exact")
    return Labelled(case.id, case.patient or case.id, as_stored(image), masks[:, :1].to(torch.uint8), masks[:, 1:] > 0)


def _at_most(shape: tuple[int, ...], longest: int) -> tuple[int, ...]:
    factor = min(1.0, longest / max(shape))
    return tuple(max(1, round(length * factor)) for length in shape)
