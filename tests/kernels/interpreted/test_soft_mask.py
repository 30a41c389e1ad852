from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import library

from softcp_gpu import kernels
from softcp_gpu.functional import fused, soft_mask, soft_paste
from softcp_gpu.functional.soft_mask import Steps, soften
from softcp_gpu.kernels import lesion_operators, operators, soft_operators

CASES = [  # shape, k_erode, k_dilate
    ((23, 18), 2, 4),
    ((23, 18), 0, 3),
    ((9, 8), 3, 11),
    ((9, 8), 0, 0),
    ((1, 70), 1, 2),
    ((6, 7, 5), 1, 3),
    ((1, 9, 4), 3, 0),
]


def blobs(count, shape, seed=0, share=0.08):
    """Random masks with several pieces that also touch the borders; the last but one is empty, the last full."""
    generator = torch.Generator().manual_seed(seed)
    points = (torch.rand(count, 1, *shape, generator=generator) < share).float()
    mask = (F.max_pool2d if len(shape) == 2 else F.max_pool3d)(points, 3, 1, 1) > 0
    mask[-2], mask[-1] = False, True
    return mask


def per_sample(k_erode, k_dilate, count, dtype=torch.float32):
    """Steps that differ from sample to sample."""
    generator = torch.Generator().manual_seed(k_erode + 7 * k_dilate)
    erode = torch.randint(0, k_erode + 1, (count,), generator=generator)
    dilate = torch.randint(0, k_dilate + 1, (count,), generator=generator)
    alpha = (0.3 + 0.6 * torch.rand(count, generator=generator)).to(dtype)
    return Steps(erode, dilate, alpha.requires_grad_(), k_erode, k_dilate)


@pytest.mark.parametrize("on_small", ["shrink", "skip"])
@pytest.mark.parametrize("footprint", ["full", "cross"])
@pytest.mark.parametrize(("shape", "k_erode", "k_dilate"), CASES)
def test_soft_mask_is_the_same_bit_for_bit(shape, k_erode, k_dilate, footprint, on_small, kernels_only):
    mask, steps = blobs(4, shape, seed=k_dilate), per_sample(k_erode, k_dilate, 4)
    profile = "softcp" if k_erode else "geometric"
    expected, rings = soften(mask, steps, footprint, profile, on_small)
    with kernels_only():
        found, counted = soften(mask, steps, footprint, profile, on_small)
    assert torch.equal(found, expected)
    for a, b in zip(counted, rings, strict=True):
        assert torch.equal(a, b)
        assert a.dtype == b.dtype


def test_the_public_function_runs_on_kernels(kernels_only):
    mask = blobs(3, (9, 8))
    for dtype in (torch.bool, torch.uint8, torch.float32):
        expected = soft_mask(mask.to(dtype), 1, "auto", 0.7, footprint="cross")
        with kernels_only():
            assert torch.equal(soft_mask(mask.to(dtype), 1, "auto", 0.7, footprint="cross"), expected)


@pytest.mark.parametrize(
    ("shape", "k_erode", "k_dilate", "footprint", "on_small"),
    [
        ((7, 70), 2, 4, "full", "shrink"),
        ((7, 70), 2, 4, "cross", "skip"),
        ((2, 130), 0, 32, "full", "skip"),
        ((35, 3), 32, 1, "full", "shrink"),
        ((3, 4, 35), 1, 2, "full", "shrink"),
        ((3, 4, 35), 1, 2, "cross", "skip"),
        pytest.param((2, 130), 0, 32, "cross", "skip", marks=pytest.mark.slow),
        pytest.param((35, 3), 32, 1, "cross", "skip", marks=pytest.mark.slow),
    ],
)
def test_in_one_operator_it_is_the_same_bit_for_bit(shape, k_erode, k_dilate, footprint, on_small, monkeypatch):
    """Lines of one word and of several, and lesions that touch the border; each step moves pixels between words."""
    mask, steps = blobs(3, shape, seed=k_dilate), per_sample(k_erode, k_dilate, 3)
    given = (steps.k_erode, steps.k_dilate, steps.alpha.detach())
    how = {"footprint": footprint, "profile": "geometric" if k_erode == 2 else "softcp", "on_small": on_small}
    expected = soft_mask(mask, *given, **how)
    monkeypatch.setattr(operators, "soft_weight", None)
    with kernels.use("on"):
        assert torch.equal(soft_mask(mask, *given, **how), expected)
        numbers = soft_mask(mask, k_erode, k_dilate, 0.7, **how)
    assert torch.equal(numbers, soft_mask(mask, k_erode, k_dilate, 0.7, **how))


@pytest.mark.parametrize("setting", [{"spacing": (1.0, 0.7)}, {"footprint": torch.ones(3, 5)}])
def test_millimetres_and_other_footprints_stay_plain(setting, monkeypatch):
    mask = blobs(3, (23, 18))
    expected = soft_mask(mask, 1, 3, 0.7, **setting)
    monkeypatch.setattr(operators, "soft_weight", None)
    with kernels.use("on"):
        assert torch.equal(soft_mask(mask, 1, 3, 0.7, **setting), expected)


@pytest.mark.parametrize("k", [254, 255])
def test_more_rings_than_a_byte_can_count(k, kernels_only):
    mask = torch.zeros(1, 1, 1, k + 5)
    mask[..., 0] = 1
    expected = soft_mask(mask, 0, k, 0.99)
    with kernels_only():
        assert torch.equal(soft_mask(mask, 0, k, 0.99), expected)


def test_an_empty_batch_gives_an_empty_batch(kernels_only):
    with kernels_only():
        assert soft_mask(torch.zeros(0, 1, 8, 8), 2, 2, 0.7).shape == (0, 1, 8, 8)


def test_any_memory_layout_gives_the_same(kernels_only):
    mask = blobs(3, (9, 8))
    expected = soft_mask(mask, 1, 3, 0.7)
    with kernels_only():
        for layout in (mask.to(memory_format=torch.channels_last), mask.transpose(2, 3).contiguous().transpose(2, 3)):
            assert torch.equal(soft_mask(layout, 1, 3, 0.7), expected)
        assert torch.equal(soft_mask(mask[:1].expand(3, -1, -1, -1), 1, 3, 0.7), expected[:1].expand(3, -1, -1, -1))


@pytest.mark.parametrize("length", [36, 38, 2100])
@pytest.mark.parametrize("skipped", [0, 2, 4])
def test_labels_of_one_byte_wherever_they_lie(length, skipped):
    """By fours, if lines are a multiple of that and begin at one; a line of 2100 pixels is looked at in two pieces."""
    generator = torch.Generator().manual_seed(length)
    labels = torch.tensor([0, 1, 2, 64, 127, 128, 129, 255], dtype=torch.uint8)
    shape = (2, 1, 3, length)
    some = labels[torch.randint(0, 8, shape, generator=generator)] * (torch.rand(shape, generator=generator) < 0.1)
    memory = torch.zeros(skipped + some.numel(), dtype=torch.uint8)
    mask = memory[skipped:].view(shape).copy_(some)
    found = soft_operators.soft_mask(mask, 0.7, 0, 2, 0, 2, "full", "softcp", "shrink")
    assert torch.equal(found, soft_mask(mask != 0, 0, 2, 0.7))


def pastes(shape, dtype, work):
    generator = torch.Generator().manual_seed(4)
    image, source = (torch.randn(4, 2, *shape, generator=generator, dtype=torch.float64) for _ in range(2))
    return image.to(dtype).requires_grad_(), source.to(work).requires_grad_()


def gradients(outputs, inputs):
    """Of a weighted sum of all outputs, so that every pixel counts differently."""
    total = sum((x * torch.linspace(-1, 1, x.numel(), dtype=x.dtype).view(x.shape)).double().sum() for x in outputs)
    return torch.autograd.grad(total, inputs)


@pytest.mark.parametrize(
    ("dtype", "work"),
    [
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
    ],
)
@pytest.mark.parametrize("on_small", ["shrink", "skip"])
@pytest.mark.parametrize(("footprint", "shape"), [("full", (15, 18)), ("cross", (6, 7, 5))])
def test_one_pass_is_soft_mask_then_paste(shape, footprint, on_small, dtype, work, kernels_only):
    mask, steps = blobs(4, shape, seed=2, share=0.03), per_sample(3, 4, 4, work)
    steps.k_erode[0] = 3
    (image, source), allowed = pastes(shape, dtype, work), torch.tensor([True, False, True, True])
    soft, rings = soften(mask, steps, footprint, "softcp", on_small)
    assert not rings.survives[0]
    soft = soft.to(work) * allowed.view(-1, *(1,) * mask[0].ndim)
    blend = soft_paste(image, source, soft)
    with kernels_only():
        found, weight, _ = fused.soften_and_paste(mask, steps, source, image, allowed, footprint, "softcp", on_small)
    assert torch.equal(weight, soft)
    assert found.dtype == image.dtype
    untouched = (soft == 0).expand_as(image)
    assert torch.equal(found[untouched], image[untouched])
    # The interpreter may round to half precision the other way: one unit in the last place.
    unit = torch.finfo(dtype).eps if dtype.itemsize == 2 else 0
    assert ((found - blend).abs() <= unit * blend.abs()).all()
    inputs = (image, source, steps.alpha)
    for a, b in zip(gradients((found, weight), inputs), gradients((blend, soft), inputs), strict=True):
        # Sums over a few hundred pixels in another order; half: one rounding of each pixel's gradient.
        least = {torch.float64: 1e-11, torch.float32: 1e-4}.get(b.dtype, 2 * unit)
        assert ((a - b).abs() <= least * b.abs().max().clamp(min=1)).all()


def test_gradients_are_those_of_finite_differences():
    mask, generator = blobs(2, (6, 4)), torch.Generator().manual_seed(1)
    mask[0, 0, 2, 2] = True
    image, source = (torch.randn(2, 1, 6, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    taken, box = torch.zeros(2, dtype=torch.int64), lesion_operators.noted(mask)
    table = torch.rand(2, 4, generator=generator, dtype=torch.float64).clamp(min=0.1)
    inputs = tuple(x.requires_grad_() for x in (table, source, image))
    check = partial(torch.autograd.gradcheck, fast_mode=True)
    assert check(lambda t, s, i: operators.soft_blend(mask, box, taken, t, s, i, "full"), inputs)
    assert check(lambda t: operators.soft_weight(mask, box, taken, t, "cross")[0], inputs[:1])


def test_what_is_not_pasted_sends_no_gradient_into_infinity(kernels_only):
    mask, steps = blobs(3, (9, 8)), per_sample(0, 2, 3)
    image, source = torch.zeros(3, 1, 9, 8), torch.full((3, 1, 9, 8), torch.inf).requires_grad_()
    allowed = torch.zeros(3, dtype=torch.bool)
    with kernels_only():
        blend, _, _ = fused.soften_and_paste(mask, steps, source, image, allowed, "full", "softcp", "shrink")
    assert torch.equal(blend, image)
    assert not torch.autograd.grad(blend.sum(), source)[0].any()


def test_operators_keep_torchs_rules():
    """Schema, shapes without values, and gradients under a compiler."""
    mask, shape = blobs(3, (9, 8)), (9, 8)
    table = torch.rand(3, 4, dtype=torch.float64).requires_grad_()
    images = [torch.randn(3, 2, *shape, dtype=torch.float64).requires_grad_() for _ in range(2)]
    mask[:, :, 4, 4] = True  # beside empty lesions memory may hold anything
    taken, box = torch.zeros(3, dtype=torch.int64), lesion_operators.noted(mask)
    check = library.opcheck
    check(operators._erosion_depth, (mask, box, 2, 9, True))
    check(operators._soft_weight, (mask, box, taken, table, False))
    check(operators._soft_blend, (mask, box, taken, table, *images, False))
