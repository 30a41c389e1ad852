"""The benchmark of training steps does what it says it times, and tells what it could not do. No times here."""

import json

import pytest
import torch

from benchmarks import bench_cuda, bench_step, cases, gpu_checks, report, schema, tables
from benchmarks.unet import UNet, soft_dice_loss
from softcp_gpu import GraphedSoftCP, SoftCP

CASE = cases.Case(32, "small", 2)


def test_the_network_keeps_the_frame_and_learns():
    torch.manual_seed(0)
    net, x = UNet(3, (4, 8, 16)), torch.randn(2, 3, 32, 40)
    mask = (x.mean(1, keepdim=True) > 0).float()
    optimizer, losses = torch.optim.Adam(net.parameters(), lr=1e-2), []
    for _ in range(30):
        optimizer.zero_grad()
        loss = soft_dice_loss(net(x), mask)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert net(x).shape == mask.shape
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("aug", [SoftCP(p=1.0), GraphedSoftCP(SoftCP(p=1.0)), None])
def test_a_step_learns_from_augmented_batches_if_asked(aug, monkeypatch):
    seen = []
    monkeypatch.setattr(bench_step, "soft_dice_loss", lambda y, m: seen.append(m.clone()) or soft_dice_loss(y, m))
    net = UNet(3, (4, 8))
    before = net.head.weight.clone()
    bench_step.training_step(net, CASE, "cpu", aug)()
    assert not torch.equal(before, net.head.weight)
    mask = cases.batch(CASE)[1]
    assert [bool((one.sum((1, 2, 3)) > mask.sum((1, 2, 3))).all()) for one in seen] == [aug is not None] * 2


def test_what_the_budget_leaves_out_is_named_and_the_page_shows_the_checks(tmp_path):
    out = tmp_path / "step.json"
    assert bench_step.main([str(out), "--device", "cpu", "--quick", "--seconds", "0", "--budget", "0"]) == 1
    results = schema.check(json.loads(out.read_text("utf-8")))
    assert [line["group"] for line in results["entries"]] == [tables.COPY]
    assert all("budget of 0 s" in why for why in results["failed"].values())
    assert set(results["checks"]) == set(gpu_checks.CHECKS)
    page = tables.page(report.trim(results), "here", None)
    assert "* nothing waits: not measured: needs CUDA" in page
    assert "* left out: the budget of 0 s was spent" in page


def test_a_check_that_fails_is_told_and_stops_no_other(monkeypatch):
    def fails(case):
        raise ValueError("expected less")

    monkeypatch.setattr(gpu_checks, "CHECKS", {"a": fails, "b": lambda case: "fine"})
    assert gpu_checks.run("cuda", CASE) == {"a": "failed: ValueError: expected less", "b": "passed: fine"}


def test_every_row_of_the_gpu_benchmark_has_a_name_of_its_own():
    jobs = list(bench_cuda.jobs("cuda", list(cases.SIZES), "eager"))
    assert len({job[:2] for job in jobs}) == len(jobs)
    in_a_row = [job for job in jobs if job.calls > 1]
    assert {job.group.split(" in a row")[0] for job in in_a_row} == {"soft mask", "forward"}
    assert all(job.group.partition(" in a row of ")[2].startswith(f"{job.calls}, ") for job in in_a_row)


def test_a_call_in_a_row_takes_its_share(monkeypatch):
    ticks, calls = [], []
    job = bench_cuda.Job("a row", "who", 8, lambda: lambda: calls.append(1), calls=10)
    monkeypatch.setattr(bench_cuda, "jobs", lambda *given: iter([job]))
    monkeypatch.setattr(bench_cuda.common, "times", lambda run, *rest: [run(), ticks.append(len(calls)), 5.0][2:])
    results = bench_cuda.run("cpu", [64], "eager", 0.1, 1e9)
    assert ticks[-1] == 10
    assert results["entries"][-1]["median_s"] == 0.5
