"""The switch; and what Triton's interpreter runs, in a process of its own, since it holds from Triton's import on."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from softcp_gpu import kernels

HERE = Path(__file__).parent
INTERPRETED = sorted(path.name for path in (HERE / "interpreted").glob("test_*.py"))


@pytest.fixture
def interpreter(monkeypatch):
    """What says that Triton's interpreter runs; Triton itself is not touched."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.delenv(kernels.VARIABLE, raising=False)
    monkeypatch.setattr(kernels, "INSTALLED", True)


def test_on_a_cpu_plain_torch_runs_until_kernels_are_asked_for(interpreter):
    x = torch.zeros(1)
    assert not kernels.run_on(x)
    with kernels.use("on"):
        assert kernels.run_on(x)
        assert not kernels.run_on(x.to("meta"))
        with kernels.use("off"):
            assert not kernels.run_on(x)
        assert kernels.run_on(x)
    assert not kernels.run_on(x)


def test_a_call_alone_holds_until_the_next(interpreter):
    kernels.use("on")
    assert kernels.run_on(torch.zeros(1))
    kernels.use("auto")
    assert not kernels.run_on(torch.zeros(1))


def test_on_cuda_kernels_that_pay_run_by_themselves(monkeypatch):
    monkeypatch.delenv(kernels.VARIABLE, raising=False)
    monkeypatch.setattr(kernels, "INSTALLED", True)
    there = SimpleNamespace(device=torch.device("cuda"))
    assert kernels.run_on(there)
    monkeypatch.setattr(kernels, "KERNELS_PAY", False)
    assert not kernels.run_on(there)
    with kernels.use("on"):
        assert kernels.run_on(there)
    monkeypatch.setattr(kernels, "KERNELS_PAY", True)
    with kernels.use("off"):
        assert not kernels.run_on(there)
    monkeypatch.setattr(kernels, "INSTALLED", False)
    assert not kernels.run_on(there)


def test_a_cpu_has_kernels_in_the_interpreter_only(interpreter, monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET")
    with kernels.use("on"):
        assert not kernels.run_on(torch.zeros(1))


def test_an_unknown_choice_is_refused(interpreter, monkeypatch):
    with pytest.raises(ValueError, match=r"choice: expected one of 'auto', 'on', 'off', found 'yes'"):
        kernels.use("yes")
    monkeypatch.setenv(kernels.VARIABLE, "yes")
    with pytest.raises(ValueError, match=r"SOFTCP_KERNELS: expected one of .*, found 'yes'"):
        kernels.run_on(torch.zeros(1))


def test_to_ask_for_kernels_without_triton_says_how_to_get_it(interpreter, monkeypatch):
    monkeypatch.setattr(kernels, "INSTALLED", False)
    with pytest.raises(ImportError, match=r"pip install 'softcp-gpu\[kernels\]'"):
        kernels.use("on")
    assert kernels.VARIABLE not in os.environ


@pytest.mark.skipif(not kernels.INSTALLED, reason="needs triton, which has wheels for Linux only")
@pytest.mark.parametrize("name", INTERPRETED)
def test_in_the_interpreter(name, root, request):
    marked = request.config.getoption("markexpr")
    path = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", marked, HERE / "interpreted" / name],
        cwd=root,
        env={**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout
