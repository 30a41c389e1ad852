"""The whole paste with kernels, against the plain path: same pixels, same record, same gradients, one graph."""

import pytest
import torch

from softcp_gpu import SoftCP, Status, kernels, phantoms
from softcp_gpu.functional import soft_cp
from softcp_gpu.kernels import operators
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
    image, mask, region = phantoms.batch(5, shape, channels=2)
    aug = SoftCP(p=0.7, k_dilate=3, background_transform={}, image_transform={"p_crop": 0.4, "blur_sigma_px": (0.3, 2)})
    params = aug.draw(sample_seeds(2, torch.arange(5)), shape, own_source=False)
    expected = aug.augment(image, mask, region, params=params)
    with kernels.use("on"):
        found = aug.augment(image, mask, region, params=params)
    assert_same((found, []), (expected, []), close=2e-6)


@pytest.mark.parametrize("bounds", [{}, {"min_visible": 0.6, "max_lesion_overlap": 3}, {"placement": "in_place"}])
@pytest.mark.parametrize("shape", [(20, 37), (3, 6, 34)])
def test_without_gradients_only_what_counts_is_computed(shape, bounds):
    """A lesion that is blurred, turned and moved, in frames whose lines are no whole number of words."""
    image, mask, region = phantoms.batch(5, shape, channels=2)
    mask[0] = 0
    aug = SoftCP(p=0.9, k_dilate=3, **bounds)
    params = aug.draw(sample_seeds(3, torch.arange(5)), shape, own_source=False)
    assert (params.object.intensity.blur_sigma_px > 0).any()
    expected = aug.augment(image, mask, region, params=params)
    with kernels.use("on"):
        found = aug.augment(image, mask, region, params=params)
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
