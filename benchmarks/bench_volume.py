"""Soft-CP of one scan: how time and memory grow with the scan and with the lesion."""

import os

import pytest

from benchmarks import cases, volumes
from benchmarks.common import OURS
from benchmarks.timing import measure

SCANS = (volumes.Scan((20, 64, 64), 4, "kidney", "candidates"),) if cases.QUICK else volumes.SCANS


@pytest.mark.parametrize("scan", SCANS, ids=str)
def test_volume(benchmark, record_property, scan):
    who = f"{OURS}, {scan}"
    record_property("what", f"{who}: one scan")
    run = volumes.job(scan)
    assert run().status_labels() == ["pasted"]
    # Memory is the same each time, so one run of three is enough.
    memory = {} if "SOFTCP_BENCH_LATER_RUN" in os.environ else {"peak_bytes": volumes.peak_bytes(scan)}
    measure(benchmark, run, "one scan", who, volumes.bytes_floor(scan), **memory)
