"""Lesions cut out of a data set, and the folder that keeps them."""

import hashlib
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from softcp_gpu.data import Case, DataError, Sample, find_layout
from softcp_gpu.data.bank_files import INDEX, load_lesions, save_bank
from softcp_gpu.data.cut import build_bank, cut_lesions
from softcp_gpu.data.grid import Grid
from softcp_gpu.modules.bank import LesionBank

FRAMES = hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=9)
MASKS = FRAMES.flatmap(lambda shape: hnp.arrays(bool, shape, elements=st.sampled_from([False, False, True])))


def sample_of(lesion, *, channels=1, dtype=np.float32, labels=None, spacing=None):
    """A sample whose pixels all differ, where the type has room for it."""
    image = np.arange(lesion.size * channels).reshape(*lesion.shape, channels).astype(dtype)
    grid = spacing and Grid(lesion.shape[::-1], spacing[::-1], (0.0,) * lesion.ndim, tuple(np.eye(lesion.ndim).ravel()))
    return Sample(image, lesion, None, labels, grid)


def blobs(shape=(20, 30)):
    """A large lesion, a pixel alone, and one that hangs on by a corner."""
    lesion = np.zeros(shape, dtype=bool)
    lesion[..., 4:8, 6:12] = True
    lesion[..., 8, 12] = True
    lesion[..., 17, 25] = True
    return lesion


def place(crop):
    """Where a crop lies in its image."""
    return tuple(
        slice(first, first + length) for first, length in zip(crop.start_px, crop.image.shape[1:], strict=True)
    )


def same(one, two):
    """Bit for bit, types included."""
    for mine, other in zip(one, two, strict=True):
        if isinstance(mine, torch.Tensor):
            assert mine.dtype == other.dtype
            assert torch.equal(mine.double(), other.double())
        else:
            assert mine == other


class TestCut:
    @given(MASKS, st.integers(0, 4))
    def test_every_lesion_pixel_is_in_exactly_one_lesion(self, lesion, margin):
        sample = sample_of(lesion, channels=2)
        crops, dropped = cut_lesions(sample, "a", margin=margin)
        times = np.zeros(lesion.shape, dtype=int)
        for crop in crops:
            times[place(crop)] += crop.labels[0].numpy() > 0
            assert np.array_equal(np.moveaxis(crop.image.numpy(), 0, -1), sample.image[place(crop)])
        assert np.array_equal(times, lesion)
        assert (len(crops), dropped) == (ndimage.label(lesion, np.ones((3,) * lesion.ndim))[1], 0)

    @given(MASKS, st.integers(0, 4), st.lists(st.floats(0.3, 3), min_size=3, max_size=3))
    def test_the_margin_is_as_wide_as_the_frame_lets_it(self, lesion, margin, spacing):
        spacing = tuple(spacing[: lesion.ndim])
        for known in (None, spacing):
            for crop in cut_lesions(sample_of(lesion, spacing=known), "a", margin=margin)[0]:
                pixels = np.argwhere(crop.labels[0].numpy()) + crop.start_px
                steps = [int(np.ceil(round(margin / step, 6))) for step in known or (1,) * lesion.ndim]
                first = np.maximum(pixels.min(0) - steps, 0)
                stop = np.minimum(pixels.max(0) + 1 + steps, lesion.shape)
                assert place(crop) == tuple(map(slice, first, stop))

    def test_a_margin_of_seven_steps_is_not_eight(self):
        lesion = np.zeros((40, 40), dtype=bool)
        lesion[20, 20] = True
        [crop], _ = cut_lesions(sample_of(lesion, spacing=(0.3, 0.3)), "a", margin=2.1)  # divided, 7.000000000000001
        assert crop.image.shape == (1, 15, 15)

    def test_another_lesion_in_the_margin_is_tissue_and_no_label(self):
        lesion = np.zeros((9, 9), dtype=bool)
        lesion[2, 2] = lesion[2, 5] = True
        first, second = cut_lesions(sample_of(lesion), "a")[0]
        assert first.image.shape == second.image.shape == (1, 9, 9)
        assert (first.labels.sum(), second.labels.sum()) == (1, 1)

    def test_classes_of_one_lesion_travel_together(self):
        labels = np.zeros((12, 12), dtype=np.int64)
        labels[2:6, 2:6], labels[3, 3], labels[6, 6], labels[10, 10] = 2, 4, 300, 1  # oedema, cores, an organ
        sample = sample_of(labels > 1, labels=labels)
        [crop], _ = cut_lesions(sample, "a", margin=1)
        assert (crop.classes, crop.volume_px) == ((2, 4, 300), 17)
        assert np.array_equal(crop.labels[0], labels[place(crop)])
        [core], _ = cut_lesions(sample, "a", lesion_labels=[4], margin=1)
        assert (core.classes, core.start_px, core.labels.dtype) == ((4,), (2, 2), torch.uint8)

    def test_small_components_are_dropped_and_counted(self):
        crops, dropped = cut_lesions(sample_of(blobs()), "a", min_px=2)
        assert ([crop.volume_px for crop in crops], dropped) == ([25], 1)
        assert cut_lesions(sample_of(blobs()), "a", min_px=26) == ([], 2)

    def test_a_lesion_of_an_image_knows_the_range_of_the_whole_image(self):
        sample = sample_of(blobs(), channels=2)
        for crop in cut_lesions(sample, "case", margin=3)[0]:
            axes = (0, 1)
            assert crop.value_range.T.tolist() == [sample.image.min(axes).tolist(), sample.image.max(axes).tolist()]

    def test_a_lesion_of_a_volume_knows_where_it_comes_from_and_the_range_of_its_surroundings(self):
        sample = sample_of(blobs((3, 20, 30)), channels=2, spacing=(5.0, 0.6, 0.5))
        upside_down = replace(sample, image=sample.image[::-1])  # the last slice is the darkest
        crops, _ = cut_lesions(upside_down, "case", "patient", margin=3)
        for crop in crops:
            assert (crop.case, crop.patient, crop.spacing_mm) == ("case", "patient", (5.0, 0.6, 0.5))
            assert crop.value_range.tolist() == torch.stack(crop.image.flatten(1).aminmax(dim=1), 1).tolist()
            assert crop.volume_mm3 == pytest.approx(crop.volume_px * 1.5)
        assert crops[0].start_px == (0, 0, 0)  # 3 mm are 1 slice, 5 rows and 6 columns
        assert crops[1].start_px == (0, 12, 19)

    def test_a_crop_does_not_keep_the_scan_in_memory(self):
        sample = sample_of(blobs())
        crop = cut_lesions(sample, "a", margin=1)[0][0]
        before = crop.image.clone()
        sample.image[:] = -1
        assert torch.equal(crop.image, before)
        assert crop.image.untyped_storage().nbytes() == crop.image.nbytes

    def test_a_healthy_image_gives_no_lesion(self):
        assert cut_lesions(sample_of(np.zeros((5, 5), dtype=bool)), "a") == ([], 0)

    def test_either_byte_order_is_read(self):
        swapped = sample_of(blobs(), dtype=np.dtype(np.uint16).newbyteorder())
        same(cut_lesions(swapped, "a")[0][0], cut_lesions(sample_of(blobs(), dtype=np.uint16), "a")[0][0])

    @pytest.mark.parametrize(
        ("fields", "lesion_labels", "message"),
        [
            ({"image": np.full((20, 30, 1), np.nan)}, None, "a: expected finite values, found NaN or infinity"),
            ({"image": np.zeros((20, 31, 1))}, None, r"a: expected a mask \(20, 31\) as the image has"),
            ({"labels": np.zeros((20, 30), int)}, None, r"a: expected class ids from 1 to 2\*\*31 - 1 on lesions"),
            ({"labels": np.full((20, 30), 1 << 31)}, None, "on lesions, found 2147483648 to 2147483648"),
            ({}, 2, r"a: expected class ids, with \[2\] among them, found a mask without class ids"),
        ],
    )
    def test_a_sample_that_is_no_use_is_named(self, fields, lesion_labels, message):
        with pytest.raises(DataError, match=message):
            cut_lesions(replace(sample_of(blobs()), **fields), "a", lesion_labels=lesion_labels)

    @pytest.mark.parametrize("wrong", [{"margin": -1}, {"margin": "2"}, {"min_px": 0}, {"lesion_labels": 0}])
    def test_an_argument_out_of_range_is_named(self, wrong):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}: expected"):
            cut_lesions(sample_of(blobs()), "a", **wrong)

    def test_a_missing_scipy_is_told_in_one_line(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "scipy", None)
        with pytest.raises(ModuleNotFoundError, match=r"SciPy; install it with: pip install 'softcp-gpu\[cli\]'"):
            cut_lesions(sample_of(blobs()), "a")


@pytest.fixture
def crops():
    """Two lesions of one case, one of another, of three classes."""
    labels = np.where(blobs(), 2, 0)
    labels[6, 8] = 3
    two, _ = cut_lesions(sample_of(blobs(), dtype=np.uint16, labels=labels), "case 1", "patient", margin=2)
    one, _ = cut_lesions(sample_of(blobs()[:9], dtype=np.uint16), "ümlaut \udcff", margin=0)
    return [*two, *one]


@pytest.fixture
def bank(crops, tmp_path):
    save_bank(tmp_path / "bank", crops)
    return tmp_path / "bank"


def lines(bank):
    return [json.loads(line) for line in (bank / INDEX).read_text().splitlines()]


def tree(folder):
    return {path.relative_to(folder): path.is_dir() or path.read_bytes() for path in folder.rglob("*")}


class TestRoundTrip:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32, np.float16, np.float32, np.float64])
    @pytest.mark.parametrize(("shape", "spacing"), [((20, 30), None), ((4, 20, 30), (5.0, 0.1, 1 / 3))])
    def test_what_is_saved_is_loaded_bit_for_bit(self, tmp_path, dtype, shape, spacing):
        sample = sample_of(blobs(shape), channels=2, dtype=dtype, spacing=spacing)
        given_crops, _ = cut_lesions(sample, "a", margin=2)
        assert save_bank(tmp_path / "bank", given_crops) == 2
        for loaded, original in zip(load_lesions(tmp_path / "bank"), given_crops, strict=True):
            same(loaded, original)
            assert str(loaded.image.numpy().dtype) == np.dtype(dtype).name

    def test_odd_names_come_back(self, bank, crops):
        for loaded, original in zip(load_lesions(bank), crops, strict=True):
            same(loaded, original)

    def test_the_same_lesions_make_the_same_files(self, bank, crops, tmp_path):
        save_bank(tmp_path / "again", crops)
        assert tree(tmp_path / "again") == tree(bank)

    def test_a_bank_in_memory_can_be_saved_too(self, bank, tmp_path):
        loaded = LesionBank(load_lesions(bank))
        save_bank(tmp_path / "again", loaded)
        for one, two in zip(load_lesions(tmp_path / "again"), loaded, strict=True):
            same(one, two)

    def test_the_index_says_what_each_lesion_is(self, bank, crops):
        head, first, *_ = lines(bank)
        assert head == {"lesion_bank": 1, "lesions": 3}
        content = (bank / first["file"]).read_bytes()
        assert first == {
            "id": "000000",
            "case": "case 1",
            "patient": "patient",
            "start_px": [2, 4],
            "size_px": [9, 11],
            "spacing_mm": None,
            "value_range": [[0.0, 599.0]],
            "dtype": "uint16",
            "classes": [2, 3],
            "volume_px": 25,
            "volume_mm3": None,
            "file": "lesions/000000.npz",
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        with np.load(bank / first["file"], allow_pickle=False) as arrays:
            assert np.array_equal(arrays["image"], crops[0].image.numpy())
            assert set(arrays) == {"image", "labels"}


class TestFolder:
    @pytest.mark.parametrize("overwrite", [False, True])
    def test_an_empty_folder_and_a_link_to_one_are_filled(self, crops, tmp_path, overwrite):
        (tmp_path / "empty").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "empty")
        save_bank(tmp_path / "link", crops, overwrite=overwrite)
        assert (tmp_path / "link").is_symlink()
        assert len(load_lesions(tmp_path / "empty")) == 3
        assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "link"]

    def test_a_bank_is_replaced_only_if_asked(self, bank, crops):
        before = tree(bank.parent)
        with pytest.raises(DataError, match=r"overwrite=True to replace a bank, found bank\.jsonl, lesions/"):
            save_bank(bank, crops[:1])
        assert tree(bank.parent) == before
        save_bank(bank, crops[:1], overwrite=True)
        assert len(load_lesions(bank)) == 1
        assert {str(path) for path in tree(bank.parent)} == {
            "bank",
            "bank/bank.jsonl",
            "bank/lesions",
            "bank/lesions/000000.npz",
        }

    @pytest.mark.parametrize("stranger", ["notes.txt", "lesions/mine.npz", "lesions/deep/000000.npz"])
    def test_what_no_bank_holds_is_never_touched(self, bank, crops, stranger):
        (bank / stranger).parent.mkdir(exist_ok=True)
        (bank / stranger).write_text("mine")
        before = tree(bank.parent)
        with pytest.raises(DataError, match="expected a lesion bank and nothing else"):
            save_bank(bank, crops, overwrite=True)
        assert tree(bank.parent) == before

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_a_file_in_its_place_is_refused(self, crops, tmp_path, overwrite):
        (tmp_path / "bank").write_text("mine")
        with pytest.raises(DataError, match="bank: expected a folder or nothing, found a file"):
            save_bank(tmp_path / "bank", crops, overwrite=overwrite)
        assert (tmp_path / "bank").read_text() == "mine"

    def test_a_run_that_fails_leaves_what_was_there(self, bank, crops, monkeypatch):
        before = tree(bank.parent)

        def breaks():
            yield crops[0]
            raise KeyboardInterrupt

        def full(path, **arrays):
            Path(path).write_bytes(b"half")
            raise OSError(28, "No space left on device")

        with pytest.raises(KeyboardInterrupt):
            save_bank(bank, breaks(), overwrite=True)
        assert tree(bank.parent) == before
        monkeypatch.setattr(np, "savez_compressed", full)
        with pytest.raises(DataError, match="bank: expected a folder that can be written, found No space left"):
            save_bank(bank, crops, overwrite=True)
        assert tree(bank.parent) == before

    def test_a_bank_that_cannot_take_its_place_leaves_the_old_one(self, bank, crops, monkeypatch):
        before, rename = tree(bank.parent), Path.rename

        def blocked(path, target):
            if path.name.endswith(".new"):
                raise OSError(16, "Device or resource busy")
            return rename(path, target)

        monkeypatch.setattr(Path, "rename", blocked)
        with pytest.raises(DataError, match="Device or resource busy"):
            save_bank(bank, crops[:1], overwrite=True)
        assert tree(bank.parent) == before

    def test_nothing_to_keep_makes_no_folder(self, tmp_path):
        with pytest.raises(DataError, match="expected one lesion or more to keep, found none"):
            save_bank(tmp_path / "bank", [])
        assert list(tmp_path.iterdir()) == []

    def test_lesions_that_fit_no_bank_are_refused(self, crops, tmp_path):
        odd, _ = cut_lesions(sample_of(blobs((2, 20, 30))), "b")
        with pytest.raises(DataError, match=r"expected 1 channel\(s\), 2 axes.* found 1 channel\(s\), 3 axes"):
            save_bank(tmp_path / "bank", [*crops, *odd])
        broken = crops[0]._replace(labels=crops[0].labels[:, 1:])
        with pytest.raises(ValueError, match=r"lesions\[1\] \(case case 1\): labels"):
            save_bank(tmp_path / "bank", [crops[1], broken])
        half = LesionBank(crops).bfloat16()
        with pytest.raises(ValueError, match=r"lesions\[0\]: image: expected a type that NumPy has"):
            save_bank(tmp_path / "bank", half)
        assert list(tmp_path.iterdir()) == []


def rewrite(bank, number, **fields):
    """Changes a line of the index."""
    records = lines(bank)
    records[number].update(fields)
    (bank / INDEX).write_text("".join(json.dumps(record) + "\n" for record in records))


def replace_arrays(bank, **arrays):
    """Writes other arrays for the first lesion, and their hash into the index."""
    path = bank / "lesions" / "000000.npz"
    with np.load(path) as old:
        arrays = {**old, **arrays}
    np.savez(path, **arrays)
    rewrite(bank, 1, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def cut_off(path, size):
    path.write_bytes(path.read_bytes()[:size])


FIRST = "lesions/000000.npz"
DAMAGE = [
    (lambda bank: (bank / INDEX).unlink(), INDEX, "found FileNotFoundError"),
    (lambda bank: (bank / INDEX).write_bytes(b"\xff\xfe"), INDEX, "found UnicodeDecodeError"),
    (lambda bank: (bank / INDEX).write_text(""), INDEX, "version 1 of a lesion bank in line 1, found ''"),
    (lambda bank: rewrite(bank, 0, lesion_bank=2), INDEX, "version 1 of a lesion bank in line 1"),
    (lambda bank: rewrite(bank, 0, lesions=4), INDEX, "4 lesions, as line 1 says, found 3"),
    (lambda bank: cut_off(bank / INDEX, -40), INDEX, "a JSON object in line 4"),
    (lambda bank: (bank / INDEX).write_text("[]\n"), INDEX, "a JSON object in line 1, found '\\[\\]'"),
    (lambda bank: (bank / INDEX).write_text('{"lesion_bank": 1, "lesions": 1}\n{}'), INDEX, "in line 2"),
    (lambda bank: (bank / FIRST).unlink(), FIRST, "a file, as bank.jsonl says, found No such file"),
    (lambda bank: cut_off(bank / FIRST, -1), FIRST, "the content that bank.jsonl knows"),
    (lambda bank: rewrite(bank, 1, sha256="0" * 64), FIRST, "the content that bank.jsonl knows, 0000"),
    (lambda bank: rewrite(bank, 1, file="lesions/000001.npz"), "lesions/000001.npz", "the content that"),
    (lambda bank: rewrite(bank, 1, volume_px=7), FIRST, "volume_px 7, as bank.jsonl says, found 25"),
    (lambda bank: rewrite(bank, 1, start_px="ab"), FIRST, "start_px: expected 2 whole numbers"),
    (lambda bank: rewrite(bank, 1, spacing_mm=[1, "b"]), FIRST, "a lesion's image and labels, found TypeError"),
    (lambda bank: rewrite(bank, 1, value_range=[[0, 1]]), FIRST, "value_range: expected finite numbers"),
    (lambda bank: rewrite(bank, 1, value_range="x"), FIRST, "a lesion's image and labels"),
    (lambda bank: rewrite(bank, 1, case=None), FIRST, "case, patient: expected a string"),
    (lambda bank: replace_arrays(bank, image=np.zeros((1, 9, 11))), FIRST, "dtype uint16, as bank"),
    (lambda bank: replace_arrays(bank, image=np.zeros((1, 9, 10), np.uint16)), FIRST, r"integers \(1, 9, 10\)"),
    (lambda bank: replace_arrays(bank, labels=np.ones((1, 9, 11), np.uint8)), FIRST, r"classes \[2, 3\], as bank"),
    (lambda bank: replace_arrays(bank, image=np.array([{}])), FIRST, "allow_pickle=False"),
]


class TestDamage:
    @pytest.mark.parametrize(("damage", "file", "message"), DAMAGE)
    def test_a_damaged_bank_names_the_file(self, bank, damage, file, message):
        damage(bank)
        with pytest.raises(DataError, match=message) as caught:
            load_lesions(bank)
        assert str(caught.value).startswith(f"{bank / file}: expected ")

    @pytest.mark.parametrize("name", ["../secret.npz", "/etc/passwd", "link/secret.npz", "a\0b", 7, None])
    def test_nothing_outside_the_folder_is_read(self, bank, name):
        (bank / "link").symlink_to(bank.parent)
        os.replace(bank / FIRST, bank.parent / "secret.npz")  # with the right hash
        rewrite(bank, 1, file=name)
        with pytest.raises(DataError, match=r"bank.jsonl: expected files inside the bank's folder"):
            load_lesions(bank)

    @pytest.mark.parametrize("bits", range(0, 3000, 101))
    def test_a_flipped_bit_is_never_read(self, bank, bits):
        path = bank / FIRST
        content = bytearray(path.read_bytes())
        content[(bits // 8) % len(content)] ^= 1 << bits % 8
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"000000\.npz: expected the content that"):
            load_lesions(bank)


def case_of(name, patient=None):
    return Case(name, Path(f"{name}.png"), (), "fake", Path(), patient)


class FakeLayout(SimpleNamespace):
    """Gives samples by the case's id, and errors for the rest."""

    def load(self, case):
        if case.id not in self.samples:
            raise DataError(case.image, "an image", "a broken one")
        return self.samples[case.id]


class TestBuild:
    def test_a_data_set_becomes_a_bank_and_bad_cases_are_reported(self, tmp_path):
        healthy = np.zeros((20, 30), dtype=bool)
        layout = FakeLayout(
            samples={
                "a": sample_of(healthy),
                "b": sample_of(blobs()),
                "c": sample_of(blobs(), channels=3),
                "e": sample_of(blobs(), dtype=np.uint8),
                "f": replace(sample_of(blobs()), image=np.full((20, 30, 1), np.inf)),
            }
        )
        cases = [case_of(name, patient=name.upper()) for name in "abcdef"]
        built = build_bank(layout, cases, tmp_path / "bank", min_px=2, margin=1)
        assert (built.lesions, built.dropped) == (2, 2)
        assert [problem.path.name for problem in built.problems] == ["c.png", "d.png", "f.png"]
        reasons = " | ".join(map(str, built.problems))
        assert "expected 1 channel(s)" in reasons
        assert "found 3 channel(s)" in reasons
        assert "a broken one" in reasons
        assert "NaN or infinity" in reasons
        crops = load_lesions(tmp_path / "bank")
        assert [(crop.case, crop.patient, crop.image.dtype) for crop in crops] == [
            ("b", "B", torch.float32),
            ("e", "E", torch.uint8),
        ]
        assert LesionBank(crops).patients == ("B", "E")

    def test_classes_are_picked_by_their_ids(self, tmp_path):
        layout = FakeLayout(samples={"a": sample_of(blobs(), labels=np.where(blobs(), 2, 1))})
        build_bank(layout, [case_of("a")], tmp_path / "bank", lesion_labels=1)
        assert {crop.classes for crop in load_lesions(tmp_path / "bank")} == {(1,)}

    def test_a_set_without_a_lesion_is_an_error_that_says_why(self, tmp_path):
        layout = FakeLayout(samples={"a": sample_of(blobs())})
        with pytest.raises(DataError, match=r"found none, 2 too small, and 1 cases that are of no use such as x.png"):
            build_bank(layout, [case_of("a"), case_of("x")], tmp_path / "bank", min_px=99)
        assert list(tmp_path.iterdir()) == []

    def test_a_place_that_is_taken_is_known_before_the_first_case_is_read(self, bank):
        with pytest.raises(DataError, match="overwrite=True"):
            build_bank(None, [case_of("a")], bank)

    @pytest.mark.real_data
    @pytest.mark.parametrize(
        ("name", "patients"),
        [("lgg", 3), ("kits19_2d_slices", 5), pytest.param("brats2015_deepmedic", 2, marks=pytest.mark.slow)],
    )
    def test_a_real_set_becomes_a_bank(self, real_data, tmp_path, name, patients):
        if not (real_data / name).is_dir():
            pytest.skip(f"no real data: {real_data / name} is not a folder")
        layout = find_layout(real_data / name)
        cases, _ = layout.cases(real_data / name)
        chosen = sorted({case.patient for case in cases})[:patients]
        cases = [case for case in cases if case.patient in chosen]
        built = build_bank(layout, cases, tmp_path / "bank")
        assert (built.problems, built.dropped) == ([], 0)
        bank = LesionBank(load_lesions(tmp_path / "bank"), by="patient")
        assert sum(crop.volume_px for crop in bank) == sum(layout.read_labels(case)[0].sum() for case in cases)
        assert len(bank) == built.lesions >= patients
        assert bank.size.shape[1] == layout.read_labels(cases[0])[0].ndim
        assert bank(torch.arange(3)).image.shape[1] == layout.load(cases[0]).image.shape[-1]
