"""The soft mask, of the implementation and of the reference, against the closed form and SciPy's distances.

With d the number of dilation steps from the eroded core: S = 1 at d = 0, 1 - prod over j = d .. k of (1 - alpha**j) up
to d = k, and 0 beyond.
"""

import numpy as np
import pytest
import torch

from softcp_gpu import functional
from tests.parity.helpers import KINDS, masks, reference, single_mask

ndimage = pytest.importorskip("scipy.ndimage", reason="needs SciPy")

METRIC = {"full": "chessboard", "cross": "taxicab"}


def structure(footprint, axes):
    return ndimage.generate_binary_structure(axes, axes if footprint == "full" else 1)


def core_of(mask, k_erode, footprint):
    """Eroded k_erode times, or as often as leaves a core; what lies outside the frame counts as lesion."""
    core = mask
    for steps in range(1, k_erode + 1):
        eroded = ndimage.binary_erosion(mask, structure(footprint, mask.ndim), steps, border_value=1)
        if not eroded.any():
            break
        core = eroded
    return core


def closed_form(mask, k_erode, k_dilate, alpha, footprint, profile):
    if not mask.any():
        return np.zeros(mask.shape)
    distance = ndimage.distance_transform_cdt(~core_of(mask, k_erode, footprint), METRIC[footprint])
    table = np.zeros(max(distance.max(), k_dilate) + 1)
    for d in range(1, k_dilate + 1):
        rest = alpha ** np.arange(d, k_dilate + 1, dtype=float)
        table[d] = 1 - np.prod(1 - rest) if profile == "softcp" else alpha**d
    table[0] = 1
    return table[distance]


@pytest.mark.parametrize("shape", [(37, 53), (64, 48), (1, 12), (9, 14, 11), (3, 20, 8), (1, 9, 13)])
@pytest.mark.parametrize("footprint", ["full", "cross"])
@pytest.mark.parametrize("profile", ["softcp", "geometric"])
def test_soft_mask(shape, footprint, profile):
    rng = np.random.default_rng(31)
    mask = masks(rng, shape, KINDS * 2)
    mask = torch.cat(
        [
            mask,
            torch.from_numpy(
                rng.random((6, 1, *shape)) < rng.choice([0.01, 0.5, 0.95], (6, 1, 1, *[1] * (len(shape) - 1)))
            ),
        ]
    )
    count = len(mask)
    k_erode, k_dilate = (torch.from_numpy(rng.integers(0, most, count)) for most in (5, 14))
    alpha = torch.from_numpy(rng.uniform(0.05, 0.95, count))
    soft = functional.soft_mask(mask, k_erode, k_dilate, alpha, footprint=footprint, profile=profile)
    for i in range(count):
        steps = int(k_erode[i]), int(k_dilate[i]), float(alpha[i])
        expected = closed_form(single_mask(mask, i), *steps, footprint, profile)
        assert single_mask(soft, i) == pytest.approx(expected, abs=1e-12)
        if len(shape) == 2:
            ours = reference.soft_mask(single_mask(mask, i), *steps, footprint=footprint, profile=profile)
            assert ours == pytest.approx(expected, abs=1e-12)


def test_numbers_of_the_method():
    """The values that the method's description lists, around one pixel."""
    mask = np.zeros((1, 15), bool)
    mask[0, 7] = True
    for alpha, values in ((0.8, [0.986, 0.930, 0.806, 0.603, 0.328]), (0.5, [0.702, 0.404, 0.205, 0.092, 0.031])):
        soft = functional.soft_mask(torch.from_numpy(mask)[None, None], 0, 5, alpha)[0, 0].numpy()
        for x in (soft, reference.soft_mask(mask, 0, 5, alpha)):
            assert x[0, 8:].round(3) == pytest.approx([*values, 0, 0])
