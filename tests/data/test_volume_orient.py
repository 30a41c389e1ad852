import itertools

import numpy as np
import pytest

from softcp_gpu.data import Grid, Sample, oriented_like
from softcp_gpu.data.volume_orient import turn_like
from tests.data.volumes import SLICES_FIRST, STRAIGHT, oblique

SHAPE = (4, 5, 6)
GRID = Grid(SHAPE[::-1], (0.7, 0.8, 5.0), (-10.0, 20.0, 30.0), STRAIGHT)
SIGNED = [
    np.eye(3)[list(order)] * signs
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def sample_on(grid):
    """A sample whose voxels know where they are in the body, in mm."""
    index = np.stack(np.indices(grid.shape)[::-1], axis=-1)
    places = grid.point_mm(index)
    return Sample(places, places[..., 0] > -8, places[..., 1] > 21, (places[..., 2] > 40).astype(np.uint8), grid)


def check_places(sample):
    """Every voxel is still where its grid says that it is."""
    expected = sample_on(sample.grid)
    assert np.allclose(sample.image, expected.image, rtol=0, atol=1e-9)
    for name in ("lesion", "region", "labels"):
        assert np.array_equal(getattr(sample, name), getattr(expected, name))


@pytest.mark.parametrize("axes", SIGNED)
@pytest.mark.parametrize("like", [STRAIGHT, SLICES_FIRST, oblique(0.2, 0.3)])
def test_whatever_the_axes_were_they_are_like_the_others_and_no_voxel_has_moved(axes, like):
    sample = sample_on(GRID._replace(direction=tuple(axes.ravel().tolist())))
    turned = oriented_like(sample, GRID._replace(direction=like))
    nearest = np.reshape(like, (3, 3)).round()
    assert np.array_equal(turned.grid.axes, nearest)
    check_places(turned)
    assert sorted(zip(turned.grid.size, turned.grid.spacing, strict=True)) == sorted(
        zip(GRID.size, GRID.spacing, strict=True)
    )


@pytest.mark.parametrize("axes", SIGNED[::5])
def test_an_oblique_scan_stays_as_oblique_as_it_was(axes):
    direction = np.reshape(oblique(0.2, 0.3), (3, 3)) @ axes
    sample = sample_on(GRID._replace(direction=tuple(direction.ravel().tolist())))
    turned = oriented_like(sample, GRID)
    assert np.allclose(turned.grid.axes, np.reshape(oblique(0.2, 0.3), (3, 3)))
    check_places(turned)


def test_a_sample_on_the_same_axes_is_returned_as_it_is():
    sample = sample_on(GRID)
    assert oriented_like(sample, GRID._replace(size=(9, 9, 9), origin=(0.0, 0.0, 0.0))) is sample


def test_of_two_orders_that_are_as_near_the_one_that_turns_less_is_taken():
    for angle, order in ((np.pi / 4 + 1e-9, (0, 1, 2)), (np.pi / 4 + 1e-3, (1, 0, 2))):
        assert turn_like(GRID, GRID._replace(direction=oblique(0.0, angle))).order == order


def test_arrays_are_contiguous_of_the_same_type_and_what_is_none_stays_none():
    image = np.zeros((*SHAPE, 2), dtype=np.int16)
    turned = oriented_like(Sample(image, image[..., 0] > 0, grid=GRID), GRID._replace(direction=SLICES_FIRST))
    assert turned.image.flags.c_contiguous
    assert turned.image.dtype == np.int16
    assert turned.image.shape == (6, 5, 4, 2)
    assert (turned.region, turned.labels) == (None, None)


def test_a_sample_without_a_grid_is_refused():
    with pytest.raises(ValueError, match="sample: expected a volume with its grid, found none"):
        oriented_like(Sample(np.zeros((*SHAPE, 1)), np.zeros(SHAPE, bool)), GRID)
