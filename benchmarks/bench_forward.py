"""The whole forward on the CPU: ours, the OpenCV reference loop, and kornia's RandomTransplantation."""

import numpy as np
import pytest

from benchmarks import cases, peers
from benchmarks.common import OURS, PLAIN
from benchmarks.rivals import gate, names, tensors
from benchmarks.rivals.registry import OWN, seeded
from benchmarks.timing import measure
from softcp_gpu import SoftCP, loops


@pytest.mark.parametrize("who", [*OWN, names.REFERENCE, names.KORNIA])
@pytest.mark.parametrize("name", cases.FORWARD)
@pytest.mark.parametrize("case", cases.FORWARD_CASES, ids=str)
def test_forward(benchmark, record_property, case, name, who):
    group = f"forward, {name}, {case}"
    record_property("what", f"{who}: {group}")
    if who == names.REFERENCE and (why := cases.too_slow_for_the_reference(case)):
        pytest.skip(f"not measured: {why}")
    if who == names.KORNIA and case.count == 1:
        pytest.skip("not measured: a batch of one comes back unchanged, without a word")
    measure(benchmark, competitor(case, name, who), group, who, cases.forward_bytes(case))


def competitor(case, name, who):
    """The function to time. It has been called, and has shown that it computes what it shall."""
    image, mask, region = cases.batch(case)
    if who == names.KORNIA:
        run = tensors.kornia_transplantation(image, mask)
        gate.assert_pasted(image, mask, *run())
        return run
    aug, source = SoftCP(**cases.settings(case, name)), cases.sources(case)
    given = {} if source is None else {"source_image": source[0], "source_mask": source[1]}
    out = aug.augment(image, mask, region, **given, generator=seeded())
    assert (out.status == 0).all(), f"not everything is pasted: {out.status_labels()}"

    def ours():
        return aug(image, mask, region, **given, generator=seeded())  # drawing the params is part of it

    if who == OURS:
        return ours
    if who == PLAIN:
        return loops.unused()(ours)
    run = peers.reference_loop(aug, image, mask, region, out.params, source)
    assert_same(run(), out)
    return run


def assert_same(samples, out):
    """The parity tests say how close; here it is enough that both do the same thing."""
    for i, sample in enumerate(samples):
        assert sample.status == out.status_labels()[i]
        assert np.mean(sample.mask != out.mask[i, 0].numpy()) < 1e-3
        assert np.abs(sample.image - out.image[i].permute(1, 2, 0).numpy()).mean() < 1e-4
