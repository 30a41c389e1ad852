"""The benchmarks compute what they say, and their report refuses what it cannot tell. No times here."""

import json

import pytest

pytest.importorskip("cv2", minversion="5")

import numpy as np

from benchmarks import cases, peers, report, schema, tables, volumes

MACHINE = {"softcp_gpu": "0", "cpu": "c", "cores": 1, "system": "s", "python": "3", "torch": "2", "threads": 1}
ENTRY = {"median_s": 0.002, "q1_s": 0.001, "q3_s": 0.003, "min_s": 0.001, "rounds": 5, "bytes_floor": None}


def results():
    entries = [{**ENTRY, "group": "g", "who": "softcp_gpu"}, {**ENTRY, "group": "g", "who": "other", "q3_s": 0.004}]
    return {
        "schema": 1,
        "machine": {**MACHINE, "device": "cpu"},
        "date": "2026-01-01",
        "commit": None,
        "entries": entries,
    }


@pytest.mark.parametrize("lesions", ["small", "large"])
@pytest.mark.parametrize("who", peers.SOFT_MASK)
def test_every_competitor_gives_the_same_soft_mask(who, lesions):
    mask = cases.batch(cases.Case(64, lesions, count=2))[1]
    expected = peers.ours(mask, cases.SOFTNESS)()
    for soft, other in zip(peers.SOFT_MASK[who](mask, cases.SOFTNESS)(), expected, strict=True):
        np.testing.assert_allclose(np.squeeze(soft), np.squeeze(other), rtol=0, atol=1e-6)


def test_report_writes_tables_between_its_markers(tmp_path):
    floor = "\n".join(report.FLOOR)
    (tmp_path / "README.md").write_text(f"before\n{floor}\n{report.BEGIN}\nold\n{report.END}\nafter\n", "utf-8")
    raw = tmp_path / "raw.json"
    raw.write_text(json.dumps(results()), "utf-8")
    report.main([str(raw), "--name", "here", "--command", "make it"], tmp_path)
    text = (tmp_path / "README.md").read_text("utf-8")
    assert text.startswith("before")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| g: other | 1 | 1.00 | 0 |" in text
    assert "Not measured." in text
    page = (tmp_path / "results" / "0" / "here.md").read_text("utf-8")
    assert "| other | 2.00 | 1.00 to 4.00 | 1.00 |" in page
    assert "one run: `make it`." in page
    assert (tmp_path / "results" / "0" / "here.json").exists()


def test_report_shows_memory_where_it_was_measured(tmp_path):
    with_memory = results()
    with_memory["entries"] = [{**with_memory["entries"][0], "group": "scan", "peak_bytes": 3 << 20}]
    text = tables.page(schema.check(with_memory), "here", None)
    assert "| scan | ms | middle half | x ours | share of copy | MiB beside the inputs |" in text
    assert "|  | 3 |" in text
    with pytest.raises(ValueError, match="peak_bytes: expected int"):
        schema.check({**with_memory, "entries": [{**with_memory["entries"][0], "peak_bytes": "3"}]})


def test_a_scan_is_pasted_and_its_memory_is_counted():
    scan = volumes.Scan((20, 64, 64), 4, "kidney", "map")
    assert volumes.job(scan)().status_labels() == ["pasted"]
    assert volumes.peak_bytes(scan) < volumes.peak_bytes(scan._replace(shape=(80, 256, 256)))


@pytest.mark.parametrize("field", ["cpu", "threads", "device"])
def test_results_without_their_machine_are_refused(field):
    bad = results()
    del bad["machine"][field]
    with pytest.raises(ValueError, match=f"machine.{field}: expected it"):
        schema.check(bad)


def test_a_run_without_machine_info_is_refused():
    with pytest.raises(ValueError, match="machine_info"):
        report.trim({"benchmarks": [], "machine_info": {}})
