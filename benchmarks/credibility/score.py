"""The scores of every blend on one data set, and of a control that must score nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.credibility import estimate
from benchmarks.credibility.classifier import Training, held_out_scores
from benchmarks.credibility.images import Labelled
from benchmarks.credibility.pastes import make, pair_up, paste
from benchmarks.credibility.patches import Patches, collect


class Settings(NamedTuple):
    """All that a score depends on besides the images."""

    folds: int = 5
    patch_px: int = 24
    patches: int = 8  # of a lesion, at most
    rounds: int = 1000  # of the bootstrap
    seed: int = 0
    training: Training = Training()


def measure(images: Sequence[Labelled], variants: Sequence[str], settings: Settings) -> Patches:
    """Makes the pastes and looks at them.

    Raises:
        ValueError: for an unknown variant, and where there are too few patients or places.
    """
    modules = {variant: make(variant) for variant in variants}
    pairs = pair_up(images, settings.folds, settings.seed)
    tried = (paste(pair, modules, settings.seed, i) for i, pair in enumerate(pairs))
    pastes = (one for one in tried if one is not None)
    return collect(pastes, settings.patch_px, settings.patches, settings.seed)


def scores(found: Patches, settings: Settings, tell: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """The figures of a results file: `real_gradient`, `control` and one entry for each variant.

    Args:
        found: what was measured.
        settings: as it was measured.
        tell: is given a line about each figure.
    """
    weights = estimate.resampled(found.patient, found.fold, settings.rounds, settings.seed)
    real = estimate.mean(found.real_gradient, weights)
    control = _auc(found, found.real, _arbitrary(found, settings.seed), found.paste, weights, settings)
    tell(f"{'control':22} AUC {control['value']:.3f}")
    entries = []
    for variant, patches in found.pasted.items():
        both = torch.cat([found.real, patches])
        label = np.repeat([0, 1], len(found.real))
        entry = {
            "variant": variant,
            "auc": _auc(found, both, label, np.tile(found.paste, 2), weights, settings),
            "gradient_ratio": _interval(estimate.mean(found.gradient[variant], weights) / real),
            "core_change_percent": _interval(100 * estimate.mean(found.change[variant], weights)),
        }
        tell(f"{variant:22} " + ", ".join(f"{name} {entry[name]['value']:.3f}" for name in list(entry)[1:]))
        entries.append(entry)
    return {"real_gradient_percent": _interval(100 * real), "control_auc": control, "entries": entries}


def _auc(
    found: Patches, patches: Tensor, label: np.ndarray, paste_of: np.ndarray, weights: np.ndarray, settings: Settings
) -> dict[str, float]:
    fold = found.fold[paste_of]
    held_out = held_out_scores(patches, label, fold, settings.training)
    return _interval(estimate.auc(held_out, label, fold, weights[:, paste_of]))


def _arbitrary(found: Patches, seed: int) -> np.ndarray:
    """Labels for the real patches, one for all patches of a lesion, half of the lesions of each fold each."""
    rng = np.random.default_rng(seed)
    label = np.empty(len(found.fold), int)
    for fold in np.unique(found.fold):
        inside = np.flatnonzero(found.fold == fold)
        label[inside] = rng.permutation(len(inside)) % 2
    return label[found.paste]


def _interval(figures: np.ndarray) -> dict[str, float]:
    return {name: round(x, 5) for name, x in estimate.interval(figures)._asdict().items()}
