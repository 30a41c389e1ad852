import json
from collections import Counter
from pathlib import Path

import pytest

from softcp_gpu.data import Case, DataError, make_split, training_cases


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


def test_training_cases_are_the_training_part():
    cases = some_cases(UNEVEN)
    assert training_cases(cases, (3, 1, 1), 7) == make_split(cases, (3, 1, 1), 7).train
