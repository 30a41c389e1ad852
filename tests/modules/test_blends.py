"""The blends differ in the blend alone: the same draws put the same lesion in the same place."""

import pytest
import torch

from softcp_gpu import LesionBank, LesionCrop, SoftCP, Status, phantoms
from softcp_gpu.functional import carve, seamless, soft_mask
from softcp_gpu.functional.blend import BLENDS

SHAPES = {"2-D": (64, 60), "3-D": (24, 34, 32)}
SETTINGS = {
    "p": 0.9,
    "alpha": (0.5, 0.8),
    "k_erode": (0, 2),
    "k_dilate": (1, 4),
    "object_transform": {"blur_sigma_px": (0.2, 0.5)},
}


@pytest.fixture(params=SHAPES, scope="module")
def batch(request):
    """8 phantoms with two channels: image, mask, region."""
    return phantoms.batch(8, SHAPES[request.param], channels=2, seed=2)


def pasted_by(blend, batch, params=None, **more):
    aug = SoftCP(blend=blend, **{**SETTINGS, **more})
    return aug.augment(*batch, params=params, generator=torch.Generator().manual_seed(1))


def added(out, batch):
    return out.mask != batch[1]


@pytest.mark.parametrize("more", [{}, {"match": "rim"}, {"placement": "in_place", "max_lesion_overlap": 1.0}])
def test_the_same_params_paste_the_same_lesion_at_the_same_place(batch, more):
    expected = pasted_by("hard", batch, **more)
    assert "pasted" in expected.status_labels()
    for blend in BLENDS:
        drawn, given = pasted_by(blend, batch, **more), pasted_by(blend, batch, expected.params, **more)
        assert torch.equal(drawn.image, given.image)
        assert torch.equal(given.status, expected.status)
        for name in ("offset_px", "area_px", "visible_px", "region_overlap_px", "lesion_overlap_px"):
            assert torch.equal(getattr(given.placement, name), getattr(expected.placement, name)), name


def test_no_two_blends_give_the_same_pixels(batch):
    images = [pasted_by(blend, batch).image for blend in BLENDS]
    for i, image in enumerate(images):
        assert all((image != other).any() for other in images[:i])


@pytest.mark.parametrize("blend", BLENDS)
def test_where_s_is_0_the_image_is_the_background_bit_for_bit(batch, blend):
    out = pasted_by(blend, batch, match="rim")
    nowhere = (out.soft_mask == 0).expand_as(out.image)
    assert torch.equal(out.image[nowhere], batch[0][nowhere])
    assert (out.soft_mask >= 0).all()
    assert (out.soft_mask <= 1).all()
    assert torch.equal(out.soft_mask.flatten(1).any(1), out.status == Status.PASTED)


@pytest.mark.parametrize("blend", [blend for blend in BLENDS if not blend.startswith("softcp")])
def test_nothing_is_eroded_but_by_soft_cp(batch, blend):
    out = pasted_by(blend, batch, k_erode=9, on_small="skip")
    assert "pasted" in out.status_labels()
    assert "lesion_too_small" not in out.status_labels()
    assert not out.placement.k_erode.any()


@pytest.mark.parametrize("blend", ["hard", "gaussian-intensity", "poisson"])
def test_what_is_pasted_hard_is_labelled_and_what_is_labelled_is_pasted(batch, blend):
    out = pasted_by(blend, batch)
    assert torch.equal(out.soft_mask, added(out, batch).float())
    assert torch.equal(added(out, batch).flatten(1).sum(1), out.placement.area_px)


@pytest.mark.parametrize("sigma", [0.4, 2.5, 20])
def test_a_blurred_mask_labels_the_whole_lesion_and_nothing_else(batch, sigma):
    out, hard = (pasted_by(blend, batch, blend_sigma_px=sigma) for blend in ("gaussian-mask", "hard"))
    assert torch.equal(out.mask, hard.mask)
    assert (out.soft_mask > 0)[added(out, batch)].all()


def test_every_blend_gets_the_same_shift_from_the_rim(batch):
    """Sources are flat and cores whole, so each blend shows the source's value and the shift in the lesion."""
    image, mask, region = batch
    flat = torch.arange(8.0).view(8, *(1,) * (image.ndim - 1)).expand_as(image)
    sources = {"source_image": flat, "source_mask": mask.roll(1, 0)}
    params = SoftCP(p=1.0, k_erode=0, object_transform=None).draw(torch.arange(8), tuple(image.shape[2:]))
    shown = {}
    for blend in BLENDS:
        aug = SoftCP(blend=blend, blend_sigma_px=0.1, match="rim", k_erode=0, object_transform=None)
        out = aug.augment(image, mask, region, **sources, params=params)
        shown[blend] = torch.where(out.mask != mask, out.image, 0)
    assert (shown["hard"] != 0).any()
    assert not torch.allclose(shown["hard"], torch.where(shown["hard"] != 0, flat, 0), atol=0.1)
    for blend in (blend for blend in BLENDS if blend != "poisson"):  # which forgets every shift
        both = (shown[blend] != 0) & (shown["hard"] != 0)
        assert both.any()
        assert torch.allclose(shown[blend][both], shown["hard"][both], atol=1e-4), blend


@pytest.mark.parametrize("transform", [None, {"rigid": ["none"], "intensity": ["none"]}])
def test_in_place_carvemix_is_that_of_its_paper(batch, transform):
    """Image and label of the region are those of the source, the rest is the background's: X and Y of the paper."""
    image, mask, region = batch
    deep = soft_mask(mask, 0, 2, 0.5) > 0
    label = torch.where(deep, 2, region)  # the organ is 1
    background, behind = image.flip(0), label.flip(0)
    where = {"placement": "in_place", "min_region_overlap": 0, "max_lesion_overlap": 1.0, "lesion_labels": 2}
    aug = SoftCP(p=1.0, blend="carvemix", object_transform=transform, **where)
    params = aug.draw(torch.arange(8), tuple(image.shape[2:]))
    params = params._replace(carve_u=torch.linspace(0, 0.99, 8, dtype=torch.float64))
    out = aug.augment(background, behind, source_image=image, source_mask=label, params=params)
    carved = carve(label == 2, params.carve_u)
    assert torch.equal(out.soft_mask, carved.float())
    assert torch.equal(out.mask, torch.where(carved, label, behind))
    assert torch.allclose(out.image, torch.where(carved, image, background), atol=1e-5)
    grown, shrunk = carved & (label != 2), ~carved & (label == 2)
    assert grown.any()
    assert shrunk.any()
    assert (label[grown] == 1).any()


def test_a_poisson_blend_joins_the_source_to_the_background_where_the_lesion_lies(batch):
    image, mask, _ = batch
    where = {"placement": "in_place", "max_lesion_overlap": 1.0, "object_transform": None}
    aug = SoftCP(p=1.0, blend="poisson", **where)
    out = aug.augment(image.flip(0), mask.flip(0), source_image=image, source_mask=mask)
    expected = torch.where(mask > 0, seamless(image, image.flip(0), mask > 0), image.flip(0))
    assert out.status_labels() == ["pasted"] * 8
    assert torch.allclose(out.image, expected, atol=2e-6)  # another window around the same equations
    assert (out.image - torch.where(mask > 0, image, image.flip(0))).abs().max() > 0.02


def test_carvemix_pastes_nothing_from_beyond_the_sources_frame(batch):
    """A lesion at the source's border grows into its tissue alone."""
    image, mask, _ = batch
    source = torch.zeros_like(mask)
    source[:, :, :8, :8] = 1
    clear = torch.zeros_like(mask)
    aug = SoftCP(p=1.0, blend="carvemix", object_transform=None)
    params = aug.draw(torch.arange(8), tuple(image.shape[2:]))
    out = aug.augment(image, clear, source_image=image, source_mask=source, params=params)
    first = out.placement.offset_px
    assert "pasted" in out.status_labels()
    for i, soft in enumerate(out.soft_mask):
        for axis, offset in enumerate(first[i, :2].tolist(), 1):
            assert not soft.narrow(axis, 0, offset).any()
    area = out.placement.area_px * (out.status == Status.PASTED)
    assert (out.soft_mask.flatten(1).sum(1) > area).any()


def test_carvemix_has_no_lesion_without_its_label_from_a_bank():
    image, mask, _ = phantoms.batch(1, (40, 36))
    limits = torch.tensor([[float(image.min()), float(image.max())]])
    bank = LesionBank([LesionCrop(image[0], mask[0], limits, (0, 0), None, "case")])
    with pytest.raises(ValueError, match="blend: expected another one with a bank, found 'carvemix'"):
        SoftCP(bank=bank, blend="carvemix")


def test_a_shift_of_the_source_changes_nothing_in_a_poisson_blend(batch):
    plain, matched = (pasted_by("poisson", batch, match=match) for match in ("none", "rim"))
    # The solver leaves 3e-7 of the differences, and float32 rounds the shifted source.
    assert torch.allclose(plain.image, matched.image, atol=2e-6)
