from typing import NamedTuple

import pytest
import torch
from typer.testing import CliRunner

from softcp_gpu.commands import app
from tests.data.conftest import real_data

__all__ = ["real_data"]


class Said(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(scope="package", autouse=True)
def one_thread():
    """On frames of this size threads cost more than they give: several times the time on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def softcp():
    """The command line in this process; a traceback fails the test."""

    def call(*arguments):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout, result.stderr)

    return call
