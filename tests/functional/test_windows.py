import itertools

import pytest
import torch
from torch.nn.functional import pad as pad_with

from softcp_gpu.functional.windows import bounding_box, put_window, surrounding_window, take_window, window_index

FRAMES = [(7, 5), (1, 6), (4, 3, 5)]


def masks(shape, count=12):
    generator = torch.Generator().manual_seed(sum(shape))
    share = torch.rand(count, generator=generator).view(-1, 1, *(1,) * len(shape)) ** 3
    mask = torch.rand((count, 1, *shape), generator=generator) < share
    mask[0] = False
    mask[1] = True
    return mask


@pytest.mark.parametrize("shape", FRAMES)
def test_the_box_is_the_smallest_that_holds_all_true_pixels(shape):
    for mask, start, size, filled in zip(masks(shape), *bounding_box(masks(shape)), strict=True):
        at = mask[0].nonzero()
        assert bool(filled) == bool(len(at))
        if filled:
            assert start.tolist() == at.amin(0).tolist()
            assert (start + size - 1).tolist() == at.amax(0).tolist()
        else:
            assert (start.tolist(), size.tolist()) == ([0] * len(shape), [0] * len(shape))


@pytest.mark.parametrize("shape", FRAMES)
def test_a_window_shows_what_lies_there_and_nothing_beyond_the_frame(shape):
    x = torch.arange(1.0, 1 + 2 * torch.Size(shape).numel()).view(1, 2, *shape)
    size = tuple(length + 1 for length in shape)
    origin = torch.tensor(list(itertools.product(*(range(-length - 2, length + 2) for length in shape))))
    many = x.expand(len(origin), *x.shape[1:])
    zeros, border = take_window(many, origin, size), take_window(many, origin, size, outside="border")
    index, inside = window_index(origin, size, shape)
    reach = [2 * length + 4 for length in shape]
    pad = [r for length in reversed(reach) for r in (length, length)]
    far, repeated = pad_with(x, pad, "constant"), pad_with(x, pad, "replicate")
    for i, first in enumerate(origin.tolist()):
        at = (0, slice(None), *(slice(f + r, f + r + s) for f, r, s in zip(first, reach, size, strict=True)))
        assert torch.equal(zeros[i], far[at])
        assert torch.equal(border[i], repeated[at])
        assert torch.equal(inside[i], far[at][0] > 0)
        assert torch.equal(index[i], repeated[at][0].long() - 1)


@pytest.mark.parametrize("shape", FRAMES)
def test_a_window_that_is_put_back_replaces_its_pixels_only(shape):
    x = torch.randn(3, 2, *shape, generator=torch.Generator().manual_seed(0))
    before, size = x.clone(), tuple(max(1, length - 2) for length in shape)
    origin = torch.tensor([[min(i, f - s) for f, s in zip(shape, size, strict=True)] for i in range(3)])
    assert torch.equal(put_window(x, take_window(x, origin, size), origin), x)
    marked = put_window(x, torch.full((3, 2, *size), 9.0), origin)
    index, _ = window_index(origin, size, shape)
    for i in range(3):
        inside = torch.zeros(torch.Size(shape).numel(), dtype=torch.bool)
        inside[index[i].flatten()] = True
        assert marked[i].flatten(1)[:, inside].eq(9).all()
        assert torch.equal(marked[i].flatten(1)[:, ~inside], x[i].flatten(1)[:, ~inside])
    assert torch.equal(x, before)


@pytest.mark.parametrize("shape", FRAMES)
@pytest.mark.parametrize("margin", [0, 1, 9])
def test_a_surrounding_window_holds_each_box_and_its_margin_as_far_as_the_frame_goes(shape, margin):
    start, extent, _ = bounding_box(masks(shape))
    origin, size = surrounding_window(start, extent, torch.full((len(shape),), margin), shape)
    end, frame = origin + torch.tensor(size), torch.tensor(shape)
    assert (origin >= 0).all()
    assert (end <= frame).all()
    assert (origin <= (start - margin).clamp(min=0)).all()
    assert (end >= torch.minimum(start + extent + margin, frame)).all()
