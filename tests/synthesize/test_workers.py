"""What is made depends neither on who makes it nor on who dies on the way."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
from concurrent.futures import Future

import pytest

from softcp_gpu.synthesize import engine, prepare, run, save, synthesize
from softcp_gpu.synthesize.engine import WorkerError, in_processes
from softcp_gpu.synthesize.prepare import Settings
from tests.synthesize import faults
from tests.synthesize.faults import files, whole_samples

COUNT = 12
KINDS = {
    "images": {},
    "images for nnU-Net": {"format": "nnunet"},
    "volumes": {"count": 4},
    "volumes for nnU-Net": {"count": 4, "format": "nnunet"},
    "volumes of nnU-Net": {"count": 20},  # they share one description of the set
}
LONG = [pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS if kind != "images"]


@pytest.fixture(scope="module", params=["images", *LONG])
def kind(request, tmp_path_factory):
    """(data set, keywords, what one worker makes of it)."""
    root, volumes = tmp_path_factory.mktemp("kind"), request.param.startswith("volumes")
    data = faults.phantoms(root / "data", 3 if volumes else 8, 32, volumes)
    if request.param == "volumes of nnU-Net":
        synthesize(data, root / "raw", count=3, format="nnunet")
        for path in (root / "raw").rglob("*synth_*"):
            path.rename(path.with_name(path.name.replace("synth_", "real_")))
        (root / "raw" / "samples.jsonl").unlink()
        data = root / "raw"
    how = {"count": COUNT, **KINDS[request.param]}
    synthesize(data, root / "one", **how)
    return data, how, files(root / "one")


@pytest.mark.parametrize(("workers", "batch"), [(1, 16), (2, 1), (3, 16)])
def test_the_same_bytes_whoever_makes_them(kind, tmp_path, workers, batch):
    data, how, expected = kind
    synthesize(data, tmp_path / "out", workers=workers, batch_size=batch, **how)
    assert files(tmp_path / "out") == expected


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return faults.phantoms(tmp_path_factory.mktemp("workers") / "data", 8)


@pytest.fixture(scope="module")
def expected(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("expected") / "out"
    synthesize(data, out, count=COUNT)
    return files(out)


def test_records_come_in_order_however_their_makers_finish(data, tmp_path):
    job = prepare.prepare(data, tmp_path, Settings(count=COUNT)).job
    plain = list(engine.in_this_process(job.into(tmp_path / "one"), range(COUNT), 1))
    slow = job.into(tmp_path / "two")
    object.__setattr__(slow, "saver", faults.Slow(job.layout, tmp_path / "two", job.saver.root))
    assert list(in_processes(slow, range(COUNT), 3, 1)) == plain
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_a_worker_that_dies_while_it_writes_costs_nothing(data, tmp_path, monkeypatch, expected):
    monkeypatch.setattr(save, "SameFormat", faults.Deadly)
    synthesize(data, tmp_path / "out", count=COUNT, workers=2, batch_size=2)
    assert (tmp_path / "died").exists()
    assert files(tmp_path / "out") == expected


def test_workers_that_are_killed_again_and_again_cost_nothing(data, tmp_path, expected):
    killed = set()

    def kill_one(summary, record):
        workers = multiprocessing.active_children()
        if record["number"] in (0, 4, 7) and workers:
            victim = random.Random(record["number"]).choice(workers)
            os.kill(victim.pid, signal.SIGKILL)
            victim.join()
            killed.add(victim.pid)

    synthesize(data, tmp_path / "out", count=COUNT, workers=2, on_sample=kill_one)
    assert len(killed) == 3
    assert files(tmp_path / "out") == expected


@pytest.mark.parametrize("how", ["is refused", "is forgotten"])
def test_a_batch_that_is_given_while_a_pool_comes_to_its_end(data, tmp_path, monkeypatch, expected, how):
    """What Python 3.11 does where a worker dies at that very moment."""
    given = []

    class Ending(engine.ProcessPoolExecutor):
        def submit(self, *args):
            given.append(args)
            if len(given) != 3:
                return super().submit(*args)
            for worker in multiprocessing.active_children():
                os.kill(worker.pid, signal.SIGKILL)
            faults.wait_for(lambda: multiprocessing.active_children() == [], "the end of the workers")
            if how == "is refused":
                raise OSError("handle is closed")
            return Future()

    monkeypatch.setattr(engine, "ProcessPoolExecutor", Ending)
    monkeypatch.setattr(engine, "LOST", 0.1)
    synthesize(data, tmp_path / "out", count=COUNT, workers=2)
    assert files(tmp_path / "out") == expected


def test_no_worker_can_be_started(data, tmp_path, monkeypatch):
    class Full(engine.ProcessPoolExecutor):
        def submit(self, *args):
            raise OSError("too many open files")

    monkeypatch.setattr(engine, "ProcessPoolExecutor", Full)
    with pytest.raises(OSError, match="too many open files"):
        synthesize(data, tmp_path / "out", count=COUNT, workers=2)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_sample_that_always_kills_is_named_and_what_is_whole_stays(data, tmp_path, monkeypatch, expected, batch):
    monkeypatch.setattr(save, "SameFormat", faults.AlwaysDeadly)
    with pytest.raises(WorkerError, match=r"sample 5:" if batch == 1 else r"sample 3 to 5:"):
        synthesize(data, tmp_path / "out", count=COUNT, workers=2, batch_size=batch)
    assert whole_samples(tmp_path / "out") == (5 if batch == 1 else 3)
    assert faults.temporary_files(tmp_path / "out") == []
    monkeypatch.undo()
    synthesize(data, tmp_path / "out", count=COUNT, resume=True)
    assert files(tmp_path / "out") == expected


def test_on_the_command_line_it_is_one_line_and_exit_code_2(softcp, data, tmp_path, monkeypatch):
    monkeypatch.setattr(save, "SameFormat", faults.AlwaysDeadly)
    said = softcp("synthesize", data, tmp_path / "out", "--count", COUNT, "--workers", 2)
    assert said.code == 2
    assert said.err.count("\n") == 1
    assert "error: a worker process ended 3 times" in said.err
    assert "sample 5:" in said.err


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_no_worker_is_left(data, tmp_path, error):
    def stop(summary, record):
        raise error

    with pytest.raises(error) as kept:  # and what it refers to
        synthesize(data, tmp_path / "out", count=COUNT, workers=2, on_sample=stop)
    assert kept.value is not None
    assert multiprocessing.active_children() == []
    assert whole_samples(tmp_path / "out") == 1


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["workers start", "samples are made"])
def test_workers_end_with_the_run_that_is_killed(data, tmp_path, moment):
    run = faults.start(data, tmp_path / "out", count=10**6, workers=2)
    out = tmp_path / "out"
    if moment == "workers start":
        faults.wait_for(lambda: len(faults.in_group(run.pid)) > 2, "a worker")
    else:
        faults.wait_for(lambda: faults.whole_lines(out) > 3, "samples")
    assert len(faults.in_group(run.pid)) > 1
    faults.kill(run)
    faults.wait_for(lambda: not faults.in_group(run.pid), "the end of the workers")
    before = files(out)
    whole_samples(out)
    assert files(out) == before


@pytest.mark.parametrize(("workers", "events"), [(1, ["data"]), (2, ["server", "data"])])
def test_the_server_of_workers_gets_ready_while_the_data_set_is_looked_at(data, tmp_path, monkeypatch, workers, events):
    seen = []
    monkeypatch.setattr(run, "get_ready", lambda: seen.append("server"))
    monkeypatch.setattr(run, "prepare", lambda *args: seen.append("data") or prepare.prepare(*args))
    synthesize(data, tmp_path / "out", count=2, workers=workers)
    assert seen == events


GET_READY = """
import os, sys
from multiprocessing import forkserver
from softcp_gpu.workers import get_ready

get_ready()
os.kill(forkserver._forkserver._forkserver_pid, 0)
assert not {"torch", "numpy"} & set(sys.modules)
"""


@pytest.mark.skipif("forkserver" not in multiprocessing.get_all_start_methods(), reason="workers are spawned here")
def test_the_server_starts_before_anything_is_imported():
    subprocess.run([sys.executable, "-c", GET_READY], check=True)
