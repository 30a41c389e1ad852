"""Who meets whom: how many samples, from which part of the data, and which two cases make each of them."""

import hashlib
import json
import os
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from softcp_gpu.data import LAYOUTS, Case, DataError, Split, find_layout
from softcp_gpu.synthesize.plan import Pairing, sample_count, select_cases, split_cases
from softcp_gpu.synthesize.survey import survey
from tests.synthesize import trees


def some_cases(count, patients=None, split=None):
    return [
        Case(
            f"c{i}", Path(f"c{i}.png"), (), "pairs", Path("data"), patient=patients and f"p{i % patients}", split=split
        )
        for i in range(count)
    ]


def ids(cases):
    return [case.id for case in cases]


class TestCount:
    @pytest.mark.parametrize(
        ("real", "ratio", "expected"),
        [(471, "3:1", 157), (10, "1:1", 10), (10, "1:2", 20), (10, "0.5:1", 20), (10, "3:1", 3), (1, "100:1", 1)],
    )
    def test_ratio_is_real_to_synthetic(self, real, ratio, expected):
        assert sample_count(real, ratio, None) == expected

    def test_count_goes_before_ratio(self):
        assert sample_count(471, "3:1", 2) == 2

    @pytest.mark.parametrize(
        "ratio", ["", "3", "3:", ":1", "0:1", "1:0", "-1:1", "a:b", "3:1:1", "1e2:1", "3/1", "nan:1"]
    )
    def test_a_bad_ratio_is_named(self, ratio):
        with pytest.raises(ValueError, match="ratio: expected"):
            sample_count(10, ratio, None)

    def test_a_ratio_without_an_end_is_a_bad_ratio_too(self):
        with pytest.raises(ValueError, match="ratio: expected"):
            sample_count(10, "1:" + "9" * 400, None)

    @pytest.mark.parametrize("count", [0, -1])
    def test_a_bad_count_is_named(self, count):
        with pytest.raises(ValueError, match="count: expected 1 or more"):
            sample_count(10, "3:1", count)


class TestSplit:
    def test_auto_takes_every_case_where_the_data_set_has_no_split(self):
        parts, how = split_cases(some_cases(5), "auto", 0)
        assert len(parts.train) == 5
        assert "every case" in how

    def test_auto_takes_the_data_sets_own_training_part(self):
        cases = [*some_cases(4, split="train"), Case("v", Path("v.png"), (), "pairs", Path("data"), split="val")]
        parts, how = split_cases(cases, "auto", 0)
        assert ids(parts.train) == ["c0", "c1", "c2", "c3"]
        assert ids(parts.val) == ["v"]
        assert "own" in how

    def test_all_overrules_the_data_sets_own_split(self):
        assert len(split_cases(some_cases(5, split="test"), "all", 0)[0].train) == 5

    def test_shares_overrule_the_data_sets_own_split(self):
        parts, how = split_cases(some_cases(14, split="test"), "5:1:1", 0)
        assert [len(part) for part in parts] == [10, 2, 2]
        assert "5:1:1" in how

    def test_shares_keep_patients_whole_and_follow_the_seed(self):
        cases = some_cases(40, patients=10)
        found = [split_cases(cases, "5:1:1", seed)[0] for seed in (0, 0, 1, 2, 3)]
        for parts in found:
            patients = [{case.patient for case in part} for part in parts]
            assert all(patients)
            assert sum(map(len, patients)) == 10
        assert found[0] == found[1]
        assert any(found[0] != parts for parts in found)

    def test_a_file_names_ids_or_patients(self, tmp_path):
        file = tmp_path / "parts.json"
        file.write_text(json.dumps({"train": ["p0", "alone"], "test": ["p2"]}))
        cases = [*some_cases(6, patients=3), Case("alone", Path("alone.png"), (), "pairs", Path("data"))]
        parts, how = split_cases(cases, str(file), 0)
        assert ids(parts.train) == ["c0", "c3", "alone"]
        assert ids(parts.test) == ["c2", "c5"]
        assert "parts.json" in how

    @pytest.mark.parametrize("split", ["", "train", "5:1", "5:1:1:1", "a:b:c", "nothing.json", "."])
    def test_anything_else_is_named(self, split):
        with pytest.raises(ValueError, match="split: expected"):
            split_cases(some_cases(9), split, 0)

    @pytest.mark.parametrize("split", ["0:1:1", "0:0:0"])
    def test_shares_without_a_training_part_are_named(self, split):
        with pytest.raises(ValueError, match="split"):
            split_cases(some_cases(9), split, 0)

    def test_fewer_patients_than_parts(self):
        with pytest.raises(DataError, match="2 patients"):
            split_cases(some_cases(8, patients=2), "5:1:1", 0)


class TestSelection:
    def test_empty_masks_are_backgrounds_only(self, tmp_path):
        trees.busi(tmp_path)
        chosen = select_cases(find_layout(tmp_path), tmp_path, "all", 0)
        assert set(ids(chosen.backgrounds)) - set(ids(chosen.sources)) == {"normal (1)"}
        assert chosen.problems == []

    def test_a_slice_without_the_organ_gives_but_does_not_receive(self, tmp_path):
        trees.kits2d(tmp_path)
        mask = trees.colours(0)
        mask[trees.organ()] = 0
        mask[trees.lesion(0)] = trees.RED
        trees.put(tmp_path / "masks" / "10030_100.png", mask)
        chosen = select_cases(LAYOUTS["kits2d"], tmp_path, "all", 0)
        assert "10030_100" not in ids(chosen.backgrounds)
        assert "10030_100" in ids(chosen.sources)

    def test_a_bad_mask_is_a_problem_with_its_name(self, tmp_path):
        trees.pairs(tmp_path)
        trees.truncate(tmp_path / "masks" / "a1.png")
        trees.put(tmp_path / "masks" / "a2.png", np.full((64, 64), 7, np.uint8))
        chosen = select_cases(LAYOUTS["pairs"], tmp_path, "all", 0)
        assert ids(chosen.train) == ids(chosen.backgrounds) == ["a0", "a3", "a4"]
        assert [problem.path.name for problem in chosen.problems] == ["a1.png", "a2.png"]
        assert all(problem.path.name in problem.reason for problem in chosen.problems)

    @pytest.mark.parametrize("threads", [1, 4])
    def test_what_is_known_of_every_file(self, tmp_path, threads):
        trees.isic(tmp_path)
        seen = []
        layout = find_layout(tmp_path)
        chosen = select_cases(layout, tmp_path, "auto", 0, threads=threads, on_case=seen.append)
        assert seen == [9] * 9
        assert [line["part"] for line in chosen.lines] == ["train"] * 5 + ["val"] * 2 + ["test"] * 2
        for line in chosen.lines:
            for name, file in line["files"].items():
                content = (tmp_path / name).read_bytes()
                assert file == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            assert ("lesions" in line) == (line["part"] == "train")
            assert line["phash"]
        mask = trees.lesion(0)
        assert chosen.lines[0]["label_pixels"] == {"0": (~mask).sum(), "1": mask.sum()}
        [lesion] = chosen.lines[0]["lesions"]
        middle = (np.argwhere(mask).mean(0) + 0.5) / 64
        assert lesion == {"classes": [1], "pixels": mask.sum(), "mm": None, "center": pytest.approx(middle, abs=1e-4)}

    def test_the_labels_of_what_is_held_out_are_not_read(self, tmp_path):
        trees.isic(tmp_path)
        for path in tmp_path.glob("ISIC-2017_Test*GroundTruth/*"):
            path.write_bytes(b"")
        assert select_cases(find_layout(tmp_path), tmp_path, "auto", 0).problems == []

    def test_a_file_that_changes_later_is_refused_even_if_its_size_stays(self, tmp_path):
        trees.pairs(tmp_path)
        chosen = select_cases(LAYOUTS["pairs"], tmp_path, "all", 0)
        case = chosen.train[0]
        assert set(chosen.inputs.hashes(case)) == {"images/a0.png", "masks/a0.png"}
        content = case.image.read_bytes()
        os.utime(case.image, ns=(0, 0))
        chosen.inputs.check(case)  # touched, and the same
        case.image.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(DataError, match=r"a0\.png: expected the content that it had"):
            chosen.inputs.check(case)
        case.image.unlink()
        with pytest.raises(DataError, match=r"a0\.png: expected the file that was there"):
            chosen.inputs.check(case)

    def test_a_pipe_in_a_case_is_a_problem_of_that_case(self, tmp_path):
        trees.pairs(tmp_path)
        layout = LAYOUTS["pairs"]
        cases = layout.cases(tmp_path)[0]
        (tmp_path / "images" / "a1.png").unlink()
        os.mkfifo(tmp_path / "images" / "a1.png")
        [look] = survey(layout, tmp_path, Split([cases[1]], [], []), [], 1, lambda: None)
        assert "a1.png" in str(look.problem)
        assert "pipe" in str(look.problem)


class TestPairing:
    def test_every_background_is_used_once_before_one_is_used_twice(self):
        pairing = Pairing(some_cases(7), some_cases(5), 3)
        rounds = [[pairing.draw(i, 0).background.id for i in range(r * 7, r * 7 + 7)] for r in range(3)]
        assert all(sorted(used) == ids(some_cases(7)) for used in rounds)
        assert rounds[0] != rounds[1] != rounds[2]  # a round has an order of its own

    @pytest.mark.parametrize(("backgrounds", "sources"), [(2, 2), (3, 2), (2, 3), (6, 6)])
    def test_a_case_is_never_its_own_source(self, backgrounds, sources):
        pairing = Pairing(some_cases(backgrounds), some_cases(sources), 1)
        for i in range(40):
            for attempt in range(4):
                for skipped in range(2):
                    pair = pairing.draw(i, attempt, skipped)
                    assert pair.background.id != pair.source.id

    def test_sources_are_drawn_uniformly_from_the_others(self):
        pairing = Pairing(some_cases(4), some_cases(4), 0)
        met = Counter((pair.background.id, pair.source.id) for pair in (pairing.draw(i, 0) for i in range(1200)))
        assert len(met) == 12
        # 100 expected of each, standard deviation about 8: five of them leave room for chance, but not for a bias.
        assert all(60 <= count <= 140 for count in met.values()), met

    def test_each_try_takes_another_source_while_there_are_others(self):
        pairing = Pairing(some_cases(5), some_cases(5), 0)
        for i in range(10):
            assert len({pairing.draw(i, attempt).source.id for attempt in range(4)}) == 4

    def test_a_try_keeps_its_background_and_changes_its_seed(self):
        tries = [Pairing(some_cases(5), some_cases(5), 0).draw(2, attempt) for attempt in range(6)]
        assert len({pair.background.id for pair in tries}) == 1
        assert len({pair.seed for pair in tries}) == 6

    def test_an_unreadable_background_makes_place_for_another(self):
        pairing = Pairing(some_cases(5), some_cases(5), 0)
        assert len({pairing.draw(3, 0, skipped).background.id for skipped in range(5)}) == 5

    def test_the_only_lesion_is_never_asked_to_receive_itself(self):
        pairing = Pairing(some_cases(4), some_cases(1), 0)
        for i in range(8):
            pair = pairing.draw(i, 0)
            assert pair.source.id == "c0"
            assert pair.background.id != "c0"

    def test_seeds_differ_between_samples_and_between_runs(self):
        seeds = {Pairing(some_cases(5), some_cases(5), run).draw(i, 0).seed for run in range(5) for i in range(50)}
        assert len(seeds) == 250

    def test_it_is_a_pure_function(self):
        def drawn():
            return [Pairing(some_cases(6), some_cases(6), 9).draw(i, attempt) for i in range(9) for attempt in range(2)]

        first = drawn()
        torch.manual_seed(123)
        random.seed(5)
        np.random.seed(5)
        before = torch.get_rng_state()
        assert drawn() == first
        assert torch.equal(before, torch.get_rng_state())

    @pytest.mark.parametrize("seed", [-1, 0, 2**63, 2**64 + 5])
    def test_any_seed_will_do(self, seed):
        pair = Pairing(some_cases(3), some_cases(3), seed).draw(0, 0)
        assert pair.background.id != pair.source.id
