"""Soft copy-paste with SciPy, as MONAI users write it: from a dictionary to a dictionary, whole arrays at each step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import ndimage

PLACES = 100  # tries


class RandSoftCopyPasted:
    """Pastes the lesion of `source_image` into `image`, 2-D or 3-D.

    The dictionary holds, channel first, `image` and `source_image` (C, *spatial), `label`, `source_label` and `region`
    (1, *spatial). `image` and `label` come back changed.
    """

    def __init__(
        self, k_erode: int = 1, k_dilate: int = 9, alpha: float = 0.7, min_region_overlap: float = 0.5
    ) -> None:
        self.k_erode, self.k_dilate, self.alpha = k_erode, k_dilate, alpha
        self.min_region_overlap = min_region_overlap
        self.rng = np.random.default_rng()

    def set_random_state(self, seed: Any) -> RandSoftCopyPasted:
        self.rng = np.random.default_rng(seed)
        return self

    def __call__(self, data: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        others, region = data["label"][0] > 0, data["region"][0] > 0
        source, lesion = self._moved(data["source_image"], data["source_label"][0] > 0)
        shift = self._place(lesion, region, others)
        soft, source = shifted(self.soft_mask(lesion), shift), self._recoloured(source)
        source = np.stack([shifted(channel, shift) for channel in source])
        image = soft * source + (1 - soft) * data["image"]
        label = others | (shifted(lesion, shift) & (soft > 0))
        return {**data, "image": image.astype(np.float32), "label": label[None].astype(np.uint8)}

    def soft_mask(self, lesion: np.ndarray) -> np.ndarray:
        """The loop of the method's description on the whole array, (*spatial) float32."""
        footprint = ndimage.generate_binary_structure(lesion.ndim, lesion.ndim)
        core = ndimage.binary_erosion(lesion, footprint, self.k_erode, border_value=1) if self.k_erode else lesion
        soft = (core if core.any() else lesion).astype(np.float32)
        for i in range(1, self.k_dilate + 1):
            soft += (1 - soft) * np.float32(self.alpha**i) * ndimage.binary_dilation(soft > 0, footprint)
        return soft

    def _moved(self, source: np.ndarray, lesion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Two rigid operations as one resampling."""
        axes = lesion.ndim
        matrix = np.eye(axes)
        for op in self.rng.choice(["none", "flip", "rotation", "scaling"], 2):
            step = np.eye(axes)
            if op == "flip":
                step[(axis := self.rng.integers(axes)), axis] = -1
            elif op == "rotation":
                angle = np.deg2rad(self.rng.uniform(-45, 45))
                step[-2:, -2:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
            elif op == "scaling":
                step /= np.exp(self.rng.uniform(np.log(0.8), np.log(1.25)))
            matrix = matrix @ step
        center = (np.array(lesion.shape) - 1) / 2
        offset = center - matrix @ center
        lesion = ndimage.affine_transform(lesion.astype(np.uint8), matrix, offset, order=0) > 0
        channels = [ndimage.affine_transform(one, matrix, offset, order=1, mode="nearest") for one in source]
        return np.stack(channels), lesion

    def _recoloured(self, source: np.ndarray) -> np.ndarray:
        """Two operations on intensities, in units of the source's own range."""
        low, span = source.min(), np.ptp(source)
        for op in self.rng.choice(["none", "gamma", "noise", "blur"], 2):
            if op == "gamma":
                power = np.float32(np.exp(self.rng.uniform(np.log(0.7), np.log(1.5))))
                source = low + span * (np.maximum(source - low, 0) / span) ** power
            elif op == "noise":
                sigma = np.float32(span * self.rng.uniform(0, 0.05))
                source = source + sigma * self.rng.standard_normal(source.shape, np.float32)
            elif op == "blur":
                source = ndimage.gaussian_filter(source, (0, *(self.rng.uniform(0.3, 1.5),) * (source.ndim - 1)))
        return source

    def _place(self, lesion: np.ndarray, region: np.ndarray, others: np.ndarray) -> np.ndarray:
        """How far to move the lesion so that it lies in the region and on no other lesion."""
        pixels = np.argwhere(lesion)
        if not len(pixels):
            raise ValueError("lesion: expected pixels after its transform, found none")
        low, high = -pixels.min(0), np.array(lesion.shape) - pixels.max(0)
        for _ in range(PLACES):
            shift = self.rng.integers(low, high)
            here = tuple((pixels + shift).T)
            if region[here].mean() >= self.min_region_overlap and not others[here].any():
                return shift
        raise ValueError(f"place: expected a legal one in {PLACES} tries, found none")


def shifted(x: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """The array moved by whole pixels; zeros come in."""
    out = np.zeros_like(x)
    to = tuple(slice(max(s, 0), n + min(s, 0)) for s, n in zip(shift, x.shape, strict=True))
    of = tuple(slice(max(-s, 0), n - max(s, 0)) for s, n in zip(shift, x.shape, strict=True))
    out[to] = x[of]
    return out
