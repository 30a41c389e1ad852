"""Gamma, Gaussian noise and Gaussian blur: per sample, differentiable, in any unit.

The range of an image is that between the least and the largest value of each of its channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from softcp_gpu.functional.counter_rng import normal_field
from softcp_gpu.functional.execution import Rows, asks_for_gradients, is_array, may_read_values, where_active
from softcp_gpu.types import IntensityParams

# Streams of each sample's seed that noise fields are read from; sampling.py keeps its draws below.
OBJECT_NOISE, BACKGROUND_NOISE, IMAGE_NOISE = 1000, 2000, 3000


def value_range(image: Tensor) -> tuple[Tensor, Tensor]:
    """Least and largest value of each channel, (B, C, 1, ...) each."""
    axes = tuple(range(2, image.ndim))
    return image.amin(axes, keepdim=True), image.amax(axes, keepdim=True)


def gamma(image: Tensor, gamma: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Gamma correction over a range and back: low + (high - low) * ((x - low) / (high - low))**gamma.

    Args:
        image: (B, C, *spatial) floating; values outside the range are left as they are.
        gamma: (B,), above 0.
        low, high: (B, C, 1, ...), the range.

    Returns:
        (B, C, *spatial); a channel without a range is returned unchanged.

    Example:
        >>> x = torch.tensor([[[[-100.0, 0.0, 100.0]]]])
        >>> gamma(x, torch.tensor([2.0]), *value_range(x)).flatten().tolist()
        [-100.0, -50.0, 100.0]
    """
    width = high - low
    unit = (image - low) / torch.where(width > 0, width, torch.inf)  # without a range all is 0
    if not asks_for_gradients(image, gamma, low, high) and may_read_values(image):
        unit.clamp_(0, 1)  # the ends stay where they are, and so does what lies beyond
        # u**gamma - u as u * (u**(gamma - 1) - 1), where 0 needs no logarithm, which takes ten times as long as others.
        base = unit.clamp(min=torch.finfo(unit.dtype).tiny)
        change = base.log2_().mul_(_column(gamma, image) - 1).exp2_().sub_(1).mul_(unit)
        return torch.addcmul(image, width, change)
    # The least value is left out: 0**gamma would have an infinite gradient, even if not taken.
    base = unit.clamp(torch.finfo(unit.dtype).tiny, 1)
    power = torch.exp2(_column(gamma, image) * base.log2())
    return torch.where(base == unit, image + width * (power - base), image)


def gaussian_noise(
    image: Tensor, sigma: Tensor, low: Tensor, high: Tensor, seed: Tensor, stream: int, index: Tensor
) -> Tensor:
    """Adds white Gaussian noise of standard deviation sigma * (high - low).

    Args:
        image: (B, C, *spatial) floating.
        sigma: (B,), 0 or more, fraction of the range.
        low, high: (B, C, 1, ...), the range.
        seed: (B,) int64.
        stream: which noise field of the seed.
        index: (B, *spatial) integer, each pixel's linear index in its whole frame.

    Returns:
        (B, C, *spatial).
    """
    field = normal_field(seed, stream, index, image.shape[1], image.dtype)
    return image + field * (_column(sigma, image) * (high - low))


def kernel_radius(sigma_px: float) -> int:
    """Of a Gaussian, in pixels: it keeps all but 1e-4 of the weight."""
    return math.ceil(4 * sigma_px)


def gaussian_kernel(sigma_px: Tensor, radius: int) -> Tensor:
    """Weights of the pixels from -radius to radius, (B, 2 * radius + 1), their sum 1, for sigmas (B,) above 0."""
    reach = torch.arange(-radius, radius + 1, device=sigma_px.device, dtype=sigma_px.dtype)
    weight = torch.exp(-0.5 * (reach / sigma_px[:, None]) ** 2)
    return weight / weight.sum(1, keepdim=True)


def gaussian_blur(image: Tensor, sigma_px: Tensor, radius: int) -> Tensor:
    """Gaussian blur, the kernel cut at `radius` and normalised; borders are mirrored without repeating the edge pixel.

    Args:
        image: (B, C, *spatial) floating.
        sigma_px: (B,), above 0.
        radius: of the kernel in pixels; 4 sigma keeps all but 1e-4 of the weight.

    Returns:
        (B, C, *spatial).

    Example:
        >>> x = torch.eye(5)[None, None]
        >>> gaussian_blur(x, torch.tensor([1.0]), radius=2).shape
        torch.Size([1, 1, 5, 5])
    """
    weight = gaussian_kernel(sigma_px.to(image.dtype), radius)
    at_once = may_read_values(image) and radius < min(image.shape[2:])
    if at_once:
        image = F.pad(image, [radius] * (2 * image.ndim - 4), mode="reflect")
    for axis in range(2, image.ndim):
        image = _filter_axis(image if at_once else _mirrored(image, axis, radius), weight, axis)
    return image


def _filter_axis(padded: Tensor, weight: Tensor, axis: int) -> Tensor:
    """Correlates each sample with its own (B, taps) weights along one axis, which gets taps - 1 shorter."""
    shifted = _shifted(padded, axis, weight.shape[1])
    # One multiply-add per tap: it fuses where it is compiled, and keeps the order of the sum everywhere.
    if len(weight) == 1 and may_read_values(padded) and not weight.requires_grad:
        first, *others = weight[0].tolist()  # numbers are multiplied faster than tensors are broadcast
        out = shifted[0] * first
        for number, view in zip(others, shifted[1:], strict=True):
            out.add_(view, alpha=number)
        return out
    out = torch.zeros_like(shifted[0])
    for tap, view in enumerate(shifted):
        out.addcmul_(view, _column(weight[:, tap], padded))
    return out


def _shifted(padded: Tensor, axis: int, taps: int) -> Sequence[Tensor]:
    """Its views along one axis, each one line further; in one step on a CPU, where no gradient is asked for."""
    length = padded.shape[axis] - taps + 1
    if not is_array(padded):
        return [padded.narrow(axis, tap, length) for tap in range(taps)]
    shape = (taps, *padded.shape[:axis], length, *padded.shape[axis + 1 :])
    return padded.as_strided(shape, (padded.stride(axis), *padded.stride()), padded.storage_offset()).unbind(0)


def _mirrored(image: Tensor, axis: int, radius: int) -> Tensor:
    """The image with a mirrored border along one axis, the edge pixel not repeated."""
    length = image.shape[axis]
    # Indices, folded as often as it takes: an axis may be shorter than the kernel.
    fold = torch.arange(-radius, length + radius, device=image.device) % max(2 * length - 2, 1)
    return image.index_select(axis, torch.where(fold < length, fold, 2 * length - 2 - fold))


def is_active(params: IntensityParams) -> Tensor:
    """Whether any slot of each sample does something, (B,) bool."""
    return ((params.gamma != 1) | (params.noise_sigma > 0) | (params.blur_sigma_px > 0)).any(1)


def apply_intensity(
    image: Tensor,
    params: IntensityParams,
    bounds: tuple[Tensor, Tensor],
    radius: int,
    seed: Tensor,
    stream: int,
    index: Tensor,
) -> Tensor:
    """Runs the slots of `params` in order; a sample whose slot is neutral keeps its values bit for bit.

    Args:
        image: (B, C, *spatial) floating.
        params: B samples, S slots.
        bounds: least and largest value of each channel, (B, C, 1, ...): the unit of gamma and noise.
        radius: of the blur's kernel, pixels.
        seed, stream, index: as `gaussian_noise`; slot s uses stream + s.

    Returns:
        (B, C, *spatial).
    """
    low, high = bounds
    active = [params.gamma != 1, params.noise_sigma > 0, params.blur_sigma_px > 0]
    # Read once for all slots, where values may be read.
    flags = [on.T.tolist() if may_read_values(image) else on.unbind(1) for on in active]
    for slot, (corrects, adds, blurs) in enumerate(zip(*flags, strict=True)):
        g, sigma, blur = params.gamma[:, slot], params.noise_sigma[:, slot], params.blur_sigma_px[:, slot]
        noise = partial(_noise_rows, sigma, low, high, seed, stream + slot, index)
        image = where_active(corrects, image, partial(_gamma_rows, g, low, high))
        image = where_active(adds, image, noise)
        image = where_active(blurs, image, partial(blur_rows, blur, radius))
    return image


def _gamma_rows(gammas: Tensor, low: Tensor, high: Tensor, x: Tensor, rows: Rows) -> Tensor:
    return gamma(x, rows(gammas), rows(low), rows(high))


def _noise_rows(
    sigma: Tensor, low: Tensor, high: Tensor, seed: Tensor, stream: int, index: Tensor, x: Tensor, rows: Rows
) -> Tensor:
    return gaussian_noise(x, rows(sigma), rows(low), rows(high), rows(seed), stream, rows(index))


def blur_rows(sigma_px: Tensor, radius: int, x: Tensor, rows: Rows) -> Tensor:
    """`gaussian_blur` of some samples, for `where_active`."""
    # Samples that are not blurred are computed too where values may not be read; 0 would divide by zero.
    return gaussian_blur(x, rows(sigma_px).clamp(min=1e-3), radius)


def _column(value: Tensor, image: Tensor) -> Tensor:
    """(B,) as (B, 1, 1, ...), in the image's dtype."""
    return value.to(image.dtype).view(-1, *(1,) * (image.ndim - 1))
