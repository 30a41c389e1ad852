"""The report as a browser shows it: every picture loads, nothing is asked for or refused, and it fits on a phone."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from softcp_gpu.synthesize.report import write_report
from softcp_gpu.synthesize.report.charts import PASTED, REAL
from tests.synthesize import runs

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-extensions")
HERE_ONLY = ("--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND")
# What the page cannot tell by itself, as it holds no script: a copy of it has this one, and no policy against it.
ASK = """<script>addEventListener("load", () => {
  const told = {inner: innerWidth, content: document.documentElement.scrollWidth, text: document.body.innerText};
  told.pictures = [...document.images].map(x => [x.complete, x.naturalWidth, x.clientWidth]);
  told.tables = [...document.querySelectorAll("table")].map(x => [x.rows.length, x.clientWidth]);
  told.elements = [...document.querySelectorAll("script, iframe, object, link[rel=stylesheet]")].length;
  parent.postMessage(JSON.stringify(told), "*");
});</script></body>"""
LISTEN = """<body><iframe src="copy.html" style="border: 0; width: {}px; height: 3000px"></iframe><script>
onmessage = event => {{ document.body.textContent = event.data; }};</script></body>"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Runs a browser without a window; gives what it printed and what it complained of."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"needs a browser, one of {', '.join(NAMES)}")

    def call(path, *flags, width=1280, height=4000):
        profile = tmp_path_factory.mktemp("profile")
        log = ("--enable-logging=stderr", "--v=0", f"--user-data-dir={profile}", f"--window-size={width},{height}")
        command = [program, *QUIET, *HERE_ONLY, *log, *flags, path.resolve().as_uri()]
        done = subprocess.run(command, capture_output=True, timeout=120, check=True)
        printed, log = (text.decode("utf-8", "replace") for text in (done.stdout, done.stderr))
        return printed, [line for line in log.splitlines() if "CONSOLE" in line or "Refused" in line]

    return call


@pytest.fixture(scope="module", params=["images", pytest.param("volumes", marks=pytest.mark.slow)])
def report(request, tmp_path_factory):
    """A report on images, with names that try to break it, or on volumes."""
    out = tmp_path_factory.mktemp(request.param)
    if request.param == "volumes":
        return write_report(runs.volumes(out))
    evil = "<script>document.title='broken'</script><img src='http://192.0.2.1/x.png'>"
    changes = {"near_duplicates": [{"train": evil, "other": "v", "part": "val", "distance": 2}], "split": evil}
    return write_report(runs.images(out, **changes))


def told_by(browser, report, width):
    """What a script finds in a copy of the page, in a frame, which may be narrower than a browser's window."""
    text = report.read_text("utf-8")
    copy = report.with_name("copy.html")
    copy.write_text(re.sub(r"<meta http-equiv=.*?>", "", text).replace("</body>", ASK), "utf-8")
    frame = report.with_name("frame.html")
    frame.write_text(LISTEN.format(width))
    printed, _ = browser(frame, "--dump-dom", "--virtual-time-budget=10000", width=1600)
    body = re.search(r"<body>(.*)</body>", printed, re.DOTALL)[1]
    return json.loads(body.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", "\xa0").replace("&amp;", "&"))


def shot(browser, report, *flags, **window):
    """A picture of the page, and the browser's complaints."""
    path = report.with_name("shot.png")
    complaints = browser(report, f"--screenshot={path}", *flags, **window)[1]
    return np.asarray(Image.open(path).convert("RGB")).astype(int), complaints


def count(picture, colour):
    wanted = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    return int((abs(picture - wanted).max(axis=-1) < 12).sum())


@pytest.mark.parametrize("width", [400, pytest.param(1280, marks=pytest.mark.slow)])
def test_every_picture_and_table_is_shown_and_fits(width, browser, report):
    told = told_by(browser, report, width)
    assert told["inner"] == width
    assert told["content"] <= width
    assert len(told["pictures"]) >= 3
    for complete, natural, shown in told["pictures"]:
        assert complete
        assert natural > 0
        assert 200 < shown < width
    assert len(told["tables"]) == 5
    assert all(rows >= 2 and shown > 200 for rows, shown in told["tables"])
    assert told["elements"] == 1  # the one that asks
    assert " pasted from " in told["text"]


def test_charts_are_drawn_and_nothing_is_asked_for_or_refused(browser, report):
    picture, complaints = shot(browser, report)
    assert complaints == []
    assert count(picture, REAL) > 3000
    assert count(picture, PASTED) > 3000


@pytest.mark.slow
def test_a_page_that_asks_for_something_would_be_noticed(browser, report):
    bad = report.with_name("bad.html")
    asks = "<img src='http://192.0.2.1/x.png'><script>1</script></body>"
    bad.write_text(report.read_text("utf-8").replace("</body>", asks), "utf-8")
    complaints = shot(browser, bad)[1]
    assert any("192.0.2.1" in line for line in complaints)
    assert any("script" in line for line in complaints)


@pytest.mark.slow
def test_the_page_is_dark_where_the_reader_wants_it_and_prints(browser, report):
    light, dark = (shot(browser, report, f"--blink-settings=preferredColorScheme={x}")[0] for x in (1, 0))
    assert light[5, 5].min() > 230
    assert dark[5, 5].max() < 40
    assert count(dark, PASTED) > 3000
    path = report.with_name("print.pdf")
    browser(report, f"--print-to-pdf={path}")
    assert path.read_bytes().startswith(b"%PDF")
