"""Whole runs on tiny data sets of every layout: what is written, what it depends on, and what bad files cost."""

import errno
import hashlib
import json
import os
import random
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from softcp_gpu.data import Case, DataError, Layout, find_layout
from softcp_gpu.modules import ImageTransform, ObjectTransform
from softcp_gpu.synthesize import Summary, synthesize
from tests.synthesize import trees
from tests.synthesize.trees import contents, lines

COUNT = 6
RECORDS = {"run.json", "inputs.jsonl", "samples.jsonl", "summary.json", "split.json"}
LOSSLESS = {"pairs", "busi", "lgg", "kits2d", "ph2"}
HARD = {"object_transform": None, "k_erode": 0, "k_dilate": 0}


class Run(NamedTuple):
    data: Path
    out: Path
    layout: Layout
    cases: dict[str, Case]
    new: dict[str, Case]
    summary: Summary

    def samples(self):
        """(record, background, result) of every sample that was written."""
        by_id = {new_id: case for case in self.new.values() for new_id in [case.id[case.id.index("synth_") :]]}
        for record in lines(self.out):
            if record["files"]:
                background = self.cases[record["background"]["id"]]
                yield record, self.layout.load(background), self.layout.load(by_id[record["id"]])


def run(tree, root, **how):
    tree(root / "data")
    summary = synthesize(root / "data", root / "out", **{"count": COUNT, **how})
    return read(root, summary)


def read(root, summary=None):
    layout = find_layout(root / "data")
    cases, new = layout.cases(root / "data")[0], layout.cases(root / "out")[0]
    by_id = ({case.id: case for case in group} for group in (cases, new))
    return Run(root / "data", root / "out", layout, *by_id, summary)


@pytest.fixture(scope="module", params=trees.TREES)
def every(request, tmp_path_factory):
    return run(trees.TREES[request.param], tmp_path_factory.mktemp(request.param))


def tried(out):
    """The ids of all that were so much as tried."""
    return {t[role] for record in lines(out) for t in record["tries"] for role in ("background", "source")}


def reason_with(name, out):
    """The one reason in the summary that names the file."""
    problems = json.loads((out / "summary.json").read_text("utf-8"))["problems"]
    found = [problem["reason"] for problem in problems if name in problem["path"]]
    assert len(found) == 1, problems
    return found[0]


class TestOutput:
    def test_it_reads_back_in_its_own_layout(self, every):
        assert find_layout(every.out) is every.layout
        cases, problems = every.layout.cases(every.out)
        assert problems == []
        assert len(cases) == COUNT == every.summary.written
        ends = sorted(case.id[case.id.index("synth_") :] for case in cases)
        assert ends == [f"synth_{i:06d}" for i in range(COUNT)]
        assert all(case.synthetic for case in cases)
        assert {case.split for case in cases} <= {None, "train"}

    def test_kvasir_as_one_set_stays_kvasir(self, tmp_path):
        made = run(trees.kvasir_one_set, tmp_path)
        assert made.summary.layout == "kvasir"
        assert find_layout(made.out).name == "kvasir"

    def test_every_line_says_who_how_and_what(self, every):
        records = lines(every.out)
        assert [record["id"] for record in records] == [f"synth_{i:06d}" for i in range(COUNT)]
        train = json.loads((every.out / "split.json").read_text("utf-8"))["train"]
        for record in records:
            assert record["status"] == "pasted"
            assert {record["background"]["id"], record["source"]["id"]} <= set(train)
            assert record["background"]["id"] != record["source"]["id"]
            assert record["source"]["patient"] == every.cases[record["source"]["id"]].patient
            assert isinstance(record["seed"], int)
            assert record["params"]["alpha"] == pytest.approx(0.7)
            assert record["placement"]["area_px"] > 0
            last = {"background": record["background"]["id"], "source": record["source"]["id"], "status": "pasted"}
            assert record["tries"][-1] == last

    def test_hashes_are_those_of_the_files_and_no_file_is_unlisted(self, every):
        listed = {}
        for record in lines(every.out):
            assert record["files"].keys() == record["sha256"].keys() == {"image", "mask"}
            listed |= {record["files"][kind]: record["sha256"][kind] for kind in record["files"]}
        files = {name: content for name, content in contents(every.out).items() if content is not None}
        assert files.keys() == listed.keys() | RECORDS
        assert all(hashlib.sha256(files[name]).hexdigest() == listed[name] for name in listed)

    def test_the_summary_adds_up(self, every):
        summary = json.loads((every.out / "summary.json").read_text("utf-8"))
        tries = Counter(t["status"] for record in lines(every.out) for t in record["tries"])
        assert summary["layout"] == every.layout.name
        assert summary["requested"] == sum(summary["statuses"].values()) == COUNT
        assert summary["written"] == summary["statuses"]["pasted"] == COUNT
        assert summary["tries"] == dict(tries)
        assert summary["problems"] == []
        assert summary["real"] == len(json.loads((every.out / "split.json").read_text("utf-8"))["train"])

    def test_the_split_holds_every_case_once(self, every):
        parts = json.loads((every.out / "split.json").read_text("utf-8"))
        assert parts.keys() == {"train", "val", "test"}
        assert sorted(chain.from_iterable(parts.values())) == sorted(every.cases)

    def test_files_look_like_those_of_the_data_set(self, every):
        for record in lines(every.out):
            case = every.cases[record["background"]["id"]]
            for kind, like in (("image", case.image), ("mask", case.masks[0])):
                path = every.out / record["files"][kind]
                assert path.suffix == like.suffix
                with Image.open(path) as new, Image.open(like) as old:
                    assert (new.format, new.size) == (old.format, old.size)
                    assert new.mode == old.mode or case.image.parent.name == "normal"  # empty masks have odd modes

    def test_the_new_mask_is_the_old_one_and_the_lesion(self, every):
        for record, background, result in every.samples():
            new = result.lesion & ~background.lesion
            assert (result.lesion >= background.lesion).all()
            assert new.sum() == record["placement"]["visible_px"] == record["placement"]["area_px"]
            assert ndimage.label(new, np.ones((3, 3)))[1] <= 2  # one of the sources of BUSI has two
            if background.region is not None:
                assert np.array_equal(result.region, background.region & ~new)
                place = background.region | background.lesion
                assert (new & place).sum() == record["placement"]["region_overlap_px"] >= 0.5 * new.sum()

    def test_the_image_changes_only_around_the_lesion(self, every):
        for record, background, result in every.samples():
            new = result.lesion & ~background.lesion
            rim = ndimage.binary_dilation(new, np.ones((3, 3)), iterations=record["params"]["k_dilate"])
            changed = abs(result.image.astype(int) - background.image).max(axis=2)
            assert result.image.dtype == background.image.dtype
            assert (changed[new] > 0).mean() > 0.5
            if every.layout.name in LOSSLESS:
                assert not changed[~rim].any()
            else:  # JPEG at quality 100 rounds twice: its coefficients, then the pixels; blocks of 8 straddle the rim
                assert changed[~ndimage.binary_dilation(rim, np.ones((3, 3)), iterations=8)].max() <= 3

    @pytest.mark.parametrize(
        "how",
        [
            {"channels": channels, "suffix": suffix, "dtype": dtype}
            for channels in (1, 3)
            for suffix, dtype in ((".png", np.uint8), (".tif", np.uint16), (".bmp", np.uint8))
        ]
        + [{"channels": 1, "suffix": ".png", "dtype": np.uint16}],
    )
    @pytest.mark.parametrize("on", [1, 255])
    def test_a_hard_paste_is_known_to_the_bit(self, tmp_path, how, on):
        made = run(lambda root: trees.pairs(root, on=on, **how), tmp_path, config=HARD, count=3)
        for record, background, result in made.samples():
            source = made.layout.load(made.cases[record["source"]["id"]])
            dy, dx = record["placement"]["offset_px"]
            y, x = np.argwhere(source.lesion).T
            expected, lesion = background.image.copy(), background.lesion.copy()
            expected[y + dy, x + dx] = source.image[y, x]
            lesion[y + dy, x + dx] = True
            assert result.image.dtype == how["dtype"]
            assert np.array_equal(result.image, expected)
            assert np.array_equal(result.lesion, lesion)
            raw = np.asarray(Image.open(made.out / record["files"]["mask"]))
            assert set(np.unique(raw)) == {0, on}

    def test_lesions_stay_on_the_body(self, tmp_path):
        made = run(trees.pairs, tmp_path, count=10, config=HARD)
        body = trees.ellipse((64, 64), (32, 32), (30.08, 30.08))
        assert made.summary.region == "the body in the image"
        for _, _, result in made.samples():
            assert not (result.lesion & ~body).any()

    def test_but_may_leave_it_where_that_is_asked_for(self, tmp_path):
        made = run(trees.pairs, tmp_path, count=10, region="none", config=HARD)
        body = trees.ellipse((64, 64), (32, 32), (30.08, 30.08))
        assert made.summary.region == "none"
        assert any((result.lesion & ~body).any() for _, _, result in made.samples())

    @pytest.mark.parametrize("when", ["background_transform", "image_transform"])
    def test_transforms_of_the_whole_image(self, tmp_path, when):
        crop = {"p_crop": 1.0, "crop": [0.6, 0.8], "p_gamma": 0.0, "p_noise": 0.0, "p_blur": 0.0}
        made = run(trees.kits2d, tmp_path, config={when: crop})
        for record, background, result in made.samples():
            assert result.region.sum() > background.region.sum()
            assert result.image[result.region].min() > 20  # the organ lies deep in the body, and so it stays
            assert record["params"]["background" if when == "background_transform" else "image"] is not None

    def test_progress_is_told_after_every_sample(self, tmp_path):
        told = []
        trees.pairs(tmp_path / "data")
        summary = synthesize(
            tmp_path / "data", tmp_path / "out", count=4, on_sample=lambda s, record: told.append((s.requested, record))
        )
        assert [record for _, record in told] == lines(tmp_path / "out")
        assert [record["number"] for _, record in told] == list(range(4))
        assert {requested for requested, _ in told} == {4}
        assert summary.requested == 4

    @pytest.mark.parametrize(("ratio", "expected"), [("5:1", 1), ("1:1", 5), ("1:2", 10)])
    def test_ratio(self, tmp_path, ratio, expected):
        made = run(trees.pairs, tmp_path, count=None, ratio=ratio)
        assert made.summary.requested == len(lines(made.out)) == expected

    @pytest.mark.parametrize("transform", [ObjectTransform(scale=1.1), None])
    def test_a_config_may_hold_modules(self, tmp_path, transform):
        config = {"object_transform": transform, "image_transform": ImageTransform(p_crop=0.0)}
        made = run(trees.pairs, tmp_path, config=config, count=2)
        assert json.loads((made.out / "summary.json").read_text("utf-8"))["written"] == 2

    def test_names_in_any_script(self, tmp_path):
        made = run(lambda root: [trees.pair(root, name, i) for i, name in enumerate(("Ä ö", "病变", "a b"))], tmp_path)
        assert {record["source"]["id"] for record in lines(made.out)} <= {"Ä ö", "病变", "a b"}

    def test_names_that_are_not_utf_8(self, tmp_path):
        def tree(root):
            trees.pairs(root, 3)
            trees.pair(root, os.fsdecode(b"caf\xe9"), 3)

        try:
            made = run(tree, tmp_path)
        except OSError:
            pytest.skip("this file system takes no such names")
        assert made.summary.written == COUNT


class TestDeterminism:
    @pytest.mark.parametrize("name", trees.TREES)
    def test_the_same_seed_writes_the_same_bytes(self, tmp_path, name):
        trees.TREES[name](tmp_path / "data")
        for out in ("a", "b"):
            synthesize(tmp_path / "data", tmp_path / out, count=4, seed=7)
            torch.manual_seed(1)
            torch.rand(5)
            np.random.seed(3)
            random.seed(2)
        assert contents(tmp_path / "a") == contents(tmp_path / "b")

    def test_another_seed_writes_others(self, tmp_path):
        trees.pairs(tmp_path / "data")
        for seed in (0, 1):
            synthesize(tmp_path / "data", tmp_path / str(seed), count=4, seed=seed)
        a, b = contents(tmp_path / "0"), contents(tmp_path / "1")
        assert all(a[name] != b[name] for name in a if "images/" in name)

    def test_a_sample_does_not_depend_on_how_many_there_are(self, tmp_path):
        trees.lgg(tmp_path / "data")
        for count in (2, 9):
            synthesize(tmp_path / "data", tmp_path / str(count), count=count)
        few, many = contents(tmp_path / "2"), contents(tmp_path / "9")
        assert lines(tmp_path / "2") == lines(tmp_path / "9")[:2]
        assert all(many[name] == content for name, content in few.items() if "synth_" in name)

    def test_the_global_generators_are_left_alone(self, tmp_path):
        trees.pairs(tmp_path / "data")
        states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
        synthesize(tmp_path / "data", tmp_path / "out", count=2)
        assert torch.equal(states[0], torch.get_rng_state())
        assert states[1] == random.getstate()
        assert np.array_equal(states[2], np.random.get_state()[1])

    def test_neither_threads_nor_default_dtype_matter(self, tmp_path):
        trees.lgg(tmp_path / "data")
        synthesize(tmp_path / "data", tmp_path / "a", count=3)
        torch.set_num_threads(3)
        torch.set_default_dtype(torch.float64)
        try:
            synthesize(tmp_path / "data", tmp_path / "b", count=3)
        finally:
            torch.set_num_threads(1)
            torch.set_default_dtype(torch.float32)
        assert contents(tmp_path / "a") == contents(tmp_path / "b")

    def test_the_data_set_is_only_read(self, tmp_path):
        trees.busi(tmp_path / "data")
        before = contents(tmp_path / "data")
        synthesize(tmp_path / "data", tmp_path / "out", count=3)
        assert contents(tmp_path / "data") == before


class TestLeakage:
    @pytest.mark.parametrize("name", ["lgg", "kits2d"])
    @pytest.mark.parametrize("seed", [0, 5])
    def test_shares_divide_patients(self, tmp_path, name, seed):
        made = run(trees.TREES[name], tmp_path, split="2:1:1", seed=seed, count=12)
        parts = json.loads((made.out / "split.json").read_text("utf-8"))
        patients = {part: {made.cases[i].patient for i in parts[part]} for part in parts}
        assert [len(patients[part]) for part in ("train", "val", "test")] == [2, 1, 1]
        assert {made.cases[i].patient for i in tried(made.out)} <= patients["train"]
        assert {case.patient for case in made.new.values()} <= patients["train"]

    @pytest.mark.parametrize("name", ["isic", "kvasir"])
    def test_the_data_sets_own_split(self, tmp_path, name):
        made = run(trees.TREES[name], tmp_path, count=12)
        assert {made.cases[i].split for i in tried(made.out)} == {"train"}
        assert {case.split for case in made.new.values()} == {"train"}
        assert made.summary.real == 5

    @pytest.mark.parametrize("where", ["own", "above"])
    def test_pairs_in_folders_of_a_split(self, tmp_path, where):
        def tree(root):
            for part in ("train", "val", "test"):
                trees.pairs(root / ("" if where == "own" else "set") / part, 3)

        made = run(tree, tmp_path, count=12)
        assert made.layout.name == "pairs"
        assert {made.cases[i].split for i in tried(made.out)} == {"train"}
        assert not (made.out / "test").exists()
        assert not (made.out / "val").exists()

    def test_a_file_names_the_patients(self, tmp_path):
        trees.lgg(tmp_path / "data")
        names = [f"TCGA_CS_{number}_19960909" for number in (4940, 4941, 4942)]
        (tmp_path / "parts.json").write_text(json.dumps({"train": names[:2], "val": names[2:]}))
        synthesize(tmp_path / "data", tmp_path / "out", count=10, split=str(tmp_path / "parts.json"))
        assert {name.rsplit("_", 1)[0] for name in tried(tmp_path / "out")} <= set(names[:2])

    def test_the_split_of_an_earlier_run_can_be_used_again(self, tmp_path):
        trees.lgg(tmp_path / "data")
        out = tmp_path / "out"
        synthesize(tmp_path / "data", out, count=4, split="2:1:1", seed=3)
        first = contents(out)
        synthesize(tmp_path / "data", out, count=4, split=str(out / "split.json"), seed=3, overwrite=True)
        again = contents(out)
        told = ("summary.json", "run.json")  # they name the file
        assert all(again[name] == content for name, content in first.items() if name not in told)

    def test_each_background_serves_once_before_one_serves_twice(self, tmp_path):
        made = run(trees.pairs, tmp_path, count=15)
        used = [record["background"]["id"] for record in lines(made.out)]
        assert all(len(set(used[i : i + 5])) == 5 for i in (0, 5, 10))

    def test_a_synthetic_set_is_not_divided_by_chance(self, tmp_path):
        made = run(trees.pairs, tmp_path)
        with pytest.raises(DataError, match="synthetic"):
            synthesize(made.out, tmp_path / "again", split="5:1:1", count=2)
        assert not (tmp_path / "again").exists()


class TestMixedSets:
    def test_sizes_depths_and_channels_in_one_set(self, tmp_path):
        def tree(root):
            trees.pair(root, "a", 0)
            trees.pair(root, "b", 1, shape=(48, 90))
            trees.pair(root, "c", 2, shape=(80, 50), channels=1)
            trees.pair(root, "d", 3, channels=1, dtype=np.uint16)
            trees.pair(root, "e", 4, shape=(100, 100), dtype=np.uint16, suffix=".tif")
            trees.pair(root, "f", 5, shape=(40, 60), suffix=".bmp")

        made = run(tree, tmp_path, count=18)
        assert made.summary.written == 18
        for record, background, result in made.samples():
            assert (result.image.shape, result.image.dtype) == (background.image.shape, background.image.dtype)
            new = result.lesion & ~background.lesion
            source = made.layout.load(made.cases[record["source"]["id"]])
            scale = min(a / b for a, b in zip(background.image.shape, source.image.shape[:2], strict=False))
            expected = source.lesion.sum() * scale**2
            assert 0.5 * expected < new.sum() < 2 * expected  # two scalings of 0.8 to 1.25, and rounding
            # full scale stays full scale: a pasted lesion is neither black nor white in its new image
            unit = result.image[new] / np.iinfo(result.image.dtype).max
            assert 0.2 < np.median(unit) < 0.9

    def test_styles_of_masks_in_one_set(self, tmp_path):
        def tree(root):
            trees.pairs(root, 4, on=1)
            trees.pair(root, "b", 5, mask_suffix=".jpg")
            trees.pair(root, "c", 6, mask_suffix=".bmp")

        made = run(tree, tmp_path, count=12)
        assert made.summary.written == 12

    def test_a_file_whose_suffix_cannot_hold_its_bits_does_not_lose_the_run(self, tmp_path):
        def tree(root):
            trees.pairs(root, 4)
            (root / "images" / "a0.png").unlink()
            deep = Image.fromarray(trees.picture(0, channels=1, dtype=np.uint16)[:, :, 0])
            deep.save(root / "images" / "a0.jpg", format="PNG")  # readable, as the content tells the format

        made = run(tree, tmp_path, count=8)
        assert sum(made.summary.statuses.values()) == 8
        assert made.summary.written >= 6
        assert (made.out / "summary.json").is_file()

    def test_one_lesion_in_many_cases(self, tmp_path):
        def tree(root):
            trees.pairs(root)
            for i in range(1, 5):
                trees.put(root / "masks" / f"a{i}.png", np.zeros((64, 64), np.uint8))

        made = run(tree, tmp_path, count=10)
        assert made.summary.written == 10
        assert {record["source"]["id"] for record in lines(made.out)} == {"a0"}
        assert "a0" not in {record["background"]["id"] for record in lines(made.out)}


class TestBadFiles:
    def test_a_bad_file_is_left_out_and_named(self, tmp_path):
        def tree(root):
            trees.pairs(root, 8)
            trees.truncate(root / "masks" / "a1.png")
            (root / "masks" / "a2.png").unlink()
            (root / "images" / "a3.png").unlink()
            trees.put(root / "masks" / "a4.png", np.zeros((10, 64), np.uint8))
            (root / "images" / "a5.png").write_bytes(b"")
            (root / "images" / "film.avi").write_bytes(b"RIFF")

        made = run(tree, tmp_path)
        assert made.summary.written == COUNT
        assert tried(made.out) <= {"a0", "a6", "a7"}
        assert "expected a whole file" in reason_with("a1.png", made.out)
        assert "mask" in reason_with("a2.png", made.out)
        assert "image" in reason_with("a3.png", made.out)
        assert "10 x 64" in reason_with("a4.png", made.out)
        reason_with("a5.png", made.out)
        reason_with("film.avi", made.out)
        assert len(made.summary.problems) == 6

    def test_a_truncated_image_costs_a_try_and_touches_no_other_sample(self, tmp_path):
        """Its header and its mask are whole, so it is in every list: only the samples that meet it may change."""
        trees.pairs(tmp_path / "data", 6)
        synthesize(tmp_path / "data", tmp_path / "whole", count=12)
        trees.truncate(tmp_path / "data" / "images" / "a2.png")
        summary = synthesize(tmp_path / "data", tmp_path / "cut", count=12)
        assert summary.written == 12
        assert summary.tries["unreadable"] > 0
        assert "expected a whole file" in reason_with("a2.png", tmp_path / "cut")
        met = 0
        for whole, cut in zip(lines(tmp_path / "whole"), lines(tmp_path / "cut"), strict=True):
            if "a2" in (whole["background"]["id"], whole["source"]["id"]):
                met += 1
                assert cut["tries"][0] == {**whole["tries"][0], "status": "unreadable"}
                assert "a2" not in (cut["background"]["id"], cut["source"]["id"])
            else:
                assert cut == whole
        assert 0 < met < 12
        assert summary.tries["unreadable"] >= met

    def test_where_only_one_image_is_whole(self, tmp_path):
        trees.pairs(tmp_path / "data", 3)
        for i in (1, 2):
            trees.truncate(tmp_path / "data" / "images" / f"a{i}.png")
        summary = synthesize(tmp_path / "data", tmp_path / "out", count=3)
        assert summary.statuses == {"unreadable": 3}
        assert len(summary.problems) == 2
        assert contents(tmp_path / "out").keys() == RECORDS

    def test_no_legal_place_is_counted_and_nothing_half_written(self, tmp_path):
        trees.pairs(tmp_path / "data")
        for i in range(5):
            mask = np.ones((64, 64), bool)
            mask[:3] = False
            trees.put(tmp_path / "data" / "masks" / f"a{i}.png", mask)
        summary = synthesize(tmp_path / "data", tmp_path / "out", count=3)
        assert summary.statuses == {"no_legal_place": 3}
        assert summary.written == 0
        assert contents(tmp_path / "out").keys() == RECORDS
        records = lines(tmp_path / "out")
        assert all(record["files"] == {} and len(record["tries"]) > 1 for record in records)

    def test_of_several_sources_the_one_that_fits_is_found(self, tmp_path):
        trees.pairs(tmp_path / "data", 5)
        for i in range(4):
            trees.put(tmp_path / "data" / "masks" / f"a{i}.png", trees.ellipse((64, 64), (32, 32), (24, 24)))
        trees.put(tmp_path / "data" / "masks" / "a4.png", trees.ellipse((64, 64), (32, 32), (1, 1)))
        summary = synthesize(tmp_path / "data", tmp_path / "out", count=20)
        assert summary.written >= 16  # a4 receives nothing, and it is one background of five
        failed = [record for record in lines(tmp_path / "out") if not record["files"]]
        assert all(record["tries"][0]["background"] == "a4" for record in failed)

    def test_a_run_that_is_stopped_leaves_whole_lines(self, tmp_path):
        def stop(summary, record):
            if record["number"] == 2:
                raise KeyboardInterrupt

        trees.pairs(tmp_path / "data")
        with pytest.raises(KeyboardInterrupt):
            synthesize(tmp_path / "data", tmp_path / "out", count=9, on_sample=stop)
        assert len(lines(tmp_path / "out")) == 3
        assert not (tmp_path / "out" / "summary.json").exists()
        with pytest.raises(DataError, match="overwrit"):
            synthesize(tmp_path / "data", tmp_path / "out", count=2)
        synthesize(tmp_path / "data", tmp_path / "out", count=2, overwrite=True)
        assert len([name for name in contents(tmp_path / "out") if "synth_" in name]) == 4

    def test_a_full_disk_stops_the_run(self, tmp_path, monkeypatch):
        """No other pair would do better, so it is no bad file among others."""

        replace = os.replace

        def full(source, target):
            if "synth_" in str(target):
                raise OSError(errno.ENOSPC, "No space left on device")
            replace(source, target)

        trees.pairs(tmp_path / "data")
        monkeypatch.setattr(os, "replace", full)
        with pytest.raises(DataError, match=r"synth_000000.*No space left"):
            synthesize(tmp_path / "data", tmp_path / "out", count=2)

    def test_what_a_cut_run_left_is_not_mixed_into_the_next(self, tmp_path):
        made = run(trees.lgg, tmp_path, count=4)
        text = (made.out / "samples.jsonl").read_text("utf-8")
        (made.out / "samples.jsonl").write_text(text[: len(text) - 200])
        (made.out / "summary.json").unlink()
        synthesize(made.data, made.out, count=3, seed=5, overwrite=True)
        assert len(made.layout.cases(made.out)[0]) == 3


class TestBadArguments:
    @pytest.mark.parametrize(
        ("how", "word"),
        [
            ({"count": 0}, "count"),
            ({"count": -3}, "count"),
            ({"count": None, "ratio": "3"}, "ratio"),
            ({"count": 2, "ratio": "three to one"}, "ratio"),
            ({"layout": "cityscapes"}, "layout"),
            ({"split": "5:1"}, "split"),
            ({"device": "abacus"}, "device"),
            ({"device": "meta"}, "device"),
            ({"region": "kidney"}, "region"),
            ({"config": {"alfa": 0.5}}, "alfa"),
            ({"config": {"alpha": 2}}, "alpha"),
            ({"config": {"p": "often"}}, "p: "),
            ({"config": {"match": "rin"}}, "match"),
            ({"config": {"lesion_labels": 2}}, "lesion_labels"),
            ({"config": {"other_labels": [3]}}, "other_labels"),
            ({"config": {"object_transform": {"rotation": 3}}}, "rotation"),
            ({"config": {"object_transform": {"rigid": ["bend"]}}}, "bend"),
            ({"config": {"image_transform": {"crop": [0.5, 2]}}}, "crop"),
            ({"config": {"background_transform": "default"}}, "background_transform"),
        ],
    )
    def test_one_error_names_the_argument_and_nothing_is_written(self, tmp_path, how, word):
        trees.pairs(tmp_path / "data", 3)
        synthesize(tmp_path / "data", tmp_path / "earlier", count=2)
        before = contents(tmp_path)
        for out in ("new", "earlier"):
            with pytest.raises(ValueError, match=word):
                synthesize(tmp_path / "data", tmp_path / out, **{"count": 2, "overwrite": True, **how})
        assert contents(tmp_path) == before

    @pytest.mark.parametrize(
        "data", ["nothing", "empty", "file.txt", "only_images", "no_lesion", "one_case", "all_broken", "out_of_train"]
    )
    def test_a_folder_that_nothing_can_be_made_of(self, tmp_path, data):
        root = tmp_path / data
        if data == "empty":
            root.mkdir()
        elif data == "file.txt":
            root.write_text("hello")
        elif data == "only_images":
            trees.put(root / "images" / "a.png", trees.picture(0))
        elif data == "no_lesion":
            trees.pairs(root, 3)
            for mask in (root / "masks").iterdir():
                trees.put(mask, np.zeros((64, 64), np.uint8))
        elif data == "one_case":
            trees.pairs(root, 1)
        elif data == "all_broken":
            trees.pairs(root, 3)
            for mask in (root / "masks").iterdir():
                trees.truncate(mask)
        elif data == "out_of_train":
            trees.pairs(root / "test", 3)
        before = contents(tmp_path)
        with pytest.raises(DataError) as caught:
            synthesize(root, tmp_path / "out", count=2)
        assert str(root) in str(caught.value)
        assert contents(tmp_path) == before

    @pytest.mark.parametrize("out", ["data", "data/out", "data/images", ".", "other/../data/x", "link", "link/x"])
    def test_out_and_data_lie_apart(self, tmp_path, out):
        trees.pairs(tmp_path / "data", 3)
        (tmp_path / "other").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "data")
        before = contents(tmp_path)
        with pytest.raises(DataError, match="apart"):
            synthesize(tmp_path / "data", tmp_path / out, count=2, overwrite=True)
        assert contents(tmp_path) == before

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_a_strangers_folder_is_left_alone(self, tmp_path, overwrite):
        trees.pairs(tmp_path / "data", 3)
        trees.pairs(tmp_path / "mine", 2)
        (tmp_path / "mine" / "summary.json").write_text("{}")
        before = contents(tmp_path)
        with pytest.raises(DataError, match="mine"):
            synthesize(tmp_path / "data", tmp_path / "mine", count=2, overwrite=overwrite)
        assert contents(tmp_path) == before

    def test_overwriting_replaces_the_earlier_run_alone(self, tmp_path):
        made = run(trees.lgg, tmp_path, count=5)
        (made.out / "notes.txt").write_text("mine")
        before = contents(tmp_path)
        with pytest.raises(DataError, match="overwrit"):
            synthesize(made.data, made.out, count=2)
        assert contents(tmp_path) == before
        synthesize(made.data, made.out, count=2, seed=4, overwrite=True)
        synthesize(made.data, tmp_path / "fresh", count=2, seed=4)
        assert contents(made.out) == {**contents(tmp_path / "fresh"), "notes.txt": b"mine"}
