"""The benchmarks of offline synthesis do what they say they time. No times here."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("cv2", minversion="5")

from benchmarks import bench_synthesize, memory_of_runs, offline, offline_run, opencv_script, schema
from softcp_gpu.data import LAYOUTS, read_image, read_mask

KIND = offline.Kind(48, 1, False)
COUNT = 6


@pytest.fixture
def data(tmp_path):
    offline.write_set(tmp_path / "data", KIND, 4)
    return tmp_path / "data"


def run(who, data, out, count=COUNT, workers=1):
    ticks = []
    offline_run.PROGRAMS[who](data, out, count, workers, "cpu", lambda: ticks.append(who))
    assert len(ticks) == count
    return {part: sorted((out / part).iterdir()) for part in ("images", "masks")}


@pytest.mark.parametrize("who", offline_run.PROGRAMS)
def test_every_program_writes_an_image_and_a_mask_for_each_sample(who, data, tmp_path):
    files = run(who, data, tmp_path / "out")
    assert [len(paths) for paths in files.values()] == [COUNT, COUNT]
    for image, mask in zip(*files.values(), strict=True):
        assert read_image(image).shape == (48, 48, 1)
        assert read_mask(mask).any()


def test_reading_and_writing_alone_leaves_the_backgrounds_as_they_are(data, tmp_path):
    files = run(offline_run.CEILING, data, tmp_path / "out")
    for part, paths in files.items():
        cases = sorted((data / part).iterdir())
        for number, path in enumerate(paths):
            assert np.array_equal(read_image(path), read_image(cases[number % 4]))


@pytest.mark.parametrize(("batch", "workers"), [(1, 1), (7, 1), (16, 1), (16, 2), (15, 2)])
def test_steady_time_is_that_of_whole_batches(batch, workers):
    """Each worker gives a batch every `batch` seconds, its samples within moments."""
    ends = [1 + k // (batch * workers) * batch + 0.001 * (k % batch) for k in range(240)]
    first = offline_run.steady_from(ends, 16 * workers)
    each = (ends[-1] - ends[first]) / (len(ends) - 1 - first)
    assert len(ends) // 4 <= first < len(ends) // 4 + 16 * workers
    assert each == pytest.approx(1 / workers, rel=0.02 if len(ends) % (batch * workers) == 0 else 0.2)


def test_the_script_is_timed_without_the_imports_of_ours(root):
    code = "import sys; from benchmarks import offline_run, opencv_script; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)


def test_samples_that_are_missing_are_told(data, tmp_path, monkeypatch):
    monkeypatch.setattr(opencv_script, "PAIRS", 0)  # tries
    with pytest.raises(ValueError, match=f"expected {COUNT} samples, found 0"):
        run(offline_run.SCRIPT, data, tmp_path / "out")


@pytest.mark.parametrize("organ", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_script_adds_a_lesion_and_changes_the_image_around_it_alone(organ, channels, tmp_path):
    kind = offline.Kind(64, channels, organ)
    offline.write_set(tmp_path / "data", kind, 3)
    names = sorted(path.name for path in (tmp_path / "data" / "images").iterdir())
    for seed in range(5):
        rng = np.random.default_rng(seed)
        image, mask = opencv_script.paste(tmp_path / "data", names, rng)
        background = names[np.random.default_rng(seed).choice(3, 2, replace=False)[0]]
        before, lesion, region = opencv_script.read(tmp_path / "data", background)
        after = mask[..., -1] if organ else mask  # OpenCV's order: blue, green, red
        new = (after > 0) & (lesion == 0)
        assert new.any()
        assert (after[lesion > 0] > 0).all()
        changed = (image != before).reshape(64, 64, -1).any(axis=2)
        assert changed.any()
        assert not changed[~near(new, opencv_script.K_DILATE)].any()
        if organ:
            assert np.array_equal(mask[..., 0] > 0, (region > 0) & (after == 0))


def near(mask, steps):
    for _ in range(steps):
        mask = np.lib.stride_tricks.sliding_window_view(np.pad(mask, 1), (3, 3)).any(axis=(2, 3))
    return mask


def test_the_script_softens_as_the_reference_does():
    from softcp_gpu.reference.soft_mask import soft_mask

    lesion = np.zeros((40, 40), np.uint8)
    lesion[15:22, 14:25] = 1
    expected = soft_mask(lesion > 0, opencv_script.K_ERODE, opencv_script.K_DILATE, opencv_script.ALPHA)
    np.testing.assert_allclose(opencv_script.soften(lesion), expected, rtol=0, atol=1e-6)


def test_a_script_that_finds_no_place_pastes_nothing():
    full = np.ones((8, 8), np.uint8)
    rng = np.random.default_rng(0)
    assert opencv_script.find_place(full[:3, :3], full, full, 0.5, rng) is None
    assert opencv_script.find_place(full[:3, :3], 0 * full, 0 * full, 0.5, rng) is None
    assert opencv_script.find_place(full[:3, :3], 0 * full, full, 0.5, rng) is not None


def test_the_same_files_come_from_one_worker_and_from_two(data, tmp_path):
    one, two = (run(offline_run.SCRIPT, data, tmp_path / f"out{workers}", workers=workers) for workers in (1, 2))
    assert [path.read_bytes() for path in one["images"]] == [path.read_bytes() for path in two["images"]]


def test_sets_with_an_organ_are_read_as_such(tmp_path):
    offline.write_set(tmp_path, offline.Kind(48, 1, True), 2)
    layout = LAYOUTS["kits2d"]
    for case in layout.cases(tmp_path)[0]:
        lesion, region = layout.read_labels(case)
        assert lesion.any()
        assert region.any()


@pytest.mark.slow
def test_a_results_file_has_three_groups_of_all_programs(tmp_path, monkeypatch):
    monkeypatch.setattr(offline, "KINDS", (offline.Kind(48, 1, False),))
    out = tmp_path / "results.json"
    options = ["--cases", "4", "--workers", "2", "--rounds", "1", "--size", "48"]
    with pytest.raises(SystemExit):
        bench_synthesize.main([str(out), *options, "--count", "127"])
    bench_synthesize.main([str(out), *options, "--count", "128"])
    entries = schema.check(json.loads(out.read_text("utf-8")))["entries"]
    assert [line["who"] for line in entries] == 3 * list(offline_run.PROGRAMS)
    assert len({line["group"] for line in entries}) == 3


def test_memory_is_looked_at_after_the_samples_that_were_asked_for(data, tmp_path, capsys):
    looks = memory_of_runs.watch(data, tmp_path / "out", 5, 1, [2, 5])
    assert [look.samples for look in looks] == [2, 5]
    assert all(look.main > 1 << 20 for look in looks)
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_marks_go_up_to_the_last_sample():
    assert list(memory_of_runs.marks(7000)) == [1000, 2000, 5000, 7000]
    assert list(memory_of_runs.marks(20)) == [20]


def test_a_process_that_is_gone_takes_no_memory():
    assert memory_of_runs.resident(os.getpid()) > 1 << 20
    assert memory_of_runs.resident(1 << 30) == 0
