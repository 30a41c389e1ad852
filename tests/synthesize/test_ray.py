"""The workers on a Ray cluster: what they make, what a lost one costs, and what a node must have."""

import os
import signal
import sys
import time
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest

from softcp_gpu.data import manifest
from softcp_gpu.synthesize import ray_engine
from softcp_gpu.synthesize.engine import AHEAD, LIVES, WorkerError, batches, in_this_process
from softcp_gpu.synthesize.job import Job
from softcp_gpu.synthesize.prepare import prepare
from softcp_gpu.synthesize.ray_engine import on_ray
from softcp_gpu.synthesize.settings import Settings
from tests.synthesize import trees
from tests.synthesize.trees import contents

COUNT = 6
ALL = range(COUNT)
NODE = {"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False}


def new_job(root, out="out"):
    """A job whose folder is there."""
    if not (root / "data").exists():
        trees.pairs(root / "data")
    (root / out).mkdir()
    return prepare(root / "data", root / out, Settings()).job


def made_here(root):
    """The records and files that every engine should make."""
    job = new_job(root, "here")
    return list(in_this_process(job, ALL, 1)), contents(job.out)


@dataclass
class DeadlySaver:
    """Ends its process, or its node, when it comes to one of the samples, a number of times."""

    saver: object
    deaths: Path
    times: int
    node: bool = False
    sample: str = "synth_000003"

    def save(self, new_id, *rest):
        if new_id == self.sample and len(list(self.deaths.iterdir())) < self.times:
            (self.deaths / str(os.getpid())).touch()
            os.kill(os.getppid() if self.node else os.getpid(), signal.SIGKILL)
            time.sleep(600)
        return self.saver.save(new_id, *rest)


def deadly(root, times, node=False):
    job = new_job(root)
    (root / "deaths").mkdir()
    return replace(job, saver=DeadlySaver(job.saver, root / "deaths", times, node))


@pytest.fixture(scope="module", autouse=True)
def ray_of_its_own():
    """Ray finds no cluster of this machine, and leaves nothing in the home folder."""
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory(prefix="ray") as folder:  # a short path, for sockets
        patch.setenv("RAY_TMPDIR", folder)
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.delenv("RAY_ADDRESS", raising=False)
        yield


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of one CPU each, as far as Ray is concerned, and the one that leads."""
    pytest.importorskip("ray", reason="needs Ray")
    from ray.cluster_utils import Cluster

    here = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0})
    for _ in range(2):
        here.add_node(**NODE)
    yield here
    here.shutdown()


@pytest.fixture
def on_cluster(cluster, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    return cluster


@pytest.mark.slow
class TestOnACluster:
    @pytest.mark.parametrize(("batch", "told"), [(1, True), (4, False)])
    def test_two_nodes_make_the_same_bytes_in_the_same_order(
        self, tmp_path, on_cluster, monkeypatch, capfd, batch, told
    ):
        if not told:  # the cluster of this machine is found without an address
            monkeypatch.delenv("RAY_ADDRESS")
        records, files = made_here(tmp_path)
        job = new_job(tmp_path)
        assert list(on_ray(job, ALL, 2, batch)) == records
        assert contents(job.out) == files
        assert (
            f"2 workers with one CPU each on the cluster at {on_cluster.address}, which has 2" in capfd.readouterr().err
        )

    def test_a_batch_whose_worker_was_killed_is_made_by_another(self, tmp_path, on_cluster):
        records, files = made_here(tmp_path)
        job = deadly(tmp_path, times=LIVES - 1)
        assert list(on_ray(job, ALL, 2, 2)) == records
        assert contents(job.out) == files
        assert len(list((tmp_path / "deaths").iterdir())) == LIVES - 1  # in as many processes

    def test_what_was_on_a_node_that_is_lost_is_made_on_another(self, tmp_path, on_cluster):
        records, files = made_here(tmp_path)
        job = deadly(tmp_path, times=1, node=True)
        try:
            assert list(on_ray(job, ALL, 2, 1)) == records
        finally:
            on_cluster.add_node(**NODE)
        assert contents(job.out) == files
        assert len(list((tmp_path / "deaths").iterdir())) == 1

    def test_a_batch_that_ends_every_worker_ends_the_run_after_those_before_it(self, tmp_path, on_cluster):
        job = deadly(tmp_path, times=LIVES + 1)
        found = on_ray(job, ALL, 2, 1)
        assert [next(found)["number"] for _ in range(3)] == [0, 1, 2]
        with pytest.raises(
            WorkerError, match=f"ended {LIVES} times in a row while making sample 3: expected it to live"
        ):
            next(found)
        assert len(list((tmp_path / "deaths").iterdir())) == LIVES
        assert not list(job.out.glob(".ray*"))

    @pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
    @pytest.mark.parametrize("which", ["data", "out"])
    def test_a_node_that_does_not_see_the_files_is_named(self, tmp_path, on_cluster, which):
        """A path that is another one in every process stands for a disk that is another one on every node."""
        job = new_job(tmp_path)
        handle = os.open(tmp_path / which, os.O_RDONLY)
        own = Path(f"/proc/self/fd/{handle}")
        try:
            job = prepare(own, job.out, Settings()).job if which == "data" else job.into(own)
            with pytest.raises(WorkerError, match=rf"on the node .*{own}: expected .* all nodes share"):
                next(on_ray(job, ALL, 1, 1))
        finally:
            os.close(handle)
        assert contents(tmp_path / "out") == {}

    def test_a_node_with_another_version_is_named(self, tmp_path, on_cluster, monkeypatch):
        monkeypatch.setattr(ray_engine, "__version__", "9.9")
        with pytest.raises(WorkerError, match=r"on the node .*versions: expected softcp_gpu 9\.9 and torch"):
            next(on_ray(new_job(tmp_path), ALL, 1, 1))

    def test_what_a_sample_raises_is_raised_here_in_its_turn(self, tmp_path, on_cluster):
        job = new_job(tmp_path)
        (job.out / "images").write_text("in the way")
        with pytest.raises(ValueError, match="synth_000000") as here:
            list(in_this_process(job, ALL, 1))
        with pytest.raises(ValueError, match="synth_000000") as there:
            list(on_ray(job, ALL, 1, 1))
        assert (type(there.value), str(there.value)) == (type(here.value), str(here.value))

    def test_a_run_that_is_stopped_frees_its_workers_and_leaves_the_connection_of_others(self, tmp_path, on_cluster):
        import ray

        job, until = new_job(tmp_path), time.monotonic() + 60
        with ray.init(log_to_driver=False):
            found = on_ray(job, range(1000), 2, 1)
            next(found)
            assert ray.available_resources().get("CPU", 0) == 0
            found.close()
            assert not list(job.out.glob(".ray*"))
            while ray.available_resources().get("CPU") != 2 and time.monotonic() < until:
                time.sleep(0.1)
            assert ray.available_resources()["CPU"] == 2


@pytest.mark.slow
def test_without_a_cluster_one_is_started_and_ended(tmp_path, monkeypatch, capfd):
    ray = pytest.importorskip("ray", reason="needs Ray")
    records, files = made_here(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    job = new_job(tmp_path)
    with TemporaryDirectory(prefix="ray") as folder:  # of Ray's files; they name a cluster that is gone
        monkeypatch.setenv("RAY_TMPDIR", folder)
        (Path(folder) / "ray").mkdir()
        (Path(folder) / "ray" / "ray_current_cluster").write_text("127.0.0.1:1")
        found = on_ray(job, ALL, 1, 2)
        assert next(found) == records[0]
        assert signal.getsignal(signal.SIGTERM) is before
        assert list(found) == records[1:]
    assert contents(job.out) == files
    assert "1 workers with one CPU each on this machine, which has 1" in capfd.readouterr().err
    assert not ray.is_initialized()


def test_an_address_where_nobody_answers_is_told_at_once(tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="needs Ray")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(WorkerError, match=r"RAY_ADDRESS: expected a cluster that answers, found 127\.0\.0\.1:1"):
        next(on_ray(new_job(tmp_path), ALL, 1, 1))


def test_without_ray_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'softcp-gpu\[ray\]'") as caught:
        on_ray(SimpleNamespace(), ALL, 1, 1)
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
