from collections import UserDict
from typing import NamedTuple

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from softcp_gpu import SoftCP, SoftCPCollate, phantoms

SHAPE = (24, 20)


class Sample(NamedTuple):
    name: str
    image: torch.Tensor
    mask: torch.Tensor


class Phantoms(Dataset):
    """Twelve phantoms as dicts, tuples or named tuples."""

    def __init__(self, kind):
        self.kind, self.data = kind, phantoms.batch(12, SHAPE, seed=3)

    def __len__(self):
        return 12

    def __getitem__(self, i):
        image, mask, region = (x[i] for x in self.data)
        if self.kind == "dict":
            return {"name": f"case {i}", "image": image, "mask": mask, "organ": region}
        if self.kind == "named tuple":
            return Sample(f"case {i}", image, mask)
        return image, mask[0], region[0], i


KEYS = {"dict": ("image", "mask", "organ"), "tuple": (0, 1, 2), "named tuple": (1, 2)}


def batches(kind="tuple", workers=0, seed=0, epochs=1, size=4, aug=None, **settings):
    """All batches of some epochs of a fresh loader."""
    torch.manual_seed(17)
    aug = SoftCP(p=1.0, min_region_overlap=0.1) if aug is None else aug
    loader = DataLoader(
        Phantoms(kind),
        batch_size=size,
        num_workers=workers,
        generator=torch.Generator().manual_seed(seed),
        collate_fn=SoftCPCollate(aug, KEYS[kind]),
        **settings,
    )
    return [batch for _ in range(epochs) for batch in loader]


def images(found, key=0):
    return torch.cat([batch[key] for batch in found])


def test_dict_samples_come_back_as_a_dict_with_everything_else_passed_on():
    found = batches("dict")
    image, mask, region = phantoms.batch(12, SHAPE, seed=3)
    assert [set(batch) for batch in found] == [{"name", "image", "mask", "organ"}] * 3
    assert [name for batch in found for name in batch["name"]] == [f"case {i}" for i in range(12)]
    assert torch.equal(torch.cat([batch["organ"] for batch in found]), region)
    new = torch.cat([batch["mask"] for batch in found])
    assert new.dtype == mask.dtype
    assert (new >= mask).all()
    assert (new.flatten(1).sum(1) > mask.flatten(1).sum(1)).sum() > 6
    assert not torch.equal(images(found, "image"), image)


def test_tuple_samples_keep_their_order():
    for image, mask, region, number in batches("tuple"):
        assert image.shape == (4, 1, *SHAPE)
        assert mask.shape == region.shape == (4, *SHAPE)
        assert number.shape == (4,)


def test_named_tuples_stay_named_tuples():
    found = batches("named tuple")
    assert all(type(batch) is Sample for batch in found)
    assert list(found[0].name) == [f"case {i}" for i in range(4)]
    assert found[0].image.shape == (4, 1, *SHAPE)
    assert not torch.equal(torch.cat([batch.image for batch in found]), phantoms.batch(12, SHAPE, seed=3)[0])


@pytest.mark.parametrize("workers", [0, 2])
def test_two_loaders_with_one_seed_give_the_same(workers):
    first, again = (batches(workers=workers, epochs=2, shuffle=True) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert not torch.equal(images(first[:3]), images(first[3:]))  # the next epoch draws anew


def test_workers_follow_the_loaders_generator():
    first, other = (batches(workers=2, seed=seed) for seed in (0, 1))
    assert not torch.equal(images(first), images(other))
    assert len(images(first).unique(dim=0)) == 12


def test_no_two_batches_of_an_epoch_share_their_draws():
    class Same(Phantoms):
        def __getitem__(self, i):
            return super().__getitem__(i % 2)

    aug = SoftCP(p=1.0, min_region_overlap=0.1)
    torch.manual_seed(0)
    for workers in (0, 2):
        loader = DataLoader(Same("tuple"), 2, num_workers=workers, collate_fn=SoftCPCollate(aug, KEYS["tuple"]))
        found = [batch[0] for batch in loader]
        assert len(torch.stack(found).flatten(1).unique(dim=0)) == 6


def test_a_last_batch_of_one_passes_unchanged():
    last = batches(size=11)[-1]
    image, mask, _ = phantoms.batch(12, SHAPE, seed=3)
    assert torch.equal(last[0], image[11:])
    assert torch.equal(last[1], mask[11:, 0])


def test_an_augmentation_in_eval_passes_everything_unchanged():
    found = batches(aug=SoftCP(p=1.0).eval())
    assert torch.equal(images(found), phantoms.batch(12, SHAPE, seed=3)[0])


def test_errors_name_the_argument():
    samples = [(torch.rand(1, 16, 16), torch.full((16, 16), 3))] * 2
    with pytest.raises(ValueError, match="mask: expected values in"):
        SoftCPCollate(SoftCP())(samples)


def test_another_collate_function_may_come_first():
    def stack(samples):
        return {"image": torch.stack([s[0] for s in samples]), "mask": torch.stack([s[1] for s in samples]), "n": 2}

    samples = [Phantoms("tuple")[i] for i in range(2)]
    found = SoftCPCollate(SoftCP(p=1.0, min_region_overlap=0.1), ("image", "mask"), stack)(samples)
    assert found["n"] == 2
    assert not torch.equal(found["image"], stack(samples)["image"])


def test_the_batch_counts_and_not_the_samples():
    """A collate function may make one sample of many, or many of one."""
    image, mask, _ = phantoms.batch(4, SHAPE)

    def crops(samples):
        return [torch.cat([sample[k] for sample in samples]) for k in (0, 1)]

    def first(samples):
        return [samples[0][k][:1] for k in (0, 1)]

    aug = SoftCP(p=1.0, min_region_overlap=0, max_lesion_overlap=1.0)
    assert not torch.equal(SoftCPCollate(aug, collate=crops)([(image, mask)])[0], image)
    assert torch.equal(SoftCPCollate(aug, collate=first)([(image, mask), (image, mask)])[0], image[:1])


def test_a_batch_of_one_has_the_dtype_of_the_others():
    image, mask, _ = phantoms.batch(3, SHAPE)
    samples = [((image[i] * 255).byte(), mask[i]) for i in range(3)]
    collate = SoftCPCollate(SoftCP(p=1.0))
    assert collate(samples)[0].dtype == collate(samples[:1])[0].dtype == torch.float32


def test_any_mapping_will_do():
    image, mask, _ = phantoms.batch(2, SHAPE)
    collate = SoftCPCollate(SoftCP(p=1.0), ("image", "mask"), lambda _: UserDict(image=image, mask=mask, name="x"))
    found = collate([0, 1])
    assert found["name"] == "x"
    assert not torch.equal(found["image"], image)
