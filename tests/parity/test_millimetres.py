"""Spacing: the paste against SciPy in the body, stage by stage, also between frames and spacings that differ."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from softcp_gpu import SoftCP, Status
from softcp_gpu.functional import soft_mask, soft_mask_table
from softcp_gpu.functional.transforms import object_matrix
from softcp_gpu.types import RigidParams
from tests.assertions import assert_close_in_range, assert_masks_match_in_edge_band
from tests.parity.test_scipy_3d import rigid_matrix, warp

ndimage = pytest.importorskip("scipy.ndimage", reason="needs SciPy")

FRAME, SOURCE = (10, 40, 36), (24, 30, 34)
MM, SOURCE_MM = (5.0, 0.7, 0.7), (2.3, 0.93, 0.81)  # no pixel of one lies half way between two of the other
TURNS = {"rigid": ["none", "flip", "rotation", "scaling", "panning"], "intensity": ["none"]}


def scan(shape, seed, count=3):
    """Smooth random volumes in HU, and a lesion of a few mm in each."""
    rng = np.random.default_rng(seed)
    image = np.stack([ndimage.gaussian_filter(rng.normal(size=shape), 1.5) for _ in range(count)]) * 2000
    mask = np.zeros((count, *shape), np.uint8)
    for i in range(count):
        first = [int(length * (0.3 + 0.1 * rng.random())) for length in shape]
        last = [a + max(3, length // 4 + int(rng.integers(3))) for a, length in zip(first, shape, strict=True)]
        mask[(i, *(slice(a, b) for a, b in zip(first, last, strict=True)))] = 1
    return torch.from_numpy(image[:, None]).float(), torch.from_numpy(mask[:, None])


def expected_matrix(rigid, center, source_mm, mm):
    """Out of the source's pixels into the body, there the two motions about the lesion's centre, back into pixels."""
    middle = np.array(center) * source_mm
    first, second = (
        rigid_matrix(rigid.flip[k], rigid.angle_deg[k], rigid.scale[k], np.array(rigid.shift_px[k]) * mm)
        for k in (0, 1)
    )
    there, back = np.eye(4), np.eye(4)
    there[:3, 3], back[:3, 3] = -middle, middle
    return np.diag([*(1 / np.array(mm)), 1]) @ back @ second @ first @ there @ np.diag([*source_mm, 1])


def moved_by(offset):
    shift = np.eye(4)
    shift[:3, 3] = offset
    return shift


def middle_of(mask):
    pixels = np.argwhere(mask)
    return (pixels.min(0) + pixels.max(0)) / 2


def ring_mm(lesion, k_erode, mm):
    """Millimetres from the eroded lesion, rounded up; the erosion takes what lies within k_erode mm of the outside."""
    core = ndimage.distance_transform_edt(lesion, sampling=mm) > k_erode + 1e-4 if k_erode else lesion
    assert core.any()
    return np.ceil(ndimage.distance_transform_edt(~core, sampling=mm) - 1e-4)


def test_matrices():
    rng = np.random.default_rng(0)
    rigid = RigidParams(
        torch.from_numpy(rng.choice([-1.0, 1.0], (4, 2, 3))),
        torch.from_numpy(rng.uniform(-90, 90, (4, 2, 3))),
        torch.from_numpy(rng.uniform(0.5, 2, (4, 2))),
        torch.from_numpy(rng.uniform(-5, 5, (4, 2, 3))),
    )
    center = torch.from_numpy(rng.uniform(0, 20, (4, 3)))
    source_mm, mm = (torch.from_numpy(rng.uniform(0.4, 5, (4, 3))) for _ in range(2))
    found = object_matrix(rigid, center, source_mm, mm)
    for i in range(4):
        one = RigidParams(*(field[i].numpy() for field in rigid))
        expected = expected_matrix(one, center[i].numpy(), source_mm[i].numpy(), mm[i].numpy())
        np.testing.assert_allclose(found[i].numpy(), expected, rtol=1e-9, atol=1e-9)
    still = RigidParams(torch.ones(4, 2, 3), torch.zeros(4, 2, 3), torch.ones(4, 2), torch.zeros(4, 2, 3))
    kept = object_matrix(still, center, source_mm, mm)[:, :3, :3]
    assert torch.allclose(kept, torch.diag_embed(source_mm / mm))  # the lesion keeps its size in the body


@pytest.mark.parametrize("transform", [TURNS, None], ids=["transformed", "as it is"])
@pytest.mark.parametrize("k_erode", [0, 1])
@pytest.mark.parametrize("spacings", [(MM, MM), (MM, SOURCE_MM), (SOURCE_MM, MM)], ids=["same", "finer", "coarser"])
@pytest.mark.parametrize("whole", [False, True], ids=["boxes", "whole frames"])
def test_end_to_end(spacings, k_erode, transform, whole, whole_frames):
    mm, source_mm = spacings
    image, mask = scan(FRAME if mm == MM else SOURCE, 1)
    source_image, source_mask = scan(FRAME if source_mm == MM else SOURCE, 2)
    aug = SoftCP(p=1.0, alpha=0.6, k_erode=k_erode, k_dilate=6, max_lesion_overlap=1.0, object_transform=transform)
    pairs = []
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        sources = {"source_image": source_image, "source_mask": source_mask, "source_spacing": source_mm}
        with whole_frames() if whole else nullcontext():
            out = aug.augment(image, torch.zeros_like(mask), spacing=mm, generator=generator, **sources)
        assert (out.status == Status.PASTED).all()
        for i in range(len(image)):
            lesion = source_mask[i, 0].numpy()
            matrix = np.diag([*(np.array(source_mm) / mm), 1])
            if transform:
                rigid = RigidParams(*(field[i].numpy() for field in out.params.object.rigid))
                matrix = expected_matrix(rigid, middle_of(lesion), np.array(source_mm), np.array(mm))
            matrix = moved_by(out.placement.offset_px[i].numpy()) @ matrix
            shape = tuple(image.shape[2:])
            expected = warp(lesion, matrix, "nearest", size=shape) > 0.5
            found = out.mask[i, 0].numpy() > 0
            pairs.append((found, expected))
            ring = ring_mm(found, k_erode, mm)
            table = np.append(soft_mask_table(torch.tensor([0.6]), torch.tensor([6]), 6)[0].numpy(), 0)
            soft = table[np.minimum(ring, 7).astype(int)]
            np.testing.assert_allclose(out.soft_mask[i, 0].numpy(), soft, atol=1e-6)
            source = warp(source_image[i, 0].numpy(), matrix, size=shape)
            blended = soft * source + (1 - soft) * image[i, 0].numpy()
            assert_close_in_range(out.image[i, 0].numpy(), blended, 1e-4)
            outside = soft == 0
            assert (out.image[i, 0].numpy()[outside] == image[i, 0].numpy()[outside]).all()
    assert_masks_match_in_edge_band(pairs)


def test_each_sample_has_its_own_spacing():
    image, mask = scan(FRAME, 1)
    mm = torch.tensor([MM, (1.0, 1.0, 1.0), (2.0, 0.5, 0.8)])
    aug = SoftCP(p=1.0, k_dilate=3, max_lesion_overlap=1.0)
    given = {"source_image": image.roll(1, 0), "source_mask": mask.roll(1, 0)}
    together = aug.augment(image, mask, spacing=mm, source_spacing=mm.roll(1, 0), **given)
    for i in range(3):
        rows = slice(i, i + 1)
        alone = aug.augment(
            image[rows],
            mask[rows],
            spacing=mm[rows],
            source_spacing=mm.roll(1, 0)[rows],
            params=together.params.rows(slice(i, i + 1))._replace(source_index=torch.tensor([0])),
            **{name: value[rows] for name, value in given.items()},
        )
        assert torch.equal(alone.image, together.image[rows])
        assert torch.equal(alone.soft_mask, together.soft_mask[rows])


def test_thick_slices_are_not_bled_across():
    image, mask = scan(FRAME, 1)
    aug = SoftCP(p=1.0, k_dilate=4, k_erode=0, max_lesion_overlap=1.0, object_transform=None)
    sources = {"source_image": image.flip(0), "source_mask": mask.flip(0)}
    reach = {}
    for name, spacing in (("px", None), ("mm", MM)):
        out = aug.augment(image, torch.zeros_like(mask), spacing=spacing, **sources)
        slices = (out.soft_mask > 0).flatten(3).any(3)[:, 0].sum(1) - (out.mask > 0).flatten(3).any(3)[:, 0].sum(1)
        reach[name] = slices.tolist()
    assert max(reach["mm"]) == 0  # the next slice is 5 mm away, the rim ends after 4
    assert min(reach["px"]) > 0


def test_without_spacing_nothing_changes():
    image, mask = scan(FRAME, 1)
    aug = SoftCP(p=1.0, k_dilate=3, max_lesion_overlap=1.0)
    plain = aug.augment(image, mask)
    unit = aug.augment(image, mask, spacing=(1.0, 1.0, 1.0), params=plain.params)
    assert torch.equal(unit.mask, plain.mask)
    assert torch.equal(unit.placement.offset_px, plain.placement.offset_px)


def test_a_lesion_keeps_its_volume_in_the_body():
    shape, source_shape = (40, 60, 60), (20, 50, 50)
    image, source_image = torch.zeros(1, 1, *shape), torch.zeros(1, 1, *source_shape)
    source_mask = torch.zeros_like(source_image)
    source_mask[..., 5:15, 10:40, 10:40] = 1
    aug = SoftCP(p=1.0, k_dilate=2, object_transform=None)
    out = aug.augment(
        image,
        image,
        source_image=source_image,
        source_mask=source_mask,
        spacing=(1.0, 0.8, 0.8),
        source_spacing=(2.0, 1.0, 0.9),
    )
    there, here = source_mask.sum() * 2.0 * 1.0 * 0.9, out.mask.sum() * 1.0 * 0.8 * 0.8
    assert abs(here / there - 1) < 0.05


def test_soft_mask_takes_one_spacing_for_all():
    mask = scan(FRAME, 1)[1]
    together = soft_mask(mask, 1, 5, 0.7, spacing=MM)
    for i in range(len(mask)):
        assert torch.equal(soft_mask(mask[i : i + 1], 1, 5, 0.7, spacing=MM), together[i : i + 1])


@pytest.mark.parametrize("transform", [TURNS, None], ids=["transformed", "as it is"])
def test_a_sample_does_not_depend_on_the_spacing_of_the_others(transform):
    """Neither on whether they are resampled, nor on how far their rims reach in pixels."""
    image, mask = scan(FRAME, 1)
    mm = torch.tensor([MM, (1.0, 1.0, 1.0), (2.0, 0.5, 0.8)])
    source_mm = torch.tensor([MM, (1.5, 1.0, 1.0), (2.0, 0.5, 0.8)])
    given = {"source_image": image.roll(1, 0), "source_mask": mask.roll(1, 0)}
    aug = SoftCP(p=1.0, k_dilate=(2, 5), match="rim", max_lesion_overlap=1.0, object_transform=transform)
    for seed in range(6):
        whole = aug.augment(
            image, mask, spacing=mm, source_spacing=source_mm, generator=torch.Generator().manual_seed(seed), **given
        )
        generator = torch.Generator().manual_seed(seed)
        for i in range(3):
            rows = slice(i, i + 1)
            alone = aug.augment(
                image[rows],
                mask[rows],
                spacing=mm[rows],
                source_spacing=source_mm[rows],
                generator=generator,
                **{name: value[rows] for name, value in given.items()},
            )
            assert torch.equal(alone.image, whole.image[rows])
            assert torch.equal(alone.mask, whole.mask[rows])
