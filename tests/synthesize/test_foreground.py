"""The body in an image, on which lesions are allowed where a data set draws no organ."""

import numpy as np
import pytest

from softcp_gpu.synthesize.foreground import Bodies, foreground
from tests.synthesize.trees import ellipse, equal_but_for_an_edge

SHAPE = (64, 80)
BODY = ellipse(SHAPE, (30, 40), (22, 28))


def image(air=(0, 0, 0), body=(90, 120, 150), noise=0):
    rng = np.random.default_rng(0)
    values = np.where(BODY[:, :, None], np.array(body), np.array(air)).astype(float)
    return (values + rng.uniform(0, noise or 1e-9, values.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_body_on_black(channels, dtype):
    values = image()[:, :, :channels].astype(dtype) * (257 if dtype == np.uint16 else 1)
    found = foreground(values)
    assert found.dtype == bool
    assert np.array_equal(found, BODY)


@pytest.mark.parametrize("unit", [1, 0.001, 1000])
def test_units_do_not_matter(unit):
    assert np.array_equal(foreground(image().astype(np.float32) * unit), foreground(image()))


def test_noise_of_a_jpeg_is_no_body():
    assert equal_but_for_an_edge(foreground(image(noise=6)), BODY)


def test_air_with_a_noise_floor_is_no_body():
    """As 4 % of the slices of LGG have it: 7 or 8 % of the brightest, but for a frame of zeros."""
    values = image(air=(0, 9, 0), noise=3)
    values[:, :3] = 0
    assert equal_but_for_an_edge(foreground(values), BODY)


def test_air_of_one_colour_is_no_body():
    """As 3 % of the slices of LGG have it: one channel does not start at zero, and the body has darker parts."""
    values = image(air=(100, 0, 0), body=(130, 60, 60), noise=2)
    values[20:26, 30:50] = (60, 20, 20)
    assert equal_but_for_an_edge(foreground(values), BODY)


def test_holes_belong_to_the_body():
    values = image()
    values[25:35, 35:45] = 0
    assert equal_but_for_an_edge(foreground(values), BODY)


def test_text_beside_the_scan_does_not():
    values = image()
    values[2:7, 2:20:2] = 255  # strokes of one pixel
    values[60:62, 60:76] = 255
    assert equal_but_for_an_edge(foreground(values), BODY)


def test_of_two_bodies_the_largest_counts():
    values = image()
    values[2:9, 70:78] = 200
    assert equal_but_for_an_edge(foreground(values), BODY)


def test_thin_parts_that_hang_on_the_body_are_kept():
    values = image()
    values[30, 66:78] = 200
    assert foreground(values)[30, 66:78].all()


@pytest.mark.parametrize("value", [0, 7, 255])
def test_an_even_image_is_all_body(value):
    assert foreground(np.full((*SHAPE, 3), value, np.uint8)).all()


def test_an_image_without_dark_surroundings_is_all_body():
    rng = np.random.default_rng(1)
    skin = (np.array([200, 150, 130]) + rng.integers(-15, 15, (*SHAPE, 3))).astype(np.uint8)
    skin[BODY] = (90, 50, 40)  # a lesion, darker than the skin, is on the body and not a hole in the air
    assert foreground(skin).all()


def test_a_dark_corner_of_an_endoscope_is_left_out():
    rng = np.random.default_rng(1)
    values = (np.array([180, 90, 70]) + rng.integers(-20, 20, (*SHAPE, 3))).astype(np.uint8)
    values[40:, :25] = 0
    found = foreground(values)
    assert not found[42:, :23].any()
    assert found[:38].all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2), (4, 4)])
def test_the_smallest_images(shape):
    values = np.arange(shape[0] * shape[1]).reshape(*shape, 1).astype(np.uint8)
    assert foreground(values).shape == shape
    assert foreground(values).any()


def test_the_image_stays_as_it_is():
    values = image()
    kept = values.copy()
    foreground(values)
    assert np.array_equal(values, kept)


def test_a_foreground_that_was_found_before_is_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    images = {
        str(i): np.pad(rng.integers(99, 255, (20 + i, 31, 1), np.uint8), ((9, 9), (9, 9), (0, 0))) for i in range(3)
    }
    monkeypatch.setattr("softcp_gpu.synthesize.foreground._BYTES", 520)  # of two of the three
    bodies = Bodies()
    for _ in range(2):
        for name, image in images.items():
            assert np.array_equal(bodies.of(name, image), foreground(image))
    assert len(bodies._found) == 2
