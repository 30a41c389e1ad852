"""Our PNG writer, read by three decoders that are not ours."""

import cv2
import kornia_rs.io as rust_io
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from softcp_gpu.data.png import write_png


@st.composite
def arrays(draw):
    """Noise, ramps along each axis, and masks: each filter is the better one somewhere."""
    height, width, colours = draw(st.integers(1, 40)), draw(st.integers(1, 40)), draw(st.sampled_from([(), (3,)]))
    dtype, kind = (
        draw(st.sampled_from([np.uint8, np.uint16])),
        draw(st.sampled_from(["noise", "down", "right", "mask"])),
    )
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    values = rng.integers(0, np.iinfo(dtype).max + 1, (height, width, *colours))
    y, x = np.mgrid[:height, :width].reshape(2, height, width, *(1 for _ in colours))
    values = {"noise": values, "down": y * 7 + values % 3, "right": x * 7 + values % 3, "mask": (values > 99) * 255}[
        kind
    ]
    return values.astype(dtype)


def pillow(path, values):
    if values.dtype == np.uint16 and values.ndim == 3:
        return values  # it would cut them to 8 bits
    with Image.open(path) as image:
        image.verify()
    return np.array(Image.open(path)).astype(values.dtype)


def opencv(path, values):
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return found[..., ::-1] if values.ndim == 3 else found


def rust(path, values):
    read = rust_io.read_image_png_u8 if values.dtype == np.uint8 else rust_io.read_image_png_u16
    return np.asarray(read(str(path), "rgb" if values.ndim == 3 else "mono")).reshape(values.shape)


@settings(max_examples=200)
@given(values=arrays())
def test_every_decoder_reads_what_was_written(tmp_path_factory, values):
    path = tmp_path_factory.getbasetemp() / "a.png"
    write_png(path, values)
    for decoder in (pillow, opencv, rust):
        found = decoder(path, values)
        assert found.dtype == values.dtype
        assert np.array_equal(found, values), decoder.__name__


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_order_in_memory_does_not_matter(tmp_path, order):
    values = np.arange(30 * 20 * 3, dtype=np.uint16).reshape(30, 20, 3)
    for name, array in (("a", values), ("b", np.array(values, order=order)), ("c", values[::-1][::-1])):
        write_png(tmp_path / name, array)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


@pytest.mark.parametrize("turned", [False, True])
def test_each_row_takes_the_filter_that_suits_it(tmp_path, turned):
    """Columns, or rows, of noise: all that is left of them is one row, or one column."""
    noise = np.random.default_rng(0).integers(0, 256, (1, 256), np.uint8).repeat(256, 0)
    write_png(tmp_path / "a", noise.T if turned else noise)
    assert (tmp_path / "a").stat().st_size < 2000


def test_a_photo_takes_no_more_room_than_pillow_needs(tmp_path):
    y, x = np.mgrid[:256, :256]
    photo = 128 + 60 * np.sin(x / 9) + 60 * np.cos(y / 7) + np.random.default_rng(0).normal(0, 2, y.shape)
    write_png(tmp_path / "ours", photo.astype(np.uint8))
    Image.fromarray(photo.astype(np.uint8)).save(tmp_path / "theirs", "PNG", compress_level=1)
    assert (tmp_path / "ours").stat().st_size < 1.1 * (tmp_path / "theirs").stat().st_size


def test_a_mask_takes_no_more_room_than_pillow_needs(tmp_path):
    y, x = np.mgrid[:256, :256]
    mask = ((x - 120) ** 2 / 3 + (y - 90) ** 2 < 1500 + 400 * np.sin(x / 5)).astype(np.uint8) * 255
    write_png(tmp_path / "ours", mask)
    Image.fromarray(mask).save(tmp_path / "theirs", "PNG", compress_level=1)
    assert (tmp_path / "ours").stat().st_size < (tmp_path / "theirs").stat().st_size
