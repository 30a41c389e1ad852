import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from softcp_gpu.data import Case, DataError, Sample, make_split, training_cases
from softcp_gpu.data.nnunet_export import NnunetWriter


def some_cases(patients, split=None):
    """Cases for `{patient: number of cases}`; without a patient where its name starts with "-"."""
    return [
        Case(f"{name}_{i}", Path(f"{name}_{i}.png"), (), "pairs", Path("root"), None if name[0] == "-" else name, split)
        for name, count in patients.items()
        for i in range(count)
    ]


def ids(split):
    return [[case.id for case in part] for part in split]


UNEVEN = {f"p{i}": 1 + i % 7 for i in range(40)}


class TestByChance:
    @pytest.mark.parametrize("seed", range(5))
    def test_patients_stay_whole_and_every_case_is_in_one_part(self, seed):
        cases = some_cases(UNEVEN)
        parts = make_split(cases, seed=seed)
        patients = [{case.patient for case in part} for part in parts]
        assert Counter(case.id for part in parts for case in part) == Counter(case.id for case in cases)
        assert sum(map(len, patients)) == len(UNEVEN)

    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize("fractions", [(5, 1, 1), (0.8, 0.1, 0.1), (1, 1, 1), (3, 0, 1)])
    def test_shares_are_as_close_as_patients_allow(self, seed, fractions):
        cases = some_cases(UNEVEN)
        for part, share in zip(make_split(cases, fractions, seed), fractions, strict=True):
            assert abs(len(part) - len(cases) * share / sum(fractions)) < max(UNEVEN.values())

    def test_without_patients_shares_are_exact(self):
        assert [len(part) for part in make_split(some_cases({f"-{i}": 1 for i in range(70)}))] == [50, 10, 10]

    def test_the_order_of_the_listing_does_not_matter(self):
        cases = some_cases(UNEVEN)
        turned = make_split(cases[::-1], seed=3)
        assert [part[::-1] for part in ids(turned)] == ids(make_split(cases, seed=3))

    def test_a_seed_names_one_division_for_good(self):
        cases = some_cases({name: 1 for name in "abcdefg"})
        assert ids(make_split(cases)) == [["a_0", "b_0", "c_0", "e_0", "f_0"], ["g_0"], ["d_0"]]

    def test_seeds_differ(self):
        cases = some_cases(UNEVEN)
        assert len({json.dumps(ids(make_split(cases, seed=seed))) for seed in range(20)}) == 20

    def test_every_patient_comes_to_every_part_about_as_often_as_its_share(self):
        cases = some_cases({f"p{i}": 1 for i in range(14)})
        counts = Counter(case.id for seed in range(700) for case in make_split(cases, seed=seed).val)
        assert all(60 < counts[case.id] < 140 for case in cases)

    def test_no_part_is_empty_where_there_are_patients_enough(self):
        assert [len(part) for part in make_split(some_cases({"a": 9, "b": 9, "c": 9}))] == [9, 9, 9]
        with pytest.raises(DataError, match="train, val, test, found 2 patients"):
            make_split(some_cases({"a": 9, "b": 9}))
        assert [len(part) for part in make_split(some_cases({"a": 9}), (1, 0, 0))] == [9, 0, 0]

    @pytest.mark.parametrize("fractions", [(1, 1), (0, 1, 1), (1, -1, 1), (1, float("nan"), 0), (float("inf"), 1, 1)])
    def test_bad_fractions(self, fractions):
        with pytest.raises(DataError, match="three fractions"):
            make_split(some_cases(UNEVEN), fractions)

    def test_synthetic_cases_are_not_divided_by_chance(self):
        with pytest.raises(DataError, match="found 1 synthetic"):
            make_split([*some_cases(UNEVEN), Case("p1_synth_1", Path("p1_synth_1.png"), (), "lgg", Path(), "p1")])


class TestOwnSplit:
    def test_goes_first_unless_it_is_not_wanted(self):
        cases = [case for part in ("train", "val", "test") for case in some_cases({part: 3}, part)]
        assert ids(make_split(cases)) == [[f"{part}_{i}" for i in range(3)] for part in ("train", "val", "test")]
        assert len(make_split(cases, (1, 0, 0), own=False).train) == 9

    def test_a_patient_in_two_of_its_parts_is_an_error(self):
        cases = [*some_cases({"a": 1}, "train"), *some_cases({"a": 2}, "test")[1:]]
        with pytest.raises(DataError, match="found a in train and test"):
            make_split(cases)

    def test_a_case_outside_of_it_is_an_error(self):
        with pytest.raises(DataError, match="found b_0 in none"):
            make_split([*some_cases({"a": 2}, "train"), *some_cases({"b": 1})])

    def test_without_a_training_part_there_is_nothing_to_train_on(self):
        with pytest.raises(DataError, match="found 0 train, 0 val, 3 test"):
            training_cases(some_cases({"a": 3}, "test"))


class TestFile:
    def split(self, tmp_path, content, cases=None):
        file = tmp_path / "split.json"
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return make_split(cases or some_cases({"a": 2, "b": 2, "-c": 2}), file=file)

    def test_names_ids_and_patients(self, tmp_path):
        parts = self.split(tmp_path, {"train": ["a", "-c_1"], "val": ["-c_0"], "test": ["b_1"]})
        assert ids(parts) == [["a_0", "a_1", "-c_1"], ["-c_0"], ["b_1"]]

    def test_goes_before_the_data_sets_own(self, tmp_path):
        assert ids(self.split(tmp_path, {"train": ["a_1"]}, some_cases({"a": 2}, "test"))) == [["a_1"], [], []]

    def test_an_unknown_id_is_an_error(self, tmp_path):
        with pytest.raises(DataError, match=r"split.json: expected ids or patients of the data set, found 'd' in val"):
            self.split(tmp_path, {"train": ["a"], "val": ["d"]})

    @pytest.mark.parametrize("twice", [{"train": ["a"], "val": ["a"]}, {"train": ["a"], "test": ["a_1"]}])
    def test_an_entry_in_two_parts_is_an_error(self, tmp_path, twice):
        with pytest.raises(DataError, match=r"split.json: expected parts that share nothing, found"):
            self.split(tmp_path, twice)

    def test_a_patient_in_two_parts_is_an_error(self, tmp_path):
        with pytest.raises(
            DataError, match=r"split.json: expected each patient in one part, found a in train and test"
        ):
            self.split(tmp_path, {"train": ["a_0"], "test": ["a_1"]})

    @pytest.mark.parametrize(
        "content", ["", "{", "[]", {}, {"val": ["a"]}, {"train": ["a"], "tset": []}, {"train": "a"}, {"train": [1]}]
    )
    def test_another_form_is_an_error(self, tmp_path, content):
        with pytest.raises(DataError, match=r"split.json: expected JSON of the form"):
            self.split(tmp_path, content)

    def test_a_missing_file_is_an_error(self, tmp_path):
        with pytest.raises(DataError, match=r"none.json: expected JSON"):
            make_split(some_cases({"a": 2}), file=tmp_path / "none.json")


class TestFolds:
    FOLDS = ({"train": ["a_0", "a_1"], "val": ["b_0"]}, {"train": ["b_0"], "val": ["a_1"]})

    @pytest.fixture
    def split(self, tmp_path):
        def read(content, fold=None, cases=None):
            file = tmp_path / "splits_final.json"
            file.write_text(json.dumps(content))
            return make_split(some_cases({"a": 2, "b": 2}) if cases is None else cases, file=file, fold=fold)

        return read

    def test_the_first_is_meant_where_none_is_named(self, split):
        assert split(self.FOLDS) == split(self.FOLDS, 0)
        assert ids(split(self.FOLDS)) == [["a_0", "a_1"], ["b_0"], []]

    def test_a_number_names_another(self, split):
        assert ids(split(self.FOLDS, 1)) == [["b_0"], ["a_1"], []]

    @pytest.mark.parametrize("fold", [2, -1])
    def test_a_number_beyond_is_an_error_that_says_how_many_there_are(self, split, fold):
        with pytest.raises(DataError, match=rf"expected a fold from 0 to 1, as it has 2, found fold {fold}$"):
            split(self.FOLDS, fold)

    def test_training_cases_are_those_of_the_fold(self, split, tmp_path):
        expected = split(self.FOLDS, 1).train
        cases = some_cases({"a": 2, "b": 2})
        assert training_cases(cases, file=tmp_path / "splits_final.json", fold=1) == expected

    def test_a_number_without_folds_is_an_error(self, split):
        assert split({"train": ["a"]}, 0) == split({"train": ["a"]})
        with pytest.raises(DataError, match=r"splits_final.json: expected a list of folds to choose one, found fold 1"):
            split({"train": ["a"]}, 1)
        assert make_split(some_cases(UNEVEN), fold=0) == make_split(some_cases(UNEVEN))
        with pytest.raises(DataError, match="expected a file with folds to choose one, found fold 1 and no file"):
            make_split(some_cases(UNEVEN), fold=1)

    @pytest.mark.parametrize(
        "content", [[], [1], [[]], [{}], [{"val": ["a_0"]}], [{"train": ["a_0"], "vla": []}], [{"train": "a_0"}]]
    )
    def test_another_form_is_an_error(self, split, content):
        with pytest.raises(DataError, match=r"splits_final.json: expected JSON of the form"):
            split(content)

    def test_what_nnunet_calls_a_case_is_that_case(self, split):
        cases = some_cases({"-(1)": 2, "b c": 1})
        assert [case.id for case in cases] == ["-(1)_0", "-(1)_1", "b c_0"]
        assert ids(split([{"train": ["1__0", "b_c_0"], "val": ["1__1"]}], cases=cases)) == [
            ["-(1)_0", "b c_0"],
            ["-(1)_1"],
            [],
        ]

    def test_an_id_goes_before_what_nnunet_would_call_another_case(self, split):
        cases = some_cases({"b c": 1, "b_c": 1})
        assert ids(split([{"train": ["b_c_0"]}], cases=cases)) == [["b_c_0"], [], []]

    def test_a_name_of_two_cases_is_an_error(self, split):
        with pytest.raises(DataError, match=r"expected names of one case each, found 'b_c_0' for 'b c_0' and 'b, c_0'"):
            split([{"train": ["b_c_0"]}], cases=some_cases({"b c": 1, "b, c": 1}))

    def test_names_of_patients_are_not_meant(self, split):
        with pytest.raises(DataError, match="expected ids of the data set, found 'a' in train"):
            split([{"train": ["a"]}])

    def test_synthetic_cases_are_left_out(self, split):
        fold = {"train": ["a_0", "synth_000001", "b_0_synth_000002"], "val": ["b_0"]}
        assert ids(split([fold])) == [["a_0"], ["b_0"], []]

    def test_other_unknown_cases_are_an_error(self, split):
        with pytest.raises(DataError, match="expected ids of the data set, found 'synthetic_1' in val"):
            split([{"train": ["a_0"], "val": ["synthetic_1"]}])

    def test_a_patient_or_a_case_in_both_parts_is_an_error(self, split):
        with pytest.raises(DataError, match="expected each patient in one part, found a in train and val"):
            split([{"train": ["a_0"], "val": ["a_1"]}])
        with pytest.raises(DataError, match="expected parts that share nothing, found 'a_0' in train and val"):
            split([{"train": ["a_0"], "val": ["a_0"]}])

    def test_folds_that_were_written_with_synthetic_cases_are_read_back(self, tmp_path):
        cases = some_cases({f"p ({i})": 2 for i in range(6)})
        writer = NnunetWriter(tmp_path, ["US"], {"background": 0, "lesion": 1}, ".png")
        pixels = Sample(np.zeros((8, 8, 1), np.uint8), np.eye(8, dtype=bool))
        for case in cases:
            writer.add_real(case.id, case.patient, pixels)
        writer.add_synthetic("synth_000000", [cases[0].patient, cases[-1].patient], pixels)
        writer.finish(folds=3)
        parts = [make_split(cases, file=tmp_path / "splits_final.json", fold=fold) for fold in range(3)]
        assert [[len(part) for part in split] for split in parts] == [[8, 4, 0]] * 3
        assert Counter(case.id for split in parts for case in split.val) == Counter(case.id for case in cases)


def test_training_cases_are_the_training_part():
    cases = some_cases(UNEVEN)
    assert training_cases(cases, (3, 1, 1), 7) == make_split(cases, (3, 1, 1), 7).train
