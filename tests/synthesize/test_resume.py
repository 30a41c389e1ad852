"""A run that is stopped at any moment goes on, and ends with the same bytes as one that never was."""

import json
import random
import re
import signal
import time

import pytest

from softcp_gpu.data import DataError
from softcp_gpu.synthesize import run, save, synthesize
from tests.synthesize import faults, trees
from tests.synthesize.faults import OWN, files, whole_lines, whole_samples

COUNT = 60
FEW = 8
KILLS = 50


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return faults.phantoms(tmp_path_factory.mktemp("resume") / "data", 30)


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """A function: count -> what a run makes that nothing happens to, and how long it takes."""
    known = {}

    def make(count=FEW):
        if count not in known:
            out, begin = tmp_path_factory.mktemp("whole") / "out", time.monotonic()
            synthesize(data, out, count=count)
            known[count] = files(out), time.monotonic() - begin
        return known[count]

    return make


@pytest.fixture
def cut(data, tmp_path):
    """A run of some samples that was stopped after five."""
    return stop_after(5, data, tmp_path / "out", count=FEW)


def stop_after(number, data, out, **how):
    def stop(summary, record):
        if record["number"] == number - 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesize(data, out, on_sample=stop, **how)
    assert whole_samples(out) == number
    return out


def go_on(data, out, **how):
    """Resumes a run, or begins it anew where the stop came before its list was there."""
    begun = (out / "samples.jsonl").exists()
    if not begun:
        with pytest.raises(DataError, match="expected"):
            synthesize(data, out, resume=True, **how)
    return {"resume": begun, **how}


class TestKilled:
    @pytest.mark.slow
    def test_at_fifty_moments_and_each_time_gone_on_with(self, data, tmp_path, whole):
        expected, seconds = whole(COUNT)
        moments, kills, runs = random.Random(0), 0, 0
        while kills < KILLS:
            out, before = tmp_path / str(runs), 0
            for attempt in range(100):
                batch = moments.choice([1, 3, 16])
                process = faults.start(data, out, **go_on(data, out, count=COUNT, batch_size=batch))
                # Ever later, or a machine that has become busy since would never come to an end.
                process.join(moments.uniform(0, 0.4) * seconds * 1.05**attempt)
                if process.exitcode is not None:
                    break
                faults.kill(process)
                kills += 1
                assert whole_samples(out) >= before
                before = whole_samples(out)
            assert process.exitcode == 0
            assert files(out) == expected
            runs += 1

    @pytest.mark.slow
    @pytest.mark.parametrize("group", [False, True], ids=["the parent alone", "all processes"])
    def test_with_workers_and_gone_on_with_other_ones(self, data, tmp_path, whole, group):
        expected, _ = whole(COUNT)
        moments, out = random.Random(1), tmp_path / "out"
        for after in (1, 30):
            process = faults.start(data, out, **go_on(data, out, count=COUNT, workers=2, batch_size=4))
            faults.wait_for(lambda after=after: whole_lines(out) >= after, "samples")
            time.sleep(moments.uniform(0, 0.05))
            faults.kill(process, group)
            whole_samples(out)
        faults.wait_for(lambda: not faults.in_group(process.pid), "the end of the workers")
        synthesize(data, out, count=COUNT, workers=3, batch_size=2, resume=True)
        assert files(out) == expected

    @pytest.mark.slow
    @pytest.mark.parametrize("moment", ["the first line", "a temporary file"])
    def test_at_a_moment_of_its_own(self, data, tmp_path, whole, moment):
        expected, _ = whole(COUNT)
        out = tmp_path / "out"
        process = faults.start(data, out, count=COUNT)
        if moment == "the first line":
            faults.wait_for(lambda: whole_lines(out) > 0, moment)
        else:
            faults.wait_for(lambda: faults.temporary_files(out) or process.exitcode is not None, moment)
        faults.kill(process)
        whole_samples(out)
        synthesize(data, out, **go_on(data, out, count=COUNT))
        assert files(out) == expected

    @pytest.mark.slow
    @pytest.mark.parametrize("format", ["same", "nnunet"])
    @pytest.mark.parametrize("volumes", [False, True], ids=["images", "volumes"])
    def test_whatever_the_format(self, tmp_path, format, volumes):
        data = faults.phantoms(tmp_path / "data", 3 if volumes else 8, 32, volumes)
        how = {"count": 8, "format": format}
        begin = time.monotonic()
        synthesize(data, tmp_path / "whole", **how)
        seconds, moments, out = time.monotonic() - begin, random.Random(2), tmp_path / "out"
        for _ in range(5):
            process = faults.start(data, out, **go_on(data, out, **how))
            process.join(moments.uniform(0.05, 0.7) * seconds)
            if process.exitcode is None:
                faults.kill(process)
            whole_samples(out)
            if process.exitcode == 0:
                break
        synthesize(data, out, **go_on(data, out, **how))
        assert files(out) == files(tmp_path / "whole")

    @pytest.mark.slow
    def test_on_the_real_command_line(self, data, tmp_path):
        more, moments = ("--count", 30, "--workers", 2), random.Random(3)
        said = faults.command_line(data, tmp_path / "whole" / "out", *more).communicate()
        assert "30 of 30 samples" in said[0], said
        out = tmp_path / "out"
        for after, group in ((1, True), (10, False), (25, True)):
            go = ["--resume"] if out.exists() else []
            process = faults.command_line(data, out, *more, *go)
            faults.wait_for(lambda after=after: whole_lines(out) >= after, "samples")
            time.sleep(moments.uniform(0, 0.1))
            faults.kill(process, group)
            faults.wait_for(lambda pid=process.pid: not faults.in_group(pid), "the end of the workers")
            whole_samples(out)
        said = faults.command_line(data, out, *more, "--resume").communicate()
        assert "30 of 30 samples" in said[0], said
        assert files(out) == files(tmp_path / "whole" / "out")


class TestWhatIsLeft:
    """The same, without a kill: every state that one could leave."""

    def test_one_that_was_stopped_ends_the_same(self, data, cut, whole):
        summary = synthesize(data, cut, count=FEW, resume=True, batch_size=3)
        assert (summary.resumed, summary.written) == (5, FEW)
        assert files(cut) == whole()[0]

    @pytest.mark.parametrize("left", [0, 1, 700, -1, -2, -900])
    def test_a_torn_last_line(self, data, cut, whole, left):
        text = (cut / "samples.jsonl").read_bytes()
        last = text[:-1].rindex(b"\n") + 1
        end = last + left if left >= 0 else len(text) + left
        (cut / "samples.jsonl").write_bytes(text[:end])
        assert synthesize(data, cut, count=FEW, resume=True).resumed == 4
        assert files(cut) == whole()[0]

    def test_an_end_of_zeros_as_a_power_failure_leaves_it(self, data, cut, whole):
        with (cut / "samples.jsonl").open("ab") as file:
            file.write(b"\0" * 300)
        assert synthesize(data, cut, count=FEW, resume=True).resumed == 5
        assert files(cut) == whole()[0]

    @pytest.mark.parametrize(
        "name",
        [
            "images/.case_synth_000002.4711.png",
            "images/.case_synth_000007.4711.PNG",
            "images/case_synth_000006.png",
            ".run.4711.json",
            ".contact_sheet.4711-12.png",
            "images/.ab_12xyz/volume.nii",
            ".softcp.lock",
        ],
    )
    def test_what_was_being_written(self, data, cut, whole, name):
        (cut / name).parent.mkdir(exist_ok=True)
        (cut / name).write_bytes(b"half")
        synthesize(data, cut, count=FEW, resume=True)
        assert files(cut) == whole()[0]

    def test_hidden_files_of_others_stay(self, data, cut):
        for name in (".htaccess", ".gitignore", "images/.git.abc", ".notes.2", "notes.123.txt"):
            (cut / name).write_text("mine")
        synthesize(data, cut, count=FEW, resume=True)
        synthesize(data, cut, count=FEW, overwrite=True)
        mine = {name for name, text in trees.contents(cut).items() if text == b"mine"}
        assert mine == {".htaccess", ".gitignore", "images/.git.abc", ".notes.2", "notes.123.txt"}

    @pytest.mark.parametrize("kind", ["image", "mask"])
    @pytest.mark.parametrize("how", ["gone", "cut short"])
    def test_a_listed_file_that_is_not_there_as_a_whole(self, data, cut, whole, kind, how):
        record = trees.lines(cut)[3]
        path = cut / record["files"][kind]
        if how == "gone":
            path.unlink()
        else:
            trees.truncate(path)
        assert synthesize(data, cut, count=FEW, resume=True).resumed == 3
        assert files(cut) == whole()[0]

    def test_a_list_that_is_wrong_in_the_middle_is_refused_and_nothing_is_changed(self, data, cut):
        text = (cut / "samples.jsonl").read_text("utf-8").splitlines(keepends=True)
        for bad in (["{}\n", *text[1:]], [*text[:2], text[1], *text[2:]], [text[0], *text[2:]], ["what?\n", *text]):
            (cut / "samples.jsonl").write_text("".join(bad), "utf-8")
            before = files(cut)
            with pytest.raises(DataError, match=r"samples.jsonl: expected the record of a run, numbered from 0"):
                synthesize(data, cut, count=FEW, resume=True)
            assert files(cut) == before

    @pytest.mark.parametrize("stop", ["run.json", "inputs.jsonl", "split.json", "samples.jsonl"])
    def test_one_that_was_cut_short_before_its_first_sample_can_begin_anew(
        self, data, tmp_path, whole, monkeypatch, stop
    ):
        out = tmp_path / "out"
        _die_at(monkeypatch, out / stop)
        with pytest.raises(SystemExit):
            synthesize(data, out, count=FEW)
        monkeypatch.undo()
        (out / ".run.4711.json").write_text("ha")
        synthesize(data, out, **go_on(data, out, count=FEW))
        assert files(out) == whole()[0]

    def test_a_removal_that_was_cut_short_can_be_taken_up_again(self, data, tmp_path, whole, monkeypatch):
        out = tmp_path / "out"
        synthesize(data, out, count=FEW + 2, seed=4)
        unlink, removed = type(out).unlink, []

        def die(path, missing_ok=False):
            if len(removed) == 9:
                raise SystemExit
            removed.append(path)
            unlink(path, missing_ok)

        monkeypatch.setattr(type(out), "unlink", die)
        with pytest.raises(SystemExit):
            synthesize(data, out, count=FEW, overwrite=True)
        monkeypatch.undo()
        synthesize(data, out, count=FEW, overwrite=True)
        assert files(out) == whole()[0]

    def test_a_first_line_that_is_torn_can_be_overwritten(self, data, tmp_path, whole):
        out = stop_after(1, data, tmp_path / "out", count=FEW)
        trees.truncate(out / "samples.jsonl")
        synthesize(data, out, count=FEW, overwrite=True)
        assert files(out) == whole()[0]

    def test_odd_line_ends_in_a_name_are_no_line_ends(self, tmp_path):
        trees.pairs(tmp_path / "data", 3)
        trees.pair(tmp_path / "data", "a\u2028b\x85c", 4)
        synthesize(tmp_path / "data", tmp_path / "out", count=6)
        synthesize(tmp_path / "data", tmp_path / "new", count=4, seed=2)
        stop_after(3, tmp_path / "data", tmp_path / "cut", count=6)
        synthesize(tmp_path / "data", tmp_path / "cut", count=6, resume=True)
        assert files(tmp_path / "cut") == files(tmp_path / "out")
        synthesize(tmp_path / "data", tmp_path / "out", count=4, seed=2, overwrite=True)
        assert files(tmp_path / "new") == files(tmp_path / "out")


def _die_at(monkeypatch, path):
    """The process ends when it is about to put this file in its place."""
    write, touch = run.manifest.write_json, type(path).touch

    def check(target):
        if target == path:
            raise SystemExit

    monkeypatch.setattr(run.manifest, "write_json", lambda target, what: (check(target), write(target, what)))
    lines = run.manifest.write_lines
    monkeypatch.setattr(run.manifest, "write_lines", lambda target, what: (check(target), lines(target, what)))
    monkeypatch.setattr(type(path), "touch", lambda self, *more, **how: (check(self), touch(self, *more, **how)))


class TestFormats:
    """What belongs to no sample comes back too."""

    HOW = {"count": 12, "format": "nnunet"}  # noqa: RUF012 - is never changed

    @pytest.fixture
    def mixed(self, tmp_path):
        """One image is grey among others in colour, which nnU-Net would refuse. Problems name files in `out`."""
        trees.pairs(tmp_path / "data", 5)
        trees.pair(tmp_path / "data", "grey", 7, channels=1)
        synthesize(tmp_path / "data", tmp_path / "out", **self.HOW)
        (tmp_path / "out").rename(tmp_path / "whole")
        return tmp_path / "data"

    def test_problems_come_in_the_same_order(self, mixed, tmp_path):
        problems = json.loads((tmp_path / "whole" / "summary.json").read_text("utf-8"))["problems"]
        assert len(problems) >= 2
        out = stop_after(10, mixed, tmp_path / "out", **self.HOW)
        synthesize(mixed, out, resume=True, **self.HOW)
        assert files(out) == files(tmp_path / "whole")

    @pytest.mark.slow
    @pytest.mark.parametrize("then", ["resume", "overwrite"])
    def test_killed_while_real_cases_are_copied(self, mixed, tmp_path, then):
        out = tmp_path / "out"
        for step in range(0, 10, 3):
            process = faults.start(mixed, out, die_after=("/labelsTr/", "/imagesTr/", step), overwrite=True, **self.HOW)
            process.join()
            assert process.exitcode == -signal.SIGKILL
            assert len([*out.glob("*Tr/[a-z]*")]) == step
            synthesize(mixed, out, **{then: True}, **self.HOW)
            assert files(out) == files(tmp_path / "whole")

    def test_stopped_before_the_description_is_listed(self, tmp_path, monkeypatch):
        data = faults.phantoms(tmp_path / "data", 3, 32, volumes=True)
        how = {"count": 2, "layout": "nnunet"}
        synthesize(data, tmp_path / "raw", count=3, format="nnunet")
        for path in (tmp_path / "raw").rglob("*synth_*"):
            path.rename(path.with_name(path.name.replace("synth_", "real_")))
        synthesize(tmp_path / "raw", tmp_path / "whole", **how)
        monkeypatch.setattr(save.SameFormat, "start", _exit)
        with pytest.raises(SystemExit):
            synthesize(tmp_path / "raw", tmp_path / "out", **how)
        monkeypatch.undo()
        synthesize(tmp_path / "raw", tmp_path / "out", resume=True, **how)
        assert files(tmp_path / "out") == files(tmp_path / "whole")

    def test_a_real_case_that_is_gone_is_written_again_and_listed_once(self, mixed, tmp_path):
        out = stop_after(3, mixed, tmp_path / "out", **self.HOW)
        (out / "labelsTr" / "a2.png").unlink()
        synthesize(mixed, out, resume=True, **self.HOW)
        assert files(out) == files(tmp_path / "whole")


def _exit(*anything):
    raise SystemExit


class TestSameRun:
    """Only the same run is gone on with."""

    @pytest.mark.parametrize(
        ("how", "words"),
        [
            ({"seed": 7}, ["seed", "0", "7"]),
            ({"config": {"alpha": 0.5}}, ["config", "alpha", "0.5"]),
            ({"region": "none"}, ["region", "none"]),
            ({"format": "nnunet"}, ["format", "same", "nnunet"]),
            ({"split": "4:1:0"}, ["parts", "case0"]),
        ],
    )
    def test_other_settings_are_refused_by_name(self, data, cut, how, words):
        before = files(cut)
        with pytest.raises(DataError) as refused:
            synthesize(data, cut, count=FEW, resume=True, **how)
        assert files(cut) == before
        said = str(refused.value)
        assert "run.json: expected" in said
        assert [word for word in words if word not in said] == [], said

    @pytest.mark.parametrize("name", ["softcp_gpu", "torch"])
    def test_another_version_is_refused(self, data, cut, name):
        facts = json.loads((cut / "run.json").read_text("utf-8"))
        (cut / "run.json").write_text(json.dumps({**facts, name: "0.0.1"}), "utf-8")
        before = files(cut)
        with pytest.raises(DataError, match=rf"the version.*0\.0\.1.*found.*{re.escape(facts[name])}"):
            synthesize(data, cut, count=FEW, resume=True)
        assert files(cut) == before

    @pytest.mark.parametrize("how", ["changed", "gone", "new"])
    def test_other_data_are_refused_by_name(self, tmp_path, how):
        trees.pairs(tmp_path / "data", 5)
        out = stop_after(3, tmp_path / "data", tmp_path / "out", count=FEW)
        path = tmp_path / "data" / "images" / "a3.png"
        if how == "changed":
            trees.put(path, trees.picture(9))
        elif how == "gone":
            path.unlink()
            (tmp_path / "data" / "masks" / "a3.png").unlink()
        else:
            trees.pair(tmp_path / "data", "a33", 6)
        before = files(out)
        with pytest.raises(DataError, match=r"the files of the data set.*a3"):
            synthesize(tmp_path / "data", out, count=FEW, resume=True)
        assert files(out) == before

    @pytest.mark.parametrize("there", ["nothing", "an empty folder", "files"])
    def test_where_there_is_no_run(self, data, tmp_path, there):
        out = tmp_path / "out"
        if there != "nothing":
            out.mkdir()
        if there == "files":
            (out / "notes.txt").write_text("mine")
        before = files(tmp_path)
        with pytest.raises(DataError, match="out"):
            synthesize(data, out, count=FEW, resume=True)
        assert files(tmp_path) == before

    def test_a_finished_run_makes_nothing(self, data, tmp_path, whole):
        out = tmp_path / "out"
        synthesize(data, out, count=FEW)
        made = []
        summary = synthesize(data, out, count=FEW, resume=True, on_sample=lambda *record: made.append(record))
        assert made == []
        assert (summary.resumed, summary.written) == (FEW, FEW)
        assert files(out) == whole()[0]

    def test_a_larger_count_extends_it(self, data, tmp_path, whole):
        out = tmp_path / "out"
        synthesize(data, out, count=FEW)
        before = {name: content for name, content in files(out).items() if name not in OWN}
        summary = synthesize(data, out, count=FEW + 4, resume=True)
        assert (summary.resumed, summary.written) == (FEW, FEW + 4)
        assert before.items() <= files(out).items()
        assert files(out) == whole(FEW + 4)[0]

    def test_a_smaller_count_is_refused_and_nothing_is_changed(self, data, tmp_path):
        out = tmp_path / "out"
        synthesize(data, out, count=FEW)
        before = files(out)
        with pytest.raises(DataError, match=rf"expected a count of {FEW} or more.*found {FEW - 1}"):
            synthesize(data, out, count=FEW - 1, resume=True)
        assert files(out) == before


@pytest.mark.parametrize("name", ["images", "samples.jsonl", ".softcp.lock"])
def test_nothing_is_written_through_a_link_that_was_planted(tmp_path, name):
    trees.pairs(tmp_path / "data", 3)
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    synthesize(tmp_path / "data", out, count=2)
    (out / name).rename(elsewhere) if (out / name).exists() else elsewhere.write_text("mine")
    (out / name).symlink_to(elsewhere)
    before = trees.contents(tmp_path)
    for how in ({"resume": True}, {"overwrite": True}):
        with pytest.raises(DataError):
            synthesize(tmp_path / "data", out, count=4, **how)
        assert trees.contents(tmp_path) == before
