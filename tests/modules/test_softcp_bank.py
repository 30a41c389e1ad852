"""SoftCP with lesions from a bank: healthy images, batches of one, class ids, spacing."""

import copy
import pickle

import pytest
import torch

from softcp_gpu import LesionBank, LesionCrop, SoftCP, SoftCPCollate, Status, phantoms
from softcp_gpu.functional.windows import bounding_box

MARGIN = 6


def bank_of(shape, *, channels=1, spacing=None, label=1, scale=1.0):
    """The lesions of three phantoms, cut out with a margin."""
    image, mask, _ = phantoms.batch(3, shape, channels=channels, seed=9)
    image = image * scale
    start, extent, _ = bounding_box(mask > 0)
    crops = []
    for i in range(3):
        first = (start[i] - MARGIN).clamp(min=0).tolist()
        last = torch.minimum(start[i] + extent[i] + MARGIN, torch.tensor(shape)).tolist()
        box = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
        limits = torch.stack([image[i].flatten(1).amin(1), image[i].flatten(1).amax(1)], 1)
        crops.append(
            LesionCrop(
                image[(i, slice(None), *box)],
                mask[(i, slice(None), *box)] * label,
                limits,
                tuple(first),
                spacing,
                f"case{i}",
            )
        )
    return LesionBank(crops), image, mask


@pytest.mark.parametrize("shape", [(48, 40), (24, 28, 26)])
def test_a_healthy_image_alone_gets_a_lesion(shape):
    bank, _, _ = bank_of(shape)
    image, mask, region = phantoms.batch(1, shape, seed=2)
    aug = SoftCP(p=1.0, k_dilate=3, bank=bank)
    out = aug.augment(image, torch.zeros_like(mask), region)
    assert out.status_labels() == ["pasted"]
    assert (out.mask > 0).any()
    assert torch.equal(out.image[out.soft_mask == 0], image[out.soft_mask == 0])


def test_a_crop_gives_the_pixels_of_the_whole_source():
    shape = (64, 56)
    bank, whole, whole_mask = bank_of(shape, scale=3.0)
    image, mask, _ = phantoms.batch(2, shape, seed=2)
    turned = {"rigid": ["rotation", "scaling"], "intensity": ["gamma", "noise"]}
    aug = SoftCP(p=1.0, k_dilate=2, max_lesion_overlap=1.0, bank=bank, object_transform=turned)
    out = aug.augment(image, mask)
    rows = bank.draw(out.params.seed)
    given = {"source_image": whole[rows], "source_mask": whole_mask[rows]}
    again = aug.augment(image, mask, params=out.params, **given)
    assert out.status_labels() == again.status_labels() == ["pasted"] * 2
    assert torch.equal(out.mask, again.mask)
    # The crop's own coordinates are smaller numbers than the whole image's: float32 rounds them otherwise.
    assert (out.image - again.image).abs().max() < 1e-3


def test_the_same_lesion_at_every_batch_size_and_again_from_the_params():
    bank, _, _ = bank_of((48, 40))
    image, mask, _ = phantoms.batch(6, (48, 40), seed=2)
    aug = SoftCP(p=1.0, k_dilate=2, bank=bank, image_transform={})

    def run(size):
        generator = torch.Generator().manual_seed(4)
        parts = [aug.augment(image[i : i + size], mask[i : i + size], generator=generator) for i in range(0, 6, size)]
        return torch.cat([part.image for part in parts]), torch.cat([part.mask for part in parts])

    whole = run(6)
    for size in (1, 4):
        for a, b in zip(run(size), whole, strict=True):
            assert torch.equal(a, b)
    out = aug.augment(image, mask)
    assert torch.equal(aug.augment(image, mask, params=out.params).image, out.image)


def test_the_collate_helper_augments_a_batch_of_one_from_the_bank():
    bank, _, _ = bank_of((48, 40))
    image = torch.rand(1, 48, 40)
    batch = SoftCPCollate(SoftCP(p=1.0, k_dilate=2, bank=bank))([(image, torch.zeros(1, 48, 40))])
    assert batch[1].any()
    assert not torch.equal(batch[0][0], image)


def test_classes_survive_where_they_are_declared_and_are_1_where_masks_are_binary():
    bank, _, _ = bank_of((48, 40), label=3)
    image, mask, _ = phantoms.batch(2, (48, 40), seed=2)
    empty = torch.zeros_like(mask)
    ids = SoftCP(p=1.0, k_dilate=2, bank=bank, lesion_labels=3).augment(image, empty)
    assert set(ids.mask.unique().tolist()) == {0, 3}
    binary = SoftCP(p=1.0, k_dilate=2, bank=bank).augment(image, empty)
    assert set(binary.mask.unique().tolist()) == {0, 1}


def test_a_lesion_keeps_its_size_in_the_body():
    bank, _, whole_mask = bank_of((48, 40), spacing=(1.0, 1.0))
    image = torch.rand(3, 1, 90, 90)
    aug = SoftCP(p=1.0, k_dilate=2, bank=bank, object_transform=None)
    out = aug.augment(image, torch.zeros_like(image), spacing=(0.5, 0.5))
    rows = bank.draw(out.params.seed)
    there, here = whole_mask[rows].flatten(1).sum(1), (out.mask > 0).flatten(1).sum(1)
    assert ((here / 4 / there - 1).abs() < 0.1).all()


def test_given_sources_go_before_the_bank():
    bank, _, _ = bank_of((48, 40), scale=50.0)
    image, mask, _ = phantoms.batch(2, (48, 40), seed=2)
    aug = SoftCP(p=1.0, k_dilate=2, max_lesion_overlap=1.0, bank=bank, object_transform=None)
    out = aug.augment(image, mask, source_image=image.flip(0), source_mask=mask.flip(0))
    assert (out.status == Status.PASTED).all()
    assert out.image.max() < 3


def test_a_module_with_a_bank_moves_copies_and_pickles():
    bank, _, _ = bank_of((48, 40))
    image, mask, _ = phantoms.batch(1, (48, 40), seed=2)
    aug = SoftCP(p=1.0, k_dilate=2, bank=bank)
    params = aug.augment(image, mask).params
    for other in (copy.deepcopy(aug), pickle.loads(pickle.dumps(aug))):
        assert torch.equal(
            other.augment(image, mask, params=params).image, aug.augment(image, mask, params=params).image
        )
    assert aug.to("meta").bank.pixels.device.type == "meta"
    assert "bank=None" in repr(SoftCP())
    assert "(bank): LesionBank" in repr(aug)


@pytest.mark.parametrize(
    ("settings", "image", "call", "expected"),
    [
        ({"bank": "lesions"}, None, {}, "bank: expected a LesionBank or None, found 'lesions'"),
        ({"lesion_labels": 2}, None, {}, r"bank: expected lesions of the classes \[2\] \(lesion_labels\), found \[1\]"),
        ({}, torch.zeros(1, 3, 48, 40), {}, "bank: expected lesions with 3 channel.s. and 2 axes, found 1 channel"),
        ({}, torch.zeros(1, 1, 8, 48, 40), {}, "bank: expected lesions with 1 channel.s. and 3 axes, found 1 channel"),
        ({}, torch.zeros(1, 1, 48, 40), {"spacing": (1, 1)}, "bank: expected lesions with spacing"),
        (
            {},
            torch.zeros(1, 1, 48, 40),
            {"source_range": 1},
            "source_range: expected None where lesions come from a bank",
        ),
        ({}, torch.zeros(1, 1, 48, 40), {"source_spacing": 1}, "source_spacing: expected None where lesions come from"),
    ],
)
def test_a_bank_that_does_not_fit_is_refused(settings, image, call, expected):
    bank, _, _ = bank_of((48, 40))
    with pytest.raises(ValueError, match=expected):
        SoftCP(**{"p": 1.0, "bank": bank, **settings})(image, image[:, :1], **call)
