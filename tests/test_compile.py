"""The tensor path as one graph: the same result as eager, compiled once."""

import pytest
import torch

from softcp_gpu import SoftCP, Status, phantoms
from softcp_gpu.functional import soft_cp, soft_mask
from softcp_gpu.sampling import sample_seeds

BLUR = {"blur_sigma_px": (0.3, 0.6)}
IMAGE = {"p_crop": 1.0, "p_gamma": 1.0, "p_noise": 1.0, "p_blur": 1.0, **BLUR}
SETTINGS = {
    "2-D, everything on": (
        (24, 20),
        {
            "p": 0.8,
            "alpha": (0.5, 0.7),
            "k_erode": (0, 1),
            "k_dilate": (2, 3),
            "match": "rim",
            "max_lesion_overlap": 0.2,
            "object_transform": BLUR,
            "background_transform": IMAGE,
            "image_transform": IMAGE,
        },
    ),
    "3-D, few legal places": (
        (16, 17, 16),
        {"p": 1.0, "k_dilate": 2, "match": "rim", "min_region_overlap": 1.0, "object_transform": BLUR},
    ),
    "poisson": ((24, 20), {"p": 0.8, "blend": "poisson", "min_visible": 0.5, "object_transform": BLUR}),
    "poisson, 3-D": ((12, 13, 14), {"p": 0.8, "blend": "poisson", "object_transform": BLUR}),
    "gaussian-mask": ((24, 20), {"p": 0.8, "blend": "gaussian-mask", "match": "rim", "object_transform": BLUR}),
    "gaussian-intensity": ((24, 20), {"p": 0.8, "blend": "gaussian-intensity", "object_transform": BLUR}),
    "carvemix": ((24, 20), {"p": 0.8, "blend": "carvemix", "min_visible": 0.5, "object_transform": BLUR}),
    "in place, partly outside": (
        (24, 20),
        {
            "p": 1.0,
            "k_dilate": 2,
            "placement": "in_place",
            "min_visible": 0.3,
            "min_region_overlap": 0,
            "lesion_labels": (1, 2),
            "footprint": "cross",
            "on_small": "skip",
            "object_transform": {"rigid": ["panning", "scaling"], "intensity": ["gamma"], "shift": (-0.6, 0.6)},
        },
    ),
    "2-D, few legal places, not transformed": (
        (24, 20),
        {"p": 1.0, "k_dilate": 2, "min_region_overlap": 1.0, "min_visible": 0.8, "object_transform": None},
    ),
}
FAST = ("2-D, everything on", "3-D, few legal places", "poisson")
# What these add to the graph the other settings compile for the machine too, which takes a minute each.
TRACED_ONLY = ("poisson, 3-D", "gaussian-mask", "gaussian-intensity", "carvemix")
BACKENDS = ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)]
RUNS = [
    pytest.param(settings, backend, marks=() if settings in FAST and backend == "aot_eager" else pytest.mark.slow)
    for settings in SETTINGS
    for backend in ("aot_eager", "inductor")
    if backend == "aot_eager" or settings not in TRACED_ONLY
]


def batch(shape, seed, count=8):
    image, mask, region = phantoms.batch(count, shape, channels=2, seed=seed)
    return image, mask, region, image.roll(3, 0), mask.roll(3, 0)


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.parametrize(("settings", "backend"), RUNS)
def test_one_graph_gives_what_eager_gives_and_is_compiled_once(settings, backend):
    shape, keywords = SETTINGS[settings]
    aug = SoftCP(**keywords)
    compiled = torch.compile(soft_cp, fullgraph=True, backend=backend)
    statuses = set()
    for run in range(2):
        inputs = batch(shape, seed=run)
        params = aug.draw(sample_seeds(run, torch.arange(8)), shape)
        eager = soft_cp(*inputs, params, aug.config)
        with torch._dynamo.config.patch(error_on_recompile=True):
            graph = compiled(*inputs, params, aug.config)
        assert torch.equal(graph.status, eager.status)
        for name, a, b in zip(eager.placement._fields, graph.placement, eager.placement, strict=True):
            assert torch.equal(a, b), name
        assert torch.equal(graph.mask, eager.mask)
        # Another order of float32 operations; the images are about in [0, 1].
        assert (graph.soft_mask - eager.soft_mask).abs().max() < 1e-5
        assert (graph.image - eager.image).abs().max() < 1e-4
        assert all(a.dtype == b.dtype for a, b in zip(graph[:3], eager[:3], strict=True))
        if params.background is None and params.image is None:
            nowhere = (graph.soft_mask == 0).expand_as(graph.image)
            assert torch.equal(graph.image[nowhere], inputs[0][nowhere])
        statuses |= set(eager.status.tolist())
    assert Status.PASTED in statuses


@pytest.mark.slow
def test_gradients_pass_through_the_graph():
    shape, aug = (24, 20), SoftCP(p=1.0, k_dilate=2, object_transform={"rigid": ["rotation"], **BLUR})
    params = aug.draw(sample_seeds(0, torch.arange(8)), shape)

    def gradients(paste):
        image, mask, region, source_image, source_mask = batch(shape, seed=0)
        leaves = image.requires_grad_(), source_image.requires_grad_(), params.alpha.clone().requires_grad_()
        out = paste(leaves[0], mask, region, leaves[1], source_mask, params._replace(alpha=leaves[2]), aug.config)
        return torch.autograd.grad(out.image.square().sum(), leaves)

    compiled = gradients(torch.compile(soft_cp, fullgraph=True, backend="aot_eager"))
    for a, b in zip(compiled, gradients(soft_cp), strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("spacing", [None, (1.0, 0.7)])
def test_soft_mask_is_one_graph(backend, spacing):
    _, mask, _ = phantoms.batch(4, (24, 20))
    compiled = torch.compile(soft_mask, fullgraph=True, backend=backend)
    found = compiled(mask, 1, 3, 0.7, spacing=spacing)
    assert torch.allclose(found, soft_mask(mask, 1, 3, 0.7, spacing=spacing), atol=1e-6)
