"""The lesion of one case in another: sizes, depths and channels that differ, and pixels that must not change."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy import ndimage

from softcp_gpu.data import Sample
from softcp_gpu.synthesize.fit import fit
from softcp_gpu.synthesize.pair import Parents, paste_pairs
from softcp_gpu.synthesize.run import make_augmentation
from tests.synthesize import trees

CPU = torch.device("cpu")
HARD = {"object_transform": None, "k_erode": 0, "k_dilate": 0}  # a plain copy: every pixel is known beforehand
KINDS = [(channels, dtype) for channels in (1, 3) for dtype in (np.uint8, np.uint16)]


def case(i, shape=(trees.SIDE, trees.SIDE), channels=3, dtype=np.uint8, region=False):
    lesion = trees.lesion(i, shape)
    return Sample(trees.picture(i, shape, channels, dtype), lesion, trees.organ(shape) & ~lesion if region else None)


def paste(background, source, region=None, seed=0, **config):
    return paste_pairs(partial(make_augmentation, config), [Parents(background, source, region, seed)], CPU)[0]


def shifted(array, offset):
    """Moved by whole pixels; what comes in is zero."""
    moved = np.zeros_like(array)
    (dy, dx), (height, width) = offset, array.shape[:2]
    y, x = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    inside = (y >= dy) & (y < height + dy) & (x >= dx) & (x < width + dx)
    moved[inside] = array[y[inside] - dy, x[inside] - dx]
    return moved


class TestPaste:
    @pytest.mark.parametrize(("channels", "dtype"), KINDS)
    @pytest.mark.parametrize("seed", range(3))
    def test_a_hard_paste_is_a_copy_to_the_bit(self, channels, dtype, seed):
        background, source = case(0, channels=channels, dtype=dtype), case(1, channels=channels, dtype=dtype)
        pasted = paste(background, source, seed=seed, **HARD)
        offset = pasted.record["placement"]["offset_px"]
        moved = shifted(source.lesion, offset)
        assert pasted.status == "pasted"
        assert moved.sum() == source.lesion.sum()
        assert pasted.sample.image.dtype == dtype
        expected = np.where(moved[:, :, None], shifted(source.image, offset), background.image)
        assert np.array_equal(pasted.sample.image, expected)
        assert np.array_equal(pasted.sample.lesion, background.lesion | moved)
        assert not (moved & background.lesion).any()

    @pytest.mark.parametrize(("channels", "dtype"), KINDS)
    def test_where_the_soft_mask_is_zero_no_bit_changes(self, channels, dtype):
        background, source = case(0, channels=channels, dtype=dtype), case(1, channels=channels, dtype=dtype)
        for seed in range(4):
            pasted = paste(background, source, seed=seed)
            untouched = pasted.soft_mask == 0
            assert untouched.mean() > 0.5
            assert np.array_equal(pasted.sample.image[untouched], background.image[untouched])
            assert not np.array_equal(pasted.sample.image, background.image)
            new = pasted.sample.lesion & ~background.lesion
            assert new.any()
            assert (pasted.soft_mask[new] > 0).all()

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_too_bright_is_clipped_and_does_not_wrap_round(self, dtype):
        full = np.iinfo(dtype).max
        background, source = case(0, dtype=dtype), case(1, dtype=dtype)
        source.image[:] = full
        source.image[0, 0] = 0
        noise = {"rigid": ["none"], "intensity": ["noise"], "noise_sigma": 1.0}
        pasted = paste(background, source, k_erode=0, k_dilate=0, object_transform=noise)
        values = pasted.sample.image[pasted.soft_mask == 1]
        assert 0.25 < (values == full).mean() < 0.75
        assert 0.05 < (values == 0).mean() < 0.4

    def test_the_region_is_honoured_and_survives(self):
        background, source = case(0, region=True), case(1, region=True)
        place = background.region | background.lesion
        for seed in range(8):
            pasted = paste(background, source, place, seed=seed)
            new = pasted.sample.lesion & ~background.lesion
            assert pasted.status == "pasted"
            assert (new & place).sum() >= 0.5 * new.sum()
            assert np.array_equal(pasted.sample.region, background.region & ~new)

    @pytest.mark.parametrize("shape", [(trees.SIDE, trees.SIDE), (trees.SIDE + 40, trees.SIDE + 10)])
    def test_carvemix_pastes_lesion_and_organ_as_its_source_has_them(self, shape):
        background, source = case(0, region=True), case(1, shape, region=True)
        fitted, grown = fit(source, background), 0
        for seed in range(8):
            pasted = paste(background, source, seed=seed, object_transform=None, blend="carvemix")
            offset, carved = pasted.record["placement"]["offset_px"], pasted.soft_mask > 0
            for name in ("lesion", "region"):
                expected = np.where(carved, shifted(getattr(fitted, name), offset), getattr(background, name))
                assert np.array_equal(getattr(pasted.sample, name), expected)
            grown += (carved & pasted.sample.region).sum()
        assert grown > 0

    def test_without_a_region_none_comes_out(self):
        assert paste(case(0), case(1)).sample.region is None

    @pytest.mark.parametrize("when", ["background_transform", "image_transform"])
    def test_a_crop_moves_image_lesion_and_region_together(self, when):
        organ, lesion = trees.organ(), trees.lesion(0)
        image = np.stack([organ * 200, lesion * 200, organ * 0], axis=2).astype(np.uint8)  # each channel marks one
        background = Sample(image, lesion, organ & ~lesion)
        source = Sample(np.broadcast_to(np.array([0, 0, 200], np.uint8), image.shape).copy(), trees.lesion(1))
        crop = {"p_crop": 1.0, "p_gamma": 0.0, "p_noise": 0.0, "p_blur": 0.0, "crop": (0.6, 0.8)}
        for seed in range(6):
            pasted = paste(background, source, organ, seed=seed, **HARD, **{when: crop})
            assert pasted.status == "pasted"
            in_organ, in_lesion, new = np.moveaxis(pasted.sample.image > 100, 2, 0)
            assert new.any()
            assert trees.equal_but_for_an_edge(pasted.sample.lesion, in_lesion | new)
            assert trees.equal_but_for_an_edge(pasted.sample.region, in_organ & ~in_lesion & ~new)
            assert in_organ.sum() > 1.2 * organ.sum()  # it is in the middle: a crop enlarges it
            placed = pasted.record["placement"]
            assert placed["region_overlap_px"] >= 0.5 * placed["area_px"]

    def test_nothing_is_changed_in_place(self):
        background, source = case(0, region=True), case(1)
        arrays = [background.image, background.lesion, background.region, source.image, source.lesion]
        kept = [array.copy() for array in arrays]
        paste(background, source, background.region)
        assert all(np.array_equal(a, b) for a, b in zip(arrays, kept, strict=True))

    def test_no_legal_place_leaves_the_background_alone(self):
        background, source = case(0), case(1)
        background.lesion[:] = True
        pasted = paste(background, source)
        assert pasted.status == "no_legal_place"
        assert np.array_equal(pasted.sample.image, background.image)
        assert np.array_equal(pasted.sample.lesion, background.lesion)
        assert not pasted.soft_mask.any()

    def test_a_source_without_a_lesion(self):
        source = case(1)
        source.lesion[:] = False
        assert paste(case(0), source).status == "empty_source"

    @pytest.mark.parametrize("where", [(0, 0), (63, 63), (20, 0), (31, 32)])
    def test_a_lesion_of_one_pixel(self, where):
        background, source = case(0), case(1)
        source.lesion[:] = False
        source.lesion[where] = True
        pasted = paste(background, source, **{**HARD, "k_erode": 1})
        assert pasted.status == "pasted"
        assert (pasted.sample.lesion & ~background.lesion).sum() == 1

    def test_the_seed_decides_and_nothing_else(self):
        first = paste(case(0), case(1), seed=5)
        torch.manual_seed(99)
        again, other = paste(case(0), case(1), seed=5), paste(case(0), case(1), seed=6)
        assert np.array_equal(first.sample.image, again.sample.image)
        assert not np.array_equal(first.sample.image, other.sample.image)


class TestFit:
    def test_the_same_size_depth_and_channels_stay(self):
        source = case(1)
        fitted = fit(source, case(0))
        assert np.array_equal(fitted.image, source.image)
        assert np.array_equal(fitted.lesion, source.lesion)

    def test_8_bits_become_16_full_scale_and_back(self):
        eight, sixteen = case(1), case(0, dtype=np.uint16)
        up = fit(eight, sixteen)
        assert up.image.dtype == np.uint16
        assert np.array_equal(up.image, eight.image.astype(int) * 257)
        assert np.array_equal(fit(up, eight).image, eight.image)

    def test_grey_becomes_rgb_and_rgb_grey(self):
        grey, colour = case(1, channels=1), case(0)
        assert np.array_equal(fit(grey, colour).image, np.repeat(grey.image, 3, axis=2))
        found = fit(colour, grey).image
        assert found.shape == grey.image.shape
        assert (found >= colour.image.min(axis=2, keepdims=True)).all()
        assert (found <= colour.image.max(axis=2, keepdims=True)).all()

    @pytest.mark.parametrize("frame", [(64, 64), (32, 32), (128, 128), (40, 90), (90, 40), (33, 65), (64, 200)])
    @pytest.mark.parametrize("size", [(64, 64), (48, 96), (100, 30)])
    def test_another_size_keeps_shape_and_share_of_the_lesion(self, frame, size):
        source, background = case(2, size), case(0, frame)
        fitted = fit(source, background)
        scale = min(frame[0] / size[0], frame[1] / size[1])
        assert fitted.image.shape == background.image.shape
        assert fitted.lesion.shape == background.lesion.shape
        old, new = (np.argwhere(sample.lesion) for sample in (source, fitted))
        edge = 2 * (np.ptp(old, axis=0) + 1).sum() * scale  # an outline that is one pixel off, on either side
        assert abs(len(new) - len(old) * scale**2) <= edge / 2
        assert np.allclose(np.ptp(new, axis=0) + 1, (np.ptp(old, axis=0) + 1) * scale, atol=1.5)
        spare = (np.array(frame) - np.array(size) * scale) / 2
        assert np.allclose(new.mean(axis=0) + 0.5, (old.mean(axis=0) + 0.5) * scale + spare, atol=1)
        assert ndimage.label(fitted.lesion)[1] == 1

    @pytest.mark.parametrize("frame", [(32, 32), (128, 96), (50, 200)])
    def test_image_and_lesion_stay_on_one_grid(self, frame):
        size = (64, 80)
        lesion = trees.lesion(2, size)
        image = np.where(lesion, 200, 40).astype(np.uint8)[:, :, None]
        fitted = fit(Sample(image, lesion), case(0, frame, channels=1))
        grey = fitted.image[:, :, 0]
        assert (grey[ndimage.binary_erosion(fitted.lesion)] > 120).all()
        assert (grey[~ndimage.binary_dilation(fitted.lesion)] < 120).all()

    def test_a_lesion_on_the_border_stays_whole(self):
        source = case(2, (40, 80))
        source.lesion[:] = False
        source.lesion[0:10, 70:80] = True
        fitted = fit(source, case(0, (80, 40)))
        assert fitted.lesion.sum() == 25
        assert fitted.lesion[:, -1].any()

    def test_no_new_brightness(self):
        source = case(2, (50, 70), dtype=np.uint16)
        fitted = fit(source, case(0, (90, 64), dtype=np.uint16))
        assert fitted.image.min() >= source.image.min()
        assert fitted.image.max() <= source.image.max()

    def test_a_lesion_too_small_to_survive_scaling_is_reported(self):
        source = case(2, (256, 256))
        source.lesion[:] = False
        source.lesion[8, 8] = True
        pasted = paste(case(0, (16, 16)), source)
        assert pasted.status in ("empty_source", "pasted")
        assert pasted.sample.lesion.any() == trees.lesion(0, (16, 16)).any()

    def test_a_frame_without_common_shape(self):
        pasted = paste(case(0, (12, 120)), case(2, (120, 12)))
        assert pasted.status in ("pasted", "empty_source", "no_legal_place")
        assert pasted.sample.image.shape == (12, 120, 3)
