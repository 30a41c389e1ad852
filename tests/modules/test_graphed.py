"""GraphedSoftCP where nothing can be captured: it is its SoftCP. What it does on a GPU is in tests/gpu."""

import copy
import pickle

import pytest
import torch

from softcp_gpu import GraphedSoftCP, LesionBank, LesionCrop, SoftCP, phantoms
from softcp_gpu.modules import graphed


def seeded():
    return torch.Generator().manual_seed(3)


def test_on_a_cpu_it_gives_what_its_module_gives():
    batch = phantoms.batch(4, (40, 48))
    plain = SoftCP(p=1.0)
    aug = GraphedSoftCP(plain)
    out = aug.augment(*batch, generator=seeded())
    assert set(out.status_labels()) == {"pasted"}
    for a, b in zip(aug(*batch, generator=seeded()), plain(*batch, generator=seeded()), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(out.image, plain(*batch, generator=seeded())[0])


def test_sources_are_passed_on():
    image, mask, region = phantoms.batch(2, (40, 48))
    other, labels, _ = phantoms.batch(2, (30, 36), seed=1)
    sources = {"source_image": other, "source_mask": labels}
    plain = SoftCP(p=1.0)
    expected = plain(image, mask, region, **sources, generator=seeded())
    found = GraphedSoftCP(plain)(image, mask, region, **sources, generator=seeded())
    assert torch.equal(found[0], expected[0])
    assert torch.equal(GraphedSoftCP(plain).augment(image, mask, region, **sources, generator=seeded()).mask, found[1])


def test_in_eval_the_very_same_tensors_come_back():
    image, mask, _ = phantoms.batch(2, (16, 16))
    found = GraphedSoftCP(SoftCP(p=1.0)).eval()(image, mask)
    assert found[0] is image
    assert found[1] is mask


def test_what_cannot_be_captured_is_refused_when_it_is_made():
    labels = torch.zeros(1, 8, 8, dtype=torch.uint8)
    labels[:, 2:5, 3:6] = 1
    bank = LesionBank([LesionCrop(torch.rand(1, 8, 8), labels, torch.tensor([[0.0, 1.0]]), (0, 0), None, "case")])
    with pytest.raises(ValueError, match=r"aug: expected a SoftCP without a bank, found one with a bank"):
        GraphedSoftCP(SoftCP(bank=bank))
    with pytest.raises(ValueError, match=r"aug: expected a SoftCP, found"):
        GraphedSoftCP(torch.nn.Identity())


def test_copies_hold_no_graphs():
    aug = GraphedSoftCP(SoftCP(p=0.3))
    aug._graphs["held"] = object()
    for copied in (copy.deepcopy(aug), pickle.loads(pickle.dumps(aug))):
        assert copied._graphs == {}
        assert copied.aug.ranges == aug.aug.ranges


def test_draws_made_on_the_device_of_the_images_are_those_of_the_module():
    batch = phantoms.batch(4, (40, 48))
    aug, seed = SoftCP(p=0.8, image_transform={}), torch.arange(4)
    expected = aug.augment(*batch, params=aug.draw(seed, (40, 48), own_source=False))
    found = graphed.drawn_there(aug, seed, (*batch, None, None))
    assert torch.equal(found.image, expected.image)
    assert torch.equal(found.mask, expected.mask)
