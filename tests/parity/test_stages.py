"""Each stage of the implementation against the function of the same name in the reference, on single inputs."""

import importlib

import numpy as np
import pytest
import torch

from softcp_gpu import functional, sampling
from softcp_gpu.functional import counter_rng, intensity, lesion, overlap, ranges, search, transforms
from softcp_gpu.modules import ImageTransform, ObjectTransform, SoftCP
from softcp_gpu.reference import noise, opencv
from softcp_gpu.types import Bounds
from tests.assertions import assert_close_in_range, assert_masks_match_in_edge_band
from tests.parity.helpers import KINDS, masks, one, reference, single_image, single_mask, textures

SHAPES = [(37, 53), (64, 48)]
SOFT, IMAGE = 1e-6, 1e-4  # of the range


@pytest.mark.parametrize("shape", [*SHAPES, (1, 9), (9, 1), (2, 2)])
@pytest.mark.parametrize("footprint", ["full", "cross"])
@pytest.mark.parametrize("profile", ["softcp", "geometric"])
@pytest.mark.parametrize("on_small", ["shrink", "skip"])
def test_soft_mask(shape, footprint, profile, on_small):
    rng = np.random.default_rng(1)
    mask = masks(rng, shape, KINDS * 3)
    count = len(mask)
    k_erode = torch.from_numpy(rng.integers(0, 5, count))
    k_dilate = torch.from_numpy(rng.integers(0, 12, count))
    alpha = torch.from_numpy(rng.uniform(0.05, 0.95, count)).float()
    how = {"footprint": footprint, "profile": profile, "on_small": on_small}
    soft = functional.soft_mask(mask, k_erode, k_dilate, alpha, **how)
    auto = functional.soft_mask(mask, 1, "auto", 0.7, **how)
    for i in range(count):
        steps = (int(k_erode[i]), int(k_dilate[i]), float(alpha[i]))
        expected = reference.soft_mask(single_mask(mask, i), *steps, **how)
        assert_close_in_range(soft[i, 0], expected, SOFT / (np.ptp(expected) or 1), "soft mask")
        expected = reference.soft_mask(single_mask(mask, i), 1, "auto", 0.7, **how)
        assert_close_in_range(auto[i, 0], expected, SOFT / (np.ptp(expected) or 1), "soft mask, auto")


@pytest.mark.parametrize("k_dilate", [0, 1, 126, 127, 253, 254, 300])
def test_soft_mask_with_few_and_many_steps(k_dilate):
    """Rings are counted in bytes as long as these can hold the count."""
    rng = np.random.default_rng(14)
    for shape in ((64, 53), (4, 320)):
        mask = masks(rng, shape, ("one", "border", "full"))
        soft = functional.soft_mask(mask, 1, k_dilate, torch.tensor(0.98, dtype=torch.float64))
        for i in range(3):
            expected = reference.soft_mask(single_mask(mask, i), 1, k_dilate, 0.98)
            assert single_mask(soft, i) == pytest.approx(expected, abs=1e-12)


def test_auto_k_dilate():
    alphas = np.arange(1, 1000) / 1000
    expected = [reference.auto_k_dilate(alpha) for alpha in alphas]
    assert [functional.auto_k_dilate(alpha) for alpha in alphas.tolist()] == expected
    assert functional.auto_k_dilate(torch.from_numpy(alphas)).tolist() == expected


def test_auto_k_dilate_of_roots_of_the_bound():
    steps = list(range(1, 40))
    alphas = [0.05 ** (1 / k) for k in steps]
    assert [reference.auto_k_dilate(alpha) for alpha in alphas] == steps
    assert [functional.auto_k_dilate(alpha) for alpha in alphas] == steps
    for dtype in (torch.float32, torch.float64):
        assert functional.auto_k_dilate(torch.tensor(alphas, dtype=dtype)).tolist() == steps


def test_copy_paste_union_and_rim():
    rng = np.random.default_rng(2)
    image, source = (textures(rng, 3, 2, (37, 53), low=-1000, high=500 * k) for k in (1, 3))
    mask = torch.from_numpy(rng.integers(0, 4, (3, 1, 37, 53)).astype(np.uint8))
    labels = torch.from_numpy(rng.integers(0, 4, (3, 1, 37, 53)).astype(np.uint8))
    soft = torch.from_numpy(rng.uniform(-1, 1, (3, 1, 37, 53)).clip(0).astype(np.float32))
    rim = masks(rng, (37, 53), ("one", "empty", "several"))
    copied, pasted = functional.soft_copy(source, soft), functional.soft_paste(image, source, soft)
    union, matched = functional.hard_union(mask, labels, labels > 1), functional.match_rim(source, image, rim)
    for i in range(3):
        a, b, s = single_image(source, i), single_image(image, i), single_mask(soft, i)
        assert_close_in_range(single_image(copied, i), reference.soft_copy(a, s), SOFT, "soft copy")
        assert_close_in_range(single_image(pasted, i), reference.soft_paste(b, a, s), SOFT, "soft paste")
        assert np.array_equal(single_image(pasted, i)[s == 0], b[s == 0])
        m, old = single_mask(labels, i), single_mask(mask, i)
        assert np.array_equal(single_mask(union, i), reference.hard_union(old, m, m > 1))
        expected = reference.match_rim(a, b, single_mask(rim, i))
        assert_close_in_range(single_image(matched, i), expected, SOFT, "rim")


def random_motion(rng, shape):
    """flip, angle, scale and shift of one rigid operation, NumPy."""
    shift = rng.uniform(-0.2, 0.2, 2) * shape
    return rng.choice([-1.0, 1.0], 2), rng.uniform(-180, 180, 1), rng.uniform(0.5, 2), shift


def batched(values):
    return (torch.as_tensor(value, dtype=torch.float64)[None] for value in values)


def test_matrices():
    rng = np.random.default_rng(3)
    for _ in range(20):
        first, second = (random_motion(rng, (37, 53)) for _ in range(2))
        center, size, start = rng.uniform(0, 50, 2), rng.uniform(0.1, 1, 2), rng.random(2)
        ours = functional.about(
            torch.from_numpy(center)[None],
            functional.compose(functional.rigid_matrix(*batched(first)), functional.rigid_matrix(*batched(second))),
        )
        both = reference.compose(reference.rigid_matrix(*first), reference.rigid_matrix(*second))
        assert ours[0].numpy() == pytest.approx(reference.about(center, both), abs=1e-10)
        crop = functional.crop_matrix(*batched((size, start)), (37, 53))
        assert crop[0].numpy() == pytest.approx(reference.crop_matrix(size, start, (37, 53)), abs=1e-10)
        moved = functional.translation(torch.from_numpy(center)[None])
        assert np.array_equal(moved[0].numpy(), reference.translation(center))


@pytest.mark.parametrize("shape", [*SHAPES, (160, 200), (1, 7)])
def test_warp(shape):
    rng = np.random.default_rng(4)
    image = textures(rng, 1, 2, shape, low=-1000, high=3000)
    pairs = []
    for _ in range(25):
        label = masks(rng, shape, [rng.choice(KINDS)]).float() * float(rng.integers(1, 5))
        middle = (np.array(shape) - 1) / 2
        matrix = reference.about(middle, reference.rigid_matrix(*random_motion(rng, shape)))
        origin, size = rng.integers(-10, 10, 2), (shape[0] + 3, shape[1] + 5)
        ours, where = torch.from_numpy(matrix)[None], torch.from_numpy(origin)[None]
        for how in ({}, {"origin": origin, "size": size}):
            on_tensors = how and {"origin": where, "size": size}
            warped = functional.warp(image, ours, "linear", **on_tensors)
            expected = reference.warp(single_image(image, 0), matrix, "linear", **how)
            assert_close_in_range(single_image(warped, 0), expected, IMAGE, "linear")
            warped = functional.warp(label, ours, "nearest", **on_tensors)
            pairs.append((single_mask(warped, 0), reference.warp(single_mask(label, 0), matrix, "nearest", **how)))
    assert_masks_match_in_edge_band(pairs, what="nearest")


@pytest.mark.parametrize("unit", [(0, 1), (-1000, 3000), (0, 65535)])
def test_gamma_and_noise(unit):
    rng = np.random.default_rng(5)
    image = textures(rng, 4, 3, (37, 53), low=unit[0], high=unit[1])
    image[0, 1] = 7.0  # a channel without a range
    low, high = functional.value_range(image)
    low, high = low + 0.1 * (high - low), high - 0.1 * (high - low)  # so that some values lie outside
    power, sigma = torch.tensor([0.4, 1.0, 1.7, 3.0]), torch.tensor([0.0, 0.05, 0.5, 2.0])
    seed = torch.tensor([0, 1, -5, 2**62])
    index = transforms.frame_index(image)
    curved = functional.gamma(image, power, low, high)
    noisy = functional.gaussian_noise(image, sigma, low, high, seed, 3, index)
    for i in range(4):
        x, ends = single_image(image, i), [v[i].flatten().numpy() for v in (low, high)]
        assert_close_in_range(single_image(curved, i), reference.gamma(x, float(power[i]), *ends), IMAGE, "gamma")
        expected = reference.gaussian_noise(x, float(sigma[i]), *ends, int(seed[i]), 3)
        assert_close_in_range(single_image(noisy, i), expected, IMAGE, "noise")


def test_small_gamma_keeps_the_least_value():
    x = np.linspace(-1, 1, 9, dtype=np.float32).reshape(1, 9, 1)
    image = torch.from_numpy(x)[None].movedim(-1, 1)
    for power in (0.3, 0.1, 0.01):
        ours = functional.gamma(image, torch.tensor([power]), *functional.value_range(image))
        expected = reference.gamma(x, power, *reference.value_range(x))
        assert_close_in_range(single_image(ours, 0), expected, IMAGE, "gamma")


def test_value_range():
    image = textures(np.random.default_rng(6), 2, 3, (9, 7), low=-5, high=2)
    for ours, expected in zip(
        functional.value_range(image), reference.value_range(single_image(image, 1)), strict=True
    ):
        assert np.array_equal(ours[1].flatten().numpy(), expected)


def test_noise_field_is_the_same_function():
    seed = torch.tensor([0, 1, -1, 2**63 - 1, -(2**63)])
    index = torch.arange(37 * 53).view(1, 37, 53).expand(5, -1, -1)
    field = counter_rng.normal_field(seed, 1001, index, 3, torch.float64)
    for i, value in enumerate(seed.tolist()):
        expected = noise.normal_field(value, 1001, (37, 53), 3)
        assert single_image(field, i) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shape", [*SHAPES, (5, 3), (1, 9)])  # the last two are shorter than the kernel
def test_blur(shape):
    rng = np.random.default_rng(7)
    image = textures(rng, 5, 2, shape, low=-1000, high=3000)
    sigma = torch.tensor([0.05, 0.3, 1.0, 2.5, 4.0])
    for radius in (0, 3, 10):
        blurred = functional.gaussian_blur(image, sigma, radius)
        for i in range(5):
            expected = reference.gaussian_blur(single_image(image, i), float(sigma[i]), radius)
            assert_close_in_range(single_image(blurred, i), expected, IMAGE, "blur")


def called(module, image, label):
    """What a module makes of a batch, and the seeds that it used."""
    moved = module(image, label, generator=torch.Generator().manual_seed(9))
    return moved, sampling.SeedStream().draw(len(image), torch.Generator().manual_seed(9))


@pytest.mark.parametrize("shape", SHAPES)
def test_image_transform(shape):
    rng = np.random.default_rng(9)
    module = ImageTransform(p_crop=0.7, crop=(0.3, 1.0), noise_sigma=(0.02, 0.1))
    image, label = textures(rng, 24, 2, shape, low=-1000, high=3000), masks(rng, shape, KINDS * 4).to(torch.uint8) * 3
    (moved, moved_label), seed = called(module, image, label)
    params, pairs = sampling.draw_image(seed, module.ranges, 2), []
    for i in range(24):
        drawn, noise_at = one(params, i), (module.blur_radius_px, int(seed[i]), opencv.IMAGE_NOISE)
        expected = reference.transform_image(single_image(image, i), drawn, *noise_at)
        assert_close_in_range(single_image(moved, i), expected, IMAGE, "image")
        expected = reference.crop_and_resize(single_mask(label, i), drawn, "nearest")
        pairs.append((single_mask(moved_label, i), expected))
    assert_masks_match_in_edge_band(pairs)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rigid", [["none"], list(ranges.RIGID_OPS)])
def test_object_transform(shape, rigid):
    rng = np.random.default_rng(10)
    module = ObjectTransform(rigid, rotation_deg=(-180, 180), scale=(0.5, 2), noise_sigma=(0.02, 0.1))
    image = textures(rng, 24, 2, shape, low=-1000, high=3000)
    label = masks(rng, shape, ("one", "several", "border", "pixel") * 6).to(torch.uint8) * 3
    (moved, moved_label), seed = called(module, image, label)
    params, pairs = sampling.draw_object(seed, module.ranges, shape), []
    on = torch.stack(
        [params.intensity.gamma != 1, params.intensity.noise_sigma > 0, params.intensity.blur_sigma_px > 0]
    )
    assert len({tuple(row) for row in on.movedim(1, 0).flatten(1).tolist()}) > 10  # of the 16 pairs of operations
    for i in range(24):
        arrays, noise_at = (single_image(image, i), single_mask(label, i)), (int(seed[i]), opencv.OBJECT_NOISE)
        expected, labels = reference.transform_object(*arrays, one(params, i), module.blur_radius_px, *noise_at)
        assert_close_in_range(single_image(moved, i), expected, IMAGE, "image")
        pairs.append((single_mask(moved_label, i), labels))
    assert_masks_match_in_edge_band(pairs)


@pytest.mark.parametrize("shape", SHAPES)
def test_transformed_lesion(shape, whole_frames):
    rng = np.random.default_rng(13)
    aug = SoftCP(object_transform={"rotation_deg": (-180, 180), "scale": (0.5, 2), "shift": (-0.5, 0.5)})
    label = masks(rng, shape, ("one", "several", "border", "pixel", "full") * 5).to(torch.uint8) * 3
    params = aug.draw(sampling.sample_seeds(8, torch.arange(25)), shape)
    results = [lesion.transformed_lesion(label, params, aug.config)]
    with whole_frames():
        results.append(lesion.transformed_lesion(label, params, aug.config._replace(bounds=Bounds(min_visible=0.5))))
    for ours in results:
        pairs = []
        for i in range(25):
            canvas, origin, matrix = reference.lesion_canvas(single_mask(label, i), one(params.object.rigid, i))
            assert ours.matrix[i].numpy() == pytest.approx(matrix, abs=1e-10)
            assert int(ours.area[i]) == int((ours.labels[i] > 0).sum())
            moved = np.zeros_like(canvas)
            pixels = np.argwhere(ours.labels[i, 0].numpy())
            moved[tuple((pixels + ours.home[i].numpy() - origin).T)] = ours.labels[i, 0].numpy()[tuple(pixels.T)]
            pairs.append((moved, canvas))
        assert_masks_match_in_edge_band(pairs)


BOUNDS = [
    (0.5, 0, 1.0),
    (1.0, 0, 1.0),
    (0.3, 0.25, 0.6),
    (1, 3, 1),
    (0, 1.0, 0.25),
    (4, 0, 5),
    (0.0, 0.0, 1.0),
    (0, 0.1, 0),
    (0.0, 2, 0.0),
]


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("region_kind", [None, "one", "empty"])
def test_legal_offsets_and_the_draw(bounds, region_kind):
    rng = np.random.default_rng(11)
    names = ("min_region_overlap", "max_lesion_overlap", "min_visible")
    for shape in [(19, 26), (24, 17)]:
        moving, others = masks(rng, shape), masks(rng, shape, KINDS[1:] + KINDS[:1])
        region = None if region_kind is None else masks(rng, shape, [region_kind] * 6)
        how = dict(zip(names, bounds, strict=True))
        legal = functional.legal_offsets(moving, region, others, **how)
        at_home = functional.legal_offsets(moving, region, others, in_place=True, **how)
        rank_u = torch.from_numpy(rng.random(6))
        offset, found = functional.draw_offset(legal, rank_u)
        for i in range(6):
            arrays = single_mask(moving, i), single_mask(region, i), single_mask(others, i)
            expected = reference.legal_offsets(*arrays, **how)
            assert np.array_equal(legal[i].numpy(), expected)
            assert np.array_equal(at_home[i].numpy(), reference.legal_offsets(*arrays, in_place=True, **how))
            drawn = reference.draw_offset(expected, float(rank_u[i]))
            assert bool(found[i]) == (drawn is not None)
            assert offset[i].tolist() == ([0, 0] if drawn is None else drawn.tolist())


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("candidates", [1, 16])
@pytest.mark.parametrize("with_region", [False, True])
def test_drawn_places(bounds, candidates, with_region, whole_frames):
    rng = np.random.default_rng(12)
    shape, sizes = (29, 23), [(1, 1), (3, 4), (7, 5), (12, 9), (29, 23), (31, 3)]
    window = torch.zeros(len(sizes), 1, 31, 23, dtype=torch.bool)
    for i, size in enumerate(sizes):
        box = rng.random(size) < 0.8
        box[0, 0] = box[-1, -1] = True  # its own box
        window[i, 0, : size[0], : size[1]] = torch.from_numpy(box)
    others = masks(rng, shape, ("several", "pixel", "several", "border", "empty", "one"))
    region = masks(rng, shape, ("one", "several", "border", "one", "full", "empty")) if with_region else None
    u, rank_u = torch.from_numpy(rng.random((6, candidates, 2))), torch.from_numpy(rng.random(6))
    area, size = window.flatten(1).sum(1), torch.tensor(sizes)

    def run():
        return search.find_origin(window, size, area, shape, region, others, Bounds(*bounds), u, rank_u)

    results = [run()]
    with whole_frames():
        results.append(run())
    for origin, found in results:
        for i, (h, w) in enumerate(sizes):
            arrays = single_mask(window, i)[:h, :w], shape, single_mask(region, i), single_mask(others, i)
            expected = reference.find_origin(*arrays, bounds, u[i].numpy(), float(rank_u[i]))
            assert bool(found[i]) == (expected is not None)
            assert expected is None or origin[i].tolist() == expected.tolist()
            if expected is not None:
                ours = overlap.overlaps_at(window, origin, shape, region, others)
                counts = reference.overlaps_at(arrays[0], expected, *arrays[1:])
                assert [int(count[i]) for count in ours] == list(counts)


def test_every_operation_is_known():
    """Above, each operation that can be drawn is compared; a new one needs its twin in the reference."""
    assert intensity.IntensityParams._fields == ("gamma", "noise_sigma", "blur_sigma_px")
    assert set(ranges.INTENSITY_OPS) == {"none", "gamma", "noise", "blur"}
    assert set(ranges.RIGID_OPS) == {"none", "flip", "rotation", "scaling", "panning"}


def test_an_older_opencv_is_refused(monkeypatch):
    monkeypatch.setattr("cv2.__version__", "4.11.0")
    with pytest.raises(ImportError, match=r"expected opencv-python-headless 5 or newer, found 4\.11\.0"):
        importlib.reload(reference)
