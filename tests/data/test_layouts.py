from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softcp_gpu.data import (
    LAYOUTS,
    Case,
    DataError,
    MaskStyle,
    check_sizes,
    find_layout,
    mask_style,
    read_image,
    read_mask,
    write_image,
    write_mask,
)

SIZE = (20, 30)
BINARY = MaskStyle()


def put_image(path, value=1, size=SIZE, channels=3):
    y, x = np.mgrid[: size[0], : size[1]]
    write_image(
        path, np.stack([(y * 5 + x * 3 + value + c * 40) % 256 for c in range(channels)], axis=2).astype(np.uint8)
    )


def put_mask(path, rows=slice(3, 9), columns=slice(4, 15), style=BINARY, size=SIZE):
    lesion = np.zeros(size, dtype=bool)
    lesion[rows, columns] = True
    write_mask(path, style.encode(lesion))
    return lesion


def put_colours(path, lesion=slice(3, 9), region=slice(5, 14)):
    mask = np.zeros((*SIZE, 3), dtype=np.uint8)
    mask[region, 10:20] = (0, 0, 255)
    mask[lesion, 12:16] = (255, 0, 0)
    write_mask(path, mask)
    return (mask == (255, 0, 0)).all(axis=2), (mask == (0, 0, 255)).all(axis=2)


def pairs(root, style=BINARY, suffix=".png", mask_ending=".png"):
    for i in (1, 2, 10):
        put_image(root / "images" / f"a{i}{suffix}", i)
        put_mask(root / "masks" / f"a{i}{mask_ending}", style=style)


def busi(root):
    for kind, number in (("benign", 1), ("benign", 2), ("malignant", 1)):
        put_image(root / kind / f"{kind} ({number}).png", number)
        put_mask(root / kind / f"{kind} ({number})_mask.png", style=MaskStyle(bits=1))
    put_image(root / "normal" / "normal (1).png")
    put_mask(root / "normal" / "normal (1)_mask.png", rows=slice(0, 0), style=MaskStyle(channels=3))


def isic(root):
    for part, prefix in (("Training", "ISIC2018_Task1-2_Training_Input"), ("Test", "ISIC-2017_Test_v2_Data")):
        put_image(root / prefix / f"ISIC_00{len(part)}.jpg")
        put_image(root / prefix / f"ISIC_00{len(part)}_superpixels.png")
        (root / prefix / "metadata.csv").write_text("image_id\n")
    put_mask(root / "ISIC2018_Task1_Training_GroundTruth" / "ISIC_008_segmentation.png")
    put_mask(root / "ISIC2018_Task2_Training_GroundTruth" / "ISIC_008_attribute_globules.png")
    put_image(root / "ISIC2018_Task3_Training_Input" / "ISIC_009.jpg")
    put_mask(root / "ISIC-2017_Test_v2_Part1_GroundTruth" / "ISIC_004_segmentation.png")


def kvasir(root):
    for part in ("train", "validation", "test"):
        for i in (1, 2):
            put_image(root / part / "images" / f"{i}.jpg", i)
            put_mask(root / part / "masks" / f"{i}.jpg")


def lgg(root):
    for patient in ("TCGA_CS_1_19960909", "TCGA_DU_2_19970222"):
        for n in (2, 10):
            put_image(root / patient / f"{patient}_{n}.tif", n)
            put_mask(root / patient / f"{patient}_{n}_mask.tif", rows=slice(0, 0 if n == 2 else 5))
    (root / "data.csv").write_text("Patient\n")


def kits2d(root):
    for name in ("10036_103", "10036_20", "10040_3"):
        put_image(root / "images" / f"{name}.png", channels=1)
        put_colours(root / "masks" / f"{name}.png")


def ph2(root):
    for name in ("IMD002", "IMD003"):
        put_image(root / name / f"{name}_Dermoscopic_Image" / f"{name}.bmp")
        put_mask(root / name / f"{name}_lesion" / f"{name}_lesion.bmp", style=MaskStyle(bits=1))
        put_mask(root / name / f"{name}_roi" / f"{name}_R1_Label3.bmp", style=MaskStyle(bits=1))


TREES = {"pairs": pairs, "busi": busi, "isic": isic, "kvasir": kvasir, "lgg": lgg, "kits2d": kits2d, "ph2": ph2}
IDS = {
    "pairs": ["a1", "a2", "a10"],
    "busi": ["benign (1)", "benign (2)", "malignant (1)", "normal (1)"],
    "isic": ["ISIC_008", "ISIC_004"],
    "kvasir": ["test_1", "test_2", "train_1", "train_2", "validation_1", "validation_2"],
    "lgg": ["TCGA_CS_1_19960909_2", "TCGA_CS_1_19960909_10", "TCGA_DU_2_19970222_2", "TCGA_DU_2_19970222_10"],
    "kits2d": ["10036_20", "10036_103", "10040_3"],
    "ph2": ["IMD002", "IMD003"],
}
WRITTEN = {
    "pairs": ("images/{}.png", "masks/{}.png"),
    "busi": ("benign/{}.png", "benign/{}_mask.png"),
    "isic": (
        "ISIC2018_Task1-2_Training_Input/ISIC_{}.jpg",
        "ISIC2018_Task1_Training_GroundTruth/ISIC_{}_segmentation.png",
    ),
    "kvasir": ("test/images/{}.jpg", "test/masks/{}.jpg"),
    "lgg": ("TCGA_CS_1_19960909/TCGA_CS_1_19960909_{}.tif", "TCGA_CS_1_19960909/TCGA_CS_1_19960909_{}_mask.tif"),
    "kits2d": ("images/10036_{}.png", "masks/10036_{}.png"),
    "ph2": ("{0}/{0}_Dermoscopic_Image/{0}.bmp", "{0}/{0}_lesion/{0}_lesion.bmp"),
}
every_layout = pytest.mark.parametrize("name", TREES)


def found(root):
    layout = find_layout(root)
    cases, problems = layout.cases(root)
    return layout, cases, problems


def test_every_layout_has_a_tree_here():
    assert set(TREES) == set(LAYOUTS)


class TestEveryLayout:
    @every_layout
    @pytest.mark.parametrize("wrapper", [".", "archive", "archive/data set"])
    def test_is_found_and_listed_in_natural_order(self, tmp_path, name, wrapper):
        TREES[name](tmp_path / wrapper)
        layout, cases, problems = found(tmp_path)
        assert layout.name == name
        assert [case.id for case in cases] == IDS[name]
        assert problems == []
        assert {case.layout for case in cases} == {name}
        assert not any(case.synthetic for case in cases)
        assert check_sizes(cases) == (cases, [])
        assert find_layout(tmp_path, name) is layout

    @every_layout
    def test_loads_what_was_drawn(self, tmp_path, name):
        TREES[name](tmp_path)
        layout, cases, _ = found(tmp_path)
        for case in cases:
            sample = layout.load(case)
            assert sample.image.shape[:2] == sample.lesion.shape == SIZE
            assert sample.lesion.dtype == bool
            assert (sample.region is not None) == (name == "kits2d")
            assert sample.lesion.any() == (
                not (case.id.endswith("9_2") or case.id.endswith("2_2") or "normal" in case.id)
            )

    @every_layout
    def test_saves_a_case_that_reads_back_identically(self, tmp_path, name, photo, lesion):
        TREES[name](tmp_path / "data")
        layout, cases, _ = found(tmp_path / "data")
        image = photo[:, :, :1] if name == "kits2d" else photo
        region = ~lesion if name == "kits2d" else None
        out = tmp_path / "out"
        paths = layout.save(out, "synth_00-1a", cases[0], image, lesion, region)
        assert [path.relative_to(out).as_posix() for path in paths] == [w.format("synth_00-1a") for w in WRITTEN[name]]
        assert sorted(path for path in out.rglob("*") if path.is_file()) == sorted(paths)

        again, [case], problems = found(out)
        assert again is layout
        assert problems == []
        assert case.id.endswith("synth_00-1a")
        assert case.synthetic
        assert (case.patient, case.split) == (cases[0].patient, cases[0].split)
        sample = layout.load(case)
        assert np.array_equal(sample.lesion, lesion)
        if region is not None:
            assert np.array_equal(sample.region, region)
        if paths[0].suffix == ".jpg":
            assert np.abs(sample.image.astype(int) - image).mean() < 2
        else:
            assert np.array_equal(sample.image, image)

    @every_layout
    @pytest.mark.parametrize("new_id", ["a1", "synth_", "synth_../../x", "synth_a/b", "synth_1_mask", "../synth_1"])
    def test_saves_under_no_name_that_misleads_or_escapes(self, tmp_path, name, new_id, photo, lesion):
        TREES[name](tmp_path / "data")
        layout, cases, _ = found(tmp_path / "data")
        with pytest.raises(DataError, match="an id of synth_"):
            layout.save(tmp_path / "out", new_id, cases[0], photo, lesion)
        assert not (tmp_path / "out").exists()

    @every_layout
    def test_saves_no_odd_lesion_or_region(self, tmp_path, name, photo, lesion):
        TREES[name](tmp_path / "data")
        layout, cases, _ = found(tmp_path / "data")
        wrong_region = None if name == "kits2d" else lesion
        for bad in ((photo, lesion[:9], None), (photo, lesion.astype(float), None), (photo, lesion, wrong_region)):
            with pytest.raises(DataError, match="expected"):
                layout.save(tmp_path / "out", "synth_1", cases[0], *bad)
        assert not (tmp_path / "out").exists()

    @every_layout
    def test_a_size_that_differs_is_reported_early_and_on_loading(self, tmp_path, name):
        TREES[name](tmp_path)
        layout, cases, _ = found(tmp_path)
        put_image(cases[0].image, size=(20, 31))
        good, [problem] = check_sizes(cases)
        assert good == cases[1:]
        assert problem.path == cases[0].masks[0]
        with pytest.raises(DataError, match=r"expected 20 x 31 as in .*, found 20 x 30"):
            layout.load(cases[0])

    @every_layout
    def test_a_truncated_file_loses_its_own_case_only(self, tmp_path, name):
        TREES[name](tmp_path)
        image = found(tmp_path)[1][0].image
        image.write_bytes(image.read_bytes()[: image.stat().st_size // 2])
        layout, cases, problems = found(tmp_path)
        assert problems == []
        with pytest.raises(DataError, match="whole") as caught:
            layout.load(cases[0])
        assert str(image) in str(caught.value)
        assert layout.load(cases[1]).image.shape[:2] == SIZE

    @every_layout
    def test_an_image_and_a_mask_alone_are_reported_and_the_rest_is_kept(self, tmp_path, name):
        TREES[name](tmp_path)
        _, cases, _ = found(tmp_path)
        if name == "kits2d":  # the mask of the second would be black, and the layout unseen
            put_colours(cases[-1].masks[0])
        cases[0].masks[0].unlink()
        cases[1].image.unlink()
        _, rest, problems = found(tmp_path)
        assert [case.id for case in rest] == [case.id for case in cases[2:]]
        assert {problem.path for problem in problems} == {cases[0].image, cases[1].masks[0]}
        assert all("without" in problem.reason for problem in problems)

    @every_layout
    def test_hidden_files_are_not_data(self, tmp_path, name):
        TREES[name](tmp_path / "data")
        for path in list(tmp_path.rglob("*.*")):
            if path.is_file():
                path.with_name("._" + path.name).write_bytes(b"\0\5\26\7")
        pairs(tmp_path / "__MACOSX")
        _, cases, problems = found(tmp_path)
        assert [case.id for case in cases] == IDS[name]
        assert problems == []

    @every_layout
    def test_no_file_of_a_failed_save_is_left(self, tmp_path, name, photo, lesion):
        TREES[name](tmp_path / "data")
        layout, cases, _ = found(tmp_path / "data")
        region = lesion if name == "kits2d" else None
        with pytest.raises(DataError, match="float"):
            layout.save(tmp_path / "out", "synth_1", cases[0], photo.astype(float), lesion, region)
        assert [path for path in tmp_path.joinpath("out").rglob("*") if path.is_file()] == []


class TestFinding:
    def test_an_empty_folder_is_told_what_every_layout_expects(self, tmp_path):
        with pytest.raises(DataError, match="found an empty folder") as caught:
            find_layout(tmp_path)
        assert all(name in str(caught.value) for name in LAYOUTS)

    def test_what_is_there_is_named(self, tmp_path):
        put_image(tmp_path / "images" / "a.png")
        (tmp_path / "notes.txt").write_text("")
        with pytest.raises(DataError, match=r"found images/, notes.txt$"):
            find_layout(tmp_path)

    def test_no_folder(self, tmp_path):
        with pytest.raises(DataError, match="expected a folder, found nothing"):
            find_layout(tmp_path / "none")
        (tmp_path / "file").write_text("")
        with pytest.raises(DataError, match="expected a folder, found a file"):
            find_layout(tmp_path / "file")

    def test_an_unknown_name(self, tmp_path):
        pairs(tmp_path)
        with pytest.raises(DataError, match=r"expected a layout of busi, .*found 'coco'"):
            find_layout(tmp_path, "coco")

    def test_a_name_that_does_not_fit(self, tmp_path):
        pairs(tmp_path)
        with pytest.raises(DataError, match=r"expected the layout busi .* found images/, masks/"):
            find_layout(tmp_path, "busi")

    def test_several_data_sets(self, tmp_path):
        pairs(tmp_path / "one")
        busi(tmp_path / "two")
        with pytest.raises(DataError, match=r"found several: one \(pairs\), two \(busi\)"):
            find_layout(tmp_path)
        pairs(tmp_path / "three")
        with pytest.raises(DataError, match="found several: one, three"):
            find_layout(tmp_path, "pairs")

    def test_folders_without_images(self, tmp_path):
        (tmp_path / "images").mkdir()
        (tmp_path / "masks").mkdir()
        with pytest.raises(DataError, match="no image files"):
            find_layout(tmp_path).cases(tmp_path)


class TestPairs:
    @pytest.mark.parametrize("ending", ["_mask.png", "_segmentation.bmp", "_label.tif", "_Mask.PNG", ".tiff"])
    def test_masks_may_have_a_suffix_and_another_format(self, tmp_path, ending, photo, lesion):
        pairs(tmp_path / "data", suffix=".jpg", mask_ending=ending)
        layout, cases, problems = found(tmp_path / "data")
        assert [case.id for case in cases] == IDS["pairs"]
        assert problems == []
        _, mask = layout.save(tmp_path / "out", "synth_1", cases[0], photo, lesion)
        assert mask.name == "synth_1" + ending
        assert np.array_equal(layout.load(found(tmp_path / "out")[1][0]).lesion, lesion)

    @pytest.mark.parametrize(
        "style", [MaskStyle(bits=1), MaskStyle(on=1), MaskStyle(channels=3), MaskStyle(bits=16, on=1)]
    )
    def test_new_masks_are_stored_like_the_old_ones_even_after_empty_and_broken_ones(
        self, tmp_path, style, photo, lesion
    ):
        pairs(tmp_path / "data", style=style)
        put_mask(tmp_path / "data" / "masks" / "a1.png", rows=slice(0, 0), style=style)
        (tmp_path / "data" / "masks" / "a2.png").write_bytes(b"\x89PNG")
        layout, cases, _ = found(tmp_path / "data")
        _, mask = layout.save(tmp_path / "out", "synth_1", cases[0], photo, lesion)
        assert mask_style(mask) == style

    def test_16_bit_images_stay_so(self, tmp_path, photo, lesion):
        pairs(tmp_path / "data")
        image = photo.astype(np.uint16) * 200 + 1
        write_image(tmp_path / "data" / "images" / "a1.png", image)
        layout, cases, _ = found(tmp_path / "data")
        assert np.array_equal(layout.load(cases[0]).image, image)
        saved, _ = layout.save(tmp_path / "out", "synth_1", cases[0], image, lesion)
        assert np.array_equal(read_image(saved), image)

    def test_a_split_in_folders_is_the_data_sets_own(self, tmp_path):
        for part in ("Training", "val", "testing"):
            pairs(tmp_path / part)
        layout, cases, _ = found(tmp_path)
        assert layout.name == "pairs"
        assert {case.id: case.split for case in cases}["Training_a2"] == "train"
        assert sorted({case.split for case in cases}) == ["test", "train", "val"]

    def test_class_ids_are_one_clear_error(self, tmp_path):
        pairs(tmp_path)
        write_mask(tmp_path / "masks" / "a1.png", np.arange(600, dtype=np.uint8).reshape(SIZE) % 3)
        layout, cases, _ = found(tmp_path)
        with pytest.raises(DataError, match=r"a1.png: expected a mask of two values.*found the values 0, 1, 2"):
            layout.load(cases[0])

    def test_jpeg_masks_are_thresholded(self, tmp_path):
        pairs(tmp_path, mask_ending=".jpg")
        layout, cases, _ = found(tmp_path)
        assert layout.name == "pairs"
        assert layout.load(cases[0]).lesion.sum() == 6 * 11

    def test_what_is_ambiguous_is_reported(self, tmp_path):
        pairs(tmp_path)
        put_image(tmp_path / "images" / "a1.jpg")
        put_mask(tmp_path / "masks" / "a2_mask.png")
        (tmp_path / "images" / "a3.dcm").write_bytes(b"DICM")
        _, cases, problems = found(tmp_path)
        assert [case.id for case in cases] == ["a10"]
        assert {p.path.name for p in problems} == {"a1.jpg", "a1.png", "a2.png", "a3.dcm"}
        assert any("found .dcm" in problem.reason for problem in problems)
        assert any("expected one mask, found a2.png, a2_mask.png" in problem.reason for problem in problems)

    def test_masks_named_like_slices_of_lgg_are_still_pairs(self, tmp_path):
        pairs(tmp_path, suffix=".tif", mask_ending="_mask.tif")
        assert find_layout(tmp_path).name == "pairs"


class TestBusi:
    def test_masks_of_one_image_are_united_whatever_their_mode(self, tmp_path):
        busi(tmp_path)
        first = read_mask(tmp_path / "benign" / "benign (1)_mask.png")
        second = put_mask(
            tmp_path / "benign" / "benign (1)_mask_1.png", slice(12, 15), slice(2, 9), MaskStyle(channels=3)
        )
        with Image.open(tmp_path / "benign" / "benign (1)_mask_1.png") as mask:
            rgba = mask.convert("RGBA")
        rgba.save(tmp_path / "benign" / "benign (1)_mask_1.png")
        layout, cases, _ = found(tmp_path)
        assert [path.name for path in cases[0].masks] == ["benign (1)_mask.png", "benign (1)_mask_1.png"]
        assert np.array_equal(layout.load(cases[0]).lesion, first | second)

    def test_new_masks_have_1_bit(self, tmp_path, photo, lesion):
        busi(tmp_path / "data")
        layout, cases, _ = found(tmp_path / "data")
        _, mask = layout.save(tmp_path / "out", "synth_1", cases[0], photo, lesion)
        assert mask_style(mask) == MaskStyle(bits=1)

    @pytest.mark.parametrize(
        ("like", "source", "folder"), [(0, 2, "malignant"), (2, 0, "malignant"), (3, 1, "benign"), (3, 2, "malignant")]
    )
    def test_the_class_is_the_more_severe_one(self, tmp_path, photo, lesion, like, source, folder):
        busi(tmp_path / "data")
        layout, cases, _ = found(tmp_path / "data")
        image, _ = layout.save(tmp_path / "out", "synth_1", cases[like], photo, lesion, source=cases[source])
        assert image.parent.name == folder

    def test_a_lesion_does_not_make_a_normal_image(self, tmp_path, photo, lesion):
        busi(tmp_path / "data")
        layout, cases, _ = found(tmp_path / "data")
        with pytest.raises(DataError, match="benign or malignant"):
            layout.save(tmp_path / "out", "synth_1", cases[3], photo, lesion)


class TestIsic:
    def test_parts_of_the_challenge_are_the_split(self, tmp_path):
        isic(tmp_path)
        assert {case.id: case.split for case in found(tmp_path)[1]} == {"ISIC_008": "train", "ISIC_004": "test"}

    @pytest.mark.parametrize(
        ("images", "masks"),
        [
            ("ISBI2016_ISIC_Part1_Training_Data", "ISBI2016_ISIC_Part1_Training_GroundTruth"),
            ("ISIC-2017_Validation_Data", "ISIC-2017_Validation_Part1_GroundTruth"),
            ("ISIC2018_Task1-2_Test_Input", "ISIC2018_Task1_Test_GroundTruth"),
        ],
    )
    def test_the_names_of_every_year(self, tmp_path, images, masks):
        put_image(tmp_path / images / "ISIC_1.jpg")
        put_mask(tmp_path / masks / "ISIC_1_Segmentation.png")
        assert [case.id for case in found(tmp_path)[1]] == ["ISIC_1"]

    def test_half_of_a_part_is_reported(self, tmp_path):
        isic(tmp_path)
        put_image(tmp_path / "ISIC-2017_Training_Data" / "ISIC_1.jpg")
        put_mask(tmp_path / "ISIC-2017_Validation_Part1_GroundTruth" / "ISIC_2_segmentation.png")
        _, cases, problems = found(tmp_path)
        assert len(cases) == 2
        assert {p.path.name for p in problems} == {"ISIC-2017_Training_Data", "ISIC-2017_Validation_Part1_GroundTruth"}

    def test_an_image_in_two_years_counts_once(self, tmp_path):
        isic(tmp_path)
        put_image(tmp_path / "ISIC-2017_Training_Data" / "ISIC_008.jpg")
        put_mask(tmp_path / "ISIC-2017_Training_Part1_GroundTruth" / "ISIC_008_segmentation.png")
        _, cases, problems = found(tmp_path)
        assert len(cases) == 2
        assert ["belongs to" in problem.reason for problem in problems] == [True]


class TestKits2d:
    def test_red_is_the_lesion_and_blue_the_region(self, tmp_path):
        kits2d(tmp_path)
        lesion, region = put_colours(tmp_path / "masks" / "10036_20.png", slice(2, 4), slice(8, 11))
        layout, cases, _ = found(tmp_path)
        sample = layout.load(cases[0])
        assert np.array_equal(sample.lesion, lesion)
        assert np.array_equal(sample.region, region)
        assert [case.patient for case in cases] == ["10036", "10036", "10040"]

    @pytest.mark.parametrize("colour", [(0, 255, 0), (254, 0, 0), (255, 255, 255)])
    def test_another_colour_is_named(self, tmp_path, colour):
        kits2d(tmp_path)
        mask = np.zeros((*SIZE, 3), dtype=np.uint8)
        mask[7, 8] = colour
        write_mask(tmp_path / "masks" / "10036_20.png", mask)
        layout, cases, _ = found(tmp_path)
        with pytest.raises(DataError) as caught:
            layout.load(cases[0])
        assert f"found {colour} at row 7, column 8" in str(caught.value)

    def test_the_lesion_covers_the_region(self, tmp_path, photo, lesion):
        kits2d(tmp_path / "data")
        layout, cases, _ = found(tmp_path / "data")
        layout.save(tmp_path / "out", "synth_1", cases[0], photo, lesion, np.ones_like(lesion))
        sample = layout.load(found(tmp_path / "out")[1][0])
        assert np.array_equal(sample.lesion, lesion)
        assert np.array_equal(sample.region, ~lesion)

    def test_black_slices_first_do_not_hide_the_layout(self, tmp_path):
        kits2d(tmp_path)
        put_image(tmp_path / "images" / "10001_1.png", channels=1)
        put_colours(tmp_path / "masks" / "10001_1.png", slice(0, 0), slice(0, 0))
        assert find_layout(tmp_path).name == "kits2d"

    def test_a_name_without_a_patient_is_reported(self, tmp_path):
        kits2d(tmp_path)
        put_image(tmp_path / "images" / "slice.png", channels=1)
        put_colours(tmp_path / "masks" / "slice.png")
        _, cases, [problem] = found(tmp_path)
        assert len(cases) == 3
        assert problem.path.name == "slice.png"

    def test_numbered_pairs_without_colours_are_pairs(self, tmp_path):
        put_image(tmp_path / "images" / "10036_1.png")
        put_mask(tmp_path / "masks" / "10036_1.png", style=MaskStyle(channels=3))
        assert find_layout(tmp_path).name == "pairs"


def test_kvasir_as_published_is_one_set_beside_a_file_of_boxes(tmp_path):
    pairs(tmp_path, suffix=".jpg", mask_ending=".jpg")
    (tmp_path / "kavsir_bboxes.json").write_text("{}")
    layout, cases, _ = found(tmp_path)
    assert layout.name == "kvasir"
    assert [case.split for case in cases] == [None] * 3


def test_lgg_patients_are_folders(tmp_path):
    lgg(tmp_path)
    assert [case.patient for case in found(tmp_path)[1]] == ["TCGA_CS_1_19960909"] * 2 + ["TCGA_DU_2_19970222"] * 2


def test_ph2_keeps_1_bit_where_one_mask_is_rgb(tmp_path):
    ph2(tmp_path)
    put_image(tmp_path / "IMD001" / "IMD001_Dermoscopic_Image" / "IMD001.bmp")
    put_mask(tmp_path / "IMD001" / "IMD001_lesion" / "IMD001_lesion.bmp", style=MaskStyle(channels=3))
    assert {case.style for case in found(tmp_path)[1]} == {MaskStyle(bits=1)}


class TestEscape:
    def test_a_path_above_the_data_set_does_not_leave_the_output_folder(self, tmp_path, photo, lesion):
        pairs(tmp_path / "data")
        layout, [case, *_], _ = found(tmp_path / "data")
        up = case.root / ".." / ".." / "elsewhere"
        forged = replace(case, image=up / "a1.png", masks=(up / "a1.png",))
        with pytest.raises(DataError, match="inside this folder"):
            layout.save(tmp_path / "out", "synth_1", forged, photo, lesion)

    def test_a_link_in_the_output_folder_is_not_followed(self, tmp_path, photo, lesion):
        pairs(tmp_path / "data")
        layout, [case, *_], _ = found(tmp_path / "data")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "images").symlink_to(tmp_path / "data" / "images")
        with pytest.raises(DataError, match="inside this folder"):
            layout.save(tmp_path / "out", "synth_1", case, photo, lesion)
        assert len(list((tmp_path / "data" / "images").iterdir())) == 3

    def test_synthetic_is_told_by_the_name(self):
        for name, synthetic in {
            "synth_1": True,
            "7_synth_ab-2": True,
            "mysynth_1": False,
            "synth_1_mask": False,
        }.items():
            assert Case(name, Path(f"{name}.png"), (), "pairs", Path()).synthetic == synthetic
