import numpy as np
import pytest
import torch
from scipy import ndimage

from softcp_gpu.functional import gamma, gaussian_blur, gaussian_noise, value_range

UNITS = [(1.0, 0.0), (2000.0, -1024.0), (65535.0, 0.0), (1e-3, 5e-4), (3.0, -1.5)]  # HU, 16 bit, tiny, z-scores


def image_of(*shape, seed=0, dtype=torch.float32):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def index_of(image):
    shape = image.shape[2:]
    return torch.arange(shape.numel()).view(1, *shape).expand(image.shape[0], *shape)


def noisy(image, sigma, seeds=None, stream=0, index=None, bounds=None):
    seeds = torch.arange(image.shape[0]) if seeds is None else torch.as_tensor(seeds)
    index = index_of(image) if index is None else index
    return gaussian_noise(image, torch.as_tensor(sigma), *(bounds or value_range(image)), seeds, stream, index)


OPS = {
    "gamma": lambda x: gamma(x, torch.tensor([0.5, 2.0]), *value_range(x)),
    "noise": lambda x: noisy(x, [0.05, 0.2]),
    "blur": lambda x: gaussian_blur(x, torch.tensor([0.7, 1.5]), 5),
}


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize(("factor", "offset"), UNITS)
@pytest.mark.parametrize("shape", [(2, 3, 9, 8), (2, 2, 4, 6, 5)])
def test_a_change_of_unit_commutes(op, factor, offset, shape):
    x = image_of(*shape)
    scaled = (OPS[op](x * factor + offset) - offset) / factor
    # float32 keeps 1e-7 of the larger of offset and factor
    assert torch.allclose(scaled, OPS[op](x), atol=2e-6 * (1 + abs(offset) / factor))


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("shape", [(2, 3, 9, 8), (2, 2, 4, 6, 5)])
def test_inputs_are_left_alone_and_dtypes_kept(op, shape):
    for dtype in (torch.float32, torch.float64):
        x = image_of(*shape, dtype=dtype)
        before = x.clone()
        assert OPS[op](x).dtype == dtype
        assert OPS[op](x).shape == x.shape
        assert torch.equal(x, before)


@pytest.mark.parametrize("g", [0.02, 0.1, 0.5, 1.0, 3.0, 50.0])
def test_gamma_keeps_both_ends_of_the_range(g):
    x = torch.tensor([-1024.0, 0.0, 3071.0]).view(1, 1, 1, 3)
    found = gamma(x, torch.tensor([g]), *value_range(x)).flatten()
    expected = -1024 + 4095 * torch.tensor([0.0, (1024 / 4095) ** g, 1.0])
    assert torch.allclose(found, expected, atol=1e-2)


def test_gamma_acts_on_each_channel_in_its_own_range():
    x = image_of(2, 3, 6, 6) * torch.tensor([1.0, 100.0, 0.01]).view(1, 3, 1, 1)
    together = gamma(x, torch.tensor([0.4, 1.8]), *value_range(x))
    for c in range(3):
        alone = x[:, c : c + 1]
        assert torch.equal(together[:, c : c + 1], gamma(alone, torch.tensor([0.4, 1.8]), *value_range(alone)))


def test_gamma_leaves_alone_what_has_no_range_or_lies_outside():
    x = torch.tensor([[5.0, 5.0, 5.0], [-1.0, 0.5, 2.0]]).view(1, 2, 1, 3)
    low, high = torch.tensor([5.0, 0.0]).view(1, 2, 1, 1), torch.tensor([5.0, 1.0]).view(1, 2, 1, 1)
    found = gamma(x, torch.tensor([2.0]), low, high)
    assert found.flatten().tolist() == [5, 5, 5, -1, 0.25, 2]


@pytest.mark.parametrize("shape", [(2, 2, 11, 13), (1, 1, 1, 9), (2, 1, 3, 2), (1, 1, 1, 1), (1, 2, 2, 7, 3)])
@pytest.mark.parametrize("radius", [1, 4, 10])
def test_blur_is_scipys_with_mirrored_borders_also_where_the_axis_is_shorter_than_the_kernel(shape, radius):
    x, sigma = image_of(*shape, dtype=torch.float64), torch.tensor([0.8, 2.5])[: shape[0]].double()
    found = gaussian_blur(x, sigma, radius)
    for i, s in enumerate(sigma.tolist()):
        for c in range(shape[1]):
            expected = ndimage.gaussian_filter(x[i, c].numpy(), s, mode="mirror", radius=radius)
            assert np.allclose(found[i, c].numpy(), expected, atol=1e-12)


def test_blur_keeps_a_constant():
    x = torch.full((2, 1, 5, 4), 3071.0)
    assert torch.allclose(gaussian_blur(x, torch.tensor([0.5, 3.0]), 12), x, rtol=1e-6)


def test_a_tiny_blur_is_none_at_all():
    x = image_of(1, 2, 6, 7)
    assert torch.equal(gaussian_blur(x, torch.tensor([1e-3]), 4), x)


@pytest.mark.parametrize("op", OPS)
def test_a_batch_gives_what_its_samples_give(op):
    x = image_of(2, 3, 12, 10)
    together = OPS[op](x)
    single = {
        "gamma": lambda i: gamma(x[i : i + 1], torch.tensor([[0.5], [2.0]][i]), *value_range(x[i : i + 1])),
        "noise": lambda i: noisy(x[i : i + 1], [[0.05], [0.2]][i], seeds=[i]),
        "blur": lambda i: gaussian_blur(x[i : i + 1], torch.tensor([[0.7], [1.5]][i]), 5),
    }[op]
    for i in range(2):
        assert torch.allclose(together[i : i + 1], single(i), atol=1e-6)


def test_noise_has_the_asked_share_of_each_channels_range():
    x = image_of(2, 2, 150, 150) * torch.tensor([1.0, 4000.0]).view(1, 2, 1, 1) - 1000
    added = noisy(x, [0.02, 0.3]) - x
    low, high = value_range(x)
    share = (added / (high - low)).flatten(2)
    expected = torch.tensor([0.02, 0.3])[:, None].expand(2, 2)
    n = 150 * 150
    assert torch.allclose(share.std(2), expected, rtol=5 / (2 * n) ** 0.5)
    assert (share.mean(2).abs() < 5 * expected / n**0.5).all()


def test_noise_differs_between_samples_channels_streams_and_seeds():
    x = torch.zeros(1, 3, 40, 40)
    bounds = (torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1))
    fields = [noisy(x, [1.0], [seed], stream, bounds=bounds)[0] for seed in (5, 6) for stream in (0, 1)]
    correlation = torch.corrcoef(torch.cat(fields).flatten(1))
    off = correlation - torch.eye(12)
    assert off.abs().max() < 6 / 1600**0.5


def test_noise_in_a_window_is_that_part_of_the_noise_of_the_frame():
    x = image_of(2, 2, 20, 17)
    bounds, at = value_range(x), (slice(None), slice(None), slice(3, 9), slice(4, 17))
    whole = noisy(x, [0.1, 0.2])
    part = noisy(x[at].contiguous(), [0.1, 0.2], index=index_of(x)[:, 3:9, 4:17], bounds=bounds)
    assert torch.equal(part, whole[at])


def test_no_noise_and_gamma_1_change_nothing():
    x = image_of(2, 2, 6, 6)
    assert torch.equal(noisy(x, [0.0, 0.0]), x)
    assert torch.allclose(gamma(x, torch.ones(2), *value_range(x)), x, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_finite_and_near(dtype):
    x = image_of(2, 3, 20, 20).to(dtype)
    for op in OPS.values():
        found = op(x)
        assert found.dtype == dtype
        # An op in half precision rounds a handful of times, by one part in 2**8 (bfloat16) or 2**11.
        assert (found.float() - op(x.float())).abs().max() < 8 * torch.finfo(dtype).eps


def test_the_value_range_is_that_of_each_channel():
    x = image_of(2, 3, 4, 5, 6)
    low, high = value_range(x)
    assert low.shape == high.shape == (2, 3, 1, 1, 1)
    assert torch.equal(low.flatten(), x.flatten(2).amin(2).flatten())
    assert torch.equal(high.flatten(), x.flatten(2).amax(2).flatten())
