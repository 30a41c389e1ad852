"""The workers on a Ray cluster: what they make, what a lost one costs, and what a node must have."""

import subprocess
import sys
from concurrent.futures import Future
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from softcp_gpu.data import manifest
from softcp_gpu.synthesize import ray_engine
from softcp_gpu.synthesize.engine import AHEAD, LIVES, WorkerError, batches
from softcp_gpu.synthesize.job import Job
from softcp_gpu.synthesize.ray_engine import on_ray


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("ray"), reason="needs Ray")
def test_on_real_clusters(root):
    """In a process of its own: Ray leaves threads behind that may abort it later, and takes the handlers of signals."""
    pytest_of_its_own = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", ""]
    ran = subprocess.run(
        [*pytest_of_its_own, "tests/synthesize/on_ray.py"], cwd=root, capture_output=True, text=True, timeout=1000
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr  # also where nothing was run


def test_without_ray_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'softcp-gpu\[ray\]'") as caught:
        on_ray(SimpleNamespace(), range(6), 1, 1)
    assert caught.value.name == "ray"


class StubRay:
    """As much of Ray as the engine uses; an actor does at once what it is asked for, or what `fate` raises."""

    class exceptions:
        class RayError(Exception):
            pass

        class RayTaskError(RayError):
            pass

    def __init__(self, fate=lambda what, arguments: None):
        self.fate, self.calls, self.needs, self.alive = fate, [], {}, 0

    def is_initialized(self):
        return True

    def get_runtime_context(self):
        return SimpleNamespace(gcs_address="somewhere")

    def cluster_resources(self):
        return {"GPU": 3.0}

    def put(self, value):
        return value

    def kill(self, actor):
        self.alive -= 1

    def remote(self, actor_class):
        return self

    def options(self, **needs):
        self.needs = needs
        return SimpleNamespace(remote=self.new_actor)

    def new_actor(self):
        self.alive += 1
        return SimpleNamespace(**{name: SimpleNamespace(remote=self.call(name)) for name in ("start", "make")})

    def call(self, name):
        def remote(*arguments):
            self.calls.append((name, arguments))
            future = Future()
            try:
                self.fate(name, arguments)
            except self.exceptions.RayError as error:
                future.set_exception(error)
            else:
                future.set_result([{"number": number} for number in arguments[0]] if name == "make" else None)
            return SimpleNamespace(future=lambda: future)

        return remote


def stub_run(monkeypatch, out, stub, *, numbers=range(100), device="cpu", workers=2):
    monkeypatch.setattr(ray_engine, "import_ray", lambda: stub)
    parts = dict.fromkeys(Job.__dataclass_fields__)
    return on_ray(Job(**{**parts, "out": out, "device": device}), numbers, workers, 3)


def test_as_many_batches_are_in_hand_as_the_workers_need(tmp_path, monkeypatch):
    drawn = []

    def counted(numbers, size):
        for part in batches(numbers, size):
            drawn.append(part)
            yield part

    monkeypatch.setattr(ray_engine, "batches", counted)
    stub = StubRay()
    found = stub_run(monkeypatch, tmp_path, stub)
    next(found)
    assert len(drawn) == AHEAD * 2
    assert [record["number"] for record in found] == list(range(1, 100))
    assert stub.alive == 0


@pytest.mark.parametrize(("device", "needs"), [("cpu", {"num_cpus": 1}), ("cuda:2", {"num_gpus": 1})])
def test_a_worker_has_one_cpu_or_one_gpu_which_is_the_first_it_sees(tmp_path, monkeypatch, device, needs, capsys):
    stub = StubRay()
    list(stub_run(monkeypatch, tmp_path, stub, device=device))
    (job,) = stub.calls[0][1][3]
    assert stub.needs == needs
    assert job.device == device.removesuffix(":2")
    kind, there = ("GPU", 3) if device == "cuda:2" else ("CPU", 0)
    assert (
        capsys.readouterr().err
        == f"Ray: 2 workers with one {kind} each on the cluster at somewhere, which has {there}\n"
    )


def test_workers_that_cannot_start_end_the_run_with_their_reason(tmp_path, monkeypatch):
    def fate(name, _):
        raise StubRay.exceptions.RayError("a long story\nModuleNotFoundError: No module named 'softcp_gpu'")

    stub = StubRay(fate)
    with pytest.raises(WorkerError, match=f"ended {LIVES} times in a row while getting ready: .*No module named"):
        next(stub_run(monkeypatch, tmp_path, stub))
    assert len(stub.calls) == 2 + LIVES - 1  # the first of both workers, and those in place of lost ones
    assert stub.alive == 0
    assert not list(tmp_path.iterdir())


def test_another_run_cleans_up_the_mark_of_one_that_was_killed(tmp_path, monkeypatch):
    from softcp_gpu.data.run_folder import resume_folder

    for name in (manifest.RUN, manifest.SAMPLES):
        (tmp_path / name).touch()
    found = stub_run(monkeypatch, tmp_path, StubRay())
    next(found)
    assert len(list(tmp_path.glob(".ray*"))) == 1
    resume_folder(tmp_path)
    assert not list(tmp_path.glob(".ray*"))
