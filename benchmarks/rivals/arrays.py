"""The rivals that take one image at a time: each is made in the process that runs it, and gives a `Method`."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from benchmarks import cases, opencv_script
from benchmarks.rivals.pool import Method, Sample
from benchmarks.rivals.scipy_softcp import RandSoftCopyPasted
from softcp_gpu import reference
from softcp_gpu.types import PasteConfig

Pair = tuple[np.ndarray, np.ndarray]


def reference_method(params: list[Any], config: PasteConfig) -> Method:
    """The OpenCV reference with draws of ours, one for each sample."""

    def method(x: Sample, i: int) -> Pair:
        out = reference.soft_cp(*x, params[i], config)
        return out.image, out.mask

    return method


def script_method() -> Method:
    """What one writes by hand for speed: OpenCV on the lesion's box, tries for a place, the defaults of ours."""

    def method(x: Sample, i: int) -> Pair:
        image, mask = x.image.copy(), x.mask.copy()
        rng = np.random.default_rng((cases.SEED, i))
        for _ in range(opencv_script.PAIRS):
            made = opencv_script.blend(
                image, mask, x.region.view(np.uint8), 0.5, x.source_image, x.source_mask, rng, white=1.0
            )
            if made is not None:
                here, pixels, pasted = made
                image[here] = pixels
                mask[here] |= pasted
                break
        return image, mask

    return method


def scipy_method() -> Method:
    """See `scipy_softcp`: channels first, so the arrays are transposed on the way in and out, without a copy."""
    transform = RandSoftCopyPasted()

    def method(x: Sample, i: int) -> Pair:
        first = functools.partial(np.moveaxis, source=-1, destination=0)
        out = transform.set_random_state((cases.SEED, i))(
            {
                "image": first(x.image),
                "label": x.mask[None],
                "region": x.region[None],
                "source_image": first(x.source_image),
                "source_label": x.source_mask[None],
            }
        )
        return np.moveaxis(out["image"], 0, -1), out["label"][0]

    return method


def albumentations_method(blend_mode: str = "hard") -> Method:
    """AlbumentationsX on an image, its semantic mask and one donor; what may be scaled or dropped is left whole."""
    import albumentations as A

    transform = A.Compose([A.CopyAndPaste(blend_mode=blend_mode, p=1.0)], seed=cases.SEED)

    def method(x: Sample, i: int) -> Pair:
        donor = {"image": x.source_image, "mask": x.source_mask, "semantic_mask": x.source_mask}
        out = transform(image=x.image, mask=x.mask, copy_paste_metadata=[donor])
        return out["image"], out["mask"]

    return method
