import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from softcp_gpu import phantoms
from softcp_gpu.data import DataError, Sample, find_layout
from softcp_gpu.data.grid import Grid
from softcp_gpu.data.nnunet_export import NnunetWriter
from softcp_gpu.data.nnunet_folds import make_folds

pytestmark = pytest.mark.filterwarnings("ignore:Image.Image.getdata:DeprecationWarning")  # scikit-image's own

SHAPE = (16, 24, 24)
ORGAN = {"background": 0, "organ": 1, "lesion": 2}
LESION = {"background": 0, "lesion": 1}
RGB = ("red", "green", "blue")


def turned(a, b):
    """The direction of a scanner's bed that is turned by `a` around z, then by `b` around x."""
    around_z = np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])
    around_x = np.array([[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]])
    return tuple((around_x @ around_z).ravel().tolist())


OBLIQUE = Grid(SHAPE[::-1], (0.7, 0.9, 2.5), (-12.5, 30.25, 7.0), turned(0.3, -0.2))


def volumes(count):
    image, mask, region = phantoms.batch(count, SHAPE, channels=2)
    for i in range(count):
        lesion, organ = mask[i, 0].bool().numpy(), region[i, 0].numpy()
        labels = np.where(lesion, 2, organ).astype(np.int16)
        yield Sample(np.moveaxis(image[i].numpy(), 0, -1), lesion, organ, labels, OBLIQUE)


def photos(count, channels=3):
    image, mask, _ = phantoms.batch(count, (24, 32), channels=channels)
    for i in range(count):
        pixels = (image[i].clamp(0, 1) * 255).byte().numpy()
        yield Sample(np.moveaxis(pixels, 0, -1), mask[i, 0].bool().numpy())


def export(out, samples, channels, labels, ending):
    """The last sample as a synthetic one of the first two, the others real, a patient each."""
    writer = NnunetWriter(out, channels, labels, ending)
    *real, new = samples
    for i, sample in enumerate(real):
        writer.add_real(f"case {i}", f"patient {i}", sample)
    writer.add_synthetic("synth_0", ["patient 0", "patient 1"], new)
    return writer


@pytest.fixture
def volume_set(tmp_path):
    export(tmp_path, volumes(4), ("T1", "FLAIR"), ORGAN, ".nii.gz").finish()
    return tmp_path


@pytest.fixture
def photo_set(tmp_path):
    export(tmp_path, photos(4), RGB, LESION, ".png").finish()
    return tmp_path


def edit_volume(path, change):
    import SimpleITK as sitk

    image = sitk.ReadImage(str(path))
    sitk.WriteImage(change(image), str(path))


def edit_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


class TestNnunetsOwnCheck:
    def test_accepts_oblique_volumes_of_two_channels(self, volume_set, nnunet_verify):
        nnunet_verify(volume_set)

    def test_accepts_rgb_images(self, photo_set, nnunet_verify):
        nnunet_verify(photo_set)

    def test_accepts_grey_images_with_a_region(self, tmp_path, nnunet_verify):
        organs = (replace(sample, region=~sample.lesion) for sample in photos(4, channels=1))
        export(tmp_path, organs, ["US"], ORGAN, ".png").finish()
        nnunet_verify(tmp_path)

    @pytest.mark.slow
    def test_accepts_both_in_processes_of_its_own(self, tmp_path):
        pytest.importorskip("nnunetv2", reason="no nnunetv2: `make test` installs it")
        export(tmp_path / "3d", volumes(4), ("T1", "FLAIR"), ORGAN, ".nii.gz").finish()
        export(tmp_path / "2d", photos(4), RGB, LESION, ".png").finish()
        check = "nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity as check"
        for folder in tmp_path.iterdir():
            code = f"from {check}\nif __name__ == '__main__': check({str(folder)!r}, num_processes=1)"
            subprocess.run([sys.executable, "-c", code], check=True, timeout=300)

    @pytest.mark.real_data
    def test_accepts_slices_of_kidneys(self, real_data, tmp_path, nnunet_verify):
        layout = find_layout(real_data / "kits19_2d_slices")
        cases, _ = layout.cases(real_data / "kits19_2d_slices")
        writer = NnunetWriter(tmp_path, ["windowed CT"], {"background": 0, "kidney": 1, "tumour": 2}, ".png")
        for case in cases:
            writer.add_real(case.id, case.patient, layout.load(case))
        writer.finish()
        nnunet_verify(tmp_path)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda out: (out / "labelsTr" / "case_0.nii.gz").unlink(),
            lambda out: (out / "imagesTr" / "case_0_0001.nii.gz").unlink(),
            lambda out: edit_volume(out / "labelsTr" / "synth_0.nii.gz", lambda label: label + 1),
            lambda out: edit_volume(out / "labelsTr" / "case_1.nii.gz", lambda label: label[:, :, 1:]),
            lambda out: edit_volume(out / "imagesTr" / "case_1_0000.nii.gz", lambda image: image[1:]),
            lambda out: edit_json(out / "dataset.json", labels={"background": 0, "organ": 1, "lesion": 3}),
            lambda out: edit_json(out / "dataset.json", numTraining=3),
        ],
    )
    def test_refuses_a_set_that_was_damaged(self, volume_set, nnunet_verify, damage):
        nnunet_verify(volume_set)
        damage(volume_set)
        with pytest.raises((AssertionError, RuntimeError)):
            nnunet_verify(volume_set)

    def test_refuses_rgb_images_whose_label_was_replaced(self, photo_set, nnunet_verify):
        (photo_set / "labelsTr" / "case_0.png").write_bytes((photo_set / "imagesTr" / "case_0_0000.png").read_bytes())
        with pytest.raises(RuntimeError, match="unexpected labels"):
            nnunet_verify(photo_set)


class TestFiles:
    def test_a_volume_keeps_geometry_values_and_type(self, volume_set):
        import SimpleITK as sitk

        sample = next(volumes(1))
        expected = {
            "imagesTr/case_0_0000": (sample.image[..., 0], np.float32),
            "imagesTr/case_0_0001": (sample.image[..., 1], np.float32),
            "labelsTr/case_0": (sample.labels, np.uint8),
        }
        for name, (values, dtype) in expected.items():
            found = sitk.ReadImage(str(volume_set / f"{name}.nii.gz"))
            array = sitk.GetArrayFromImage(found)
            assert array.dtype == dtype
            assert np.array_equal(array, values)
            assert found.GetSpacing() == pytest.approx(OBLIQUE.spacing, rel=1e-6)  # NIfTI keeps them as float32
            assert found.GetOrigin() == pytest.approx(OBLIQUE.origin, rel=1e-6)
            assert found.GetDirection() == pytest.approx(OBLIQUE.direction, abs=1e-6)

    def test_nnunets_reader_finds_the_pixels_of_an_rgb_image(self, photo_set, nnunet_verify):
        from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO

        sample = next(photos(1))
        pixels, _ = NaturalImage2DIO().read_images([photo_set / "imagesTr" / "case_0_0000.png"])
        labels, _ = NaturalImage2DIO().read_seg(photo_set / "labelsTr" / "case_0.png")
        assert np.array_equal(pixels[:, 0], np.moveaxis(sample.image, -1, 0))
        assert np.array_equal(labels[0, 0], sample.lesion)

    def test_without_class_ids_the_region_is_1_and_the_lesion_2(self, tmp_path, nnunet_verify):
        from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO

        region, lesion = np.zeros((2, 8, 8), dtype=bool)
        region[2:6, 2:6] = lesion[5:7, 5:7] = True
        sample = Sample(np.zeros((8, 8, 1), np.uint8), lesion, region)
        *_, path = NnunetWriter(tmp_path, ["US"], ORGAN, ".png").add_real("a", "a", sample)
        found, _ = NaturalImage2DIO().read_seg(path)
        assert np.array_equal(found[0, 0], np.where(lesion, 2, region))

    def test_grey_images_keep_16_bits(self, tmp_path, nnunet_verify):
        from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO

        image = np.arange(64, dtype=np.uint16).reshape(8, 8, 1) * 1000
        path, _ = NnunetWriter(tmp_path, ["US"], LESION, ".png").add_real("a", "a", Sample(image, image[..., 0] > 9000))
        found, _ = NaturalImage2DIO().read_images([path])
        assert np.array_equal(found[0, 0], image[..., 0])

    def test_more_than_256_classes_get_16_bits(self, tmp_path, nnunet_verify):
        from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO

        labels = np.arange(300).reshape(15, 20)
        sample = Sample(np.zeros((15, 20, 1), np.uint8), labels > 0, labels=labels)
        names = {"background": 0} | {f"class {i}": i for i in range(1, 300)}
        *_, path = NnunetWriter(tmp_path, ["US"], names, ".png").add_real("a", "a", sample)
        found, _ = NaturalImage2DIO().read_seg(path)
        assert np.array_equal(found[0, 0], labels)

    @pytest.mark.parametrize(
        ("case_id", "stem"),
        [("benign (1)", "benign_1"), ("../a/b", "a_b"), ("x.nii_0000", "x_nii_0000"), ("病人 2", "病人_2")],
    )
    def test_an_id_becomes_a_safe_name(self, tmp_path, nnunet_verify, case_id, stem):
        writer = NnunetWriter(tmp_path, RGB, LESION, ".png")
        one, two = photos(2)
        paths = writer.add_real(case_id, "a", one)
        assert paths == [tmp_path / "imagesTr" / f"{stem}_0000.png", tmp_path / "labelsTr" / f"{stem}.png"]
        writer.add_real("other", "b", two)
        writer.finish()
        nnunet_verify(tmp_path)
        assert {case for fold in json.loads((tmp_path / "splits_final.json").read_text()) for case in fold["val"]} == {
            stem,
            "other",
        }

    @pytest.mark.parametrize("second", ["A 1", "A/1", "a.1"])
    def test_two_ids_of_the_same_name_are_an_error(self, tmp_path, second):
        writer = NnunetWriter(tmp_path, RGB, LESION, ".png")
        one, two = photos(2)
        writer.add_real("A_1", "a", one)
        with pytest.raises(DataError, match=rf"expected ids that differ .*, found '{second}' and 'A_1', both "):
            writer.add_synthetic(second, ["a"], two)

    def test_an_id_without_letters_is_an_error(self, tmp_path):
        with pytest.raises(DataError, match=r"expected an id with letters or digits, found '\(\)'"):
            NnunetWriter(tmp_path, RGB, LESION, ".png").add_real("()", "a", next(photos(1)))

    def test_a_case_is_written_whole_or_not_at_all(self, tmp_path):
        writer = NnunetWriter(tmp_path, ("T1", "FLAIR"), ORGAN)
        one, two = volumes(2)
        blocked = tmp_path / "labelsTr" / "a.nii.gz"
        blocked.mkdir(parents=True)
        with pytest.raises(DataError, match=r"a\.nii\.gz: expected a file that can be written"):
            writer.add_real("a", "a", one)
        assert not any((tmp_path / "imagesTr").iterdir())
        blocked.rmdir()
        writer.add_real("a", "a", one)  # the id is free again
        writer.add_real("b", "b", two)
        writer.finish()
        assert json.loads((tmp_path / "dataset.json").read_text())["numTraining"] == 2

    @pytest.mark.parametrize("folder", ["imagesTr", "labelsTr"])
    def test_a_folder_that_is_in_use_is_an_error(self, volume_set, folder):
        other = {"imagesTr": "labelsTr", "labelsTr": "imagesTr"}[folder]
        for path in (volume_set / other).iterdir():
            path.unlink()
        with pytest.raises(DataError, match=rf"{folder}: expected an empty folder or none, .*, found case_0"):
            NnunetWriter(volume_set, ("T1", "FLAIR"), ORGAN)


class TestArguments:
    @pytest.mark.parametrize(
        "labels",
        [
            {"lesion": 1},
            {"lesion": 0, "organ": 1},
            {"background": 1, "lesion": 0},
            {"background": 0, "lesion": 2},
            {"background": 0, "organ": 1, "lesion": 3},
            {"background": 0, "ignore": 1, "lesion": 2},
            {"background": 0, "lesion": 1, "ignore": 3},
        ],
    )
    def test_labels_that_nnunet_refuses_are_an_error(self, tmp_path, nnunet_verify, labels):
        with pytest.raises(ValueError, match=r"^labels: expected .*, found \{"):
            NnunetWriter(tmp_path, RGB, labels, ".png")
        export(tmp_path, photos(3), RGB, LESION, ".png").finish()
        edit_json(tmp_path / "dataset.json", labels=labels)
        with pytest.raises((AssertionError, RuntimeError), match=r"(?i)label"):
            nnunet_verify(tmp_path)

    @pytest.mark.parametrize(
        "labels", [{}, {"background": 0}, {"background": 0, "a": 1, "b": 1}, {"background": 0, "a": 1.0}]
    )
    def test_labels_that_mean_nothing_are_an_error(self, tmp_path, labels):
        with pytest.raises(ValueError, match=r"^labels: expected background 0 and the classes 1, 2, 3"):
            NnunetWriter(tmp_path, RGB, labels, ".png")

    def test_what_is_to_be_ignored_may_come_last(self, tmp_path, nnunet_verify):
        export(tmp_path, photos(3), RGB, LESION | {"ignore": 2}, ".png").finish()
        nnunet_verify(tmp_path)

    def test_unknown_endings_and_missing_channels_are_errors(self, tmp_path):
        with pytest.raises(ValueError, match=r"file_ending: expected one of '.nii.gz', .*, found '.jpg'"):
            NnunetWriter(tmp_path, RGB, LESION, ".jpg")
        for channels in ([], "CT"):
            with pytest.raises(ValueError, match="channel_names: expected a name for each channel"):
                NnunetWriter(tmp_path, channels, LESION)


VOLUME, PHOTO = next(volumes(1)), next(photos(1))


class TestSamplesThatDoNotFit:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"grid": None}, "a volume with a grid in a set of .nii.gz files, found a 2-D image"),
            ({"grid": OBLIQUE._replace(size=(24, 24, 15))}, "the shape (15, 24, 24) of its grid, and channels, found"),
            ({"image": VOLUME.image[..., :1]}, "2 channels: T1, FLAIR, found 1"),
            ({"image": np.where(VOLUME.lesion[..., None], np.nan, VOLUME.image)}, "finite values, found NaN or inf"),
            ({"labels": VOLUME.labels * 2}, "the class ids 0 background, 1 organ, 2 lesion, found 4"),
            ({"labels": VOLUME.labels - 1}, "the class ids 0 background, 1 organ, 2 lesion, found -1"),
            ({"labels": VOLUME.labels[1:]}, "labels of the image's shape (16, 24, 24), found (15, 24, 24)"),
            ({"labels": VOLUME.labels.astype(np.float32)}, "class ids of an integer type, found float32"),
            ({"labels": None, "region": None}, "class ids for background, organ, lesion, found a lesion"),
        ],
    )
    def test_volumes(self, tmp_path, change, message):
        writer = NnunetWriter(tmp_path, ("T1", "FLAIR"), ORGAN)
        with pytest.raises(DataError, match=r"Tr/a\.nii\.gz: expected " + re.escape(message)):
            writer.add_real("a", "a", replace(VOLUME, **change))
        assert not any(tmp_path.rglob("a*"))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"grid": OBLIQUE}, "a 2-D image in a set of .png files, found a volume with a grid"),
            (
                {"image": PHOTO.image.astype(np.uint16)},
                "8 bits in RGB, as nnU-Net's reader cuts off more, found uint16",
            ),
            ({"region": PHOTO.lesion}, "class ids for background, lesion, found a lesion and a region"),
        ],
    )
    def test_images(self, tmp_path, change, message):
        writer = NnunetWriter(tmp_path, RGB, LESION, ".png")
        with pytest.raises(DataError, match=r"Tr/a\.png: expected " + re.escape(message)):
            writer.add_synthetic("a", ["a"], replace(PHOTO, **change))
        assert not any(tmp_path.rglob("a*"))

    @pytest.mark.parametrize("parents", [[], (), "patient 0"])
    def test_a_synthetic_case_names_its_parents(self, tmp_path, parents):
        with pytest.raises(DataError, match="expected a list of the patients that new shows, found"):
            NnunetWriter(tmp_path, RGB, LESION, ".png").add_synthetic("new", parents, PHOTO)


class TestFinish:
    def test_nnunets_planner_and_trainer_take_the_folds(self, tmp_path, nnunet_verify, monkeypatch):
        from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
        from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

        name = "Dataset123_Phantoms"
        raw, preprocessed = (tmp_path / kind / name for kind in ("raw", "preprocessed"))
        export(raw, photos(8), RGB, LESION, ".png").finish(folds=3, seed=1)
        preprocessed.mkdir(parents=True)
        (preprocessed / "dataset_fingerprint.json").write_text("{}")
        monkeypatch.setenv("nnUNet_raw", str(raw.parent))
        monkeypatch.setenv("nnUNet_preprocessed", str(preprocessed.parent))
        ExperimentPlanner(name)
        patients = {f"case_{i}": f"patient {i}" for i in range(7)}
        for number, fold in enumerate(make_folds(patients, {"synth_0": ["patient 0", "patient 1"]}, 3, 1)):
            trainer = SimpleNamespace(
                fold=number,
                dataset_class=lambda *args, **kwargs: None,
                preprocessed_dataset_folder=None,
                preprocessed_dataset_folder_base=str(preprocessed),
                folder_with_segs_from_previous_stage=None,
                print_to_log_file=print,
            )
            assert nnUNetTrainer.do_split(trainer) == (fold["train"], fold["val"])

    def test_fewer_patients_than_folds_are_said(self, photo_set):
        record = json.loads((photo_set / "dataset.json").read_text())["softcp"]
        assert record == {
            "folds": 3,
            "folds_asked": 5,
            "seed": 0,
            "patients": 3,
            "synthetic": 1,
            "synthetic_in_no_fold": 0,
        }
        assert len(json.loads((photo_set / "splits_final.json").read_text())) == 3

    def test_a_synthetic_case_of_parents_that_never_train_together_is_said(self, tmp_path):
        export(tmp_path, photos(3), RGB, LESION, ".png").finish()
        record = json.loads((tmp_path / "dataset.json").read_text())["softcp"]
        assert (record["folds"], record["synthetic_in_no_fold"]) == (2, 1)

    def test_one_patient_is_an_error_and_leaves_no_set(self, tmp_path):
        writer = NnunetWriter(tmp_path, RGB, LESION, ".png")
        for name, sample in zip("ab", photos(2), strict=True):
            writer.add_real(name, "one", sample)
        with pytest.raises(ValueError, match="patients: expected 2 or more"):
            writer.finish()
        assert not any(tmp_path.glob("*.json"))
