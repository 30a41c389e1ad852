import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from softcp_gpu.data import (
    LAYOUTS,
    VOLUME_LAYOUTS,
    Case,
    DataError,
    find_layout,
    read_grid,
    read_volume,
    write_image,
    write_mask,
)
from softcp_gpu.data import volume_layout as module
from softcp_gpu.data.volume_io import read_header
from softcp_gpu.data.volume_labels import label_ids
from tests.data.volumes import SHAPE, SLICES_FIRST, oblique, put, put_series, values_of

pytest.importorskip("SimpleITK")


def labels_of(dtype="uint8", ids=(1, 2)):
    """A box of the first id, and in it a smaller one of the others."""
    labels = np.zeros(SHAPE, dtype)
    labels[1:5, 1:6, 1:7] = ids[0]
    for k, label in enumerate(ids[1:]):
        labels[2:4, 2:4, 2 + 2 * k : 4 + 2 * k] = label
    return labels


def description(root, labels=None, channels=("CT", "PET"), **more):
    content = {
        "channel_names": {str(k): name for k, name in enumerate(channels)},
        "labels": labels or {"background": 0, "kidney": 1, "Kidney tumour": 2},
        "numTraining": 3,
        "file_ending": ".nrrd",
        **more,
    }
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.json").write_text(json.dumps(content))


def kits19(root):
    for name in ("case_00002", "case_00010"):
        put(root / name / "imaging.nii.gz", values_of("int16"), direction=SLICES_FIRST)
        put(root / name / "segmentation.nii.gz", labels_of(), direction=SLICES_FIRST)


def nnunet(root):
    for name in ("a_1", "a_2", "a_10"):
        for k, dtype in enumerate(("int16", "float32")):
            put(root / "imagesTr" / f"{name}_{k:04d}.nrrd", values_of(dtype), direction=oblique())
        put(root / "labelsTr" / f"{name}.nrrd", labels_of(), direction=oblique())
    description(root)


def brats(root):
    for name in ("BraTS20_Training_002", "BraTS20_Training_010"):
        for kind in ("flair", "t1", "t1ce", "t2"):
            put(root / name / f"{name}_{kind}.nii.gz", values_of("int16"))
        put(root / name / f"{name}_seg.nii.gz", labels_of("float32", ids=(2, 1, 4)))


def volume_pairs(root):
    for name in ("a1", "a2", "a10"):
        put(root / "images" / f"{name}.nii.gz", values_of("float32"), direction=oblique())
        put(root / "masks" / f"{name}.nii.gz", labels_of("int16"), direction=oblique())


def deepmedic(root):
    """BraTS 2015 as deepmedic has it: files without the case's name, and a brain mask."""
    for name in ("brats_2013_pat0001_1", "brats_2013_pat0001_2", "brats_2013_pat0002_1"):
        for kind in ("Flair_subtrMeanDivStd", "T1c_subtrMeanDivStd"):
            put(root / name / f"{kind}.nii.gz", values_of("float32"))
        put(root / name / "OTMultiClass.nii.gz", labels_of("float32", ids=(1, 4)))
        put(root / name / "brainmask.nii.gz", (labels_of() > 0).astype(np.float32))


def side_by_side(root):
    for name in ("brain1", "lung1"):
        put(root / f"{name}_image.nrrd", values_of("int16"))
        put(root / f"{name}_label.nrrd", labels_of("int32"))


TREES = {
    "kits19": kits19,
    "nnunet": nnunet,
    "brats": brats,
    "volume_pairs": volume_pairs,
    "deepmedic": deepmedic,
    "side_by_side": side_by_side,
}
LAYOUT_OF = {"deepmedic": "brats", "side_by_side": "volume_pairs"}
IDS = {
    "kits19": ["case_00002", "case_00010"],
    "nnunet": ["a_1", "a_2", "a_10"],
    "brats": ["BraTS20_Training_002", "BraTS20_Training_010"],
    "volume_pairs": ["a1", "a2", "a10"],
    "deepmedic": ["brats_2013_pat0001_1", "brats_2013_pat0001_2", "brats_2013_pat0002_1"],
    "side_by_side": ["brain1", "lung1"],
}
BRATS_NEW = "BraTS20_Training_002_{0}"
WRITTEN = {
    "kits19": ["case_00002_{}/imaging.nii.gz", "case_00002_{}/segmentation.nii.gz"],
    "nnunet": ["imagesTr/{}_0000.nrrd", "imagesTr/{}_0001.nrrd", "labelsTr/{}.nrrd"],
    "brats": [f"{BRATS_NEW}/{BRATS_NEW}_{kind}.nii.gz" for kind in ("flair", "t1", "t1ce", "t2", "seg")],
    "volume_pairs": ["images/{}.nii.gz", "masks/{}.nii.gz"],
    "deepmedic": [
        f"brats_2013_pat0001_1_{{}}/{name}.nii.gz"
        for name in ("Flair_subtrMeanDivStd", "T1c_subtrMeanDivStd", "brainmask", "OTMultiClass")
    ],
    "side_by_side": ["{}_image.nrrd", "{}_label.nrrd"],
}
every_tree = pytest.mark.parametrize("name", TREES)


def found(root):
    layout = find_layout(root)
    cases, problems = layout.cases(root)
    return layout, cases, problems


def pasted(sample):
    """What a paste would leave: a few other voxels, and their labels."""
    image, labels = sample.image.copy(), sample.labels.copy()
    image[4, 4, 1:4] += 1
    labels[4, 4, 1:4] = labels.max()
    return image, labels


def test_every_layout_has_a_tree_here():
    assert {LAYOUT_OF.get(name, name) for name in TREES} == set(VOLUME_LAYOUTS)


class TestEveryLayout:
    @every_tree
    @pytest.mark.parametrize("wrapper", [".", "archive", "archive/data set"])
    def test_is_found_and_listed_in_natural_order(self, tmp_path, name, wrapper):
        TREES[name](tmp_path / wrapper)
        layout, cases, problems = found(tmp_path)
        assert layout.name == LAYOUT_OF.get(name, name)
        assert [case.id for case in cases] == IDS[name]
        assert problems == []
        assert {case.layout for case in cases} == {layout.name}
        assert not any(case.synthetic for case in cases)
        assert layout.check_headers(cases) == (cases, [])
        assert layout.absent_labels(cases) == []
        assert find_layout(tmp_path, layout.name) is layout
        assert not any(other.fits(cases[0].root) for other in LAYOUTS.values())

    @every_tree
    def test_loads_what_is_in_the_files(self, tmp_path, name):
        TREES[name](tmp_path)
        layout, cases, _ = found(tmp_path)
        for case in cases:
            sample = layout.load(case)
            channels = [read_volume(path).values for path in (case.image, *case.channels)]
            assert sample.image.dtype == np.result_type(*channels)
            assert np.array_equal(sample.image, np.stack(channels, axis=-1))
            mask = read_volume(case.masks[0]).values
            assert np.array_equal(sample.labels, mask)
            assert sample.labels.dtype == np.uint8
            assert sample.grid == read_grid(case.image)
            assert np.array_equal(sample.lesion, mask == 2 if name in ("kits19", "nnunet") else mask > 0)
            assert (sample.region is not None) == (name in ("kits19", "deepmedic"))
            lesion, region = layout.read_labels(case)
            assert np.array_equal(lesion, sample.lesion)
            assert np.array_equal(region, sample.region)

    @every_tree
    def test_labels_are_read_without_the_images(self, tmp_path, name):
        TREES[name](tmp_path)
        layout, [case, *_], _ = found(tmp_path)
        for path in (case.image, *case.channels):
            path.unlink()
        assert layout.read_labels(case)[0].any()

    @every_tree
    def test_saves_a_case_that_reads_back_identically(self, tmp_path, name):
        TREES[name](tmp_path / "data")
        layout, [like, *_], _ = found(tmp_path / "data")
        before = layout.load(like)
        image, labels = pasted(before)
        out = tmp_path / "out"
        region = ~before.lesion if name == "deepmedic" else before.region
        paths = layout.save(out, "synth_00-1a", like, image, labels, region)
        assert [path.relative_to(out).as_posix() for path in paths] == [w.format("synth_00-1a") for w in WRITTEN[name]]
        extra = [out / "dataset.json"] if name == "nnunet" else []
        assert sorted(path for path in out.rglob("*") if path.is_file()) == sorted(paths + extra)

        again, [case], problems = found(out)
        assert (again, problems) == (layout, [])
        assert case.id.endswith("synth_00-1a")
        assert case.synthetic
        assert (case.patient, case.split) == (like.patient, like.split)
        assert len(case.channels) == len(like.channels)
        sample = layout.load(case)
        assert np.array_equal(sample.image, image)
        assert np.array_equal(sample.labels, labels)
        assert sample.grid == before.grid
        if name == "deepmedic":
            assert np.array_equal(sample.region, region)
        for new, old in zip(
            paths, [like.image, *like.channels, *filter(None, [like.region]), *like.masks], strict=True
        ):
            assert read_header(new) == read_header(old)  # grid and dtype, bit for bit

    @every_tree
    def test_a_new_case_can_be_the_background_of_another(self, tmp_path, name):
        TREES[name](tmp_path / "data")
        layout, [like, *_], _ = found(tmp_path / "data")
        layout.save(tmp_path / "one", "synth_1", like, *pasted(layout.load(like)))
        _, [case], _ = found(tmp_path / "one")
        layout.save(tmp_path / "two", "synth_2", case, *pasted(layout.load(case)))
        _, [new], _ = found(tmp_path / "two")
        assert "synth_1" not in new.id
        assert new.id.endswith("synth_2")
        assert new.patient == like.patient

    @every_tree
    @pytest.mark.parametrize("new_id", ["a1", "synth_", "synth_../../x", "synth_a/b", "synth_1_seg"])
    def test_saves_under_no_name_that_misleads_or_escapes(self, tmp_path, name, new_id):
        TREES[name](tmp_path / "data")
        layout, [like, *_], _ = found(tmp_path / "data")
        with pytest.raises(DataError, match="an id of synth_"):
            layout.save(tmp_path / "out", new_id, like, *pasted(layout.load(like)))
        assert not (tmp_path / "out").exists()

    @every_tree
    def test_saves_no_odd_image_labels_or_region(self, tmp_path, name):
        TREES[name](tmp_path / "data")
        layout, [like, *_], _ = found(tmp_path / "data")
        image, labels = pasted(layout.load(like))
        odd = "expected an image", "expected labels", "expected a bool region"
        for arrays, message in (
            ((image[1:], labels), odd[0]),
            ((image.astype(np.float64), labels), odd[0]),
            ((np.concatenate([image, image], axis=-1), labels), odd[0]),
            ((image, labels[1:]), odd[1]),
            ((image, labels.astype(np.float32)), odd[1]),
            ((image, labels, labels), odd[2]),
            ((image, labels, labels[1:] > 0), odd[2]),
        ):
            with pytest.raises(DataError, match=f"{message}.* synth_1"):
                layout.save(tmp_path / "out", "synth_1", like, *arrays)
        assert not (tmp_path / "out").exists()

    @every_tree
    @pytest.mark.parametrize("fails_at", [0, 1, -1])
    def test_no_file_of_a_failed_save_is_left(self, tmp_path, name, fails_at, monkeypatch):
        TREES[name](tmp_path / "data")
        layout, [like, *_], _ = found(tmp_path / "data")
        arrays = pasted(layout.load(like))
        last, write, written = len(WRITTEN[name]) + min(fails_at, 0), module.write_volume, []

        def failing(path, volume, **more):
            if len(written) == (fails_at if fails_at >= 0 else last):
                raise KeyboardInterrupt
            written.append(path)
            write(path, volume, **more)

        monkeypatch.setattr(module, "write_volume", failing)
        with pytest.raises(KeyboardInterrupt):
            layout.save(tmp_path / "out", "synth_1", like, *arrays)
        assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []

    @every_tree
    def test_files_on_different_grids_are_reported_early_and_on_loading(self, tmp_path, name):
        TREES[name](tmp_path)
        layout, cases, _ = found(tmp_path)
        first = cases[0]
        for path in (*first.channels, *filter(None, [first.region]), *first.masks):
            before = path.read_bytes()
            put(path, read_volume(path).values, spacing=(0.7, 0.8, 4.0))
            good, [problem] = layout.check_headers(cases)
            assert good == cases[1:]
            assert problem.path == path
            with pytest.raises(DataError) as caught:
                layout.load(first)
            assert f"the grid of {first.image.name}, 9 x 7 x 6 voxels of 0.703125 x 0.8 x 5 mm" in str(caught.value)
            assert "found 9 x 7 x 6 voxels of 0.7 x 0.8 x 4 mm" in str(caught.value)
            path.write_bytes(before)

    @every_tree
    def test_a_truncated_file_loses_its_own_case_only(self, tmp_path, name):
        TREES[name](tmp_path)
        _, [first, *_], _ = found(tmp_path)
        for path in (first.image, first.masks[0]):
            before = path.read_bytes()
            path.write_bytes(before[: len(before) * 9 // 10])
            layout, cases, problems = found(tmp_path)
            assert problems == []
            with pytest.raises(DataError, match="whole") as caught:
                layout.load(cases[0])
            assert str(path) in str(caught.value)
            assert layout.load(cases[1]).image.shape[:3] == SHAPE
            path.write_bytes(before)

    @every_tree
    def test_an_image_and_a_mask_alone_are_reported_and_the_rest_is_kept(self, tmp_path, name):
        TREES[name](tmp_path)
        _, cases, _ = found(tmp_path)
        mask = cases[0].masks[0]
        content = mask.read_bytes()
        mask.unlink()
        _, rest, [problem] = found(tmp_path)
        assert [case.id for case in rest] == IDS[name][1:]
        assert problem.path in (cases[0].image, cases[0].image.parent)
        mask.write_bytes(content)
        for path in (cases[-1].image, *cases[-1].channels):
            path.unlink()
        _, rest, [problem] = found(tmp_path)
        assert [case.id for case in rest] == IDS[name][:-1]
        assert problem.path in (cases[-1].masks[0], cases[-1].masks[0].parent)

    @every_tree
    def test_hidden_files_are_not_data(self, tmp_path, name):
        TREES[name](tmp_path / "data")
        for path in [path for path in tmp_path.rglob("*.*") if path.is_file()]:
            path.with_name("._" + path.name).write_bytes(b"\0\5\26\7")
        TREES[name](tmp_path / "__MACOSX")
        _, cases, problems = found(tmp_path)
        assert [case.id for case in cases] == IDS[name]
        assert problems == []

    @every_tree
    def test_other_roles_make_another_layout_and_leave_this_one_alone(self, tmp_path, name):
        TREES[name](tmp_path)
        layout, [case, *_], _ = found(tmp_path)
        mask = layout.load(case).labels
        other = layout.with_roles(lesion=(1,), region=[2, 4])
        lesion, region = other.read_labels(case)
        assert np.array_equal(lesion, mask == 1)
        assert np.array_equal(region, (mask == 2) | (mask == 4))
        assert np.array_equal(other.with_roles(lesion=(2,)).read_labels(case)[1], region)
        before = layout.read_labels(case)[1]
        if name != "deepmedic":
            assert other.with_roles(region=()).read_labels(case)[1] is None
        assert np.array_equal(layout.read_labels(case)[1], before)
        assert other.name == layout.name

    @every_tree
    def test_a_label_that_no_case_has_is_reported_with_those_that_there_are(self, tmp_path, name):
        TREES[name](tmp_path)
        layout, cases, _ = found(tmp_path)
        there = sorted({int(label) for case in cases for label in np.unique(layout.load(case).labels)})
        lesion, region = layout.with_roles(lesion=(1, 9), region=(77,)).absent_labels(cases)[::-1]
        listed = ", ".join(map(str, there))
        assert lesion.reason == f"expected the label 9 (lesion) in at least one mask, found the labels {listed}"
        assert region.reason == f"expected the label 77 (region) in at least one mask, found the labels {listed}"
        assert lesion.path == cases[0].root


class TestFinding:
    def test_a_2d_folder_is_of_no_volume_layout(self, tmp_path):
        for name in ("a", "b"):
            write_image(tmp_path / "images" / f"{name}.png", np.zeros((8, 8, 1), np.uint8))
            write_mask(tmp_path / "masks" / f"{name}.png", np.eye(8, dtype=bool))
        put(tmp_path / "images" / "stray.nii.gz", values_of("int16"))
        assert find_layout(tmp_path).name == "pairs"
        assert not any(layout.fits(tmp_path) for layout in VOLUME_LAYOUTS.values())

    def test_a_folder_of_volumes_is_not_pairs_even_if_asked_for(self, tmp_path):
        volume_pairs(tmp_path)
        with pytest.raises(DataError, match="expected the layout pairs"):
            find_layout(tmp_path, "pairs")

    def test_layouts_of_volumes_are_named_where_none_fits(self, tmp_path):
        with pytest.raises(DataError) as caught:
            find_layout(tmp_path)
        assert all(f"{name}: " in str(caught.value) for name in VOLUME_LAYOUTS)
        with pytest.raises(DataError, match=r"a layout of busi, .*kits19, brats, volume_pairs, found 'msd'"):
            find_layout(tmp_path, "msd")

    def test_two_data_sets(self, tmp_path):
        kits19(tmp_path / "one")
        brats(tmp_path / "two")
        with pytest.raises(DataError, match=r"found several: one \(kits19\), two \(brats\)"):
            find_layout(tmp_path)

    def test_without_simpleitk_the_first_thing_to_hear_is_what_to_install(self, tmp_path, monkeypatch):
        kits19(tmp_path)
        monkeypatch.setitem(sys.modules, "SimpleITK", None)
        layout = find_layout(tmp_path)
        with pytest.raises(DataError, match=r"pip install 'softcp-gpu\[volumes\]'"):
            layout.cases(tmp_path)


class TestRoles:
    @pytest.mark.parametrize(
        ("roles", "message"),
        [
            ({"lesion": ()}, "lesion: expected at least one label id, found none"),
            ({"lesion": (0,)}, r"lesion: expected whole class ids, 1 or more, found \(0,\)"),
            ({"region": (1.5,)}, "region: expected whole class ids"),
        ],
    )
    def test_what_is_no_label_id_is_refused(self, roles, message):
        with pytest.raises(ValueError, match=message):
            VOLUME_LAYOUTS["kits19"].with_roles(**roles)

    @pytest.mark.parametrize("name", LAYOUTS)
    @pytest.mark.parametrize("role", ["lesion", "region"])
    def test_2d_layouts_have_none(self, name, role):
        for ids, found in (((1,), r"\(1,\)"), ((), r"\(\)")):
            with pytest.raises(ValueError, match=rf"{role}: expected no label ids for the layout {name}, .* {found}"):
                LAYOUTS[name].with_roles(**{role: ids})
        assert LAYOUTS[name].with_roles() is LAYOUTS[name]
        assert LAYOUTS[name].absent_labels([]) == []

    def test_a_case_without_lesion_is_a_background(self, tmp_path):
        kits19(tmp_path)
        put(tmp_path / "case_00002" / "segmentation.nii.gz", labels_of(ids=(1,)), direction=SLICES_FIRST)
        layout, cases, _ = found(tmp_path)
        assert not layout.load(cases[0]).lesion.any()
        assert layout.absent_labels(cases) == []
        assert [str(problem.reason)[:30] for problem in layout.absent_labels(cases[:1])] == [
            "expected the label 2 (lesion) "
        ]

    def test_masks_are_read_only_until_every_id_was_seen(self, tmp_path, monkeypatch):
        kits19(tmp_path)
        layout, cases, _ = found(tmp_path)
        read = []
        monkeypatch.setattr(module, "read_volume", lambda path: read.append(path) or read_volume(path))
        assert layout.absent_labels(cases) == []
        assert read == [cases[0].masks[0]]

    def test_a_mask_that_cannot_be_read_does_not_hide_the_labels_of_the_others(self, tmp_path):
        kits19(tmp_path)
        (tmp_path / "case_00002" / "segmentation.nii.gz").write_bytes(b"")
        layout, cases, _ = found(tmp_path)
        assert layout.absent_labels(cases) == []

    @pytest.mark.parametrize(
        ("value", "message"),
        [(1.5, "whole numbers, found the value 1.5"), (-1, "0 and more, found values from -1")],
    )
    def test_a_mask_that_holds_no_label_ids_is_refused(self, tmp_path, value, message):
        brats(tmp_path)
        layout, [case, *_], _ = found(tmp_path)
        labels = labels_of("float32")
        labels[3, 3, 3] = value
        put(case.masks[0], labels)
        for read in (layout.load, layout.read_labels):
            with pytest.raises(DataError, match=message) as caught:
                read(case)
            assert str(case.masks[0]) in str(caught.value)

    @pytest.mark.parametrize("value", [np.nan, np.inf, 2.0**40])
    def test_what_is_no_number_or_too_large_is_no_label_id(self, value):
        with pytest.raises(DataError, match=r"a.nrrd: expected label ids of 0 and more, found values"):
            label_ids(Path("a.nrrd"), np.array([0.0, value]))

    def test_ids_above_255_have_a_wider_type(self, tmp_path):
        volume_pairs(tmp_path)
        layout, [case, *_], _ = found(tmp_path)
        put(case.masks[0], labels_of("int16", ids=(1, 300)), direction=oblique())
        sample = layout.load(case)
        assert sample.labels.dtype == np.uint16
        assert sample.labels.max() == 300

    def test_an_id_that_the_mask_file_cannot_hold_is_refused(self, tmp_path):
        kits19(tmp_path / "data")
        layout, [case, *_], _ = found(tmp_path / "data")
        sample = layout.load(case)
        with pytest.raises(DataError, match=r"segmentation.nii.gz: expected values that uint8 holds, found 0 to 256"):
            layout.save(tmp_path / "out", "synth_1", case, sample.image, sample.labels * np.uint16(128))
        assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


class TestKits19:
    def test_the_region_is_kidney_and_tumour_and_the_patient_is_the_folder(self, tmp_path):
        kits19(tmp_path)
        layout, [case, *_], _ = found(tmp_path)
        sample = layout.load(case)
        assert np.array_equal(sample.region, labels_of() > 0)
        assert np.array_equal(sample.lesion, labels_of() == 2)
        assert case.patient == "case_00002"
        assert sample.grid.spacing_mm == pytest.approx((5.0, 0.8, 0.703125))

    def test_labels_alone_are_reported_case_by_case(self, tmp_path):
        kits19(tmp_path)
        for path in tmp_path.rglob("imaging.nii.gz"):
            path.unlink()
        _, cases, problems = found(tmp_path)
        assert cases == []
        assert [str(problem) for problem in problems] == [
            f"{tmp_path / name / 'segmentation.nii.gz'}: a mask without an image: expected imaging.nii.gz, found none"
            for name in IDS["kits19"]
        ]


class TestBrats:
    def test_names_of_2023_and_its_visits(self, tmp_path):
        for name in ("BraTS-GLI-00005-000", "BraTS-GLI-00005-001"):
            for kind in ("t1c", "t1n", "t2f", "t2w"):
                put(tmp_path / name / f"{name}-{kind}.nii.gz", values_of("int16"))
            put(tmp_path / name / f"{name}-seg.nii.gz", labels_of())
        layout, cases, problems = found(tmp_path)
        assert (layout.name, problems) == ("brats", [])
        assert [case.patient for case in cases] == ["BraTS-GLI-00005"] * 2
        assert [path.name[20:] for path in (cases[0].image, *cases[0].channels)] == [
            "t1c.nii.gz",
            "t1n.nii.gz",
            "t2f.nii.gz",
            "t2w.nii.gz",
        ]
        paths = layout.save(tmp_path / "out", "synth_1", cases[0], *pasted(layout.load(cases[0])))
        assert paths[-1].name == "BraTS-GLI-00005-000_synth_1-seg.nii.gz"

    def test_visits_of_2015_are_one_patient(self, tmp_path):
        deepmedic(tmp_path)
        patients = [case.patient for case in found(tmp_path)[1]]
        assert patients == ["brats_2013_pat0001", "brats_2013_pat0001", "brats_2013_pat0002"]

    def test_grades_are_one_data_set_and_new_cases_go_to_their_own(self, tmp_path):
        for grade in ("HGG", "LGG"):
            brats(tmp_path / "data" / grade)
        for path in (tmp_path / "data" / "LGG").rglob("*"):
            path.rename(path.with_name(path.name.replace("Training", "LGG")))
        # the folders were renamed first, so the files are found by another walk
        for path in [path for path in (tmp_path / "data" / "LGG").rglob("*.gz") if "Training" in path.name]:
            path.rename(path.with_name(path.name.replace("Training", "LGG")))
        layout, cases, problems = found(tmp_path / "data")
        assert problems == []
        assert len(cases) == 4
        paths = layout.save(tmp_path / "out", "synth_1", cases[-1], *pasted(layout.load(cases[-1])))
        assert paths[0].relative_to(tmp_path / "out").parts[:2] == ("LGG", "BraTS20_LGG_010_synth_1")

    def test_a_case_with_other_channels_than_most_is_reported(self, tmp_path):
        deepmedic(tmp_path)
        (tmp_path / "brats_2013_pat0002_1" / "T1c_subtrMeanDivStd.nii.gz").unlink()
        _, cases, [problem] = found(tmp_path)
        assert [case.id for case in cases] == IDS["deepmedic"][:2]
        assert problem.path == tmp_path / "brats_2013_pat0002_1"
        assert problem.reason == "expected the channels flair, t1c as in most cases, found flair"

    def test_a_mask_named_after_its_channel_is_no_channel(self, tmp_path):
        put(tmp_path / "p1" / "p1_t1.nii.gz", values_of("int16"))
        put(tmp_path / "p1" / "p1_t1_seg.nii.gz", labels_of())
        layout, [case], problems = found(tmp_path)
        assert (layout.name, problems) == ("brats", [])
        assert case.channels == ()

    def test_two_masks_are_one_too_many(self, tmp_path):
        brats(tmp_path)
        folder = tmp_path / "BraTS20_Training_002"
        put(folder / "other_seg.nii.gz", labels_of())
        _, [case], [problem] = found(tmp_path)
        assert case.id == "BraTS20_Training_010"
        assert problem.path == folder
        assert "one mask" in problem.reason
        assert "other_seg.nii.gz" in problem.reason

    def test_the_brain_mask_is_the_region_and_is_copied_where_none_is_given(self, tmp_path):
        deepmedic(tmp_path / "data")
        layout, [case, *_], _ = found(tmp_path / "data")
        sample = layout.load(case)
        assert np.array_equal(sample.region, labels_of() > 0)
        layout.save(tmp_path / "out", "synth_1", case, *pasted(sample))
        _, [new], _ = found(tmp_path / "out")
        assert np.array_equal(layout.load(new).region, sample.region)


class TestNnUnet:
    def test_channels_of_several_types_keep_theirs(self, tmp_path):
        nnunet(tmp_path / "data")
        layout, [case, *_], _ = found(tmp_path / "data")
        sample = layout.load(case)
        assert sample.image.dtype == np.float32
        sample.image[0, 0, 0] = 1.6, 1.6
        sample.image[0, 0, 1] = 1e9, 1e9
        paths = layout.save(tmp_path / "out", "synth_1", case, sample.image, sample.labels)
        ct, pet = (read_volume(path).values for path in paths[:2])
        assert (ct.dtype, pet.dtype) == (np.int16, np.float32)
        assert ct[0, 0, :2].tolist() == [2, 32767]
        assert pet[0, 0, :2] == pytest.approx([1.6, 1e9])

    def test_a_missing_channel_or_mask_is_the_problem_of_its_case(self, tmp_path):
        nnunet(tmp_path)
        (tmp_path / "imagesTr" / "a_1_0001.nrrd").unlink()
        (tmp_path / "labelsTr" / "a_2.nrrd").unlink()
        put(tmp_path / "imagesTr" / "a_10_0002.nrrd", values_of("int16"))
        put(tmp_path / "labelsTr" / "a_3.nrrd", labels_of())
        (tmp_path / "imagesTr" / "a_4.nrrd").write_text("")
        _, cases, problems = found(tmp_path)
        assert cases == []
        assert [(problem.path.name, problem.reason) for problem in problems] == [
            ("a_4.nrrd", "expected a name CASE_0000.nrrd, found a_4.nrrd"),
            (
                "a_1.nrrd",
                "a case with other channels: "
                "expected the 2 channels of dataset.json, imagesTr/a_1_0001.nrrd among them, found 1",
            ),
            ("a_2_0000.nrrd", "an image without a mask: expected labelsTr/a_2.nrrd, found none"),
            (
                "a_3.nrrd",
                "a mask without an image: "
                "expected the 2 channels of dataset.json, imagesTr/a_3_0000.nrrd among them, found 0",
            ),
            ("a_10.nrrd", "a case with other channels: expected the 2 channels of dataset.json, found 3"),
        ]

    @pytest.mark.parametrize(
        ("labels", "expected"),
        [
            ({"background": 0, "kidney": 1, "tumor": 2}, (2,)),
            ({"background": 0, "Pancreatic cancer": 2, "pancreas": 1, "ignore": 3}, (2,)),
            ({"background": 0, "peritumoral edema": 1, "non-enhancing core": 2, "Enhancing Tumor": 3}, (1, 2, 3)),
            ({"background": 0, "whole tumor": [1, 2, 3], "tumor core": [2, 3], "ventricle": 4}, (1, 2, 3)),
            ({"background": 0, "blob": 7, "Ignore": 8}, (7,)),
            ({"background": 0, "Metastases": 1, "Läsion / lesion": 4}, (1, 4)),
        ],
    )
    def test_lesions_are_told_by_their_names(self, tmp_path, labels, expected):
        nnunet(tmp_path)
        description(tmp_path, labels)
        layout, [case, *_], _ = found(tmp_path)
        assert layout.roles(case.root).lesion == expected

    def test_where_no_name_tells_somebody_must(self, tmp_path):
        nnunet(tmp_path)
        description(tmp_path, {"background": 0, "liver": 1, "spleen": 2})
        with pytest.raises(DataError) as caught:
            found(tmp_path)
        assert str(caught.value) == (
            f"{tmp_path / 'dataset.json'}: expected a label with the name of a lesion, or to be told which one it is "
            "(--lesion-label), found the labels liver (1), spleen (2)"
        )
        layout = find_layout(tmp_path).with_roles(lesion=(2,))
        assert len(layout.cases(tmp_path)[0]) == 3

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("{", "JSON with channel_names, labels, file_ending, as nnU-Net v2 has, found JSONDecodeError"),
            ("[]", "found no keys"),
            ('{"modality": {}, "labels": {}}', "found the keys modality, labels"),
        ],
    )
    def test_a_description_of_another_kind(self, tmp_path, content, message):
        nnunet(tmp_path)
        (tmp_path / "dataset.json").write_text(content)
        with pytest.raises(DataError, match=message):
            found(tmp_path)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"file_ending": ".png"}, "a file_ending of .nii.gz, .nii, .nrrd, .mha, found '.png'"),
            ({"channel_names": {}}, "channel_names and labels with names and numbers"),
            ({"labels": {"tumor": "two"}}, "a whole number, or several, for the label tumor, found 'two'"),
        ],
    )
    def test_a_description_with_odd_values(self, tmp_path, change, message):
        nnunet(tmp_path)
        description(tmp_path, **change)
        with pytest.raises(DataError, match=message):
            found(tmp_path)

    def test_the_new_set_has_a_description_with_its_own_number_of_cases(self, tmp_path):
        nnunet(tmp_path / "data")
        layout, [case, *_], _ = found(tmp_path / "data")
        for number in (1, 2):
            layout.save(tmp_path / "out", f"synth_{number}", case, *pasted(layout.load(case)))
            old, new = (json.loads((tmp_path / name / "dataset.json").read_text()) for name in ("data", "out"))
            assert new == {**old, "numTraining": number}

    def test_where_many_save_at_once_the_description_is_written_at_the_end(self, tmp_path):
        nnunet(tmp_path / "data")
        layout, [case, *_], _ = found(tmp_path / "data")
        quiet = layout.undescribed()
        for number in (1, 2):
            quiet.save(tmp_path / "out", f"synth_{number}", case, *pasted(layout.load(case)))
        assert not (tmp_path / "out" / "dataset.json").exists()
        quiet.describe(tmp_path / "out", case.root)
        assert json.loads((tmp_path / "out" / "dataset.json").read_text())["numTraining"] == 2
        assert len(found(tmp_path / "out")[1]) == 2

    def test_no_volume_is_left_where_the_description_cannot_be_written(self, tmp_path):
        nnunet(tmp_path / "data")
        layout, [case, *_], _ = found(tmp_path / "data")
        (tmp_path / "out" / "dataset.json").mkdir(parents=True)
        with pytest.raises(DataError, match=r"dataset.json: expected a file that can be written"):
            layout.save(tmp_path / "out", "synth_1", case, *pasted(layout.load(case)))
        assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


class TestVolumePairs:
    @pytest.mark.parametrize("folder", ["masks", "labels"])
    @pytest.mark.parametrize("ending", ["_mask.nrrd", "_Segmentation.nii", "_seg.mha", "_label.nii.gz", ".mhd"])
    def test_masks_may_have_a_suffix_another_format_and_another_folder(self, tmp_path, folder, ending):
        put(tmp_path / "data" / "images" / "a.mha", values_of("int16"))
        put(tmp_path / "data" / folder / f"a{ending}", labels_of())
        layout, [case], problems = found(tmp_path / "data")
        assert (layout.name, problems) == ("volume_pairs", [])
        image, mask = layout.save(tmp_path / "out", "synth_1", case, *pasted(layout.load(case)))
        assert image.name == "synth_1.mha"
        assert mask.relative_to(tmp_path / "out").as_posix() == f"{folder}/synth_1{ending.replace('.mhd', '.mha')}"
        assert found(tmp_path / "out")[1][0].id == "synth_1"

    def test_images_may_be_dicom_series_and_new_ones_are_nifti(self, tmp_path):
        for name in ("1.2.840.1", "1.2.840.2"):
            put_series(tmp_path / "data" / "images" / name, values_of("int16"), direction=oblique())
            (tmp_path / "data" / "images" / name / "0_LICENCE").write_text("")
            image = read_volume(tmp_path / "data" / "images" / name)
            put(
                tmp_path / "data" / "masks" / f"{name}.nrrd",
                labels_of(),
                spacing=image.grid.spacing,
                origin=image.grid.origin,
                direction=image.grid.direction,
            )
        layout, cases, problems = found(tmp_path / "data")
        assert [case.id for case in cases] == ["1.2.840.1", "1.2.840.2"]
        assert (layout.name, problems) == ("volume_pairs", [])
        assert layout.check_headers(cases) == (cases, [])
        sample = layout.load(cases[0])
        assert np.array_equal(sample.image[..., 0], values_of("int16"))
        paths = layout.save(tmp_path / "out", "synth_1", cases[0], *pasted(sample))
        assert [path.name for path in paths] == ["synth_1.nii.gz", "synth_1.nrrd"]
        _, [case], _ = found(tmp_path / "out")
        assert np.array_equal(layout.load(case).image, pasted(sample)[0])

    def test_images_named_after_a_channel_are_no_case_of_brats(self, tmp_path):
        for name in ("p1_T2", "p2_T2"):
            put(tmp_path / "images" / f"{name}.nii.gz", values_of("int16"))
            put(tmp_path / "masks" / f"{name}.nii.gz", labels_of())
        layout, cases, problems = found(tmp_path)
        assert (layout.name, problems) == ("volume_pairs", [])
        assert len(cases) == 2

    def test_a_split_in_folders_is_the_data_sets_own(self, tmp_path):
        for part in ("train", "Test"):
            volume_pairs(tmp_path / part)
        layout, cases, _ = found(tmp_path)
        assert layout.name == "volume_pairs"
        assert {case.split for case in cases} == {"train", "test"}
        assert "train_a1" in [case.id for case in cases]
        paths = layout.save(tmp_path / "out", "synth_1", cases[-1], *pasted(layout.load(cases[-1])))
        assert paths[0].relative_to(tmp_path / "out").as_posix() == "train/images/synth_1.nii.gz"

    def test_what_is_no_volume_or_ambiguous_is_reported(self, tmp_path):
        volume_pairs(tmp_path)
        put(tmp_path / "images" / "a1.nrrd", values_of("int16"))
        put(tmp_path / "masks" / "a2_mask.nrrd", labels_of())
        (tmp_path / "images" / "a3.txt").write_text("a side file")
        (tmp_path / "images" / "a4.dcm").write_bytes(b"")
        _, [case], problems = found(tmp_path)
        assert case.id == "a10"
        assert {problem.path.name for problem in problems} == {"a1.nrrd", "a1.nii.gz", "a2.nii.gz", "a4.dcm"}

    def test_beside_images_and_labels_nothing_else_is_expected(self, tmp_path):
        side_by_side(tmp_path)
        put(tmp_path / "atlas.nrrd", values_of("int16"))
        _, cases, [problem] = found(tmp_path)
        assert len(cases) == 2
        assert problem.path.name == "atlas.nrrd"

    def test_a_path_above_the_data_set_does_not_leave_the_output_folder(self, tmp_path):
        volume_pairs(tmp_path / "data")
        layout, [case, *_], _ = found(tmp_path / "data")
        up = case.root / "images" / ".." / ".." / ".." / case.root.parent.name / "data"
        forged = replace(case, image=up / "images" / "a1.nii.gz", masks=(up / "masks" / "a1.nii.gz",))
        with pytest.raises(DataError, match="inside this folder"):
            layout.save(tmp_path / "out", "synth_1", forged, *pasted(layout.load(case)))


def test_synthetic_is_told_by_the_id_whatever_the_files_are_called(tmp_path):
    for name, synthetic in {"case_00001_synth_1": True, "synth_00-1a": True, "mysynth_1": False}.items():
        assert Case(name, tmp_path / "imaging.nii.gz", (), "kits19", tmp_path).synthetic == synthetic
