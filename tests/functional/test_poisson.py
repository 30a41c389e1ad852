"""Poisson blending against a direct solution of the same equations, and against cv2 where that one works."""

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.sparse.linalg import spsolve
from torch.autograd import gradcheck, gradgradcheck

from softcp_gpu.functional import poisson, seamless
from tests.accelerator import DEVICE, accelerator
from tests.assertions import assert_close_in_range

SEED = 3


def frame(shape):
    return np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)


def ball(shape, radius=0.4, center=0.5):
    length = np.array(shape)
    return (((frame(shape) - center * (length - 1)) / (radius * length)) ** 2).sum(-1) < 1


def dust(shape):
    """Single pixels, thin bridges and holes."""
    return ball(shape) & (np.random.default_rng(SEED).random(shape) < 0.6)


def all_but_one(shape):
    lesion = np.ones(shape, bool)
    lesion[(0,) * len(shape)] = False
    return lesion


def comb(shape):
    return ball(shape) & (frame(shape)[..., -1] % 2 == 0)


def point(shape):
    lesion = np.zeros(shape, bool)
    lesion[tuple(length // 2 for length in shape)] = True
    return lesion


LESIONS = {
    "in the middle": ball,
    "over a corner": lambda shape: ball(shape, center=0.0),
    "over a side": lambda shape: ball(shape, center=np.eye(len(shape))[0] * 0.5),
    "dust": dust,
    "a comb": comb,
    "a point": point,
    "all but one pixel": all_but_one,
}
SHAPES = [(33, 46), (9, 17, 14), (1, 20), (2, 12, 12)]


def images(shape, channels=2, dtype=torch.float64):
    rng = np.random.default_rng(SEED)
    waves = np.sin(frame(shape) @ rng.uniform(0.1, 0.4, (len(shape), 2 * channels)) + rng.uniform(0, 6, 2 * channels))
    stack = torch.from_numpy(np.moveaxis(waves + 0.3 * rng.random(waves.shape), -1, 0)).to(dtype)
    return stack[None, :channels], stack[None, channels:]


def tensor(lesion):
    return torch.from_numpy(lesion)[None, None]


def solved_directly(source, image, lesion):
    """The equations of `seamless` for one channel, written out pixel by pixel."""
    number = np.cumsum(lesion).reshape(lesion.shape) - 1
    known, entries = np.zeros(lesion.sum()), []
    for p in map(tuple, np.argwhere(lesion)):
        for axis, step in ((axis, step) for axis in range(lesion.ndim) for step in (-1, 1)):
            q = tuple(x + step * (a == axis) for a, x in enumerate(p))
            if not 0 <= q[axis] < lesion.shape[axis]:
                continue
            entries.append((number[p], number[p], 1.0))
            known[number[p]] += source[p] - source[q]
            if lesion[q]:
                entries.append((number[p], number[q], -1.0))
            else:
                known[number[p]] += image[q]
    row, column, value = zip(*entries, strict=True)
    result = source.copy()
    result[lesion] = spsolve(sparse.csc_matrix((value, (row, column))), known)
    return result


@pytest.mark.parametrize(("dtype", "share"), [(torch.float64, 1e-7), (torch.float32, 2e-5)])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", LESIONS)
def test_is_what_a_direct_solver_finds(kind, shape, dtype, share):
    """The steps leave less than 1e-7 here; in float32 rounding, 6e-8, counts up to as often as there are pixels."""
    lesion, (source, image) = LESIONS[kind](shape), images(shape)
    found = seamless(source.to(dtype), image.to(dtype), tensor(lesion))
    assert found.dtype == dtype
    for c in range(2):
        expected = solved_directly(source[0, c].numpy(), image[0, c].numpy(), lesion)
        assert_close_in_range(found[0, c], expected, share)


def test_a_large_lesion_needs_no_more_steps():
    shape = (200, 301)
    lesion, (source, image) = ball(shape, 0.49), images(shape, 1)
    found = seamless(source, image, tensor(lesion))
    assert_close_in_range(found[0, 0], solved_directly(source[0, 0].numpy(), image[0, 0].numpy(), lesion), 1e-7)


@pytest.mark.parametrize("shape", [(20, 23), (9, 10, 11)])
def test_every_sample_has_its_own_lesion(shape):
    lesions = [LESIONS[kind](shape) for kind in LESIONS] + [np.zeros(shape, bool), np.ones(shape, bool)]
    source, image = (x.expand(len(lesions), -1, *shape) for x in images(shape))
    found = seamless(source, image, torch.cat([tensor(lesion) for lesion in lesions]))
    for i, lesion in enumerate(lesions):
        assert torch.allclose(found[i : i + 1], seamless(source[:1], image[:1], tensor(lesion)), atol=1e-7)
        assert torch.equal(found[i][:, ~torch.from_numpy(lesion)], source[i][:, ~torch.from_numpy(lesion)])
    assert torch.equal(found[-2:], source[-2:])  # no lesion; nothing around it


def test_an_empty_batch_comes_back_empty():
    source, image = images((8, 9))
    assert seamless(source[:0], image[:0], tensor(ball((8, 9)))[:0]).shape == (0, 2, 8, 9)


@pytest.mark.parametrize("unit", [1e-20, 1e-3, 1e4, 1e20])
def test_any_unit(unit):
    source, image = images((20, 23), dtype=torch.float32)
    lesion = tensor(ball((20, 23)))
    assert_close_in_range(seamless(source * unit, image * unit, lesion) / unit, seamless(source, image, lesion), 1e-6)


def test_equal_gradients_end_as_the_background():
    _, image = images((20, 23))
    lesion = tensor(ball((20, 23)))
    assert torch.allclose(seamless(image + 500, image, lesion)[lesion.expand_as(image)], image[lesion.expand_as(image)])


@pytest.mark.parametrize("shape", [(7, 8), (4, 5, 5)])
@pytest.mark.parametrize("kind", ["in the middle", "over a corner", "dust"])
def test_gradients_to_both_images(kind, shape):
    lesion = tensor(LESIONS[kind](shape))
    inputs = [x[:, :1].clone().requires_grad_() for x in images(shape)]
    assert gradcheck(lambda a, b: seamless(a, b, lesion), inputs, fast_mode=True)
    assert gradgradcheck(lambda a, b: seamless(a, b, lesion) ** 2, inputs, atol=1e-4, fast_mode=True)


def test_gradients_of_a_lesion_that_fills_the_frame_are_those_of_the_source():
    source, image = (x.clone().requires_grad_() for x in images((8, 9)))
    gradients = torch.autograd.grad(
        seamless(source, image, torch.ones(1, 1, 8, 9, dtype=torch.bool)).sum(), [source, image]
    )
    assert torch.equal(gradients[0], torch.ones_like(source))
    assert torch.equal(gradients[1], torch.zeros_like(image))


def test_one_node_of_a_compiled_graph():
    torch.compiler.reset()
    lesion, (source, image) = tensor(ball((20, 23))), images((20, 23))
    compiled = torch.compile(seamless, fullgraph=True, backend="aot_eager")
    inputs = [x.clone().requires_grad_() for x in (source, image)]
    found, expected = compiled(*inputs, lesion), seamless(*inputs, lesion)
    assert torch.allclose(found, expected)
    for a, b in zip(*(torch.autograd.grad(x.square().sum(), inputs) for x in (found, expected)), strict=True):
        assert torch.allclose(a, b)


def test_nothing_waits_for_an_accelerator():
    """The operator's body, as the accelerator that is pretended does not see into operators."""
    lesion, (source, image) = tensor(dust((20, 23))), images((20, 23))
    known = torch.where(lesion, source - image, 0)
    body = poisson._harmonic._init_fn
    with accelerator() as device:
        far = known.to(DEVICE), lesion.to(DEVICE)
        device.waits = 0
        found = body(*far)
        assert device.waits == 0
        assert torch.allclose(found.cpu(), body(known, lesion))


def test_as_cv2_where_cv2_works():
    """Bytes, three channels, a lesion away from every border.

    cv2 takes the background's gradients outside the lesion and three pixels into it, and solves on the whole frame. So
    it too shows the lesion's gradients alone if source and background differ by a constant there. It drops what is
    behind the point: less than a grey level.
    """
    cv2 = pytest.importorskip("cv2")
    shape, middle = (96, 104), (52, 48)
    _, image = images(shape, 3)
    image = (image[0] * 30 + 128).round()
    lesion, core = ball(shape, 0.4), ball(shape, 0.3)
    offset, bump = torch.tensor([23.0, -17.0, 9.0]).view(3, 1, 1), images(shape, 3)[0][0] * 25
    source = image - offset + torch.from_numpy(core) * bump.round()
    arrays = [np.ascontiguousarray(x.movedim(0, -1).numpy().astype(np.uint8)) for x in (source, image)]
    theirs = cv2.seamlessClone(*arrays, np.uint8(lesion) * 255, middle, cv2.NORMAL_CLONE)
    found = torch.where(tensor(lesion), seamless(source[None], image[None], tensor(lesion)), image[None])
    assert (found[0] - image).abs().max() > 20
    assert np.abs(found[0].movedim(0, -1).numpy() - theirs).max() < 1 + 1e-3
