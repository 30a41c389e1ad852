"""The training comparison: who is trained and tested on what, and what its report makes of it. No training here."""

import doctest
import itertools
import json
import math

import pytest

from benchmarks.report import BEGIN, END
from benchmarks.training import arms, compare, data, figures, presets, record, report, tuning
from softcp_gpu.choices import PRESETS

PATIENTS = [f"patient {i // 3}" for i in range(120)]
MACHINE = {"softcp_gpu": "0", "cpu": "c", "cores": 1, "system": "s", "python": "3", "torch": "2", "threads": 1}


def result(arm="real", seed=0, dsc=0.5, fraction=1.0, soft=None, data="lgg"):
    """What the JSON of a run holds."""
    run = record.Run(data, "cpu", "epochs", fraction, arm, seed)
    counts = dict.fromkeys(("train", "val", "test", "train_with_lesion", "train_patients", "synthetic"), 3)
    history = {name: [0.5] for name in ("lr", "train_loss", "val_loss", "val_dsc")} | {"step": [4]}
    scores = dict.fromkeys(("dsc", "iou", "dsc_pooled", "iou_pooled", "accuracy"), dsc)
    return {
        "schema": 1,
        "machine": {**MACHINE, "device": "cpu", "monai": "1"},
        "date": "2026-01-01",
        "commit": None,
        "command": "python -m benchmarks.training run --data DATA",
        "run": run.plain(),
        "settings": {"softcp": soft, "tried": soft},
        "cases": counts,
        "pasted": {},
        "history": history,
        "best": {"step": 4, "val_loss": 0.5, "val_dsc": dsc},
        "metrics": {**scores, "false_positive_rate": None} if soft is None else None,
        "seconds": {"cpu": 1.0, "wall": 1.0},
    }


@pytest.mark.parametrize("tuning_", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_no_patient_is_in_two_parts(seed, tuning_):
    parts = data.split(PATIENTS, seed, tuning=tuning_)
    groups = [{PATIENTS[i] for i in part} for part in parts]
    assert all(one.isdisjoint(other) for one, other in itertools.combinations(groups, 2))
    assert 80 <= len(parts.train) <= 90
    assert parts.val


def test_test_parts_of_five_seeds_share_nothing_and_are_not_tuned_on():
    tested = [set(data.split(PATIENTS, seed).test) for seed in range(data.TESTED)]
    assert all(one.isdisjoint(other) for one, other in itertools.combinations(tested, 2))
    chosen_on = [set(data.split(PATIENTS, seed, tuning=True).val) for seed in range(9)]
    tested = [set(data.split(PATIENTS, seed).test) for seed in range(30)]
    assert all(one.isdisjoint(other) for one, other in itertools.product(tested, chosen_on))


def test_thirty_seeds_have_thirty_divisions():
    assert len({str(data.split(PATIENTS, seed)) for seed in range(30)}) == 30


def test_a_smaller_share_of_the_training_data_lies_in_a_larger_one():
    shares = [data.split(PATIENTS, 3, fraction) for fraction in (0.1, 0.4, 1.0)]
    assert {PATIENTS[i] for i in shares[0].train} < {PATIENTS[i] for i in shares[1].train}
    assert set(shares[1].train) < set(shares[2].train)
    assert len({(tuple(share.val), tuple(share.test)) for share in shares}) == 1


def test_too_few_patients_are_refused():
    with pytest.raises(ValueError, match="patients: expected 7 or more, found 6"):
        data.split(list("abcdef"), 0)


@pytest.mark.parametrize("name", arms.ARMS)
def test_an_arm_gives_keywords_of_softcp_and_is_soft_where_they_matter(name):
    config = arms.config_of(name, "cpu", "lgg")
    assert (config is None) == (name == arms.REAL)
    assert config is None or ("alpha" in config) == arms.ARMS[name].soft


def test_an_unknown_arm_and_an_unknown_blend_are_refused(monkeypatch):
    with pytest.raises(ValueError, match="arms: expected names of real, hard"):
        arms.check(["real", "soft"], "cpu", "lgg")
    monkeypatch.setattr(arms, "ARMS", {"odd": arms.Arm("", {"blend": "no such"})})
    with pytest.raises(ValueError, match=r"arms: expected those whose blend this softcp_gpu knows, found odd"):
        arms.check(["odd"], "cpu", "lgg")


def test_intervals_and_tests_agree_with_a_hand_calculation():
    mean, low, high, seeds = compare.interval([1.0, 2.0, 3.0, 4.0])
    assert (mean, seeds) == (2.5, 4)
    half = 3.182446 * math.sqrt(5 / 3) / 2  # t of 3 degrees of freedom, standard error of four values
    assert (high - mean, mean - low) == pytest.approx((half, half), rel=1e-6)
    differs = compare.difference({0: 1.0, 1: 2.0, 2: 4.0}, {0: 0.0, 1: 1.0, 2: 2.0, 9: 5.0})
    assert differs.interval.mean == pytest.approx(4 / 3)
    assert differs.p == pytest.approx(1 - 4 / math.sqrt(18), rel=1e-6)  # t = 4 with 2 degrees of freedom


def test_holm_never_lowers_and_keeps_the_order():
    assert compare.holm([0.04, math.nan, 0.01, 0.03])[::2] == pytest.approx([0.06, 0.03])
    assert compare.holm([0.9, 0.8]) == [1.0, 1.0]
    assert math.isnan(compare.holm([math.nan])[0])


@pytest.mark.parametrize("field", ["machine", "history", "metrics", "best"])
def test_incomplete_results_are_refused(field):
    assert record.check(result())
    with pytest.raises(ValueError, match=f"result.{field}: expected it"):
        record.check({key: value for key, value in result().items() if key != field})


def test_a_result_whose_history_misses_its_best_step_is_refused():
    odd = result()
    odd["best"]["step"] = 5
    with pytest.raises(ValueError, match="history: expected"):
        record.check(odd)


def write_all(folder, results):
    for one in results:
        run = record.Run(**one["run"], soft=one["settings"]["softcp"])
        record.write(folder / run.file, one)


def test_report_has_the_numbers_of_its_results_and_names_what_is_missing(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", "utf-8")
    gains = (0.01, 0.02, 0.03)
    results = [result("real", seed, 0.5) for seed in range(3)]
    results += [result("softcp", seed, 0.5 + gain) for seed, gain in enumerate(gains)]
    results += [result("real", seed, 0.3, 0.1) for seed in range(2)]
    write_all(tmp_path / "results", results)
    report.write(tmp_path / "results", readme)
    text = readme.read_text("utf-8")
    assert text.startswith("before")
    assert text.endswith("after\n")
    rivals = " not measured |" * 3
    assert f"| LGG | cpu | epochs | 50.0 (50.0 to 50.0), n 3 |{rivals} 52.0 (49.5 to 54.5), n 3 |" in text
    assert "| 43.21 / 54.76 / 56.63 |" in text
    assert "| softcp - real | +2.0 (-0.5 to +4.5) | 3 | 0.074 | 0.074 |" in text
    assert "| Real | 30.0 (30.0 to 30.0), n 2 | 50.0 (50.0 to 50.0), n 3 |" in text
    assert "| BUSI | paper | epochs | not measured |" in text
    assert "(results/cpu-lgg-epochs-shares.svg)" in text
    assert (tmp_path / "results" / "cpu-lgg-epochs-shares.svg").read_text("utf-8").count("Real") == 1


def test_data_sets_together_pair_the_seeds_of_each():
    found = {("lgg", 0): (0.5, 0.6), ("lgg", 1): (0.7, 0.7), ("busi", 0): (0.2, 0.4)}
    results = [
        result(arm, seed, dsc, data=data)
        for (data, seed), each in found.items()
        for arm, dsc in zip(("real", "softcp"), each, strict=True)
    ]
    text = report.body(results)
    assert "### All 2 data sets together, preset cpu, equal epochs" in text
    assert "| softcp - real | +10.0 (-14.8 to +34.8) | 3 |" in text  # 10, 0 and 20 points; t of 2 degrees is 4.303
    assert "together" not in report.body([one for one in results if one["run"]["data"] == "lgg"])


def test_figures_are_the_same_for_the_same_results(tmp_path):
    found = report.collect([result(seed=0), result(seed=1, dsc=0.7), result(dsc=0.2, fraction=0.4)])
    drawn = [figures.draw(found, folder)[0].read_bytes() for folder in (tmp_path, tmp_path)]
    assert drawn[0] == drawn[1]


def test_tuning_takes_the_best_validation_dsc_over_all_seeds():
    tried = [
        result(seed=seed, dsc=dsc, soft=dict(soft))
        for soft, all_dsc in zip(presets.GRID, ((0.9, 0.1), (0.6, 0.6)), strict=False)
        for seed, dsc in enumerate(all_dsc)
    ]
    best = tuning.choices(tried)[0]
    assert (best.soft, best.val_dsc, best.seeds) == (dict(presets.GRID[1]), 0.6, 2)


def test_all_results_of_the_repository_are_complete_and_its_settings_are_those_that_tuning_chose(root):
    folder = root / "benchmarks" / "training" / "results"
    for path in folder.glob(report.RUNS):
        assert record.Run(**record.read(path)["run"]).file == path.relative_to(folder)
    chosen = {}
    for preset, name in {path.parts[-4:-2] for path in folder.glob(report.TRIALS)}:
        found = [record.read(path) for path in (folder / preset / name / "tune").glob("*.json")]
        chosen[preset, name] = tuning.choices(found)[0].soft
    assert {key: dict(soft) for key, soft in presets.TUNED.items()} == chosen
    assert {name: arms.config_of("softcp", "cpu", name) for _, name in chosen} == dict(PRESETS)


def test_results_are_written_whole_and_readable(tmp_path):
    path = tmp_path / "a" / "b.json"
    record.write(path, result())
    assert json.loads(path.read_text("utf-8")) == result()
    assert [each.name for each in path.parent.iterdir()] == ["b.json"]


@pytest.mark.parametrize("module", [compare, data, presets], ids=lambda module: module.__name__)
def test_examples_hold(module):
    tried = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert tried.attempted > 0 == tried.failed
