"""Tests of what Triton's interpreter runs: collected in a process of their own, see ../test_kernels.py."""

import os
import sys
from contextlib import contextmanager

import pytest

from softcp_gpu import kernels
from softcp_gpu.kernels import maps, operators, warp_operators

collect_ignore_glob = [] if os.environ.get("TRITON_INTERPRET") == "1" else ["test_*.py"]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Small frames too take several programs, the last one of them not full; each costs the interpreter some 10 ms."""
    monkeypatch.setattr(operators, "BLOCK", 128)
    monkeypatch.setattr(warp_operators, "BLOCK", 128)
    monkeypatch.setattr(maps, "ASKED", 2)
    monkeypatch.setattr(maps, "MAPPERS", 3)
    monkeypatch.setattr(maps, "STRETCH", 2)


@pytest.fixture
def kernels_only(monkeypatch):
    """A context in which kernels run, and counting rings without them is an error."""

    @contextmanager
    def on():
        with kernels.use("on"), monkeypatch.context() as patch:
            patch.setattr(sys.modules["softcp_gpu.functional.soft_mask"], "ring_count", None)
            yield

    return on
