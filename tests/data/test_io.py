import pickle
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from softcp_gpu.data import (
    DataError,
    MaskStyle,
    image_size,
    io,
    mask_style,
    read_colour_mask,
    read_image,
    read_mask,
    write_image,
    write_mask,
)

FORMATS = ["png", "jpg", "bmp", "tif"]


def deep(photo):
    """The same picture with 16 bits, the lower 8 of which matter."""
    return photo.astype(np.uint16) * 257 + 3


def png_16(samples, colour_type):
    """A PNG file of 16-bit samples (H, W, C), made without a library."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def error_of(function, path, *args):
    with pytest.raises(DataError) as caught:
        function(path, *args)
    message = str(caught.value)
    assert str(path) in message
    assert "expected" in message
    assert "found" in message
    return message


class TestImages:
    @pytest.mark.parametrize("suffix", ["png", "PNG", "bmp", "tif", "tiff"])
    @pytest.mark.parametrize("channels", [1, 3])
    def test_8_bits_come_back_exactly(self, tmp_path, photo, suffix, channels):
        path = tmp_path / f"a.{suffix}"
        write_image(path, photo[:, :, :channels])
        again = read_image(path)
        assert again.dtype == np.uint8
        assert np.array_equal(again, photo[:, :, :channels])

    @pytest.mark.parametrize("suffix", ["png", "tif"])
    @pytest.mark.parametrize("channels", [1, 3])
    def test_16_bits_come_back_exactly(self, tmp_path, photo, suffix, channels):
        path, image = tmp_path / f"a.{suffix}", deep(photo)[:, :, :channels]
        write_image(path, image)
        again = read_image(path)
        assert again.dtype == np.uint16
        assert np.array_equal(again, image)

    @pytest.mark.parametrize(("channels", "colour_type"), [(1, 0), (3, 2)])
    def test_16_bit_png_of_others_keeps_its_lower_bits(self, tmp_path, photo, channels, colour_type):
        path, image = tmp_path / "a.png", deep(photo)[:, :, :channels]
        path.write_bytes(png_16(image, colour_type))
        assert np.array_equal(read_image(path), image)

    @pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"compression": "zlib", "predictor": True}])
    @pytest.mark.parametrize("channels", [1, 3])
    def test_16_bit_tiff_of_others_keeps_its_lower_bits(self, tmp_path, photo, options, channels):
        path, image = tmp_path / "a.tif", deep(photo)[:, :, :channels]
        tifffile.imwrite(path, image.squeeze(), photometric="rgb" if channels == 3 else "minisblack", **options)
        assert np.array_equal(read_image(path), image)

    def test_16_bit_opaque_alpha_is_dropped(self, tmp_path, photo):
        path, image = tmp_path / "a.png", deep(photo)
        path.write_bytes(png_16(np.dstack([image, np.full((20, 30), 65535)]), 6))
        assert np.array_equal(read_image(path), image)

    def test_16_bits_that_no_reader_keeps_are_refused(self, tmp_path, photo):
        path = tmp_path / "grey_alpha.png"
        path.write_bytes(png_16(deep(photo)[:, :, :2], 4))
        assert "16 bits" in error_of(read_image, path)
        path = tmp_path / "planes.tif"
        tifffile.imwrite(path, np.moveaxis(deep(photo), 2, 0), photometric="rgb", planarconfig="separate")
        assert "one plane per channel" in error_of(read_image, path)

    @pytest.mark.parametrize("kind", [np.int16, np.float32, np.uint32])
    def test_other_sample_types_are_refused(self, tmp_path, photo, kind):
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, photo[:, :, 0].astype(kind))
        assert "unsigned" in error_of(read_image, path)

    def test_cmyk_is_refused(self, tmp_path, photo):
        path = tmp_path / "a.jpg"
        Image.fromarray(photo).convert("CMYK").save(path)
        assert "CMYK" in error_of(read_image, path)

    def test_a_stack_is_refused(self, tmp_path, photo):
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, np.stack([photo[:, :, 0]] * 4), photometric="minisblack")
        assert "a stack of 4" in error_of(read_image, path)

    def test_a_palette_becomes_rgb(self, tmp_path, photo):
        path = tmp_path / "a.png"
        palette = Image.fromarray(photo).quantize(16)
        palette.save(path)
        assert np.array_equal(read_image(path), np.asarray(palette.convert("RGB")))

    def test_grey_with_opaque_alpha_becomes_grey(self, tmp_path, photo):
        path = tmp_path / "a.png"
        Image.fromarray(photo[:, :, 0]).convert("LA").save(path)
        assert np.array_equal(read_image(path), photo[:, :, :1])

    def test_transparent_parts_are_refused(self, tmp_path, photo):
        path = tmp_path / "a.png"
        Image.fromarray(np.dstack([photo, photo[:, :, 0] + 5])).save(path)
        assert "alpha" in error_of(read_image, path)

    def test_the_content_tells_the_format(self, tmp_path, photo):
        path = tmp_path / "a.jpg"
        Image.fromarray(photo).save(path, format="PNG")
        assert np.array_equal(read_image(path), photo)

    @pytest.mark.parametrize("orientation", [3, 6])
    def test_exif_orientation_is_left_alone(self, tmp_path, photo, orientation):
        path, exif = tmp_path / "a.png", Image.Exif()
        exif[274] = orientation
        Image.fromarray(photo).save(path, exif=exif)
        assert np.array_equal(read_image(path), photo)
        assert image_size(path) == (20, 30)

    def test_jpeg_is_written_with_full_colour_and_best_quality(self, tmp_path, photo):
        path = tmp_path / "a.jpg"
        write_image(path, photo)
        with Image.open(path) as image:
            assert {layer[1:3] for layer in image.layer} == {(1, 1)}
            assert max(max(table) for table in image.quantization.values()) == 1

    @pytest.mark.parametrize("suffix", ["jpg", "bmp"])
    def test_16_bits_do_not_go_into_8(self, tmp_path, photo, suffix):
        assert "16 bits" in error_of(write_image, tmp_path / f"a.{suffix}", deep(photo))
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        "image",
        [np.zeros((4, 4)), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4, 1), np.uint8)],
    )
    def test_odd_arrays_are_not_written(self, tmp_path, image):
        error_of(write_image, tmp_path / "a.png", image)

    def test_an_unknown_suffix_is_not_written(self, tmp_path, photo):
        assert ".gif" in error_of(write_image, tmp_path / "a.gif", photo)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("suffix", [".png", ".bmp"])
    def test_a_failed_write_keeps_the_old_file(self, tmp_path, photo, monkeypatch, suffix):
        path = tmp_path / f"a{suffix}"
        write_image(path, photo)

        def full_disk(target, values, **options):
            target.write_bytes(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(io, "write_png", full_disk)
        monkeypatch.setattr(Image.Image, "save", lambda image, target, **options: full_disk(target, image))
        assert "No space left" in error_of(write_image, path, photo * 0)
        assert np.array_equal(read_image(path), photo)
        assert list(tmp_path.iterdir()) == [path]


class TestBrokenFiles:
    @pytest.mark.parametrize("suffix", FORMATS)
    @pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
    @pytest.mark.parametrize("read", [read_image, read_mask])
    def test_a_truncated_file_is_refused(self, tmp_path, photo, suffix, share, read):
        path = tmp_path / f"a.{suffix}"
        write_image(path, photo)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(share * len(whole))])
        assert "whole" in error_of(read, path)

    @pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
    @pytest.mark.parametrize("suffix", ["png", "tif"])
    def test_a_truncated_16_bit_file_is_refused(self, tmp_path, photo, suffix):
        path = tmp_path / f"a.{suffix}"
        write_image(path, deep(photo))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        error_of(read_image, path)

    def test_one_flipped_bit_in_a_png_is_found(self, tmp_path, photo):
        path = tmp_path / "a.png"
        write_image(path, photo)
        content = bytearray(path.read_bytes())
        content[len(content) - 20] ^= 1  # in the checksum of the pixels
        path.write_bytes(content)
        error_of(read_image, path)

    @pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"GIF89a" + bytes(50)])
    def test_what_is_no_image_is_refused(self, tmp_path, content):
        path = tmp_path / "a.png"
        path.write_bytes(content)
        error_of(read_image, path)
        error_of(image_size, path)

    def test_a_missing_file_and_a_folder_are_refused(self, tmp_path):
        assert "No such file" in error_of(read_image, tmp_path / "a.png")
        error_of(read_image, tmp_path)

    def test_an_animation_is_refused_although_its_first_image_is_plain(self, tmp_path):
        path = tmp_path / "a.png"
        frames = [Image.fromarray(np.full((4, 5), value, np.uint8)) for value in (0, 9)]
        frames[0].save(path, save_all=True, append_images=frames[1:])
        assert path.read_bytes()[24:26] == bytes((8, 0))
        assert "a stack of 2" in error_of(read_image, path)

    def test_chunks_before_the_pixels_change_nothing(self, tmp_path, photo):
        path = tmp_path / "a.png"
        told = PngInfo()
        told.add_text("Software", "a scanner")
        Image.fromarray(photo).save(path, pnginfo=told, dpi=(72, 72))
        assert np.array_equal(read_image(path), photo)

    @pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
    @pytest.mark.parametrize("limit", [599, 200])  # a warning and an error of Pillow's
    def test_a_decompression_bomb_is_refused(self, tmp_path, photo, monkeypatch, limit):
        path = tmp_path / "a.png"
        write_image(path, photo)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert "pixels" in error_of(read_image, path)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 600)
        assert read_image(path).shape == (20, 30, 3)

    def test_an_error_survives_the_way_out_of_a_worker(self):
        error = pickle.loads(pickle.dumps(DataError("a.png", "this", "that")))
        assert str(error) == "a.png: expected this, found that"
        assert isinstance(error, ValueError)


class TestMasks:
    @pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
    @pytest.mark.parametrize(
        "style",
        [MaskStyle(bits=1), MaskStyle(), MaskStyle(on=1), MaskStyle(channels=3), MaskStyle(channels=3, on=1)],
        ids=str,
    )
    def test_every_style_comes_back_exactly_and_is_recognised(self, tmp_path, lesion, suffix, style):
        path = tmp_path / f"a.{suffix}"
        write_mask(path, style.encode(lesion))
        assert np.array_equal(read_mask(path), lesion)
        assert mask_style(path) == style

    @pytest.mark.parametrize("suffix", ["png", "tif"])
    @pytest.mark.parametrize("on", [1, 255, 65535])
    def test_16_bit_masks_stay_so(self, tmp_path, lesion, suffix, on):
        path, style = tmp_path / f"a.{suffix}", MaskStyle(bits=16, on=on)
        write_mask(path, style.encode(lesion))
        assert read_image(path).dtype == np.uint16
        assert np.array_equal(read_mask(path), lesion)
        assert mask_style(path) == style

    def test_1_bit_files_have_1_bit(self, tmp_path, lesion):
        path = tmp_path / "a.png"
        write_mask(path, lesion)
        with Image.open(path) as image:
            assert image.mode == "1"

    @pytest.mark.parametrize("fill", [False, True])
    def test_empty_and_full_masks(self, tmp_path, fill):
        path, mask = tmp_path / "a.png", np.full((4, 5), fill)
        write_mask(path, MaskStyle().encode(mask))
        assert np.array_equal(read_mask(path), mask)
        assert mask_style(path) == (MaskStyle() if fill else None)

    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
    def test_grey_in_other_clothes(self, tmp_path, lesion, mode):
        path = tmp_path / "a.png"
        Image.fromarray(MaskStyle().encode(lesion)).convert(mode).save(path)
        assert np.array_equal(read_mask(path), lesion)

    def test_partial_alpha_is_dropped_where_the_colours_have_the_mask(self, tmp_path, lesion, photo):
        path = tmp_path / "a.png"
        Image.fromarray(np.dstack([MaskStyle(channels=3).encode(lesion), photo[:, :, 0]])).save(path)
        assert np.array_equal(read_mask(path), lesion)

    def test_a_mask_in_the_alpha_channel_alone_is_refused(self, tmp_path, lesion):
        path = tmp_path / "a.png"
        Image.fromarray(np.dstack([np.full((20, 30, 3), 255, np.uint8), MaskStyle().encode(lesion)])).save(path)
        assert "alpha" in error_of(read_mask, path)

    @pytest.mark.parametrize(
        ("palette", "turned"),
        [([0, 0, 0, 255, 255, 255], False), ([255, 255, 255, 0, 0, 0], True), ([9, 9, 9, 200, 0, 0], False)],
    )
    def test_a_palette_means_black_and_white_or_else_its_indices(self, tmp_path, lesion, palette, turned):
        path, image = tmp_path / "a.png", Image.fromarray(lesion.astype(np.uint8))
        image.putpalette(palette)
        image.save(path)
        assert np.array_equal(read_mask(path), lesion != turned)

    @pytest.mark.parametrize("values", [(0, 1, 2), (0, 128, 255), (0, 2), (254, 255), (1, 255), tuple(range(12))])
    def test_other_values_are_refused_by_name(self, tmp_path, values):
        path = tmp_path / "a.png"
        write_mask(path, np.array([values], dtype=np.uint8))
        message = error_of(read_mask, path)
        assert f"the values {values[0]}, {values[1]}" in message
        assert ("and 4 more" in message) == (len(values) == 12)

    def test_a_coloured_mask_is_refused_by_its_colour(self, tmp_path, lesion):
        path, mask = tmp_path / "a.png", MaskStyle(channels=3).encode(lesion)
        mask[lesion] = (255, 0, 0)
        write_mask(path, mask)
        assert "(255, 0, 0) at row 4, column 6" in error_of(read_mask, path)
        assert np.array_equal(read_colour_mask(path), mask)

    def test_colours_are_not_read_from_jpeg(self, tmp_path, photo):
        path = tmp_path / "a.jpg"
        write_image(path, photo)
        assert "JPEG" in error_of(read_colour_mask, path)


class TestJpegMasks:
    @pytest.mark.parametrize("quality", [30, 60, 95])
    def test_noise_is_cut_away(self, tmp_path, quality):
        mask = np.zeros((64, 64), dtype=bool)
        mask[10:40, 20:50] = True
        path = tmp_path / "a.jpg"
        Image.fromarray(MaskStyle().encode(mask)).save(path, quality=quality)
        assert np.array_equal(read_mask(path), mask)

    def test_an_edge_that_resizing_has_blurred_is_cut(self, tmp_path, lesion):
        path = tmp_path / "a.jpg"
        Image.fromarray(MaskStyle().encode(lesion)).resize((150, 100), Image.Resampling.BILINEAR).save(path)
        assert np.array_equal(read_mask(path)[2::5, 2::5], lesion)

    @pytest.mark.parametrize("channels", [1, 3])
    def test_a_written_mask_comes_back_exactly(self, tmp_path, channels):
        checkers = np.indices((33, 47)).sum(axis=0) % 2 == 1  # the worst case for JPEG
        path = tmp_path / "a.jpg"
        write_mask(path, MaskStyle(channels=channels).encode(checkers))
        assert np.array_equal(read_mask(path), checkers)

    @pytest.mark.parametrize("on", [1, 2, 100])
    def test_class_ids_in_a_jpeg_are_refused(self, tmp_path, lesion, on):
        path = tmp_path / "a.jpg"
        Image.fromarray(MaskStyle(on=on).encode(lesion)).save(path, quality=100)
        assert "values up to" in error_of(read_mask, path)

    def test_a_third_level_in_a_jpeg_is_refused(self, tmp_path, lesion):
        path, mask = tmp_path / "a.jpg", MaskStyle().encode(lesion)
        mask[:8, 20:] = 128
        Image.fromarray(mask).save(path)
        assert "areas of grey" in error_of(read_mask, path)

    @pytest.mark.parametrize("mask", [np.eye(9, dtype=bool), np.eye(9, dtype=np.uint8), np.eye(9, dtype=np.uint16)])
    def test_what_jpeg_cannot_keep_is_not_written(self, tmp_path, mask):
        error_of(write_mask, tmp_path / "a.jpg", mask)
        assert list(tmp_path.iterdir()) == []

    def test_a_mask_that_comes_back_changed_is_not_left_there(self, tmp_path, lesion, monkeypatch):
        monkeypatch.setattr("softcp_gpu.data.masks._cut", lambda path, values: values > 254)
        noisy = np.indices((20, 30)).sum(axis=0) % 2 == 1
        monkeypatch.setattr(
            "softcp_gpu.data.masks.encode", lambda path, mask: Image.fromarray(mask).save(path, quality=5)
        )
        assert "reads back identically" in error_of(write_mask, tmp_path / "a.jpg", MaskStyle().encode(noisy))
        assert list(tmp_path.iterdir()) == []


def test_odd_masks_are_not_written(tmp_path):
    for mask in (np.zeros(3, bool), np.zeros((3, 3)), np.zeros((3, 3, 2), np.uint8)):
        error_of(write_mask, tmp_path / "a.png", mask)
