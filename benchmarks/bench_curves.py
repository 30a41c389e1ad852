"""How time grows with the batch, the image, the lesion and the steps: ours, stage by stage, and OpenCV's."""

import pytest

from benchmarks import cases, common, curves, peers, stages
from benchmarks.bench_forward import assert_same as assert_same_samples
from benchmarks.bench_soft_mask import assert_same
from benchmarks.common import OURS
from benchmarks.rivals import names
from benchmarks.rivals.registry import seeded
from benchmarks.timing import measure
from softcp_gpu import SoftCP

POINTS = [(over, point) for over, points in curves.SWEEPS.items() for point in points]


@pytest.mark.parametrize("who", [OURS, names.FLOAT_LOOP, names.LUT_CROPPED])
@pytest.mark.parametrize(("over", "point"), POINTS)
def test_soft_mask(benchmark, record_property, over, point, who):
    group = f"{curves.PREFIX}soft mask over {over}"
    record_property("what", f"{who}: {group}: {point}")
    mask, softness = curves.data(point)[2], {**cases.SOFTNESS, "k_dilate": point.k_dilate}
    run = peers.SOFT_MASK[who](mask, softness)
    assert_same(run(), peers.ours(mask, softness)())
    measure(benchmark, run, group, who, None, x=point.x(over))


@pytest.mark.parametrize("who", [OURS, names.REFERENCE])
@pytest.mark.parametrize(("over", "point"), POINTS)
def test_forward(benchmark, record_property, over, point, who):
    group = f"{curves.PREFIX}forward over {over}"
    record_property("what", f"{who}: {group}: {point}")
    image, source, lesion = curves.data(point)
    aug, region = SoftCP(p=1.0, **{**cases.SOFTNESS, "k_dilate": point.k_dilate}), lesion.new_ones(lesion.shape).bool()
    inputs, given = (image, 0 * lesion, region), {"source_image": source, "source_mask": lesion}
    out = aug.augment(*inputs, **given, generator=seeded())
    assert (out.status == 0).all(), f"not everything is pasted: {out.status_labels()}"
    if who == names.REFERENCE:
        run = peers.reference_loop(aug, *inputs, out.params, (source, lesion))
        assert_same_samples(run(), out)
        return measure(benchmark, run, group, who, None, x=point.x(over))
    with stages.watched() as clocks:
        run = lambda: clocks.call(lambda: aug(*inputs, **given, generator=seeded()))  # noqa: E731
        measure(benchmark, run, group, who, None, x=point.x(over))
    rounds = benchmark.stats.stats.rounds
    parts = [
        common.entry(group, f"{OURS}, stage: {name}", taken[-rounds:])
        for name, taken in clocks.taken.items()
        if min(taken)
    ]
    benchmark.extra_info["parts"] = [{**part, "x": point.x(over)} for part in parts]
