"""The command line, as a newcomer types it: what it says, where, and with which exit code."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import typer
from PIL import Image

from softcp_gpu import __version__
from softcp_gpu.choices import PRESETS
from softcp_gpu.commands import app
from softcp_gpu.functional.blend import BLENDS
from softcp_gpu.synthesize.inputs import read_config
from tests.synthesize import trees
from tests.synthesize.trees import contents, lines

ESCAPE = "\x1b"


@pytest.fixture
def data(tmp_path):
    trees.pairs(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def refused(softcp, tmp_path):
    """Bad input: exit code 2, one error on stderr with every one of the words, and nothing written or removed."""

    def call(*arguments, words):
        before = contents(tmp_path)
        said = softcp(*arguments)
        assert contents(tmp_path) == before
        assert said.code == 2
        plain = " ".join(re.sub(r"[│╭╮╰╯─]", " ", said.err).split())
        assert len(re.findall(r"\berror\b", plain, re.IGNORECASE)) == 1
        for word in words:
            assert str(word) in plain
        return said

    return call


class TestHelp:
    def test_no_argument_shows_the_commands(self, softcp):
        said = softcp()
        assert "synthesize" in said.out + said.err
        assert "demo" in said.out + said.err

    @pytest.mark.parametrize("name", ["synthesize", "demo"])
    def test_every_option_is_listed_with_its_meaning(self, softcp, name, monkeypatch):
        monkeypatch.setenv("COLUMNS", "120")
        said = softcp(name, "--help")
        assert said.code == 0
        for parameter in typer.main.get_command(app).commands[name].params:
            assert parameter.help
            assert all(option in said.out for option in parameter.opts if option.startswith("-"))
            assert parameter.help.split()[0] in said.out

    def test_the_layouts_are_named(self, softcp, monkeypatch):
        monkeypatch.setenv("COLUMNS", "120")
        said = softcp("synthesize", "--help")
        assert all(name in said.out for name in trees.TREES)

    def test_version(self, softcp):
        said = softcp("--version")
        assert said == (0, f"{__version__}\n", "")


class TestSynthesize:
    def test_what_was_done_and_where_it_is(self, softcp, data, out):
        said = softcp("synthesize", data, out)
        assert said.code == 0
        assert said.err == ""
        assert "layout: pairs" in said.out
        assert "split: " in said.out
        assert f"2 of 2 samples in {out}" in said.out
        assert f"picture: {out / 'contact_sheet.png'}" in said.out
        with Image.open(out / "contact_sheet.png") as picture:
            assert picture.format == "PNG"
            assert np.asarray(picture.convert("L")).std() > 20
        assert len(lines(out)) == 2

    def test_a_file_or_a_pipe_gets_plain_text(self, softcp, data, out):
        said = softcp("synthesize", data, out)
        assert ESCAPE not in said.out
        assert "\r" not in said.out
        assert len(said.out.splitlines()) < 15

    def test_options_reach_the_run(self, softcp, data, out, tmp_path):
        (tmp_path / "c.toml").write_text('alpha = 0.5\nmatch = "rim"\n[object_transform]\nscale = [1.0, 1.1]\n')
        (tmp_path / "parts.json").write_text(json.dumps({"train": ["a0", "a1", "a2"]}))
        options = [
            "--layout",
            "pairs",
            "--count",
            "3",
            "--seed",
            "4",
            "--device",
            "cpu",
            "--region",
            "none",
            "--sheet",
            0,
        ]
        said = softcp(
            "synthesize", data, out, *options, "--config", tmp_path / "c.toml", "--split", tmp_path / "parts.json"
        )
        assert said.code == 0
        summary = json.loads((out / "summary.json").read_text())
        assert (summary["requested"], summary["seed"], summary["device"], summary["region"]) == (3, 4, "cpu", "none")
        assert summary["config"] == {"alpha": 0.5, "match": "rim", "object_transform": {"scale": [1.0, 1.1]}}
        assert "parts.json" in summary["split"]
        assert {record["params"]["alpha"] for record in lines(out)} == {0.5}
        assert not (out / "contact_sheet.png").exists()
        assert "picture" not in said.out

    def test_the_rows_of_the_sheet(self, softcp, data, tmp_path):
        heights = []
        for rows in (1, 2, 50):
            assert softcp("synthesize", data, tmp_path / f"{rows}", "--count", 3, "--sheet", rows).code == 0
            with Image.open(tmp_path / f"{rows}" / "contact_sheet.png") as picture:
                heights.append(picture.height)
        assert heights[1] - heights[0] == pytest.approx(heights[2] - heights[1], abs=3)  # three samples, three rows
        assert heights[1] > heights[0]

    def test_the_sheet_does_not_change_the_set(self, softcp, data, tmp_path):
        for rows in (0, 2):
            softcp("synthesize", data, tmp_path / f"{rows}", "--count", 3, "--sheet", rows)
        without, with_sheet = contents(tmp_path / "0"), contents(tmp_path / "2")
        assert with_sheet.pop("contact_sheet.png")
        assert with_sheet.pop("report.html") != without.pop("report.html")  # it shows the sheet
        assert with_sheet == without

    def test_bad_files_are_told_on_stderr_with_their_names(self, softcp, data, out):
        (data / "masks" / "a1.png").unlink()
        trees.truncate(data / "images" / "a2.png")
        trees.put(data / "masks" / "a3.png", np.zeros((8, 8), np.uint8))
        said = softcp("synthesize", data, out, "--count", 8, "--sheet", 0)
        assert said.code == 0
        told = [line for line in said.err.splitlines() if "left out" in line]
        assert len(told) == 3
        for name in ("a1.png", "a2.png", "a3.png"):
            assert any(name in line for line in told), said.err

    def test_many_bad_files_do_not_flood_the_screen(self, softcp, tmp_path, out):
        trees.pairs(tmp_path / "many", 30)
        for i in range(25):
            (tmp_path / "many" / "masks" / f"a{i}.png").unlink()
        said = softcp("synthesize", tmp_path / "many", out, "--count", 1, "--sheet", 0)
        assert said.code == 0
        assert len(said.err.splitlines()) < 15
        assert "15 more" in said.err
        assert "summary.json" in said.err

    def test_nothing_could_be_pasted(self, softcp, data, out):
        for mask in (data / "masks").iterdir():
            trees.put(mask, np.full((64, 64), 255, np.uint8))
        said = softcp("synthesize", data, out, "--count", 2)
        assert said.code == 1
        assert "error" in said.err
        assert "no_legal_place" in said.out
        assert "0 of 2 samples" in said.out
        assert "picture" not in said.out
        assert json.loads((out / "summary.json").read_text())["written"] == 0

    def test_overwriting_has_to_be_asked_for(self, softcp, refused, data, out):
        assert softcp("synthesize", data, out, "--count", 2, "--sheet", 0).code == 0
        refused("synthesize", data, out, "--count", 2, words=[out, "--overwrite"])
        assert softcp("synthesize", data, out, "--count", 1, "--sheet", 0, "--overwrite").code == 0
        assert len(lines(out)) == 1

    @pytest.mark.parametrize("name", ["a [bold]b[/bold]", "out :cat: x", "ö 病"])
    def test_names_are_shown_as_they_are(self, softcp, data, tmp_path, name):
        said = softcp("synthesize", data, tmp_path / name, "--count", 1)
        assert said.code == 0
        assert f"1 of 1 samples in {tmp_path / name}" in said.out
        assert f"picture: {tmp_path / name / 'contact_sheet.png'}" in said.out
        again = softcp("synthesize", data, tmp_path / name, "--count", 1)
        assert str(tmp_path / name) in again.err

    def test_the_name_of_a_split_is_shown_as_it_is(self, softcp, data, out, tmp_path):
        (tmp_path / "fold[a].json").write_text(json.dumps({"train": ["a0", "a1", "a2"]}))
        said = softcp("synthesize", data, out, "--split", tmp_path / "fold[a].json", "--count", 1, "--sheet", 0)
        assert "fold[a].json" in said.out


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--ratio", "3"], ["ratio", "'3'"]),
            (["--ratio=0:1"], ["ratio", "0:1"]),
            (["--count", "0"], ["count", "0"]),
            (["--count", "many"], ["--count"]),
            (["--seed", "0.5"], ["--seed"]),
            (["--split", "5:1"], ["split", "5:1"]),
            (["--split", "0:1:1"], ["split", "0:1:1"]),
            (["--split", "no.json"], ["split", "no.json"]),
            (["--device", "abacus"], ["device", "abacus"]),
            (["--device", "meta"], ["device", "meta"]),
            (["--layout", "cityscapes"], ["layout", "cityscapes", "pairs"]),
            (["--layout", "lgg"], ["layout", "lgg"]),
            (["--region", "kidney"], ["region", "kidney"]),
            (["--sheet", "-1"], ["--sheet"]),
            (["--config", "no.toml"], ["config", "no.toml"]),
            (["--blend", "soft"], ["blend", "'softcp-geometric'", "'soft'"]),
            (["--cuont", "3"], ["--cuont"]),
            (["--overwrit"], ["--overwrit"]),
            (["one-too-many"], ["one-too-many"]),
        ],
    )
    def test_a_bad_option_is_named(self, refused, data, out, options, words):
        refused("synthesize", data, out, *options, words=words)

    @pytest.mark.parametrize(
        ("name", "text", "words"),
        [
            ("c.toml", "alfa = 0.5", ["config", "alfa"]),
            ("c.toml", "[object_transform]\nrotatoin_deg = 3", ["config", "rotatoin_deg"]),
            ("c.toml", "alpha = 7", ["alpha", "7"]),
            ("c.toml", 'p = "often"', ["p: ", "often"]),
            ("c.toml", "k_erode = -1", ["k_erode", "-1"]),
            ("c.toml", 'placement = "here"', ["placement", "here"]),
            ("c.toml", "lesion_labels = 3", ["lesion_labels"]),
            ("c.toml", "alpha 0.5", ["config", "c.toml"]),
            ("c.json", '{"alpha": 0.5', ["config", "c.json"]),
            ("c.json", "[0.5]", ["config", "c.json", "list"]),
            ("c.json", '{"alpha": NaN}', ["alpha", "nan"]),
            ("c.json", '{"footprint": ["full"]}', ["footprint"]),
            ("c.json", '{"background_transform": {"crop": [0.9, 0.1]}}', ["crop"]),
            ("c.json", "\xff\xfe", ["config", "c.json"]),
            ("c.yaml", "alpha: 0.5", ["config", "c.yaml"]),
        ],
    )
    def test_a_bad_config_is_named(self, refused, data, out, tmp_path, name, text, words):
        (tmp_path / name).write_text(text, encoding="latin-1")
        refused("synthesize", data, out, "--config", tmp_path / name, words=words)

    def test_a_config_as_json(self, tmp_path):
        (tmp_path / "c.json").write_text('{"object_transform": null}')
        assert read_config(tmp_path / "c.json") == {"object_transform": None}
        assert read_config(None) == {}

    def test_a_transform_can_be_turned_off_from_toml_too(self, softcp, data, out, tmp_path):
        """TOML has no null; a word has to do."""
        (tmp_path / "c.toml").write_text('object_transform = "none"')
        assert softcp("synthesize", data, out, "--count", 1, "--sheet", 0, "--config", tmp_path / "c.toml").code == 0
        assert lines(out)[0]["params"]["object"] is None

    def test_every_blend_pastes_the_same_lesions_at_the_same_places(self, softcp, tmp_path):
        trees.kits2d(tmp_path / "data")
        records, hashes, organs = {}, set(), {}
        for blend in BLENDS:
            out = tmp_path / blend
            arguments = ["synthesize", tmp_path / "data", out, "--count", 4, "--sheet", 0, "--blend", blend]
            assert softcp(*arguments).code == 0
            run = json.loads((out / "run.json").read_text())
            assert run["arguments"]["config"]["blend"] == blend
            hashes.add(run["config_sha256"])
            records[blend] = lines(out)
            organs[blend] = [record["label_pixels"]["2"] for record in records[blend]]
        assert len(hashes) == len(BLENDS)
        expected = records["hard"]
        assert [record["status"] for record in expected] == ["pasted"] * 4
        for found in records.values():
            for ours, theirs in zip(found, expected, strict=True):
                assert ours["params"] == theirs["params"]
                assert {**ours["placement"], "k_erode": 0} == theirs["placement"]
        files = [record["sha256"]["image"] for found in records.values() for record in found]
        assert len(set(files)) > 4 * (len(BLENDS) - 1)  # a small lesion may be all of its CarveMix region
        # CarveMix pastes the organ around a lesion too, so it has no holes there.
        assert all(new > 0.9 * old for new, old in zip(organs["carvemix"], organs["hard"], strict=True))
        for blend in ("poisson", "carvemix"):
            assert softcp("verify", tmp_path / blend, "--share", 1.0).code == 0

    def test_a_blend_as_the_config_names_it_or_none(self, refused, softcp, data, out, tmp_path):
        (tmp_path / "c.toml").write_text('blend = "hard"')
        options = ["--count", 1, "--sheet", 0, "--config", tmp_path / "c.toml", "--blend"]
        refused("synthesize", data, out, *options, "poisson", words=["blend: expected 'hard'", "c.toml", "'poisson'"])
        assert softcp("synthesize", data, out, *options, "hard").code == 0

    def test_a_preset_and_what_the_config_says_instead(self, refused, softcp, data, out, tmp_path):
        (tmp_path / "c.toml").write_text("alpha = 0.6")
        options = ["--count", 1, "--sheet", 0, "--config", tmp_path / "c.toml", "--preset"]
        words = ["preset: expected one of 'lgg', 'kvasir', 'busi'", "'liver'"]
        refused("synthesize", data, out, *options, "liver", words=words)
        assert softcp("synthesize", data, out, *options, "lgg").code == 0
        run = json.loads((out / "run.json").read_text())
        assert run["arguments"]["config"] == {**PRESETS["lgg"], "alpha": 0.6}

    def test_folders(self, refused, data, out, tmp_path):
        (tmp_path / "empty").mkdir()
        (tmp_path / "file").write_text("mine")
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "thesis.tex").write_text("mine")
        refused("synthesize", tmp_path / "nothing", out, words=[tmp_path / "nothing"])
        refused("synthesize", tmp_path / "empty", out, words=[tmp_path / "empty", "empty"])
        refused("synthesize", tmp_path / "file", out, words=[tmp_path / "file"])
        refused("synthesize", data, data / "out", words=[data / "out"])
        refused("synthesize", data / "images", data, words=[data])
        refused("synthesize", data, tmp_path / "file", words=[tmp_path / "file"])
        refused("synthesize", data, tmp_path / "file" / "out", words=[tmp_path / "file" / "out"])
        refused("synthesize", data, tmp_path / "mine", words=[tmp_path / "mine"])
        refused("synthesize", data, tmp_path / "mine", "--overwrite", words=[tmp_path / "mine"])

    def test_arguments_that_are_missing(self, refused, data):
        refused("synthesize", words=["data"])
        refused("synthesize", data, words=["out"])
        refused("syntesize", data, words=["syntesize"])

    def test_an_error_comes_without_a_progress_bar(self, softcp, tmp_path, out):
        said = softcp("synthesize", tmp_path / "nothing", out)
        assert said.out == ""
        assert len(said.err.splitlines()) == 1

    def test_a_data_set_that_is_a_test_part_alone_is_told_what_helps(self, softcp, tmp_path, out):
        trees.pairs(tmp_path / "only" / "test", 3)
        said = softcp("synthesize", tmp_path / "only", out)
        assert said.code == 2
        assert "3 test" in said.err
        assert "--split" in said.err or "split" in said.err


class TestDemo:
    def test_in_a_process_of_its_own(self, tmp_path, root):
        where = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(root)}}
        command = [sys.executable, "-m", "softcp_gpu.cli", "demo", "--count", "6", "--size", "48", "--sheet", "2"]
        said = subprocess.run(command, **where, capture_output=True, text=True, encoding="utf-8")
        assert (said.returncode, said.stderr) == (0, "")
        [line] = [line for line in said.stdout.splitlines() if line.startswith("picture: ")]
        path = tmp_path / "softcp_demo" / "synthetic" / "contact_sheet.png"
        assert line == f"picture: {path}"
        assert path.is_file()
        assert ESCAPE not in said.stdout

    def test_the_same_seed_makes_the_same_demo(self, softcp, tmp_path):
        for name in ("a", "b"):
            assert (
                softcp("demo", "--out", tmp_path / name, "--count", 4, "--size", 48, "--seed", 3, "--sheet", 0).code
                == 0
            )
        assert contents(tmp_path / "a" / "phantoms") == contents(tmp_path / "b" / "phantoms")
        names = [name for name in contents(tmp_path / "a" / "synthetic") if "synth_" in name]
        assert names
        a, b = contents(tmp_path / "a" / "synthetic"), contents(tmp_path / "b" / "synthetic")
        assert all(a[name] == b[name] for name in names)

    @pytest.mark.parametrize(("count", "size"), [(2, 32), (9, 40)])
    def test_small_ones(self, softcp, tmp_path, count, size):
        said = softcp("demo", "--out", tmp_path / "demo", "--count", count, "--size", size)
        assert said.code == 0
        assert len(list((tmp_path / "demo" / "phantoms" / "images").iterdir())) == count

    def test_again_only_when_asked(self, softcp, refused, tmp_path):
        small = ["--out", tmp_path / "demo", "--count", 4, "--size", 32, "--sheet", 0]
        assert softcp("demo", *small).code == 0
        refused("demo", *small, words=["overwrit"])
        first = contents(tmp_path / "demo")
        assert softcp("demo", *small, "--overwrite").code == 0
        assert contents(tmp_path / "demo") == first

    @pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
    def test_a_strangers_folder_of_that_name_is_left_alone(self, refused, tmp_path, overwrite):
        trees.pairs(tmp_path / "demo" / "phantoms", 2)
        refused("demo", "--out", tmp_path / "demo", "--count", 2, "--size", 32, *overwrite, words=["phantoms"])

    def test_overwriting_takes_no_data_set_for_an_earlier_demo(self, softcp, tmp_path):
        """A data set that happens to be called phantoms, with a synthetic set that was made from it."""
        mine = tmp_path / "work" / "phantoms"
        trees.pairs(mine)
        assert softcp("synthesize", mine, tmp_path / "work" / "synthetic", "--count", 2, "--sheet", 0).code == 0
        before = contents(mine)
        softcp("demo", "--out", tmp_path / "work", "--count", 2, "--size", 32, "--sheet", 0, "--overwrite")
        assert contents(mine) == before

    def test_what_was_added_to_the_phantoms_stays(self, softcp, tmp_path):
        small = ["--out", tmp_path / "demo", "--count", 2, "--size", 32, "--sheet", 0]
        assert softcp("demo", *small).code == 0
        (tmp_path / "demo" / "phantoms" / "notes.txt").write_text("mine")
        softcp("demo", *small, "--overwrite")
        assert (tmp_path / "demo" / "phantoms" / "notes.txt").read_text() == "mine"

    def test_a_demo_that_was_cut_short_can_be_made_again(self, softcp, tmp_path):
        small = ["--out", tmp_path / "demo", "--count", 4, "--size", 32, "--sheet", 0]
        assert softcp("demo", *small).code == 0
        for path in sorted((tmp_path / "demo" / "synthetic").rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        (tmp_path / "demo" / "synthetic").rmdir()  # stopped while it wrote the phantoms
        assert softcp("demo", *small, "--overwrite").code == 0

    @pytest.mark.parametrize("options", [["--count", "1"], ["--size", "8"], ["--cuont", "3"], ["--sheet", "-1"]])
    def test_bad_options(self, refused, tmp_path, options):
        refused("demo", "--out", tmp_path / "demo", *options, words=options[:1])


NEEDED = ["typer", "rich", "scipy", "matplotlib", "jinja2", "jsonschema", "imagehash", "filelock"]
MISSING = """
import importlib.abc, sys
import softcp_gpu

class Gone(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] == GONE:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

from softcp_gpu.cli import main
sys.meta_path.insert(0, Gone())
sys.argv = ["softcp", "--version"]
for GONE in ("typer", "rich", "scipy", "matplotlib", "jinja2", "jsonschema", "imagehash", "filelock"):
    try:
        main()
    except SystemExit as end:
        print(GONE, "exit", end.code, flush=True)
    except BaseException as error:
        print(GONE, "traceback", repr(error), flush=True)
"""


def test_a_missing_package_is_one_line_that_says_what_to_install(tmp_path, root):
    env = {**os.environ, "PYTHONPATH": str(root)}
    said = subprocess.run([sys.executable, "-c", MISSING], cwd=tmp_path, env=env, capture_output=True, text=True)
    told = said.stdout.splitlines()
    assert [line.split()[0] for line in told] == NEEDED, said
    for line in told:
        name = line.split()[0]
        assert line == f"{name} exit softcp needs {name}. Install it with: pip install 'softcp-gpu[cli]'"
