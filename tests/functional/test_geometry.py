import math

import pytest
import torch
import torch.nn.functional as F

from softcp_gpu.functional import about, affine_matrix, compose, crop_matrix, rigid_matrix, translation, warp

SHAPES = [(9, 9), (8, 13), (1, 7), (5, 1), (1, 1), (4, 6, 5), (1, 5, 4)]


def image_of(shape, batch=2, channels=2, dtype=torch.float32):
    return torch.randn(batch, channels, *shape, generator=torch.Generator().manual_seed(1)).to(dtype)


def rigid(axes, flip=None, angle=None, scale=1.0, shift=None, dtype=torch.float64):
    """One sample's matrix, neutral unless told."""
    turns = 1 if axes == 2 else 3
    return rigid_matrix(
        torch.tensor([flip or [1.0] * axes], dtype=dtype),
        torch.tensor([angle or [0.0] * turns], dtype=dtype),
        torch.tensor([scale], dtype=dtype),
        torch.tensor([shift or [0.0] * axes], dtype=dtype),
    )


def middle(shape):
    return torch.tensor([[(length - 1) / 2 for length in shape]], dtype=torch.float64)


def random_matrix(axes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    linear = torch.eye(axes) + 0.4 * (torch.rand(1, axes, axes, generator=generator) - 0.5)
    return affine_matrix(linear, 3 * torch.rand(1, axes, generator=generator) - 1.5).double()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_identity_changes_nothing(shape, dtype):
    x = image_of(shape, dtype=dtype)
    eye = translation(torch.zeros(2, len(shape)))
    assert torch.allclose(warp(x, eye), x, atol=1e-5)
    assert torch.equal(warp(x, eye, "nearest"), x)


@pytest.mark.parametrize("shape", [(8, 13), (1, 7), (4, 6, 5)])
def test_a_shift_by_whole_pixels_moves_every_value(shape):
    x = image_of(shape)
    for shift in [(0,) * len(shape), (1, -2, 1)[: len(shape)], (-1, 3, 0)[: len(shape)]]:
        matrix = translation(torch.tensor([shift] * 2, dtype=torch.float32))
        index = [torch.arange(length) - s for length, s in zip(shape, shift, strict=True)]
        held = x
        for axis, line in enumerate(index):
            held = held.index_select(axis + 2, line.clamp(0, shape[axis] - 1))
        inside = torch.ones(shape, dtype=torch.bool)
        for axis, line in enumerate(index):
            view = [-1 if a == axis else 1 for a in range(len(shape))]
            inside = inside & ((line >= 0) & (line < shape[axis])).view(view)
        assert torch.allclose(warp(x, matrix), held, atol=1e-5)  # an image repeats its border
        assert torch.equal(warp(x, matrix, "nearest"), held * inside)  # a mask ends at it


@pytest.mark.parametrize("shape", SHAPES)
def test_flips_mirror_one_axis_about_the_centre(shape):
    x = image_of(shape, batch=1)
    for axis in range(len(shape)):
        flip = [-1.0 if a == axis else 1.0 for a in range(len(shape))]
        matrix = about(middle(shape), rigid(len(shape), flip=flip))
        assert torch.equal(warp(x, matrix, "nearest"), x.flip(axis + 2))
        assert torch.allclose(warp(x, matrix), x.flip(axis + 2), atol=1e-5)


@pytest.mark.parametrize("turns", [1, 2, 3, -1])
def test_a_positive_angle_turns_counter_clockwise_on_a_screen(turns):
    x = image_of((9, 9), batch=1)
    matrix = about(middle((9, 9)), rigid(2, angle=[90.0 * turns]))
    assert torch.equal(warp(x, matrix, "nearest"), torch.rot90(x, turns, (2, 3)))


@pytest.mark.parametrize(("k", "plane"), [(0, (3, 4)), (1, (2, 4)), (2, (2, 3))])
def test_in_3d_the_angles_turn_about_z_then_y_then_x(k, plane):
    x, angle = image_of((7, 7, 7), batch=1), [0.0, 0.0, 0.0]
    angle[k] = 90.0
    matrix = about(middle((7, 7, 7)), rigid(3, angle=angle))
    assert torch.equal(warp(x, matrix, "nearest"), torch.rot90(x, 1, plane))


def test_a_turn_about_z_turns_every_slice_as_in_2d():
    x = image_of((3, 9, 8), batch=1, channels=1)
    volume = warp(x, about(middle((3, 9, 8)), rigid(3, angle=[25.0, 0.0, 0.0])))
    flat = about(middle((9, 8)), rigid(2, angle=[25.0])).expand(3, -1, -1)
    slices = warp(x[0, 0, :, None], flat)
    assert torch.allclose(volume[0, 0], slices[:, 0], atol=1e-5)


def test_the_parts_of_a_rigid_matrix_act_in_the_order_flip_rotate_scale_shift():
    for axes, angle in ((2, [30.0]), (3, [30.0, 40.0, 50.0])):
        flip, shift = [-1.0, 1.0, 1.0][:axes], [1.0, 2.0, 3.0][:axes]
        parts = [rigid(axes, flip=flip)]
        parts += [rigid(axes, angle=[a if i == k else 0.0 for i in range(len(angle))]) for k, a in enumerate(angle)]
        parts += [rigid(axes, scale=1.5), rigid(axes, shift=shift)]
        assert torch.allclose(rigid(axes, flip, angle, 1.5, shift), compose(*parts))


def test_compose_does_the_first_one_first():
    shift, grow = translation(torch.tensor([[1.0, 0.0]])), rigid(2, scale=2.0, dtype=torch.float32)
    point = torch.tensor([3.0, 4.0, 1.0])
    assert (compose(shift, grow) @ point).flatten().tolist() == [8.0, 8.0, 1.0]
    assert (compose(grow, shift) @ point).flatten().tolist() == [7.0, 8.0, 1.0]
    assert torch.equal(compose(shift), shift)


@pytest.mark.parametrize("axes", [2, 3])
def test_the_centre_of_a_motion_stays(axes):
    center = torch.tensor([[3.5, 2.0, 7.25]], dtype=torch.float64)[:, :axes]
    turn = rigid(axes, flip=[-1.0] * axes, angle=[33.0, 12.0, 5.0][: 1 if axes == 2 else 3], scale=1.7)
    moved = about(center, turn) @ torch.cat([center, torch.ones(1, 1)], 1)[..., None]
    assert torch.allclose(moved[:, :axes, 0], center)


@pytest.mark.parametrize(("shape", "seed"), [((13, 17), 0), ((13, 17), 1), ((11, 9, 10), 2), ((11, 9, 10), 3)])
def test_a_ramp_arrives_where_the_matrix_sends_it(shape, seed):
    axes, matrix = len(shape), random_matrix(len(shape), seed)
    grid = torch.stack(torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in shape), indexing="ij"))
    weight = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)[:axes]
    ramp = torch.einsum("a,a...->...", weight, grid)[None, None] + 7
    back = torch.linalg.inv(matrix)[0]
    source = torch.einsum("ab,b...->a...", back[:axes, :axes], grid) + back[:axes, axes].view(-1, *(1,) * axes)
    inside = torch.stack([(s >= 0) & (s <= n - 1) for s, n in zip(source, shape, strict=True)]).all(0)
    expected = torch.einsum("a,a...->...", weight, source) + 7
    assert inside.sum() > inside.numel() / 4
    assert torch.allclose(warp(ramp, matrix)[0, 0][inside], expected[inside], atol=1e-9)


@pytest.mark.parametrize("mode", ["linear", "nearest"])
@pytest.mark.parametrize(("shape", "origin", "size"), [((9, 8), (2, -3), (4, 15)), ((5, 6, 7), (-1, 2, 3), (8, 3, 2))])
def test_a_window_of_a_warp_is_that_part_of_the_whole(shape, origin, size, mode):
    x, matrix = image_of(shape, batch=1), random_matrix(len(shape))
    lead = tuple(max(0, -o) for o in origin)
    reach = tuple(lead[a] + max(shape[a], origin[a] + size[a]) for a in range(len(shape)))
    whole = warp(x, matrix, mode, origin=-torch.tensor([lead]), size=reach)
    at = tuple(slice(lead[a] + origin[a], lead[a] + origin[a] + size[a]) for a in range(len(shape)))
    part = warp(x, matrix, mode, origin=torch.tensor([origin]), size=size)
    assert torch.allclose(part, whole[(..., *at)], atol=1e-5)


@pytest.mark.parametrize("matrix", [rigid(2, angle=[90.0]), rigid(2, scale=2.0), rigid(2, shift=[0.5, 0.5])])
@pytest.mark.parametrize("center", [(3.0, 3.0), (3.5, 3.0), (3.5, 4.5)])
def test_a_window_breaks_ties_between_pixels_as_the_whole_does(matrix, center):
    """A lesion's label must not depend on how much of the frame was computed."""
    x = torch.arange(1.0, 41 * 37 + 1).view(1, 1, 41, 37)
    matrix = about(torch.tensor([center], dtype=torch.float64), matrix)
    whole = warp(x, matrix, "nearest")
    for start in ((1, 2), (3, 0), (7, 5), (13, 11)):
        part = warp(x, matrix, "nearest", origin=torch.tensor([start]), size=(20, 19))
        assert torch.equal(part, whole[..., start[0] : start[0] + 20, start[1] : start[1] + 19])


@pytest.mark.parametrize("start", [0.0, 0.5, 1.0])
def test_a_crop_is_resized_back_as_torch_resizes(start):
    x = image_of((16, 24), batch=1, dtype=torch.float64)
    size, at = torch.tensor([[0.5, 0.25]]).double(), torch.full((1, 2), start, dtype=torch.float64)
    found = warp(x, crop_matrix(size, at, (16, 24)))
    top, left = int(start * 8), int(start * 18)
    cut = x[..., top : top + 8, left : left + 6]
    expected = F.interpolate(cut, size=(16, 24), mode="bilinear", align_corners=False)
    # At its rim the crop still sees its neighbours, which torch's resize does not.
    assert torch.allclose(found[..., 1:-1, 2:-2], expected[..., 1:-1, 2:-2])


def test_a_crop_of_the_whole_frame_is_the_identity():
    for shape in ((7, 5), (3, 4, 5)):
        n = len(shape)
        matrix = crop_matrix(torch.ones(1, n), torch.full((1, n), 0.3), shape)
        assert torch.allclose(matrix, torch.eye(n + 1)[None], atol=1e-6)


def test_every_crop_stays_inside_the_frame():
    shape = (10, 7)
    for size in (0.01, 0.4, 1.0):
        for start in (0.0, 1.0):
            matrix = crop_matrix(torch.full((1, 2), size).double(), torch.full((1, 2), start).double(), shape)
            edges = torch.tensor([[-0.5, -0.5, 1.0], [9.5, 6.5, 1.0]], dtype=torch.float64)
            back = (torch.linalg.inv(matrix)[0] @ edges.T).T[:, :2]
            assert (back >= -0.5 - 1e-9).all()
            assert (back <= torch.tensor([9.5, 6.5]) + 1e-9).all()


@pytest.mark.parametrize("axes", [2, 3])
def test_a_turn_and_its_reverse_cancel(axes):
    turns = 1 if axes == 2 else 3
    for k in range(turns):
        angle = [17.0 if i == k else 0.0 for i in range(turns)]
        there, back = (about(middle((31, 9, 4)[:axes]), rigid(axes, angle=[s * a for a in angle])) for s in (1, -1))
        assert torch.allclose(compose(there, back), torch.eye(axes + 1).double(), atol=1e-12)


def test_a_batch_gives_what_its_samples_give():
    x = image_of((9, 8), batch=3)
    matrix = torch.cat([random_matrix(2, seed) for seed in range(3)])
    for mode in ("linear", "nearest"):
        together = warp(x, matrix, mode)
        for i in range(3):
            assert torch.equal(together[i : i + 1], warp(x[i : i + 1], matrix[i : i + 1], mode))
    assert warp(x[:0], matrix[:0]).shape == (0, 2, 9, 8)


def test_rotation_by_small_angles_has_the_right_size():
    turn = rigid(2, angle=[1.0])[0, :2, :2] @ torch.tensor([0.0, 1.0], dtype=torch.float64)
    assert math.isclose(turn[0], -math.sin(math.radians(1)), rel_tol=1e-9)
    assert math.isclose(turn[1], math.cos(math.radians(1)), rel_tol=1e-9)
