"""What the modules draw: shares, ranges and distributions of thousands of params."""

import pytest
import torch
from scipy import stats

from softcp_gpu import SoftCP
from softcp_gpu.sampling import sample_seeds

COUNT = 4000
LIKELY = 1e-4  # p-values of fixed draws: a healthy generator fails one test in ten thousand, once


def drawn(shape=(20, 30), **settings):
    return SoftCP(**settings).draw(sample_seeds(1, torch.arange(COUNT)), shape)


def rigid_op(rigid):
    """Which operation each slot holds: 0 none, 1 flip, 2 rotation, 3 scaling, 4 panning, (B, 2)."""
    on = [(rigid.flip != 1).any(2), (rigid.angle_deg != 0).any(2), rigid.scale != 1, (rigid.shift_px != 0).any(2)]
    assert (torch.stack(on).sum(0) <= 1).all()
    return sum((i + 1) * hit for i, hit in enumerate(on))


def intensity_op(intensity):
    """0 none, 1 gamma, 2 noise, 3 blur, (B, S)."""
    on = [intensity.gamma != 1, intensity.noise_sigma != 0, intensity.blur_sigma_px != 0]
    assert (torch.stack(on).sum(0) <= 1).all()
    return sum((i + 1) * hit for i, hit in enumerate(on))


def is_uniform(values, low, high):
    values = values.flatten().double()
    assert low <= values.min()
    assert values.max() <= high + 1e-6 * abs(high)  # float32
    return stats.kstest(values.numpy(), stats.uniform(low, high - low).cdf).pvalue > LIKELY


@pytest.mark.parametrize("shape", [(20, 30), (10, 20, 30)])
def test_two_operations_of_each_list_are_drawn_with_replacement_in_random_order(shape):
    params = drawn(shape).object
    for op, kinds in ((rigid_op(params.rigid), 5), (intensity_op(params.intensity), 4)):
        pairs = torch.bincount(op[:, 0] * kinds + op[:, 1], minlength=kinds**2)
        assert len(pairs) == kinds**2
        assert stats.chisquare(pairs.numpy()).pvalue > LIKELY  # every ordered pair, twice the same one too
    both = rigid_op(params.rigid)[:, 0] * 4 + intensity_op(params.intensity)[:, 0]
    assert stats.chisquare(torch.bincount(both, minlength=20).numpy()).pvalue > LIKELY


def test_names_given_twice_are_drawn_twice_as_often():
    rigid = drawn(object_transform={"rigid": ["none", "flip", "flip"]}).object.rigid
    share = (rigid_op(rigid) == 1).double().mean()
    assert abs(share - 2 / 3) < 5 * (2 / 9 / (2 * COUNT)) ** 0.5


def test_only_listed_operations_are_drawn():
    params = drawn(object_transform={"rigid": ["rotation"], "intensity": ["blur", "none"]}).object
    assert set(rigid_op(params.rigid).unique().tolist()) == {2}
    assert set(intensity_op(params.intensity).unique().tolist()) == {0, 3}


@pytest.mark.parametrize("shape", [(20, 30), (10, 20, 30)])
def test_rigid_values_are_uniform_over_their_ranges(shape):
    axes = len(shape)
    ranges = {"rotation_deg": (-30.0, 50.0), "scale": (0.5, 3.0), "shift": (-0.2, 0.1)}
    rigid = drawn(shape, object_transform=ranges).object.rigid
    op = rigid_op(rigid)
    for slot in (0, 1):
        angle = rigid.angle_deg[:, slot][op[:, slot] == 2]
        assert ((angle != 0).sum(1) == 1).all()  # in 3-D about one axis
        assert is_uniform(angle.sum(1), -30, 50)
        assert axes == 2 or stats.chisquare((angle != 0).sum(0).numpy()).pvalue > LIKELY
        flip = rigid.flip[:, slot][op[:, slot] == 1]
        assert ((flip == -1).sum(1) == 1).all()
        assert stats.chisquare((flip == -1).sum(0).numpy()).pvalue > LIKELY
        assert is_uniform(
            rigid.scale[:, slot][op[:, slot] == 3].log(), torch.tensor(0.5).log(), torch.tensor(3.0).log()
        )
        shift = rigid.shift_px[:, slot][op[:, slot] == 4] / torch.tensor(shape)
        for axis in range(axes):
            assert is_uniform(shift[:, axis], -0.2, 0.1)
        assert abs(torch.corrcoef(shift.T)[0, 1]) < 5 / len(shift) ** 0.5


def test_intensity_values_are_uniform_over_their_ranges():
    ranges = {"gamma": (0.5, 2.0), "noise_sigma": (0.01, 0.2), "blur_sigma_px": (0.4, 2.5)}
    intensity = drawn(object_transform=ranges).object.intensity
    op = intensity_op(intensity)
    assert is_uniform(intensity.gamma[op == 1].log2(), -1, 1)
    assert is_uniform(intensity.noise_sigma[op == 2], 0.01, 0.2)
    assert is_uniform(intensity.blur_sigma_px[op == 3], 0.4, 2.5)


def test_a_single_number_is_always_drawn():
    params = drawn(object_transform={"rigid": ["rotation"], "rotation_deg": 12.0}, alpha=0.6, k_erode=2, k_dilate=7)
    assert params.object.rigid.angle_deg.unique().tolist() == [12.0]
    for field, value in ((params.alpha, 0.6), (params.k_erode, 2), (params.k_dilate, 7)):
        assert torch.equal(field, torch.full_like(field, value))


def test_softness_is_drawn_from_its_ranges_with_both_ends():
    params = drawn(alpha=(0.4, 0.9), k_erode=(0, 3), k_dilate=(2, 6))
    assert is_uniform(params.alpha, 0.4, 0.9)
    for field, low, high in ((params.k_erode, 0, 3), (params.k_dilate, 2, 6)):
        counts = torch.bincount(field)
        assert not counts[:low].any()
        assert len(counts) == high + 1
        assert stats.chisquare(counts[low:].numpy()).pvalue > LIKELY
    drawn_together = torch.stack([params.alpha.double(), params.k_erode.double(), params.k_dilate.double()])
    assert (torch.corrcoef(drawn_together) - torch.eye(3)).abs().max() < 5 / COUNT**0.5


def test_auto_steps_follow_each_samples_alpha():
    params = drawn(alpha=(0.3, 0.9))
    alpha, k = params.alpha.double(), params.k_dilate
    assert (alpha**k <= 0.05 * (1 + 1e-6)).all()
    assert (alpha ** (k - 1) > 0.05 * (1 - 1e-6)).all()


@pytest.mark.parametrize("field", ["background", "image"])
@pytest.mark.parametrize("shape", [(20, 30), (10, 20, 30)])
def test_every_image_operation_has_its_own_probability_and_range(field, shape):
    p = {"p_crop": 0.2, "p_gamma": 0.4, "p_noise": 0.6, "p_blur": 0.8}
    ranges = {"crop": (0.6, 0.9), "gamma": (0.5, 2.0), "noise_sigma": (0.1, 0.3), "blur_sigma_px": (0.5, 1.0)}
    params = getattr(drawn(shape, **{f"{field}_transform": {**p, **ranges}}), field)
    intensity = params.intensity
    on = torch.stack(
        [
            (params.crop_size != 1).all(1),
            intensity.gamma[:, 0] != 1,
            intensity.noise_sigma[:, 0] != 0,
            intensity.blur_sigma_px[:, 0] != 0,
        ]
    )
    assert torch.equal(on[0], (params.crop_size != 1).any(1))
    for hit, share in zip(on.double(), p.values(), strict=True):
        assert abs(hit.mean() - share) < 5 * (share * (1 - share) / COUNT) ** 0.5
    assert (torch.corrcoef(on.double()) - torch.eye(4)).abs().max() < 5 / COUNT**0.5
    values = torch.stack([f[:, 0].double() for f in (intensity.gamma.log(), *intensity[1:])])
    for k, hit in enumerate(on[1:]):  # a value says nothing about what else is on
        others = torch.cat([on.double()[:, hit], values[k : k + 1, hit]])
        row = torch.corrcoef(others[[i for i in range(5) if i != k + 1]])[-1, :-1]
        assert row.abs().max() < 5 / hit.sum() ** 0.5
    assert is_uniform(params.crop_size[on[0]], 0.6, 0.9)
    assert is_uniform(params.crop_start, 0, 1)
    assert is_uniform(intensity.gamma[on[1]].log2(), -1, 1)
    assert is_uniform(intensity.noise_sigma[on[2]], 0.1, 0.3)
    assert is_uniform(intensity.blur_sigma_px[on[3]], 0.5, 1.0)


def test_the_three_transforms_and_the_place_are_drawn_independently():
    image = {"p_crop": 1.0, "p_gamma": 1.0, "p_noise": 1.0, "p_blur": 1.0}
    params = drawn(
        background_transform=image, image_transform=image, object_transform={"intensity": ["gamma"]}, alpha=(0.2, 0.8)
    )
    columns = [params.alpha, params.rank_u, params.carve_u, *params.candidate_u.flatten(1).T[:6]]
    columns += [*params.object.intensity.gamma.log().T]
    for transform in (params.background, params.image):
        columns += [*transform.crop_size.T, *transform.crop_start.T]
        columns += [f[:, 0] for f in (transform.intensity.gamma.log(), *transform.intensity[1:])]
    table = torch.stack([column.double() for column in columns])
    assert (torch.corrcoef(table) - torch.eye(len(table))).abs().max() < 5 / COUNT**0.5
