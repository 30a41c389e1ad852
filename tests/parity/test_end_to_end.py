"""`SoftCP.augment` against the whole reference, sample by sample, from the params that it drew.

Every stage is compared, not the result alone: a pixel that is wrong under the background's own lesion does not show.
"""

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from softcp_gpu import SoftCP, Status
from softcp_gpu.functional import lesion, pipeline
from tests.assertions import assert_close_in_range, assert_masks_match_in_edge_band
from tests.parity.helpers import KINDS, masks, one, reference, single_image, single_mask, textures

SOFT, IMAGE = 1e-6, 1e-4  # of the range

STRONG = {"rotation_deg": (-180, 180), "scale": (0.5, 2), "shift": (-0.3, 0.3), "noise_sigma": (0.01, 0.1)}
CROPPED = {"p_crop": 0.8, "crop": (0.6, 1.0), "noise_sigma": (0.01, 0.1)}
SETTINGS = {
    "as it comes": {},
    "small tiles": {"k_dilate": 2, "object_transform": {**STRONG, "scale": (0.7, 1.2), "blur_sigma_px": 0.5}},
    "no transform": {"object_transform": None},
    "strong transform": {"object_transform": STRONG},
    "rim": {"match": "rim", "k_dilate": 3},
    "all transforms": {"background_transform": CROPPED, "image_transform": CROPPED, "match": "rim"},
    "in place": {"placement": "in_place", "max_lesion_overlap": 1.0, "object_transform": STRONG, "min_visible": 0.4},
    "visible in part": {"min_visible": 0.3, "min_region_overlap": 1, "max_lesion_overlap": 0.5},
    "pixels": {"min_visible": 5, "min_region_overlap": 4, "max_lesion_overlap": 2, "object_transform": STRONG},
    "steps": {"k_erode": (0, 4), "k_dilate": (0, 12), "alpha": (0.3, 0.95)},
    "skip": {"k_erode": 2, "on_small": "skip", "max_lesion_overlap": 1.0, "min_region_overlap": 0},
    "hard": {"blend": "hard", "min_visible": 0.5},
    "gaussian mask": {"blend": "gaussian-mask", "min_visible": 0.5, "match": "rim"},
    "gaussian intensity": {"blend": "gaussian-intensity", "blend_sigma_px": 1.7, "match": "rim", "k_dilate": 3},
    "carvemix": {"blend": "carvemix", "min_visible": 0.4, "match": "rim", "k_dilate": 3, "object_transform": STRONG},
    "carvemix in place": {"blend": "carvemix", "placement": "in_place", "max_lesion_overlap": 1.0},
    "cross": {"footprint": "cross", "blend": "softcp-geometric", "k_erode": 2},
}


def run_recorded(aug, whole_frames, monkeypatch, *inputs, **sources):
    """The result of a call, and what its stages got on whole frames: background, source, soft mask; mask, labels."""
    out = aug.augment(*inputs, **sources, generator=torch.Generator().manual_seed(1))
    seen = []

    def recorded(function, count):
        def call(*args):
            seen.extend(args[:count])
            return function(*args)

        return call

    with whole_frames(), monkeypatch.context() as patch:
        patch.setattr(pipeline, "soft_paste", recorded(pipeline.soft_paste, 3))
        patch.setattr(pipeline, "hard_union", recorded(pipeline.hard_union, 2))
        again = aug.augment(*inputs, **sources, params=out.params)
    assert torch.equal(again.status, out.status)
    assert len(seen) == 5
    return out, seen


def check_sample(i, out, seen, expected, aug, pairs):
    """Everything about sample i; adds its masks to `pairs`."""
    assert Status(int(out.status[i])).label == expected.status
    where = out.placement
    assert where.offset_px[i].tolist() == expected.offset_px.tolist()
    assert [int(field[i]) for field in where[1:]] == [expected.area_px, *expected.counts, expected.k_erode]
    background, source, soft, _, labels = seen
    assert_close_in_range(single_image(background, i), expected.background, IMAGE, "background")
    if expected.status == "pasted":
        assert_close_in_range(single_image(source, i), expected.source, IMAGE, "source")
        pairs.append((single_mask(labels, i), expected.labels))
        if aug.image_transform is None:
            assert_close_in_range(soft[i, 0], expected.soft_mask, SOFT, "soft mask")
            untouched = single_mask(soft, i) == 0
            assert np.array_equal(single_image(out.image, i)[untouched], single_image(background, i)[untouched])
    assert_close_in_range(single_image(out.image, i), expected.image, IMAGE, "result")
    assert_close_in_range(out.soft_mask[i, 0], expected.soft_mask, IMAGE if aug.image_transform else SOFT, "soft mask")
    pairs.append((single_mask(out.mask, i), expected.mask))


def same_hard_lesion(i, params, config, moved, source_mask):
    """Whether both warps of lesion i agree in every pixel; if not, it is not expected to find the same place."""
    if params.object is None or not params.apply[i] or not lesion.lesion_of(source_mask, config.lesion_labels).any():
        return True
    kept = np.where(lesion.lesion_of(source_mask, config.lesion_labels), source_mask, 0)
    canvas, _, _ = reference.lesion_canvas(kept, one(params.object.rigid, i))
    ours, theirs = np.argwhere(moved.labels[i, 0].numpy()), np.argwhere(canvas)
    return len(ours) == len(theirs) and (len(ours) == 0 or np.array_equal(ours, theirs - theirs.min(0)))


def check_call(aug, whole_frames, monkeypatch, image, mask, region, **sources):
    """Compares a call; returns its pairs of masks, its statuses, and how many samples were left out."""
    out, seen = run_recorded(aug, whole_frames, monkeypatch, image, mask, region, **sources)
    source_image, source_mask = sources.get("source_image", image), sources.get("source_mask", mask)
    index = out.params.source_index
    moved = lesion.transformed_lesion(source_mask[index], out.params, aug.config)
    pairs, left_out = [], 0
    for i in range(len(image)):
        arrays = [single_image(image, i), single_mask(mask, i), single_mask(region, i)]
        arrays += [single_image(source_image, index[i]), single_mask(source_mask, index[i])]
        expected = reference.soft_cp(*arrays, one(out.params, i), aug.config)
        pairs.append((single_mask(seen[3], i), expected.background_mask))
        if np.array_equal(*pairs[-1]) and same_hard_lesion(i, out.params, aug.config, moved, source_mask[index[i], 0]):
            check_sample(i, out, seen, expected, aug, pairs)
        else:
            left_out += 1
    return pairs, out.status_labels(), left_out


@pytest.mark.parametrize(("shape", "channels", "with_region"), [((37, 53), 1, False), ((64, 48), 3, True)])
@pytest.mark.parametrize("name", SETTINGS)
def test_sample_by_sample(name, shape, channels, with_region, whole_frames, monkeypatch):
    rng = np.random.default_rng(sum(map(ord, name)))
    aug = SoftCP(p=0.95, **SETTINGS[name])
    pairs, statuses, left_out = [], set(), 0
    for _ in range(2):
        kinds = [*KINDS[:5], "one", "several"]  # a lesion as large as the frame is tested on its own
        image, mask = textures(rng, 7, channels, shape, low=-1000, high=2000), masks(rng, shape, kinds)
        region = masks(rng, shape, ["several", "full", "one", "border", "full", "full", "several"])
        found = check_call(aug, whole_frames, monkeypatch, image, mask, region if with_region else None)
        pairs, statuses, left_out = pairs + found[0], statuses | set(found[1]), left_out + found[2]
    assert_masks_match_in_edge_band(pairs)
    assert "pasted" in statuses
    assert "empty_source" in statuses
    assert left_out <= 1


@pytest.mark.parametrize(("match", "blend"), [("none", "softcp"), ("rim", "softcp"), ("none", "carvemix")])
def test_class_ids(match, blend, whole_frames, monkeypatch):
    rng = np.random.default_rng(21)
    shape, kinds = (37, 53), ("one", "several", "border", "pixel", "several", "empty")
    label = masks(rng, shape, kinds) * 2 + masks(rng, shape, kinds[::-1]) * 3
    label[:, :, 20:30] += (label[:, :, 20:30] == 0) * 4
    label[0] = 4  # tissue alone: no source
    image, source = (textures(rng, 6, 2, shape, low=0, high=255) for _ in range(2))
    transforms = {"background_transform": CROPPED, "image_transform": {}}
    aug = SoftCP(p=1, lesion_labels=(2, 3, 5), other_labels=(4,), match=match, blend=blend, **transforms)
    label = label.to(torch.uint8)
    arguments = {"source_image": source, "source_mask": label.roll(2, 0)}
    pairs, statuses, left_out = check_call(aug, whole_frames, monkeypatch, image, label, label == 4, **arguments)
    assert_masks_match_in_edge_band(pairs)
    assert statuses.count("pasted") >= 3
    assert "empty_source" in statuses
    assert left_out == 0


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float32])
def test_dtypes_of_masks(dtype, whole_frames, monkeypatch):
    rng = np.random.default_rng(22)
    image, mask = textures(rng, 3, 1, (37, 53)), masks(rng, (37, 53), ("one", "several", "border")).to(dtype)
    pairs, statuses, _ = check_call(SoftCP(p=1), whole_frames, monkeypatch, image, mask, None)
    assert_masks_match_in_edge_band(pairs)
    assert statuses == ["pasted"] * 3


@pytest.mark.parametrize("which", ["background_transform", "image_transform"])
def test_floating_masks_stay_hard(which):
    rng = np.random.default_rng(25)
    image, mask = textures(rng, 3, 1, (37, 53)), masks(rng, (37, 53), ("one", "several", "border"))
    aug = SoftCP(p=1, **{which: {"p_crop": 1.0}})
    expected = aug.augment(image, mask, generator=torch.Generator().manual_seed(0))
    out = aug.augment(image, mask.float(), params=expected.params)
    assert torch.equal(out.mask, expected.mask.float())


def test_every_status(whole_frames, monkeypatch):
    rng = np.random.default_rng(23)
    shape, kinds = (37, 53), ("one", "full", "empty", "pixel", "one", "several")
    image, mask = textures(rng, 6, 1, shape), masks(rng, shape, ["border"] * 6)
    seen = set()
    for settings in ({"p": 1}, {"p": 0.5, "on_small": "skip", "max_lesion_overlap": 1.0}):
        aug = SoftCP(object_transform=None, **settings)
        sources = {"source_image": image, "source_mask": masks(rng, shape, kinds)}
        pairs, statuses, _ = check_call(aug, whole_frames, monkeypatch, image, mask, None, **sources)
        assert_masks_match_in_edge_band(pairs)
        seen |= set(statuses)
    assert seen == {status.label for status in Status}


def squares(*sizes):
    """A frame of 16 x 16 with one square lesion, for each size."""
    frames = torch.zeros(len(sizes), 1, 16, 16, dtype=torch.uint8)
    for frame, size in zip(frames, sizes, strict=True):
        frame[0, 5 : 5 + size, 5 : 5 + size] = 1
    return frames


def test_a_lesion_without_a_place_is_not_called_too_small(whole_frames):
    """Of 5 x 5 pixels one is left after two steps, but the background has no room."""
    image, source = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0)), squares(5, 5)
    mask = torch.ones_like(source)
    aug = SoftCP(p=1, k_erode=2, on_small="skip", object_transform=None)
    params = aug.draw(torch.arange(2), (16, 16))
    for run in (nullcontext, whole_frames):
        with run():
            out = aug.augment(image, mask, source_image=image, source_mask=source, params=params)
        assert out.status_labels() == ["no_legal_place"] * 2


@pytest.mark.parametrize("min_visible", [0, 0.0])
def test_no_lesion_is_pasted_beside_the_frame(min_visible, whole_frames, monkeypatch):
    image = torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    sources = {"source_image": image, "source_mask": squares(3, 4, 5, 6)}
    far = {"rigid": ["panning"], "shift": 1.0}
    aug = SoftCP(p=1, min_visible=min_visible, placement="in_place", object_transform=far)
    pairs, statuses, _ = check_call(aug, whole_frames, monkeypatch, image, squares(0, 0, 0, 0), None, **sources)
    assert_masks_match_in_edge_band(pairs)
    assert set(statuses) == {"no_legal_place"}


def test_replay_with_automatic_steps():
    rng = np.random.default_rng(26)
    image, mask = textures(rng, 2, 1, (37, 53)), masks(rng, (37, 53), ("one", "several"))
    for k in range(2, 20):
        aug = SoftCP(p=1, alpha=0.05 ** (1 / k))
        out = aug.augment(image, mask, generator=torch.Generator().manual_seed(0))
        assert torch.equal(aug.augment(image, mask, params=out.params).image, out.image)


def test_source_that_fills_the_frame(whole_frames, monkeypatch):
    rng = np.random.default_rng(24)
    shape = (23, 31)
    image, mask = textures(rng, 4, 1, shape), masks(rng, shape, ("empty", "one", "empty", "empty"))
    sources = {"source_image": image.flip(0), "source_mask": masks(rng, shape, ["full"] * 4)}
    for settings in ({"object_transform": None}, {"object_transform": STRONG}, {"min_visible": 0.2}):
        aug = SoftCP(p=1, k_dilate=4, **settings)
        pairs, statuses, _ = check_call(aug, whole_frames, monkeypatch, image, mask, None, **sources)
        assert_masks_match_in_edge_band(pairs)
        assert "pasted" in statuses
