"""Synthesis of volumes, from file to file: geometry, types and values, labels, millimetres, nnU-Net's format, banks."""

import gzip
import json

import numpy as np
import pytest
from PIL import Image

from softcp_gpu import phantoms
from softcp_gpu.data import find_layout, read_grid, read_volume, same_grid
from softcp_gpu.synthesize import synthesize
from softcp_gpu.synthesize.again import open_run
from tests.data import volumes
from tests.synthesize.trees import contents, lines

sitk = pytest.importorskip("SimpleITK", reason="volumes need SimpleITK")

SHAPE = (20, 40, 44)
KITS = {"kidney": 1, "tumour": 2}


def scan(i, shape=SHAPE, channels=1):
    """A phantom in HU, its organ and lesion: (C, *shape) int16 and (*shape) uint8 with 1 and 2."""
    image, lesion, organ = phantoms.batch(1, shape, channels=channels, seed=i)
    labels = organ[0, 0].numpy().astype(np.uint8)
    labels[lesion[0, 0].numpy() > 0] = 2
    return (image[0].numpy() * 1500 - 1000).round().astype(np.int16), labels


def kits(root, count=4, **how):
    for i in range(count):
        image, labels = scan(i)
        folder = root / f"case_{i:05d}"
        volumes.put(folder / "imaging.nii.gz", image[0], **how)
        volumes.put(folder / "segmentation.nii.gz", labels, **how)
    return root


def brats(root, count=3):
    """Four channels, of floats that may be negative, and float labels 1, 2 and 4 in one lesion; a brain mask."""
    how = {"spacing": (1.0, 1.0, 1.0), "direction": volumes.oblique(0.1, 0.2)}
    for i in range(count):
        image, labels = scan(i, channels=4)
        name = f"BraTS20_Training_{i:03d}"
        classes = np.where(labels == 2, 2.0, 0.0).astype(np.float32)
        core = np.argwhere(labels == 2)
        classes[tuple(core[len(core) // 3 : len(core) // 2].T)] = 1
        classes[tuple(core[len(core) // 2 :].T)] = 4
        for k, channel in enumerate(("flair", "t1", "t1ce", "t2")):
            volumes.put(root / name / f"{name}_{channel}.nii.gz", image[k].astype(np.float32) / 500, **how)
        volumes.put(root / name / f"{name}_seg.nii.gz", classes, **how)
        volumes.put(root / name / f"{name}_brainmask.nii.gz", (labels > 0).astype(np.uint8), **how)
    return root


def pairs(root, count=3):
    for i in range(count):
        image, labels = scan(i)
        volumes.put(root / "images" / f"p{i}.nrrd", image[0], direction=volumes.oblique())
        volumes.put(root / "labels" / f"p{i}.nrrd", (labels == 2).astype(np.uint8), direction=volumes.oblique())
    return root


def nnunet(root, count=3):
    for i in range(count):
        image, labels = scan(i, channels=2)
        for k in range(2):
            volumes.put(root / "imagesTr" / f"c{i}_{k:04d}.nii.gz", image[k])
        volumes.put(root / "labelsTr" / f"c{i}.nii.gz", labels)
    about = {"channel_names": {"0": "CT", "1": "PET"}, "labels": {"background": 0, "organ": 1, "tumor": 2}}
    text = json.dumps({**about, "numTraining": count, "file_ending": ".nii.gz"})
    (root / "dataset.json").write_text(text, encoding="utf-8")
    return root


SETS = {"kits19": kits, "brats": brats, "volume_pairs": pairs, "nnunet": nnunet}


def synthetic(root, out):
    """The layout, and (record, background's case, new case) of each sample."""
    layout = find_layout(root)
    new = {case.id.rpartition("synth_")[2]: case for case in layout.cases(out)[0] if "synth_" in case.id}
    old = {case.id: case for case in layout.cases(root)[0]}
    records = [record for record in lines(out) if record["status"] == "pasted"]
    return layout, [(r, old[r["background"]["id"]], new[r["id"].removeprefix("synth_")]) for r in records]


def shown_of(out):
    """The samples of a run, pasted again."""
    maker = open_run(out).maker()
    return [maker.show(record) for record in lines(out) if record["files"]]


@pytest.mark.parametrize("name", SETS)
def test_every_file_keeps_grid_type_and_all_values_outside_the_soft_mask(name, tmp_path):
    root, out = SETS[name](tmp_path / "data"), tmp_path / "out"
    summary = synthesize(root, out, count=3, config={"k_dilate": 4})
    seen = shown_of(out)
    assert summary.layout == name
    assert summary.written == 3
    assert summary.problems == []
    layout, samples = synthetic(root, out)
    assert len(samples) == 3
    for (_, before, after), shown in zip(samples, seen, strict=True):
        soft = shown.pasted.soft_mask
        for old, new in zip((before.image, *before.channels), (after.image, *after.channels), strict=True):
            a, b = read_volume(old), read_volume(new)
            assert a.values.dtype == b.values.dtype
            assert same_grid(a.grid, b.grid)
            assert np.array_equal(a.values[soft == 0], b.values[soft == 0])
            assert (a.values[soft == 1] != b.values[soft == 1]).mean() > 0.5
        a, b = read_volume(before.masks[0]), read_volume(after.masks[0])
        assert a.values.dtype == b.values.dtype
        assert np.array_equal(a.values[soft == 0], b.values[soft == 0])
        old, new = layout.load(before), layout.load(after)
        changed = old.labels != new.labels
        assert changed.any()
        assert new.lesion[changed].all()
        if after.region:
            assert np.array_equal(new.region, old.region)


def test_classes_of_one_lesion_travel_together(tmp_path):
    root, out = brats(tmp_path / "data"), tmp_path / "out"
    synthesize(root, out, count=2, config={"object_transform": None, "min_region_overlap": 0.2})
    layout, samples = synthetic(root, out)
    sources = {case.id: case for case in layout.cases(root)[0]}
    for record, before, after in samples:
        old, new = layout.load(before).labels, layout.load(after).labels
        given = layout.load(sources[record["source"]["id"]]).labels
        pasted = np.where(new != old, new, 0)
        box = [slice(a.min(), a.max() + 1) for a in np.nonzero(given)]
        offset = record["placement"]["offset_px"]
        there = tuple(slice(part.start + o, part.stop + o) for part, o in zip(box, offset, strict=True))
        where = given[tuple(box)] > 0
        kept = new[there][where] == given[tuple(box)][where]
        assert kept.mean() > 0.95  # but for what erosion and the rim's end have cut off
        assert {1, 2, 4} <= set(np.unique(pasted).tolist())


@pytest.mark.parametrize("name", ["kits19", "nnunet"])
def test_both_bounds_hold(name, tmp_path):
    root, out = SETS[name](tmp_path / "data", 4), tmp_path / "out"
    rule = {"min_region_overlap": 0.7, "max_lesion_overlap": 0}
    synthesize(root, out, count=4, config=rule, region_label=(1, 2), lesion_label=(2,))
    layout, samples = synthetic(root, out)
    assert samples
    for record, before, _ in samples:
        sample, place = layout.with_roles((2,), (1, 2)).load(before), record["placement"]
        assert place["region_overlap_px"] >= 0.7 * place["area_px"]
        assert place["lesion_overlap_px"] == 0
        assert place["visible_px"] == place["area_px"]
        assert sample.region.any()


def test_a_source_on_other_axes_and_other_spacing_keeps_its_size_and_its_orientation(tmp_path):
    """One body, scanned twice: once coarser, slices first, upside down. Both lesions are long along the body's z."""
    fine = (1.0, 1.0, 2.0)
    image, labels = np.zeros((30, 60, 60), np.int16), np.ones((30, 60, 60), np.uint8)
    labels[8:22, 20:26, 20:28] = 2  # 28 x 6 x 8 mm
    image[labels == 2] = 500
    root = tmp_path / "data"
    for name in ("case_00000", "case_00001"):
        volumes.put(root / name / "segmentation.nii.gz", labels, spacing=fine)
        volumes.put(root / name / "imaging.nii.gz", image, spacing=fine)
    for file, values in (("segmentation", labels), ("imaging", image)):
        turned = np.ascontiguousarray(values[:, ::2, ::2].transpose(2, 1, 0)[:, :, ::-1])  # z is now the last axis
        volumes.put(
            root / "case_00001" / f"{file}.nii.gz",
            turned,
            spacing=(2.0, 2.0, 2.0),
            direction=(0.0, 0.0, 1.0, 0.0, 1.0, 0.0, -1.0, 0.0, 0.0),
        )
    out = tmp_path / "out"
    config = {"object_transform": None, "k_dilate": 2, "max_lesion_overlap": 1.0, "min_region_overlap": 0}
    synthesize(root, out, count=4, config=config)
    layout, samples = synthetic(root, out)
    assert {before.id for _, before, _ in samples} == {"case_00000", "case_00001"}
    for _, before, after in samples:
        old, new = layout.load(before), layout.load(after)
        pasted = np.argwhere((new.image[..., 0] != 0) & (old.image[..., 0] == 0) & new.lesion)
        if not len(pasted):
            continue
        grid = new.grid
        mm = grid.point_mm(pasted[:, ::-1])
        length = np.ptp(mm, axis=0)
        assert length.argmax() == 2  # along the body's z, whichever axis of the file that is
        overlap = (old.lesion & new.lesion).sum()
        if (new.lesion & ~old.lesion).sum() > 0.9 * old.lesion.sum():  # the two do not touch
            assert abs((new.lesion.sum() - overlap) / old.lesion.sum() - 1) < 0.2  # one of 6 pixels at an edge


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    root = kits(tmp_path / "data")
    for name in ("a", "b"):
        synthesize(root, tmp_path / name, count=2, seed=3)
    a, b = (sorted(path for path in (tmp_path / name).rglob("*") if path.is_file()) for name in "ab")
    assert [path.name for path in a] == [path.name for path in b]
    assert all(x.read_bytes() == y.read_bytes() for x, y in zip(a, b, strict=True))


def test_bad_cases_are_told_and_the_run_goes_on(tmp_path):
    root = kits(tmp_path / "data", 6)
    cut = root / "case_00001" / "imaging.nii.gz"
    cut.write_bytes(cut.read_bytes()[:2000])
    image, labels = scan(2)
    volumes.put(root / "case_00002" / "imaging.nii.gz", image[0, :1])
    volumes.put(root / "case_00002" / "segmentation.nii.gz", labels[:1])
    volumes.put(root / "case_00003" / "segmentation.nii.gz", labels, spacing=(1.0, 1.0, 1.0))
    volumes.put(root / "case_00004" / "segmentation.nii.gz", (labels > 0).astype(np.uint8))  # healthy: a background
    seen = []
    summary = synthesize(root, tmp_path / "out", count=6, on_sample=lambda _, record: seen.append(record["status"]))
    assert seen == ["pasted"] * 6
    told = {problem.path.parent.name: str(problem) for problem in summary.problems}
    assert set(told) == {"case_00001", "case_00002", "case_00003"}
    assert "three axes of two voxels or more" in told["case_00002"]
    assert told["case_00003"].count(" mm, origin") == 2  # both grids
    records = lines(tmp_path / "out")
    assert {record["source"]["id"] for record in records} <= {"case_00000", "case_00005"}
    assert "case_00004" in {record["background"]["id"] for record in records}
    for record in records:
        for path in record["files"].values():
            gzip.decompress((tmp_path / "out" / path).read_bytes())


def test_a_label_that_no_case_has_is_an_error_that_names_those_there_are(tmp_path, softcp):
    root = kits(tmp_path / "data", 2)
    said = softcp("synthesize", root, tmp_path / "out", "--lesion-label", "7")
    assert said.code == 2
    assert "expected the label 7 (lesion) in at least one mask, found the labels 0, 1, 2" in said.err
    assert not (tmp_path / "out").exists()


def test_two_d_sets_have_no_label_ids(tmp_path, softcp):
    assert softcp("demo", "--out", tmp_path / "demo", "--count", "4").code == 0
    said = softcp("synthesize", tmp_path / "demo" / "phantoms", tmp_path / "out", "--lesion-label", "7")
    assert said.code == 2
    assert "label" in said.err


def test_a_volume_is_shown_in_three_planes(tmp_path, softcp):
    root = kits(tmp_path / "data")
    said = softcp("synthesize", root, tmp_path / "out", "--count", "2", "--sheet", "1")
    assert said.code == 0, said.err
    with Image.open(tmp_path / "out" / "contact_sheet.png") as one:
        height = one.height
    assert softcp("synthesize", root, tmp_path / "out", "--count", "2", "--sheet", "2", "--overwrite").code == 0
    with Image.open(tmp_path / "out" / "contact_sheet.png") as two:
        assert two.height > 1.7 * height > 3 * 200


def test_the_demo_makes_volumes_too(tmp_path, softcp):
    said = softcp("demo", "--volumes", "--out", tmp_path, "--count", "3", "--size", "40", "--sheet", "1")
    assert said.code == 0, said.err
    assert "layout: kits19" in said.out
    assert (tmp_path / "synthetic" / "contact_sheet.png").is_file()
    again = softcp("demo", "--volumes", "--out", tmp_path, "--count", "2", "--size", "40", "--overwrite")
    assert again.code == 0, again.err
    assert sorted(path.name for path in (tmp_path / "phantoms").iterdir() if path.is_dir()) == [
        "case_00000",
        "case_00001",
    ]


def test_a_region_of_labels_leaves_the_file_of_the_brain_alone(tmp_path):
    root, out = brats(tmp_path / "data"), tmp_path / "out"
    synthesize(root, out, count=2, region_label=(1,), lesion_label=(2, 4), config={"min_region_overlap": 0})
    _, samples = synthetic(root, out)
    assert samples
    for record, before, after in samples:
        assert np.array_equal(read_volume(after.region).values, read_volume(before.region).values)
        assert set(record["files"]) == {"image", "image_1", "image_2", "image_3", "region", "mask"}


def test_both_transforms_of_a_nifti_header_stay(tmp_path):
    nibabel = pytest.importorskip("nibabel", reason="nibabel is not installed")
    root, out = tmp_path / "data", tmp_path / "out"
    turned = np.diag([0.8, 0.8, 2.5, 1.0])
    turned[:2, :2] = 0.8 * np.array([[0.8, -0.6], [0.6, 0.8]])
    for i in range(2):
        image, labels = scan(i)
        for name, values in (("imaging", image[0]), ("segmentation", labels)):
            file = nibabel.Nifti1Image(values.transpose(2, 1, 0), None)
            file.set_qform(turned, code=1)
            file.set_sform(np.diag([0.8, 0.8, 2.5, 1.0]), code=4)
            path = root / f"case_{i:05d}" / f"{name}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(file, path)
    synthesize(root, out, count=1)
    _, [(_, before, after)] = synthetic(root, out)
    a, b = nibabel.load(before.image), nibabel.load(after.image)
    assert np.array_equal(a.affine, b.affine)
    for field in ("qform_code", "sform_code", "pixdim", "quatern_b", "srow_x"):
        assert np.array_equal(a.header[field], b.header[field]), field


@pytest.mark.parametrize("scale", [(1.0, -1024.0), (0.5, 10.0)])
def test_slope_and_intercept_of_a_nifti_file_stay_and_so_do_its_integers(tmp_path, scale):
    root, out = kits(tmp_path / "data", 2), tmp_path / "out"
    for path in root.glob("*/imaging.nii.gz"):
        content = bytearray(gzip.decompress(path.read_bytes()))
        content[112:120] = np.array(scale, np.float32).tobytes()
        path.write_bytes(gzip.compress(bytes(content)))
    synthesize(root, out, count=1)
    seen = shown_of(out)
    _, [(_, before, after)] = synthetic(root, out)
    a, b = (gzip.decompress(case.image.read_bytes()) for case in (before, after))
    assert a[:348] == b[:348]
    stored = [np.frombuffer(content, np.int16, offset=352).reshape(SHAPE) for content in (a, b)]
    soft = seen[0].pasted.soft_mask
    assert np.array_equal(stored[0][soft == 0], stored[1][soft == 0])
    assert (stored[0] != stored[1]).any()
    meant = seen[0].pasted.sample.image[..., 0]
    assert np.abs(read_volume(after.image).values - meant).max() <= scale[0] / 2 + 1e-3


def test_nan_in_a_volume_is_told_and_the_run_goes_on(tmp_path):
    root, out = pairs(tmp_path / "data", 4), tmp_path / "out"
    image, _ = scan(0)
    bad = image[0].astype(np.float32)
    bad[0, 0, 0] = np.nan
    volumes.put(root / "images" / "p1.nrrd", bad, direction=volumes.oblique())
    summary = synthesize(root, out, count=4)
    assert summary.written == 4
    assert ["p1.nrrd: expected finite values" in str(problem) for problem in summary.problems] == [True]


def test_a_lesion_stays_in_a_brain_that_is_drawn(tmp_path):
    root, out = brats(tmp_path / "data"), tmp_path / "out"
    synthesize(root, out, count=3)
    for record in lines(out):
        assert record["placement"]["region_overlap_px"] == record["placement"]["area_px"]


def test_synthetic_cases_are_no_parents(tmp_path, softcp):
    root, out = kits(tmp_path / "data"), tmp_path / "out"
    synthesize(root, out, count=2)
    for folder in out.glob("case_*"):
        folder.rename(root / folder.name)
    summary = synthesize(root, tmp_path / "again", count=4)
    assert sum("shows two patients" in str(problem) for problem in summary.problems) == 2
    assert summary.real == 4
    assert not [r for r in lines(tmp_path / "again") if "synth" in r["background"]["id"] + r["source"]["id"]]
    assert softcp("bank", root, tmp_path / "bank").code == 0
    assert "synth" not in (tmp_path / "bank" / "bank.jsonl").read_text("utf-8")


def test_settings_that_do_not_fit_are_told_before_an_earlier_set_is_removed(tmp_path, softcp):
    root, out = kits(tmp_path / "data"), tmp_path / "out"
    assert softcp("synthesize", root, out, "--count", "1").code == 0
    (tmp_path / "c.toml").write_text('footprint = "cross"', "utf-8")
    said = softcp("synthesize", root, out, "--overwrite", "--config", tmp_path / "c.toml")
    assert said.code == 2
    assert "footprint: expected 'full' with spacing" in said.err
    assert (out / "summary.json").is_file()
    assert list(out.glob("case_*"))


class TestForNnunet:
    def made(self, tmp_path, softcp, name, *more):
        root, out = SETS[name](tmp_path / "data", 6), tmp_path / "Dataset001_Soft"
        said = softcp("synthesize", root, out, "--count", "5", "--format", "nnunet", *more)
        assert said.code == 0, said.err
        return root, out

    @pytest.mark.parametrize("name", SETS)
    def test_nnunet_accepts_it(self, tmp_path, softcp, nnunet_verify, name):
        _, out = self.made(tmp_path, softcp, name)
        nnunet_verify(str(out))
        about = json.loads((out / "dataset.json").read_text("utf-8"))
        assert about["numTraining"] == 11
        assert find_layout(out).name == "nnunet"

    def test_a_synthetic_case_is_only_in_folds_where_all_its_parents_train(self, tmp_path, softcp):
        _, out = self.made(tmp_path, softcp, "kits19")
        records = {r["files"]["mask"].split("/")[1].split(".")[0]: r for r in lines(out)}
        folds = json.loads((out / "splits_final.json").read_text("utf-8"))
        assert len(folds) == 5
        used = set()
        for fold in folds:
            assert set(fold["train"]).isdisjoint(fold["val"])
            assert not [case for case in fold["val"] if case in records]
            for name in (case for case in fold["train"] if case in records):
                parents = {records[name][who]["id"] for who in ("background", "source")}
                assert parents <= set(fold["train"])
                used.add(name)
        assert used

    def test_only_the_training_part_goes_in(self, tmp_path, softcp):
        _, out = self.made(tmp_path, softcp, "kits19", "--split", "4:1:1")
        split = json.loads((out / "split.json").read_text("utf-8"))
        names = {path.name for path in (out / "imagesTr").iterdir()}
        assert len(split["val"]) == len(split["test"]) == 1
        assert not [name for name in names for case in (*split["val"], *split["test"]) if case in name]

    def test_cases_without_an_organ_are_negatives(self, tmp_path, softcp):
        root, out = kits(tmp_path / "data", 4), tmp_path / "Dataset001_Soft"
        image, labels = scan(9)
        volumes.put(root / "case_00009" / "imaging.nii.gz", image[0])
        volumes.put(root / "case_00009" / "segmentation.nii.gz", np.zeros_like(labels))
        said = softcp("synthesize", root, out, "--count", "3", "--format", "nnunet")
        assert said.code == 0, said.err
        assert (out / "labelsTr" / "case_00009.nii.gz").is_file()
        assert "case_00009" not in {record["background"]["id"] for record in lines(out)}

    def test_overwrite_removes_all_of_it(self, tmp_path, softcp):
        root, out = self.made(tmp_path, softcp, "kits19")
        said = softcp("synthesize", root, out, "--count", "1", "--overwrite")
        assert said.code == 0, said.err
        assert not (out / "imagesTr").exists()
        assert not (out / "dataset.json").exists()
        assert not (out / "other_files.jsonl").exists()


class TestBanks:
    def test_lesions_of_one_set_in_healthy_volumes_of_another(self, tmp_path, softcp):
        sick, healthy = kits(tmp_path / "sick"), tmp_path / "healthy"
        for i in range(2):
            image, labels = scan(10 + i)
            volumes.put(healthy / f"case_{i:05d}" / "imaging.nii.gz", image[0])
            volumes.put(healthy / f"case_{i:05d}" / "segmentation.nii.gz", (labels > 0).astype(np.uint8))
        said = softcp("bank", sick, tmp_path / "bank")
        assert said.code == 0, said.err
        assert "4 lesions in" in said.out
        out = tmp_path / "out"
        said = softcp("synthesize", healthy, out, "--bank", tmp_path / "bank", "--count", "3")
        assert said.code == 0, said.err
        layout, samples = synthetic(healthy, out)
        assert len(samples) == 3
        for record, before, after in samples:
            assert record["source"]["bank_row"] in range(4)
            assert record["source"]["id"].startswith("case_")
            assert not layout.load(before).lesion.any()
            assert layout.load(after).lesion.any()

    def test_lesions_of_held_out_patients_are_left_out(self, tmp_path, softcp):
        root = kits(tmp_path / "data", 6)
        assert softcp("bank", root, tmp_path / "bank", "--split", "all").code == 0
        out = tmp_path / "out"
        said = softcp("synthesize", root, out, "--bank", tmp_path / "bank", "--split", "2:2:2", "--count", "6")
        assert said.code == 0, said.err
        train = set(json.loads((out / "split.json").read_text("utf-8"))["train"])
        assert {record["source"]["id"] for record in lines(out)} <= train

    def test_lesions_of_cases_in_no_part_are_left_out(self, tmp_path, softcp):
        root = kits(tmp_path / "data", 6)
        assert softcp("bank", root, tmp_path / "bank").code == 0
        (tmp_path / "split.json").write_text('{"train": ["case_00000", "case_00001"]}', "utf-8")
        out = tmp_path / "out"
        how = ("--bank", tmp_path / "bank", "--split", tmp_path / "split.json", "--count", "6")
        assert softcp("synthesize", root, out, *how).code == 0
        assert {record["source"]["id"] for record in lines(out)} <= {"case_00000", "case_00001"}

    def test_a_bank_of_images(self, tmp_path, softcp):
        assert softcp("demo", "--out", tmp_path / "demo", "--count", "6").code == 0
        root = tmp_path / "demo" / "phantoms"
        assert softcp("bank", root, tmp_path / "bank").code == 0
        said = softcp("synthesize", root, tmp_path / "out", "--bank", tmp_path / "bank", "--count", "3")
        assert said.code == 0, said.err
        assert all("bank_row" in record["source"] for record in lines(tmp_path / "out"))


@pytest.mark.real_data
def test_real_kidneys(real_data, tmp_path):
    """Real organs and tumours, slice axis first, made-up intensities: both bounds hold on the files."""
    labels = real_data / "kits19_labels_only" / "data"
    if not labels.is_dir():
        pytest.skip(f"no real data: {labels} is not a folder")
    root, out = tmp_path / "data", tmp_path / "out"
    for folder in sorted(labels.iterdir())[:2]:
        mask = sitk.ReadImage(str(folder / "segmentation.nii.gz"))
        ids = sitk.GetArrayFromImage(mask)
        hu = np.array([-60, 150, 60], np.int16)[ids.astype(np.uint8)] + np.arange(ids.size).reshape(ids.shape) % 17
        image = sitk.GetImageFromArray(hu.astype(np.int16))
        image.CopyInformation(mask)
        (root / folder.name).mkdir(parents=True)
        sitk.WriteImage(image, str(root / folder.name / "imaging.nii.gz"))
        sitk.WriteImage(mask, str(root / folder.name / "segmentation.nii.gz"))
    synthesize(root, out, count=2, config={"min_region_overlap": 0.8})
    layout, samples = synthetic(root, out)
    assert len(samples) == 2
    for record, before, after in samples:
        old, new = layout.load(before), layout.load(after)
        lesion, grid = new.lesion & ~old.lesion, read_grid(after.image)
        assert same_grid(grid, read_grid(before.image))
        place = record["placement"]
        assert abs(int(lesion.sum()) - place["area_px"]) <= 0.02 * place["area_px"]  # S = 0 where erosion cut off
        assert (lesion & old.region).sum() >= 0.8 * place["area_px"] - (place["area_px"] - lesion.sum())
        assert place["lesion_overlap_px"] == 0
        reach = np.argwhere((new.image != old.image)[..., 0])
        edge = np.argwhere(lesion)
        mm = np.array(grid.spacing_mm)
        assert ((edge.min(0) - reach.min(0)) * mm <= 9 + 1e-3).all()  # the rim ends after 9 mm along every axis


@pytest.mark.real_data
def test_thick_slices_of_a_real_scan_are_not_bled_across(real_data, tmp_path):
    """lung1: 5 mm between slices, pixels below 1 mm; a rim of 4 mm stays in the lesion's own slices."""
    folder = real_data / "pyradiomics" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is not a folder")
    root, out = tmp_path / "data", tmp_path / "out"
    root.mkdir()
    for name in ("lung1_image", "lung1_label"):
        for copy in ("a", "b"):
            kind = name.split("_")[1]
            (root / f"{copy}_{kind}.nrrd").write_bytes((folder / f"{name}.nrrd").read_bytes())
    config = {"k_dilate": 4, "k_erode": 0, "object_transform": None}
    assert synthesize(root, out, count=2, config=config).written == 2
    for shown in shown_of(out):
        spacing = shown.background.grid.spacing_mm
        assert spacing[0] > 4 > spacing[1]
        soft, lesion = shown.pasted.soft_mask > 0, shown.pasted.sample.lesion & ~shown.background.lesion
        assert set(np.flatnonzero(soft.any((1, 2)))) == set(np.flatnonzero(lesion.any((1, 2))))
        assert soft.any((0, 1)).sum() > lesion.any((0, 1)).sum()


def test_samples_made_side_by_side_are_those_made_one_by_one(tmp_path):
    """nnU-Net's layout keeps a description of all cases, which several threads must not write at once."""
    root = nnunet(tmp_path / "data")
    for batch in (1, 6):
        synthesize(root, tmp_path / str(batch), count=6, batch_size=batch)
    assert contents(tmp_path / "1") == contents(tmp_path / "6")
