"""Pasting the lesions of cases into others, from arrays to arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from softcp_gpu import loops
from softcp_gpu.data import manifest
from softcp_gpu.data.cases import Sample
from softcp_gpu.data.cut import around_lesion, value_limits
from softcp_gpu.data.masks import box_of
from softcp_gpu.data.volume_labels import ids_in, marked
from softcp_gpu.functional.execution import joined
from softcp_gpu.functional.transforms import crop_and_resize
from softcp_gpu.modules import LesionBank, SoftCP
from softcp_gpu.synthesize.fit import fit
from softcp_gpu.types import PasteParams, SoftCPOutput, Status, map_params

LESION, REGION = 1, 2  # class ids of an image while pasting: both go through every transform together

Augmentation = Callable[[tuple[int, ...], tuple[int, ...]], SoftCP]  # from class ids of lesions, and further ones


class Pasted(NamedTuple):
    """One try."""

    status: str
    sample: Sample  # the result, in the background's dtype and channels
    region: np.ndarray | None  # (*axes) bool: what the lesion had to touch
    source: Sample  # as it was pasted: with the background's dtype, channels and axes
    soft_mask: np.ndarray  # (*axes) float
    box: tuple[slice, ...]  # around what is pasted, with its rim
    output: SoftCPOutput  # of a batch of one
    record: dict[str, Any]  # its placement and params, as JSON holds them
    lesion_labels: tuple[int, ...]  # class ids that were lesions
    other_labels: tuple[int, ...]  # class ids that were there besides


class Parents(NamedTuple):
    """What one sample is made from."""

    background: Sample  # receives the lesion
    source: Sample | LesionBank  # gives it; a bank draws it by the seed
    region: np.ndarray | None  # (*axes) bool: what the lesion must touch in the background
    seed: int  # of every draw


class _Fitted(NamedTuple):
    """Parents as tensors of a batch of one, the source on the background's frame."""

    parents: Parents
    source: Sample | LesionBank
    lesions: tuple[int, ...]  # class ids
    others: tuple[int, ...]
    tensors: dict[str, Tensor]  # arguments of `SoftCP.augment`

    def kind(self, number: int) -> tuple[Any, ...]:
        """What the samples of a batch have in common; a volume has enough pixels to be one by itself."""
        alone = number if self.parents.background.grid is not None else None
        facts = ((name, x.dtype, x.shape) for name, x in self.tensors.items())
        return (alone, self.lesions, self.others, *facts)


@torch.inference_mode()  # a sample is over a thousand small tensor operations: a fifth of their time is autograd's
def paste_pairs(make: Augmentation, pairs: Sequence[Parents], device: torch.device) -> list[Pasted]:
    """Pastes lesions; images of one size are computed together, and none depends on which others there are.

    A source image of another size is scaled until it fits into the background's frame, centred, its border repeated
    around it. A source volume is turned to the background's axes, and its lesion keeps its size in the body. Sums are
    rounded, and clipped to what the file's dtype holds; where nothing was pasted, values are the background's own.

    Args:
        make: makes the augmentation for the class ids of a pair; where there are none, `LESION` and `REGION`.
        pairs: the parents.
        device: where to compute.

    Returns:
        The results, or unchanged backgrounds with the status that says why.
    """
    fitted = [_fitted(pair) for pair in pairs]
    kinds: dict[tuple[Any, ...], list[int]] = {}
    for number, one in enumerate(fitted):
        kinds.setdefault(one.kind(number), []).append(number)
    made: dict[int, Pasted] = {}
    for numbers in kinds.values():
        made |= zip(numbers, _paste([fitted[number] for number in numbers], make, device), strict=True)
    return [made[number] for number in range(len(pairs))]


def _paste(fitted: Sequence[_Fitted], make: Augmentation, device: torch.device) -> Iterator[Pasted]:
    """A batch of one kind; it goes to the device and comes back as a whole."""
    first = fitted[0]
    background, lesions, others = first.parents.background, first.lesions, first.others
    aug = make(lesions, others)
    parts = {name: [one.tensors[name] for one in fitted] for name in first.tensors}
    given: dict[str, Any] = {name: joined(each).to(device) for name, each in parts.items()}
    if isinstance(first.source, Sample) and first.source.grid is not None:
        given["source_spacing"] = first.source.grid.spacing_mm
    seeds = torch.tensor([one.parents.seed for one in fitted])
    params = aug.draw(seeds, background.image.shape[:-1], own_source=True)
    spacing = background.grid and background.grid.spacing_mm
    with loops.unused():  # the same bytes whether Numba is installed or not
        out = map_params(aug.augment(**given, spacing=spacing, params=params), Tensor.cpu)
    count = len(fitted)
    # As each would be alone.
    out = out._replace(params=out.params._replace(source_index=out.params.source_index - torch.arange(count)))
    records = zip(manifest.plain(out.placement, count), manifest.plain(out.params, count), strict=True)
    for (parents, source, *_), alone, (placement, drawn) in zip(fitted, _rows(out), records, strict=True):
        soft = alone.soft_mask[0, 0].numpy()
        box = box_of(soft > 0)
        result = _result(parents.background, alone, box, lesions)
        shown = source if isinstance(source, Sample) else _drawn(source, parents.seed)
        status, record = Status(int(alone.status)).label, {"placement": placement, "params": drawn}
        yield Pasted(status, result, parents.region, shown, soft, box, alone, record, lesions, others)


def _rows(out: SoftCPOutput) -> Iterator[SoftCPOutput]:
    """Each sample of a batch."""
    rows: list[list[Tensor]] = []
    map_params(out, lambda x: rows.append(x.split(1)))  # all rows at once: one by one it takes five times as long
    for each in map(iter, zip(*rows, strict=True)):
        yield map_params(out, lambda _, fields=each: next(fields))


def _fitted(parents: Parents) -> _Fitted:
    background, source, region, _ = parents
    source = source if isinstance(source, LesionBank) else fit(source, background)
    tensors = dict(zip(("image", "mask"), _tensors(background), strict=True))
    if region is not None:
        tensors["region"] = torch.from_numpy(region)[None, None]
    if isinstance(source, Sample):
        tensors |= zip(("source_image", "source_mask"), _tensors(source), strict=True)
        if source.grid is not None:
            limits = value_limits(source.image[around_lesion(source)])
            tensors["source_range"] = limits[None].to(tensors["source_image"])
    return _Fitted(parents, source, *_class_ids(background, source), tensors)


def pasted_lesion(background: Sample, pasted: Pasted) -> np.ndarray:
    """The part of the label that is new; under the rim, a crop of the whole image hides which lesion is which."""
    new, box = np.zeros_like(pasted.sample.lesion), pasted.box
    new[box] = pasted.sample.lesion[box] & (pasted.soft_mask[box] > 0)
    if pasted.output.params.background is None and pasted.output.params.image is None:
        new[box] &= ~background.lesion[box]
    return new


def _class_ids(background: Sample, source: Sample | LesionBank) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The class ids of lesions in both, and the further ones of the background."""
    if background.labels is None:
        return (LESION,), (REGION,)
    lesions, others = set(), set()
    for sample in (background, source) if isinstance(source, Sample) else (background,):
        assert sample.labels is not None  # a data set has class ids or has none
        lesions |= ids_in(sample.labels[sample.lesion])
        others |= ids_in(sample.labels) - {0}
    if isinstance(source, LesionBank):
        lesions |= set(source.classes)
    return tuple(sorted(lesions)), tuple(sorted(others - lesions))


def _tensors(sample: Sample) -> tuple[Tensor, Tensor]:
    """(1, C, *axes) in a type of which `SoftCP` makes floats that hold every value, and class ids (1, 1, *axes)."""
    planes = np.moveaxis(sample.image, -1, 0)
    if planes.dtype not in (np.uint8, np.uint16):  # these are joined and sent to the device as they are
        planes = planes.astype(np.result_type(planes.dtype, np.float32), order="C")
    image = torch.from_numpy(planes)[None]
    labels = sample.labels
    if labels is None:
        labels = sample.lesion * np.uint8(LESION)
        if sample.region is not None:
            labels[sample.region & ~sample.lesion] = REGION
    narrow = np.uint8 if labels.max(initial=0) < 256 else np.int32
    return image, torch.from_numpy(labels.astype(narrow, copy=False))[None, None]


def _result(background: Sample, out: SoftCPOutput, box: tuple[slice, ...], lesions: tuple[int, ...]) -> Sample:
    """The result as a sample like the background, of which only a box is another without whole-image transforms."""
    image = np.moveaxis(out.image[0].numpy(), 0, -1)
    if out.params.background is None and out.params.image is None:
        changed, pasted = out.soft_mask[0, 0].numpy()[box] > 0, image[box]
        image = background.image.copy()
        image[box] = np.where(changed[..., None], _stored(pasted, image.dtype), image[box])
    else:
        image = _stored(image, background.image.dtype)
    ids = out.mask[0, 0].numpy()
    if background.labels is None:
        return Sample(image, ids == LESION, None if background.region is None else ids == REGION)
    kept = ids.astype(np.result_type(np.min_scalar_type(int(ids.max())), background.labels))
    region = None if background.region is None else _moved(background.region, out.params)
    return Sample(image, marked(kept, lesions), region, kept, background.grid)


def _stored(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Values as a file of that dtype holds them."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        values = values.round().clip(limits.min, limits.max)
    return values.astype(dtype)


def _moved(region: np.ndarray, params: PasteParams) -> np.ndarray:
    """The region after the crops of the whole image."""
    x = torch.from_numpy(region)[None, None]
    for draws in (params.background, params.image):
        x = x if draws is None else crop_and_resize(x, draws, "nearest")
    return x[0, 0].numpy()


def _drawn(bank: LesionBank, seed: int) -> Sample:
    """The lesion that a seed draws from a bank, with the tissue around it."""
    crop = bank[int(bank.draw(torch.tensor([seed])))]
    labels = crop.labels[0].cpu().numpy()
    return Sample(crop.image.movedim(0, -1).cpu().numpy(), labels > 0, labels=labels)
