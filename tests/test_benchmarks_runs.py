"""Three runs as one file, the floor on paper, and how time grows: what the report makes of them. No times here."""

import json
import math
from contextlib import nullcontext

import pytest

pytest.importorskip("cv2", minversion="5")
pytest.importorskip("scipy.stats", reason="needs SciPy")

import numpy as np
from scipy import stats

from benchmarks import cases, curves, floor, merge, report, runs, schema, stages, tables
from softcp_gpu import SoftCP, loops, phantoms
from tests.test_benchmarks import ENTRY, results


def run_of(median, who="softcp_gpu", **more):
    one = {**ENTRY, "group": "g", "who": who, "median_s": median, "q1_s": median, "q3_s": median, "min_s": median}
    return {**results(), "entries": [one], **more}


def test_of_three_runs_the_middle_one_is_shown_with_all_medians():
    merged = merge.merged([run_of(0.3), run_of(0.1), run_of(0.2)], "command")
    (line,) = merged["entries"]
    assert line["median_s"] == line["q1_s"] == 0.2
    assert line["medians_s"] == [0.3, 0.1, 0.2]
    assert (merged["runs"], merged["command"]) == (3, "command")


@pytest.mark.parametrize(("medians", "marked"), [((0.1, 0.104, 0.107), False), ((0.1, 0.104, 0.12), True)])
def test_rows_whose_runs_do_not_agree_are_marked(medians, marked):
    merged = merge.merged([run_of(median) for median in medians], "command")
    page = tables.page(merged, "here", None)
    row = next(line for line in page.splitlines() if line.startswith("| softcp_gpu"))
    assert (tables.MARK in row) == marked
    assert f"{int(marked)} of 1 rows" in "\n".join(tables.summary(merged))


def test_a_row_that_a_run_lacks_is_named_and_not_shown():
    both = run_of(0.1)
    both["entries"] = [*both["entries"], {**both["entries"][0], "who": "other"}]
    merged = merge.merged([both, run_of(0.1), both], "command")
    assert [line["who"] for line in merged["entries"]] == ["softcp_gpu"]
    assert merged["failed"] == {"other: g": "measured in 2 of 3 runs"}
    assert "* measured in 2 of 3 runs\n  * other: g" in tables.page(merged, "here", None)


def test_runs_of_different_machines_are_refused():
    other = run_of(0.1)
    other["machine"] = {**other["machine"], "cpu": "another"}
    with pytest.raises(ValueError, match="expected the same machine"):
        merge.merged([run_of(0.1), other], "command")


@pytest.mark.parametrize(("broken", "message"), [({"runs": 2}, "medians_s: expected 2"), ({"command": ""}, "command")])
def test_runs_without_their_medians_or_command_are_refused(broken, message):
    with pytest.raises(ValueError, match=message):
        schema.check({**merge.merged([run_of(0.1)], "command"), **broken})


def test_the_readme_and_the_pages_are_what_the_results_and_the_code_give(root, tmp_path):
    here = root / "benchmarks"
    copied = tmp_path / "results" / "0.1.0"
    copied.mkdir(parents=True)
    for file, found in report.read_all(here / "results"):
        (tmp_path / "results" / file.parent.name).mkdir(exist_ok=True)
        (tmp_path / "results" / file.parent.name / file.name).write_text(json.dumps(found), "utf-8")
    (tmp_path / "README.md").write_text((here / "README.md").read_text("utf-8"), "utf-8")
    report.main([], tmp_path)
    made = [path for path in tmp_path.rglob("*") if path.suffix in (".md", ".svg")]
    assert len(made) > 1
    for path in made:
        assert path.read_text("utf-8") == (here / path.relative_to(tmp_path)).read_text("utf-8"), path.name


def test_the_floor_counts_what_a_pixel_needs():
    assert cases.soft_mask_bytes_each() == 5
    assert cases.paste_bytes_each(3) == 4 + 3 * 4 * 3 + 3  # S; three images; lesion, label and new label
    assert cases.forward_bytes_each(1) == 4 + 1 + 1 + 4 + 1 + 4
    assert cases.soft_mask_operations_each(2, 0, 0) == 1
    assert cases.soft_mask_operations_each(3, 1, 1) - cases.soft_mask_operations_each(2, 1, 1) == 4
    table = floor.formulas()
    for row in floor.rows():
        assert f"| {row.bytes_each[2]} | {row.operations_each[2]} | {row.bytes_each[3]} |" in table


def test_the_floor_shows_the_share_of_the_copy_that_was_reached():
    case = cases.FULL_SOFT_MASK_CASES[0]
    copy = {**ENTRY, "group": tables.COPY, "who": "torch", "median_s": 1.0, "q3_s": 1.0, "bytes_floor": 10**9}
    group = f"soft mask, {case.named(1)}"
    own = {**ENTRY, "group": group, "who": "softcp_gpu", "bytes_floor": cases.soft_mask_bytes(case)}
    share = cases.soft_mask_bytes(case) / 1e9 / ENTRY["median_s"]
    text = floor.measured([("here", {"entries": [copy, own]})])
    assert f"| {group} | {cases.soft_mask_bytes(case) / 1e6:.1f} | {share:.1%} |" in text
    assert "not measured" in text


def test_exponents_are_those_of_powers():
    x = [1, 2, 4, 8]
    assert curves.exponent(x, [3 * v**1.5 for v in x]) == pytest.approx((1.5, 0), abs=1e-9)
    assert curves.exponent(x, [5.0] * 4).value == pytest.approx(0)
    assert math.isnan(curves.exponent([1, 2], [1, 2]).error)
    noisy = [1, 2.2, 3.8, 8.1]
    expected = stats.linregress(np.log(x), np.log(noisy))
    assert curves.exponent(x, noisy) == pytest.approx((expected.slope, expected.stderr))
    with pytest.raises(ValueError, match="two different values"):
        curves.exponent([2, 2], [1, 1])


def curve_rows():
    for over in curves.TITLES:
        for x in (1, 2, 4):
            yield {**ENTRY, "group": f"{curves.PREFIX}soft mask over {over}", "who": "softcp_gpu", "x": x}


def test_curves_are_drawn_alike_for_the_same_results(tmp_path):
    found = curves.collect([*curve_rows(), {**ENTRY, "group": "g", "who": "softcp_gpu"}])
    assert set(found) == {("soft mask", over) for over in curves.TITLES}
    for name in ("a.svg", "b.svg"):
        curves.draw(found, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert "| soft mask: softcp_gpu | 0.00 ± 0.00 |" in curves.table(found)


def test_a_sweep_varies_one_length_alone():
    for over, points in curves.SWEEPS.items():
        assert len({point.x(over) for point in points}) == len(points) >= 3
        for other in curves.TITLES.keys() - {over}:
            assert len({point.x(other) for point in points}) == 1, (over, other)


@pytest.mark.parametrize(("engine", "seen"), [(loops.unused, stages.TORCH), (nullcontext, stages.LOOPS)])
def test_clocks_see_every_stage_and_are_taken_away_again(engine, seen):
    image, mask, region = phantoms.batch(2, (48, 48))
    aug, modules = SoftCP(p=1.0), (stages.pipeline, stages.paste_loops)
    before = [dict(vars(module)) for module in modules]
    with stages.watched() as clocks, engine():
        clocks.call(lambda: aug(image, mask, region))
    assert {stage for stage, taken in clocks.taken.items() if taken[0] > 0} == set(seen)
    assert [dict(vars(module)) for module in modules] == before


@pytest.mark.parametrize(("why", "status"), [("not measured: too slow", 0), ("wrong or broken: a lesion less", 1)])
def test_the_runner_joins_parts_and_runs_and_fails_for_what_is_broken(why, status, monkeypatch, tmp_path):
    def run_part(part, number, quick, folder):
        if part == "forward":
            return {"entries": [], "failed": {"other: g": why}}
        return run_of(0.1 + number, who=part)

    monkeypatch.setattr(runs, "run_part", run_part)
    out = tmp_path / "out.json"
    assert runs.main(["--out", str(out), "--parts", "forward", "copy", "soft_mask"]) == status
    made = schema.check(json.loads(out.read_text("utf-8")))
    assert {line["who"]: line["median_s"] for line in made["entries"]} == {"copy": 1.1, "soft_mask": 1.1}
    assert made["failed"] == {"other: g": why}
    assert made["command"].startswith("python -m benchmarks.runs --out ")


def test_a_part_that_cannot_even_start_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(runs.sys, "executable", "false")
    (name, _), *more = runs.run_part("copy", 0, True, tmp_path)["failed"].items()
    assert (name, more) == ("all of bench_copy.py", [])


def test_the_runner_tells_what_is_wrong_with_its_arguments():
    for wrong in ([], ["--quick", "--name", "x"], ["--name", "x", "--out", "y"]):
        with pytest.raises(SystemExit):
            runs.main(wrong)
