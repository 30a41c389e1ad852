"""The same pastes under every blend: lesion, background and place are equal, so that the blend alone differs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.credibility.images import Labelled, as_stored
from softcp_gpu import SoftCP
from softcp_gpu.checks import choice, fail
from softcp_gpu.functional.blend import BLENDS
from softcp_gpu.sampling import sample_seeds
from softcp_gpu.types import SoftCPOutput, Status

RIM = "+rim"  # behind a blend: match="rim"
VARIANTS: tuple[str, ...] = (*BLENDS, *(blend + RIM for blend in ("hard", "gaussian-mask", "softcp")))
ALPHA, K_ERODE = 0.7, 1  # the library's defaults
TRIES = 4  # backgrounds for each lesion


class Pair(NamedTuple):
    """A lesion, and where it may go."""

    source: Labelled
    backgrounds: tuple[Labelled, ...]  # tried in this order
    fold: int


class Pasted(NamedTuple):
    """One lesion in one place, by every variant."""

    source: Labelled
    background: Labelled
    fold: int
    outputs: Mapping[str, SoftCPOutput]  # by variant; batches of one


def make(variant: str) -> SoftCP:
    """The augmentation of a variant: a blend, or a blend with `+rim`.

    The lesion is moved and nothing else, to a place where all of it lies in the region: interpolation, noise and gamma
    leave traces of their own, and so do lesions in the air, which a classifier would find instead of the rim.

    Raises:
        ValueError: for a word that is none of `VARIANTS`.
    """
    choice("blends", variant, VARIANTS)
    blend, match = variant.removesuffix(RIM), "rim" if variant.endswith(RIM) else "none"
    return SoftCP(
        p=1.0,
        alpha=ALPHA,
        k_erode=K_ERODE,
        blend=blend,
        min_region_overlap=1.0,
        match=match,
        object_transform=None,
    )


def pair_up(images: Sequence[Labelled], folds: int, seed: int) -> list[Pair]:
    """Pairs each lesion with backgrounds of other patients of the same fold.

    The patients of a fold stand in a circle, and each gives its lesions to the next one; to those behind it only where
    there is no legal place. So no patient is in two folds, and two patients make one unit to resample.

    Raises:
        ValueError: where a fold would have fewer than two patients.
    """
    by_patient: dict[str, list[Labelled]] = defaultdict(list)
    for one in images:
        by_patient[one.patient].append(one)
    if len(by_patient) < 2 * folds:
        fail("data", f"at least {2 * folds} patients for {folds} folds", f"{len(by_patient)}")
    order = np.random.default_rng(seed).permutation(list(by_patient)).tolist()
    return [pair for fold in range(folds) for pair in _circle(order[fold::folds], by_patient, fold)]


def _circle(patients: Sequence[str], by_patient: Mapping[str, list[Labelled]], fold: int) -> Iterator[Pair]:
    for i, patient in enumerate(patients):
        behind = [by_patient[patients[(i + k) % len(patients)]] for k in range(1, min(TRIES + 1, len(patients)))]
        for number, source in enumerate(by_patient[patient]):
            if source.mask.any():
                yield Pair(source, tuple(images[number % len(images)] for images in behind), fold)


@torch.inference_mode()
def paste(pair: Pair, modules: Mapping[str, SoftCP], seed: int, number: int) -> Pasted | None:
    """Pastes a lesion by every variant with the same params, into the first background where all of them can.

    Args:
        pair: the lesion and the backgrounds.
        modules: by variant.
        seed: of all pastes.
        number: of this one.

    Returns:
        The results, rounded as in a file, or None where there is no legal place in any background.
    """
    draws = next(iter(modules.values()))
    for background in pair.backgrounds:
        params = draws.draw(sample_seeds(seed, [number]), tuple(background.image.shape[2:]))
        outputs: dict[str, SoftCPOutput] = {}
        for variant, module in modules.items():
            out = module.augment(
                background.image,
                background.mask,
                background.region,
                source_image=pair.source.image,
                source_mask=pair.source.mask,
                params=params,
            )
            if int(out.status) != Status.PASTED:
                break
            outputs[variant] = out._replace(image=as_stored(out.image))
        else:
            return Pasted(pair.source, background, pair.fold, outputs)
    return None
