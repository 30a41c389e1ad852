"""The report: what it says, to whom it is safe to show, and that it needs nothing but itself."""

import base64
import io
import json
import re
import tracemalloc
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest
from PIL import Image

from softcp_gpu.data import DataError
from softcp_gpu.synthesize.report import charts, write_report
from softcp_gpu.synthesize.report.charts import PASTED, REAL, draw_places, draw_sizes
from softcp_gpu.synthesize.report.tally import Lesions
from tests.synthesize import runs

EMPTY = {"br", "img", "link", "meta"}


class Page(HTMLParser):
    """A page's text, tables (rows of cells), attributes, and whether every element is closed."""

    def __init__(self, path):
        super().__init__()
        self.path, self.open, self.words, self.tables, self.attributes = path, [], [], [], []
        self.feed(path.read_text("utf-8"))
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.open += [] if tag in EMPTY else [tag]
        self.tables += [[]] if tag == "table" else []
        if tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += [] if "style" in self.open else [data]
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    @property
    def findings(self):
        """From the heading of the warnings to that of the next section."""
        return self.text.split("Check and re-make", 1)[1].split("Class balance", 1)[0]

    def row(self, head, column):
        """The cells of the row with this head, in the table that has this column."""
        (table,) = [table for table in self.tables if any(column in row for row in table[:2])]
        rows = [[" ".join(cell.split()) for cell in row] for row in table]
        (found,) = [row for row in rows if row[0] == head]
        return found[1:]

    def pictures(self):
        sources = [value for tag, name, value in self.attributes if (tag, name) == ("img", "src")]
        return [Image.open(io.BytesIO(base64.b64decode(x.removeprefix("data:image/png;base64,")))) for x in sources]


def page_of(out):
    return Page(write_report(out))


@pytest.fixture
def undrawn(monkeypatch):
    """Charts take long, and most tests are of words."""
    for name in ("draw_sizes", "draw_places"):
        monkeypatch.setattr(charts, name, lambda *_: runs.png())


def test_the_verdict_counts_what_was_pasted_and_what_crosses_the_split(tmp_path, undrawn):
    assert (
        "2 of 3 samples pasted from 4 real cases; no near-duplicate across the split. One warning: read it"
        in page_of(runs.images(tmp_path / "a")).text
    )
    near = [{"train": "a", "other": "v", "part": "val", "distance": 3}] * 2
    text = page_of(runs.images(tmp_path / "b", near_duplicates=near)).text
    assert "; 2 near-duplicates across the split. 2 warnings: read them first." in text
    text = page_of(runs.images(tmp_path / "c", near_duplicates=None)).text
    assert "; near-duplicates were not looked for. One warning" in text
    alone = [runs.case("a", lesions=[runs.lesion(9)])]
    text = page_of(runs.images(tmp_path / "d", cases=alone, samples=[])).text
    assert "0 of 0 samples pasted from 1 real case; no case is held out. No warning." in text


def test_classes_are_counted_before_and_after(tmp_path, undrawn):
    page = page_of(runs.images(tmp_path))
    # images with the class, lesions, share of pixels: 2000 of 40000 before, 3800 of 60000 after
    assert page.row("1 lesion", "class") == ["3", "4", "5 %", "5", "6", "6.33 %", ""]
    assert page.row("0 background", "class") == ["4", "–", "95 %", "6", "–", "93.7 %", ""]
    assert "75 % → 83.3 %" in page.text
    assert "5 % → 6.33 %" in page.text


def test_volumes_have_classes_voxels_and_millimetres(tmp_path, undrawn):
    page = page_of(runs.volumes(tmp_path))
    assert page.row("2 lesion", "class")[:2] == ["2", "2"]
    assert page.row("2 lesion", "class")[3:5] == ["4", "4"]
    assert page.row("3", "class")[:2] == ["3", "0"]  # an organ
    assert page.row("real", "95 %") == ["3", "250", "500", "750"]  # to two digits
    assert page.row("pasted", "95 %") == ["2", "380", "380", "380"]
    assert "The volume of lesions in mm³" in page.text
    assert "voxels" in page.text
    assert "pixels" not in page.text
    assert len(page.pictures()) == 1 + 3 + 1  # sizes, three planes, contact sheet
    for along in "zyx":
        assert f"Seen along {along}" in page.text


def test_sizes_are_in_pixels_as_soon_as_one_lesion_has_no_millimetres(tmp_path, undrawn):
    cases = [runs.case("a", lesions=[runs.lesion(100, mm=25.0), runs.lesion(3)])]
    page = page_of(runs.images(tmp_path, cases=cases, samples=[]))
    assert "The area of lesions in pixels" in page.text
    assert page.row("real", "95 %") == ["2", "3", "3", "100"]


def test_what_failed_is_told_with_its_reason_and_every_try_is_counted(tmp_path, undrawn):
    page = page_of(runs.images(tmp_path))
    assert page.row("pasted", "meaning")[0] == "2"
    (statuses,) = [table for table in page.tables if table[0][-1] == "meaning"]
    assert [row[:3] for row in statuses[1:]] == [
        ["pasted", "2", "2"], ["lesion_too_small", "0", "1"], ["no_legal_place", "1", "1"], ["all", "3", "4"],
    ]  # fmt: skip
    assert "1 of 3 samples not pasted" in page.findings
    assert "no_legal_place: 1 sample; no place met the bounds" in page.findings


def test_use_of_cases_and_patients_counts_those_that_never_were(tmp_path, undrawn):
    page = page_of(runs.images(tmp_path))
    # could be used, used, never, median, most, most used
    assert page.row("cases as background", "most used") == ["4", "2", "2", "0.5", "1", "a"]
    assert page.row("cases as source", "most used") == ["3", "1", "2", "0", "2", "b"]
    assert page.row("patients as background", "most used") == ["3", "2", "1", "1", "1", "p1"]
    assert page.row("patients as source", "most used") == ["2", "1", "1", "1", "2", "p1"]


def test_of_a_bank_is_told_only_what_is_known(tmp_path, undrawn):
    samples = [runs.sample(0, ("c", "p2"), ("elsewhere_1", None, 3), runs.lesion(9), {"0": 9991, "1": 9})]
    page = page_of(runs.images(tmp_path, samples=samples))
    assert page.row("cases as source", "most used") == ["–", "1", "–", "1", "1", "elsewhere_1"]
    assert "bank" in page.text
    assert "held-out cases" not in page.findings


def test_the_split_counts_cases_and_patients(tmp_path, undrawn):
    page = page_of(runs.images(tmp_path))
    assert page.row("train", "part") == ["4", "3", "0"]
    assert page.row("val", "part") == ["1", "1", "0"]
    assert "by chance, 5:1:1" in page.text
    assert "No sample has a parent that is held out" in page.text


@pytest.mark.parametrize("source", [("v", None), ("d", "p5"), ("elsewhere", "p5", 0)])
def test_a_parent_that_is_held_out_is_a_warning(source, tmp_path, undrawn):
    samples = [runs.sample(0, ("c", "p2"), source, runs.lesion(9), {"0": 1, "1": 9})]
    page = page_of(runs.images(tmp_path, samples=samples))
    assert "warning 1 sample made from held-out cases" in page.findings
    assert "synth_000000" in page.findings
    assert "No sample has a parent" not in page.text


def test_a_patient_on_both_sides_is_a_warning(tmp_path, undrawn):
    cases = [runs.case("a", patient="p1", lesions=[runs.lesion(9)]), runs.case("b", "test", "p1")]
    assert "warning 1 patient on both sides of the split" in page_of(runs.images(tmp_path, cases=cases)).findings


def test_a_split_file_that_was_changed_is_a_warning(tmp_path, undrawn):
    out = runs.images(tmp_path)
    (out / "split.json").write_text(json.dumps({"train": ["a", "b", "c", "d", "v"], "val": [], "test": ["t"]}))
    findings = page_of(out).findings
    assert "warning 1 case of which the part is in doubt" in findings


def test_a_list_that_was_cut_is_a_warning(tmp_path, undrawn):
    assert "samples.jsonl lists 2 written of 3" in page_of(runs.images(tmp_path, requested=9)).findings


def test_what_is_unknown_or_left_out_is_told_after_the_warnings(tmp_path, undrawn):
    cases = [runs.case("a", lesions=[runs.lesion(9)]), runs.case("b", "val", phash=None)]
    broken = runs.case("c", phash=None)
    cases.append({k: v for k, v in broken.items() if k not in ("shape", "label_pixels", "lesions", "source")})
    problems = [{"path": "/data/of mine/set/images/c.png", "reason": "/data/of mine/set/images/c.png: expected light"}]
    findings = page_of(runs.images(tmp_path, cases=cases, problems=problems)).findings
    told = [
        "warning 1 problem with files", "images/c.png: expected light", "note 1 training case left out",
        "note Patients unknown for 3 of 3 cases", "note Near-duplicates were not looked for among 2 cases",
    ]  # fmt: skip
    places = [findings.index(each) for each in told]
    assert places == sorted(places)


def test_a_long_list_of_problems_is_cut(tmp_path, undrawn):
    problems = [{"path": f"{k}.png", "reason": "expected light"} for k in range(50)]
    findings = page_of(runs.images(tmp_path, problems=problems)).findings
    assert "19.png" in findings
    assert "20.png" not in findings
    assert "and 30 more" in findings


def test_a_run_without_a_single_lesion_or_sheet_has_a_report_too(tmp_path):
    page = page_of(runs.images(tmp_path, cases=[runs.case("a")], samples=[runs.failed(0, "unreadable")], sheet=False))
    assert page.pictures() == []
    assert page.text.count("No lesion was counted.") == 2
    assert "Contact sheet" not in page.text


HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='a()'>",
    "{{ 7*7 }}{% raw %}",
    "a&lt;b\udce9",
    "🩻\u202e\0",
]


def test_names_from_a_data_set_stay_text(tmp_path, undrawn):
    cases = [runs.case(name, patient=name, lesions=[runs.lesion(9)]) for name in HOSTILE]
    cases.append(runs.case("v", "val", HOSTILE[0]))
    samples = [runs.sample(k, (name, name), (name, name), runs.lesion(9), {"0": 1, "1": 9}, id=name)
               for k, name in enumerate(HOSTILE)]  # fmt: skip
    changes = {"split": HOSTILE[0], "layout": HOSTILE[1], "region": HOSTILE[1], "config": {HOSTILE[0]: HOSTILE[1]}}
    changes["problems"] = [{"path": name, "reason": name} for name in HOSTILE]
    changes["near_duplicates"] = [{"train": name, "other": "v", "part": name, "distance": 1} for name in HOSTILE]
    changes |= {"data": f"/{HOSTILE[0].replace('/', '')}", "arguments": {HOSTILE[0]: HOSTILE}}
    out = runs.images(tmp_path, cases=cases, samples=samples, **changes)
    page = page_of(out)
    assert "script" not in {tag for tag, _, _ in page.attributes}
    raw = page.path.read_text("utf-8")
    assert "<script" not in raw
    assert "<img src=x" not in raw
    assert len(page.pictures()) == 3
    for name in (HOSTILE[0], HOSTILE[2], "a&lt;b\\udce9", "🩻"):
        assert name in page.text
    assert "{{" not in re.sub(re.escape(HOSTILE[2]), "", raw)


def test_the_page_asks_for_nothing_and_says_so_to_the_browser(tmp_path, undrawn):
    page = page_of(runs.images(tmp_path))
    (policy,) = [value for _, name, value in page.attributes if name == "content" and "default-src" in value]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    links = [
        value for _, name, value in page.attributes if name in ("src", "href", "srcset", "data", "action", "poster")
    ]
    assert len(links) > 5
    assert all(link.startswith(("data:", "#")) for link in links)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    raw = page.path.read_text("utf-8")
    assert "url(" not in raw
    assert "@import" not in raw
    assert "http:" not in raw
    assert "https:" not in raw


def test_every_link_leads_to_a_section_and_every_picture_has_words(tmp_path):
    page = page_of(runs.images(tmp_path))
    ids = {value for _, name, value in page.attributes if name == "id"}
    links = {value[1:] for tag, name, value in page.attributes if (tag, name) == ("a", "href")}
    assert links
    assert links <= ids
    alts = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
    assert len(alts) == len(page.pictures()) == 3
    assert "Real: 4, median 400. Pasted: 2, median 300." in alts[0]
    assert "Pasted: 2 lesions, on average at y 0.84 and x 0.16 of the frame." in alts[1]


def test_the_same_run_makes_the_same_bytes_wherever_it_lies_and_whatever_the_reader_has_set(tmp_path):
    first = write_report(runs.images(tmp_path / "a")).read_bytes()
    with matplotlib.rc_context({"savefig.facecolor": "red", "font.size": 20, "figure.dpi": 30}):
        assert write_report(runs.images(tmp_path / "b" / "c", data="/else/where/set")).read_bytes() == first
    for picture in page_of(tmp_path / "a").pictures():
        assert picture.info.keys() <= {"dpi"}


def test_no_folder_of_the_machine_is_in_the_report(tmp_path, undrawn):
    out = tmp_path / "out"
    reason = f"/data/of mine/set/masks/a.png: expected one of /data/of mine/set, found {out.absolute()}/x"
    given = {"bank": "/bank/of mine/lesions", "config": "/home/me/soft.toml", "nothing": None, "labels": [1]}
    problems = [{"path": "/data/of mine/set/masks/a.png", "reason": reason}]
    runs.images(out, arguments={"out": str(out), **given}, problems=problems, split="the file /data/of mine/settings")
    page = page_of(out)
    assert "masks/a.png: expected one of set, found x" in page.findings
    assert "bank = lesions" in page.text
    assert "config = soft.toml" in page.text
    assert "the file /data/of mine/settings" in page.text  # another folder
    raw = page.path.read_text("utf-8").replace("/data/of mine/settings", "")
    for place in ("/data/of mine", "/bank", "/home", str(tmp_path)):
        assert place not in raw


@pytest.mark.parametrize("name", ["run.json", "summary.json", "split.json", "inputs.jsonl", "samples.jsonl"])
@pytest.mark.parametrize("content", [None, "{", "[1]", '{"id": 3}', '{"id": "a", "patient": null, "part": "train"}\n{'])
def test_a_file_that_no_run_wrote_is_named(name, content, tmp_path):
    out = runs.images(tmp_path)
    (out / name).unlink()
    if content is not None:
        (out / name).write_text(content)
    with pytest.raises(DataError, match=r"expected .*, found") as error:
        write_report(out)
    assert str(tmp_path) in str(error.value)
    assert not list(out.glob("*.html"))
    assert not list(out.glob(".*"))


def test_a_report_replaces_the_one_before(tmp_path, undrawn):
    out = runs.images(tmp_path)
    (out / "report.html").write_text("old")
    assert write_report(out) == out / "report.html"
    assert (out / "report.html").read_text("utf-8") != "old"


def test_a_place_that_cannot_be_written_is_named(tmp_path, undrawn):
    out = runs.images(tmp_path)
    (out / "report.html").mkdir()
    with pytest.raises(DataError, match=r"report\.html: expected a file that can be written"):
        write_report(out)
    assert not list(out.glob(".*"))


def test_almost_all_is_not_called_all(tmp_path, undrawn):
    cases = [runs.case("a", lesions=[runs.lesion(1)], labels={"0": 999_999, "1": 1})]
    page = page_of(runs.images(tmp_path, cases=cases, samples=[]))
    assert page.row("0 background", "class")[2] == "> 99.9 %"
    assert page.row("1 lesion", "class")[2] == "< 0.001 %"


@pytest.mark.slow
def test_memory_does_not_follow_the_number_of_samples(tmp_path):
    def peak(count):
        out = runs.images(tmp_path / str(count), samples=[])
        lines = (runs.sample(k, ("c", "p2"), ("b", "p1"), runs.lesion(k % 99 + 1), {"1": 3}) for k in range(count))
        runs.write_lines(out / "samples.jsonl", lines)
        tracemalloc.start()
        write_report(out)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(10)  # loads what is loaded once
    assert peak(10_000) < 1.1 * peak(500)  # the lines of 10,000 are 5 MB


def colour(picture, name):
    """How many pixels have this colour."""
    wanted = [int(name[k : k + 2], 16) for k in (1, 3, 5)]
    return int((np.asarray(picture.convert("RGB")) == wanted).all(axis=-1).sum())


def opened(png):
    return Image.open(io.BytesIO(png))


def test_bars_of_sizes_have_areas_like_their_counts():
    picture = opened(draw_sizes({0: 30, 1000: 10, 2000: 20}, {1000: 20}, "area"))
    assert colour(picture, REAL) / colour(picture, PASTED) == pytest.approx(60 / 20, rel=0.1)
    assert colour(opened(draw_sizes({0: 1}, {}, "area")), PASTED) < 3000  # the legend


@pytest.mark.parametrize("sizes", [{0: 1}, {-2000: 1, 9000: 2}, {7: 5, 8: 1}])
def test_sizes_of_any_range_can_be_drawn(sizes):
    assert colour(opened(draw_sizes(sizes, {}, "area")), REAL) > 1000


def test_places_are_drawn_where_they_are():
    maps = [(name, np.zeros((16, 16))) for name in "abc"]
    maps[1][1][0, 15] = 0.5  # of the second map, top right
    picture = np.asarray(opened(draw_places(maps, "y", "x")).convert("RGB"))
    height, width = picture.shape[:2]
    rows, columns = np.nonzero((picture[:, : int(0.8 * width)] == (0x44, 0x01, 0x54)).all(axis=-1))
    assert len(rows) > 100
    assert 0.1 * height < rows.min() <= rows.max() < 0.25 * height
    assert 0.5 * width < columns.min() <= columns.max() < 0.6 * width


def test_a_volume_is_seen_along_each_axis():
    lesions = Lesions()
    lesions.add(runs.lesion(9, (0.99, 0.5, 0.0)))
    lesions.add(runs.lesion(9, (1.0, 0.3, 0.0)))
    assert lesions.map(0, 1)[15, 8] == lesions.map(0, 1)[15, 4] == 0.5
    assert lesions.map(0, 2)[15, 0] == 1
    assert lesions.map(1, 2).sum() == 1
    assert (lesions + lesions).map(1, 2)[8, 0] == 0.5
    assert lesions.middle(0) == pytest.approx(31 / 32)


def test_a_lesion_of_which_a_crop_left_the_rim_alone_counts_as_none(tmp_path, undrawn):
    cases = [runs.case("a", lesions=[runs.lesion(100)]), runs.case("b", lesions=[runs.lesion(100)])]
    labels = {"0": 100, "1": 100}
    samples = [
        runs.sample(0, ("a", None), ("b", None), None, labels),
        runs.sample(1, ("a", None), ("b", None), runs.lesion(50), labels),
    ]
    page = page_of(runs.images(tmp_path, cases=cases, samples=samples))
    assert page.row("pasted", "95 %")[0] == "1"
