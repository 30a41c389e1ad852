"""What the memory can do: the bytes of the other benchmarks are held against it."""

from benchmarks.common import COPY, copy_run
from benchmarks.timing import measure


def test_copy(benchmark, record_property):
    record_property("what", COPY)
    run, moved = copy_run("cpu")
    run()
    measure(benchmark, run, COPY, "torch", moved)
