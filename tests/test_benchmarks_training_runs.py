"""Trainings of the smallest preset: the same seed gives the same result, stopped or not."""

import doctest

import numpy as np
import pytest
import torch

pytest.importorskip("monai", reason="no monai: the extra bench-training installs it")

from benchmarks.training import __main__ as program
from benchmarks.training import arms, commands, course, data, measure, pasted, record, seeds, sweep, train
from benchmarks.training.presets import PRESETS
from softcp_gpu import phantoms
from softcp_gpu.data import LAYOUTS, write_image, write_mask
from softcp_gpu.synthesize import synthesize

SIZE = PRESETS["smoke"].size
CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Phantoms as LGG lays them out: 14 patients with three slices each, the last without a lesion."""
    root = tmp_path_factory.mktemp("training") / "phantoms"
    images, masks, _ = phantoms.batch(42, (SIZE, SIZE), channels=3)
    for i, (image, mask) in enumerate(zip(images, masks, strict=True)):
        patient, slice_ = f"TCGA_{i // 3:02d}", i % 3
        path = root / patient / f"{patient}_{slice_}.tif"
        write_image(path, (image * 255).round().clamp(0, 255).byte().movedim(0, -1).numpy())
        lesion = mask[0].bool().numpy() & (slice_ < 2)
        write_mask(path.with_name(f"{path.stem}_mask.tif"), lesion * np.uint8(255))
    return root


@pytest.fixture(scope="session")
def loaded(folder):
    return data.load(folder, SIZE)


def place(out, deadline=float("inf")):
    return sweep.Place(out, out / ".work", CPU, deadline)


def run_of(arm, regime="epochs", seed=0, **more):
    return record.Run("lgg", "smoke", regime, 1.0, arm, seed, **more)


def train_one(loaded, run, where):
    return sweep.run_one(loaded, run, sweep.settings_of(run, loaded), where)


def lasting(result):
    """All but how long it took."""
    return {name: value for name, value in result.items() if name != "seconds"}


def test_layout_gives_patients_and_every_image_has_the_size_asked_for(loaded):
    assert (loaded.name, len(set(loaded.patients))) == ("lgg", 14)
    assert loaded.images.image.shape == (42, 3, SIZE, SIZE)
    assert not loaded.images.mask[2::3].any()
    assert (loaded.images.region & loaded.images.mask).any()


def test_resizing_keeps_the_range_and_half_covered_pixels():
    image = np.full((64, 96, 1), 65535, np.uint16)
    lesion = np.zeros((64, 96), bool)
    lesion[:32] = True
    small = data.resized(data.Sample(image, lesion), 32)
    assert small.image.shape == (32, 32, 1)
    assert (small.image == 255).all()
    assert small.lesion[:16].all()
    assert not small.lesion[16:].any()


@pytest.mark.parametrize("arm", ["real", "softcp", "softcp-online"])
def test_the_same_seed_gives_the_same_result_and_another_seed_another(loaded, tmp_path, arm):
    one, again = (train_one(loaded, run_of(arm), place(tmp_path)) for _ in range(2))
    assert lasting(one) == lasting(again)
    assert one["history"] != train_one(loaded, run_of(arm, seed=1), place(tmp_path))["history"]


@pytest.mark.parametrize("arm", ["softcp", "softcp-online"])
def test_a_run_that_was_stopped_twice_ends_like_one_that_was_not(loaded, tmp_path, monkeypatch, arm):
    whole = train_one(loaded, run_of(arm), place(tmp_path / "whole"))
    looks = iter(range(1, 1000))
    monkeypatch.setattr(train.time, "monotonic", lambda: next(looks))
    for deadline in (5, 10):
        with pytest.raises(train.OutOfTime):
            train_one(loaded, run_of(arm), place(tmp_path / "parts", deadline))
    parts = train_one(loaded, run_of(arm), place(tmp_path / "parts"))
    assert lasting(parts) == lasting(whole)


def test_a_checkpoint_of_other_settings_is_refused(loaded, tmp_path):
    asked = sweep.settings_of(run_of("real"), loaded)
    with pytest.raises(train.OutOfTime):
        sweep.run_one(loaded, run_of("real"), asked, place(tmp_path, deadline=0))
    with pytest.raises(ValueError, match="expected a checkpoint of"):
        sweep.run_one(loaded, run_of("real"), {**asked, "lr": 1.0}, place(tmp_path))


def test_arms_of_a_seed_start_from_the_same_weights_and_are_tested_on_the_same_cases(loaded, tmp_path):
    results = [train_one(loaded, run_of(arm), place(tmp_path)) for arm in ("real", "softcp")]
    assert len({str([one["cases"][part] for part in ("train", "val", "test")]) for one in results}) == 1
    preset = PRESETS["smoke"]
    first, second = (train.make_net(preset, 3, 0).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_regimes_give_arms_equal_epochs_or_equal_steps(loaded):
    steps = {
        (arm, regime): sweep.settings_of(run_of(arm, regime), loaded)["steps"]
        for arm in ("real", "softcp", "softcp-online")
        for regime in ("epochs", "steps")
    }
    assert len({steps[arm, "steps"] for arm in ("real", "softcp", "softcp-online")}) == 1
    assert steps["softcp", "epochs"] > steps["real", "epochs"] == steps["softcp-online", "epochs"]


def test_in_memory_we_make_what_synthesize_writes(folder, loaded, tmp_path):
    parts = data.split(loaded.patients, 0)
    ids = {name: [loaded.cases[i].id for i in numbers] for name, numbers in parts._asdict().items()}
    record.write(tmp_path / "split.json", ids)
    config = arms.config_of("softcp", "smoke", "lgg")
    synthesize(folder, tmp_path / "out", seed=5, config=config, split=str(tmp_path / "split.json"), device="cpu")
    layout = LAYOUTS["lgg"]
    cases = sorted(layout.cases(tmp_path / "out")[0], key=lambda case: case.id.split("synth")[1])
    written = data.stacked([layout.load(case) for case in cases])
    made = pasted.synthetic_set(loaded, parts.train, config, 5)
    assert made.statuses == {"pasted": pasted.synthetic_count(len(parts.train))}
    assert all(torch.equal(one, other) for one, other in zip(written, made.images, strict=True))


@pytest.mark.parametrize("arm", ["softcp-online", "softcp-online-half"])
def test_online_pastes_into_its_share_of_the_images(loaded, arm):
    images = loaded.images
    online = pasted.Online(arms.config_of(arm, "smoke", "lgg"), images, 8, 0, arms.ARMS[arm].share)
    assert online.p > arms.ARMS[arm].share  # a third of the sources are empty
    statuses = torch.zeros(5, dtype=torch.int64)
    for step in range(16):
        image, mask = online(images.at(list(range(step % 5, step % 5 + 36))), step, statuses)
    assert image.shape[1:] == (3, SIZE, SIZE)
    assert mask.dtype == torch.bool
    found = float(statuses[0] / statuses.sum())
    assert found == pytest.approx(arms.ARMS[arm].share, abs=0.065)  # 3 sigma of 576 samples


def test_a_sweep_goes_seed_by_seed_and_trains_nothing_twice(loaded, tmp_path, monkeypatch):
    wanted = list(sweep.runs("lgg", "smoke", ["real", "softcp"], ["epochs", "steps"], [1.0], [0, 1]))
    assert [run.seed for run in wanted] == [0] * 4 + [1] * 4
    trained = []
    one = sweep.run_one
    monkeypatch.setattr(sweep, "run_one", lambda data, run, *rest: trained.append(run) or one(data, run, *rest))
    sweep.sweep(loaded, wanted, place(tmp_path), commands.command_of)
    twins = [run_of("real", "steps", seed) for seed in (0, 1)]  # the same run as with equal epochs
    assert trained == [run for run in wanted if run not in twins]
    assert lasting(record.read(tmp_path / twins[0].file)) | {"run": 0} == lasting(
        record.read(tmp_path / run_of("real").file)
    ) | {"run": 0, "same_as": "epochs"}
    sweep.sweep(loaded, wanted, place(tmp_path), commands.command_of)
    assert len(trained) == 6
    assert not list((tmp_path / ".work").rglob("*.pt"))


def test_results_of_other_settings_are_not_mixed_in(loaded, tmp_path, monkeypatch):
    sweep.sweep(loaded, [run_of("real")], place(tmp_path), commands.command_of)
    monkeypatch.setattr(record, "PRESETS", {"smoke": PRESETS["smoke"]._replace(lr=1.0)})
    with pytest.raises(ValueError, match="expected a result of"):
        sweep.sweep(loaded, [run_of("real")], place(tmp_path), commands.command_of)


def test_the_twin_of_a_run_is_what_training_would_have_given(loaded, tmp_path):
    epochs, steps = (train_one(loaded, run_of("real", regime), place(tmp_path)) for regime in ("epochs", "steps"))
    assert lasting(epochs) | {"run": 0} == lasting(steps) | {"run": 0}


def test_training_lowers_the_loss(loaded, tmp_path, monkeypatch):
    monkeypatch.setattr(record, "PRESETS", {"smoke": PRESETS["smoke"]._replace(least_steps=60, lr=1e-2)})
    history = train_one(loaded, run_of("real"), place(tmp_path))["history"]
    assert history["train_loss"][-1] < history["train_loss"][0] - 0.05
    assert history["lr"] == sorted(history["lr"], reverse=True)
    assert history["lr"][0] == 1e-2 > history["lr"][-1] > 0


def test_the_weights_of_the_best_round_are_tested_and_not_the_last_ones(loaded, tmp_path, monkeypatch):
    monkeypatch.setattr(record, "PRESETS", {"smoke": PRESETS["smoke"]._replace(least_steps=60, lr=0.3)})
    seen = []
    monkeypatch.setattr(train.Trainer, "__init__", keep(train.Trainer.__init__, seen))
    result = train_one(loaded, run_of("real"), place(tmp_path))
    val_loss, trainer = result["history"]["val_loss"], seen[0]
    assert val_loss[-1] > min(val_loss) + 1e-5  # or this could not fail
    assert result["best"]["val_loss"] == pytest.approx(min(val_loss), abs=1e-6)
    found = trainer.logits(trainer.val_image)  # with the weights that were tested
    assert float(train.dice_loss(found, trainer.inputs.val.mask)) == result["best"]["val_loss"]


def keep(init, seen):
    def replaced(self, *arguments):
        seen.append(self)
        init(self, *arguments)

    return replaced


def test_metrics_of_a_perfect_and_of_an_empty_answer():
    mask = torch.zeros(3, 1, 8, 8, dtype=torch.bool)
    mask[:2, :, 2:4, 2:4] = True
    perfect, empty = measure.measure(mask, mask), measure.measure(torch.zeros_like(mask), mask)
    assert perfect == dict.fromkeys(("dsc", "iou", "dsc_pooled", "iou_pooled", "accuracy"), 1.0) | {
        "false_positive_rate": 0.0
    }
    assert (empty["dsc"], empty["iou_pooled"], empty["accuracy"]) == (0.0, 0.0, pytest.approx(1 - 8 / 192))


@pytest.mark.parametrize("module", [course, measure, program, seeds], ids=lambda module: module.__name__)
def test_examples_hold(module):
    tried = doctest.testmod(module)
    assert tried.attempted > 0 == tried.failed


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_a_network_that_answers_at_its_size(name):
    preset = PRESETS[name]
    net = train.make_net(preset, 3, 0)
    assert measure.logits_of(net, torch.rand(1, 3, preset.size, preset.size)).shape == (1, 1, preset.size, preset.size)


def test_the_command_line_stops_in_time_goes_on_and_refuses(folder, tmp_path, capsys):
    words = ["run", "--data", str(folder), "--preset", "smoke", "--arms", "real", "--seeds", "0", "--regime", "steps"]
    words += ["--out", str(tmp_path)]
    assert program.main([*words, "--minutes", "0"]) == commands.STOPPED
    assert (tmp_path / ".work" / run_of("real", "steps").file).with_suffix(".pt").exists()
    assert program.main(words) == 0
    assert record.read(tmp_path / run_of("real", "steps").file)["run"]["arm"] == "real"
    assert program.main([*words[:-2], "--arms", "nothing"]) == 2
    assert "arms: expected names of real" in capsys.readouterr().err


def test_tuning_tests_nothing_and_names_the_best(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(commands.tuning, "trials", lambda *given: trials(*given)[:2])
    chosen = ["tune", "--data", str(folder), "--preset", "smoke", "--seeds", "0", "--out", str(tmp_path)]
    assert program.main(chosen) == 0
    assert "for TUNED in presets.py: ('smoke', 'lgg')" in capsys.readouterr().out
    found = [record.read(path) for path in tmp_path.rglob("tune/*.json")]
    assert [(one["metrics"], one["cases"]["test"]) for one in found] == [(None, 0)] * 2


trials = commands.tuning.trials
