"""A small network that tells two kinds of patches apart, cross-validated by patient."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Training(NamedTuple):
    """How the network is trained; the same for every comparison."""

    epochs: int = 8
    batch: int = 128
    learning_rate: float = 3e-3
    seed: int = 0


def network(channels: int) -> nn.Module:
    """(N, C, size, size) to one number per patch, (N, 1)."""

    def step(inside: int, outside: int, stride: int) -> list[nn.Module]:
        convolution = nn.Conv2d(inside, outside, 3, stride, padding=1, bias=False)
        return [convolution, nn.BatchNorm2d(outside), nn.ReLU()]

    layers = [*step(channels, 16, 2), *step(16, 32, 2), *step(32, 32, 1)]  # full size only for the input: it is cheap
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 1))


def held_out_scores(patches: Tensor, label: np.ndarray, fold: np.ndarray, training: Training) -> np.ndarray:
    """How much each patch looks like class 1 to a network that was trained on the other folds.

    Args:
        patches: (n, C, size, size).
        label: (n,) of 0 and 1.
        fold: (n,), with all patches of a patient in one fold.
        training: how to train.

    Returns:
        (n,); scores of different folds come from different networks and are not to be compared.
    """
    scores = np.empty(len(patches))
    target = torch.from_numpy(label).float()
    for one in np.unique(fold):
        held_out = torch.from_numpy(fold == one)
        seen = patches[~held_out]
        mean, spread = seen.mean((0, 2, 3), keepdim=True), seen.std((0, 2, 3), keepdim=True).clamp(min=1e-6)
        net = _trained((seen - mean) / spread, target[~held_out], training)
        with torch.inference_mode():
            parts = ((patches[held_out] - mean) / spread).split(1024)
            scores[held_out.numpy()] = torch.cat([net(part) for part in parts])[:, 0].numpy()
    return scores


def _trained(patches: Tensor, target: Tensor, training: Training) -> nn.Module:
    with torch.random.fork_rng(devices=[]):  # the weights alone are drawn from torch's own state
        torch.manual_seed(training.seed)
        net = network(patches.shape[1])
    generator = torch.Generator().manual_seed(training.seed)
    steps = training.epochs * -(-len(patches) // training.batch)
    optimizer = torch.optim.AdamW(net.parameters(), training.learning_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, training.learning_rate, total_steps=steps)
    for _ in range(training.epochs):
        for rows in torch.randperm(len(patches), generator=generator).split(training.batch):
            loss = F.binary_cross_entropy_with_logits(net(_turned(patches[rows], generator))[:, 0], target[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval()


def _turned(patches: Tensor, generator: torch.Generator) -> Tensor:
    """One of the eight ways to turn and mirror a square."""
    number = int(torch.randint(8, (1,), generator=generator))
    turned = torch.rot90(patches, number % 4, (2, 3))
    return turned if number < 4 else turned.flip(3)
