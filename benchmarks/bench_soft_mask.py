"""Soft mask and soft paste on the CPU: ours, OpenCV's, NumPy's, and kornia's pooling."""

import numpy as np
import pytest

from benchmarks import cases, peers
from benchmarks.common import OURS
from benchmarks.rivals import names
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


@pytest.mark.parametrize("who", [OURS, names.PASTE_LOOP])
@pytest.mark.parametrize("case", cases.PASTE_CASES, ids=str)
def test_soft_paste(benchmark, record_property, case, who):
    group = f"soft paste, {case}"
    record_property("what", f"{who}: {group}")
    run, other = peers.soft_pastes(case)
    for made, expected in zip(run(), other(), strict=True):
        assert_same(made, expected)
    measure(benchmark, run if who == OURS else other, group, who, cases.paste_bytes(case))


def assert_same(soft, expected):
    """No time of a wrong result."""
    for one, other in zip(soft, expected, strict=True):
        np.testing.assert_allclose(np.squeeze(one), np.squeeze(other), rtol=0, atol=1e-6)
