"""The rivals that take tensors, and how each of them wants its batch; results are brought back to ours for the gate."""

from __future__ import annotations

import random
from collections.abc import Callable

import kornia.augmentation as K
import torch
from torch import Tensor

from benchmarks import cases

Run = Callable[[], tuple[Tensor, Tensor]]  # image (B, C, *spatial) and mask (B, 1, *spatial)
Target = dict[str, Tensor]  # masks (N, H, W) bool, boxes (N, 4), labels (N,)


def kornia_transplantation(image: Tensor, mask: Tensor) -> Run:
    """kornia's copy-paste: the lesion in its own place, hard edge, no transform, no rule."""
    kind = K.RandomTransplantation if image.ndim == 4 else K.RandomTransplantation3D
    aug = K.AugmentationSequential(kind(p=1.0, excluded_labels=[0]), data_keys=["input", "mask"])
    labels = mask[:, 0]

    def run() -> tuple[Tensor, Tensor]:
        new_image, new_labels = aug(image, labels)
        return new_image, new_labels.reshape(mask.shape)

    return run


def simple_copy_paste(image: Tensor, mask: Tensor) -> Run:
    """The method of torchvision's detection script in our own words: each image receives objects of its neighbour."""
    images, targets = list(image), [_target(one) for one in mask]
    generator = torch.Generator().manual_seed(cases.SEED)

    def run() -> tuple[Tensor, Tensor]:
        sources = zip(images[-1:] + images[:-1], targets[-1:] + targets[:-1], strict=True)
        made = [
            _paste_objects(*one, *other, generator)
            for one, other in zip(zip(images, targets, strict=True), sources, strict=True)
        ]
        return _joined([pixels for pixels, _ in made], [target["masks"] for _, target in made])

    return run


def _paste_objects(
    image: Tensor, target: Target, source_image: Tensor, source: Target, generator: torch.Generator
) -> tuple[Tensor, Target]:
    """A random choice of the source's objects, with a hard edge, over the image's own; what is covered goes."""
    count = len(source["masks"])
    chosen = torch.randint(count, (count,), generator=generator).unique()
    pasted = source["masks"][chosen]
    stamp = pasted.any(0)
    masks = torch.cat([target["masks"] & ~stamp, pasted])
    labels = torch.cat([target["labels"], source["labels"][chosen]])
    left = masks.flatten(1).any(1)
    return torch.where(stamp, source_image, image), {
        "masks": masks[left],
        "labels": labels[left],
        "boxes": _boxes(masks[left]),
    }


def segpaste_transform(image: Tensor, mask: Tensor) -> Run:
    """segpaste as published: one image and its objects at a time, one object to paste."""
    from segpaste import CopyPasteAugmentation, CopyPasteConfig
    from segpaste.types import DetectionTarget

    config = CopyPasteConfig(
        paste_probability=1.0,
        min_paste_objects=1,
        max_paste_objects=1,
        min_object_edge=1,
        min_object_area=1,
        occluded_area_threshold=1.0,
    )
    aug = CopyPasteAugmentation(config)
    targets = [DetectionTarget(image=x, **_target(one)) for x, one in zip(image, mask, strict=True)]

    def run() -> tuple[Tensor, Tensor]:
        random.seed(cases.SEED)  # it draws from there
        made = [aug.transform(one, [other]) for one, other in zip(targets, targets[-1:] + targets[:-1], strict=True)]
        return _joined([out.image for out in made], [out.masks for out in made])

    return run


def _joined(images: list[Tensor], masks: list[Tensor]) -> tuple[Tensor, Tensor]:
    """A training batch; the objects of an image as one label."""
    return torch.stack(images), torch.stack([one.bool().any(0, keepdim=True) for one in masks]).to(torch.uint8)


def _target(mask: Tensor) -> Target:
    """(1, H, W) as one object."""
    masks = mask.bool()
    return {"masks": masks, "boxes": _boxes(masks), "labels": torch.ones(len(masks), dtype=torch.int64)}


def _boxes(masks: Tensor) -> Tensor:
    """x0, y0, x1, y1 of each object, (N, 4) float32; the last pixel is part of it."""
    boxes = torch.zeros(len(masks), 4)
    for one, box in zip(masks, boxes, strict=True):
        for axis, lines in enumerate((one.any(0), one.any(1))):
            inside = lines.nonzero()
            box[axis], box[axis + 2] = inside[0, 0], inside[-1, 0] + 1
    return boxes
