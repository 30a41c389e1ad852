"""The whole forward on the CPU: ours, the OpenCV reference loop, and kornia's RandomTransplantation."""

import numpy as np
import pytest
import torch

from benchmarks import cases, peers
from benchmarks.common import OURS
from benchmarks.timing import measure
from softcp_gpu import SoftCP

REFERENCE, KORNIA = "OpenCV, reference loop", "kornia, RandomTransplantation (far less work)"


@pytest.mark.parametrize("who", [OURS, REFERENCE, KORNIA])
@pytest.mark.parametrize("name", cases.FORWARD)
@pytest.mark.parametrize("case", cases.CASES, ids=str)
def test_forward(benchmark, case, name, who):
    measure(benchmark, competitor(case, name, who), f"forward, {name}, {case}", who, cases.forward_bytes(case))


def competitor(case, name, who):
    """The function to time. It has shown before that it computes what it shall."""
    image, mask, region = cases.batch(case)
    if who == KORNIA:
        return peers.kornia_transplantation(image, mask)
    aug = SoftCP(**cases.settings(case, name))
    out = aug.augment(image, mask, region, generator=seeded())
    assert (out.status == 0).all(), f"not everything is pasted: {out.status_labels()}"
    if who == OURS:
        return lambda: aug(image, mask, region, generator=seeded())  # drawing the params is part of it
    run = peers.reference_loop(aug, image, mask, region, out.params)
    assert_same(run(), out)
    return run


def seeded():
    return torch.Generator().manual_seed(cases.SEED)


def assert_same(samples, out):
    """The parity tests say how close; here it is enough that both do the same thing."""
    for i, sample in enumerate(samples):
        assert sample.status == out.status_labels()[i]
        assert np.mean(sample.mask != out.mask[i, 0].numpy()) < 1e-3
        assert np.abs(sample.image - out.image[i].permute(1, 2, 0).numpy()).mean() < 1e-4
