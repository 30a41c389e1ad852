"""Three samples from each of the real data sets: every status accounted for, and all of it read back."""

import hashlib
import json
from collections import Counter

import numpy as np
import pytest
from scipy import ndimage

from softcp_gpu.data import find_layout
from softcp_gpu.synthesize import synthesize
from softcp_gpu.synthesize.foreground import foreground
from tests.synthesize.trees import lines

pytestmark = pytest.mark.real_data

SETS = {  # layout: folder, what is asked for; images of ISIC have 5 megapixels
    "lgg": ("lgg", {"split": "5:1:1"}),
    "busi": ("busi", {}),
    "kvasir": ("kvasir-seg-352", {}),
    "kits2d": ("kits19_2d_slices", {}),
    "ph2": ("ph2", {}),
    "isic": ("isic2017", {"split": "all"}),
}
LOSSY = {"kvasir", "isic"}


@pytest.mark.parametrize("name", SETS)
def test_three_samples(real_data, tmp_path, name):
    folder, how = SETS[name]
    root, out = real_data / folder, tmp_path / "out"
    if not root.is_dir():
        pytest.skip(f"no real data: {root} is not a folder")
    summary = synthesize(root, out, count=3, seed=1, **how)
    assert summary.layout == name
    assert summary.problems == []
    records = lines(out)
    assert Counter(record["status"] for record in records) == summary.statuses
    assert sum(summary.statuses.values()) == 3
    assert summary.written >= (0 if name == "ph2" else 1)  # lesions of PH2 leave little room for a second one
    assert json.loads((out / "summary.json").read_text("utf-8"))["statuses"] == dict(summary.statuses)

    layout = find_layout(out)
    assert layout.name == name
    new, problems = layout.cases(out)
    assert problems == []
    assert len(new) == summary.written
    cases = {case.id: case for case in find_layout(root).cases(root)[0]}
    train = set(json.loads((out / "split.json").read_text("utf-8"))["train"])
    for record in records:
        if record["status"] != "pasted":
            continue
        assert {record["background"]["id"], record["source"]["id"]} <= train
        for kind, path in record["files"].items():
            assert hashlib.sha256((out / path).read_bytes()).hexdigest() == record["sha256"][kind]
        [case] = [case for case in new if case.id.endswith(record["id"])]
        background, result = layout.load(cases[record["background"]["id"]]), layout.load(case)
        pasted = result.lesion & ~background.lesion
        assert (result.lesion >= background.lesion).all()
        # Specks that the erosion takes, too far away for the rings, are neither pasted nor labelled.
        assert 0.99 * record["placement"]["visible_px"] < pasted.sum() <= record["placement"]["visible_px"]
        rim = ndimage.maximum_filter(pasted, 2 * record["params"]["k_dilate"] + 1 + 16 * (name in LOSSY))
        far = abs(result.image[~rim].astype(int) - background.image[~rim])
        assert far.max(initial=0) <= (4 if name in LOSSY else 0)
        if name == "kits2d":
            assert np.array_equal(result.region, background.region & ~pasted)
            assert (pasted & (background.region | background.lesion)).sum() >= 0.5 * pasted.sum()


def test_the_air_around_a_head_is_no_place_for_a_lesion(real_data):
    """Slices of LGG whose air is red or noisy, and not black: the head fills a third of the frame, or half of it."""
    root = real_data / "lgg"
    if not root.is_dir():
        pytest.skip(f"no real data: {root} is not a folder")
    layout = find_layout(root)
    cases = {case.id: case for case in layout.cases(root)[0]}
    share = {
        name: round(float(foreground(layout.load(cases[name]).image).mean()), 2)
        for name in (
            "TCGA_FG_5962_20000626_27",
            "TCGA_FG_7637_20000922_22",
            "TCGA_DU_8168_19970503_31",
            "TCGA_DU_5853_19950823_28",
            "TCGA_HT_7608_19940304_26",
        )
    }
    assert all(found < 0.75 for found in share.values()), share
