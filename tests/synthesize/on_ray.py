"""The workers on real Ray clusters. `test_ray.py` runs this file, in a process of its own."""

import os
import signal
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from softcp_gpu.synthesize import ray_engine
from softcp_gpu.synthesize.engine import LIVES, WorkerError, in_this_process
from softcp_gpu.synthesize.prepare import prepare
from softcp_gpu.synthesize.ray_engine import on_ray
from softcp_gpu.synthesize.settings import Settings
from tests.synthesize import trees
from tests.synthesize.trees import contents

ray = pytest.importorskip("ray", reason="needs Ray")

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


def test_without_a_cluster_one_is_started_and_ended(tmp_path, monkeypatch, capfd):
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
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(WorkerError, match=r"RAY_ADDRESS: expected a cluster that answers, found 127\.0\.0\.1:1"):
        next(on_ray(new_job(tmp_path), ALL, 1, 1))
