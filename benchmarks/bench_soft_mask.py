"""The soft mask on the CPU: ours, OpenCV's, and kornia's pooling."""

import numpy as np
import pytest

from benchmarks import cases, peers
from benchmarks.timing import measure


@pytest.mark.parametrize("who", peers.SOFT_MASK)
@pytest.mark.parametrize("case", cases.SOFT_MASK_CASES, ids=str)
def test_soft_mask(benchmark, record_property, case, who):
    group = f"soft mask, {case.named(1)}"
    record_property("what", f"{who}: {group}")
    _, mask, _ = cases.batch(case)
    run = peers.SOFT_MASK[who](mask, cases.SOFTNESS)
    assert_same(run(), peers.ours(mask, cases.SOFTNESS)())
    measure(benchmark, run, group, who, cases.soft_mask_bytes(case))


def assert_same(soft, expected):
    """No time of a wrong result."""
    for one, other in zip(soft, expected, strict=True):
        np.testing.assert_allclose(np.squeeze(one), np.squeeze(other), rtol=0, atol=1e-6)
