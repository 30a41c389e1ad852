"""The whole paste with kernels, against the plain path: same pixels, same record, same gradients, one graph."""

import pytest
import torch

from softcp_gpu import SoftCP, Status, kernels, phantoms
from softcp_gpu.functional import pipeline, soft_cp
from softcp_gpu.kernels import launch, operators
from softcp_gpu.modules.graphed import drawn_there
from softcp_gpu.sampling import sample_seeds

SETTINGS = {
    "2-D": ((22, 20), {"k_erode": (0, 2), "k_dilate": (1, 4), "alpha": (0.5, 0.7)}),
    "3-D, cross": ((8, 11, 9), {"k_dilate": 2, "footprint": "cross", "blend": "softcp-geometric"}),
    "skip": ((32, 30), {"p": 1.0, "k_erode": (0, 3), "k_dilate": 2, "on_small": "skip"}),
    "rim": ((22, 20), {"k_dilate": 3, "match": "rim"}),
    "another blend": ((22, 20), {"blend": "gaussian-mask"}),
}


def call(settings, dtype=torch.float32, count=3):
    shape, keywords = SETTINGS[settings]
    image, mask, region = phantoms.batch(count, shape, channels=2)
    aug = SoftCP(**{"p": 0.8, **keywords})
    params = aug.draw(sample_seeds(1, torch.arange(count)), shape, own_source=False)

    def run(paste=soft_cp):
        leaves = [x.to(dtype).clone().requires_grad_() for x in (image, image.roll(1, 0), params.alpha)]
        leaves[2] = params.alpha.clone().requires_grad_()
        given = params._replace(alpha=leaves[2])
        out = paste(leaves[0], mask, region, leaves[1], mask.roll(1, 0), given, aug.config)
        total = out.image.double().square().sum() + out.soft_mask.double().sum()
        return out, torch.autograd.grad(total, leaves, materialize_grads=True)

    return run


def assert_same(found, expected, close=0.0):
    (out, gradients), (plain, expected_gradients) = found, expected
    for a, b in zip((out.status, out.mask, *out.placement), (plain.status, plain.mask, *plain.placement), strict=True):
        assert torch.equal(a, b)
    for a, b in ((out.image, plain.image), (out.soft_mask, plain.soft_mask)):
        assert a.dtype == b.dtype
        assert ((a - b).abs() <= close * b.abs().max()).all()
    for a, b in zip(gradients, expected_gradients, strict=True):
        # Sums over a frame in another order.
        assert ((a - b).abs() <= max(close, 1e-5) * b.abs().max()).all()


@pytest.mark.parametrize("settings", SETTINGS)
def test_eager(settings):
    run = call(settings)
    expected = run()
    assert Status.PASTED in expected[0].status.tolist()
    with kernels.use("on"):
        assert_same(run(), expected, close=1e-6 if "2-D" in settings else 1e-5)


@pytest.mark.parametrize("shape", [(18, 20), (3, 6, 9)])
def test_whole_images_are_transformed_in_the_same_way(shape):
    image, mask, region = small_batch(shape, 5)
    aug = SoftCP(
        p=0.7,
        k_dilate=1,
        max_lesion_overlap=1.0,
        background_transform={},
        image_transform={"p_crop": 0.4, "blur_sigma_px": (0.3, 2)},
    )
    params = aug.draw(sample_seeds(2, torch.arange(5)), shape, own_source=False)
    expected = aug.augment(image, mask, region, params=params)
    with kernels.use("on"):
        found = aug.augment(image, mask, region, params=params)
    assert_same((found, []), (expected, []), close=2e-6)


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((20, 37), {"k_dilate": 3}),
        ((16, 35), {"k_dilate": 2, "placement": "in_place"}),
        ((3, 6, 34), {"k_dilate": 1, "min_visible": 0.6, "max_lesion_overlap": 3}),
    ],
)
def test_without_gradients_only_what_counts_is_computed(shape, settings):
    """A lesion that is blurred, turned and moved, in frames whose lines are no whole number of words."""
    image, mask, region = small_batch(shape, 4)
    mask[0] = 0
    aug = SoftCP(p=0.9, **settings)
    params = aug.draw(sample_seeds(3, torch.arange(4)), shape, own_source=False)
    assert (params.object.intensity.blur_sigma_px > 0).any()
    expected = aug.augment(image, mask, region, params=params)
    assert Status.PASTED in expected.status.tolist()
    with kernels.use("on"):
        found = aug.augment(image, mask, region, params=params)
    assert_same((found, []), (expected, []), close=1e-6)


def small_batch(shape, count=3, seed=0):
    """Phantoms; in a small volume they have no lesion, so each gets a box."""
    image, mask, region = phantoms.batch(count, shape, channels=2, seed=seed)
    if len(shape) == 3:
        mask[:, :, 1:3, 1:4, 2:5], region = 1, torch.ones_like(region)
    return image, mask, region


@pytest.mark.parametrize("beside", [False, True])
def test_the_result_may_lie_over_the_image(beside, monkeypatch):
    monkeypatch.setattr(launch.Branch, "beside", beside)
    batch, seed = small_batch((16, 35), 2), torch.arange(2)
    aug = SoftCP(p=1.0, k_dilate=2, max_lesion_overlap=1.0)
    with kernels.use("on"), torch.no_grad():
        expected = drawn_there(aug, seed, (*batch, None, None))
        image = batch[0].clone()
        found = drawn_there(aug, seed, (image, *batch[1:], None, None), over=True)
    assert found.image.data_ptr() == image.data_ptr()
    assert_same((found, []), (expected, []))


PASTES = {
    "skip, cross": ((32, 30), {"k_erode": (0, 3), "k_dilate": 2, "on_small": "skip", "footprint": "cross"}),
    "no steps": ((16, 35), {"k_erode": 0, "k_dilate": 0, "object_transform": {"intensity": ["noise", "gamma"]}}),
    "class ids": (
        (16, 35),
        {"lesion_labels": (1, 3), "k_dilate": 3, "blend": "softcp-geometric", "max_lesion_overlap": 9},
    ),
    "volume": ((3, 6, 40), {"k_dilate": (1, 2), "min_visible": 4, "max_lesion_overlap": 1.0}),
}


@pytest.mark.parametrize("settings", PASTES)
def test_a_paste_in_one_operator(settings, monkeypatch):
    """Nothing of the other ways to paste is used; a source has its own frame, and its range is told."""
    shape, keywords = PASTES[settings]
    image, mask, region = small_batch(shape, 3)
    small = tuple(length - length // 8 for length in shape)
    source, labels, _ = small_batch(small, 3, seed=7)
    aug = SoftCP(p=0.9, **keywords)
    if settings == "class ids":
        mask, labels = mask.long() * 3, labels.long()
    params = aug.draw(sample_seeds(6, torch.arange(3)), shape)
    more = {"source_image": source, "source_mask": labels, "params": params}
    more["source_range"] = torch.tensor([[[0.0, 1.0], [0.1, 0.9]]]).expand(3, -1, -1)
    expected = aug.augment(image, mask, region, **more)
    assert Status.PASTED in expected.status.tolist()
    with kernels.use("on"), torch.no_grad():
        monkeypatch.setattr(pipeline, "_paste", None)
        found = aug.augment(image, mask, region, **more)
    assert_same((found, []), (expected, []), close=1e-6)


@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-12), (torch.float16, 2e-3), (torch.bfloat16, 2e-2)])
def test_other_precisions(dtype, close):
    run = call("2-D", dtype)
    expected = run()
    with kernels.use("on"):
        assert_same(run(), expected, close)


@pytest.mark.parametrize(("settings", "at_once"), [("2-D", 1), ("rim", 0), ("another blend", 0)])
def test_mask_and_paste_are_one_pass_where_nothing_lies_between(settings, at_once, monkeypatch):
    calls = []
    blend = operators.soft_blend
    monkeypatch.setattr(operators, "soft_blend", lambda *x: calls.append(x) or blend(*x))
    run = call(settings)
    run()
    assert not calls
    with kernels.use("on"):
        run()
    assert len(calls) == at_once


@pytest.mark.slow  # a minute of compiling
def test_one_graph():
    torch.compiler.reset()
    run = call("2-D")
    with kernels.use("on"):
        assert_same(run(torch.compile(soft_cp, fullgraph=True, backend="aot_eager")), run(), close=1e-5)
