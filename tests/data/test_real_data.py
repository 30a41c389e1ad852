"""The real data sets, as their publishers lay them out: counts, traps, and a new case in each."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from softcp_gpu.data import MaskStyle, check_sizes, find_layout, make_split, training_cases

pytestmark = pytest.mark.real_data

SETS = {
    "busi": ("busi", 145),
    "lgg": ("lgg", 471),
    "kvasir": ("kvasir-seg-352", 1000),
    "isic": ("isic2017", 3),
    "ph2": ("ph2", 6),
    "kits2d": ("kits19_2d_slices", 24),
}


@pytest.fixture
def listed(real_data):
    def listing(name):
        root = real_data / SETS[name][0]
        if not root.is_dir():
            pytest.skip(f"no real data: {root} is not a folder")
        layout = find_layout(root)
        assert layout.name == name
        cases, problems = layout.cases(root)
        assert problems == []
        return layout, cases

    return listing


@pytest.mark.parametrize("name", SETS)
def test_every_image_has_a_mask_of_its_size(listed, name):
    _, cases = listed(name)
    assert len(cases) == SETS[name][1]
    assert check_sizes(cases) == (cases, [])


@pytest.mark.parametrize("name", SETS)
def test_a_new_case_reads_back_identically(listed, name, tmp_path):
    layout, cases = listed(name)
    like = min(cases, key=lambda case: case.image.stat().st_size)
    source = cases[0]  # for BUSI a benign one
    sample = layout.load(like)
    lesion = sample.lesion.copy()
    lesion[3:17, 5:9] = True
    region = None if sample.region is None else sample.region & ~lesion
    image, _ = layout.save(tmp_path, "synth_000001", like, sample.image, lesion, region, source=source)
    assert find_layout(tmp_path) is layout
    [case], problems = layout.cases(tmp_path)
    assert problems == []
    again = layout.load(case)
    assert np.array_equal(again.lesion, lesion)
    assert np.array_equal(again.region, region) or region is None
    assert image.suffix == ".jpg" or np.array_equal(again.image, sample.image)
    with Image.open(like.image) as old, Image.open(image) as new:
        assert (old.format, old.mode, old.size) == (new.format, new.mode, new.size)


def test_busi_classes_several_masks_and_odd_modes(listed):
    layout, cases = listed("busi")
    assert Counter(case.image.parent.name for case in cases) == {"benign": 85, "malignant": 50, "normal": 10}
    several = [case for case in cases if len(case.masks) > 1]
    assert len(several) == 17
    assert {case.style for case in cases} == {MaskStyle(bits=1)}
    by_id = {case.id: case for case in cases}
    for case in (*several, by_id["benign (4)"], by_id["benign (54)"]):
        assert layout.load(case).lesion.any()
    assert not any(layout.load(case).lesion.any() for case in cases if case.image.parent.name == "normal")


def test_lgg_patients_and_empty_slices(listed):
    layout, cases = listed("lgg")
    assert len({case.patient for case in cases}) == 110
    assert sum(bool(layout.read_labels(case)[0].any()) for case in cases) == 337
    assert layout.load(cases[0]).image.shape == (256, 256, 3)
    parts = make_split(cases)
    assert sum(len({case.patient for case in part}) for part in parts) == 110
    assert abs(len(parts.train) - 471 * 5 / 7) < 24  # the slices of one patient


def test_kvasir_has_its_own_split_and_noisy_masks(listed):
    layout, cases = listed("kvasir")
    assert [len(part) for part in make_split(cases)] == [800, 100, 100]
    assert len({case.id for case in cases}) == 1000
    assert all(layout.read_labels(case)[0].any() for case in cases[::20])


def test_isic_is_a_test_part_alone(listed):
    _, cases = listed("isic")
    assert [len(part) for part in make_split(cases)] == [0, 0, 3]
    assert len(training_cases(cases, own=False)) == 1


def test_ph2_masks_have_1_bit_but_for_one(listed):
    layout, cases = listed("ph2")
    assert {case.style for case in cases} == {MaskStyle(bits=1)}
    assert all(0.1 < layout.read_labels(case)[0].mean() < 0.9 for case in cases)


def test_kits2d_tumours_kidneys_and_patients(listed):
    layout, cases = listed("kits2d")
    labels = [layout.read_labels(case) for case in cases]
    assert sum(bool(lesion.any()) for lesion, _ in labels) == 21
    assert not any((lesion & region).any() for lesion, region in labels)
    assert len({case.patient for case in cases}) == 5
