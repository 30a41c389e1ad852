import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy import stats

from softcp_gpu import SoftCP, Status
from softcp_gpu.functional import draw_offset, execution, legal_offsets, search
from softcp_gpu.types import Bounds

LIKELY = 1e-4  # p-values of fixed draws: a healthy generator fails one test in ten thousand, once
RULES = [
    {},
    {"min_region_overlap": 1.0},
    {"min_region_overlap": 2, "max_lesion_overlap": 1},
    {"min_region_overlap": 0.3, "max_lesion_overlap": 0.25, "min_visible": 0.6},
    {"min_region_overlap": 0, "max_lesion_overlap": 1.0, "min_visible": 1},
    {"min_region_overlap": 0.1, "max_lesion_overlap": 0.1, "min_visible": 0.1},
    {"min_region_overlap": 1, "max_lesion_overlap": 0.0, "min_visible": 3},
    {"min_region_overlap": 10**6},
]


def random_mask(shape, share, seed):
    return torch.rand((1, 1, *shape), generator=torch.Generator().manual_seed(seed)) < share


def brute_force(lesion, region, others, min_region_overlap=0.5, max_lesion_overlap=0, min_visible=1.0):
    """Every legal offset, by moving the lesion pixel by pixel; fractions are exact."""
    pixels, shape = lesion[0, 0].nonzero().tolist(), lesion.shape[2:]

    def least(bound):
        return bound if isinstance(bound, int) else Fraction(str(bound)) * len(pixels)

    legal = set()
    for offset in itertools.product(*(range(1 - length, length) for length in shape)):
        moved = [tuple(p + o for p, o in zip(pixel, offset, strict=True)) for pixel in pixels]
        seen = [m for m in moved if all(0 <= x < length for x, length in zip(m, shape, strict=True))]
        in_region = sum(bool(region[(0, 0, *m)]) for m in seen) if region is not None else None
        on_lesions = sum(bool(others[(0, 0, *m)]) for m in seen) if others is not None else 0
        enough = in_region is None or in_region >= least(min_region_overlap)
        if pixels and len(seen) >= least(min_visible) and enough and on_lesions <= least(max_lesion_overlap):
            legal.add(offset)
    return legal


def as_set(legal):
    middle = torch.tensor([length // 2 for length in legal.shape[1:]])
    return {tuple(offset) for offset in (legal[0].nonzero() - middle).tolist()}


def p_value(offsets, legal):
    """Of a chi-square test that the draws are uniform over the legal places; 0 if one is illegal."""
    values, counts = np.unique(np.asarray(offsets), axis=0, return_counts=True)
    if not {tuple(value) for value in values.tolist()} <= legal:
        return 0.0
    return stats.chisquare([*counts, *[0] * (len(legal) - len(counts))]).pvalue if len(legal) > 1 else 1.0


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("shape", [(6, 7), (1, 8), (3, 4, 5)])
def test_the_map_is_what_brute_force_finds(shape, rule):
    found = 0
    for seed in range(6):
        lesion = random_mask(shape, (0.06, 0.3, 0.6)[seed % 3], seed)
        region = None if seed == 3 else random_mask(shape, 0.8, seed + 100)
        others = None if seed % 4 == 0 else random_mask(shape, 0.1, seed + 200)
        expected = brute_force(lesion, region, others, **rule)
        legal = legal_offsets(lesion, region, others, **rule)
        assert legal.shape == (1, *(2 * length - 1 for length in shape))
        assert as_set(legal) == expected
        in_place = legal_offsets(lesion, region, others, **rule, in_place=True)
        assert as_set(in_place) == expected & {(0,) * len(shape)}
        found += len(expected)
    assert found or rule == RULES[-1]


def test_a_batch_gives_what_its_samples_give():
    lesion, region, others = (torch.cat([random_mask((6, 5), s, i) for i in range(4)]) for s in (0.2, 0.7, 0.1))
    together = legal_offsets(lesion, region, others)
    for i in range(4):
        at = slice(i, i + 1)
        assert torch.equal(together[at], legal_offsets(lesion[at], region[at], others[at]))


def test_an_empty_lesion_has_no_legal_place():
    nothing = torch.zeros(1, 1, 4, 5, dtype=torch.bool)
    legal = legal_offsets(nothing, min_visible=0)
    assert not legal.any()
    offset, found = draw_offset(legal, torch.tensor([0.7]))
    assert (offset.tolist(), found.tolist()) == ([[0, 0]], [False])


def test_fractions_are_of_the_lesions_own_area_and_bounds_are_inclusive():
    lesion, other = torch.zeros(2, 1, 1, 1, 100, dtype=torch.bool)
    lesion[..., :25] = True
    other[..., 40:80] = True
    legal = as_set(legal_offsets(lesion, other, min_region_overlap=0.28))  # 7 pixels, though 0.28 * 25 > 7 in floats
    assert legal == {(0, o) for o in range(40 + 7 - 25, 80 - 7 + 1)}
    lesion[..., :50] = True
    legal = as_set(legal_offsets(lesion, None, other, max_lesion_overlap=0.58))  # 29, though 0.58 * 50 < 29 in floats
    assert legal == {(0, o) for o in range(40 + 29 - 50 + 1)}
    assert 0.28 * 25 > 7
    assert 0.58 * 50 < 29


def test_counts_stay_exact_on_large_frames():
    frame, box = (300, 280), (150, 120)
    lesion, region = torch.zeros(2, 1, 1, *frame, dtype=torch.bool)
    lesion[..., : box[0], : box[1]] = True
    region[:] = random_mask(frame, 0.5, seed=0)
    sums = np.pad(region[0, 0].numpy(), ((1, 0), (1, 0))).astype(np.int64).cumsum(0).cumsum(1)
    (h, w) = box
    inside = sums[h:, w:] - sums[:-h, w:] - sums[h:, :-w] + sums[:-h, :-w]
    bound = int(np.median(inside))
    legal = legal_offsets(lesion, region, min_region_overlap=bound)[0, frame[0] - 1 :, frame[1] - 1 :]
    assert np.array_equal(legal[: inside.shape[0], : inside.shape[1]].numpy(), inside >= bound)


@pytest.mark.parametrize("shape", [(6, 7), (3, 4, 4)])
def test_equal_steps_of_the_draw_give_every_legal_place_equally_often(shape):
    legal = legal_offsets(random_mask(shape, 0.1, 3), min_visible=0.5)
    places, each = sorted(as_set(legal)), 7
    n = len(places)
    assert n > 20
    u = (torch.arange(n * each, dtype=torch.float64) + 0.5) / (n * each)
    offset, found = draw_offset(legal.expand(n * each, *legal.shape[1:]), u)
    assert found.all()
    assert sorted(map(tuple, offset.tolist())) == sorted(places * each)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_ends_of_the_draw_are_legal_places_too(dtype):
    legal = legal_offsets(random_mask((6, 7), 0.1, 3))
    ends = torch.tensor([0.0, torch.nextafter(torch.tensor(1.0, dtype=dtype), torch.tensor(0.0, dtype=dtype))])
    offset, found = draw_offset(legal.expand(2, -1, -1), ends.to(dtype))
    assert found.all()
    places = sorted(as_set(legal))
    assert [tuple(o) for o in offset.tolist()] == [places[0], places[-1]]


def test_draws_from_the_map_are_uniform():
    legal = legal_offsets(random_mask((7, 7), 0.1, 1), random_mask((7, 7), 0.5, 2))
    u = torch.rand(8000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    offset, _ = draw_offset(legal.expand(8000, -1, -1), u)
    assert p_value(offset.tolist(), as_set(legal)) > LIKELY


@pytest.fixture(params=["lesion by lesion", "whole frames"])
def draws(request, monkeypatch):
    """How many draws there is time for: on a CPU samples run one by one, elsewhere all at once on whole frames."""
    if request.param == "lesion by lesion":
        return 150
    monkeypatch.setattr(execution, "may_read_values", lambda x: False)
    return 5000


def lesion_in_the_corner(shape, pixels):
    lesion = torch.zeros(1, 1, *shape, dtype=torch.bool)
    for pixel in pixels:
        lesion[(0, 0, *pixel)] = True
    return lesion


def paste_everywhere(lesion, region, others, count, seed=0, **rule):
    """`count` draws of one lesion through SoftCP, without transforms."""

    def many(x):
        return None if x is None else x.expand(count, *x.shape[1:])

    aug = SoftCP(p=1.0, k_erode=0, k_dilate=0, object_transform=None, **rule)
    image = torch.zeros(lesion.shape)
    return aug.augment(
        many(image),
        many(torch.zeros_like(lesion) if others is None else others),
        many(region),
        source_image=many(image + 1),
        source_mask=many(lesion),
        generator=torch.Generator().manual_seed(seed),
    )


ELL = [(0, 0), (1, 0), (1, 1)]
TOWER = [(0, 0, 0), (1, 0, 0), (1, 1, 0)]


@pytest.mark.parametrize(
    ("pixels", "shape", "region_share", "others_share", "rule"),
    [
        (ELL, (8, 9), None, None, {}),
        (ELL, (8, 9), 0.7, 0.05, {}),
        (ELL, (11, 11), 0.04, 0.05, {"min_region_overlap": 1.0 / 3}),
        (ELL, (12, 12), 0.3, 0.2, {"min_region_overlap": 2}),  # few places: many draws come from the map
        (ELL, (7, 8), None, 0.5, {"min_visible": 0.3}),
        (ELL, (9, 8), 0.3, 0.5, {"min_visible": 1, "max_lesion_overlap": 1, "min_region_overlap": 0}),
        (TOWER, (4, 5, 6), 0.4, 0.1, {"min_region_overlap": 0.6}),
        (TOWER, (3, 4, 4), 0.5, 0.2, {"min_visible": 0.6}),
    ],
)
def test_draws_through_softcp_are_legal_and_uniform(pixels, shape, region_share, others_share, rule, draws):
    lesion = lesion_in_the_corner(shape, pixels)
    region = None if region_share is None else random_mask(shape, region_share, 11)
    others = None if others_share is None else random_mask(shape, others_share, 12)
    legal = brute_force(lesion, region, others, **rule)
    assert len(legal) > 3
    out = paste_everywhere(lesion, region, others, draws, **rule)
    assert (out.status == Status.PASTED).all()
    assert p_value(out.placement.offset_px.tolist(), legal) > LIKELY


def test_neither_the_candidates_nor_the_map_prefer_a_place(draws):
    """Places drawn as a candidate and places drawn from the map are two samples of one distribution."""
    lesion = lesion_in_the_corner((12, 12), ELL)
    legal = {(0, 0), (1, 8), (5, 5), (8, 1), (10, 10)}  # of 121: all candidates fail in half of the draws
    region = torch.stack([lesion.roll(offset, dims=(2, 3)) for offset in legal]).any(0)
    assert brute_force(lesion, region, None, min_region_overlap=1.0) == legal
    out = paste_everywhere(lesion, region, None, draws, min_region_overlap=1.0)
    hit = (out.params.candidate_u * 11).long().eq(out.placement.offset_px[:, None]).all(2).any(1)
    assert 0.25 < hit.double().mean() < 0.75
    for rows in (hit, ~hit):
        assert p_value(out.placement.offset_px[rows].tolist(), legal) > LIKELY


@pytest.mark.parametrize("shape", [(30, 31), (8, 9, 10)])
@pytest.mark.parametrize("min_visible", [1.0, 0.5])
def test_the_only_legal_place_is_found_every_time(shape, min_visible, draws):
    lesion = lesion_in_the_corner(shape, ELL if len(shape) == 2 else TOWER)
    target = tuple(length // 2 + 1 for length in shape)
    region = lesion.roll(target, dims=tuple(range(2, 2 + len(shape))))
    out = paste_everywhere(lesion, region, None, draws // 10, min_region_overlap=1.0, min_visible=min_visible)
    assert set(out.status_labels()) == {"pasted"}
    assert {tuple(o) for o in out.placement.offset_px.tolist()} == {target}


def test_the_only_gap_between_other_lesions_is_found_every_time():
    lesion = lesion_in_the_corner((20, 20), ELL)
    others = ~lesion.roll((13, 7), dims=(2, 3))
    out = paste_everywhere(lesion, None, others, 60)
    assert {tuple(o) for o in out.placement.offset_px.tolist()} == {(13, 7)}


@pytest.mark.parametrize("min_visible", [1.0, 0.5, 1])
def test_without_a_legal_place_nothing_is_pasted_and_the_record_says_so(min_visible):
    lesion, full = lesion_in_the_corner((8, 8), ELL), torch.ones(1, 1, 8, 8, dtype=torch.bool)
    out = paste_everywhere(lesion, None, full, 20, min_visible=min_visible)
    assert set(out.status_labels()) == {"no_legal_place"}
    assert not out.image.any()
    assert not out.soft_mask.any()
    assert not any(field.any() for field in out.placement)


@pytest.mark.parametrize("min_visible", [0, 0.0])
def test_a_pasted_lesion_is_seen_even_if_no_pixel_was_asked_for(min_visible, draws):
    lesion = lesion_in_the_corner((6, 6), [(0, 0), (3, 3)])  # its box may touch the frame where no pixel does
    out = paste_everywhere(lesion, None, None, draws, min_visible=min_visible)
    pasted = out.status == Status.PASTED
    assert pasted.any()
    assert out.mask.flatten(1).any(1)[pasted].all()


@pytest.mark.parametrize("rule", [{}, {"min_visible": 0.4}, {"min_visible": 0}])
def test_the_place_does_not_depend_on_the_other_lesions_of_the_batch(rule):
    shape, count = (12, 13), 20
    generator = torch.Generator().manual_seed(0)
    lesion = torch.zeros(count, 1, *shape, dtype=torch.bool)
    for i in range(count):
        lesion[i, :, 2 : 3 + i % 4, 1 : 2 + i % 7] = True
    others = torch.rand(count, 1, *shape, generator=generator) < 0.6
    region = torch.rand(count, 1, *shape, generator=generator) < 0.5
    aug = SoftCP(p=1.0, object_transform=None, k_erode=0, k_dilate=1, max_lesion_overlap=0.3, **rule)
    image = torch.zeros(count, 1, *shape)

    for organ in (None, region):
        args = {"source_image": image, "source_mask": lesion}
        together = aug.augment(image, others, organ, **args, generator=torch.Generator().manual_seed(1))
        for i in range(count):
            at = slice(i, i + 1)
            alone = aug.augment(
                image[at],
                others[at],
                None if organ is None else organ[at],
                source_image=image[at],
                source_mask=lesion[at],
                params=aug.draw(together.params.seed[at], shape),
            )
            assert together.status[i] == alone.status[0]
            assert torch.equal(together.placement.offset_px[i], alone.placement.offset_px[0])


@pytest.mark.parametrize("shape", [(40, 13), (17, 9, 11)])
def test_a_map_in_slabs_gives_the_places_of_the_whole_map(shape, monkeypatch):
    region, others = random_mask(shape, 0.6, 1), random_mask(shape, 0.02, 2)
    window = torch.ones((1, 1) + (3,) * len(shape), dtype=torch.bool)
    area = torch.tensor([window.sum()])
    size = torch.full((1, len(shape)), 3)
    nowhere = torch.zeros(1, 0, len(shape), dtype=torch.float64)  # no candidates: only the map is left

    def drawn():
        rule = Bounds(0.7, 0, 1.0)
        ranks = [torch.tensor([u], dtype=torch.float64) for u in np.linspace(0, 0.999, 40)]
        return [
            search.find_origin(window, size, area, shape, region, others, rule, nowhere, u)[0].tolist() for u in ranks
        ]

    whole = drawn()
    assert len(set(map(str, whole))) > 10
    seen = []
    correlate = search.overlap_maps
    monkeypatch.setattr(search, "_SLAB_PIXELS", 1)
    monkeypatch.setattr(search, "overlap_maps", lambda *args: seen.append(args[-1].number) or correlate(*args))
    assert drawn() == whole
    assert max(number[0] for number in seen) == 3  # no thicker than the lesion


def test_the_smallest_fraction_still_asks_for_a_pixel():
    region = torch.zeros(1, 1, 20, 20, dtype=torch.bool)
    region[..., 0, 0] = region[..., 19, 19] = True
    lesion = torch.zeros_like(region)
    lesion[..., 5:8, 5:8] = True
    assert torch.equal(
        legal_offsets(lesion, region, min_region_overlap=1e-9), legal_offsets(lesion, region, min_region_overlap=1)
    )


@pytest.mark.parametrize("transform", [None, {"rigid": ["none"], "intensity": ["none"]}])
def test_a_lesion_longer_than_two_frames_from_a_frame_of_its_own_has_places(transform):
    source = torch.zeros(1, 1, 4, 100)
    source[..., 1, 10:90] = 1
    frame = torch.zeros(1, 1, 16, 30)
    aug = SoftCP(p=1.0, object_transform=transform, min_visible=0.3, k_erode=0)
    assert aug.augment(frame, frame, source_image=source, source_mask=source).status_labels() == ["pasted"]


def test_in_place_keeps_the_offset_0_or_pastes_nothing():
    lesion = lesion_in_the_corner((8, 8), ELL)
    free = paste_everywhere(lesion, None, None, 5, placement="in_place")
    assert set(free.status_labels()) == {"pasted"}
    assert torch.equal(free.mask, lesion.expand(5, -1, -1, -1))
    taken = paste_everywhere(lesion, None, lesion, 5, placement="in_place")
    assert set(taken.status_labels()) == {"no_legal_place"}
