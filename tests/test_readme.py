"""Every command and every snippet of the documents runs."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> list:
    pattern = re.compile(rf"```{language}\n(.*?)```", re.DOTALL)
    found = [(path, text) for path in DOCUMENTS for text in pattern.findall(path.read_text(encoding="utf-8"))]
    return [pytest.param(text, id=f"{path.name}-{i}") for i, (path, text) in enumerate(found)]


def commands() -> list[str]:
    lines = "\n".join(block.values[0] for block in blocks("sh")).splitlines()
    return [line.split("#")[0].strip() for line in lines if line.strip()]


@pytest.mark.parametrize("snippet", blocks("python"))
def test_python_snippets_run(snippet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "snippet", "exec"), {"__name__": "snippet"})


@pytest.mark.parametrize("snippet", blocks("toml"))
def test_toml_snippets_are_keywords_of_softcp(snippet):
    from softcp_gpu import SoftCP

    SoftCP(**tomllib.loads(snippet))


def test_softcp_commands_run_in_the_order_of_the_page(tmp_path):
    pytest.importorskip("typer", reason="the command line is an extra")
    lines = [line for line in commands() if line.startswith("softcp ")]
    assert lines
    for line in lines:
        argv = [sys.executable, "-m", "softcp_gpu.cli", *shlex.split(line)[1:]]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


def test_every_other_command_is_a_target_of_make():
    others = [line for line in commands() if not line.startswith("softcp ")]
    assert set(others) == {"make demo", "make test"}


@pytest.mark.slow
@pytest.mark.parametrize("command", ["make demo", "make test"])
def test_make_commands_work_alone_on_a_clean_clone(command, tmp_path):
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("needs the git repository")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    # The suite must not start itself: in the clone, `make test` runs one file of it.
    argv = [*shlex.split(command), *(["ARGS=tests/test_public_api.py"] if command == "make test" else [])]
    done = subprocess.run(argv, cwd=clone, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    if command == "make demo":
        picture = re.search(r"picture: (.+)", done.stdout)
        assert picture
        assert Path(picture[1].strip()).is_file()
        summary = json.loads((clone / "demo_output" / "synthetic" / "summary.json").read_text())
        assert summary["written"] == summary["requested"] > 0
