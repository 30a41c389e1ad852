"""SoftCP: what users import."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from softcp_gpu import checks
from softcp_gpu.functional.blend import BLENDS, Blend, auto_sigma_px
from softcp_gpu.functional.ranges import PasteRanges
from softcp_gpu.functional.table import auto_k_dilate
from softcp_gpu.modules import calls, inputs
from softcp_gpu.modules.bank import LesionBank
from softcp_gpu.modules.transforms import ImageTransform, ObjectTransform, as_transform, blur_radius
from softcp_gpu.sampling import SeedStream, draw_paste
from softcp_gpu.types import Bounds, PasteConfig, PasteParams, SoftCPOutput


class SoftCP(nn.Module):
    """Soft copy-paste of lesions for segmentation, on batches of images or volumes.

    Args:
        p: probability that a sample receives a lesion, in [0, 1].
        alpha: softening coefficient in the open interval (0, 1); a number, or (a, b): drawn per sample, U(a, b).
        k_erode: erosion steps; a number, or (a, b).
        k_dilate: dilation steps; a number, (a, b), or "auto": the least k with alpha**k <= 0.05.
        footprint: "full" (3^n) or "cross".
        blend: "softcp", the paper's; "softcp-geometric": S = alpha**d; or what it is compared with: "hard",
            "gaussian-mask", "gaussian-intensity", "poisson", "carvemix" (`placement="in_place"` is that paper's), see
            docs/method.md. All paste at the same place.
        blend_sigma_px: of those that blur, at most 20; "auto": 2.5 for the mask, 1 for the intensities.
        on_small: a lesion that erosion would erase is eroded less ("shrink") or not pasted ("skip").
        placement: "uniform": one of all legal places, all equally likely; "in_place": where it was in its source.
        min_region_overlap: least lesion pixels in the region: an int counts pixels, a float is a fraction of the
            lesion. Without a region it does not apply.
        max_lesion_overlap: most lesion pixels on lesions that are already there, likewise.
        min_visible: least lesion pixels inside the frame, likewise.
        lesion_labels: class id(s) of lesions in the masks; None: masks are binary.
        other_labels: with `lesion_labels`, further ids that masks may hold; 0, 1 and the lesions' need no mention.
        match: "none", or "rim": shifts the lesion's intensities so that the tissue around it agrees with its new place.
        object_transform: an `ObjectTransform`, its keywords as a dict, "default", or None: the lesion stays as it is.
        background_transform: an `ImageTransform`, its keywords, or None; acts on the image before pasting.
        image_transform: an `ImageTransform`, its keywords, or None; acts on the result.
        bank: a `LesionBank` that gives the lesions where a call gives no sources; None: the batch is its own source.

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
        blend: Blend = "softcp",
        blend_sigma_px: float | Literal["auto"] = "auto",
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
        bank: LesionBank | None = None,
    ) -> None:
        super().__init__()
        checks.number("p", p, 0, 1)
        checks.choice("footprint", footprint, ("full", "cross"))
        checks.choice("blend", blend, BLENDS)
        checks.choice("on_small", on_small, ("shrink", "skip"))
        checks.choice("placement", placement, ("uniform", "in_place"))
        checks.choice("match", match, ("none", "rim"))
        bounds = Bounds(min_region_overlap, max_lesion_overlap, min_visible)
        for name, value in bounds._asdict().items():
            checks.bound(name, value)
        alphas = checks.value_range("alpha", alpha, 0, 1, open_ends=True)
        erode = checks.step_range("k_erode", k_erode)
        sigma = auto_sigma_px(blend) if blend_sigma_px == "auto" else blend_sigma_px
        checks.number("blend_sigma_px", sigma, 0.01, 20)
        dilate = None if k_dilate == "auto" else checks.step_range("k_dilate", k_dilate)
        self.labels = inputs.checked_labels(lesion_labels, other_labels)
        self.bank = inputs.checked_bank(bank, self.labels, blend)
        objects = {} if isinstance(object_transform, str) and object_transform == "default" else object_transform
        self.object_transform = as_transform("object_transform", objects, ObjectTransform)
        self.background_transform = as_transform("background_transform", background_transform, ImageTransform)
        self.image_transform = as_transform("image_transform", image_transform, ImageTransform)
        transforms = (self.object_transform, self.background_transform, self.image_transform)
        self.ranges = PasteRanges(p, alphas, erode, dilate, *(t and t.ranges for t in transforms))
        self.config = PasteConfig(
            bounds,
            placement == "in_place",
            footprint,
            blend,
            on_small,
            match,
            self.labels.lesion,
            erode[1],
            dilate[1] if dilate else checks.fades_in_time(auto_k_dilate(torch.tensor(alphas[1])), alphas[1]),
            object_blur_px=blur_radius(self.object_transform),
            background_blur_px=blur_radius(self.background_transform),
            image_blur_px=blur_radius(self.image_transform),
            blend_sigma_px=float(sigma),
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
        spacing: Any = None,
        source_spacing: Any = None,
        source_range: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Pastes lesions into a batch.

        Args:
            image: (B, C, *spatial), the backgrounds.
            mask: (B, 1, *spatial) or (B, *spatial), their labels.
            region: (B, 1, *spatial) or (B, *spatial) in {0, 1}, the organ that a lesion must touch, or None.
            source_image, source_mask: as `image` and `mask`, in a frame of their own size if need be; sample i gets
                source i. Without them lesions come from the bank, or else the batch is its own source, permuted so
                that no sample is its own.
            spacing: mm per axis in tensor order, n numbers or (B, n). Then rings, scaling, rotation and panning act in
                millimetres, and `k_erode` and `k_dilate` count them. Without it all of them act in pixels.
            source_spacing: likewise; default `spacing`. A lesion keeps its size in mm.
            source_range: (B, C, 2), the unit of the lesion's gamma and noise; default: least and largest value of each
                channel of its source. Values outside are left alone by gamma. For CT in HU give the range of tissue.
            generator: on the CPU; sample i of a run takes its i-th draw, whatever the batch size. Without one, draws
                start from torch's seed and do not touch the global state: so two modules draw alike, and seeding torch
                again does not start a module's draws over.

        Returns:
            image and mask, as they came in; in `eval()` the very same tensors.
        """
        if not self.training:
            return image, mask
        out = self.augment(
            image,
            mask,
            region,
            source_image=source_image,
            source_mask=source_mask,
            spacing=spacing,
            source_spacing=source_spacing,
            source_range=source_range,
            generator=generator,
        )
        return out.image, out.mask

    def augment(
        self,
        image: Tensor,
        mask: Tensor,
        region: Tensor | None = None,
        *,
        source_image: Tensor | None = None,
        source_mask: Tensor | None = None,
        spacing: Any = None,
        source_spacing: Any = None,
        source_range: Tensor | None = None,
        generator: torch.Generator | None = None,
        params: PasteParams | None = None,
    ) -> SoftCPOutput:
        """As `forward`, also in `eval()`, with the whole record.

        Args:
            params: of an earlier call, to get the same pixels again on the same inputs; nothing is drawn then.

        Returns:
            image, mask, soft mask, placement, status and params; see `SoftCPOutput`. Params drawn on a GPU are there.
        """
        x = inputs.checked_backgrounds(image, mask, region, spacing, self.config.footprint, self.labels)
        from_bank = self.bank is not None and source_image is None and source_mask is None
        own_source = from_bank or source_image is not None
        if params is not None:
            params = inputs.checked_params(params, x.image, self)
        else:
            seed = self.seeds.draw(image.shape[0], generator)
        if from_bank:
            inputs.nothing_beside_a_bank(source_spacing=source_spacing, source_range=source_range)
        else:
            sources = inputs.checked_sources(x, source_image, source_mask, source_spacing, source_range, self.labels)
            if params is None and calls.draws_there(x):
                out = calls.drawn_there(seed, self.ranges, self.config, x, sources, own_source=own_source)
                return out._replace(mask=out.mask.reshape(mask.shape))
        if params is None:
            params = self.draw(seed, tuple(image.shape[2:]), own_source=own_source)
        if from_bank:
            assert self.bank is not None
            sources = inputs.sources_of_bank(self.bank, params.seed, x, self.labels)
        out = calls.drawn_here(params, self.config, x, sources)
        return out._replace(mask=out.mask.reshape(mask.shape), params=params)

    def draw(self, seed: Tensor, shape: tuple[int, ...], *, own_source: bool = True) -> PasteParams:
        """The params that `augment` would draw, without running it.

        Args:
            seed: (B,) int64, one per sample, such as `sampling.sample_seeds` makes.
            shape: n frame lengths.
            own_source: sample i takes source i; else the batch is permuted.
        """
        return draw_paste(seed, self.ranges, shape, own_source=own_source)

    def extra_repr(self) -> str:
        """All settings but the modules, which print themselves."""
        r, c = self.ranges, self.config
        own = {"p": r.p, "alpha": r.alpha, "k_erode": r.k_erode, "k_dilate": r.k_dilate or "auto"}
        words = {name: getattr(c, name) for name in ("footprint", "blend", "blend_sigma_px", "on_small", "match")}
        place = {"placement": "in_place" if c.in_place else "uniform", **c.bounds._asdict()}
        labels = {"lesion_labels": self.labels.lesion, "other_labels": self.labels.other}
        modules = ("object_transform", "background_transform", "image_transform", "bank")
        absent = {name: None for name in modules if getattr(self, name) is None}
        return ", ".join(f"{name}={value!r}" for name, value in {**own, **words, **place, **labels, **absent}.items())
