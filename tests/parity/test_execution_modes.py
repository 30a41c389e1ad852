"""Lesion by lesion, as on a CPU, or whole frames, as on accelerators and when compiled: the results are the same."""

import numpy as np
import pytest
import torch

from softcp_gpu import SoftCP, functional
from softcp_gpu.functional import windows
from softcp_gpu.modules import ImageTransform, ObjectTransform
from tests.assertions import assert_close_in_range
from tests.parity.helpers import masks, textures

ROUNDING = 1e-5  # of the range: the coordinates of a part of the frame are rounded otherwise
STRONG = {"rotation_deg": (-180, 180), "scale": (0.6, 1.5), "shift": (-0.3, 0.3), "blur_sigma_px": 0.5}
CROPPED = {"p_crop": 0.7, "crop": (0.6, 1.0)}
SETTINGS = {
    "as it comes": {},
    "no transform": {"object_transform": None, "k_erode": (0, 3), "k_dilate": (0, 9)},
    "small tiles": {"object_transform": STRONG, "k_dilate": (0, 3)},
    "visible in part": {"min_visible": 0.3, "object_transform": STRONG, "k_dilate": 2},
    "in place": {"placement": "in_place", "max_lesion_overlap": 1.0, "object_transform": STRONG, "min_visible": 0.4},
    "hard": {"blend": "hard", "min_visible": 0.3, "object_transform": STRONG},
    "gaussian mask": {"blend": "gaussian-mask", "min_visible": 0.3, "object_transform": STRONG, "match": "rim"},
    "gaussian intensity": {"blend": "gaussian-intensity", "min_visible": 0.3, "object_transform": STRONG},
    "carvemix": {"blend": "carvemix", "min_visible": 0.3, "object_transform": STRONG},
    "carvemix, in place": {"blend": "carvemix", "placement": "in_place", "object_transform": None, "min_visible": 0.3},
    "poisson": {"blend": "poisson", "min_visible": 0.3, "object_transform": STRONG},
    "all": {"match": "rim", "background_transform": CROPPED, "image_transform": CROPPED, "object_transform": STRONG},
}


def assert_same_call(out, again):
    assert torch.equal(again.status, out.status)
    assert torch.equal(again.mask, out.mask)
    for name in out.placement._fields:
        assert torch.equal(getattr(again.placement, name), getattr(out.placement, name)), name
    assert_close_in_range(again.soft_mask, out.soft_mask, ROUNDING, "soft mask")
    assert_close_in_range(again.image, out.image, ROUNDING, "image")


@pytest.mark.parametrize("shape", [(77, 60), (20, 36, 31)])
@pytest.mark.parametrize("with_region", [False, True])
@pytest.mark.parametrize("name", SETTINGS)
def test_whole_pipeline(name, shape, with_region, whole_frames):
    rng = np.random.default_rng(41)
    aug = SoftCP(p=0.9, **SETTINGS[name])
    # One large lesion makes the tiles of its whole batch as large as the frame.
    for kinds in (("one", "several", "border", "pixel", "empty", "full"), ("one", "pixel", "one", "border")):
        image, mask = (
            textures(rng, len(kinds), 2, shape, low=-1000, high=2000),
            masks(rng, shape, kinds).to(torch.uint8),
        )
        region = masks(rng, shape, ["full", "several", "one", "full", "border", "empty"][: len(kinds)])
        region = region if with_region else None
        out = aug.augment(image, mask, region, generator=torch.Generator().manual_seed(1))
        with whole_frames():
            again = aug.augment(image, mask, region, params=out.params)
        assert_same_call(out, again)
        assert "pasted" in out.status_labels()


@pytest.mark.parametrize("shape", [(37, 53), (12, 26, 19)])
def test_parts(shape, whole_frames):
    rng = np.random.default_rng(42)
    image, mask = textures(rng, 6, 1, shape), masks(rng, shape)
    spacing = (3.0, 0.7, 0.9)[-len(shape) :]

    def parts():
        generator = torch.Generator().manual_seed(0)
        yield functional.soft_mask(mask, 2, 7, 0.7)
        yield functional.soft_mask(mask, 2, 7, 0.7, spacing=spacing, on_small="skip")
        for module in (ObjectTransform(**STRONG), ImageTransform(**CROPPED)):
            yield from module(image, mask, generator=generator)

    expected = list(parts())
    with whole_frames():
        for ours, other in zip(parts(), expected, strict=True):
            assert_close_in_range(ours, other, ROUNDING)


def test_the_fixture_changes_the_path(whole_frames):
    """Without this, comparing the two would compare one with itself."""
    box = torch.tensor([[3, 4]]), torch.tensor([[2, 2]]), torch.tensor(1), (20, 30)
    assert windows.surrounding_window(*box)[1] == (4, 4)
    with whole_frames():
        assert windows.surrounding_window(*box)[1] == (20, 30)
    assert windows.surrounding_window(*box)[1] == (4, 4)
