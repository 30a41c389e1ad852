"""Runs that are made to fail, and what must hold of the folder that they leave. Child processes import this file."""

import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import torch

from softcp_gpu.data.io import replacing
from softcp_gpu.synthesize import save, synthesize
from softcp_gpu.synthesize.inputs import write_phantoms, write_volumes

PATIENCE = 120  # seconds until a test gives up waiting: no measure of speed
OWN = {"run.json", "inputs.jsonl", "samples.jsonl", "summary.json", "split.json", "other_files.jsonl"}


def phantoms(folder, count, size=64, volumes=False):
    """A data set of phantoms, without the list of them."""
    folder.mkdir()
    (write_volumes if volumes else write_phantoms)(folder, count, size, 0)
    (folder / "samples.jsonl").unlink()
    return folder


def files(out):
    """Every file below a folder with the hash of its content, and every folder with None."""
    paths = {path.relative_to(out).as_posix(): path for path in sorted(out.rglob("*"))}
    hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items() if path.is_file()}
    return {name: hashes.get(name) for name in paths}


def whole_samples(out):
    """Checks that each line of the list is whole but for the last one, and says the truth; how many there are."""
    text = (out / "samples.jsonl").read_bytes() if (out / "samples.jsonl").exists() else b""
    records = [json.loads(line) for line in text.split(b"\n")[:-1]]
    assert [record["number"] for record in records] == list(range(len(records)))
    for record in records:
        assert record["files"].keys() == record.get("sha256", {}).keys()
        for kind, name in record["files"].items():
            content = (out / name).read_bytes()
            assert hashlib.sha256(content).hexdigest() == record["sha256"][kind], name
            assert len(content) == record["bytes"][kind], name
    return len(records)


def wait_for(there, what):
    """Waits until something is so; its value."""
    end = time.monotonic() + PATIENCE
    while not (value := there()):
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.002)
    return value


def whole_lines(out):
    path = out / "samples.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def temporary_files(out):
    return [path for path in out.rglob(".*") if path.is_file() and path.name != ".softcp.lock"]


def start(data, out, *, die_after=None, **how):
    """A run in a process of its own, which leads a group of its own and can be killed for real.

    Where `die_after` says (part of a path, ..., number), the run kills itself when it is about to put one more file
    with such a path in its place.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["softcp_gpu.synthesize.run", __name__])  # so that the next one starts at once
    process = context.Process(target=_run, args=(data, out, how, die_after))
    process.start()
    return process


def _run(data, out, how, die_after):
    os.setsid()
    torch.set_num_threads(1)
    if die_after:
        *parts, left = die_after
        replace, done = os.replace, []

        def die(source, target):
            if any(part in str(target) for part in parts):
                if len(done) == left:
                    os.kill(os.getpid(), signal.SIGKILL)
                done.append(target)
            replace(source, target)

        os.replace = die
    synthesize(data, out, **how)


def kill(process, group=False):
    """As `kill -9` does; a process that has just come to its end stays as it is."""
    with suppress(ProcessLookupError):
        (os.killpg if group else os.kill)(process.pid, signal.SIGKILL)
    if hasattr(process, "join"):
        process.join()
    else:
        process.wait()


def in_group(leader):
    """The processes of a group that are alive."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # has just ended
            continue
        if int(group) == leader and state not in "ZX":
            found.append(int(path.parent.name))
    return found


def command_line(data, out, *more):
    """The real command line in a group of its own, as a terminal starts it."""
    words = [sys.executable, "-m", "softcp_gpu.cli", "synthesize", data, out, *more]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "500"}
    root = Path(__file__).parents[2]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([str(word) for word in words], cwd=root, env=env, start_new_session=True, **pipes)


class Slow(save.SameFormat):
    """Some samples take longer, so that those after them are ready first."""

    def save(self, new_id, pair, parents, sample):
        time.sleep(0.1 if int(new_id[-6:]) % 3 == 0 else 0)
        return super().save(new_id, pair, parents, sample)


class Deadly(save.SameFormat):
    """Sample 5 ends its process, as the kernel does where memory is short: while it is written, and once or always."""

    always = False

    def save(self, new_id, pair, parents, sample):
        paths = super().save(new_id, pair, parents, sample)
        died = self.out.parent / "died"
        if new_id == "synth_000005" and (self.always or not died.exists()):
            died.touch()
            with replacing(paths[0]) as temporary:
                temporary.write_bytes(b"half")
                os.kill(os.getpid(), signal.SIGKILL)
        return paths


class AlwaysDeadly(Deadly):
    always = True

    def save(self, new_id, pair, parents, sample):
        if new_id == "synth_000004":  # is in hand whenever 5 is, and never done by then
            time.sleep(1)
        return super().save(new_id, pair, parents, sample)
