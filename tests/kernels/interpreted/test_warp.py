"""Resampling, gamma and noise in one pass, against one after the other."""

import pytest
import torch
from torch import library

from softcp_gpu import kernels
from softcp_gpu.functional import about, compose, rigid_matrix, translation, value_range, warp
from softcp_gpu.functional.fused_warp import warp_and_transform, warps
from softcp_gpu.functional.geometry import inverse
from softcp_gpu.functional.intensity import apply_intensity
from softcp_gpu.functional.windows import window_index
from softcp_gpu.kernels import warp_operators
from softcp_gpu.types import IntensityParams

# source, frame, window, its first pixel
CASES = {
    "2-D, whole": ((17, 14), (17, 14), (17, 14), (0, 0)),
    "2-D, a window": ((9, 14), (15, 13), (8, 6), (5, 7)),
    "3-D, a window": ((6, 7, 5), (8, 9, 7), (6, 5, 4), (1, 2, 3)),
    "one line": ((1, 9), (1, 20), (1, 20), (0, 0)),
}
DRAWS = {  # gamma, sigma, blur of each slot, per sample
    "nothing": [[(1, 0, 0)] * 2] * 3,
    "gamma and noise": [[(0.6, 0, 0), (1, 0.1, 0)], [(1, 0.2, 0), (1.7, 0, 0)], [(1.4, 0.1, 0), (0.8, 0.05, 0)]],
    "blur too": [[(1, 0, 0.8), (1.5, 0, 0)], [(1, 0.1, 0), (1, 0, 0.5)], [(0.7, 0, 0), (1, 0.1, 0)]],
}


def case(name, draws, dtype):
    source, frame, window, first = CASES[name]
    axes, generator = len(source), torch.Generator().manual_seed(3)
    image = torch.randn(3, 2, *source, generator=generator, dtype=torch.float64).to(dtype)
    image[0, 1] = 5  # a channel without a range
    turns = 90 * torch.rand(3, 1 if axes == 2 else 3, generator=generator, dtype=torch.float64)
    scale = torch.tensor([0.8, 1.3, 1.0], dtype=torch.float64)
    flip, shift = torch.ones(3, axes, dtype=torch.float64), torch.zeros(3, axes, dtype=torch.float64)
    center = torch.tensor(source, dtype=torch.float64).expand(3, -1) / 2 - 0.5
    matrix = about(center, rigid_matrix(flip, turns, scale, shift))
    matrix = compose(matrix, translation(torch.rand(3, axes, generator=generator, dtype=torch.float64) * 4))
    params = IntensityParams(*torch.tensor(DRAWS[draws], dtype=torch.float64).unbind(-1))
    radius = 3 if draws == "blur too" else 0
    origin = torch.tensor(first).expand(3, -1)
    return image.requires_grad_(), matrix, origin, window, frame, params, radius, torch.tensor([5, 6, 7])


def plain(image, matrix, origin, window, frame, params, radius, seed):
    warped = warp(image, matrix, "linear", origin=origin, size=window)
    index, _ = window_index(origin, window, frame)
    return apply_intensity(warped, params, value_range(image), radius, seed, 1000, index)


def fused(image, matrix, origin, window, frame, params, radius, seed):
    with kernels.use("on"):
        assert warps(image, matrix, params)
        return warp_and_transform(
            image, inverse(image, matrix), origin, window, frame, params, value_range(image), radius, seed, 1000
        )


# Of coordinates, weights, powers and cosines: some units in the last place; a coordinate is as coarse as the frame is
# long, and what gamma makes steeper is too.
@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 2e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("draws", DRAWS)
@pytest.mark.parametrize("name", CASES)
def test_one_pass_is_one_after_the_other(name, draws, dtype, close):
    given = case(name, draws, dtype)
    expected, found = plain(*given), fused(*given)
    assert found.dtype == dtype
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= close * (expected.max() - expected.min() + 1)
    weight = torch.linspace(-1, 1, found.numel(), dtype=dtype).view(found.shape)
    a, b = (torch.autograd.grad((x * weight).sum(), given[0])[0] for x in (found, expected))
    # A power's slope near the least value is large.
    assert (a - b).abs().max() <= 50 * close * b.abs().max()


def test_a_gradient_to_the_draws_runs_on_the_plain_path():
    image, matrix, *_, params, _, _ = case("2-D, whole", "gamma and noise", torch.float32)
    with kernels.use("on"):
        assert warps(image, matrix, params)
        assert not warps(image, matrix.requires_grad_(), params)
        with torch.no_grad():
            assert warps(image, matrix, params)
        assert not warps(image, matrix.detach(), params._replace(gamma=params.gamma.clone().requires_grad_()))


def test_the_operator_keeps_torchs_rules():
    generator = torch.Generator().manual_seed(0)
    source = torch.randn(2, 1, 4, 5, generator=generator, dtype=torch.float64).requires_grad_()
    bounds = torch.tensor([[[-9.0, 9.0]]], dtype=torch.float64).repeat(2, 1, 1).requires_grad_()
    affine = torch.randn(2, 2, 3, generator=generator, dtype=torch.float64) / 5
    gamma, sigma = (torch.full((2, 1), value, dtype=torch.float64) for value in (1.5, 0.1))
    origin, seed = torch.zeros(2, 2, dtype=torch.int64), torch.tensor([1, 2])
    given = (source, affine, origin, [3, 4], [3, 4], bounds, gamma, sigma, seed, 5, None)
    library.opcheck(warp_operators._warp_intensity, given)

    def run(x, limits):
        return warp_operators.warp_intensity(x, affine, origin, (3, 4), (3, 4), limits, gamma, sigma, seed, 5)

    assert torch.autograd.gradcheck(run, (source, bounds), fast_mode=True)
