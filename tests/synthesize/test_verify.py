"""Checking a run, and making one sample again: what is sound passes, and each thing that can be wrong is told."""

import hashlib
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from softcp_gpu.data import DataError, build_bank, find_layout
from softcp_gpu.synthesize import synthesize
from softcp_gpu.synthesize.checking.replay import replay
from softcp_gpu.synthesize.checking.verify import verify
from tests.data import volumes
from tests.synthesize import trees
from tests.synthesize.test_volumes import kits
from tests.synthesize.trees import contents, lines

COUNT = 6


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A run with held-out cases; not to be changed."""
    root = tmp_path_factory.mktemp("kept")
    trees.lgg(root / "data", patients=6)
    assert synthesize(root / "data", root / "out", count=COUNT, split="4:1:1").written == COUNT
    return root


@pytest.fixture
def data(kept, tmp_path):
    return shutil.copytree(kept / "data", tmp_path / "data")


@pytest.fixture
def out(kept, tmp_path):
    return shutil.copytree(kept / "out", tmp_path / "out")


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    """A run in nnU-Net's format; not to be changed."""
    root = tmp_path_factory.mktemp("folds")
    trees.pairs(root / "data", 6)
    assert synthesize(root / "data", root / "out", count=COUNT, format="nnunet").written == COUNT
    return root


def rewrite(path, change):
    """Changes a JSON file, or each record of a file of JSON lines for which `change` returns one; None drops it."""
    if path.suffix == ".json":
        content = json.loads(path.read_text("utf-8"))
        change(content)
        path.write_text(json.dumps(content), "utf-8")
        return
    records = [change(json.loads(line)) for line in path.read_text("utf-8").splitlines()]
    path.write_text("".join(json.dumps(record) + "\n" for record in records if record is not None), "utf-8")


def at(number, change):
    """Changes the record of one number."""

    def one(record):
        if record["number"] == number:
            change(record)
        return record

    return one


def told(out, **how):
    """All problems, a line each; the run is left as it is."""
    before = contents(out)
    report = verify(out, **{"share": 0, **how})
    assert contents(out) == before
    return [str(problem) for problem in report.problems]


def only(problems, *words):
    """There is one problem, with these words."""
    assert len(problems) == 1, problems
    assert all(word in problems[0] for word in words), problems[0]


def repaint(path, change):
    pixels = np.array(Image.open(path))
    change(pixels)
    Image.fromarray(pixels).save(path)


def rehash(out, number):
    """Writes size and hash of a sample's files as they are now into its record: a forger's work."""

    def change(record):
        for kind, name in record["files"].items():
            content = (out / name).read_bytes()
            record["sha256"][kind], record["bytes"][kind] = hashlib.sha256(content).hexdigest(), len(content)

    rewrite(out / "samples.jsonl", at(number, change))


class TestSound:
    def test_a_run_passes_and_every_sample_can_be_made_again(self, kept):
        report = verify(kept / "out", share=1)
        assert report.problems == []
        assert (report.samples, report.pasted, report.files, report.remade) == (COUNT, COUNT, 2 * COUNT, COUNT)
        assert report.finished

    def test_a_share_draws_some_and_at_least_one(self, kept):
        assert verify(kept / "out", share=1e-9).remade == 1
        assert 1 <= verify(kept / "out", share=0.5).remade < COUNT

    def test_no_share_needs_no_data(self, out, tmp_path):
        rewrite(out / "run.json", lambda run: run.update(data=str(tmp_path / "nowhere")))
        report = verify(out, share=0)
        assert (report.problems, report.remade) == ([], 0)

    def test_a_data_set_that_has_moved_is_found_where_it_is_said_to_be(self, out, data):
        rewrite(out / "run.json", lambda run: run.update(data="/nowhere"))
        assert verify(out, data, share=1).problems == []

    @pytest.mark.parametrize("way", ["nnunet", "bank", "unpasted", "volumes", "jpeg"])
    def test_other_runs_pass(self, way, tmp_path):
        data, how = tmp_path / "data", {"count": 3}
        tree = {"volumes": kits, "jpeg": trees.kvasir}.get(way, trees.pairs)
        tree(data)
        if way == "bank":
            layout = find_layout(data)
            build_bank(layout, layout.cases(data)[0], tmp_path / "bank")
            how["bank"] = tmp_path / "bank"
        elif way == "nnunet":
            how["format"] = "nnunet"
        elif way == "unpasted":
            how["config"] = {"min_region_overlap": 10**6}
        synthesize(data, tmp_path / "out", **how)
        report = verify(tmp_path / "out", share=1)
        assert report.problems == []
        assert report.remade == (0 if way == "unpasted" else 3)

    def test_steps_are_told(self, kept):
        steps = []
        verify(kept / "out", share=1, on_step=lambda *step: steps.append(step))
        assert steps == [("checked", COUNT)] * COUNT + [("made again", COUNT)] * COUNT


class TestUnfinished:
    def test_a_run_that_was_cut_short_is_told(self, out):
        (out / "summary.json").unlink()
        only(told(out), "summary.json", "--resume")

    def test_a_line_that_was_cut_off_is_told(self, out):
        text = (out / "samples.jsonl").read_bytes()
        (out / "samples.jsonl").write_bytes(text[:-9])
        problems = told(out)
        assert f"line {COUNT}: expected a whole line" in problems[0]
        assert any("images and masks that the run lists" in problem for problem in problems)

    @pytest.mark.parametrize("name", ["run.json", "inputs.jsonl", "samples.jsonl", "split.json"])
    def test_a_list_that_is_gone_is_told(self, out, name):
        (out / name).unlink()
        assert any(str(out / name) in problem for problem in told(out))

    @pytest.mark.parametrize("name", ["run.json", "inputs.jsonl", "samples.jsonl", "split.json", "summary.json"])
    def test_a_list_that_holds_something_else_is_told(self, out, name):
        (out / name).write_text("[1]\n", "utf-8")
        assert any(name in problem for problem in told(out))

    def test_a_folder_without_a_run_is_refused(self, tmp_path):
        with pytest.raises(DataError, match=r"run\.json and samples\.jsonl, found none"):
            verify(tmp_path)

    @pytest.mark.parametrize("share", [-0.1, 1.5, float("nan"), "half"])
    def test_a_share_that_is_none_is_refused(self, kept, share):
        with pytest.raises(ValueError, match="share"):
            verify(kept / "out", share=share)

    def test_a_data_set_that_is_not_there_is_refused_at_once(self, kept, tmp_path):
        with pytest.raises(DataError, match="--share 0"):
            verify(kept / "out", tmp_path / "nowhere")


class TestLists:
    def test_a_record_with_a_wrong_field_is_told_with_its_line(self, out):
        rewrite(out / "samples.jsonl", at(2, lambda record: record["placement"].update(area_px=-1)))
        assert any("line 3: expected placement.area_px" in problem for problem in told(out))

    def test_a_line_that_is_gone_is_told(self, out):
        rewrite(out / "samples.jsonl", lambda record: None if record["number"] == 1 else record)
        problems = told(out)
        assert any("line 2: expected number 1, found 2" in problem for problem in problems)
        assert any("summary.json: expected requested 5" in problem for problem in problems)
        assert sum("images and masks that the run lists" in problem for problem in problems) == 2

    def test_a_sample_of_other_settings_is_told(self, out):
        rewrite(out / "samples.jsonl", at(3, lambda record: record.update(config_sha256="0" * 64)))
        only(told(out), "line 4", "config_sha256")

    def test_a_sample_of_another_version_is_told(self, out):
        rewrite(out / "samples.jsonl", at(3, lambda record: record.update(code="9.9")))
        only(told(out), "line 4", "expected code", "9.9")

    def test_another_content_of_an_input_is_told(self, out):
        def change(line):
            next(iter(line["files"].values()))["bytes"] += 1
            return line

        rewrite(out / "inputs.jsonl", change)
        only(told(out), "inputs.jsonl", "data_sha256")

    @pytest.mark.parametrize(
        ("name", "value"),
        [("requested", 7), ("written", 5), ("statuses", {}), ("tries", {"pasted": 9}), ("real", 1), ("seed", 1),
         ("lesion_labels", [2]), ("format", "nnunet"), ("config", {}), ("softcp_gpu", "9.9")],
    )  # fmt: skip
    def test_a_summary_that_says_other_than_the_lists_is_told(self, out, name, value):
        rewrite(out / "summary.json", lambda summary: summary.update({name: value}))
        only(told(out), "summary.json", f"expected {name}", str(value))

    def test_a_problem_that_the_summary_hides_is_told(self, out):
        problem = {"path": "a.png", "reason": "expected an image, found none"}
        rewrite(out / "samples.jsonl", at(0, lambda record: record["problems"].append(problem)))
        only(told(out), "summary.json", "a.png")


class TestFiles:
    def test_one_byte_is_told(self, out):
        path = out / lines(out)[2]["files"]["image"]
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        only(told(out), str(path), "SHA-256")

    def test_another_size_is_told(self, out):
        path = out / lines(out)[2]["files"]["mask"]
        trees.truncate(path)
        only(told(out), str(path), "bytes")

    def test_a_file_that_is_gone_is_told(self, out):
        path = out / lines(out)[2]["files"]["mask"]
        path.unlink()
        only(told(out), str(path), "the mask of synth_000002", "No such file")

    def test_an_image_that_no_list_names_is_told(self, out):
        path = (out / lines(out)[0]["files"]["image"]).with_name("synth_000099.tif")
        path.write_bytes(b"")
        (out / "notes.txt").write_text("mine")
        (out / "contact_sheet.png").write_bytes(b"")
        only(told(out), str(path), "another one")

    def test_a_file_of_two_samples_is_told(self, out):
        first = lines(out)[0]

        def change(record):
            record |= {name: first[name] for name in ("files", "sha256", "bytes")}

        rewrite(out / "samples.jsonl", at(1, change))
        problems = told(out)
        assert sum("each file in one sample" in problem for problem in problems) == 2

    def test_a_link_out_of_the_folder_is_told_and_not_followed(self, out, tmp_path):
        path = out / lines(out)[0]["files"]["image"]
        path.rename(tmp_path / "elsewhere.tif")
        path.symlink_to(tmp_path / "elsewhere.tif")
        only(told(out), str(path), "link out of it")

    def test_a_real_case_that_is_gone_from_a_set_for_nnunet_is_told(self, folds, tmp_path):
        out = shutil.copytree(folds / "out", tmp_path / "out")
        (out / "imagesTr" / "a0_0000.png").unlink()
        only(told(out), "a0_0000.png")


def move(out, name, part):
    """Says in the lists that a case was in another part from the start."""

    def change(line):
        return line | {"part": part} if line["id"] == name else line

    rewrite(out / "inputs.jsonl", change)
    split = json.loads((out / "split.json").read_text("utf-8"))
    split = {key: [x for x in names if x != name] + [name] * (key == part) for key, names in split.items()}
    (out / "split.json").write_text(json.dumps(split), "utf-8")


class TestLeakage:
    @pytest.mark.parametrize("role", ["background", "source"])
    def test_a_parent_that_is_held_out_is_told(self, out, role):
        held_out = json.loads((out / "split.json").read_text("utf-8"))["val"][0]

        def change(record):
            record[role]["id"] = record["tries"][-1][role] = held_out

        rewrite(out / "samples.jsonl", at(1, change))
        problems = told(out)
        assert f"line 2: expected a {role} of the training part, found {held_out}" in problems[0]
        assert problems[0].endswith("has it in val")

    def test_a_parent_that_the_data_set_does_not_have_is_told(self, out):
        rewrite(out / "samples.jsonl", at(1, lambda record: record["tries"][-1].update(source="stranger")))
        problems = told(out)
        assert any("found stranger, and inputs.jsonl has no such case" in problem for problem in problems)
        assert any("expected background and source of the last try" in problem for problem in problems)

    def test_other_hashes_of_a_parent_are_told(self, out):
        def change(record):
            hashes = record["source"]["sha256"]
            hashes[next(iter(hashes))] = "0" * 64

        rewrite(out / "samples.jsonl", at(1, change))
        only(told(out), "line 2", "hashes", "source")

    def test_another_patient_of_a_parent_is_told(self, out):
        rewrite(out / "samples.jsonl", at(1, lambda record: record["source"].update(patient="x")))
        only(told(out), "line 2", "patient", "found x")

    def test_a_patient_in_two_parts_is_told(self, out):
        parents = {record[role]["id"] for record in lines(out) for role in ("background", "source")}
        train = [json.loads(line) for line in (out / "inputs.jsonl").read_text("utf-8").splitlines()]
        free = next(x for x in train if x["part"] == "train" and not x["source"] and x["id"] not in parents)

        def change(line):
            if line["id"] != free["id"]:
                return line
            return {k: v for k, v in line.items() if k in ("schema", "id", "patient", "files", "phash")} | {
                "part": "val"
            }

        rewrite(out / "inputs.jsonl", change)
        problems = told(out)
        assert any("each patient in one part" in problem and free["patient"] in problem for problem in problems)
        assert any("split.json" in problem and free["id"] in problem for problem in problems)

    def test_a_lesion_of_a_bank_from_somebody_held_out_is_told(self, tmp_path):
        data, out = tmp_path / "data", tmp_path / "out"
        trees.lgg(data, patients=6)
        layout = find_layout(data)
        build_bank(layout, layout.cases(data)[0], tmp_path / "bank")
        synthesize(data, out, count=3, split="4:1:1", bank=tmp_path / "bank")
        assert told(out, share=1) == []
        held_out = next(x for x in map(json.loads, (out / "inputs.jsonl").open()) if x["part"] == "test")
        rewrite(out / "samples.jsonl", at(1, lambda record: record["source"].update(patient=held_out["patient"])))
        only(told(out), "line 2", "a patient who is not held out", held_out["patient"])

    def test_a_row_of_a_bank_in_a_run_without_one_is_told(self, out):
        def change(record):
            record["source"] = {"id": "a", "patient": None, "bank_row": 3}

        rewrite(out / "samples.jsonl", at(1, change))
        problems = told(out, share=1)
        assert any("line 2: expected a lesion of a case, found a lesion of the bank" in problem for problem in problems)
        assert any("synth_000001 again: expected a bank" in problem for problem in problems)

    def test_folds_that_validate_on_a_parent_are_told(self, folds, tmp_path):
        out = shutil.copytree(folds / "out", tmp_path / "out")
        assert told(out) == []

        def change(splits):
            splits[0]["train"] += [new for new in splits[1]["train"] if new not in splits[0]["train"]]

        rewrite(out / "splits_final.json", change)
        problems = told(out)
        assert problems
        assert all("train of fold 0" in problem for problem in problems)

    def test_folds_that_validate_on_a_synthetic_case_are_told(self, folds, tmp_path):
        out = shutil.copytree(folds / "out", tmp_path / "out")
        rewrite(out / "splits_final.json", lambda splits: splits[0]["val"].append("synth_000000"))
        assert any("real cases to validate on in fold 0, found synth_000000" in problem for problem in told(out))


class TestMadeAgain:
    def test_pixels_that_were_changed_with_their_hash_are_told(self, out):
        path = out / lines(out)[1]["files"]["image"]
        repaint(path, lambda pixels: pixels[:2, :3].__iadd__(5))
        rehash(out, 1)
        assert told(out) == []
        only(told(out, share=1), str(path), "made again", "18 of 12288 values that differ, by 5 at most")

    def test_the_same_pixels_in_other_bytes_are_told(self, tmp_path):
        trees.pairs(tmp_path / "data")
        out = tmp_path / "out"
        synthesize(tmp_path / "data", out, count=1)
        path = out / lines(out)[0]["files"]["image"]
        Image.open(path).save(path, compress_level=9)
        rehash(out, 0)
        only(told(out, share=1), str(path), "the same values in other bytes")

    def test_voxels_that_were_changed_are_told(self, tmp_path):
        out = tmp_path / "out"
        synthesize(kits(tmp_path / "data"), out, count=1)
        path = out / lines(out)[0]["files"]["mask"]
        volumes.put(path, np.zeros((20, 40, 44), np.uint8))
        rehash(out, 0)
        only(told(out, share=1), str(path), "of 35200 values that differ, by 2 at most")

    def test_a_record_that_says_other_than_what_was_drawn_is_told(self, out):
        rewrite(out / "samples.jsonl", at(1, lambda record: record["placement"].update(visible_px=1)))
        only(told(out, share=1), "synth_000001, made again: expected placement", "visible_px")

    def test_another_seed_makes_another_sample(self, out):
        rewrite(out / "samples.jsonl", at(1, lambda record: record.update(seed=record["seed"] ^ 1)))
        problems = told(out, share=1)
        assert problems
        assert all("made again" in problem for problem in problems)

    @pytest.mark.parametrize("what", ["changed", "gone", "more", "all gone"])
    def test_a_parent_that_is_not_what_it_was_is_told(self, out, data, what):
        record = lines(out)[1]
        path = data / next(iter(record["source"]["sha256"]))
        if what == "changed":
            repaint(path, lambda pixels: pixels.__ixor__(1))
        elif what == "all gone":
            shutil.rmtree(data)
            trees.lgg(data, patients=1)
            shutil.rmtree(next(data.iterdir()))
            trees.pairs(data)
        else:
            path.unlink()
        if what == "more":
            Image.fromarray(trees.picture(3)).save(path.with_suffix(".png"))
        problems = told(out, data=data, share=1)
        assert problems
        assert all("expected" in problem for problem in problems)
        if what != "all gone":
            assert any("synth_000001 again" in problem for problem in problems)

    def test_another_device_is_told(self, out):
        rewrite(out / "run.json", lambda run: run["arguments"].update(device="cuda:0") or run.update(torch="1.0"))
        path = out / lines(out)[1]["files"]["image"]
        repaint(path, lambda pixels: pixels[:1, :1].__iadd__(1))
        rehash(out, 1)
        only(told(out, share=1, device="cpu"), "the run had device cuda, here cpu; torch 1.0, here", "bytes may differ")

    def test_a_device_that_is_not_there_is_refused(self, kept):
        with pytest.raises(ValueError, match="device: expected one that this machine has"):
            verify(kept / "out", device="abacus")


class TestReplay:
    def test_a_sample_by_id_and_by_number(self, kept):
        for which in ("synth_000004", "4"):
            record, problems = replay(kept / "out", which)
            assert (record["id"], problems) == ("synth_000004", [])

    def test_its_files_and_a_picture_go_where_they_are_wanted(self, kept, tmp_path):
        record, problems = replay(kept / "out", "4", to=tmp_path / "new")
        assert problems == []
        made = {name: content for name, content in contents(tmp_path / "new").items() if content is not None}
        assert made.keys() == {*record["files"].values(), "contact_sheet.png"}
        for name in record["files"].values():
            assert made[name] == (kept / "out" / name).read_bytes()
        assert Image.open(tmp_path / "new" / "contact_sheet.png").width > 1000

    def test_a_file_that_is_no_longer_the_same_is_told(self, out):
        record = lines(out)[1]
        (out / record["files"]["image"]).unlink()
        repaint(out / record["files"]["mask"], lambda pixels: pixels.fill(0))
        problems = [str(problem) for problem in replay(out, "1")[1]]
        assert len(problems) == 2
        assert record["files"]["image"] in problems[0]
        assert record["files"]["mask"] in problems[1]

    def test_a_sample_that_was_not_pasted_has_its_tries(self, tmp_path):
        trees.pairs(tmp_path / "data")
        synthesize(tmp_path / "data", tmp_path / "out", count=1, config={"min_region_overlap": 10**6})
        record, problems = replay(tmp_path / "out", "0", to=tmp_path / "new")
        assert (record["status"], problems) == ("no_legal_place", [])
        assert len(record["tries"]) > 1
        assert not (tmp_path / "new").exists()

    @pytest.mark.parametrize("which", ["synth_000006", "6", "-1", "case7", ""])
    def test_a_sample_that_is_none_is_refused_with_the_range(self, kept, which):
        with pytest.raises(DataError, match=f"synth_000000 to synth_000005, or its number, found no {which}"):
            replay(kept / "out", which)

    @pytest.mark.parametrize("place", ["out", "out/new", "data/new", "full", "file"])
    def test_a_folder_that_is_not_its_own_is_refused(self, out, data, tmp_path, place):
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "a").touch()
        (tmp_path / "file").touch()
        before = contents(tmp_path)
        with pytest.raises(DataError, match=r"expected a (folder outside|new or empty folder)"):
            replay(out, "1", to=tmp_path / place, data=data)
        assert contents(tmp_path) == before

    def test_a_parent_that_has_changed_is_refused(self, out, data):
        path = data / next(iter(lines(out)[1]["background"]["sha256"]))
        repaint(path, lambda pixels: pixels.__ixor__(1))
        with pytest.raises(DataError, match="the content that it had when the run began"):
            replay(out, "1", data=data)


class TestCommands:
    def test_a_sound_run_ends_with_0(self, softcp, kept):
        said = softcp("verify", kept / "out", "--share", 1)
        assert (said.code, said.err) == (0, "")
        assert f"{COUNT} samples, {COUNT} of them pasted, {2 * COUNT} files; {COUNT} made again" in said.out
        assert said.out.endswith("all is as recorded\n")

    def test_findings_end_with_1_the_first_ten_of_them_shown(self, softcp, out):
        for path in out.rglob("*.tif"):
            path.unlink()
        said = softcp("verify", out, "--share", 0)
        assert said.code == 1
        assert said.err.count("finding: ") == 11
        assert "2 more; --all shows them" in said.err
        assert f"error: 12 findings in {out}" in said.err
        assert softcp("verify", out, "--share", 0, "--all").err.count("finding: ") == 12

    def test_wrong_use_ends_with_2(self, softcp, tmp_path, kept):
        for arguments in (["verify", tmp_path], ["verify", kept / "out", "--share", 2], ["replay", kept / "out", "99"]):
            said = softcp(*arguments)
            assert said.code == 2
            assert said.err

    def test_a_replay_says_who_and_how(self, softcp, kept, tmp_path):
        record = lines(kept / "out")[3]
        said = softcp("replay", kept / "out", "3", "--to", tmp_path / "new")
        assert (said.code, said.err) == (0, "")
        for word in (record["background"]["id"], record["source"]["patient"], str(record["seed"]), "byte for byte"):
            assert word in said.out
        assert (tmp_path / "new" / "contact_sheet.png").is_file()

    def test_a_replay_that_differs_ends_with_1(self, softcp, out):
        (out / lines(out)[3]["files"]["mask"]).unlink()
        said = softcp("replay", out, "synth_000003")
        assert said.code == 1
        assert "not the same" in said.err
