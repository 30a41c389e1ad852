"""Boxes, windows and places by kernels, against plain torch: the same integers."""

import pytest
import torch

from softcp_gpu import SoftCP, kernels, phantoms
from softcp_gpu.functional import fused_places
from softcp_gpu.functional.lesion import Lesion
from softcp_gpu.functional.overlap import overlaps_at, within_bounds
from softcp_gpu.functional.search import find_origin
from softcp_gpu.functional.windows import bounding_box, count_pixels, take_window
from softcp_gpu.kernels import lesion_operators, place_operators
from softcp_gpu.sampling import sample_seeds

SHAPES = [(9, 70), (4, 5, 33)]
BOUNDS = [(0.5, 0, 1.0), (0.3, 0.2, 0.4), (3, 1000, 1), (0.9, 2, 1.0), (1.0, 0, 1.0)]


def flags(shape, share, seed, count=4):
    return torch.rand((count, 1, *shape), generator=torch.Generator().manual_seed(seed)) < share


@pytest.mark.parametrize("shape", SHAPES)
def test_boxes(shape):
    mask = flags(shape, 0.02, 0)
    mask[1] = False
    start, extent, filled = bounding_box(mask)
    found = lesion_operators.box(mask)
    assert torch.equal(found[0], start)
    assert torch.equal(found[1], extent)
    assert torch.equal(found[2], count_pixels(mask))
    assert filled.tolist() == [True, False, True, True]


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float32])
@pytest.mark.parametrize("shape", SHAPES)
def test_windows(shape, dtype):
    x = (torch.rand(3, 2, *shape) * 9).to(dtype)
    axes = len(shape)
    origin = torch.tensor([[-2] * axes, [0] * axes, [3] * axes])
    for size in (shape, (4,) * axes):
        assert torch.equal(lesion_operators.window(x, origin, size), take_window(x, origin, size))


def test_words_hold_a_line_from_its_first_pixel_on():
    mask = flags((3, 40), 0.5, 1, 1)
    words = place_operators.pack(mask)
    assert words.shape == (1, 3, 2)
    bits = (words[..., None] >> torch.arange(32)) & 1
    assert torch.equal(bits.flatten(2)[0, :, :40].bool(), mask[0, 0])
    assert not bits.flatten(2)[0, :, 40:].any()


@pytest.mark.parametrize(("candidates", "with_region"), [(1, True), (1, False), (16, True)])
@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_place(shape, bounds, with_region, candidates):
    """With one candidate most places come from the map of all."""
    names = ("min_region_overlap", "max_lesion_overlap", "min_visible")
    aug = SoftCP(**dict(zip(names, bounds, strict=True)))
    small = tuple(length // 2 for length in shape)
    labels = torch.zeros(4, 1, *shape, dtype=torch.uint8)
    labels[(..., *(slice(length) for length in small))] = flags(small, 0.3, 3).to(torch.uint8)
    labels[3] = 0
    start, extent, filled = bounding_box(labels != 0)
    labels = take_window(labels, start, shape)
    area = count_pixels(labels != 0)
    lesion = Lesion(labels, extent, start, None, area, filled, filled)
    region = phantoms.batch(4, shape)[2] if with_region else None
    others = flags(shape, 0.03, 4)
    others[0] = True  # no place, unless all overlap is allowed
    params = aug.draw(sample_seeds(5, torch.arange(4)), shape)
    params = params._replace(candidate_u=params.candidate_u[:, :candidates])
    origin, legal = find_origin(
        labels != 0, extent, area, shape, region, others, aug.config.bounds, params.candidate_u, params.rank_u
    )
    counts = overlaps_at(labels != 0, origin, shape, region, others)
    with kernels.use("on"):
        assert fused_places.places(lesion, params)
        found = fused_places.place(lesion, region, others, shape, params, aug.config)
    assert torch.equal(found[1], legal)
    assert torch.equal(found[0][legal], origin[legal])
    for a, b in zip(found[2], counts, strict=True):
        assert torch.equal(a[legal], b[legal])
    assert torch.equal(legal, within_bounds(counts, area, aug.config.bounds, region) & legal)


def test_a_number_of_candidates_that_is_no_power_of_two_stays_plain():
    params = SoftCP().draw(torch.arange(2), (8, 8))
    lesion = Lesion(torch.zeros(2, 1, 8, 8), *[None] * 6)
    with kernels.use("on"):
        assert fused_places.places(lesion, params)
        assert not fused_places.places(lesion, params._replace(candidate_u=params.candidate_u[:, :3]))
