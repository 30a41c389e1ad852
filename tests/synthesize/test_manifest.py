"""The folder that knows its own files: what an earlier run wrote may go, everything else stays."""

import hashlib
import json

import pytest
import torch

from softcp_gpu.data import DataError, manifest, run_folder
from softcp_gpu.types import PlacementRecord
from tests.synthesize.trees import contents

OUTSIDE = ["../keep.txt", "images/../../keep.txt", "{root}/keep.txt", "..", "/", "link/keep.txt"]


@pytest.fixture
def out(tmp_path):
    """What a finished run leaves behind, with a stranger's file beside it."""
    out = tmp_path / "out"
    for name in ("images/synth_000000.png", "masks/synth_000000.png", "deep/er/synth_000001.png", "notes.txt"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(name)
    for name in ("summary.json", "split.json", "contact_sheet.png"):
        (out / name).write_text("{}")
    files = [
        {"image": "images/synth_000000.png", "mask": "masks/synth_000000.png"},
        {"image": "deep/er/synth_000001.png", "mask": "deep/er/gone_synth_000001.png"},
        {},
    ]
    for i, names in enumerate(files):
        manifest.append_line(out / "samples.jsonl", {"id": f"synth_{i:06d}", "status": "pasted", "files": names})
    (tmp_path / "keep.txt").write_text("keep")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "keep.txt").write_text("keep")
    return out


def refused(out, overwrite=True):
    """The message; nothing at all has changed."""
    before = contents(out.parent)
    with pytest.raises(DataError) as caught:
        run_folder.prepare_folder(out, overwrite)
    assert contents(out.parent) == before
    assert str(out) in str(caught.value)
    return str(caught.value)


class TestFolder:
    @pytest.mark.parametrize("overwrite", [False, True])
    def test_a_new_or_empty_folder_is_made(self, tmp_path, overwrite):
        for _ in range(2):
            run_folder.prepare_folder(tmp_path / "a" / "b", overwrite)
            assert contents(tmp_path / "a") == {"b": None}

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_a_file_is_refused(self, tmp_path, overwrite):
        (tmp_path / "out").write_text("mine")
        assert "a file" in refused(tmp_path / "out", overwrite)

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_a_place_below_a_file_is_refused(self, tmp_path, overwrite):
        (tmp_path / "file").write_text("mine")
        refused(tmp_path / "file" / "out", overwrite)

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_a_link_to_nowhere_is_refused(self, tmp_path, overwrite):
        (tmp_path / "out").symlink_to(tmp_path / "nowhere")
        with pytest.raises(DataError, match="out"):
            run_folder.prepare_folder(tmp_path / "out", overwrite)

    def test_files_are_refused_unless_overwriting(self, out):
        assert "overwrit" in refused(out, overwrite=False)


class TestOverwriting:
    def test_the_earlier_run_goes_and_nothing_else(self, out):
        run_folder.prepare_folder(out, True)
        assert contents(out) == {"notes.txt": b"notes.txt"}

    def test_a_run_that_was_cut_short_goes_too(self, out):
        (out / "summary.json").unlink()
        (out / "contact_sheet.png").unlink()
        whole = (out / "samples.jsonl").read_text()
        (out / "samples.jsonl").write_text(whole + '{"id": "synth_000003", "status": "pas')
        run_folder.prepare_folder(out, True)
        assert contents(out) == {"notes.txt": b"notes.txt"}

    def test_what_the_last_sample_had_written_before_the_cut_goes_too(self, out):
        """Image and mask are saved before their line: without it they would stay for ever, as cases of the new set."""
        for folder in ("images", "masks"):
            (out / folder / "synth_000003.png").write_text("half a sample")
            (out / folder / ".synth_000003.4711.png").write_text("a file that was being written")
        (out / "summary.json").unlink()
        run_folder.prepare_folder(out, True)
        assert contents(out) == {"notes.txt": b"notes.txt"}

    def test_an_empty_record_is_an_earlier_run_as_well(self, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "samples.jsonl").touch()
        (tmp_path / "out" / "split.json").write_text("{}")
        run_folder.prepare_folder(tmp_path / "out", True)
        assert contents(tmp_path / "out") == {}

    def test_a_folder_that_no_run_wrote_is_refused(self, out):
        (out / "samples.jsonl").unlink()
        assert "samples.jsonl" in refused(out)

    @pytest.mark.parametrize("text", ['{"text": "a corpus of my own"}\n', "[1, 2]\n", "hello\n"])
    def test_a_strangers_file_of_that_name_is_refused(self, tmp_path, text):
        out = tmp_path / "out"
        out.mkdir()
        (out / "samples.jsonl").write_text(text)
        (out / "summary.json").write_text("mine")
        refused(out)

    @pytest.mark.parametrize("name", OUTSIDE)
    def test_no_file_outside_is_ever_removed(self, out, name):
        (out / "link").symlink_to(out.parent / "elsewhere")
        record = {"id": "synth_000009", "status": "pasted", "files": {"image": name.format(root=out.parent)}}
        manifest.append_line(out / "samples.jsonl", record)
        assert "samples.jsonl" in refused(out)

    @pytest.mark.parametrize("files", [["a"], None, 3, {"image": 3}, {"image": None}, {"image": "a\0b"}])
    def test_a_record_that_no_run_wrote_is_refused(self, out, files):
        manifest.append_line(out / "samples.jsonl", {"id": "synth_000009", "status": "pasted", "files": files})
        refused(out)

    @pytest.mark.parametrize("name", ["images", ".", "", "notes.txt"])
    def test_a_record_that_names_a_folder_or_a_strangers_file_is_refused(self, out, name):
        record = {"id": "synth_000009", "status": "pasted", "files": {"image": name}}
        manifest.append_line(out / "samples.jsonl", record)
        refused(out)


class TestRecords:
    def test_a_line_each_in_any_script(self, tmp_path):
        path, records = tmp_path / "lines.jsonl", [{"id": "Läsion 病变"}, {"id": 'a "quoted"\nline'}, {}]
        for record in records:
            manifest.append_line(path, record)
        assert [json.loads(line) for line in path.read_text("utf-8").splitlines()] == records
        assert path.read_bytes().count(b"\n") == 3

    def test_names_that_are_not_utf_8_can_be_recorded(self, tmp_path):
        record = {"id": "caf\udce9"}  # what Python makes of a Latin-1 name on disk
        manifest.append_line(tmp_path / "lines.jsonl", record)
        manifest.write_json(tmp_path / "split.json", record)
        assert json.loads((tmp_path / "lines.jsonl").read_text("utf-8")) == record
        assert json.loads((tmp_path / "split.json").read_text("utf-8")) == record

    def test_a_hash_is_the_files(self, tmp_path):
        (tmp_path / "a").write_bytes(b"softcp")
        assert manifest.sha256(tmp_path / "a") == hashlib.sha256(b"softcp").hexdigest()

    def test_plain_values_of_each_sample_of_a_batch(self):
        record = PlacementRecord(torch.tensor([[3, -4], [5, 6]]), *(torch.tensor([i, -i]) for i in range(5)))
        first, second = manifest.plain(record, 2)
        assert (first["offset_px"], second["offset_px"]) == ([3, -4], [5, 6])
        assert (first["visible_px"], second["visible_px"]) == (1, -1)
        assert manifest.plain(None, 2) == [None, None]
