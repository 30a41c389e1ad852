import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softcp_gpu.data.nnunet_folds import make_folds


@st.composite
def families(draw):
    """Patients of real cases, the parents of synthetic ones, a number of folds and a seed."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=2, max_size=12))
    patients = {f"{i}_{j}": f"p{i}" for i, size in enumerate(sizes) for j in range(size)}
    some = st.lists(st.sampled_from(sorted(set(patients.values()))), min_size=1, max_size=3)
    parents = {f"new{i}": names for i, names in enumerate(draw(st.lists(some, max_size=8)))}
    return patients, parents, draw(st.integers(2, 7)), draw(st.integers(0, 5))


@given(families())
def test_no_fold_validates_on_a_patient_that_it_trains_on(family):
    patients, parents, *_ = family
    for fold in make_folds(*family):
        shown = {patients[case] for case in fold["train"] if case in patients}
        shown |= {name for case in fold["train"] for name in parents.get(case, ())}
        assert shown.isdisjoint(patients[case] for case in fold["val"])


@given(families())
def test_a_synthetic_case_is_in_the_folds_where_all_its_parents_train_and_in_no_other(family):
    patients, parents, *_ = family
    for fold in make_folds(*family):
        trained = {patients[case] for case in fold["train"] if case in patients}
        assert {case for case in fold["train"] if case in parents} == {
            case for case, names in parents.items() if all(name in trained for name in names)
        }
        assert parents.keys().isdisjoint(fold["val"])


@given(families())
def test_a_real_case_is_validated_on_once_and_trained_on_in_all_other_folds(family):
    patients, _, folds, _ = family
    found = make_folds(*family)
    assert len(found) == min(folds, len(set(patients.values())))
    assert Counter(case for fold in found for case in fold["val"]) == Counter(patients.keys())
    for fold in found:
        assert {*fold["train"], *fold["val"]} >= patients.keys()


@given(families())
def test_folds_are_as_even_as_patients_allow(family):
    sizes = [len(fold["val"]) for fold in make_folds(*family)]
    assert min(sizes) > 0
    assert max(sizes) - min(sizes) <= max(Counter(family[0].values()).values())


@given(families())
def test_the_order_of_the_cases_does_not_matter(family):
    patients, parents, *rest = family
    turned_around = [dict(reversed(cases.items())) for cases in (patients, parents)]
    assert make_folds(*turned_around, *rest) == make_folds(*family)


def test_a_seed_names_one_division_for_good():
    patients = {f"{name}_0": name for name in "abcdefg"}
    assert [fold["val"] for fold in make_folds(patients, {}, 3)] == [
        ["a_0", "e_0", "f_0"],
        ["c_0", "g_0"],
        ["b_0", "d_0"],
    ]
    assert len({json.dumps(make_folds(patients, {}, 3, seed)) for seed in range(20)}) > 15


@pytest.mark.parametrize("count", [5, 12, 23])
def test_sizes_are_those_of_nnunets_own_folds_where_each_case_is_a_patient(count):
    pytest.importorskip("nnunetv2", reason="no nnunetv2: `make test` installs it")
    from nnunetv2.utilities.crossval_split import generate_crossval_split

    ids = [f"case_{i:02d}" for i in range(count)]
    ours, theirs = make_folds(dict(zip(ids, ids, strict=True)), {}), generate_crossval_split(ids)
    assert [len(fold["val"]) for fold in ours] == [len(fold["val"]) for fold in theirs]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"folds": 1}, "folds: expected 2 or more, found 1"),
        ({"patients": {"a1": "a", "a2": "a"}}, "patients: expected 2 or more, one to train on .*, found 1"),
        ({"patients": {}}, "patients: expected 2 or more, .*, found 0"),
        (
            {"parents": {"new": ["a", "c"]}},
            r"parents: expected patients of the real .*, found \['a', 'c'\] for new",
        ),
        ({"parents": {"new": []}}, r"parents: expected patients of the real .*, found \[\] for new"),
    ],
)
def test_bad_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        make_folds(**({"patients": {"a1": "a", "b1": "b"}, "parents": {}} | change))
