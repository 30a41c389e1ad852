"""The lesion's and the image's random transforms (section 3.3 of the paper), with their ranges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from softcp_gpu import checks
from softcp_gpu.functional.execution import without_autocast
from softcp_gpu.functional.intensity import IMAGE_NOISE, OBJECT_NOISE, kernel_radius
from softcp_gpu.functional.ranges import INTENSITY_OPS, RIGID_OPS, ImageRanges, ObjectRanges
from softcp_gpu.functional.transforms import crop_and_resize, transform_image, transform_object
from softcp_gpu.modules.inputs import floating
from softcp_gpu.sampling import SeedStream, draw_image, draw_object

Ends = float | tuple[float, float]


class ObjectTransform(nn.Module):
    """Two rigid and two intensity operations, drawn with replacement, in random order.

    The two rigid ones act about the lesion's centre and make one matrix, so the image is resampled once.

    Args:
        rigid: names to draw from: "none", "flip", "rotation", "scaling", "panning".
        intensity: names to draw from: "none", "gamma", "noise", "blur".
        rotation_deg: U(a, b); in 3-D about one axis, drawn.
        scale: U(a, b) in the logarithm, above 0.
        shift: U(a, b) per axis, fraction of the frame, in [-1, 1]; matters with `placement="in_place"`.
        gamma: U(a, b) in the logarithm, above 0.
        noise_sigma: U(a, b), fraction of the source image's range, 0 or more.
        blur_sigma_px: U(a, b), above 0, at most 20.

    A single number x means U(x, x).

    Shape:
        image (B, C, *spatial) and mask (B, 1, *spatial) or (B, *spatial), to the same.

    Example:
        >>> image, mask = torch.rand(2, 1, 16, 16), torch.zeros(2, 1, 16, 16)
        >>> mask[..., 6:10, 6:10] = 1
        >>> turned, turned_mask = ObjectTransform(rigid=["rotation"])(image, mask)
        >>> turned.shape, turned_mask.shape
        (torch.Size([2, 1, 16, 16]), torch.Size([2, 1, 16, 16]))
    """

    def __init__(
        self,
        rigid: Sequence[str] = RIGID_OPS,
        intensity: Sequence[str] = INTENSITY_OPS,
        *,
        rotation_deg: Ends = (-45.0, 45.0),
        scale: Ends = (0.8, 1.25),
        shift: Ends = (-0.1, 0.1),
        gamma: Ends = (0.7, 1.5),
        noise_sigma: Ends = (0.0, 0.05),
        blur_sigma_px: Ends = (0.3, 1.5),
    ) -> None:
        super().__init__()
        checks.names("rigid", rigid, RIGID_OPS)
        checks.names("intensity", intensity, INTENSITY_OPS)
        self.ranges = ObjectRanges(
            rigid=tuple(rigid),
            intensity=tuple(intensity),
            rotation_deg=checks.value_range("rotation_deg", rotation_deg, -360, 360),
            scale=checks.value_range("scale", scale, 0.01, 100),
            shift=checks.value_range("shift", shift, -1, 1),
            gamma=checks.value_range("gamma", gamma, 0.01, 100),
            noise_sigma=checks.value_range("noise_sigma", noise_sigma, 0, 10),
            blur_sigma_px=checks.value_range("blur_sigma_px", blur_sigma_px, 0.01, 20),
        )
        self.seeds = SeedStream()

    @property
    def blur_radius_px(self) -> int:
        """Radius of the blur's kernel, 0 if there is no blur to draw."""
        return _radius(self.ranges.blur_sigma_px) if "blur" in self.ranges.intensity else 0

    def forward(
        self, image: Tensor, mask: Tensor, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Transforms each image about its own lesion; its mask follows. In `eval()` the very same tensors."""
        if not self.training:
            return image, mask
        image, full = _checked(image, mask)
        seed = self.seeds.draw(image.shape[0], generator)
        params = draw_object(seed, self.ranges, tuple(image.shape[2:])).to(image.device)
        seed = seed.to(image.device)
        with without_autocast(image):
            moved, labels = transform_object(image, full, params, self.blur_radius_px, seed, OBJECT_NOISE)
        return moved, labels.reshape(mask.shape)

    def extra_repr(self) -> str:
        """All settings."""
        return _repr(self.ranges)


class ImageTransform(nn.Module):
    """Crop and resize back, gamma, noise and blur of a whole image, each with its own probability.

    Args:
        p_crop, p_gamma, p_noise, p_blur: probability of each, in [0, 1].
        crop: U(a, b) per axis, fraction of the frame that is kept, in (0, 1].
        gamma: U(a, b) in the logarithm, above 0.
        noise_sigma: U(a, b), fraction of the image's range, 0 or more.
        blur_sigma_px: U(a, b), above 0, at most 20.

    Shape:
        image (B, C, *spatial) and mask (B, 1, *spatial) or (B, *spatial), to the same.

    Example:
        >>> image, mask = torch.rand(2, 1, 16, 16), torch.zeros(2, 16, 16)
        >>> ImageTransform(p_crop=1.0)(image, mask)[1].shape
        torch.Size([2, 16, 16])
    """

    def __init__(
        self,
        *,
        p_crop: float = 0.5,
        p_gamma: float = 0.5,
        p_noise: float = 0.5,
        p_blur: float = 0.5,
        crop: Ends = (0.8, 1.0),
        gamma: Ends = (0.7, 1.5),
        noise_sigma: Ends = (0.0, 0.05),
        blur_sigma_px: Ends = (0.3, 1.0),
    ) -> None:
        super().__init__()
        for name, p in (("p_crop", p_crop), ("p_gamma", p_gamma), ("p_noise", p_noise), ("p_blur", p_blur)):
            checks.number(name, p, 0, 1)
        self.ranges = ImageRanges(
            p_crop,
            p_gamma,
            p_noise,
            p_blur,
            crop=checks.value_range("crop", crop, 0.01, 1),
            gamma=checks.value_range("gamma", gamma, 0.01, 100),
            noise_sigma=checks.value_range("noise_sigma", noise_sigma, 0, 10),
            blur_sigma_px=checks.value_range("blur_sigma_px", blur_sigma_px, 0.01, 20),
        )
        self.seeds = SeedStream()

    @property
    def blur_radius_px(self) -> int:
        """Radius of the blur's kernel, 0 if there is no blur to draw."""
        return _radius(self.ranges.blur_sigma_px) if self.ranges.p_blur > 0 else 0

    def forward(
        self, image: Tensor, mask: Tensor, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Transforms each image; its mask follows the crop. In `eval()` the very same tensors."""
        if not self.training:
            return image, mask
        image, full = _checked(image, mask)
        seed = self.seeds.draw(image.shape[0], generator)
        params = draw_image(seed, self.ranges, image.ndim - 2).to(image.device)
        with without_autocast(image):
            moved = transform_image(image, params, self.blur_radius_px, seed.to(image.device), IMAGE_NOISE)
        return moved, crop_and_resize(full, params, "nearest").reshape(mask.shape)

    def extra_repr(self) -> str:
        """All settings."""
        return _repr(self.ranges)


def _checked(image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    checks.spatial_tensor("image", image)
    checks.finite_image("image", image)
    return floating("image", image), checks.mask_like("mask", mask, image)


def _radius(sigma_px: tuple[float, float]) -> int:
    return kernel_radius(sigma_px[1])


def _repr(ranges: ObjectRanges | ImageRanges) -> str:
    return ", ".join(f"{name}={value}" for name, value in ranges._asdict().items())


def as_transform(name: str, value: Any, kind: type) -> Any:
    """A transform as it is, from its keywords, or None."""
    if isinstance(value, dict):
        return kind(**value)
    if value is not None and not isinstance(value, kind):
        checks.fail(name, f"an {kind.__name__}, a dict of its keywords, or None", repr(value))
    return value


def blur_radius(transform: ObjectTransform | ImageTransform | None) -> int:
    """Radius of a transform's blur in pixels, 0 without one."""
    return transform.blur_radius_px if transform else 0
