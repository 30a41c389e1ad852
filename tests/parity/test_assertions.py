import numpy as np
import pytest

from tests.assertions import assert_close_in_range, assert_masks_match_in_edge_band, edge_band


def square(size=40):
    mask = np.zeros((size, size), bool)
    mask[10:20, 10:20] = True
    return mask


def flipped(mask, *pixels):
    mask = mask.copy()
    for pixel in pixels:
        mask[pixel] = ~mask[pixel]
    return mask


def test_close_measures_by_the_range():
    expected = np.array([-1000.0, 0.0, 1000.0])
    assert assert_close_in_range(expected + 0.1, expected, 1e-4) == pytest.approx(5e-5)
    assert assert_close_in_range(expected / 1e6, expected / 1e6, 0) == 0


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        ([0.0, 1.0, 2.001], [0.0, 1.0, 2.0]),
        ([0.0, -0.001, 2.0], [0.0, 0.0, 2.0]),
        ([0.0, np.nan, 2.0], [0.0, 1.0, 2.0]),
        ([0.0, 1.0], [0.0, 1.0, 2.0]),
        ([5.001, 5.001], [5.0, 5.0]),
    ],
    ids=["above", "below", "NaN", "shape", "no range"],
)
def test_close_can_fail(actual, expected):
    with pytest.raises(AssertionError):
        assert_close_in_range(actual, expected, 1e-4)


def test_edge_band_has_two_sides():
    band = edge_band(np.array([0, 0, 0, 2, 2, 2]))
    assert band.tolist() == [False, False, True, True, False, False]


@pytest.mark.parametrize("pixel", [(10, 12), (9, 12)], ids=["inside", "outside"])
def test_masks_may_differ_at_an_edge(pixel):
    pairs = [(flipped(square(), pixel), square())] + [(square(), square())] * 9
    assert assert_masks_match_in_edge_band(pairs) == 1


@pytest.mark.parametrize(
    "pairs",
    [
        [(flipped(square(), (15, 15)), square())] + [(square(), square())] * 9,
        [(flipped(square(), (30, 30)), square())] + [(square(), square())] * 9,
        [(flipped(square(), (10, 12)), square())],
        [(flipped(square(), (10, 12), (9, 15)), square())] + [(square(), square())] * 9,
        [(square(), square(41))],
    ],
    ids=["a hole", "a stray pixel", "too many for one frame", "too many", "shape"],
)
def test_masks_can_fail(pairs):
    with pytest.raises(AssertionError):
        assert_masks_match_in_edge_band(pairs)
