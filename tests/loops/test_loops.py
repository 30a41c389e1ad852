"""Loops give what plain torch gives, and the same bits in every company."""

import os
import re
import subprocess
import sys
import warnings
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from softcp_gpu import SoftCP, SoftMask, loops, phantoms
from softcp_gpu.functional import looped_paste, soft_mask, transforms
from softcp_gpu.functional.geometry import warp, warp_box
from softcp_gpu.functional.ranges import ImageRanges
from softcp_gpu.functional.windows import bounding_box
from softcp_gpu.loops import jit_images, jit_labels, jit_lesion, jit_soft, jit_spans, jit_values, soft_loops
from softcp_gpu.sampling import draw_image
from softcp_gpu.types import map_params

SHAPES = pytest.mark.parametrize("shape", [(96, 80), (24, 40, 32)], ids=["2-D", "3-D"])
ALL = {"background_transform": {}, "image_transform": {}}
OPTIONS = {
    "default": {},
    "all transforms": ALL,
    "matched": {**ALL, "match": "rim"},
    "carvemix": {**ALL, "blend": "carvemix"},
    "cross": {"footprint": "cross", "k_erode": (0, 6), "k_dilate": (0, 12), "blend": "softcp-geometric"},
    "skip": {"k_erode": 4, "on_small": "skip", "k_dilate": "auto", "alpha": (0.5, 0.95)},
    "in part": {"min_visible": 0.3, "max_lesion_overlap": 9, "min_region_overlap": 0},
    "in place": {"placement": "in_place", "max_lesion_overlap": 0.9},
    "crowded": {"min_region_overlap": 0.999, "max_lesion_overlap": 0},
}
RANGES = ImageRanges(
    0.6, 0.6, 0.6, 0.6, crop=(0.5, 1.0), gamma=(0.1, 4.0), noise_sigma=(0.0, 0.2), blur_sigma_px=(0.3, 2.0)
)


@pytest.fixture
def used(monkeypatch):
    """The names of the loops that ran."""
    from softcp_gpu.loops import image_loops, paste_loops, soft_loops

    names = []
    there = {
        image_loops: ("transform_images", "transform_tiles", "crop_labels", "warp_labels"),
        paste_loops: ("look", "find_places", "paste"),
        soft_loops: ("soften", "soften_masks"),
    }
    for module, name in [(module, name) for module, names_there in there.items() for name in names_there]:
        original = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *x, n=name, f=original, **y: (names.append(n), f(*x, **y))[1])
    return names


def both(run):
    with loops.unused():
        plain = run()
    return run(), plain


def assert_near(found, expected, width=1.0):
    assert found.dtype == expected.dtype
    assert torch.allclose(found, expected, rtol=0, atol=2e-5 * width)


@SHAPES
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_call(shape, options, used):
    image, mask, region = phantoms.batch(6, shape, channels=2)
    image = image * 400 - 100
    aug = SoftCP(p=0.8, **options)
    region = None if "min_visible" in options else region
    params = aug.draw(torch.arange(6), shape)
    found, expected = both(lambda: aug.augment(image, mask, region, params=params))
    together = "match" not in options and options.get("blend") != "carvemix"
    assert ({"look", "find_places", "soften", "paste"} <= set(used)) == together
    assert ({"transform_tiles", "warp_labels"} <= set(used)) == (not together)
    assert ({"transform_images", "crop_labels"} <= set(used)) == bool(ALL.keys() & options.keys())
    assert torch.equal(found.status, expected.status)
    assert torch.equal(found.mask, expected.mask)
    assert all(map(torch.equal, found.placement, expected.placement))
    assert_near(found.image, expected.image, 500)
    assert_near(found.soft_mask, expected.soft_mask)


@SHAPES
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("seed", range(4))
def test_whole_images(shape, dtype, seed, used):
    image = torch.rand(5, 3, *shape, generator=torch.Generator().manual_seed(seed)).to(dtype)
    image[0] = 7  # without a range
    drawn = torch.arange(5) + 100 * seed
    params = draw_image(drawn, RANGES, len(shape))
    given = image.clone()
    found, expected = both(lambda: transforms.transform_image(image, params, 8, drawn, 3000))
    assert used
    assert torch.equal(image, given)
    assert_near(found.float(), expected.float(), 1 if dtype == torch.float32 else 200)
    over = transforms.transform_image(image.clone(), params, 8, drawn, 3000, over=True)
    assert torch.equal(over, found)


@SHAPES
@pytest.mark.parametrize("footprint", ["full", "cross"])
@pytest.mark.parametrize("on_small", ["shrink", "skip"])
@pytest.mark.parametrize("profile", ["softcp", "geometric"])
def test_soft_masks(shape, footprint, on_small, profile, used):
    noise = torch.rand(6, 1, *shape, generator=torch.Generator().manual_seed(1))
    mask = torch.nn.functional.avg_pool2d(noise.flatten(0, -3), 7, 1, 3).view_as(noise) > 0.52
    mask[0] = False
    mask[1] = True
    mask[2] = False
    mask[2, ..., 5:8, :9] = True  # at the border, and eroded by less than it is asked for
    steps = {"k_erode": torch.tensor([0, 1, 2, 3, 0, 5]), "k_dilate": torch.tensor([0, 1, 4, 9, 14, 3])}
    alpha = torch.linspace(0.3, 0.9, 6)
    how = {"footprint": footprint, "on_small": on_small, "profile": profile}
    found, expected = both(lambda: soft_mask(mask, alpha=alpha, **steps, **how))
    assert used == ["soften_masks"]
    assert expected[3:].amax() > 0
    assert torch.equal(found, expected)
    found, expected = both(lambda: soft_mask(mask, 1, "auto", 0.8, **how))
    assert torch.equal(found, expected)
    assert used == ["soften_masks"] * 2


@pytest.mark.parametrize("kept", [0, soft_loops._KEPT], ids=["fresh memory", "used memory"])
def test_soft_masks_lie_among_zeros_whatever_was_there(kept, monkeypatch):
    monkeypatch.setattr(soft_loops, "_KEPT", kept)
    image, mask, region = phantoms.batch(4, (64, 48))
    mask[1] = 0
    monkeypatch.setattr(soft_loops, "np", SimpleNamespace(**{**vars(np), "empty": np.ones}))
    aug = SoftCP(p=1.0)
    params = aug.draw(torch.arange(4), (64, 48))
    found, expected = both(lambda: aug.augment(image, mask, region, params=params))
    assert torch.equal(found.soft_mask, expected.soft_mask)
    assert torch.equal(*both(lambda: soft_mask(mask, 1, 9, 0.7)))


def test_more_rings_than_a_byte_counts(used):
    mask = torch.zeros(1, 1, 1, 300, dtype=torch.bool)
    mask[..., 0] = True
    assert SoftMask(alpha=0.99, k_dilate=260, k_erode=0)(mask).count_nonzero() == 261
    assert not used


@SHAPES
def test_a_blur_in_both_slots_at_the_borders_of_lesion_and_frame(shape):
    image, mask, region = phantoms.batch(6, shape, channels=2)
    aug = SoftCP(p=1.0, object_transform={"intensity": ("blur",), "blur_sigma_px": (1.0, 5.0)}, max_lesion_overlap=9)
    params = aug.draw(torch.arange(6), shape)
    found, expected = both(lambda: aug.augment(image, mask, torch.ones_like(region), params=params))
    assert (found.status == 0).any()
    assert_near(found.image, expected.image)


@pytest.mark.parametrize("shape", [(1, 9, 14), (5, 6, 7)])
@pytest.mark.parametrize("margin", [0, 1, 3, 20])
def test_spans(shape, margin):
    weight = (torch.rand(8, *shape, generator=torch.Generator().manual_seed(margin)) > 0.93).float()
    weight[0] = 0
    for one in weight:
        near = torch.nn.functional.max_pool3d(one[None], 2 * margin + 1, 1, margin)[0] > 0
        first, last = near.int().argmax(2), shape[2] - near.flip(2).int().argmax(2)
        expected = torch.stack([first, last], -1) * near.any(2)[..., None]
        assert torch.equal(torch.from_numpy(jit_spans.spans_of(one.numpy(), margin)), expected)


def test_an_axis_shorter_than_the_blur():
    drawn = torch.arange(3)
    params = draw_image(drawn, RANGES._replace(p_blur=1.0), 3)
    image = torch.rand(3, 1, 3, 2, 5)
    assert_near(*both(lambda: transforms.transform_image(image, params, 8, drawn, 3000)))


@SHAPES
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int16, torch.uint16, torch.int32, torch.int64])
def test_labels(shape, dtype, used):
    labels = torch.randint(0, 2 if dtype == torch.bool else 99, (4, 1, *shape)).to(dtype)
    params = draw_image(torch.arange(4), RANGES, len(shape))
    found, expected = both(lambda: transforms.crop_and_resize(labels, params, "nearest"))
    assert used == ["crop_labels"]
    assert torch.equal(found, expected)
    axes = len(shape)
    matrix = torch.eye(axes + 1, dtype=torch.float64).repeat(4, 1, 1)
    matrix[:, :axes, :axes] += torch.rand(4, axes, axes, dtype=torch.float64) - 0.5
    origin = torch.randint(-9, 9, (4, axes))
    box = bounding_box(labels != 0)[:2]
    found, expected = both(lambda: warp_box(labels, *box, matrix, origin, shape))
    assert used == ["crop_labels", "warp_labels"]
    assert torch.equal(found, expected)
    assert torch.equal(found, warp(labels, matrix, "nearest", origin=origin, size=shape))


@pytest.mark.parametrize("layout", ["channels last", "every second row", "flipped"])
def test_any_layout(layout):
    image, mask, region = phantoms.batch(4, (64, 48), channels=3)
    aug = SoftCP(p=1.0, **ALL)
    params = aug.draw(torch.arange(4), (64, 48))
    expected = aug.augment(image, mask, region, params=params)
    if layout == "channels last":
        image = image.contiguous(memory_format=torch.channels_last)
    elif layout == "every second row":
        image, mask = (torch.stack([x, x], 3).flatten(2, 3)[:, :, ::2] for x in (image, mask))
    else:
        image, mask, region = (x.flip(3).contiguous().flip(3) for x in (image, mask, region))
    found = aug.augment(image, mask, region, params=params)
    assert torch.equal(found.image, expected.image)
    assert torch.equal(found.mask, expected.mask)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_sample_gets_the_same_bits_in_every_company(threads):
    image, mask, region = phantoms.batch(7, (160, 128), channels=3)
    aug = SoftCP(p=1.0, **ALL)
    params = aug.draw(torch.arange(7), (160, 128))
    source, labels = image[params.source_index], mask[params.source_index]
    own = params._replace(source_index=torch.arange(7))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        whole = aug.augment(image, mask, region, source_image=source, source_mask=labels, params=own)
    finally:
        torch.set_num_threads(before)
    for i in range(7):
        rows = slice(i, i + 1)
        one = own.rows(rows)._replace(source_index=torch.zeros(1, dtype=torch.int64))
        given = {"source_image": source[rows], "source_mask": labels[rows], "params": one}
        alone = aug.augment(image[rows], mask[rows], region[rows], **given)
        assert torch.equal(alone.image, whole.image[rows])
        assert torch.equal(alone.soft_mask, whole.soft_mask[rows])


def test_where_a_gradient_is_asked_for_torch_works(used):
    image, mask, region = phantoms.batch(4, (48, 48))
    image.requires_grad_()
    out, _ = SoftCP(p=1.0, **ALL)(image, mask, region)
    out.sum().backward()
    assert set(used) <= {"crop_labels", "warp_labels"}  # labels have no gradient
    assert image.grad is not None


def test_without_gradients_what_could_have_them_is_computed_by_loops(used):
    image, mask, region = phantoms.batch(4, (48, 48))
    aug = SoftCP(p=1.0, **ALL)
    params = aug.draw(torch.arange(4), (48, 48))
    expected = aug.augment(image, mask, region, params=params)
    wanted = map_params(params, lambda t: t.clone().requires_grad_() if t.is_floating_point() else t)
    limits = torch.stack([image.amin((2, 3)), image.amax((2, 3))], 2).requires_grad_()
    before = len(used)
    with torch.no_grad():
        found = aug.augment(image.clone().requires_grad_(), mask, region, params=wanted, source_range=limits)
    assert len(used) == 2 * before
    assert torch.equal(found.image, expected.image)


def test_params_that_are_no_numbers_read_nothing_else():
    image, mask, region = phantoms.batch(2, (48, 48))
    aug = SoftCP(p=1.0, **ALL)
    params = aug.draw(torch.arange(2), (48, 48))
    nan = torch.full_like(params.image.crop_start, torch.nan)
    params = params._replace(image=params.image._replace(crop_start=nan, crop_size=nan))
    assert aug.augment(image, mask, region, params=params).image.shape == image.shape


def values(loop, x):
    from numba import njit

    @njit
    def each(x, out):
        for i in range(x.size):
            out[i] = loop(x[i])

    out = np.empty_like(x)
    each(x, out)
    return out.astype(np.float64)


def test_functions_are_as_near_as_they_say():
    rng = np.random.default_rng(0)
    x = np.exp2(rng.uniform(-126, 127, 100_000)).astype(np.float32)
    exact = np.log2(x.astype(np.float64))
    assert np.abs(values(jit_values.log2, x) - exact).max() <= 4e-7 * np.abs(exact).max()
    near = np.linspace(0.9, 1.1, 100_000, dtype=np.float32)
    exact = np.log2(near.astype(np.float64))
    assert (np.abs(values(jit_values.log2, near) - exact) <= 4e-7 * np.abs(exact)).all()
    x = rng.uniform(-126, 127, 100_000).astype(np.float32)
    assert np.abs(values(jit_values.exp2, x) / np.exp2(x.astype(np.float64)) - 1).max() <= 2e-7
    x = rng.uniform(-0.5, 0.5, 100_000).astype(np.float32)
    assert np.abs(values(jit_values.cos_turns, x) - np.cos(2 * np.pi * x.astype(np.float64))).max() <= 1e-6


def test_where_no_candidate_is_legal_all_places_are_counted(used, monkeypatch):
    image, mask, region = phantoms.batch(8, (64, 56))
    tight = torch.zeros_like(region)
    tight[..., 20:40, 14:34] = True  # room for few places
    aug = SoftCP(p=1.0, min_region_overlap=1.0, max_lesion_overlap=1.0, object_transform={"scale": (0.5, 0.6)})
    params = aug.draw(torch.arange(8), (64, 56))
    never = params._replace(candidate_u=params.candidate_u * 0)
    asked = []
    original = looped_paste._look_everywhere
    monkeypatch.setattr(looped_paste, "_look_everywhere", lambda *x: (asked.append(x[0]), original(*x)))
    found, expected = both(lambda: aug.augment(image, mask, tight, params=never))
    assert asked
    assert (found.status == 0).any()
    assert torch.equal(found.status, expected.status)
    assert torch.equal(found.mask, expected.mask)
    assert all(map(torch.equal, found.placement, expected.placement))


@pytest.mark.parametrize("dtype", [torch.bool, torch.int16, torch.int32, torch.int64])
def test_masks_of_any_integers(dtype, used):
    image, mask, region = phantoms.batch(5, (48, 64))
    classes = {} if dtype == torch.bool else {"lesion_labels": (1, 3), "other_labels": (2,)}
    labels = mask.to(torch.int64) * (3 if classes else 1)
    labels[:, :, 40:] += 2 * (labels[:, :, 40:] == 0) if classes else 0
    aug = SoftCP(p=1.0, max_lesion_overlap=1.0, **classes)
    params = aug.draw(torch.arange(5), (48, 64))
    found, expected = both(lambda: aug.augment(image, labels.to(dtype), region, params=params))
    assert "soften" in used
    assert found.mask.dtype == dtype
    assert torch.equal(found.mask, expected.mask)
    assert torch.equal(found.status, expected.status)


@pytest.mark.parametrize("module", [jit_images, jit_labels, jit_lesion, jit_soft, jit_values])
def test_what_numba_kept_is_not_older_than_what_it_was_made_of(module):
    """Write the new number into the file that failed; another one may be made of that."""
    for name, number in module.MADE_OF:
        source = Path(module.__file__).with_name(f"{name}.py").read_bytes()
        assert hex(number) == hex(zlib.crc32(source)), f"{name} in {module.__name__}"
    used = set(
        re.findall(r"^from softcp_gpu\.loops\.(jit_\w+) import", Path(module.__file__).read_text(), re.MULTILINE)
    )
    assert used == set(dict(module.MADE_OF))


CALL = """
import sys, torch
from softcp_gpu import SoftCP, SoftMask, loops, phantoms
image, mask, region = phantoms.batch(2, (32, 32))
aug = SoftCP(p=1.0, image_transform={"p_gamma": 1.0})
aug(image, mask, region, generator=torch.Generator().manual_seed(0))
print("numba" in sys.modules, loops.run_on(image))
"""


def run(code, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "error:::softcp_gpu", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    return done.stdout.split(), done.stderr


def test_the_switch_is_that_of_the_kernels():
    assert run(CALL)[0] == ["True", "True"]
    assert run(CALL, SOFTCP_KERNELS="off")[0] == ["False", "False"]


def test_without_numba_torch_works():
    out, error = run("import importlib.util as u; u.find_spec = lambda name: None\n" + CALL)
    assert out == ["False", "False"], error


def test_a_numba_that_cannot_be_used_is_reported_once(monkeypatch):
    loops._usable.cache_clear()
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setattr(loops, "find_spec", lambda name: True)
    try:
        with pytest.warns(UserWarning, match="numba is installed, but cannot be used"):
            assert not loops.run_on(torch.zeros(1))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert not loops.run_on(torch.zeros(1))
    finally:
        loops._usable.cache_clear()


def test_where_nothing_may_be_written_functions_are_compiled_again(tmp_path):
    """Numba refuses to keep what it compiles for a function that has no file."""
    code = """
from softcp_gpu.loops.compiled import compiled
made = {}
exec(compile("def f(x):\\n    return x + 1", "/nowhere/made_up.py", "exec"), made)
print(compiled(made["f"])(1))
"""
    out, error = run(code, HOME="/proc/nowhere", XDG_CACHE_HOME="/proc/nowhere", NUMBA_CACHE_DIR="")
    assert out == ["2"], error
