import math

import pytest
import torch
from scipy import ndimage

from softcp_gpu import SoftCP, SoftMask
from softcp_gpu.functional import auto_k_dilate, soft_mask, soft_mask_table

SHAPES = [(1, 1, 9, 9), (3, 1, 13, 8), (2, 1, 1, 11), (2, 1, 5, 7, 6), (1, 1, 1, 9, 4)]
WORDS = {
    ("full", 2): torch.ones(3, 3),
    ("cross", 2): torch.tensor([[0, 1, 0], [1, 1, 1], [0, 1, 0]]),
    ("full", 3): torch.ones(3, 3, 3),
    ("cross", 3): torch.from_numpy(ndimage.generate_binary_structure(3, 1)),
}


def blobs(shape, seed, share=0.12):
    """Random masks with several pieces that also touch the borders."""
    generator = torch.Generator().manual_seed(seed)
    seeds = (torch.rand(shape, generator=generator) < share).numpy()
    grown = ndimage.binary_dilation(seeds, ndimage.generate_binary_structure(len(shape), len(shape)) * box(shape))
    return torch.from_numpy(grown)


def box(shape):
    """A structuring element that stays in its own sample."""
    inside = torch.zeros((3,) * len(shape), dtype=torch.bool)
    inside[1, 1] = True
    return inside.numpy()


def paper_loop(mask, k_erode, k_dilate, alpha, footprint):
    """The definition, one sample at a time, on SciPy's morphology; the outside neither erodes nor dilates."""
    structure = footprint.bool().numpy()
    softened = []
    for lesion in mask[:, 0].bool().numpy():
        core = lesion
        for _ in range(k_erode):
            smaller = ndimage.binary_erosion(core, structure, border_value=1)
            core = smaller if smaller.any() else core
        s = torch.from_numpy(core).double()
        for i in range(1, k_dilate + 1):
            grown = torch.from_numpy(ndimage.binary_dilation((s > 0).numpy(), structure))
            s = s + (1 - s) * alpha**i * grown
        softened.append(s)
    return torch.stack(softened)[:, None]


@pytest.mark.parametrize(
    ("alpha", "inner"), [(0.8, [0.986, 0.930, 0.806, 0.603, 0.328]), (0.5, [0.702, 0.404, 0.205, 0.092, 0.031])]
)
def test_a_lone_pixel_gets_the_quoted_table(alpha, inner):
    mask = torch.zeros(1, 1, 1, 15)
    mask[..., 7] = 1
    half = [0.0, 0.0, *reversed(inner)]
    expected = torch.tensor([*half, 1.0, *reversed(half)])
    assert torch.allclose(soft_mask(mask, 0, 5, alpha).flatten(), expected, atol=5e-4)  # quoted to three digits


@pytest.mark.parametrize("footprint", ["full", "cross"])
@pytest.mark.parametrize(("k_erode", "k_dilate", "alpha"), [(0, 3, 0.7), (1, 4, 0.5), (2, 1, 0.95), (3, 6, 0.05)])
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_papers_loop(shape, k_erode, k_dilate, alpha, footprint):
    mask = blobs(shape, seed=sum(shape) + k_erode)
    expected = paper_loop(mask, k_erode, k_dilate, alpha, WORDS[footprint, len(shape) - 2])
    found = soft_mask(mask, k_erode, k_dilate, torch.tensor(alpha, dtype=torch.float64), footprint=footprint)
    assert torch.allclose(found, expected, atol=1e-12)
    assert torch.allclose(soft_mask(mask, k_erode, k_dilate, alpha, footprint=footprint).double(), expected, atol=1e-6)


@pytest.mark.parametrize("footprint", ["full", "cross"])
@pytest.mark.parametrize("shape", SHAPES)
def test_both_engines_agree_bit_for_bit(shape, footprint):
    for seed in range(3):
        mask, tensor = blobs(shape, seed), WORDS[footprint, len(shape) - 2]
        for on_small in ("shrink", "skip"):
            rings = soft_mask(mask, 2, 5, 0.7, footprint=footprint, on_small=on_small)
            assert torch.equal(rings, soft_mask(mask, 2, 5, 0.7, footprint=tensor, on_small=on_small))


@pytest.mark.parametrize(
    "footprint",
    [
        torch.ones(5, 5),
        torch.ones(1, 3),
        torch.ones(3, 7),
        torch.tensor([[0, 0, 1], [0, 1, 0], [1, 0, 0]]),
        torch.ones(5, 3, 1),
        torch.from_numpy(ndimage.generate_binary_structure(3, 2)),
    ],
    ids=lambda f: "x".join(map(str, f.shape)),
)
def test_any_symmetric_footprint_follows_the_papers_loop(footprint):
    shape = (2, 1, 25, 23) if footprint.ndim == 2 else (2, 1, 13, 9, 8)
    mask = torch.zeros(shape)
    mask[0, :, 4:9, 3:8] = 1
    mask[1, :, 10:12, 5] = 1
    expected = paper_loop(mask, 1, 3, 0.6, footprint)
    assert torch.allclose(soft_mask(mask, 1, 3, 0.6, footprint=footprint).double(), expected, atol=1e-6)


@pytest.mark.parametrize("profile", ["softcp", "geometric"])
@pytest.mark.parametrize(("footprint", "metric"), [("full", "chessboard"), ("cross", "taxicab")])
def test_is_a_function_of_the_distance_to_the_core(profile, footprint, metric):
    mask, alpha, k = blobs((1, 1, 17, 19), seed=5, share=0.02), 0.7, 6
    distance = torch.from_numpy(ndimage.distance_transform_cdt(~mask[0, 0].numpy(), metric))
    product = {
        d: math.prod(1 - alpha**j for j in range(d, k + 1)) if profile == "softcp" else 1 - alpha**d
        for d in range(1, k + 1)
    }
    expected = torch.zeros(17, 19, dtype=torch.float64)
    for d in range(k + 1):
        expected[distance == d] = 1 - product[d] if d else 1.0
    found = soft_mask(mask, 0, k, torch.tensor(alpha, dtype=torch.float64), footprint=footprint, profile=profile)
    assert torch.allclose(found[0, 0], expected, atol=1e-12)


@pytest.mark.parametrize("spacing", [None, (0.5, 0.75)])
@pytest.mark.parametrize("on_small", ["shrink", "skip"])
@pytest.mark.parametrize("auto", [False, True])
def test_a_value_per_sample_equals_calls_one_by_one(spacing, on_small, auto):
    mask = blobs((5, 1, 14, 15), seed=3, share=0.06)
    k_erode, k_dilate = torch.tensor([0, 1, 2, 3, 1]), torch.tensor([3, 0, 7, 2, 1])
    alpha = torch.tensor([0.5, 0.6, 0.7, 0.8, 0.3])
    together = soft_mask(mask, k_erode, "auto" if auto else k_dilate, alpha, spacing=spacing, on_small=on_small)
    for i in range(5):
        k = "auto" if auto else int(k_dilate[i])
        alone = soft_mask(mask[i : i + 1], int(k_erode[i]), k, float(alpha[i]), spacing=spacing, on_small=on_small)
        assert torch.equal(together[i : i + 1], alone)


def test_one_value_in_a_tensor_serves_all_samples():
    mask = blobs((3, 1, 12, 12), seed=1)
    expected = soft_mask(mask, 1, 4, 0.7)
    for shape in ((), (1,)):
        one = [torch.full(shape, value) for value in (1, 4, 0.7)]
        assert torch.equal(soft_mask(mask, *one), expected)


def test_no_steps_return_the_mask_itself():
    mask = blobs((3, 1, 12, 12), seed=2)
    assert torch.equal(soft_mask(mask, 0, 0, 0.7), mask.float())


@pytest.mark.parametrize("footprint", ["full", "cross", torch.ones(3, 3)])
@pytest.mark.parametrize("spacing", [None, (1.0, 1.0)])
def test_empty_and_full_masks_stay_empty_and_full(footprint, spacing):
    if spacing and footprint != "full":
        pytest.skip("spacing goes with the full footprint")
    mask = torch.stack([torch.zeros(1, 9, 8), torch.ones(1, 9, 8)])
    for on_small in ("shrink", "skip"):
        soft = soft_mask(mask, 3, 5, 0.7, footprint=footprint, spacing=spacing, on_small=on_small)
        assert torch.equal(soft, mask)


def test_image_borders_do_not_erode():
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4, :4] = 1
    eroded = soft_mask(mask, 1, 0, 0.7)
    expected = torch.zeros_like(mask)
    expected[..., :3, :3] = 1
    assert torch.equal(eroded, expected)


def test_a_small_lesion_is_eroded_by_as_many_steps_as_leave_a_core():
    mask = torch.zeros(3, 1, 16, 16)
    mask[0, :, 5, 5] = 1
    mask[1, :, 4:9, 4:9] = 1
    mask[2, :, 3:12, 3:12] = 1
    shrunk = soft_mask(mask, 3, 4, 0.7)
    for i, steps in enumerate((0, 2, 3)):
        assert torch.equal(shrunk[i : i + 1], soft_mask(mask[i : i + 1], steps, 4, 0.7))
    skipped = soft_mask(mask, 3, 4, 0.7, on_small="skip")
    assert not skipped[:2].any()
    assert torch.equal(skipped[2:], shrunk[2:])


@pytest.mark.parametrize("alpha", [0.05, 0.05**0.5, 0.05**0.2, 0.05**0.125, 0.3, 0.5, 0.7, 0.8, 0.9, 0.97])
def test_auto_takes_the_least_steps_that_end_below_a_twentieth(alpha):
    k = auto_k_dilate(alpha)
    assert alpha**k <= 0.05 * (1 + 1e-6)  # a hair above where alpha itself is a rounded root of it
    assert k == 1 or alpha ** (k - 1) > 0.05
    mask = torch.zeros(1, 1, 1, 2 * k + 7)
    mask[..., k + 3] = 1
    assert int((soft_mask(mask, 0, "auto", alpha) > 0).sum()) == 2 * k + 1


def test_thick_slices_are_not_bled_across():
    mask = torch.zeros(1, 1, 5, 21, 21)
    mask[:, :, 2, 10, 10] = 1
    spacing = (5.0, 0.6, 0.6)
    soft = soft_mask(mask, 0, 4, 0.8, spacing=spacing)
    assert soft[0, 0, [0, 1, 3, 4]].eq(0).all()
    assert (soft[0, 0, 2, 10] > 0).sum() == 2 * 6 + 1  # 4 mm are 6 whole pixels of 0.6 mm on either side
    reaching = soft_mask(mask, 0, 5, 0.8, spacing=spacing)[0, 0]
    assert torch.allclose(reaching[[1, 3], 10, 10], torch.tensor(0.8**5))  # ring 5 and no other
    assert (reaching[1] > 0).sum() == 1


@pytest.mark.parametrize("step", [0.1, 0.15, 0.2, 0.3, 0.35, 0.6, 0.7, 0.9, 1.1, 1.4, 2.8])
def test_a_whole_number_of_pixels_reaches_its_millimetre_whatever_the_rounding(step):
    step = float(torch.tensor(step))  # as a file's header holds it: 5 * 0.6 mm may be more than 3 mm
    mask = torch.zeros(1, 1, 1, 121)
    mask[..., 60] = 1
    for k in range(1, 7):
        reach = min(60, int(k / step + 1e-4))
        found = soft_mask(mask, 0, k, 0.7, spacing=(1.0, step))
        assert (found > 0).sum() == 2 * reach + 1
        core = soft_mask(1 - mask, k, 0, 0.7, spacing=(1.0, step), on_small="skip")
        assert (core > 0).sum() == 121 - (2 * reach + 1) * (reach < 60) - 121 * (reach == 60)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.7, 1.3), (3.0, 0.6), (2.5, 1.0, 0.8)])
@pytest.mark.parametrize("k_erode", [0, 1, 2])
def test_rings_in_millimetres_are_round(spacing, k_erode):
    shape = (2, 1, 19, 23) if len(spacing) == 2 else (1, 1, 7, 15, 13)
    mask = blobs(shape, seed=9, share=0.03)
    k, table = 4, soft_mask_table(torch.tensor([0.7]), torch.tensor([4]), 4)[0].float()
    found = soft_mask(mask, k_erode, k, 0.7, spacing=spacing)
    for lesion, soft in zip(mask[:, 0].numpy(), found[:, 0], strict=True):
        depth = ndimage.distance_transform_edt(lesion, sampling=spacing)
        steps = min(k_erode, math.ceil(depth.max() - 1e-4) - 1)
        core = depth > (steps + 1e-4 if steps else 0)
        away = torch.from_numpy(ndimage.distance_transform_edt(~core, sampling=spacing))
        ring = (away - 1e-4).ceil().clamp(0, k + 1).long()
        assert torch.allclose(soft, table[ring], atol=1e-6)


def test_any_memory_layout_gives_the_same():
    mask = blobs((4, 1, 16, 12), seed=4)
    expected = soft_mask(mask, 1, 3, 0.7)
    layouts = {
        "channels_last": mask.to(memory_format=torch.channels_last),
        "transposed": mask.transpose(2, 3).contiguous().transpose(2, 3),
        "strided": mask.repeat_interleave(2, 3)[..., ::2],
    }
    for layout in layouts.values():
        assert torch.equal(soft_mask(layout, 1, 3, 0.7), expected)
    expanded = mask[:1].expand(4, -1, -1, -1)
    assert torch.equal(soft_mask(expanded, 1, 3, 0.7), expected[:1].expand(4, -1, -1, -1))


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float64])
def test_the_masks_dtype_does_not_matter(dtype):
    mask = blobs((2, 1, 12, 12), seed=6)
    soft = soft_mask(mask.to(dtype), 1, 3, 0.7)
    assert soft.dtype == torch.float32
    assert torch.equal(soft, soft_mask(mask, 1, 3, 0.7))


def test_a_float64_alpha_gives_a_float64_soft_mask():
    mask, alpha = blobs((2, 1, 12, 12), seed=6), torch.tensor([0.7, 0.6], dtype=torch.float64)
    soft = soft_mask(mask, 1, 3, alpha)
    assert soft.dtype == torch.float64
    outermost = soft[soft > 0].min()
    assert math.isclose(outermost, 0.6**3, rel_tol=1e-14)


@pytest.mark.parametrize("k", [253, 254, 255, 300])
@pytest.mark.parametrize("footprint", ["full", torch.ones(1, 3)])
def test_more_rings_than_a_byte_can_count(k, footprint):
    mask = torch.zeros(1, 1, 1, k + 5)
    mask[..., 0] = 1
    soft = soft_mask(mask, 0, k, 0.99, footprint=footprint).flatten()
    table = soft_mask_table(torch.tensor([0.99]), torch.tensor([k]), k)[0].float()
    assert torch.equal(soft[: k + 2], table)
    assert not soft[k + 1 :].any()


def test_the_mask_is_left_alone():
    mask = blobs((2, 1, 12, 12), seed=7).float()
    before = mask.clone()
    soft = soft_mask(mask, 0, 0, 0.7)
    soft += 1
    assert torch.equal(mask, before)


def test_an_empty_batch_gives_an_empty_batch():
    for shape in ((0, 1, 8, 8), (0, 1, 4, 8, 8)):
        for k in (2, torch.zeros(0, dtype=torch.int64)):
            assert soft_mask(torch.zeros(shape), k, k, 0.7).shape == shape


@pytest.mark.parametrize("make", [SoftCP, SoftMask, lambda alpha: soft_mask(torch.zeros(1, 1, 3, 3), 0, "auto", alpha)])
def test_auto_has_a_ceiling(make):
    """A rim of 0.9999 to the power of k would fade after 30,000 steps."""
    make(alpha=0.997)
    with pytest.raises(ValueError, match=r"alpha: expected one whose rim fades within 1000 steps .* 0\.9999"):
        make(alpha=0.9999)
