"""Volumes: the implementation against SciPy, stage by stage, and as a whole.

For the whole, SciPy takes the place of OpenCV under the reference: the other parts of it know no number of axes.
"""

import numpy as np
import pytest
import torch

from softcp_gpu import SoftCP, Status, functional, sampling
from softcp_gpu.functional import counter_rng
from softcp_gpu.modules import ImageTransform
from tests.assertions import assert_close_in_range, assert_masks_match_in_edge_band
from tests.parity.helpers import KINDS, masks, one, reference, single_image, single_mask, textures

blend, intensity, noise, opencv = reference.blend, reference.intensity, reference.noise, reference.opencv
reference_transforms = reference.transforms
ndimage = pytest.importorskip("scipy.ndimage", reason="needs SciPy")

SHAPE = (11, 22, 17)
SOFT, IMAGE = 1e-6, 1e-4  # of the range


def erode_core(mask, k_erode, footprint="full"):
    core, steps = mask.astype(bool), 0
    for _ in range(k_erode):
        eroded = ndimage.binary_erosion(
            core, ndimage.generate_binary_structure(3, 3 if footprint == "full" else 1), border_value=1
        )
        if not eroded.any():
            break
        core, steps = eroded, steps + 1
    return core, steps


def soft_mask(mask, k_erode, k_dilate, alpha, *, footprint="full", profile="softcp", on_small="shrink"):
    """The loop of the method's description."""
    core, steps = erode_core(mask, k_erode, footprint)
    soft = core.astype(float) * (on_small == "shrink" or steps == k_erode)
    for i in range(1, k_dilate + 1):
        support = ndimage.binary_dilation(
            soft > 0, ndimage.generate_binary_structure(3, 3 if footprint == "full" else 1)
        )
        ring = support & (soft == 0)
        soft = soft + (1 - soft) * alpha**i * support if profile == "softcp" else np.where(ring, alpha**i, soft)
    return soft


def rotation(axis, angle_deg):
    """Turns the first towards the second of the other two axes, in the order (z, y, x)."""
    first, second = (a for a in range(3) if a != axis)
    turn = np.eye(4)
    c, s = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    turn[[first, second], [first, second]] = c
    turn[first, second], turn[second, first] = -s, s
    return turn


def rigid_matrix(flip, angle_deg, scale, shift_px):
    """Flip, rotate about z, y and x in turn, scale, shift."""
    turns = [rotation(axis, angle) for axis, angle in enumerate(np.asarray(angle_deg, float))]
    stretch = np.diag([scale, scale, scale, 1])
    return reference.compose(np.diag([*flip, 1.0]), *turns, stretch, reference.translation(shift_px))


def warp(x, matrix, mode="linear", *, origin=(0, 0, 0), size=None):
    if x.ndim == 4:
        return np.stack([warp(c, matrix, mode, origin=origin, size=size) for c in np.moveaxis(x, -1, 0)], -1)
    inverse = np.linalg.inv(matrix) @ reference.translation(origin)
    how = {"order": 1, "mode": "nearest"} if mode == "linear" else {"order": 0, "mode": "grid-constant"}
    return ndimage.affine_transform(x.astype(float), inverse, output_shape=size or x.shape, **how)


def gaussian_blur(image, sigma_px, radius):
    reach = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (reach / sigma_px) ** 2)
    for axis in range(3):
        image = ndimage.correlate1d(image.astype(float), kernel / kernel.sum(), axis, mode="mirror")
    return image


def blur_mask(mask, sigma_px):
    return gaussian_blur(mask, sigma_px, int(np.ceil(4 * sigma_px)))


def carve(lesion, carve_u):
    inside, outside = ndimage.distance_transform_edt(lesion), ndimage.distance_transform_edt(~lesion)
    reach = (carve_u - 0.5 if carve_u < 0.5 else 2 * carve_u - 1) * inside.max()
    return np.where(lesion, -inside, outside) <= reach


def legal_by_moving(lesion, region, others, min_region_overlap, max_lesion_overlap, min_visible):
    """Moves the lesion to every offset, one by one, and counts."""
    pixels, area = np.argwhere(lesion), int(lesion.sum())
    legal = np.zeros([2 * length - 1 for length in lesion.shape], bool)
    for index in np.ndindex(*legal.shape):
        moved = pixels + np.array(index) - (np.array(lesion.shape) - 1)
        moved = tuple(moved[((moved >= 0) & (moved < lesion.shape)).all(1)].T)
        legal[index] = (
            len(moved[0]) >= min_visible * area
            and region[moved].sum() >= min_region_overlap * area
            and others[moved].sum() <= max_lesion_overlap * area
        )
    return legal


@pytest.fixture
def volumes(monkeypatch):
    """The reference on volumes."""
    own = {f.__name__: f for f in (erode_core, soft_mask, rigid_matrix, warp, gaussian_blur, blur_mask, carve)}
    replaced = set()
    for module in (blend, intensity, opencv, reference_transforms):
        for name in own.keys() & vars(module).keys():
            monkeypatch.setattr(module, name, own[name])
            replaced.add(name)
    assert replaced == own.keys()


@pytest.mark.parametrize("footprint", ["full", "cross"])
@pytest.mark.parametrize("profile", ["softcp", "geometric"])
@pytest.mark.parametrize("on_small", ["shrink", "skip"])
def test_soft_mask(footprint, profile, on_small):
    rng = np.random.default_rng(51)
    mask = masks(rng, SHAPE, KINDS * 3)
    k_erode, k_dilate = (torch.from_numpy(rng.integers(0, most, len(mask))) for most in (4, 9))
    alpha = torch.from_numpy(rng.uniform(0.05, 0.95, len(mask))).float()
    how = {"footprint": footprint, "profile": profile, "on_small": on_small}
    soft = functional.soft_mask(mask, k_erode, k_dilate, alpha, **how)
    for i in range(len(mask)):
        expected = soft_mask(single_mask(mask, i), int(k_erode[i]), int(k_dilate[i]), float(alpha[i]), **how)
        assert single_mask(soft, i) == pytest.approx(expected, abs=SOFT)


@pytest.mark.parametrize("spacing", [(5.0, 0.6, 0.6), (1.0, 1.0, 1.0), (2.5, 1.3, 0.4)])
def test_soft_mask_in_millimetres(spacing):
    rng = np.random.default_rng(52)
    mask = masks(rng, SHAPE, ("one", "several", "border", "pixel") * 3)
    for k_erode, k_dilate in ((0, 5), (1, 3), (3, 7)):
        soft = functional.soft_mask(mask, k_erode, k_dilate, 0.7, spacing=spacing)
        for i in range(len(mask)):
            depth = ndimage.distance_transform_edt(single_mask(mask, i), sampling=spacing)
            steps = max(k for k in range(k_erode + 1) if k == 0 or (depth > k + 1e-4).any())
            core = depth > steps + 1e-4 if steps else depth > 0
            away = ndimage.distance_transform_edt(~core, sampling=spacing)
            ring = np.ceil(away - 1e-4).clip(0, k_dilate + 1).astype(int)
            table = [1 - np.prod(1 - 0.7 ** np.arange(d, k_dilate + 1.0)) for d in range(1, k_dilate + 1)]
            assert single_mask(soft, i) == pytest.approx(np.array([1, *table, 0])[ring], abs=SOFT)


def random_motion(rng, shape):
    shift = rng.uniform(-0.2, 0.2, 3) * shape
    return rng.choice([-1.0, 1.0], 3), rng.uniform(-180, 180, 3), rng.uniform(0.5, 2), shift


def test_warp():
    rng = np.random.default_rng(53)
    image, pairs = textures(rng, 1, 2, SHAPE, low=-1000, high=3000), []
    for _ in range(25):
        motion = random_motion(rng, SHAPE)
        ours = functional.rigid_matrix(*(torch.as_tensor(v, dtype=torch.float64)[None] for v in motion))
        assert ours[0].numpy() == pytest.approx(rigid_matrix(*motion), abs=1e-12)
        matrix = reference.about((np.array(SHAPE) - 1) / 2, rigid_matrix(*motion))
        origin, size = rng.integers(-5, 5, 3), (9, 25, 19)
        label = masks(rng, SHAPE, [rng.choice(KINDS)]).float() * 3
        where = {"origin": torch.from_numpy(origin)[None], "size": size}
        warped = functional.warp(image, torch.from_numpy(matrix)[None], "linear", **where)
        expected = warp(single_image(image, 0), matrix, "linear", origin=origin, size=size)
        assert_close_in_range(single_image(warped, 0), expected, IMAGE, "linear")
        warped = functional.warp(label, torch.from_numpy(matrix)[None], "nearest", **where)
        expected = warp(single_mask(label, 0), matrix, "nearest", origin=origin, size=size)
        pairs.append((single_mask(warped, 0), expected))
    assert_masks_match_in_edge_band(pairs)


def test_blur():
    image = textures(np.random.default_rng(54), 4, 2, SHAPE, low=-1000, high=3000)
    sigma = torch.tensor([0.1, 0.6, 1.5, 4.0])
    for radius in (1, 6, 16):  # the last is longer than the first axis
        blurred = functional.gaussian_blur(image, sigma, radius)
        for i in range(4):
            expected = gaussian_blur(single_image(image, i), float(sigma[i]), radius)
            assert_close_in_range(single_image(blurred, i), expected, IMAGE, "blur")


def test_noise():
    index = torch.arange(np.prod(SHAPE)).view(1, *SHAPE)
    field = counter_rng.normal_field(torch.tensor([5]), 7, index, 2, torch.float64)
    assert single_image(field, 0) == pytest.approx(noise.normal_field(5, 7, SHAPE, 2), abs=1e-12)


@pytest.mark.parametrize("bounds", [(0.5, 0.0, 1.0), (0.3, 0.2, 0.6)])
def test_legal_offsets(bounds):
    rng = np.random.default_rng(55)
    kinds = ["one", "border", "pixel"], ["full", "several", "one"], ["several"] * 3
    lesion, region, others = (masks(rng, (5, 9, 7), k) for k in kinds)
    how = dict(zip(("min_region_overlap", "max_lesion_overlap", "min_visible"), bounds, strict=True))
    legal = functional.legal_offsets(lesion, region, others, **how)
    for i in range(3):
        arrays = [single_mask(m, i) for m in (lesion, region, others)]
        expected = legal_by_moving(*arrays, *bounds)
        assert expected.any()
        assert np.array_equal(legal[i].numpy(), expected)
        assert np.array_equal(reference.legal_offsets(*arrays, **how), expected)


def test_image_transform(volumes):
    rng = np.random.default_rng(56)
    module = ImageTransform(p_crop=0.7, crop=(0.4, 1.0), noise_sigma=(0.02, 0.1))
    image, label = textures(rng, 12, 2, SHAPE, low=-1000, high=3000), masks(rng, SHAPE, KINDS * 2)
    moved, moved_label = module(image, label, generator=torch.Generator().manual_seed(9))
    seed = sampling.SeedStream().draw(12, torch.Generator().manual_seed(9))
    params, pairs = sampling.draw_image(seed, module.ranges, 3), []
    for i in range(12):
        drawn, noise_at = one(params, i), (module.blur_radius_px, int(seed[i]), opencv.IMAGE_NOISE)
        expected = reference.transform_image(single_image(image, i), drawn, *noise_at)
        assert_close_in_range(single_image(moved, i), expected, IMAGE, "image")
        expected = reference.crop_and_resize(single_mask(label, i), drawn, "nearest")
        pairs.append((single_mask(moved_label, i), expected))
    assert_masks_match_in_edge_band(pairs)


SETTINGS = {
    "as it comes": {},
    "visible in part": {"min_visible": 0.3, "max_lesion_overlap": 3, "k_erode": (0, 2), "k_dilate": (0, 6)},
    "in place": {"placement": "in_place", "max_lesion_overlap": 1.0, "min_visible": 0.5, "footprint": "cross"},
    "hard": {"blend": "hard", "min_visible": 0.3},
    "gaussian mask": {"blend": "gaussian-mask", "blend_sigma_px": 0.9, "match": "rim", "min_visible": 0.3},
    "gaussian intensity": {"blend": "gaussian-intensity", "blend_sigma_px": 0.9},
    "carvemix": {"blend": "carvemix", "min_visible": 0.3},
    "all": {"match": "rim", "background_transform": {}, "image_transform": {}},
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("with_region", [False, True])
def test_end_to_end(name, with_region, volumes):
    rng = np.random.default_rng(57)
    aug = SoftCP(p=0.95, **SETTINGS[name])
    image = textures(rng, 6, 2, SHAPE, low=-1000, high=2000)
    mask = masks(rng, SHAPE, ("one", "several", "border", "pixel", "empty", "one")).to(torch.uint8)
    region = masks(rng, SHAPE, ["full"] * 5 + ["one"]) if with_region else None
    out = aug.augment(image, mask, region, generator=torch.Generator().manual_seed(2))
    assert "pasted" in out.status_labels()
    pairs = []
    for i in range(6):
        source = int(out.params.source_index[i])
        arrays = [single_image(image, i), single_mask(mask, i), single_mask(region, i)]
        arrays += [single_image(image, source), single_mask(mask, source)]
        expected = opencv.soft_cp(*arrays, one(out.params, i), aug.config)
        assert Status(int(out.status[i])).label == expected.status
        assert out.placement.offset_px[i].tolist() == expected.offset_px.tolist()
        counts = [int(field[i]) for field in out.placement[1:]]
        assert counts == [expected.area_px, *expected.counts, expected.k_erode]
        assert_close_in_range(out.soft_mask[i, 0], expected.soft_mask, IMAGE if aug.image_transform else SOFT, "soft")
        assert_close_in_range(single_image(out.image, i), expected.image, IMAGE, "result")
        pairs.append((single_mask(out.mask, i), expected.mask))
    assert_masks_match_in_edge_band(pairs)
