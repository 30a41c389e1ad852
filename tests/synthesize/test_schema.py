"""The schemas of a run's files: what runs write fits, and what is wrong is named."""

import json
from copy import deepcopy

import jsonschema
import pytest

from softcp_gpu.data import DataError, build_bank, find_layout, manifest
from softcp_gpu.synthesize import synthesize
from softcp_gpu.synthesize.checking.schema import KINDS, check_record, schema_of
from tests.synthesize import trees
from tests.synthesize.test_volumes import SETS

WHOLE = {"p_crop": 1, "crop": (0.4, 0.9)}
OTHER_WAYS = {
    "held out": {"split": "3:1:1"},
    "for nnU-Net": {"format": "nnunet"},
    "transforms of the whole image": {"config": {"background_transform": WHOLE, "image_transform": WHOLE}},
    "no transform": {"config": {"object_transform": None, "k_erode": [0, 2], "alpha": [0.5, 0.9]}},
    "nothing pasted": {"config": {"min_region_overlap": 10**6}},
}


def check_all(out):
    """How many records of each kind fit."""
    count = dict.fromkeys(KINDS, 0)
    for kind, name in (("run", manifest.RUN), ("summary", manifest.SUMMARY)):
        check_record(kind, json.loads((out / name).read_text("utf-8")), name)
        count[kind] += 1
    for kind, name in (("input", manifest.INPUTS), ("sample", manifest.SAMPLES)):
        for line in (out / name).read_text("utf-8").splitlines():
            check_record(kind, json.loads(line), name)
            count[kind] += 1
    return count


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """One of each kind."""
    root = tmp_path_factory.mktemp("schema")
    trees.pairs(root / "data")
    synthesize(root / "data", root / "out", count=1)
    lists = {"sample": manifest.SAMPLES, "input": manifest.INPUTS}
    first = {kind: json.loads((root / "out" / name).read_text("utf-8").splitlines()[0]) for kind, name in lists.items()}
    whole = {"run": manifest.RUN, "summary": manifest.SUMMARY}
    return first | {kind: json.loads((root / "out" / name).read_text("utf-8")) for kind, name in whole.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_is_one_of_draft_2020_12_and_names_its_version(kind):
    schema = schema_of(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:softcp-gpu:schema:{kind}:{manifest.SCHEMA}"
    assert schema["properties"]["schema"]["const"] == manifest.SCHEMA
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_described(kind):
    def fields(schema):
        for name, inner in schema.get("properties", {}).items():
            yield name, inner
            yield from fields(inner)
        for key in ("items", "additionalProperties"):
            if isinstance(schema.get(key), dict):
                yield from fields(schema[key])

    schema = schema_of(kind)
    definitions = schema.get("$defs", {})
    found = [pair for part in (schema, *definitions.values()) for pair in fields(part)]
    assert len(found) > 10
    for name, inner in found:
        assert "description" in inner or "description" in definitions[inner["$ref"].rpartition("/")[2]], name


@pytest.mark.parametrize("layout", trees.TREES)
def test_a_run_on_images_of_every_layout_fits(layout, tmp_path):
    trees.TREES[layout](tmp_path / "data")
    summary = synthesize(tmp_path / "data", tmp_path / "out", count=2)
    count = check_all(tmp_path / "out")
    assert count["sample"] == summary.written == 2
    assert count["input"] >= 4


@pytest.mark.parametrize("layout", SETS)
def test_a_run_on_volumes_of_every_layout_fits(layout, tmp_path):
    SETS[layout](tmp_path / "data")
    assert synthesize(tmp_path / "data", tmp_path / "out", count=1).written == 1
    check_all(tmp_path / "out")


@pytest.mark.parametrize("way", OTHER_WAYS)
def test_a_run_of_every_kind_fits(way, tmp_path):
    trees.pairs(tmp_path / "data")
    summary = synthesize(tmp_path / "data", tmp_path / "out", count=3, **OTHER_WAYS[way])
    assert check_all(tmp_path / "out")["sample"] == 3
    assert summary.written == (0 if way == "nothing pasted" else 3)


def test_a_run_with_a_bank_fits(tmp_path):
    data, bank = tmp_path / "data", tmp_path / "bank"
    trees.pairs(data)
    layout = find_layout(data)
    build_bank(layout, layout.cases(data)[0], bank)
    synthesize(data, tmp_path / "out", count=2, bank=bank)
    check_all(tmp_path / "out")
    assert "bank_row" in trees.lines(tmp_path / "out")[0]["source"]


def set_(*path, value):
    """A change that puts a value where the path leads."""

    def change(record):
        for step in path[:-1]:
            record = record[step]
        record[path[-1]] = value

    return change


def drop(*path):
    """A change that takes away what the path leads to."""

    def change(record):
        for step in path[:-1]:
            record = record[step]
        del record[path[-1]]

    return change


WRONG = [  # kind, change, words of the message
    ("sample", set_("schema", value=2), ["schema", "1", "2"]),
    ("sample", set_("id", value="case7"), ["id", "case7"]),
    ("sample", set_("number", value=-1), ["number", "-1"]),
    ("sample", set_("number", value="0"), ["number", "integer"]),
    ("sample", set_("status", value="fine"), ["status", "no_legal_place", "fine"]),
    ("sample", set_("config_sha256", value="abc"), ["config_sha256", "abc"]),
    ("sample", set_("tries", value=[]), ["tries", "[]"]),
    ("sample", set_("tries", 0, "status", value=3), ["tries[0].status"]),
    ("sample", drop("seed"), ["expected seed"]),
    ("sample", set_("seed", value=1 << 63), ["seed", "maximum"]),
    ("sample", drop("params", "alpha"), ["alpha in params"]),
    ("sample", set_("params", "alpha", value=1), ["params.alpha", "found 1"]),
    ("sample", set_("params", "object", "rigid", "flip", value=[[2, 1], [1, 1]]), ["flip[0][0]", "1 or -1", "found 2"]),
    ("sample", set_("placement", "offset_px", value=[1.5, 2]), ["placement.offset_px[0]", "1.5"]),
    ("sample", set_("placement", "area_px", value=-3), ["placement.area_px", "lesion", "-3"]),
    ("sample", set_("label_pixels", value={"organ": 3}), ["label_pixels", "organ"]),
    ("sample", set_("lesion", "center", value=[0.5, 1.5]), ["lesion.center[1]", "1.5"]),
    ("sample", set_("lesion", "pixels", value=0), ["lesion.pixels"]),
    ("sample", set_("background", "sha256", value={}), ["background.sha256"]),
    ("sample", drop("source", "id"), ["id in source"]),
    ("sample", set_("source", "bank_row", value=3), ["either sha256 or bank_row in source"]),
    ("sample", drop("source", "sha256"), ["source"]),
    ("sample", set_("files", "image", value="/etc/passwd"), ["files.image", "/etc/passwd"]),
    ("sample", set_("files", "image", value="a/../../b"), ["files.image", "a/../../b"]),
    ("sample", set_("files", "picture", value="a.png"), ["files", "picture"]),
    ("sample", drop("files", "mask"), ["mask in files"]),
    ("sample", set_("bytes", "image", value="9"), ["bytes.image"]),
    ("sample", set_("made_by", value="me"), ["no other fields", "found made_by"]),
    ("sample", set_("status", value="unreadable"), ["not pasted"]),
    ("input", set_("part", value="training"), ["part", "unused", "training"]),
    ("input", set_("part", value="val"), ["held-out", "never read"]),
    ("input", set_("patient", value=""), ["patient"]),
    ("input", drop("phash"), ["expected phash"]),
    ("input", set_("phash", value="00"), ["phash"]),
    ("input", set_("shape", value=[64]), ["shape", "[64]"]),
    ("input", set_("spacing_mm", value=[0, 1]), ["spacing_mm[0]"]),
    ("input", drop("lesions"), ["lesions"]),
    ("input", set_("lesions", 0, "mm", value="4"), ["lesions[0].mm"]),
    ("input", set_("files", "images/a0.png", value="x"), ["files"]),
    ("run", drop("torch"), ["expected torch"]),
    ("run", set_("data_sha256", value=None), ["data_sha256"]),
    ("run", set_("arguments", "seed", value="0"), ["arguments.seed"]),
    ("run", set_("arguments", "format", value="png"), ["arguments.format", "nnunet"]),
    ("run", drop("arguments", "bank"), ["bank in arguments"]),
    ("summary", set_("written", value=-1), ["written"]),
    ("summary", set_("statuses", value={"fine": 1}), ["statuses", "fine"]),
    ("summary", set_("near_duplicates", value=[{"train": "a"}]), ["near_duplicates[0]"]),
    ("summary", set_("problems", value=["a"]), ["problems[0]"]),
]


@pytest.mark.parametrize(("kind", "change", "words"), WRONG)
def test_a_wrong_record_is_refused_and_its_field_named(records, kind, change, words):
    record = deepcopy(records[kind])
    check_record(kind, record, "the list")
    change(record)
    with pytest.raises(DataError) as caught:
        check_record(kind, record, "the list")
    assert str(caught.value).startswith("the list: expected ")
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("record", [None, [], "text", 3])
def test_what_is_no_object_is_refused(kind, record):
    with pytest.raises(DataError, match="expected the record to be object"):
        check_record(kind, record, "the list")
