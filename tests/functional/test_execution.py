"""Ways of running that must not show in the result."""

import itertools
import platform
import subprocess
import sys
from functools import partial

import pytest
import torch

from softcp_gpu import SoftCP, phantoms
from softcp_gpu.functional import about, execution, rigid_matrix, soft_mask, warp
from softcp_gpu.functional.bands import sample_linear
from softcp_gpu.functional.counter_rng import normal_field
from softcp_gpu.functional.execution import where_active
from softcp_gpu.functional.geometry import warp_box
from softcp_gpu.functional.windows import bounding_box, count_pixels, put_window, take_window

SHAPES = [(37, 41), (11, 9, 13)]


@pytest.fixture(params=[1, 2, 3, 5])
def cores(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture
def without_arrays(monkeypatch):
    """Everything on tensors, as on an accelerator."""

    def call(run):
        with monkeypatch.context() as patch:
            patch.setattr(execution, "is_array", lambda *tensors: False)
            return run()

    return call


def motions(axes, count):
    generator = torch.Generator().manual_seed(axes)
    angle = 90 * torch.rand(count, 1 if axes == 2 else 3, generator=generator, dtype=torch.float64)
    flip = torch.ones(count, axes, dtype=torch.float64)
    flip[::2, 0] = -1
    scale = 0.5 + torch.rand(count, generator=generator, dtype=torch.float64)
    return rigid_matrix(flip, angle, scale, 3 * torch.rand(count, axes, generator=generator, dtype=torch.float64))


@pytest.mark.parametrize("lines", [1, 4, 7, 30, 31, 64])
@pytest.mark.parametrize("axes", [2, 3])
def test_cores_share_the_sampling_of_an_image_and_change_no_bit(axes, lines, cores, monkeypatch):
    monkeypatch.setattr("softcp_gpu.functional.bands._LEAST", 0)
    x = torch.randn(4, 2, *SHAPES[axes - 2])
    grid = 2.4 * torch.rand(3, lines, *(8, 5)[: axes - 1], axes) - 1.2
    rows = torch.tensor([3, 0, 3])
    expected = torch.nn.functional.grid_sample(x[rows], grid, padding_mode="border", align_corners=False)
    assert torch.equal(sample_linear(x, grid, rows), expected)
    assert torch.equal(sample_linear(x[3:], grid[:1]), expected[:1])
    one = x[3:].clone().requires_grad_()
    assert torch.equal(sample_linear(one, grid[:1]), expected[:1])
    assert sample_linear(one, grid[:1]).requires_grad


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.int64, torch.float32])
@pytest.mark.parametrize("shape", SHAPES)
def test_labels_warped_from_their_box_are_those_warped_from_the_frame(shape, dtype):
    axes = len(shape)
    labels = torch.zeros(4, 1, *shape)
    labels[0][(0, *(slice(0, n // 2) for n in shape))] = 3  # at a corner
    labels[1][(0, *(slice(n // 3, n - 2) for n in shape))] = 200
    labels[2] = 1  # the whole frame, and nothing in the last one
    labels = (labels * (torch.rand(labels.shape) > 0.2)).to(dtype)
    start, extent, _ = bounding_box(labels.bool())
    matrix = about(start + (extent.double() - 1) / 2, motions(axes, 4))
    quarter = torch.zeros(4, 1 if axes == 2 else 3, dtype=torch.float64)
    quarter[:, 0] = 90  # pixels lie half-way between pixels
    turned = rigid_matrix(torch.ones(4, axes).double(), quarter, torch.ones(4).double(), torch.zeros(4, axes).double())
    origin, size = torch.arange(4 * axes).view(4, axes) - 9, tuple(2 * n for n in shape)
    for motion in (matrix, about(start + (extent.double() - 1) / 2, turned)):
        expected = warp(labels, motion, "nearest", origin=origin, size=size)
        assert torch.equal(warp_box(labels, start, extent, motion, origin, size), expected)


@pytest.mark.parametrize("active", [*itertools.product([False, True], repeat=3)])
def test_active_samples_are_computed_and_the_others_stay(active):
    x = torch.arange(12.0).view(3, 1, 2, 2)
    add = torch.tensor([10.0, 20.0, 30.0])
    expected = x + torch.where(torch.tensor(active), add, 0).view(3, 1, 1, 1)
    before = x.clone()

    def fn(part, rows):
        return part + rows(add).view(-1, 1, 1, 1)

    assert torch.equal(where_active(torch.tensor(active), x, fn), expected)
    assert torch.equal(x, before)
    over = where_active(torch.tensor(active), x, fn, over=True)
    assert torch.equal(over, expected)
    assert over.data_ptr() == x.data_ptr()


@pytest.mark.parametrize("of", ["the samples", "the params"])
def test_gradients_of_active_samples_flow_also_where_the_result_may_lie_in_memory_of_the_samples(of):
    x, factor = torch.arange(1.0, 7).view(3, 2), torch.tensor([2.0, 3.0, 5.0])
    (x if of == "the samples" else factor).requires_grad_()
    given = x * 1  # a leaf may not be written over
    made = where_active(
        torch.tensor([True, False, True]), given, lambda part, rows: part**2 * rows(factor)[:, None], over=True
    )
    made.sum().backward()
    if of == "the samples":
        assert x.grad.tolist() == [[4.0, 8.0], [1.0, 1.0], [50.0, 60.0]]
    else:
        assert factor.grad.tolist() == [5.0, 0.0, 61.0]


def test_a_window_put_over_an_image_writes_only_there_and_never_over_what_gradients_need():
    x, window, origin = torch.zeros(2, 1, 5, 5), torch.ones(2, 1, 2, 2), torch.tensor([[0, 1], [3, 2]])
    expected = put_window(x, window, origin)
    assert not x.any()
    made = put_window(x, window.clone().requires_grad_(), origin, over=True)
    assert torch.equal(made, expected)
    assert not x.any()
    assert put_window(x, window, origin, over=True).data_ptr() == x.data_ptr()
    assert torch.equal(x, expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_arrays_and_tensors_find_count_and_cut_the_same(shape, without_arrays):
    mask = torch.rand(5, 1, *shape) > 0.97
    mask[3] = False
    origin = torch.tensor([[-2] * len(shape), [3] * len(shape), [90] * len(shape), list(shape), [0] * len(shape)])
    for run in (
        lambda: bounding_box(mask),
        lambda: [count_pixels(mask)],
        lambda: [take_window(mask, origin, tuple(n // 2 for n in shape))],
    ):
        for one, other in zip(run(), without_arrays(run), strict=True):
            assert torch.equal(one, other)
            assert one.dtype == other.dtype


@pytest.mark.parametrize("footprint", ["full", "cross"])
@pytest.mark.parametrize("count", [1, 3, 9, 17])
@pytest.mark.parametrize("shape", [(40, 33), (9, 12, 10)])
def test_arrays_and_tensors_count_the_same_rings(shape, count, footprint, without_arrays):
    mask = torch.rand(count, 1, *shape) > 0.9
    for axis in range(2, 2 + len(shape)):
        mask = mask | mask.roll(1, axis) | mask.roll(2, axis)
    mask[-1] = False
    steps = [(1, 3), (torch.arange(count) % 4, 9), (0, 0)]
    for k_erode, k_dilate in steps + [(2, 300)] * (len(shape) == 2):  # more counts than a byte holds
        run = partial(soft_mask, mask, k_erode, k_dilate, 0.8, footprint=footprint)
        assert torch.equal(run(), without_arrays(run))


def test_numbers_and_the_same_number_for_each_sample_give_the_same_soft_mask():
    _, mask, _ = phantoms.batch(5, (48, 40))
    each = (torch.full((5,), 1), torch.full((5,), 4), torch.full((5,), 0.7))
    for on_small in ("shrink", "skip"):
        number = soft_mask(mask, 1, 4, 0.7, on_small=on_small)
        assert torch.equal(number, soft_mask(mask, *each, on_small=on_small))
        assert torch.equal(number, soft_mask(mask, 1, each[1], 0.7, on_small=on_small))


def test_a_call_writes_over_nothing_that_it_was_given():
    image, mask, region = phantoms.batch(4, (48, 40), channels=2)
    aug = SoftCP(p=1.0, background_transform={"p_crop": 0.3}, image_transform={"p_noise": 0.3})
    before = [x.clone() for x in (image, mask, region)]
    for seed in range(12):
        generator = torch.Generator().manual_seed(seed)
        out = aug.augment(image, mask, region, generator=generator)
        again = aug.augment(image, mask, region, params=out.params)
        alpha = out.params.alpha.clone().requires_grad_()
        with_gradients = aug.augment(image, mask, region, params=out.params._replace(alpha=alpha))
        assert with_gradients.image.requires_grad
        for other in (again, with_gradients):
            assert torch.allclose(other.image, out.image, rtol=0, atol=1e-6)
            assert torch.equal(other.mask, out.mask)
        assert all(torch.equal(x, y) for x, y in zip((image, mask, region), before, strict=True))


def test_arrays_and_tensors_make_the_same_noise(without_arrays):
    seed = torch.tensor([3, -(2**63), 2**63 - 1, -17])
    index = torch.arange(70).view(7, 10).expand(4, -1, -1)
    for stream in (0, 1003, 5000):
        run = partial(normal_field, seed, stream, index, 2, torch.float32)
        assert torch.equal(run(), without_arrays(run))


FRESH_PAGES = """
import resource, sys
import numpy as np
from softcp_gpu.functional import execution

def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [np.ones(1 << 20, np.uint8) for _ in range(20)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "kept":
    execution.keep_what_is_freed()
pages()
print(pages())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_what_a_call_has_freed_is_there_for_the_next():
    def fresh(how):
        done = subprocess.run([sys.executable, "-c", FRESH_PAGES, how], check=True, stdout=subprocess.PIPE, text=True)
        return int(done.stdout)

    assert fresh("returned") > 1000
    assert fresh("kept") < 100
