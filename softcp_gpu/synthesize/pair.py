"""Pasting the lesions of cases into others, from arrays to arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from softcp_gpu import loops
from softcp_gpu.data import manifest
from softcp_gpu.data.cases import Sample
from softcp_gpu.data.cut import around_lesion, value_limits
from softcp_gpu.data.volume_labels import ids_in
from softcp_gpu.functional.execution import joined
from softcp_gpu.modules import LesionBank, SoftCP
from softcp_gpu.synthesize.change import LESION, REGION, Change, changes, result_of
from softcp_gpu.synthesize.fit import fit
from softcp_gpu.types import Status

Augmentation = Callable[[tuple[int, ...], tuple[int, ...]], SoftCP]  # from class ids of lesions, and further ones


class Pasted(NamedTuple):
    """One try."""

    status: str
    sample: Sample  # the result, in the background's dtype and channels
    region: np.ndarray | None  # (*axes) bool: what the lesion had to touch
    source: Sample  # as it was pasted: with the background's dtype, channels and axes
    change: Change
    record: dict[str, Any]  # its placement and params, as JSON holds them
    lesion_labels: tuple[int, ...]  # class ids that were lesions
    other_labels: tuple[int, ...]  # class ids that were there besides

    @property
    def soft_mask(self) -> np.ndarray:
        """(*axes) float."""
        return self._whole(self.change.soft)

    def new(self, background: Sample) -> np.ndarray:
        """(*box) bool: the part of the label that is new; under the rim, a crop hides which lesion is which."""
        lesion = self.sample.lesion[self.change.box] & (self.change.soft > 0)
        return lesion if self.change.moved is not None else lesion > background.lesion[self.change.box]

    def whole_new(self, background: Sample) -> np.ndarray:
        """The same, (*axes)."""
        return self._whole(self.new(background))

    def _whole(self, part: np.ndarray) -> np.ndarray:
        whole = np.zeros(self.sample.lesion.shape, part.dtype)
        whole[self.change.box] = part
        return whole


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
def paste_pairs(
    make: Augmentation, pairs: Sequence[Parents], device: torch.device, *, numba: bool = False
) -> list[Pasted]:
    """Pastes lesions; images of one size are computed together, and none depends on which others there are.

    A source image of another size is scaled until it fits into the background's frame, centred, its border repeated
    around it. A source volume is turned to the background's axes, and its lesion keeps its size in the body. Sums are
    rounded, and clipped to what the file's dtype holds; where nothing was pasted, values are the background's own.

    Args:
        make: makes the augmentation for the class ids of a pair; where there are none, `LESION` and `REGION`.
        pairs: the parents.
        device: where to compute.
        numba: on a CPU by the loops that Numba compiles; else by torch alone, whether Numba is installed or not.

    Returns:
        The results, or unchanged backgrounds with the status that says why.
    """
    fitted = [_fitted(pair) for pair in pairs]
    kinds: dict[tuple[Any, ...], list[int]] = {}
    for number, one in enumerate(fitted):
        kinds.setdefault(one.kind(number), []).append(number)
    made: dict[int, Pasted] = {}
    for numbers in kinds.values():
        some = [fitted[number] for number in numbers]
        with nullcontext() if numba else loops.unused():
            made |= zip(numbers, _paste(some, make, device), strict=True)
    return [made[number] for number in range(len(pairs))]


def _paste(fitted: Sequence[_Fitted], make: Augmentation, device: torch.device) -> Iterator[Pasted]:
    """A batch of one kind; it goes to the device as a whole, and what may have changed comes back."""
    first, count = fitted[0], len(fitted)
    background, lesions, others = first.parents.background, first.lesions, first.others
    aug = make(lesions, others)
    given: dict[str, Any] = {name: _together([one.tensors[name] for one in fitted], device) for name in first.tensors}
    if isinstance(first.source, Sample) and first.source.grid is not None:
        given["source_spacing"] = first.source.grid.spacing_mm
    seeds = torch.tensor([one.parents.seed for one in fitted])
    params = aug.draw(seeds, background.image.shape[:-1], own_source=True)
    spacing = background.grid and background.grid.spacing_mm
    out = aug.augment(**given, spacing=spacing, params=params)
    alone = params._replace(source_index=torch.zeros_like(params.source_index))  # as each would be alone
    told = zip(
        fitted,
        changes(out),
        out.status.tolist(),
        manifest.plain(out.placement, count),
        manifest.plain(alone, count),
        strict=True,
    )
    for (parents, source, *_), change, code, placement, drawn in told:
        result = result_of(parents.background, change, lesions)
        shown = source if isinstance(source, Sample) else _drawn(source, parents.seed)
        record = {"placement": placement, "params": drawn}
        yield Pasted(Status(code).label, result, parents.region, shown, change, record, lesions, others)


def _together(parts: Sequence[Tensor], device: torch.device) -> Tensor:
    """Samples as one tensor on the device; pixels that lie channels last, as in files, are turned there."""
    if parts[0].is_contiguous():
        return joined(parts).to(device)
    # Turning them while they are joined takes three times as long.
    return joined([x.movedim(1, -1) for x in parts]).to(device).movedim(-1, 1)


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
        labels = sample.lesion.view(np.uint8) * np.uint8(LESION)
        if sample.region is not None:
            labels += (sample.region > sample.lesion).view(np.uint8) * np.uint8(REGION)
    elif labels.max(initial=0) < 256:
        labels = labels.astype(np.uint8, copy=False)
    else:
        labels = labels.astype(np.int32, copy=False)
    return image, torch.from_numpy(labels)[None, None]


def _drawn(bank: LesionBank, seed: int) -> Sample:
    """The lesion that a seed draws from a bank, with the tissue around it."""
    crop = bank[int(bank.draw(torch.tensor([seed])))]
    labels = crop.labels[0].cpu().numpy()
    return Sample(crop.image.movedim(0, -1).cpu().numpy(), labels > 0, labels=labels)
