import torch
from scipy import stats

from softcp_gpu.functional.counter_rng import hash64, normal_field, uniform
from softcp_gpu.sampling import sample_seed, sample_seeds

LIKELY = 1e-4  # p-values of fixed draws: a healthy generator fails one test in ten thousand, once


def field(seeds, stream=0, count=20_000, channels=1):
    seeds = torch.as_tensor(seeds)
    return normal_field(seeds, stream, torch.arange(count).expand(len(seeds), -1), channels, torch.float64)


def correlation(a, b):
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])


def test_hash_is_splitmix64():
    known = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]  # the published sequence of seed 0
    found = hash64(torch.tensor(0), torch.arange(3)).tolist()
    assert [value % 2**64 for value in found] == known


def test_one_seed_of_a_run_is_that_of_many():
    for seed in (0, 7, -1, 2**63, 2**64 - 1, -(2**70)):
        assert [sample_seed(seed, i) for i in (0, 1, 5, 2**40)] == sample_seeds(seed, [0, 1, 5, 2**40]).tolist()


def test_uniform_numbers_are_uniform_and_below_one():
    u = uniform(torch.arange(200), stream=3, count=100).flatten()
    assert u.dtype == torch.float64
    assert 0 <= u.min() < 1e-3
    assert 1 - 1e-3 < u.max() < 1
    assert stats.kstest(u.numpy(), "uniform").pvalue > LIKELY


def test_uniform_numbers_fill_more_than_24_bits():
    fine = uniform(torch.arange(50), 0, 50).flatten() * 2**24
    assert (fine != fine.floor()).all()


def test_more_numbers_begin_with_the_same_ones():
    seeds = torch.tensor([-(2**63), -1, 0, 1, 2**63 - 1])
    assert torch.equal(uniform(seeds, 5, 9)[:, :4], uniform(seeds, 5, 4))
    assert torch.equal(uniform(seeds, 5, 9)[2:3], uniform(seeds[2:3], 5, 9))


def test_neighbouring_seeds_streams_and_counters_are_independent():
    u = torch.stack([uniform(torch.arange(500), stream, 20) for stream in range(3)])
    bound = 5 / 9000**0.5  # five standard deviations of the correlation of so many pairs
    assert abs(correlation(u[:, 1:], u[:, :-1])) < bound
    assert abs(correlation(u[1:], u[:-1])) < bound
    assert abs(correlation(u[..., 1:], u[..., :-1])) < bound
    assert u.unique().numel() == u.numel()  # no shifted copies of one sequence


def test_a_noise_field_is_standard_normal():
    x = field([7], count=200_000).flatten()
    assert abs(x.mean()) < 5 / 200_000**0.5
    assert abs(x.std() - 1) < 5 / (2 * 200_000) ** 0.5
    assert stats.kstest(x.numpy(), "norm").pvalue > LIKELY
    assert 3.5 < x.abs().max() < 5


def test_noise_fields_of_seeds_streams_channels_and_pixels_are_independent():
    x = torch.stack([field([0, 1, 2, 3], stream, channels=3) for stream in (0, 1, 1000)])
    bound = 5 / (2 * 4 * 3 * 20_000) ** 0.5
    assert abs(correlation(x[1:], x[:-1])) < bound
    assert abs(correlation(x[:, 1:], x[:, :-1])) < bound
    assert abs(correlation(x[:, :, 1:], x[:, :, :-1])) < bound
    for step in (1, 2, 64, 256, 4096):
        assert abs(correlation(x[..., step:], x[..., :-step])) < bound


def test_the_squares_of_neighbouring_fields_are_independent_too():
    x = field([0, 1, 2, 3], channels=2) ** 2
    assert abs(correlation(x[1:], x[:-1])) < 5 / 120_000**0.5
    assert abs(correlation(x[:, 1:], x[:, :-1])) < 5 / 80_000**0.5
    assert abs(correlation(x[..., 1:], x[..., :-1])) < 5 / 160_000**0.5


def test_part_of_a_field_equals_that_part_of_the_whole():
    index = torch.arange(30 * 40).view(1, 30, 40)
    seed = torch.tensor([42])
    whole = normal_field(seed, 1, index, 2, torch.float32)
    part = normal_field(seed, 1, index[:, 3:9, 11:40], 2, torch.float32)
    assert torch.equal(part, whole[..., 3:9, 11:40])


def test_a_field_is_finite_and_normal_in_every_floating_dtype():
    index = torch.arange(200_000).view(1, -1)
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        x = normal_field(torch.tensor([1]), 0, index, 1, dtype)
        assert x.dtype == dtype
        assert x.isfinite().all()
        assert abs(x.double().std() - 1) < 0.01


def test_sample_seeds_are_a_pure_function_of_run_and_number():
    together = sample_seeds(7, torch.arange(100_000))
    assert together.unique().numel() == 100_000
    assert torch.equal(together[[5, 99_999]], sample_seeds(7, [5, 99_999]))
    assert not torch.isin(sample_seeds(8, torch.arange(100_000)), together).any()


def test_any_int_is_a_seed_of_a_run():
    for seed in (-1, 0, 2**63, 2**64 - 1, 2**64 + 5, -(2**70)):
        assert torch.equal(sample_seeds(seed, [3]), sample_seeds(seed % 2**64, [3]))
