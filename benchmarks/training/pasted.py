"""What the arms paste: a synthetic set before training, or lesions into the batches while training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.training.data import DataSet, Images, stacked
from benchmarks.training.presets import REAL_PER_SYNTHETIC
from benchmarks.training.seeds import generator
from softcp_gpu import GraphedSoftCP, SoftCP, Status
from softcp_gpu.data import Sample
from softcp_gpu.synthesize.foreground import foreground
from softcp_gpu.synthesize.job import make_augmentation
from softcp_gpu.synthesize.pair import Parents, paste_pairs
from softcp_gpu.synthesize.plan import Pairing, sample_count
from softcp_gpu.synthesize.sample import TRIES


class Synthetic(NamedTuple):
    """A synthetic set."""

    images: Images
    statuses: dict[str, int]  # of the samples: "pasted", or why the last try failed


def synthetic_count(real: int) -> int:
    """Samples of a synthetic set beside so many real ones, if every one finds a place."""
    return sample_count(real, f"{REAL_PER_SYNTHETIC}:1", None)


def synthetic_set(data: DataSet, train: Sequence[int], config: Mapping[str, Any], seed: int) -> Synthetic:
    """Makes what `softcp_gpu.synthesize.synthesize` would write for the training part, in memory.

    Args:
        data: the data set.
        train: numbers of the training cases: all parents are among them.
        config: keywords of `SoftCP`.
        seed: of the set.
    """
    by_id = {data.cases[i].id: data.samples[i] for i in train}
    cases = [data.cases[i] for i in train]
    pairing = Pairing(cases, [case for case in cases if by_id[case.id].lesion.any()], seed)
    make = cache(partial(make_augmentation, config))
    made: list[Sample] = []
    statuses: Counter[str] = Counter()
    for number in range(synthetic_count(len(train))):
        for attempt in range(TRIES):
            pair = pairing.draw(number, attempt)
            assert pair.source is not None  # there is no bank
            background, source = by_id[pair.background.id], by_id[pair.source.id]
            place = foreground(background.image)
            [tried] = paste_pairs(make, [Parents(background, source, place, pair.seed)], torch.device("cpu"))
            if tried.status == Status.PASTED.label:
                made.append(tried.sample)
                break
        statuses[tried.status] += 1
    return Synthetic(stacked(made), dict(statuses))


class Online:
    """`SoftCP` on the batches of a training: each image is the source of another one of its batch.

    A pass over the training part with p = 1 tells how often a paste succeeds (a source may be empty, a lesion may find
    no place); p is then such that a given share of the samples is pasted into.

    Args:
        config: keywords of `SoftCP`.
        train: what is trained on.
        batch: samples in a batch.
        seed: of the draws; those of a step depend on (seed, step) alone.
        share: of the samples, above 0.
    """

    def __init__(self, config: Mapping[str, Any], train: Images, batch: int, seed: int, share: float) -> None:
        self.seed = seed
        self.p = 1.0
        self.aug = GraphedSoftCP(SoftCP(**{**config, "p": 1.0}))
        tried = torch.zeros(len(Status), dtype=torch.int64, device=train.image.device)
        for step, index in enumerate(
            torch.randperm(len(train.image), generator=generator(seed, "try", 0)).split(batch)
        ):
            if len(index) > 1:
                self(train.at(index), -1 - step, tried)
        self.p = min(1.0, share / max(float(tried[Status.PASTED] / tried.sum()), 1e-6))
        self.aug = GraphedSoftCP(SoftCP(**{**config, "p": self.p}))

    def __call__(self, images: Images, step: int, statuses: Tensor) -> tuple[Tensor, Tensor]:
        """Pastes into a batch.

        Args:
            images: the batch.
            step: its number.
            statuses: (5,) int64, counts that the samples' statuses are added to.

        Returns:
            (B, C, H, W) float32 in [0, 1] and (B, 1, H, W) bool.
        """
        draws = generator(self.seed, "online", step)
        out = self.aug.augment(images.image.float() / 255, images.mask, images.region, generator=draws)
        statuses += (out.status[:, None] == torch.arange(len(statuses), device=statuses.device)).sum(0)
        return out.image, out.mask
