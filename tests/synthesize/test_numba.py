"""A run that is computed by the loops that Numba compiles: the same rules, and no other run is taken for it."""

import numpy as np
import pytest
import torch
from PIL import Image

from softcp_gpu import loops
from softcp_gpu.data import DataError
from softcp_gpu.synthesize import synthesize
from softcp_gpu.synthesize.checking.verify import verify
from softcp_gpu.synthesize.job import check_numba
from tests.synthesize import trees
from tests.synthesize.test_resume import stop_after
from tests.synthesize.trees import contents, lines

COUNT = 12
CONFIG = {"background_transform": {}, "image_transform": {}}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Images of two sizes."""
    root = tmp_path_factory.mktemp("numba") / "data"
    trees.pairs_of_two_sizes(root)
    return root


@pytest.fixture(scope="module")
def kept(data, tmp_path_factory):
    """A run, one sample after the other; not to be changed."""
    out = tmp_path_factory.mktemp("kept") / "out"
    synthesize(data, out, count=COUNT, config=CONFIG, numba=True, batch_size=1)
    return out


@pytest.mark.parametrize("how", [{"batch_size": COUNT}, {"workers": 2, "batch_size": 3}])
def test_neither_batches_nor_workers_change_a_byte(data, kept, tmp_path, how):
    synthesize(data, tmp_path / "out", count=COUNT, config=CONFIG, numba=True, **how)
    assert contents(tmp_path / "out") == contents(kept)


def test_samples_are_those_of_plain_torch_but_for_last_bits(data, kept, tmp_path):
    synthesize(data, tmp_path / "out", count=COUNT, config=CONFIG)
    for one, other in zip(lines(kept), lines(tmp_path / "out"), strict=True):
        assert one["tries"] == other["tries"]
        assert one["placement"] == other["placement"]
        for kind, file in one["files"].items():
            first, second = (np.asarray(Image.open(out / file)).astype(int) for out in (kept, tmp_path / "out"))
            assert np.abs(first - second).max() <= (1 if kind == "image" else 0)


def test_what_was_begun_with_it_goes_on_with_it(data, kept, tmp_path):
    out = stop_after(5, data, tmp_path / "out", count=COUNT, config=CONFIG, numba=True)
    with pytest.raises(DataError, match=r"settings of the run to go on with, numba True.*found numba False"):
        synthesize(data, out, count=COUNT, config=CONFIG, resume=True)
    synthesize(data, out, count=COUNT, config=CONFIG, numba=True, resume=True)
    assert contents(out) == contents(kept)


def test_it_is_verified_as_it_was_made(data, kept):
    report = verify(kept, data, share=1.0)
    assert report.remade
    assert not report.problems


def test_without_numba_nothing_is_made_with_other_bits(data, kept, tmp_path, monkeypatch):
    monkeypatch.setattr(loops, "there", lambda: False)
    expected = "numba: expected Numba installed.*found none"
    with pytest.raises(ValueError, match=expected):
        synthesize(data, tmp_path / "out", count=2, numba=True)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match=expected):
        verify(kept, data, share=1.0)


def test_it_is_of_no_use_on_another_device():
    with pytest.raises(ValueError, match="numba: expected the device cpu, where it computes, found cuda"):
        check_numba(torch.device("cuda"))


def test_on_the_command_line(data, kept, tmp_path, softcp):
    said = softcp("synthesize", data, tmp_path / "out", "--count", 2, "--numba", "--sheet", 0)
    assert said.code == 0
    assert (tmp_path / "out" / "run.json").read_text().count('"numba": true') == 1
