import multiprocessing.dummy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import settings

# The first call of a torch operation may take seconds on a busy machine; that is not a failure.
settings.register_profile("patient", settings(deadline=None))
settings.load_profile("patient")


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the repository."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """On frames of this size threads cost more than they give: several times the time on a busy machine."""
    torch.set_num_threads(1)


def pytest_runtest_setup(item: pytest.Item) -> None:
    torch.manual_seed(0)  # torch seeds each process otherwise, and draws without a generator follow that
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs CUDA, and torch sees none here")


@pytest.fixture
def nnunet_verify(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """nnU-Net's own check of a data set, in threads: forked from a process with threads, its pool may hang."""
    pytest.importorskip("nnunetv2", reason="no nnunetv2: `make test` installs it")
    from nnunetv2.experiment_planning import verify_dataset_integrity
    from nnunetv2.utilities import utils

    context = SimpleNamespace(get_context=lambda method: multiprocessing.dummy)
    monkeypatch.setattr(verify_dataset_integrity, "multiprocessing", context)
    monkeypatch.setattr(utils, "Pool", multiprocessing.dummy.Pool)
    return partial(verify_dataset_integrity.verify_dataset_integrity, num_processes=1)
