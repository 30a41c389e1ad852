"""Rivals side by side: the same batch, each at its best settings, each shown to paste before it is timed."""

import pytest

from benchmarks import cases
from benchmarks.rivals import gate, registry
from benchmarks.timing import measure
from softcp_gpu import phantoms


@pytest.mark.parametrize("who", registry.PLANE)
@pytest.mark.parametrize("case", cases.RIVAL_CASES, ids=str)
def test_images(benchmark, record_property, case, who):
    group = f"copy-paste, {case}"
    record_property("what", f"{who}: {group}")
    time_one(benchmark, group, who, registry.clamped(*cases.batch(case)))


@pytest.mark.parametrize("who", registry.VOLUME)
@pytest.mark.parametrize(("count", "shape"), cases.SCANS)
def test_volumes(benchmark, record_property, count, shape, who):
    group = f"copy-paste, {count} x 1 x {' x '.join(map(str, shape))}"
    record_property("what", f"{who}: {group}")
    time_one(benchmark, group, who, registry.clamped(*phantoms.batch(count, shape)))


def time_one(benchmark, group, who, data):
    channels, pixels = data.image.shape[1], data.mask.numel()
    try:
        with registry.prepared(who, data) as (run, result):
            gate.assert_pasted(data.image, data.mask, *result(run()))
            measure(benchmark, run, group, who, pixels * cases.forward_bytes_each(channels))
    except ImportError as error:
        pytest.skip(f"not measured: {error}; `make rivals` installs what stands in no other's way")
