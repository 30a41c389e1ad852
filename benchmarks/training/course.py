"""How long a run is, in which order it sees its samples, and how fast it learns."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.training.seeds import generator


class Course(NamedTuple):
    """A run is rounds of steps; each round ends with a look at the validation part."""

    seed: int
    rounds: int
    steps: int  # in a round

    @property
    def length(self) -> int:
        """Steps in all."""
        return self.rounds * self.steps

    def batch(self, step: int, count: int, size: int) -> Tensor:
        """Numbers of the samples of a step: order after order, of which the rest of less than a batch is left out.

        Args:
            step: from 0.
            count: number of samples.
            size: of a batch.

        Returns:
            (size,) int64, or all samples where there are fewer.

        Example:
            >>> course = Course(seed=0, rounds=1, steps=4)
            >>> first = torch.cat([course.batch(step, 7, 3) for step in (0, 1)])
            >>> len(first.unique()), len(course.batch(0, 2, 3))
            (6, 2)
            >>> again = torch.cat([course.batch(step, 7, 3) for step in (2, 3)])
            >>> first.equal(again)
            False
        """
        size = min(size, count)
        per_order = count // size
        order = torch.randperm(count, generator=generator(self.seed, "order", step // per_order))
        return order[step % per_order * size :][:size]

    def lr(self, step: int, first: float, cosine: float) -> float:
        """Cosine annealing, a step of it after each round.

        Args:
            step: from 0.
            first: the learning rate of the first round.
            cosine: T_max in lengths of the run.

        Example:
            >>> course = Course(seed=0, rounds=2, steps=5)
            >>> [round(course.lr(step, 1.0, 1.0), 3) for step in (0, 4, 5, 9)]
            [1.0, 1.0, 0.5, 0.5]
        """
        return first * (1 + math.cos(math.pi * (step // self.steps) / (cosine * self.rounds))) / 2
