"""Gamma, Gaussian noise and Gaussian blur, in any unit: the range of an image is that of each of its channels."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from softcp_gpu.reference.noise import normal_field


def value_range(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest value of each channel, (C,) each."""
    axes = tuple(range(image.ndim - 1))
    return image.min(axes), image.max(axes)


def gamma(image: np.ndarray, gamma: float, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Gamma correction over a range and back: low + (high - low) * ((x - low) / (high - low))**gamma.

    Args:
        image: (H, W, C); values outside the range are left as they are.
        gamma: above 0.
        low, high: (C,), the range; a channel without a range is left as it is.

    Example:
        >>> image = np.array([[[-100.0], [0.0], [100.0]]])
        >>> gamma(image, 2, *value_range(image)).ravel().tolist()
        [-100.0, -50.0, 100.0]
    """
    result = image.copy()
    for c in range(image.shape[-1]):
        if high[c] > low[c]:
            unit = (image[..., c] - low[c]) / (high[c] - low[c])
            inside = (unit >= 0) & (unit <= 1)
            result[..., c][inside] = low[c] + (high[c] - low[c]) * unit[inside] ** gamma
    return result


def gaussian_noise(
    image: np.ndarray, sigma: float, low: np.ndarray, high: np.ndarray, seed: int, stream: int
) -> np.ndarray:
    """Adds white Gaussian noise of standard deviation sigma * (high - low).

    Args:
        image: (H, W, C).
        sigma: 0 or more, fraction of the range.
        low, high: (C,), the range.
        seed, stream: which noise field.
    """
    field = normal_field(seed, stream, image.shape[:-1], image.shape[-1])
    return image + field * sigma * (high - low)


def gaussian_blur(image: np.ndarray, sigma_px: float, radius: int) -> np.ndarray:
    """Gaussian blur with cv2.sepFilter2D, the kernel cut at `radius` and normalised.

    Borders are mirrored without repeating the edge pixel.

    Args:
        image: (H, W, C).
        sigma_px: above 0.
        radius: of the kernel, pixels.

    Example:
        >>> gaussian_blur(np.eye(5)[..., None], 1.0, radius=2).shape
        (5, 5, 1)
    """
    reach = np.arange(-radius, radius + 1)
    kernel = np.exp(-(reach**2) / (2 * sigma_px**2))
    kernel = kernel / kernel.sum()
    blurred = [
        cv2.sepFilter2D(np.ascontiguousarray(channel), -1, kernel, kernel, borderType=cv2.BORDER_REFLECT_101)
        for channel in np.moveaxis(image, -1, 0)
    ]
    return np.stack(blurred, -1)


def transform_intensity(
    image: np.ndarray, whole: np.ndarray, params: Any, radius: int, seed: int, stream: int
) -> np.ndarray:
    """The slots of `params` in order, each gamma, noise, blur, in the unit of the value range of `whole`.

    Args:
        image, whole: (H, W, C).
        params: one sample of `IntensityParams`; 1, 0 and 0 mean "leave alone".
        radius: of the blur's kernel, pixels.
        seed, stream: of the noise; slot s reads stream + s.
    """
    low, high = value_range(whole)
    for slot in range(len(params.gamma)):
        if params.gamma[slot] != 1:
            image = gamma(image, params.gamma[slot], low, high)
        if params.noise_sigma[slot] > 0:
            image = gaussian_noise(image, params.noise_sigma[slot], low, high, seed, stream + slot)
        if params.blur_sigma_px[slot] > 0:
            image = gaussian_blur(image, params.blur_sigma_px[slot], radius)
    return image
