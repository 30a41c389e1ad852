"""What a captured graph reads and writes, with a stand-in that runs the call again: the rest of it is in tests/gpu."""

from contextlib import nullcontext

import pytest
import torch
from torch.utils._pytree import tree_leaves

from softcp_gpu import GraphedSoftCP, SoftCP, Status, kernels, phantoms
from softcp_gpu.kernels import launch
from softcp_gpu.modules import graphed

SHAPE = (24, 40)


class Again:
    """Runs the call on the same memory, and writes its results where the first ones lie."""

    def __init__(self, call, out):
        self.call, self.out = call, out

    def replay(self):
        for old, new in zip(leaves(self.out), leaves(self.call()), strict=True):
            if 0 not in old.stride():  # not what only has a shape
                old.copy_(new)


def leaves(out):
    return [x for x in tree_leaves(out) if x is not None]


def capture(call):
    out = call()
    return Again(call, out), out


@pytest.fixture(autouse=True)
def captures(monkeypatch):
    monkeypatch.setattr(graphed, "capture", capture)
    monkeypatch.setattr(graphed, "_can_be_captured", lambda batch: True)
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(launch.Branch, "beside", True)
    with kernels.use("on"), torch.no_grad():
        yield


def batch(seed=0):
    return phantoms.batch(2, SHAPE, channels=2, seed=seed)


def assert_same(graph, image, mask, region, seed=0, **sources):
    """Captured or replayed, it gives what its module gives without kernels, in memory of its own."""
    with kernels.use("off"):
        expected = graph.aug.augment(image, mask, region, **sources, generator=torch.Generator().manual_seed(seed))
    found = graph(image, mask, region, **sources, generator=torch.Generator().manual_seed(seed))
    assert Status.PASTED in expected.status.tolist()
    assert_equal(found, expected[:2])
    return expected


def assert_equal(found, expected):
    """But for the last bits of gamma."""
    for a, b in zip(leaves(found), leaves(expected), strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-5) if a.is_floating_point() else torch.equal(a, b)


def elsewhere(graph):
    """Which of image, mask, region, source image and source mask are not copied."""
    (held,) = graph._graphs.values()
    return tuple(x is None for x in held.batch)


def new(**settings):
    few = {"k_dilate": 1, "object_transform": {"intensity": ["gamma"]}}  # what is quick to interpret
    return GraphedSoftCP(SoftCP(**{"p": 1.0, "max_lesion_overlap": 1.0, **few, **settings}))


def test_images_and_masks_are_read_where_they_are():
    graph, first, second = new(), batch(), batch(seed=3)
    expected = assert_same(graph, *first)
    assert elsewhere(graph) == (True,) * 5
    found = graph.augment(*first, generator=torch.Generator().manual_seed(0))
    assert_same(graph, *second, seed=1)
    assert len(graph._graphs) == 1
    assert_equal(found, expected)  # also after another batch


@pytest.mark.parametrize(
    ("change", "copied"),
    [
        (lambda mask, region: (mask[:, 0].bool(), region[:, 0]), 0),
        (lambda mask, region: (mask.long(), None), 0),
        (lambda mask, region: (mask, region.to(torch.uint8)), 2),
        (lambda mask, region: (torch.cat([mask.new_zeros(1), mask.flatten()])[1:].view(mask.shape), region), 2),
        (lambda mask, region: (mask.repeat_interleave(2, -1)[..., ::2], region), 2),
    ],
    ids=[
        "flags without channel",
        "numbers without region",
        "a region that is no flags",
        "an odd place",
        "pixels apart",
    ],
)
def test_masks_that_cannot_be_read_there_are_copied(change, copied):
    graph, (image, mask, region) = new(), batch()
    mask, region = change(mask, region)
    assert_same(graph, image, mask, region)
    assert elsewhere(graph).count(False) == copied


def test_masks_with_class_ids_are_copied():
    graph, (image, mask, region) = new(lesion_labels=3), batch()
    assert_same(graph, image, mask * 3, region)
    assert elsewhere(graph) == (True, False, False, True, True)


def test_sources_may_lie_elsewhere_and_their_masks_are_copied():
    graph, (image, mask, region) = new(), batch()
    other, labels, _ = phantoms.batch(2, (30, 33), channels=2, seed=1)
    assert_same(graph, image, mask, region, source_image=other, source_mask=labels)
    assert elsewhere(graph) == (True, True, True, True, False)


def test_what_more_than_a_paste_needs_is_copied():
    graph, (image, mask, region) = new(image_transform={"p_blur": 0.0}), batch()
    assert_same(graph, image, mask, region)
    assert elsewhere(graph)[:3] == (False,) * 3
