"""What must hold on any accelerator, on one that is pretended: devices do not mix, and nobody waits without need."""

import pytest
import torch

from softcp_gpu import LesionBank, LesionCrop, SoftCP, phantoms
from softcp_gpu.functional import execution, soft_cp, soft_mask
from softcp_gpu.functional.blend import BLENDS
from softcp_gpu.modules.graphed import drawn_there
from tests.accelerator import DEVICE, accelerator
from tests.assertions import assert_close_in_range

SHAPES = [(77, 60), (20, 36, 31)]


def everything(**more):
    return SoftCP(p=0.8, match="rim", background_transform={}, image_transform={}, **more)


def assert_same(there, here):
    assert torch.equal(there.status.cpu(), here.status)
    assert torch.equal(there.mask.cpu(), here.mask)
    for a, b in zip(there.placement, here.placement, strict=True):
        assert torch.equal(a.cpu(), b)
    assert_close_in_range(there.image.cpu(), here.image, 1e-5)
    assert_close_in_range(there.soft_mask.cpu(), here.soft_mask, 1e-5)


@pytest.fixture(params=["whole frames", "large frames"])
def size(request, monkeypatch):
    """Large frames are worked on lesion by lesion."""
    monkeypatch.setattr(execution, "LARGE_FRAME", 1 if request.param == "large frames" else 1 << 40)
    return request.param


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_as_on_the_cpu(shape, size):
    image, mask, region = phantoms.batch(4, shape, channels=2)
    aug = everything(k_dilate=(2, 9))
    here = aug.augment(image, mask, region)
    assert "pasted" in here.status_labels()
    with accelerator() as device:
        there = aug.augment(image.to(DEVICE), mask.to(DEVICE), region.to(DEVICE), params=here.params)
        assert there.image.device.type == DEVICE
        assert device.largest
        assert_same(there, here)


@pytest.mark.parametrize("blend", BLENDS[1:])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_blend_is_the_same_as_on_the_cpu(shape, blend, size):
    image, mask, region = phantoms.batch(3, shape, channels=2)
    aug = SoftCP(p=1.0, blend=blend, k_dilate=3, min_visible=0.5)
    mm = (2.5, 0.9, 0.8) if len(shape) == 3 else None
    here = aug.augment(image, mask, region, spacing=mm)
    with accelerator():
        there = aug.augment(image.to(DEVICE), mask.to(DEVICE), region.to(DEVICE), spacing=mm, params=here.params)
        assert_same(there, here)


@pytest.mark.parametrize("min_visible", [1.0, 0.3])
def test_a_place_that_only_the_map_of_all_finds(min_visible, size):
    """The organ is a few pixels: no candidate hits it."""
    image, mask, _ = phantoms.batch(3, (64, 72))
    region = torch.zeros_like(mask)
    region[..., 40:42, 50:52] = 1
    aug = SoftCP(p=1.0, min_region_overlap=2, max_lesion_overlap=1.0, min_visible=min_visible, k_dilate=3)
    here = aug.augment(image, mask, region)
    assert "pasted" in here.status_labels()
    with accelerator():
        there = aug.augment(image.to(DEVICE), mask.to(DEVICE), region.to(DEVICE), params=here.params)
        assert_same(there, here)


def test_in_millimetres_with_lesions_of_a_bank(size):
    shape, mm = (20, 36, 31), (2.5, 0.9, 0.8)
    image, mask, region = phantoms.batch(3, shape, seed=3)
    limits = torch.tensor([[float(image.min()), float(image.max())]])
    crops = [LesionCrop(image[i], mask[i], limits, (0, 0, 0), (2.0, 1.0, 1.0), f"case{i}") for i in range(3)]
    aug = everything(k_dilate=4, bank=LesionBank(crops))
    here = aug.augment(image, mask, region, spacing=mm)
    with accelerator():
        aug.to(DEVICE)
        there = aug.augment(image.to(DEVICE), mask.to(DEVICE), region.to(DEVICE), spacing=mm, params=here.params)
        assert_same(there, here)


@pytest.mark.parametrize("spacing", [None, (3.0, 0.7, 0.9)])
def test_soft_mask(spacing, size):
    _, mask, _ = phantoms.batch(2, (20, 36, 31))
    here = soft_mask(mask, 1, 6, 0.8, spacing=spacing)
    with accelerator():
        assert_close_in_range(soft_mask(mask.to(DEVICE), 1, 6, 0.8, spacing=spacing).cpu(), here, 1e-6)


@pytest.mark.parametrize("blend", BLENDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_on_frames_that_are_not_large_nothing_waits_for_the_device(shape, blend):
    image, mask, region = phantoms.batch(3, shape)
    aug = everything(blend=blend)
    params = aug.draw(torch.arange(3), shape, own_source=False)
    with accelerator() as device:
        inputs = [x.to(DEVICE) for x in (image, mask, region)]
        there = params.to(DEVICE)
        device.waits = 0
        soft_cp(*inputs, *inputs[:2], there, aug.config)
        assert device.waits == 0


def test_on_large_frames_nothing_that_grows_with_the_frame_is_wider_than_the_image(monkeypatch):
    """Whole frames need indices and coordinates, 8 bytes a pixel and axis; boxes do not."""
    shape = (24, 96, 96)
    image, mask, region = phantoms.batch(1, shape)
    aug = SoftCP(p=1.0, k_dilate=3)
    largest = {}
    for name, limit in (("boxes", 1), ("frames", 1 << 40)):
        monkeypatch.setattr(execution, "LARGE_FRAME", limit)
        with accelerator() as device:
            inputs = [x.to(DEVICE) for x in (image, mask, region)]
            aug.augment(*inputs, source_image=inputs[0], source_mask=inputs[1])
            largest[name] = device.largest
    assert largest["boxes"] <= image.numel() * 4
    assert largest["frames"] > largest["boxes"]


@pytest.mark.parametrize("shape", SHAPES)
def test_with_draws_made_there_nothing_waits_and_nothing_comes_from_the_host(shape):
    """What a CUDA graph may hold; the pixels are those of draws made on the CPU."""
    batch = (*phantoms.batch(4, shape, channels=2), None, None)
    aug, seed = everything(k_dilate=(2, 9)), torch.arange(4)
    here = drawn_there(aug, seed, batch)
    with accelerator() as device:
        far = tuple(x if x is None else x.to(DEVICE) for x in (seed, *batch))
        device.waits = device.arrivals = 0
        there = drawn_there(aug, far[0], far[1:])
        assert (device.waits, device.arrivals) == (0, 0)
        assert_same(there, here)
