"""The seam score finds a seam, and finds none where there is none. On phantoms."""

import json

import numpy as np
import pytest
import torch

pytest.importorskip("scipy")
pytest.importorskip("matplotlib")

from benchmarks.credibility import __main__ as command
from benchmarks.credibility import (
    classifier,
    estimate,
    images,
    mask_figure,
    pastes,
    patches,
    profiles,
    report,
    results,
    score,
)
from benchmarks.report import BEGIN, END
from softcp_gpu.functional.blend import BLENDS
from softcp_gpu.synthesize.inputs import write_phantoms

QUICK = score.Settings(folds=2, patches=12, rounds=200, training=classifier.Training(epochs=8, batch=64))


@pytest.fixture(scope="module")
def data():
    return images.made_up(40, 96)


@pytest.fixture(scope="module")
def found(data):
    return score.measure(data.images, ("hard", "softcp"), QUICK)


@pytest.fixture(scope="module")
def file(data):
    few = QUICK._replace(rounds=20, training=classifier.Training(epochs=1))
    return results.run(images.DataSet("phantoms", data.images[:12]), ("hard", "softcp"), few, "a command", print)


def test_a_hard_paste_is_found_and_a_real_boundary_is_not(found):
    figures = score.scores(found, QUICK)
    hard, soft = figures["entries"]
    assert hard["auc"]["low"] > 0.75
    assert hard["auc"]["value"] > soft["auc"]["value"]
    control = figures["control_auc"]
    assert control["low"] < 0.5 < control["high"]  # 40 lesions are few, so the interval is wide
    assert control["high"] < hard["auc"]["low"]


def test_a_hard_paste_is_steeper_than_what_grew(found):
    figures = score.scores(found, QUICK._replace(training=classifier.Training(epochs=1)))
    hard, soft = (entry["gradient_ratio"]["value"] for entry in figures["entries"])
    assert hard > 1.2
    assert abs(soft - 1) < abs(hard - 1)


def test_only_matching_changes_the_core(data):
    few = score.measure(data.images[:6], ("hard", "softcp", "hard+rim"), QUICK._replace(folds=1))
    assert (few.change["hard"] == 0).all()
    assert (few.change["softcp"] == 0).all()
    assert (few.change["hard+rim"] > 0).all()


def test_both_classes_show_the_same_pixels_of_the_lesion(found):
    half = QUICK.patch_px // 2
    real, hard = (x[:, :, half, half] for x in (found.real, found.pasted["hard"]))
    assert torch.equal(real, hard)  # the centre is a lesion pixel, and a hard paste changes none
    assert not torch.equal(found.real, found.pasted["hard"])


def test_no_patient_is_in_two_folds(data):
    pairs = pastes.pair_up(data.images, 5, seed=0)
    folds = {}
    for pair in pairs:
        for one in (pair.source, *pair.backgrounds):
            assert folds.setdefault(one.patient, pair.fold) == pair.fold
        assert pair.source.patient not in {one.patient for one in pair.backgrounds}
    assert len(pairs) == len(data.images)
    assert set(folds.values()) == set(range(5))


def test_every_variant_pastes_in_the_same_place(data):
    modules = {variant: pastes.make(variant) for variant in pastes.VARIANTS}
    pair = pastes.pair_up(data.images, 1, seed=0)[0]
    one = pastes.paste(pair, modules, seed=0, number=0)
    assert set(one.outputs) == set(pastes.VARIANTS) >= set(BLENDS)
    assert len({tuple(out.placement.offset_px[0].tolist()) for out in one.outputs.values()}) == 1
    assert len({out.image.numpy().tobytes() for out in one.outputs.values()}) == len(pastes.VARIANTS)


def test_a_blend_that_the_library_has_not_is_refused():
    with pytest.raises(ValueError, match=r"blends: expected one of .*'hard'.*, found 'glue'"):
        pastes.make("glue")


def test_too_few_patients_are_refused(data):
    with pytest.raises(ValueError, match="data: expected at least 10 patients for 5 folds, found 9"):
        pastes.pair_up(data.images[:9], 5, seed=0)


def test_the_border_of_a_frame_is_no_boundary():
    mask = torch.zeros(1, 1, 5, 6)
    mask[..., :3, :3] = 1
    inner, outer = patches.boundary(mask)
    assert inner.nonzero().tolist() == [[0, 2], [1, 2], [2, 0], [2, 1], [2, 2]]
    assert outer.nonzero().tolist() == [[0, 3], [1, 3], [2, 3], [3, 0], [3, 1], [3, 2]]


def test_the_gradient_of_a_ramp_is_its_slope():
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(9.0), indexing="ij")
    pixels = torch.tensor([[3, 4], [5, 2]])
    assert patches.gradient((3 * x + 4 * y)[None, None], pixels) == pytest.approx(5)


def test_auc_counts_pairs_within_each_fold():
    score_of = np.array([1.0, 2.0, 2.0, 3.0, 90.0, 80.0])
    label, fold = np.array([0, 0, 1, 1, 0, 1]), np.array([0, 0, 0, 0, 1, 1])
    weights = np.ones((2, 6))
    weights[1, 0] = 0  # without the lowest one: a tie and a win
    # Fold 0: 3.5 of 4 pairs, then 1.5 of 2; fold 1: its only pair is the wrong way round.
    assert estimate.auc(score_of, label, fold, weights).tolist() == [3.5 / 4 / 2, 1.5 / 2 / 2]


def test_patients_are_drawn_whole_and_within_their_fold():
    patient, fold = np.array([0, 0, 1, 2, 3]), np.array([0, 0, 0, 1, 1])
    counts = estimate.resampled(patient, fold, 50, seed=0)
    assert (counts[0] == 1).all()
    assert (counts[:, 0] == counts[:, 1]).all()
    assert (counts[:, 1] + counts[:, 2] == 2).all()
    assert (counts[:, 3] + counts[:, 4] == 2).all()
    assert len(np.unique(counts, axis=0)) == 9  # three ways in each fold


def test_the_same_seed_gives_the_same_scores_and_leaves_the_global_state_alone(found):
    label = np.arange(len(found.real)) % 2
    before = torch.random.get_rng_state()
    quick = classifier.Training(epochs=1)
    once, again = (classifier.held_out_scores(found.real, label, found.fold[found.paste], quick) for _ in range(2))
    assert np.array_equal(once, again)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_results_file_is_complete_and_survives_json(file):
    assert results.check(json.loads(json.dumps(file))) == file
    assert file["data"]["name"] == "phantoms"
    assert [entry["variant"] for entry in file["entries"]] == ["hard", "softcp"]


@pytest.mark.parametrize("name", ["machine", "command", "control_auc", "settings"])
def test_a_results_file_without_a_field_is_refused(file, name):
    with pytest.raises(ValueError, match=f"results.{name}: expected it, found nothing"):
        results.check({key: value for key, value in file.items() if key != name})


def test_an_interval_that_is_upside_down_is_refused(file):
    with pytest.raises(ValueError, match="control_auc: expected low <= high"):
        results.check({**file, "control_auc": {"value": 0.5, "low": 0.6, "high": 0.4}})


def test_published_results_are_complete_and_in_the_readme():
    text = report.README.read_text("utf-8")
    for path in report.RESULTS.glob("*/credibility-*.json"):
        assert report.section(results.check(json.loads(path.read_text("utf-8")))) in text


def test_tables_tell_what_was_not_measured(file, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\n{END}\nafter\n", "utf-8")
    report.write_tables(readme, tmp_path)
    assert "Not measured." in readme.read_text("utf-8")
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "credibility-phantoms.json").write_text(json.dumps(file), "utf-8")
    report.write_tables(readme, tmp_path)
    text = readme.read_text("utf-8")
    assert "Not measured." not in text
    assert "| gaussian-mask | not measured | not measured | not measured |" in text
    assert f"| hard | {report.estimate(file['entries'][0]['auc'], 2)} | " in text


def test_a_data_set_is_read_scaled_down(tmp_path):
    write_phantoms(tmp_path, 8, 96, seed=0)
    data = images.read(tmp_path, longest=48, most=4)
    assert data.name == "kits2d"
    assert [tuple(one.image.shape) for one in data.images] == [(1, data.images[0].image.shape[1], 48, 48)] * 4
    for one in data.images:
        assert 0 <= one.image.min() < one.image.max() <= 1
        assert one.region[one.mask > 0].all()


def test_a_profile_goes_from_the_inside_to_the_outside():
    lesion = np.zeros((40, 41), bool)
    lesion[10:25, 12:30] = True
    away = profiles.signed_distance_px(lesion)
    seen = np.ones_like(lesion)
    seen[:, 35:] = False
    curve = profiles.profile(np.where(seen, np.where(lesion, 5.0, 1.0), np.nan), lesion, seen)
    assert away[9, 20] == 0.5 == -away[10, 20]
    np.testing.assert_array_equal(curve.mean, np.where(curve.distance_px < 0, 5.0, 1.0))
    assert np.nanmax(curve.spread) == 0


def test_stages_of_a_mask_grow_from_the_core_to_the_rim():
    mask = torch.zeros(1, 1, 40, 40)
    mask[..., 15:25, 15:25] = 1
    stages = mask_figure.stages(mask)
    core, ring = stages["trimap"] == 1, stages["trimap"] == 0.5
    assert core.sum() == 8 * 8
    assert (core | ring).sum() == (8 + 2 * 9) ** 2
    assert (stages["soft mask"][core] == 1).all()
    assert ((stages["soft mask"] > 0) == (core | ring)).all()


def test_pictures_are_drawn(tmp_path, capsys):
    command.main(["figures", "--out", str(tmp_path)])
    shown = capsys.readouterr().out.split()
    assert shown == [str(tmp_path / name) for name in ("blends.png", "soft_mask.png")]
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in ("blends.png", "soft_mask.png"))


def test_a_mistake_on_the_command_line_is_told(tmp_path, capsys):
    write_phantoms(tmp_path, 8, 48, seed=0)
    with pytest.raises(SystemExit):
        command.main(["score", "--data", str(tmp_path), "--out", str(tmp_path / "out.json"), "--blends", "glue"])
    assert "blends: expected one of" in capsys.readouterr().err
