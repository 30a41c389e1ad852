from pathlib import Path

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
