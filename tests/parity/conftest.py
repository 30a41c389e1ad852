import sys
from contextlib import contextmanager, nullcontext

import pytest

from softcp_gpu import loops


@pytest.fixture(autouse=True, params=["loops", "plain torch"])
def engine(request):
    """What computes on a CPU."""
    with loops.unused() if request.param == "plain torch" else nullcontext():
        yield


@pytest.fixture
def whole_frames(monkeypatch):
    """A context in which the CPU takes the path of accelerators, which works on whole frames and reads no value."""

    @contextmanager
    def run():
        with monkeypatch.context() as patch:
            for name, module in list(sys.modules.items()):
                if name.startswith("softcp_gpu.functional.") and hasattr(module, "may_read_values"):
                    patch.setattr(module, "may_read_values", lambda x: False)
            yield

    return run
