"""What is sampled line by line is what `warp` samples pixel by pixel."""

import math

import pytest
import torch

from softcp_gpu.functional import crop_matrix, lines, translation, warp
from softcp_gpu.functional.geometry import crop_lines

SHAPES = pytest.mark.parametrize("shape", [(7, 9), (5, 6, 7)], ids=["2-D", "3-D"])


def matrices(shape):
    """Two of each: crops, shifts out of the frame, and frames shrunk within themselves."""
    generator = torch.Generator().manual_seed(len(shape))
    size, start = (torch.rand(2, len(shape), dtype=torch.float64, generator=generator) for _ in range(2))
    size = size * 0.6 + 0.4
    return crop_matrix(size, start, shape), translation(start * 9 - 4), crop_matrix(1 / size, start, shape)


def by_lines(x, matrix, linear):
    along = crop_lines(x, matrix, linear)
    sample = lines.sample_nearest if linear is None else lines.sample_linear
    return torch.cat([sample(x[i : i + 1], [line[i : i + 1] for line in along]) for i in range(len(x))])


@SHAPES
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.uint16, torch.int64, torch.float32])
def test_labels(shape, dtype):
    x = torch.arange(2 * math.prod(shape)).remainder(251).view(2, 1, *shape).to(dtype)
    for matrix in matrices(shape):
        assert torch.equal(by_lines(x, matrix, None), warp(x, matrix, "nearest"))


@SHAPES
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_images_and_their_gradients(shape, dtype, tolerance):
    """In the same coordinates; what is left is how the sum of neighbours rounds, in the unit of their differences."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, *shape, dtype=dtype, generator=generator, requires_grad=True)
    for matrix in matrices(shape):
        found, expected = by_lines(x, matrix, dtype), warp(x, matrix)
        torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)
        weight = torch.rand(found.shape, dtype=dtype, generator=generator)
        torch.testing.assert_close(
            *(torch.autograd.grad((y * weight).sum(), x)[0] for y in (found, expected)), rtol=0, atol=50 * tolerance
        )
