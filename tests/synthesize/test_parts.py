"""Connected parts by runs, beside SciPy's labels."""

import numpy as np
import pytest
from scipy import ndimage

from softcp_gpu.synthesize.parts import filled, largest, runs_of

SHAPES = [(9, 12), (1, 7), (6, 1), (7, 8, 9), (1, 5, 6)]
SHARES = [0.1, 0.4, 0.6, 0.9]


def random_mask(shape, share, seed):
    """With a margin."""
    mask = np.random.default_rng(seed).random(shape) < share
    return np.pad(mask, 1)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_part_with_most_of_the_seeds(shape, share, seed):
    mask = random_mask(shape, share, seed)
    seeds = mask & random_mask(shape, 0.5, seed + 100)
    if not seeds.any():
        seeds = mask
    if not mask.any():
        return
    parts = ndimage.label(mask)[0]
    expected = parts == np.bincount(parts[seeds]).argmax()
    found = largest(runs_of(mask.ravel()), seeds.ravel(), mask.shape)
    assert np.array_equal(found.painted().reshape(mask.shape), expected)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_holes_are_filled(shape, share, seed):
    mask = random_mask(shape, share, seed)
    found = filled(runs_of(mask.ravel()), mask.shape)
    assert np.array_equal(found.painted().reshape(mask.shape), ndimage.binary_fill_holes(mask))


def test_a_part_that_winds_through_the_image_is_one():
    mask = np.zeros((41, 41), bool)
    mask[1:-1:2, 1:-1] = True
    mask[2:-1:4, -2] = mask[4:-1:4, 1] = True
    assert ndimage.label(mask)[1] == 1
    runs = runs_of(mask.ravel())
    assert np.array_equal(largest(runs, mask.ravel(), mask.shape).painted().reshape(mask.shape), mask)
