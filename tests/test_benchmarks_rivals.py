"""The rivals do what the benchmark says they do, and its gate sees where they do not. No times here."""

import pytest

pytest.importorskip("cv2", minversion="5")
pytest.importorskip("scipy.ndimage", reason="one of the rivals is SciPy")

import numpy as np
import torch

from benchmarks import cases
from benchmarks.common import OURS
from benchmarks.rivals import gate, names, pool, registry, scipy_softcp, tensors
from softcp_gpu import functional, phantoms

PLANE, VOLUME = (64, 64), (16, 48, 40)
POOLS = [name for name in names.LEAVES_OUT if "pool" in name]


def data(shape=PLANE, count=3):
    return registry.clamped(*phantoms.batch(count, shape, channels=3 if len(shape) == 2 else 1))


def made_by(who, given):
    try:
        with registry.prepared(who, given) as (run, result):
            return [part.clone() for part in result(run())]
    except ImportError as error:
        pytest.skip(f"not installed: {error}")


@pytest.mark.parametrize("who", [who for who in registry.PLANE if who not in POOLS])
def test_every_rival_pastes_a_lesion_in_every_image(who):
    given = data()
    gate.assert_pasted(given.image, given.mask, *made_by(who, given))


@pytest.mark.parametrize("who", [who for who in registry.VOLUME if who not in POOLS])
def test_and_those_that_take_volumes_in_every_volume(who):
    given = data(VOLUME)
    gate.assert_pasted(given.image, given.mask, *made_by(who, given))


def test_a_pool_gives_what_the_loop_gives():
    given = data()
    alone, pooled = (made_by(who, given) for who in (names.SCRIPT, names.SCRIPT_POOL))
    assert all(torch.equal(one, other) for one, other in zip(alone, pooled, strict=True))


def cannot_start():
    raise OSError("no such library")


def test_workers_that_cannot_start_are_told(monkeypatch):
    monkeypatch.setattr(pool, "START_S", 3.0)
    frames = np.zeros((2, 8, 8, 1), np.float32)
    batch = pool.Batch(frames, np.zeros((2, 8, 8), np.uint8), np.zeros((2, 8, 8), bool), (1, 0))
    with pytest.raises(RuntimeError, match="expected them to start"):
        pool.SharedPool(cannot_start, batch, 1)


def test_the_reference_does_what_ours_does():
    given = data()
    (image, mask), (other, other_mask) = (made_by(who, given) for who in (OURS, names.REFERENCE))
    assert (image - other).abs().max() < 1e-3
    assert (mask != other_mask).float().mean() < 1e-3


@pytest.mark.parametrize("shape", [PLANE, VOLUME])
def test_soft_masks_of_scipy_are_those_of_the_method(shape):
    mask = data(shape).mask
    mask[0, ..., :9] = 1  # as far as the border, which erodes nothing
    soft = functional.soft_mask(mask, 1, 9, 0.7)
    for one, expected in zip(mask, soft, strict=True):
        found = scipy_softcp.RandSoftCopyPasted().soft_mask(one[0].numpy() > 0)
        np.testing.assert_allclose(found, expected[0], atol=1e-6)


def test_arrays_are_moved_by_whole_pixels_and_zeros_come_in():
    x = np.arange(1, 7).reshape(2, 3)
    assert scipy_softcp.shifted(x, np.array([1, -1])).tolist() == [[0, 0, 0], [2, 3, 0]]


def test_the_method_of_torchvisions_script_is_a_hard_paste_of_the_neighbour():
    given = data()
    image, mask = tensors.simple_copy_paste(given.image, given.mask)()
    source, lesion = given.image.roll(1, 0), given.mask.roll(1, 0).bool()
    assert torch.equal(image, torch.where(lesion, source, given.image))
    assert torch.equal(mask.bool(), given.mask.bool() | lesion)


def test_kornia_returns_a_batch_of_one_unchanged():
    given = data(count=1)
    image, mask = tensors.kornia_transplantation(given.image, given.mask)()
    assert torch.equal(image, given.image)
    assert torch.equal(mask, given.mask)


def nothing(image, mask, new_image, new_mask):
    return image, mask


def only_a_label(image, mask, new_image, new_mask):
    return image, new_mask


def an_old_lesion_lost(image, mask, new_image, new_mask):
    return new_image, new_mask * (1 - mask)


def a_far_pixel_changed(image, mask, new_image, new_mask):
    return torch.where(torch.arange(128) < 1, 0.0, new_image), new_mask


def one_sample_less(image, mask, new_image, new_mask):
    return new_image[1:], new_mask[1:]


def not_a_number(image, mask, new_image, new_mask):
    return new_image / 0 * 0, new_mask


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        (nothing, "a lesion more in the label"),
        (only_a_label, "new pixels where the new label is"),
        (an_old_lesion_lost, "the old lesions in the label"),
        (a_far_pixel_changed, "the old pixels far from all lesions"),
        (one_sample_less, "image: expected shape"),
        (not_a_number, "finite"),
    ],
)
def test_the_gate_refuses_what_is_not_a_paste(spoiled, message):
    given = data((128, 128))
    made = made_by(OURS, given)
    gate.assert_pasted(given.image, given.mask, *made)
    with pytest.raises(ValueError, match=message):
        gate.assert_pasted(given.image, given.mask, *spoiled(given.image, given.mask, *made))


@pytest.mark.parametrize("spatial", [(80, 90), (60, 64, 70)])
def test_near_is_as_many_pixels_along_each_axis(spatial):
    mask = torch.zeros(1, *spatial, dtype=torch.bool)
    mask[(0, *(30,) * len(spatial))] = True
    away = torch.stack(torch.meshgrid(*(torch.arange(length) - 30 for length in spatial), indexing="ij")).abs().amax(0)
    assert torch.equal(gate._near(mask)[0], away <= gate.REACH_PX)


def test_what_each_rival_leaves_out_is_written_down():
    assert set(registry.PLANE) | set(registry.VOLUME) == {*registry.OWN, registry.ONE_THREAD, *names.LEAVES_OUT}
    assert all(names.LEAVES_OUT.values())
    assert cases.too_slow_for_the_reference(cases.Case(256, "large", 16))
    assert not cases.too_slow_for_the_reference(cases.Case(256, "small", 64))
