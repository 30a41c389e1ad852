"""SoftCP: what users import."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from softcp_gpu import checks
from softcp_gpu.functional.pipeline import soft_cp
from softcp_gpu.functional.soft_mask import auto_k_dilate
from softcp_gpu.modules.transforms import ImageTransform, ObjectTransform
from softcp_gpu.sampling import PasteRanges, SeedStream, draw_paste
from softcp_gpu.types import Bounds, PasteConfig, PasteParams, SoftCPOutput


class SoftCP(nn.Module):
    """Soft copy-paste of lesions for segmentation, on batches of images or volumes.

    Args:
        p: probability that a sample receives a lesion, in [0, 1].
        alpha: softening coefficient in the open interval (0, 1); a number, or (a, b): drawn per sample, U(a, b).
        k_erode: erosion steps; a number, or (a, b).
        k_dilate: dilation steps; a number, (a, b), or "auto": the least k with alpha**k <= 0.05.
        footprint: "full" (3^n) or "cross".
        profile: "softcp", the paper's, or "geometric": S = alpha**d.
        on_small: a lesion that erosion would erase is eroded less ("shrink") or not pasted ("skip").
        placement: "uniform": one of all legal places, all equally likely; "in_place": where it was in its source.
        min_region_overlap: least lesion pixels in the region: an int counts pixels, a float is a fraction of the
            lesion. Without a region it does not apply.
        max_lesion_overlap: most lesion pixels on lesions that are already there, likewise.
        min_visible: least lesion pixels inside the frame, likewise.
        lesion_labels: class id(s) of lesions in the masks; None: masks are binary.
        other_labels: further class ids that masks may hold; 0, 1 and the lesions' need no mention.
        match: "none", or "rim": shifts the lesion's intensities so that the tissue around it agrees with its new place.
        object_transform: an `ObjectTransform`, its keywords as a dict, "default", or None: the lesion stays as it is.
        background_transform: an `ImageTransform`, its keywords, or None; acts on the image before pasting.
        image_transform: an `ImageTransform`, its keywords, or None; acts on the result.

    Shape:
        image (B, C, H, W) or (B, C, D, H, W), any real dtype and unit; integers are converted to float32.
        mask (B, 1, *spatial) or (B, *spatial), bool, integer or floating; region likewise. Returned as they came.

    Raises:
        ValueError: naming the argument, what was expected and what was found. On a CPU values are checked too (NaN and
            infinity in images, labels, empty regions); on an accelerator that would stall it, so only shapes, dtypes
            and devices are.

    Note:
        In `eval()` it returns its inputs, like Dropout. Inputs are never changed in place.

    References:
        Dai et al., Soft-CP, arXiv 2203.10507.

    Example:
        >>> from softcp_gpu import phantoms
        >>> image, mask, region = phantoms.batch(4, (64, 64))
        >>> aug = SoftCP(p=1.0)
        >>> new_image, new_mask = aug(image, mask, region, generator=torch.Generator().manual_seed(0))
        >>> new_image.shape == image.shape, bool((new_mask.sum() > mask.sum()))
        (True, True)
    """

    def __init__(
        self,
        p: float = 0.5,
        *,
        alpha: float | tuple[float, float] = 0.7,
        k_erode: int | tuple[int, int] = 1,
        k_dilate: int | tuple[int, int] | Literal["auto"] = "auto",
        footprint: Literal["full", "cross"] = "full",
        profile: Literal["softcp", "geometric"] = "softcp",
        on_small: Literal["shrink", "skip"] = "shrink",
        placement: Literal["uniform", "in_place"] = "uniform",
        min_region_overlap: int | float = 0.5,
        max_lesion_overlap: int | float = 0,
        min_visible: int | float = 1.0,
        lesion_labels: int | Sequence[int] | None = None,
        other_labels: Sequence[int] = (),
        match: Literal["none", "rim"] = "none",
        object_transform: ObjectTransform | dict[str, Any] | Literal["default"] | None = "default",
        background_transform: ImageTransform | dict[str, Any] | None = None,
        image_transform: ImageTransform | dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        checks.number("p", p, 0, 1)
        for name, word, allowed in (
            ("footprint", footprint, ("full", "cross")),
            ("profile", profile, ("softcp", "geometric")),
            ("on_small", on_small, ("shrink", "skip")),
            ("placement", placement, ("uniform", "in_place")),
            ("match", match, ("none", "rim")),
        ):
            checks.choice(name, word, allowed)
        bounds = Bounds(min_region_overlap, max_lesion_overlap, min_visible)
        for name, value in bounds._asdict().items():
            checks.bound(name, value)
        alphas = checks.value_range("alpha", alpha, 0, 1, open_ends=True)
        erode = checks.step_range("k_erode", k_erode)
        dilate = None if k_dilate == "auto" else checks.step_range("k_dilate", k_dilate)
        self.lesion_labels = checks.labels("lesion_labels", lesion_labels)
        self.other_labels = checks.labels("other_labels", other_labels) or ()
        objects = {} if isinstance(object_transform, str) and object_transform == "default" else object_transform
        self.object_transform = _module("object_transform", objects, ObjectTransform)
        self.background_transform = _module("background_transform", background_transform, ImageTransform)
        self.image_transform = _module("image_transform", image_transform, ImageTransform)
        transforms = (self.object_transform, self.background_transform, self.image_transform)
        self.ranges = PasteRanges(p, alphas, erode, dilate, *(t and t.ranges for t in transforms))
        self.config = PasteConfig(
            bounds,
            placement == "in_place",
            footprint,
            profile,
            on_small,
            match,
            self.lesion_labels,
            erode[1],
            dilate[1] if dilate else checks.fades_in_time(auto_k_dilate(torch.tensor(alphas[1])), alphas[1]),
            *(t.blur_radius_px if t else 0 for t in transforms),
        )
        self.seeds = SeedStream()

    def forward(
        self,
        image: Tensor,
        mask: Tensor,
        region: Tensor | None = None,
        *,
        source_image: Tensor | None = None,
        source_mask: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Pastes lesions into a batch.

        Args:
            image: (B, C, *spatial), the backgrounds.
            mask: (B, 1, *spatial) or (B, *spatial), their labels.
            region: (B, 1, *spatial) or (B, *spatial) in {0, 1}, the organ that a lesion must touch, or None.
            source_image, source_mask: shaped as `image` and `mask`; sample i gets source i. Without them the batch is
                its own source, permuted so that no sample is its own.
            generator: on the CPU; sample i of a run takes its i-th draw, whatever the batch size. Without one, draws
                start from torch's seed and do not touch the global state: so two modules draw alike, and seeding torch
                again does not start a module's draws over.

        Returns:
            image and mask, as they came in; in `eval()` the very same tensors.
        """
        if not self.training:
            return image, mask
        out = self.augment(image, mask, region, source_image=source_image, source_mask=source_mask, generator=generator)
        return out.image, out.mask

    def augment(
        self,
        image: Tensor,
        mask: Tensor,
        region: Tensor | None = None,
        *,
        source_image: Tensor | None = None,
        source_mask: Tensor | None = None,
        generator: torch.Generator | None = None,
        params: PasteParams | None = None,
    ) -> SoftCPOutput:
        """As `forward`, also in `eval()`, with the whole record.

        Args:
            params: of an earlier call, to get the same pixels again on the same inputs; nothing is drawn then.

        Returns:
            image, mask, soft mask, placement, status and params; see `SoftCPOutput`.
        """
        own_source = source_image is not None
        image, full, region, source_image, full_source = self._checked(image, mask, region, source_image, source_mask)
        config = self.config
        if params is None:
            seed = self.seeds.draw(image.shape[0], generator)
            params = self.draw(seed, tuple(image.shape[2:]), own_source=own_source)
        else:
            checks.params_fit(params, image)
            config = config._replace(
                erode_max=max(config.erode_max, *params.k_erode.tolist(), 0),
                dilate_max=max(config.dilate_max, *params.k_dilate.tolist(), 0),
            )
        out = soft_cp(image, full, region, source_image, full_source, params.to(image.device), config)
        return out._replace(mask=out.mask.reshape(mask.shape), params=params)

    def draw(self, seed: Tensor, shape: tuple[int, ...], *, own_source: bool = True) -> PasteParams:
        """The params that `augment` would draw, without running it.

        Args:
            seed: (B,) int64, one per sample, such as `sampling.sample_seeds` makes.
            shape: n frame lengths.
            own_source: sample i takes source i; else the batch is permuted.
        """
        return draw_paste(seed, self.ranges, shape, own_source=own_source)

    def _checked(
        self,
        image: Tensor,
        mask: Tensor,
        region: Tensor | None,
        source_image: Tensor | None,
        source_mask: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor, Tensor]:
        """The inputs in their full shapes, the image floating."""
        checks.spatial_tensor("image", image)
        checks.finite_image("image", image)
        floating = checks.floating("image", image)
        full = self._checked_mask("mask", mask, image)
        region = checks.region_like(region, image)
        if (source_image is None) != (source_mask is None):
            missing = "source_image" if source_image is None else "source_mask"
            checks.fail(missing, "both source_image and source_mask, or neither", "only one of them")
        if source_image is None or source_mask is None:
            if image.shape[0] == 1:
                checks.fail("source_image", "a source for a batch of one, which cannot be its own", "None")
            return floating, full, region, floating, full
        checks.source_like(source_image, image)
        checks.finite_image("source_image", source_image)
        source_full = self._checked_mask("source_mask", source_mask, source_image)
        return floating, full, region, checks.floating("source_image", source_image), source_full

    def _checked_mask(self, name: str, mask: Tensor, image: Tensor) -> Tensor:
        full = checks.mask_like(name, mask, image)
        checks.label_values(name, full, self.lesion_labels, self.other_labels)
        checks.holds_labels(name, full, self.lesion_labels)
        return full

    def extra_repr(self) -> str:
        """All settings but the transforms, which print themselves."""
        r, c = self.ranges, self.config
        own = {"p": r.p, "alpha": r.alpha, "k_erode": r.k_erode, "k_dilate": r.k_dilate or "auto"}
        words = {"footprint": c.footprint, "profile": c.profile, "on_small": c.on_small, "match": c.match}
        place = {"placement": "in_place" if c.in_place else "uniform", **c.bounds._asdict()}
        labels = {"lesion_labels": self.lesion_labels, "other_labels": self.other_labels}
        transforms = ("object_transform", "background_transform", "image_transform")
        absent = {name: None for name in transforms if getattr(self, name) is None}
        return ", ".join(f"{name}={value!r}" for name, value in {**own, **words, **place, **labels, **absent}.items())


def _module(name: str, value: Any, kind: type) -> Any:
    """A transform as it is, from its keywords, or None."""
    if isinstance(value, dict):
        return kind(**value)
    if value is not None and not isinstance(value, kind):
        checks.fail(name, f"an {kind.__name__}, a dict of its keywords, or None", repr(value))
    return value
