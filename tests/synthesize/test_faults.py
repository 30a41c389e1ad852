"""Full disks, read-only folders, files that change, signals, and two runs at once: one clear error, and a way on."""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time

import pytest

from softcp_gpu.data import DataError
from softcp_gpu.synthesize import engine, save, synthesize
from tests.synthesize import faults, trees
from tests.synthesize.faults import files, whole_lines, whole_samples

COUNT = 10
ONE_OR_TWO = [1, pytest.param(2, marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return faults.phantoms(tmp_path_factory.mktemp("faults") / "data", 12)


@pytest.fixture(scope="module")
def expected(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("expected") / "out"
    synthesize(data, out, count=COUNT)
    return files(out)


class Disk:
    """A small file system of its own."""

    def __init__(self, folder):
        self.folder, self.filler = folder, folder / "filler"

    def fill(self, leave=0):
        """Until nothing more fits, but for some bytes."""
        stat = os.statvfs(self.folder)
        with self.filler.open("ab", buffering=0) as file:
            try:
                file.write(bytes(max(0, stat.f_bavail * stat.f_frsize - leave)))
                while not leave:
                    file.write(bytes(4096))
            except OSError:
                pass

    def free(self):
        self.filler.unlink()


@pytest.fixture
def disk(tmp_path):
    (tmp_path / "disk").mkdir()
    try:
        mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "softcp-test", tmp_path / "disk"]
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip(f"a file system cannot be mounted: {done.stderr.strip()}")
    yield Disk(tmp_path / "disk")
    subprocess.run(["umount", tmp_path / "disk"], check=True)


def after(number, do):
    """A callback that does something once this many samples are recorded."""

    def on_sample(summary, record):
        if record["number"] == number - 1:
            do()

    return on_sample


def fill_after_the_files_of_the_fifth(disk, monkeypatch):
    make = save.SameFormat.save

    def save_and_fill(self, new_id, *more):
        paths = make(self, new_id, *more)
        if new_id == "synth_000004":
            disk.fill()
        return paths

    monkeypatch.setattr(save.SameFormat, "save", save_and_fill)


class TestFullDisk:
    @pytest.mark.parametrize("workers", ONE_OR_TWO)
    @pytest.mark.parametrize("leave", [0, 4096, 8192])
    def test_one_error_then_it_goes_on(self, disk, data, expected, workers, leave):
        out = disk.folder / "out"
        fill = after(4, lambda: disk.fill(leave))
        with pytest.raises(DataError, match=r"expected .* found .*No space left on device"):
            synthesize(data, out, count=COUNT, workers=workers, batch_size=workers, on_sample=fill)
        assert 4 <= whole_samples(out) < COUNT
        disk.free()
        synthesize(data, out, count=COUNT, resume=True)
        assert files(out) == expected

    @pytest.mark.parametrize("format", ["same", "nnunet"])
    def test_volumes(self, disk, tmp_path, format):
        data = faults.phantoms(tmp_path / "data", 3, 32, volumes=True)
        how = {"count": 5, "format": format}
        synthesize(data, tmp_path / "whole", **how)
        out = disk.folder / "out"
        with pytest.raises(DataError, match=r"expected .* found "):
            synthesize(data, out, on_sample=after(2, lambda: disk.fill(4096)), **how)
        assert whole_samples(out) == 2
        disk.free()
        synthesize(data, out, resume=True, **how)
        assert files(out) == files(tmp_path / "whole")

    def test_real_volumes_for_nnunet_are_not_left_out_for_want_of_room(self, disk, tmp_path):
        data = faults.phantoms(tmp_path / "data", 3, 32, volumes=True)
        how = {"count": 2, "format": "nnunet"}
        synthesize(data, tmp_path / "whole", **how)
        disk.fill(leave=6 * 4096)
        with pytest.raises(DataError, match=r"expected .* found "):
            synthesize(data, disk.folder / "out", **how)
        assert whole_samples(disk.folder / "out") == 0
        disk.free()
        synthesize(data, disk.folder / "out", resume=True, **how)
        assert files(disk.folder / "out") == files(tmp_path / "whole")

    def test_before_the_first_sample(self, disk, data, expected):
        out = disk.folder / "out"
        disk.fill()
        with pytest.raises(DataError, match="No space left on device"):
            synthesize(data, out, count=COUNT)
        disk.free()
        synthesize(data, out, count=COUNT)
        assert files(out) == expected

    def test_when_only_the_list_does_not_fit(self, disk, data, expected, monkeypatch):
        """The files of a sample are there; its line is torn."""
        out = disk.folder / "out"
        fill_after_the_files_of_the_fifth(disk, monkeypatch)
        with pytest.raises(DataError, match=r"samples.jsonl: expected .* found .*No space left on device"):
            synthesize(data, out, count=COUNT, batch_size=1)
        monkeypatch.undo()
        assert whole_samples(out) == 4
        disk.free()
        synthesize(data, out, count=COUNT, resume=True)
        assert files(out) == expected

    def test_on_the_command_line_it_is_one_line_and_exit_code_2(self, disk, data, softcp, monkeypatch):
        out = disk.folder / "out"
        fill_after_the_files_of_the_fifth(disk, monkeypatch)
        said = softcp("synthesize", data, out, "--count", COUNT)
        assert said.code == 2
        assert said.err.count("\n") == 1
        assert "No space left on device" in said.err
        monkeypatch.undo()
        disk.free()
        assert softcp("synthesize", data, out, "--count", COUNT, "--resume").code == 0

    def test_a_resumed_run_on_a_disk_that_is_still_full(self, disk, data, expected):
        out = disk.folder / "out"
        with pytest.raises(DataError, match="No space left on device"):
            synthesize(data, out, count=COUNT, on_sample=after(4, disk.fill))
        with pytest.raises(DataError, match="No space left on device"):
            synthesize(data, out, count=COUNT, resume=True)
        disk.free()
        synthesize(data, out, count=COUNT, resume=True)
        assert files(out) == expected


@pytest.fixture
def attributes(tmp_path):
    """A function that makes a folder and what is in it immutable ("+i"), for root too, or no longer ("-i")."""
    (tmp_path / "probe").touch()
    for option in ("+i", "-i"):
        try:
            done = subprocess.run(["chattr", option, tmp_path / "probe"], capture_output=True, text=True)
        except FileNotFoundError:
            pytest.skip("there is no chattr")
        if done.returncode:
            pytest.skip(f"files cannot be made immutable: {done.stderr.strip()}")
    (tmp_path / "probe").unlink()

    def change(option):
        subprocess.run(["chattr", "-R", option, tmp_path / "out"], check=True, capture_output=True)

    yield change
    subprocess.run(["chattr", "-R", "-i", tmp_path], capture_output=True)


class TestReadOnly:
    @pytest.mark.parametrize("workers", ONE_OR_TWO)
    def test_a_folder_that_becomes_read_only(self, attributes, tmp_path, data, expected, workers):
        out = tmp_path / "out"
        with pytest.raises(DataError, match="not permitted"):
            synthesize(data, out, count=COUNT, workers=workers, on_sample=after(4, lambda: attributes("+i")))
        assert whole_samples(out) == 4
        with pytest.raises(DataError, match=r"expected a folder that can be written, found .*not permitted"):
            synthesize(data, out, count=COUNT, resume=True)
        attributes("-i")
        synthesize(data, out, count=COUNT, resume=True)
        assert files(out) == expected

    def test_between_the_files_of_a_sample(self, attributes, tmp_path, data, expected, monkeypatch):
        out, replace = tmp_path / "out", os.replace

        def then_read_only(source, target):
            replace(source, target)
            if "masks/" in str(target) and "synth_000004" in str(target):
                attributes("+i")

        monkeypatch.setattr(os, "replace", then_read_only)
        with pytest.raises(DataError, match="not permitted"):
            synthesize(data, out, count=COUNT)
        monkeypatch.undo()
        assert whole_samples(out) == 4
        attributes("-i")
        synthesize(data, out, count=COUNT, resume=True)
        assert files(out) == expected

    def test_a_place_that_always_was(self, attributes, tmp_path, data):
        (tmp_path / "out").mkdir()
        attributes("+i")
        with pytest.raises(DataError, match=r"expected a (place|folder) that can be written, found .*not permitted"):
            synthesize(data, tmp_path / "out" / "set", count=COUNT)
        with pytest.raises(DataError, match=r"expected a (place|folder) that can be written, found .*not permitted"):
            synthesize(data, tmp_path / "out", count=COUNT)


class TestInputs:
    @pytest.mark.parametrize("workers", ONE_OR_TWO)
    @pytest.mark.parametrize("how", ["gone", "changed", "cut short"])
    def test_one_that_changes_on_the_way_is_named_and_used_no_more(self, tmp_path, how, workers):
        trees.pairs(tmp_path / "data", 6)
        path = tmp_path / "data" / "images" / "a3.png"

        def spoil():
            if how == "gone":
                path.unlink()
            elif how == "changed":
                trees.put(path, trees.picture(9))
            else:
                trees.truncate(path)

        out = tmp_path / "out"
        options = {"count": 30, "workers": workers, "batch_size": 1}
        summary = synthesize(tmp_path / "data", out, **options, on_sample=after(4, spoil))
        assert whole_samples(out) == summary.written == 30
        assert {str(problem.path) for problem in summary.problems} == {str(path)}
        later = trees.lines(out)[4 + engine.AHEAD * workers :]  # those before may have been in hand
        tried = [t["status"] for record in later for t in record["tries"] if "a3" in (t["background"], t["source"])]
        assert tried
        assert set(tried) == {"unreadable"}
        with pytest.raises(DataError, match="the files of the data set"):
            synthesize(tmp_path / "data", out, count=80, resume=True)

    @pytest.mark.parametrize("how", ["gone", "changed"])
    @pytest.mark.parametrize("role", ["background", "source"])
    def test_one_that_changes_between_reading_and_recording(self, tmp_path, monkeypatch, role, how):
        """The sample was made from what was read, and is recorded as such, or not at all; the next ones tell."""
        trees.pairs(tmp_path / "data", 6)
        make = save.SameFormat.save

        def spoil_and_save(self, new_id, pair, *more):
            if new_id == "synth_000003":
                case = getattr(pair, role)
                if how == "gone":
                    case.image.unlink()
                else:
                    trees.put(case.image, trees.picture(9))
            return make(self, new_id, pair, *more)

        monkeypatch.setattr(save.SameFormat, "save", spoil_and_save)
        summary = synthesize(tmp_path / "data", tmp_path / "out", count=30)
        assert whole_samples(tmp_path / "out") == summary.written == 30
        assert len(summary.problems) == 1
        record = trees.lines(tmp_path / "out")[3]
        assert [t["status"] for t in record["tries"]] == ["pasted"]


class TestTwoAtOnce:
    @pytest.mark.parametrize("how", [{"resume": True}, {"overwrite": True}])
    def test_the_second_is_refused_and_the_first_goes_on(self, data, tmp_path, expected, how):
        said = []

        def second():
            with pytest.raises(DataError) as refused:
                synthesize(data, tmp_path / "out", count=COUNT, **how)
            said.append(str(refused.value))

        synthesize(data, tmp_path / "out", count=COUNT, on_sample=after(4, second))
        assert said == [f"{tmp_path / 'out'}: expected a folder that no other run is writing to, found one that is"]
        assert files(tmp_path / "out") == expected

    @pytest.mark.slow
    def test_in_another_process_too(self, data, tmp_path):
        out = tmp_path / "out"
        process = faults.start(data, out, count=10**6)
        faults.wait_for(lambda: whole_lines(out) > 2, "samples")
        with pytest.raises(DataError, match="no other run"):
            synthesize(data, out, count=10**6, resume=True)
        faults.kill(process)
        synthesize(data, out, count=whole_samples(out) + 1, resume=True)

    def test_of_several_that_begin_together_one_goes_on(self, data, tmp_path, expected):
        together, errors = threading.Barrier(3), []

        def begin():
            together.wait()
            try:
                synthesize(data, tmp_path / "out", count=COUNT)
            except DataError as error:
                errors.append(str(error))

        threads = [threading.Thread(target=begin) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(errors) == 2
        assert all("no other run" in error or "an empty folder" in error for error in errors), errors
        assert files(tmp_path / "out") == expected


class TestSignals:
    """A stop that is asked for: what is whole stays, and the command that goes on is told."""

    @pytest.fixture(autouse=True)
    def heeds_ctrl_c(self):
        """Also where the tests were started in the background, which a shell lets ignore it."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
        signal.signal(signal.SIGINT, before)

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    @pytest.mark.parametrize("workers", ONE_OR_TWO)
    def test_the_message_and_the_code(self, softcp, data, tmp_path, monkeypatch, number, code, workers, expected):
        words = ["synthesize", str(data), str(tmp_path / "out"), "--count", str(COUNT), "--workers", str(workers)]
        monkeypatch.setattr(sys, "argv", ["softcp", *words, "--overwrite"])
        lines = softcp_stopped_after(4, tmp_path / "out", monkeypatch, number)
        said = softcp(*words, "--overwrite")
        assert said.code == code
        whole = whole_samples(tmp_path / "out")
        assert 4 <= whole < COUNT
        assert said.err == (
            f"stopped: {whole} samples are whole in {tmp_path / 'out'}\n"
            f"go on with: {shlex.join(['softcp', *words, '--resume'])}\n"
        )
        lines.clear()
        assert softcp(*words, "--resume").code == 0
        made = files(tmp_path / "out")
        assert expected.items() <= made.items()

    def test_a_demo_is_begun_anew(self, softcp, tmp_path, monkeypatch):
        words = ["demo", "--out", str(tmp_path / "demo"), "--count", "6", "--size", "64"]
        monkeypatch.setattr(sys, "argv", ["softcp", *words])
        lines = softcp_stopped_after(1, tmp_path / "demo" / "synthetic", monkeypatch, signal.SIGINT)
        said = softcp(*words)
        assert said.code == 130
        lines.clear()
        command = shlex.split(said.err.split("go on with: ")[1])
        assert softcp(*command[1:]).code == 0

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("number", "moment", "times"),
        [
            (signal.SIGINT, "workers start", 1),
            (signal.SIGINT, "samples are made", 1),
            (signal.SIGINT, "samples are made", 2),
            (signal.SIGTERM, "samples are made", 1),
        ],
    )
    def test_the_real_command_line(self, softcp, data, tmp_path, number, moment, times):
        out, many = tmp_path / "it's out", 10**5
        process = faults.command_line(data, out, "--count", many, "--workers", 2, "--batch-size", 4)
        if moment == "workers start":
            faults.wait_for((out / "samples.jsonl").exists, "the list")
        else:
            faults.wait_for(lambda: whole_lines(out) > 9, "samples")
        for _ in range(times):  # a terminal tells everyone; a batch system tells the one that it started
            os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
        said = process.communicate(timeout=faults.PATIENCE)
        assert process.returncode == 128 + number, said
        faults.wait_for(lambda: not faults.in_group(process.pid), "the end of all that it started")
        whole = whole_samples(out)
        told = re.fullmatch(r"stopped: (\d+) samples are whole in .*it's out\ngo on with: (.*)\n", said[1])
        assert told, said
        assert int(told[1]) == whole
        command = [word if word != str(many) else str(whole + 5) for word in shlex.split(told[2])]
        assert command[0] == "softcp"
        assert f"{whole + 5} of {whole + 5} samples" in softcp(*command[1:]).out
        assert whole_samples(out) == whole + 5

    @pytest.mark.slow
    def test_before_anything_is_there(self, data, tmp_path):
        process = faults.command_line(data, tmp_path / "out", "--count", COUNT, "--workers", 2)
        faults.wait_for(lambda: len(faults.in_group(process.pid)) > 2, "the server that starts workers")
        time.sleep(0.5)  # it imports torch, as this process does, which takes longer
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=faults.PATIENCE)
        assert process.returncode == 128 + signal.SIGINT, said
        assert said == ("", "")
        faults.wait_for(lambda: not faults.in_group(process.pid), "the end of all that it started")
        assert not (tmp_path / "out").exists()


def softcp_stopped_after(number, out, monkeypatch, which):
    """The process sends itself a signal when this many samples are there; an empty list turns that off."""
    from softcp_gpu.synthesize import run

    append, on = run.manifest.append_line, [True]

    def append_and_stop(path, record):
        append(path, record)
        if on and path == out / "samples.jsonl" and record["number"] == number - 1:
            os.kill(os.getpid(), which)

    monkeypatch.setattr(run.manifest, "append_line", append_and_stop)
    return on
