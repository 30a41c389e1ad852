"""Loops are shared between threads that wait for the next call."""

import multiprocessing
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from softcp_gpu.loops.threads import in_threads

PLANES, MUCH = 9, 1 << 20


@pytest.fixture(autouse=True)
def three_cores(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)


def threads_of(planes, pixels):
    """Which thread did each plane. Each waits, as long as others may still come."""
    threads, together = {}, threading.Barrier(min(3, planes))

    def loop(plane, wait):
        threads[plane] = threading.get_ident()
        if plane < wait:
            together.wait(20)

    in_threads(loop, planes, pixels, min(3, planes))
    return threads


def test_each_plane_is_done_once_and_by_as_many_threads_as_there_are_cores():
    for _ in range(20):
        threads = threads_of(PLANES, MUCH)
        assert sorted(threads) == list(range(PLANES))
        assert len(set(threads.values())) == 3


def test_the_same_threads_come_back():
    threads_of(PLANES, MUCH)
    before = threading.active_count()
    for planes in (2, 3, PLANES):
        threads_of(planes, MUCH)
    assert threading.active_count() == before


def test_little_work_is_done_where_it_is_asked_for():
    threads = []
    in_threads(lambda plane: threads.append(threading.get_ident()), PLANES, 1)
    assert threads == [threading.get_ident()] * PLANES


@pytest.mark.parametrize("bad", range(0, PLANES, 4))
def test_an_error_in_any_thread_is_raised(bad):
    def loop(plane):
        if plane == bad:
            raise ZeroDivisionError

    for _ in range(20):
        with pytest.raises(ZeroDivisionError):
            in_threads(loop, PLANES, MUCH)
    assert len(threads_of(PLANES, MUCH)) == PLANES


def test_several_callers_at_once():
    def call(caller):
        done = []
        in_threads(done.append, 50, MUCH)
        return caller, sorted(done)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(call, range(200))) == [(caller, list(range(50))) for caller in range(200)]


def in_fork(answers):
    answers.put(len(set(threads_of(PLANES, MUCH).values())))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no process can be forked here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of a fork beside threads: that it works is tested
def test_a_fork_has_threads_of_its_own():
    threads_of(PLANES, MUCH)
    forks = multiprocessing.get_context("fork")
    answers = forks.Queue()
    process = forks.Process(target=in_fork, args=(answers,))
    process.start()
    assert answers.get(timeout=60) == 3
    process.join(60)
    assert process.exitcode == 0


def test_a_process_ends_though_threads_wait():
    code = (
        "import torch\n"
        "from softcp_gpu.loops.threads import in_threads\n"
        "torch.set_num_threads(3)\n"
        "done = []\n"
        "in_threads(done.append, 9, 1 << 20)\n"
        "print(*sorted(done))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 1 2 3 4 5 6 7 8\n", "")
