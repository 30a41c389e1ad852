"""The region of CarveMix against SciPy's exact distance transform."""

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt as distance

from softcp_gpu.functional import carve
from softcp_gpu.functional.carve import _signed_distance, most_depth_px
from tests.accelerator import DEVICE, accelerator

SHAPES = [(37, 53), (12, 26, 19)]
DRAWS = (0.013, 0.21, 0.499, 0.5, 0.713, 0.999)  # no distance between pixels is met exactly


def lesions(shape):
    """In the middle, over a corner, a point, single pixels."""
    length, grid = np.array(shape), np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    ball = (((grid - length / 2) / (0.23 * length)) ** 2).sum(-1) < 1
    corner = ((grid / (0.4 * length)) ** 2).sum(-1) < 1
    return [ball, corner, (grid == length // 3).all(-1), np.random.default_rng(1).random(shape) < 0.1]


def by_definition(lesion, u, mm):
    inside, outside = distance(lesion, mm), distance(~lesion, mm)
    depth = inside.max()
    reach = (u - 0.5) * depth if u < 0.5 else (2 * u - 1) * depth
    return np.where(lesion, -inside, outside) <= reach


@pytest.mark.parametrize("mm", [None, (2.5, 0.7, 0.9)])
@pytest.mark.parametrize("shape", SHAPES)
def test_is_what_the_definition_gives(shape, mm):
    masks, spacing = lesions(shape), None if mm is None else mm[-len(shape) :]
    stack = torch.from_numpy(np.stack(masks))[:, None]
    sizes = None if spacing is None else torch.tensor(spacing, dtype=torch.float64).expand(len(masks), -1)
    for u in DRAWS:
        found = carve(stack, torch.full((len(masks),), u), sizes)
        for mask, region in zip(masks, found[:, 0].numpy(), strict=True):
            assert np.array_equal(region, by_definition(mask, u, spacing or (1.0,) * len(shape)))


def test_half_of_the_draws_shrink_and_half_grow_and_something_is_always_left():
    stack = torch.from_numpy(np.stack(lesions(SHAPES[0])))[:, None]
    area = stack.flatten(1).sum(1)
    for u in DRAWS:
        found = carve(stack, torch.full((len(stack),), u))
        assert found.flatten(1).any(1).all()
        assert not (found & ~stack).any() if u < 0.5 else not (~found & stack).any()
    assert carve(stack, torch.zeros(len(stack)))[:2].flatten(1).sum(1).lt(area[:2] / 2).all()
    assert carve(stack, torch.full((len(stack),), 0.999))[:2].flatten(1).sum(1).gt(2 * area[:2]).all()


@pytest.mark.parametrize("u", DRAWS)
def test_a_lesion_that_fills_the_frame_stays_whole_and_none_stays_none(u):
    stack = torch.stack([torch.ones(1, 6, 7), torch.zeros(1, 6, 7)]) > 0
    assert torch.equal(carve(stack, torch.full((2,), u)), stack)


def test_no_lesion_is_deeper_than_its_box_tells():
    """Boxes anywhere in the frame and partly beyond it, pixels of any size."""
    rng = np.random.default_rng(2)
    for _ in range(200):
        shape, mm = tuple(rng.integers(3, 12, 2)), rng.uniform(0.5, 3, 2)
        origin, size = rng.integers(-4, 10, 2), rng.integers(1, 14, 2)
        lesion = np.zeros(shape, bool)
        lesion[tuple(slice(max(a, 0), max(a + b, 0)) for a, b in zip(origin, size, strict=True))] = True
        if not lesion.any() or lesion.all():
            continue
        tensors = torch.from_numpy(origin)[None], torch.from_numpy(size)[None], shape, torch.from_numpy(mm)[None]
        assert (np.array(most_depth_px(*tensors)) * mm >= distance(lesion, mm).max() - 1e-9).all()


@pytest.mark.parametrize("mm", [None, (2.5, 0.7)])
def test_nothing_waits_for_an_accelerator(mm):
    """The operator's body, as the accelerator that is pretended does not see into operators."""
    lesion = torch.from_numpy(np.stack(lesions(SHAPES[0])))[:, None]
    sizes = None if mm is None else torch.tensor(mm, dtype=torch.float64).expand(len(lesion), -1)
    body = _signed_distance._init_fn
    with accelerator() as device:
        far = lesion.to(DEVICE), None if sizes is None else sizes.to(DEVICE)
        device.waits = 0
        found = body(*far)
        assert device.waits == 0
        assert torch.equal(found.cpu(), body(lesion, sizes))
