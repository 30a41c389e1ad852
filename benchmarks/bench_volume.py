"""Soft-CP of one scan: how time and memory grow with the scan and with the lesion."""

import pytest

from benchmarks import volumes
from benchmarks.common import OURS
from benchmarks.timing import measure


@pytest.mark.parametrize("scan", volumes.SCANS, ids=str)
def test_volume(benchmark, scan):
    run = volumes.job(scan)
    assert run().status_labels() == ["pasted"]
    floor = volumes.bytes_floor(scan)
    measure(benchmark, run, "one scan", f"{OURS}, {scan}", floor, least=2, peak_bytes=volumes.peak_bytes(scan))
