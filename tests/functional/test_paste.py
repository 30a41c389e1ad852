import pytest
import torch

from softcp_gpu.functional import hard_union, match_rim, soft_copy, soft_paste


def random(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def soft(*shape, seed=0):
    """Weights with exact zeros and exact ones among them."""
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 3 - 1).clamp(0, 1)


@pytest.mark.parametrize("shape", [(2, 3, 6, 5), (2, 2, 4, 3, 5)])
def test_blends_by_equation_1(shape):
    image, source, s = random(*shape), random(*shape, seed=1) * 100, soft(shape[0], 1, *shape[2:])
    assert torch.allclose(soft_paste(image, source, s), s * source + (1 - s) * image)
    assert torch.equal(soft_copy(source, s), s * source)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("rubbish", [float("nan"), float("inf"), -float("inf")])
def test_where_s_is_0_the_image_is_bit_identical_whatever_the_source_holds(dtype, rubbish):
    image, s = random(2, 3, 6, 5, dtype=dtype) * 1000, soft(2, 1, 6, 5)
    image[0, 0, 0] = -0.0
    source = torch.where(s > 0, random(2, 3, 6, 5, seed=1), rubbish).to(dtype)
    pasted = soft_paste(image, source, s)
    assert pasted.dtype == dtype
    assert pasted.isfinite().all()
    nowhere = (s == 0).expand_as(image)
    assert torch.equal(pasted[nowhere].view(torch.uint8), image[nowhere].view(torch.uint8))


def test_where_s_is_1_the_source_arrives_bit_identical():
    image, source, s = random(2, 3, 6, 5) * 1e4, random(2, 3, 6, 5, seed=1), soft(2, 1, 6, 5)
    whole = (s == 1).expand_as(image)
    assert whole.any()
    assert torch.equal(soft_paste(image, source, s)[whole], source[whole])


def test_intensities_are_neither_clamped_nor_rescaled():
    image, source = torch.full((1, 1, 2, 2), -1024.0), torch.full((1, 1, 2, 2), 3071.0)
    assert soft_paste(image, source, torch.ones(1, 1, 2, 2)).unique().tolist() == [3071.0]


def test_the_pasted_lesion_covers_with_its_own_class_id():
    mask = torch.tensor([[[[0, 1, 2, 3]]]])
    labels = torch.tensor([[[[2, 5, 1, 4]]]])
    lesion = torch.tensor([[[[True, True, True, False]]]])
    assert hard_union(mask, labels, lesion).flatten().tolist() == [2, 5, 1, 3]


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int16, torch.int64, torch.float32, torch.float16])
def test_a_binary_union_is_a_logical_or_in_the_masks_dtype(dtype):
    mask, lesion = random(2, 1, 6, 5) > 0, random(2, 1, 6, 5, seed=1) > 0
    union = hard_union(mask.to(dtype), lesion.float(), lesion)
    assert union.dtype == dtype
    assert torch.equal(union != 0, mask | lesion)
    assert set(union.float().unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("empty", [True, False])
def test_results_share_no_memory_with_the_inputs(empty):
    image, source = random(1, 1, 4, 4), random(1, 1, 4, 4, seed=1)
    flag = torch.full((1, 1, 4, 4), not empty)
    mask = torch.zeros(1, 1, 4, 4)
    results = [
        soft_paste(image, source, flag.float()),
        soft_copy(source, flag.float()),
        hard_union(mask, flag.float(), flag),
        match_rim(source, image, flag),
    ]
    inputs = [image, source, flag, mask]
    before = [x.clone() for x in inputs]
    for result in results:
        result.add_(1)
    assert all(torch.equal(x, y) for x, y in zip(inputs, before, strict=True))


@pytest.mark.parametrize("shape", [(3, 2, 8, 7), (2, 2, 4, 5, 6)])
def test_matching_makes_the_means_over_the_rim_agree_in_every_channel(shape):
    image, source = random(*shape) * 20 + 100, random(*shape, seed=1) - 40
    rim = random(shape[0], 1, *shape[2:], seed=2) > 0.5
    matched = match_rim(source, image, rim)
    for i in range(shape[0]):
        for c in range(shape[1]):
            at = rim[i, 0]
            assert torch.isclose(matched[i, c][at].mean(), image[i, c][at].mean(), rtol=1e-5)
            assert torch.allclose(matched[i, c] - source[i, c], (matched - source)[i, c].mean(), atol=1e-4)


def test_matching_without_a_rim_changes_nothing():
    image, source = random(2, 2, 5, 5), random(2, 2, 5, 5, seed=1)
    rim = torch.zeros(2, 1, 5, 5, dtype=torch.bool)
    rim[0, 0, 2] = True
    matched = match_rim(source, image, rim)
    assert torch.equal(matched[1], source[1])
    assert not torch.equal(matched[0], source[0])
