import copy
import pickle

import pytest
import torch

from softcp_gpu import SoftCP, Status, phantoms
from softcp_gpu.functional import about, compose, gaussian_blur, groups, rigid_matrix, soft_mask, soft_paste, warp
from softcp_gpu.functional.blend import BLENDS
from softcp_gpu.sampling import sample_seeds

SHAPES = {"2-D": (28, 25), "3-D": (16, 17, 16)}
BLUR = {"blur_sigma_px": (0.2, 0.6)}  # narrow kernels, for speed
OBJECT = {"rigid": ["rotation", "flip", "scaling", "panning"], "intensity": ["gamma", "noise", "blur"], **BLUR}
RIGID = {"rigid": ["rotation", "flip", "scaling", "panning"], "intensity": ["none"]}
IMAGE = {"p_crop": 0.7, "p_gamma": 0.7, "p_noise": 0.7, "p_blur": 0.7, **BLUR}
EVERYTHING = {
    "p": 0.8,
    "alpha": (0.5, 0.8),
    "k_erode": (0, 2),
    "match": "rim",
    "max_lesion_overlap": 0.3,
    "object_transform": OBJECT,
    "background_transform": IMAGE,
    "image_transform": IMAGE,
}


@pytest.fixture(params=SHAPES, scope="module")
def batch(request):
    """16 phantoms with two channels: image, mask, region."""
    return phantoms.batch(16, SHAPES[request.param], channels=2, seed=9)


def with_sources(batch):
    """Backgrounds and the same phantoms as sources, none its own."""
    image, mask, region = batch
    return {
        "image": image,
        "mask": mask,
        "region": region,
        "source_image": image.roll(5, 0),
        "source_mask": mask.roll(5, 0),
    }


def boxes(count, shape, size):
    """Masks with one box each, away from the borders; `size` gives the box of sample i."""
    mask = torch.zeros(count, 1, *shape, dtype=torch.uint8)
    for i in range(count):
        mask[(i, 0, *(slice(length // 3, length // 3 + s) for length, s in zip(shape, size(i), strict=True)))] = 1
    return mask


@pytest.mark.parametrize("settings", [{}, EVERYTHING], ids=["default", "everything"])
def test_how_many_samples_are_computed_together_changes_nothing(batch, settings, monkeypatch):
    aug = SoftCP(**{"p": 1.0, **settings})
    params = aug.draw(sample_seeds(2, range(16)), tuple(batch[0].shape[2:]), own_source=False)
    together = aug.augment(*batch, params=params)
    monkeypatch.setattr(groups, "LESIONS", 100)
    apart = aug.augment(*batch, params=params)
    for one, other in zip(together[:3], apart[:3], strict=True):
        assert torch.equal(one, other)


def seeded(seed=5):
    return torch.Generator().manual_seed(seed)


def in_chunks(aug, inputs, size, generator):
    """A run over all samples at one batch size, put together again."""
    outs = [
        aug.augment(**{k: v[i : i + size] for k, v in inputs.items()}, generator=generator)
        for i in range(0, len(inputs["image"]), size)
    ]
    fields = [(*out[:3], out.status, *out.placement) for out in outs]
    return [torch.cat(field) for field in zip(*fields, strict=True)]


def leaves(params):
    """All tensors of nested named tuples."""
    return [params] if isinstance(params, torch.Tensor) else [t for f in params if f is not None for t in leaves(f)]


def same_params(a, b, rows=slice(None)):
    """Equal but for the sources; `rows` picks samples of `b`."""
    pairs = zip(leaves(a._replace(source_index=None)), leaves(b._replace(source_index=None)), strict=True)
    return all(x.dtype == y.dtype and torch.equal(x, y[rows]) for x, y in pairs)


def identical(out, again):
    pairs = [*zip(out[:3], again[:3], strict=True), *zip(out.placement, again.placement, strict=True)]
    return all(torch.equal(a, b) for a, b in [*pairs, (out.status, again.status)])


@pytest.mark.parametrize(
    "settings",
    [
        EVERYTHING,
        {"p": 1.0, "object_transform": {"rigid": ["rotation"], "rotation_deg": 90.0, "intensity": ["noise"]}},
        {"p": 1.0, "object_transform": {"rigid": ["scaling"], "scale": 2.0, "intensity": ["none"]}},
        {"p": 1.0, "object_transform": None, "match": "rim", "min_visible": 0.3},
    ],
    ids=["everything", "quarter turns", "doubled", "not transformed"],
)
@pytest.mark.parametrize("shape", [(60, 52), (16, 30, 22)])
def test_sample_i_of_a_run_is_the_same_at_batch_sizes_1_3_and_16(shape, settings):
    """Bit for bit: how much of the frame is computed with a sample depends on the others, what it gets must not."""
    aug, inputs = SoftCP(**settings), with_sources(phantoms.batch(16, shape, channels=2, seed=9))
    inputs["source_mask"] = boxes(16, shape, lambda i: [1 + (i + a) % 4 for a in range(len(shape))])
    whole = in_chunks(aug, inputs, 16, seeded())
    assert (whole[3] == Status.PASTED).sum() > 2
    for size in (1, 3):
        parts = in_chunks(aug, inputs, size, seeded())
        for name, a, b in zip(["image", "mask", "soft", "status", "offset"], whole, parts, strict=False):
            assert torch.equal(a, b), (name, size, (a != b).flatten(1).any(1).nonzero().flatten().tolist())
        assert all(torch.equal(a, b) for a, b in zip(whole[5:], parts[5:], strict=True))


def test_params_are_a_pure_function_of_run_and_sample():
    aug, shape = SoftCP(**EVERYTHING), (20, 30)
    together = aug.draw(sample_seeds(3, torch.arange(16)), shape)
    for i in (0, 7, 15):
        assert same_params(aug.draw(sample_seeds(3, [i]), shape), together, rows=slice(i, i + 1))
    assert same_params(aug.draw(sample_seeds(3, torch.arange(16)), shape, own_source=False), together)
    assert not same_params(aug.draw(sample_seeds(4, torch.arange(16)), shape), together)


def test_two_runs_share_no_sample(batch):
    image, mask, _ = batch
    aug = SoftCP(p=1.0)
    first, second = (aug.augment(image, mask, generator=seeded(s)).params for s in (0, 1))
    assert not torch.isin(first.seed, second.seed).any()
    assert not torch.isin(first.candidate_u, second.candidate_u).any()


def test_noise_differs_from_sample_to_sample_and_from_slot_to_slot():
    image, mask = torch.zeros(4, 1, 24, 24), boxes(4, (24, 24), lambda i: (9, 9))
    image[..., 0, 0] = 1.0  # gives the noise a unit
    noise = {"rigid": ["none"], "intensity": ["noise"], "noise_sigma": 0.1}
    aug = SoftCP(p=1.0, placement="in_place", k_erode=0, k_dilate=0, object_transform=noise, max_lesion_overlap=1.0)
    out = aug.augment(image, mask, generator=seeded())
    both = out.image[:, 0, 8:17, 8:17].flatten(1)
    one = out.params.object.intensity._replace(noise_sigma=torch.tensor([[0.1, 0.0]] * 4))
    half = aug.augment(image, mask, params=out.params._replace(object=out.params.object._replace(intensity=one)))
    first = half.image[:, 0, 8:17, 8:17].flatten(1)
    fields = torch.cat([first, both - first])
    assert (torch.corrcoef(fields) - torch.eye(8)).abs().max() < 5 / 81**0.5
    assert abs(fields.std() - 0.1) < 0.1 * 5 / (2 * 81 * 8) ** 0.5


def test_params_replay_bit_for_bit(batch):
    aug, inputs = SoftCP(**EVERYTHING), {name: x[:9] for name, x in with_sources(batch).items()}
    out = aug.augment(**inputs, generator=seeded())
    assert {"pasted", "not_drawn"} <= set(out.status_labels())
    for params in (out.params, pickle.loads(pickle.dumps(out.params)), copy.deepcopy(out.params.to("cpu"))):
        assert identical(aug.augment(**inputs, params=params), out)
    assert identical(SoftCP(**EVERYTHING).eval().augment(**inputs, params=out.params), out)


def test_permuted_params_replay_bit_for_bit_too(batch):
    aug, inputs = SoftCP(**EVERYTHING), [x[:9] for x in batch]
    out = aug.augment(*inputs)
    assert identical(aug.augment(*inputs, params=out.params), out)


@pytest.mark.parametrize("alpha", [0.05, 0.05**0.2, 0.05**0.125, 0.05**0.1, (0.2, 0.05**0.2)])
def test_replay_has_as_many_rings_where_alpha_is_a_root_of_a_twentieth(alpha):
    image, mask = torch.rand(8, 1, 40, 40, generator=seeded()), boxes(8, (40, 40), lambda i: (3, 3))
    aug = SoftCP(p=1.0, alpha=alpha, object_transform=None)
    out = aug.augment(image, mask)
    assert identical(aug.augment(image, mask, params=out.params), out)
    assert (out.params.k_dilate <= aug.config.dilate_max).all()


@pytest.mark.parametrize("count", [2, 3, 5, 17])
def test_permuted_sources_are_each_used_once_and_never_by_themselves(count):
    aug, drawn = SoftCP(), set()
    for run in range(30):
        source = aug.draw(sample_seeds(run, torch.arange(count)), (16, 16), own_source=False).source_index
        assert sorted(source.tolist()) == list(range(count))
        assert (source != torch.arange(count)).all()
        drawn.add(int(source[0]))
    assert len(drawn) == min(count - 1, 16) or count == 17


def test_every_sample_gets_the_lesion_and_the_pixels_of_its_source():
    count = 5
    image = torch.arange(count).float().view(-1, 1, 1, 1).expand(count, 1, 20, 20) * 10
    mask = boxes(count, (20, 20), lambda i: (2, 2 + i))
    aug = SoftCP(p=1.0, k_erode=0, k_dilate=0, object_transform=None)
    out = aug.augment(image, mask, generator=seeded())
    source = out.params.source_index
    assert torch.equal(out.placement.area_px, 2 * (2 + source))
    for i, s in enumerate(source.tolist()):
        new = (out.mask != mask)[i, 0]
        assert new.sum() == 2 * (2 + s)
        assert out.image[i, 0][new].unique().tolist() == [10.0 * s]
        assert out.image[i, 0][~new].unique().tolist() == [10.0 * i]


@pytest.mark.parametrize("settings", [{"object_transform": None}, {"object_transform": OBJECT}, {"match": "rim"}])
@pytest.mark.parametrize("blend", BLENDS)
def test_labels_change_only_where_pixels_may_and_pixels_only_where_s_is_above_0(batch, settings, blend):
    image, mask, region = batch
    aug = SoftCP(p=0.8, k_erode=(0, 3), k_dilate=(0, 4), blend=blend, blend_sigma_px=0.5, **settings)
    out = aug.augment(image, mask, region, generator=seeded())
    pasted, soft = out.status == Status.PASTED, out.soft_mask
    assert 5 < pasted.sum() < 16
    assert (soft.flatten(1).any(1) == pasted).all()
    assert (soft >= 0).all()
    assert (soft <= 1).all()
    changed = out.mask != mask
    assert (soft > 0)[changed].all()
    assert (changed.flatten(1).any(1) == pasted).all()
    nowhere = (soft == 0).expand_as(image)
    assert torch.equal(out.image[nowhere], image[nowhere])
    peak = soft.flatten(1).amax(1).view(-1, *(1,) * (soft.ndim - 1))  # of a blurred mask of a few pixels below 1/2
    assert (out.image != image).any(1, keepdim=True)[(soft > 0) & (soft >= peak / 2)].float().mean() > 0.99


@pytest.mark.parametrize("k_erode", [0, 2])
@pytest.mark.parametrize("footprint", ["full", "cross"])
def test_the_whole_lesion_is_labelled_as_far_as_the_soft_mask_shows_it(batch, footprint, k_erode):
    image, mask, region = batch
    aug = SoftCP(p=1.0, k_erode=k_erode, k_dilate=2, footprint=footprint, object_transform=RIGID)
    out = aug.augment(image, mask, region, generator=seeded())
    whole = SoftCP(p=1.0, k_erode=0, object_transform=RIGID).augment(image, mask, region, params=out.params)
    added = (whole.mask != mask).flatten(1).sum(1)
    assert torch.equal(added, whole.placement.visible_px)
    assert torch.equal(added, whole.placement.area_px)
    assert torch.equal(out.mask, torch.where(out.soft_mask > 0, whole.mask, mask))


@pytest.mark.parametrize("settings", [{}, {"footprint": "cross"}, {"blend": "softcp-geometric"}, {"on_small": "skip"}])
def test_s_is_the_soft_mask_of_the_lesion_where_it_lies(batch, settings):
    image, mask, region = batch
    settings = dict(settings)
    ranges = {"alpha": (0.4, 0.8), "k_erode": (0, 3), "k_dilate": (0, 4), "object_transform": RIGID, **settings}
    aug = SoftCP(p=0.9, min_visible=0.7, **ranges)
    out = aug.augment(image, mask, region, generator=seeded())
    hard = SoftCP(p=0.9, min_visible=0.7, blend="hard", object_transform=RIGID)
    lesion = hard.augment(image, mask, region, params=out.params).soft_mask
    steps = out.params.k_erode, out.params.k_dilate, out.params.alpha
    profile = settings.pop("blend", "softcp").removeprefix("softcp-")
    expected = soft_mask(lesion, *steps, **{"footprint": "full", "profile": profile, **settings})
    expected[out.status != Status.PASTED] = 0
    assert torch.equal(out.soft_mask, expected)
    assert torch.isin(out.status, torch.tensor([Status.PASTED, Status.NOT_DRAWN, Status.LESION_TOO_SMALL])).all()


def test_what_blurs_into_the_lesion_comes_from_the_whole_source():
    """A tile of the frame is computed; two blurs reach twice as far as one."""
    image = torch.rand(3, 1, 72, 70, generator=seeded())
    mask = boxes(3, (72, 70), lambda i: (3, 4))
    blur = {"rigid": ["none"], "intensity": ["blur"], "blur_sigma_px": 1.5}
    aug = SoftCP(p=1.0, placement="in_place", k_dilate=2, max_lesion_overlap=1.0, object_transform=blur)
    out = aug.augment(image, mask, generator=seeded())
    source = image[out.params.source_index]
    for _ in range(2):
        source = gaussian_blur(source, torch.full((3,), 1.5), 6)
    assert torch.allclose(out.image, soft_paste(image, source, out.soft_mask), atol=2e-6)


def test_where_s_is_0_only_the_backgrounds_own_transform_acts(batch):
    image, mask, region = batch
    aug = SoftCP(p=1.0, object_transform=OBJECT, background_transform=IMAGE)
    out = aug.augment(image, mask, region, generator=seeded())
    without = aug.augment(image, mask, region, params=out.params._replace(apply=torch.zeros(16, dtype=torch.bool)))
    assert set(without.status_labels()) == {"not_drawn"}
    assert not torch.equal(without.image, image)
    nowhere = out.soft_mask == 0
    assert torch.equal(out.image[nowhere.expand_as(image)], without.image[nowhere.expand_as(image)])
    assert torch.equal(out.mask[nowhere], without.mask[nowhere])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_masks_hold_no_new_values_whatever_is_transformed(batch, dtype):
    image, mask, region = batch
    aug = SoftCP(**{**EVERYTHING, "lesion_labels": 3})
    out = aug.augment(image, mask.to(dtype) * 3, region, generator=seeded())
    assert set(out.mask.unique().tolist()) == {0, 3}


@pytest.mark.parametrize(
    "rule",
    [
        {"min_region_overlap": 0.5, "max_lesion_overlap": 0},
        {"min_region_overlap": 1.0, "max_lesion_overlap": 0.2},
        {"min_region_overlap": 3, "max_lesion_overlap": 2, "min_visible": 0.6},
        {"min_region_overlap": 0, "max_lesion_overlap": 1.0, "min_visible": 2},
        {"min_region_overlap": 0.25, "max_lesion_overlap": 0, "placement": "in_place"},
    ],
    ids=str,
)
def test_both_anatomical_bounds_and_the_visible_part_hold_in_the_result(batch, rule):
    image, mask, region = batch
    aug = SoftCP(p=1.0, k_erode=0, k_dilate=1, lesion_labels=(1, 2), object_transform=RIGID, **rule)
    source = {"source_image": image.roll(3, 0), "source_mask": mask.roll(3, 0) * 2}  # class 2: seen in the result
    out = aug.augment(image, mask, region, **source, generator=seeded())
    pasted, record = out.status == Status.PASTED, out.placement
    assert pasted.any()
    lesion = (out.mask == 2).flatten(1)
    seen, on_region = lesion.sum(1), (lesion & region.flatten(1)).sum(1)
    on_lesions = (lesion & (mask != 0).flatten(1)).sum(1)
    for found, recorded in (
        (seen, record.visible_px),
        (on_region, record.region_overlap_px),
        (on_lesions, record.lesion_overlap_px),
    ):
        assert torch.equal(found, recorded)

    def pixels(bound):
        return bound if isinstance(bound, int) else bound * record.area_px - 1e-6

    assert (on_region >= pixels(aug.config.bounds.min_region_overlap))[pasted].all()
    assert (seen >= pixels(aug.config.bounds.min_visible))[pasted].all()
    assert (on_lesions - 2e-6 <= pixels(aug.config.bounds.max_lesion_overlap))[pasted].all()
    assert not seen[~pasted].any()


def test_only_lesion_classes_travel_and_they_keep_their_ids():
    image = torch.rand(2, 1, 24, 24, generator=seeded())
    mask = torch.zeros(2, 24, 24, dtype=torch.int64)
    mask[:, 2:20, 2:20] = 3  # organ
    mask[0, 4:6, 4:9] = 5
    mask[0, 6:8, 4:9] = 7
    aug = SoftCP(p=1.0, k_erode=0, lesion_labels=[5, 7], other_labels=[3], object_transform=None, placement="in_place")
    out = aug.augment(image, mask, generator=seeded())
    assert out.status_labels() == ["empty_source", "pasted"]
    assert torch.equal(out.mask[0], mask[0])
    assert torch.equal(out.mask[1], mask[0])
    moved = SoftCP(p=1.0, lesion_labels=7, other_labels=[3, 5], object_transform=None).augment(image, mask)
    assert (moved.mask[1] == 7).sum() == 10
    assert not (moved.mask[1] == 5).any()


@pytest.mark.parametrize("dtype", [torch.uint16, torch.int32, torch.float64])
def test_large_class_ids_survive(dtype):
    image, mask = torch.rand(2, 1, 24, 24), boxes(2, (24, 24), lambda i: (2, 3)).to(torch.int32) * 40_000
    out = SoftCP(p=1.0, lesion_labels=40_000, object_transform=RIGID).augment(image, mask.to(dtype))
    assert out.mask.dtype == dtype
    assert out.mask.to(torch.int64).unique().tolist() == [0, 40_000]


def test_a_sample_without_its_region_gets_nothing(batch):
    image, mask, region = batch
    some = region.clone()
    some[::2] = False
    out = SoftCP(p=1.0, object_transform=None).augment(image, mask, some, generator=seeded())
    assert set(out.status[::2].tolist()) == {Status.NO_LEGAL_PLACE}
    assert (out.placement.region_overlap_px * 2 >= out.placement.area_px).all()


def test_every_status_is_reached_and_described():
    image, mask = torch.rand(5, 1, 20, 20, generator=seeded()), torch.zeros(5, 1, 20, 20)
    source_mask = torch.zeros(5, 1, 20, 20)
    source_mask[0, :, 5:10, 5:10] = 1
    source_mask[1, :, 5:10, 5:10] = 1
    source_mask[3, :, 5:7, 5:7] = 1
    source_mask[4, :, 5:10, 5:10] = 1
    mask[4] = 1
    aug = SoftCP(p=1.0, k_erode=2, on_small="skip", object_transform=None)
    params = aug.draw(sample_seeds(0, range(5)), (20, 20))
    params = params._replace(apply=torch.tensor([True, False, True, True, True]))
    out = aug.augment(image, mask, source_image=1 - image, source_mask=source_mask, params=params)
    assert out.status_labels() == ["pasted", "not_drawn", "empty_source", "lesion_too_small", "no_legal_place"]
    assert torch.equal(out.image[1:], image[1:])
    assert torch.equal(out.mask[1:], mask[1:])
    assert not out.soft_mask[1:].any()
    assert not any(field[1:].any() for field in out.placement)
    assert out.placement.k_erode[0] == 2


def test_a_lesion_too_small_for_the_erosion_is_pasted_with_the_steps_it_bears():
    image, source_mask = torch.rand(2, 1, 20, 20, generator=seeded()), boxes(2, (20, 20), lambda i: (3, 3 + 4 * i))
    aug = SoftCP(p=1.0, k_erode=3, placement="in_place", object_transform=None)
    out = aug.augment(image, torch.zeros_like(image), source_image=image, source_mask=source_mask)
    assert out.status_labels() == ["pasted", "pasted"]
    assert out.placement.k_erode.tolist() == [1, 1]


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_p_0_never_pastes_and_p_1_always_does(batch, p):
    image, mask, region = batch
    out = SoftCP(p=p, object_transform=None, min_region_overlap=0).augment(image, mask, region)
    assert set(out.status_labels()) == ({"pasted"} if p else {"not_drawn"})
    assert torch.equal(out.image, image) != bool(p)


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_p_is_the_share_of_samples_that_are_drawn(p):
    apply = SoftCP(p=p).draw(sample_seeds(0, torch.arange(4000)), (16, 16)).apply
    assert abs(apply.double().mean() - p) < 5 * (p * (1 - p) / 4000) ** 0.5


@pytest.mark.parametrize("settings", [{"object_transform": None}, {"object_transform": OBJECT}])
def test_rim_matching_makes_the_means_around_the_lesion_agree(batch, settings):
    image, mask, region = batch
    image = image.double()
    source = {"source_image": image.roll(3, 0) * 2 + 5, "source_mask": mask.roll(3, 0) * 2}
    differences = {}
    for match in ("none", "rim"):
        aug = SoftCP(p=1.0, k_dilate=4, lesion_labels=(1, 2), match=match, **settings)
        out = aug.augment(image, mask, region, **source, generator=seeded())
        rim = (out.soft_mask > 0) & (out.mask == 0)
        blended = (out.image - (1 - out.soft_mask) * image) / out.soft_mask  # the source, as it was pasted
        differences[match] = torch.stack(
            [(blended - image)[i][:, rim[i, 0]].mean(1) for i in range(16) if out.status[i] == Status.PASTED]
        )
    assert len(differences["rim"]) > 5
    assert differences["none"].abs().min() > 1
    assert differences["rim"].abs().max() < 1e-9


@pytest.mark.parametrize("shape", [(21, 21), (15, 15, 15)])
def test_in_place_keeps_the_position(shape):
    axes = len(shape)
    image = torch.rand(6, 1, *shape, generator=seeded())
    source_mask = boxes(6, shape, lambda i: (3,) * axes)
    free = {"source_image": 1 - image, "source_mask": source_mask, "generator": seeded()}
    plain = SoftCP(p=1.0, placement="in_place", k_erode=0, object_transform=None)
    out = plain.augment(image, torch.zeros_like(source_mask), **free)
    assert torch.equal(out.mask, source_mask)
    turned = SoftCP(p=1.0, placement="in_place", object_transform={"rigid": ["rotation", "flip"]})
    out = turned.augment(image, torch.zeros_like(source_mask), **free)
    assert not out.placement.offset_px.any()
    center = torch.tensor([length // 3 + 1.0 for length in shape])
    for lesion in out.mask[:, 0]:
        assert (lesion.nonzero().double().mean(0) - center).abs().max() < 0.5
    panned = SoftCP(p=1.0, placement="in_place", object_transform={"rigid": ["panning"], "shift": (0.1, 0.1)})
    out = panned.augment(image, torch.zeros_like(source_mask), **free)
    for lesion in out.mask[:, 0]:
        moved = lesion.nonzero().double().mean(0) - center
        assert (moved - 0.2 * torch.tensor(shape)).abs().max() <= 0.5  # two pans; labels move by whole pixels


def test_two_rigid_operations_act_first_to_last():
    aug = SoftCP(p=1.0, placement="in_place", k_erode=0, object_transform=RIGID)
    image = torch.rand(2, 1, 25, 25, generator=seeded())
    mask = torch.zeros(2, 1, 25, 25)
    mask[:, :, 9:18, 8:13] = 1
    mask[:, :, 14:18, 13:16] = 1
    params = aug.draw(sample_seeds(0, [0, 1]), (25, 25))
    flip, one, zero = torch.tensor([[1.0, -1.0]]), torch.ones(1, 2), torch.zeros(1, 2)
    angle = torch.tensor([[33.0]])
    turn_then_flip = params.object.rigid._replace(
        flip=torch.stack([torch.cat([one, flip]), torch.cat([flip, one])]),
        angle_deg=torch.tensor([[[33.0], [0.0]], [[0.0], [33.0]]]),
        scale=torch.ones(2, 2),
        shift_px=torch.zeros(2, 2, 2),
    )
    params = params._replace(object=params.object._replace(rigid=turn_then_flip))
    out = aug.augment(image, torch.zeros_like(mask), source_image=image, source_mask=mask, params=params)
    turn, mirror = rigid_matrix(one, angle, one[:, 0], zero), rigid_matrix(flip, 0 * angle, one[:, 0], zero)
    center = torch.tensor([[13.0, 11.5]])
    for i, order in enumerate(((turn, mirror), (mirror, turn))):
        expected = warp(mask[:1], about(center, compose(*order)), "nearest")
        assert torch.equal(out.mask[i : i + 1], expected)
    assert not torch.equal(out.mask[0], out.mask[1])


@pytest.mark.parametrize("shape", [(48, 50), (24, 25, 22)])
def test_no_pixel_of_a_transformed_lesion_is_lost(shape):
    """Drawn rigid operations against one warp of the whole frame by the matrix that they make."""
    count, axes = 12, len(shape)
    mask = torch.zeros(count, 1, *shape)
    for i in range(count):  # boxes, so that the corners reach farthest
        mask[(i, 0, *(slice(length // 2 - 3, length // 2 - 2 + (i + a) % 5) for a, length in enumerate(shape)))] = 1
    wild = {"rigid": ["rotation", "scaling", "panning"], "rotation_deg": (-180, 180), "scale": (0.7, 1.6)}
    aug = SoftCP(p=1.0, placement="in_place", k_erode=0, min_visible=1, object_transform=wild)
    params = aug.draw(sample_seeds(2, torch.arange(count)), shape)
    out = aug.augment(mask + 0.5, torch.zeros_like(mask), source_image=mask, source_mask=mask, params=params)
    rigid = params.object.rigid
    matrices = [rigid_matrix(*(field[:, slot].double() for field in rigid)) for slot in (0, 1)]
    pixels = [lesion[0].nonzero().double() for lesion in mask]
    center = torch.stack([(p.amin(0) + p.amax(0)) / 2 for p in pixels])
    assert center.shape == (count, axes)
    expected = warp(mask, about(center, compose(*matrices)), "nearest")
    assert torch.equal(out.mask, expected)
    assert torch.equal(out.placement.visible_px, expected.flatten(1).sum(1).long())


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("placement", ["uniform", "in_place"])
@pytest.mark.parametrize("on_small", ["shrink", "skip"])
def test_lesions_scaled_down_to_nothing_are_reported_as_too_small(axes, placement, on_small):
    shape = (16,) * axes
    image, mask = torch.rand(24, 1, *shape, generator=seeded()), torch.zeros(24, 1, *shape)
    shrink = {"rigid": ["scaling", "panning"], "scale": (0.05, 0.5)}
    aug = SoftCP(p=1.0, k_erode=1, placement=placement, on_small=on_small, object_transform=shrink)
    source_mask = boxes(24, shape, lambda i: (1 + i % 2,) * axes)
    out = aug.augment(image, mask, source_image=image, source_mask=source_mask, generator=seeded())
    vanished = out.placement.area_px == 0
    assert vanished.any()
    assert set(out.status[vanished].tolist()) == {Status.LESION_TOO_SMALL}
    assert set(out.status[~vanished].tolist()) <= {Status.PASTED}
    assert torch.equal(out.mask.flatten(1).any(1), ~vanished)
    assert out.image.isfinite().all()


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("placement", ["uniform", "in_place"])
def test_lesions_larger_than_the_frame_have_no_legal_place(axes, placement):
    shape = (18, 16, 17)[:axes]
    image, mask = torch.rand(3, 1, *shape, generator=seeded()), torch.ones(3, 1, *shape)
    grow = {"rigid": ["scaling"], "scale": (1.5, 10.0)}
    aug = SoftCP(p=1.0, placement=placement, object_transform=grow)
    out = aug.augment(image, torch.zeros_like(mask), source_image=image, source_mask=mask)
    assert set(out.status_labels()) == {"no_legal_place"}
    assert torch.equal(out.image, image)


def test_a_lesion_of_many_frames_shows_too_small_a_part_of_itself():
    """Scaled to 20 times the frame it has no legal place where 0.1 of it must be seen."""
    image, mask = torch.rand(2, 1, 16, 16, generator=seeded()), torch.ones(2, 1, 16, 16)
    grow = {"rigid": ["scaling"], "scale": 20**0.25}  # twice, each along two axes
    for placement in ("uniform", "in_place"):
        aug = SoftCP(p=1.0, placement=placement, min_visible=0.1, object_transform=grow)
        out = aug.augment(image, torch.zeros_like(mask), source_image=image, source_mask=mask)
        assert set(out.status_labels()) == {"no_legal_place"}


def test_a_lesion_as_large_as_the_frame_fits_in_one_place():
    image = torch.rand(2, 1, 9, 12, generator=seeded())
    aug = SoftCP(p=1.0, object_transform=None)
    out = aug.augment(image, torch.zeros(2, 9, 12), source_image=1 - image, source_mask=torch.ones(2, 9, 12))
    assert out.status_labels() == ["pasted", "pasted"]
    assert torch.equal(out.image, 1 - image)
    assert out.mask.all()


@pytest.mark.parametrize("shape", [(1, 24), (24, 1), (1, 1), (1, 20, 20), (20, 1, 1)])
def test_axes_of_length_1_work(shape):
    image, mask = torch.rand(4, 2, *shape, generator=seeded()), torch.zeros(4, 1, *shape)
    mask[(..., *(slice(length // 2, length // 2 + 3) for length in shape))] = 1
    aug = SoftCP(**{**EVERYTHING, "p": 1.0, "max_lesion_overlap": 1.0, "min_visible": 0.1})
    for out in (aug.augment(image, mask, generator=seeded(s)) for s in range(3)):
        assert out.image.isfinite().all()
        assert set(out.mask.unique().tolist()) <= {0.0, 1.0}
        assert "pasted" in out.status_labels()


def test_a_lesion_partly_outside_the_frame_is_cut_at_its_border():
    image, source_mask = torch.zeros(100, 1, 12, 12), boxes(100, (12, 12), lambda i: (4, 5))
    aug = SoftCP(p=1.0, k_erode=0, k_dilate=1, min_visible=0.3, object_transform=None)
    out = aug.augment(
        image, torch.zeros_like(image), source_image=image + 1, source_mask=source_mask, generator=seeded()
    )
    seen = out.mask.flatten(1).sum(1)
    assert torch.equal(seen.long(), out.placement.visible_px)
    assert (seen >= 6).all()
    assert 0.2 < (seen < 20).float().mean() < 0.9
    start = torch.tensor([4, 4]) + out.placement.offset_px
    for i in range(0, 100, 5):
        expected = torch.zeros(12, 12)
        (y, x) = start[i].tolist()
        expected[max(y, 0) : max(y + 4, 0), max(x, 0) : max(x + 5, 0)] = 1
        assert torch.equal(out.mask[i, 0], expected)


def test_gamma_and_noise_take_the_unit_that_is_given():
    """Soft tissue of 0 to 100 HU in a scan from air to metal: over its own range, gamma makes lung of it."""
    tissue = torch.rand(2, 1, 30, 30) * 100
    scan = tissue.clone()
    scan[..., 0, 0], scan[..., -1, -1] = -1024, 3071
    mask = torch.zeros(2, 1, 30, 30)
    mask[..., 12:18, 12:18] = 1
    op = {"rigid": ["none"], "intensity": ["gamma"], "gamma": 1.5}
    aug = SoftCP(p=1.0, k_erode=0, k_dilate=0, object_transform=op)
    call = {"source_image": scan, "source_mask": mask, "generator": seeded()}
    own = aug.augment(tissue, torch.zeros_like(mask), **call)
    limits = torch.tensor([0.0, 100.0]).expand(2, 1, 2)
    given = aug.augment(tissue, torch.zeros_like(mask), params=own.params, source_range=limits, **call)
    pasted = given.mask > 0
    assert own.image[pasted].max() < -300
    assert given.image[pasted].min() >= 0
    # Two slots of gamma 1.5, over 0 to 100.
    for i in range(2):
        expected = 100 * (scan[i][mask[i] > 0] / 100) ** 2.25
        assert torch.allclose(given.image[i][pasted[i]], expected, atol=1e-3)
