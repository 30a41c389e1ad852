"""Samples that are computed together are what each would be alone."""

from types import MappingProxyType

import pytest

from softcp_gpu.data import build_bank, find_layout
from softcp_gpu.synthesize import pair, run, synthesize
from tests.synthesize import trees
from tests.synthesize.trees import contents, lines

COUNT = 12
CONFIGS = MappingProxyType(
    {
        "default": {},
        "rim": {"match": "rim"},
        "poisson": {"blend": "poisson"},
        "carvemix": {"blend": "carvemix"},
        "whole images": {"background_transform": {}, "image_transform": {}},
    }
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Images of two sizes, and one that is cut off."""
    root = tmp_path_factory.mktemp("together") / "data"
    trees.pairs_of_two_sizes(root)
    trees.truncate(root / "images" / "a2.png")
    return root


def made(data, out, batch, **how):
    synthesize(data, out, count=COUNT, batch_size=batch, **how)
    return contents(out)


@pytest.mark.parametrize("name", CONFIGS)
def test_batches_of_any_size_make_the_same_files_and_records(data, tmp_path, name):
    alone = made(data, tmp_path / "alone", 1, config=CONFIGS[name])
    assert made(data, tmp_path / "five", 5, config=CONFIGS[name]) == alone
    assert made(data, tmp_path / "all", COUNT, config=CONFIGS[name]) == alone
    records = lines(tmp_path / "alone")
    assert max(len(record["tries"]) for record in records) > 1  # some go on alone after the first try
    assert sum(record["status"] == "pasted" for record in records) > COUNT / 2


def test_lesions_of_a_bank_too(data, tmp_path):
    layout = find_layout(data)
    build_bank(layout, layout.cases(data)[0], tmp_path / "bank")
    alone = made(data, tmp_path / "alone", 1, bank=tmp_path / "bank")
    assert made(data, tmp_path / "all", COUNT, bank=tmp_path / "bank") == alone


def test_images_of_one_size_are_one_batch(data, tmp_path, monkeypatch):
    batches = []
    augment = pair.SoftCP.augment

    def counted(self, image, *rest, **named):
        batches.append(image.shape[0])
        return augment(self, image, *rest, **named)

    monkeypatch.setattr(pair.SoftCP, "augment", counted)
    made(data, tmp_path / "all", COUNT)
    assert len(batches) < COUNT / 2
    assert sum(batches) >= COUNT


@pytest.mark.parametrize(
    ("how", "pixels", "batch"),
    [
        ({"count": 400}, 1 << 22, 16),
        ({"count": 400, "workers": 20}, 1 << 22, 5),  # so that each worker gets four
        ({"count": 3, "workers": 2}, 1 << 22, 1),
        ({"count": 400}, 3 * 64 * 64, 3),
        ({"count": 400, "batch_size": 40}, 1, 40),
    ],
)
def test_a_batch_is_as_large_as_pays(data, tmp_path, monkeypatch, how, pixels, batch):
    asked = []
    monkeypatch.setattr(run, "PIXELS", pixels)
    monkeypatch.setattr(run, "on_this_machine", lambda job, numbers, workers, batch: asked.append(batch) or [])
    synthesize(data, tmp_path / "out", **how)
    assert asked == [batch]
