"""Draws by a kernel, against those in plain torch: the same params."""

import pytest
import torch
from torch.utils._pytree import tree_leaves

from softcp_gpu import SoftCP, kernels
from softcp_gpu.sampling import sample_seeds

SETTINGS = {
    "default": {},
    "all transforms": {"background_transform": {}, "image_transform": {"p_crop": 0.3, "blur_sigma_px": (0.3, 2)}},
    "few": {
        "k_erode": (0, 4),
        "k_dilate": (1, 9),
        "alpha": (0.5, 0.9),
        "object_transform": {"rigid": ["flip", "none", "flip", "panning"], "intensity": ["blur"], "gamma": 2.0},
    },
    "none": {"object_transform": None, "image_transform": {}, "alpha": (0.3, 0.95)},
}


def leaves(params):
    return [x for x in tree_leaves(params) if x is not None]


@pytest.mark.parametrize(("shape", "own_source"), [((30, 44), False), ((12, 30, 44), True)])
@pytest.mark.parametrize("settings", SETTINGS)
def test_the_same_params(settings, shape, own_source):
    aug = SoftCP(p=0.6, **SETTINGS[settings])
    seed = sample_seeds(4, torch.arange(7))
    expected = aug.draw(seed, shape, own_source=own_source)
    with kernels.use("on"):
        found = aug.draw(seed, shape, own_source=own_source)
    for a, b in zip(leaves(found), leaves(expected), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert a.is_contiguous()
        assert torch.allclose(a, b, rtol=1e-6, atol=0) if a.dtype == torch.float32 else torch.equal(a, b)


@pytest.mark.parametrize("count", [0, 1, 2, 20])
def test_batches_of_every_size(count):
    aug, seed = SoftCP(), torch.arange(count) - 1
    with kernels.use("on"):
        found = aug.draw(seed, (8, 8), own_source=False)
    assert torch.equal(found.source_index, aug.draw(seed, (8, 8), own_source=False).source_index)


def test_equal_seeds_are_in_the_order_of_the_batch():
    with kernels.use("on"):
        found = SoftCP().draw(torch.zeros(5, dtype=torch.int64), (8, 8), own_source=False)
    assert sorted(found.source_index.tolist()) == [0, 1, 2, 3, 4]
    assert (found.source_index != torch.arange(5)).all()
