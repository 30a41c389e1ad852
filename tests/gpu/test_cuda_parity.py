"""The same seed gives the same result on the GPU as on the CPU, without waiting for the GPU on the way.

DEVICE=cpu of benchmarks/gpu_suite.sh runs this file without a GPU, to try the suite itself.
"""

import os

import pytest
import torch
from torch.utils._pytree import tree_leaves

from softcp_gpu import GraphedSoftCP, LesionBank, LesionCrop, SoftCP, kernels, loops, phantoms
from softcp_gpu.functional import execution, soft_cp, soft_mask

DEVICE = os.environ.get("SOFTCP_TEST_DEVICE", "cuda")
SHAPES = [(96, 80), (24, 40, 32)]
with_kernels = pytest.mark.skipif(DEVICE != "cuda" or not kernels.INSTALLED, reason="kernels need CUDA and Triton")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(DEVICE == "cuda" and not torch.cuda.is_available(), reason="needs CUDA"),
]


@pytest.fixture(autouse=True)
def plain_torch():
    """On the CPU: loops would first be compiled, which takes longer than all that is tested."""
    with loops.unused():
        yield


def everything(**more):
    return SoftCP(p=0.8, match="rim", background_transform={}, image_transform={}, **more)


def both(shape, aug, dtype=torch.float32):
    image, mask, region = phantoms.batch(6, shape, channels=2)
    image = image.to(dtype)
    params = aug.draw(torch.arange(6), shape, own_source=False)
    here = aug.augment(image, mask, region, params=params)
    there = aug.augment(image.to(DEVICE), mask.to(DEVICE), region.to(DEVICE), params=params)
    return here, there


PASTES = {
    "everything": {"match": "rim", "background_transform": {}, "image_transform": {}},
    "default": {},  # what one operator pastes; the two below it as well
    "all transforms": {"background_transform": {}, "image_transform": {}, "k_erode": (0, 3), "alpha": (0.5, 0.8)},
    "cross": {"footprint": "cross", "on_small": "skip", "k_erode": (0, 6), "k_dilate": (0, 32), "min_visible": 0.5},
}


PATHS = [("everything", "off"), *(pytest.param(name, "on", marks=with_kernels) for name in PASTES)]


@pytest.mark.parametrize(("settings", "choice"), PATHS)
@pytest.mark.parametrize("shape", SHAPES)
def test_gpu_and_cpu_agree(shape, settings, choice):
    with kernels.use(choice):
        here, there = both(shape, SoftCP(p=0.8, **PASTES[settings]))
    assert torch.equal(here.status, there.status.cpu())
    for a, b in zip(here.placement, there.placement, strict=True):
        assert torch.equal(a, b.cpu())
    span = here.image.max() - here.image.min()
    flips = (here.mask != there.mask.cpu()).sum()
    assert flips <= here.mask.numel() * 1e-4
    assert (here.image - there.image.cpu()).abs().max() <= 1e-4 * span
    assert (here.soft_mask - there.soft_mask.cpu()).abs().max() <= 1e-4


def test_gpu_and_cpu_agree_in_millimetres_on_lesions_of_a_bank():
    shape, mm = (24, 40, 32), (2.5, 0.9, 0.8)
    image, mask, region = phantoms.batch(4, shape, seed=3)
    lesions = []
    for i in range(4):
        limits = torch.stack([image[i].flatten(1).amin(1), image[i].flatten(1).amax(1)], 1)
        lesions.append(LesionCrop(image[i], mask[i], limits, (0, 0, 0), (2.0, 1.0, 1.0), f"case{i}"))
    aug = everything(k_dilate=4, bank=LesionBank(lesions))
    params = aug.draw(torch.arange(4), shape)
    here = aug.augment(image, mask, region, spacing=mm, params=params)
    moved = aug.to(DEVICE)
    there = moved.augment(image.to(DEVICE), mask.to(DEVICE), region.to(DEVICE), spacing=mm, params=params)
    assert torch.equal(here.status, there.status.cpu())
    for a, b in zip(here.placement, there.placement, strict=True):
        assert torch.equal(a, b.cpu())
    assert (here.mask != there.mask.cpu()).sum() <= here.mask.numel() * 1e-4
    assert (here.image - there.image.cpu()).abs().max() <= 1e-4 * (here.image.max() - here.image.min())
    assert (here.soft_mask - there.soft_mask.cpu()).abs().max() <= 1e-4


def test_gpu_and_cpu_agree_on_a_scan_which_is_worked_on_lesion_by_lesion():
    shape, mm = (96, 192, 256), (2.5, 0.9, 0.8)
    assert torch.Size(shape).numel() >= execution.LARGE_FRAME
    image, mask, region = phantoms.batch(2, shape, seed=5)
    aug = SoftCP(p=1.0, k_dilate=4, match="rim")
    params = aug.draw(torch.arange(2), shape, own_source=False)
    here = aug.augment(image, mask, region, spacing=mm, params=params)
    there = aug.augment(image.to(DEVICE), mask.to(DEVICE), region.to(DEVICE), spacing=mm, params=params)
    assert torch.equal(here.status, there.status.cpu())
    for a, b in zip(here.placement, there.placement, strict=True):
        assert torch.equal(a, b.cpu())
    assert (here.mask != there.mask.cpu()).sum() <= here.mask.count_nonzero() * 1e-3
    assert (here.image - there.image.cpu()).abs().max() <= 1e-4 * (here.image.max() - here.image.min())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_agrees(dtype):
    here, there = both(SHAPES[0], everything(), dtype)
    assert there.image.dtype == dtype
    assert torch.allclose(here.image.float(), there.image.cpu().float(), atol=0.02)


def test_autocast_changes_nothing():
    aug = everything()
    image, mask, region = (x.to(DEVICE) for x in phantoms.batch(4, SHAPES[0]))
    params = aug.draw(torch.arange(4), SHAPES[0], own_source=False)
    plain = aug.augment(image, mask, region, params=params)
    with torch.autocast(DEVICE, dtype=torch.bfloat16):
        cast = aug.augment(image, mask, region, params=params)
    assert torch.equal(plain.image, cast.image)


@pytest.mark.parametrize("steps", [(1, 6), (5, 32), (1, 40)])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("footprint", ["full", "cross"])
def test_soft_mask_agrees(shape, footprint, steps):
    _, mask, _ = phantoms.batch(4, shape)
    here = soft_mask(mask, *steps, 0.8, footprint=footprint)
    there = soft_mask(mask.to(DEVICE), *steps, 0.8, footprint=footprint)
    assert (here - there.cpu()).abs().max() <= 1e-6


@pytest.mark.skipif(DEVICE != "cuda", reason="only a GPU can be waited for")
@pytest.mark.parametrize("shape", SHAPES)
def test_the_tensor_path_never_waits_for_the_gpu(shape):
    aug = everything()
    image, mask, region = (x.to(DEVICE) for x in phantoms.batch(4, shape))
    params = aug.draw(torch.arange(4), shape, own_source=False).to(DEVICE)
    soft_cp(image, mask, region, image, mask, params, aug.config)  # libraries may wait when they are first used
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        soft_cp(image, mask, region, image, mask, params, aug.config)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def same(a, b):
    """Of two results of one device."""
    assert torch.equal(a.status, b.status)
    assert torch.equal(a.placement.offset_px, b.placement.offset_px)
    assert (a.mask != b.mask).sum() <= a.mask.numel() * 1e-4
    assert (a.image - b.image).abs().max() <= 1e-4 * (a.image.max() - a.image.min())


@with_kernels
def test_draws_of_the_gpu_are_those_of_the_cpu():
    aug = SoftCP(p=0.7, alpha=(0.5, 0.9), k_erode=(0, 3), background_transform={}, image_transform={})
    here = aug.draw(torch.arange(300), (96, 80), own_source=False)
    with kernels.use("on"):
        there = aug.draw(torch.arange(300, device=DEVICE), (96, 80), own_source=False)
    for a, b in zip(tree_leaves(here), tree_leaves(there), strict=True):
        if a is not None:
            assert torch.allclose(a, b.cpu(), rtol=1e-6, atol=0)


@pytest.mark.parametrize(("settings", "choice"), PATHS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_graph_gives_what_its_module_gives_on_every_batch(shape, settings, choice):
    plain = SoftCP(p=0.8, **PASTES[settings])
    graphed = GraphedSoftCP(SoftCP(p=0.8, **PASTES[settings]))
    for seed, count in enumerate((4, 4, 3, 4)):
        image, mask, region = (x.to(DEVICE) for x in phantoms.batch(count, shape, seed=seed))
        with kernels.use(choice):
            expected = plain.augment(image, mask, region, generator=torch.Generator().manual_seed(seed))
            found = graphed.augment(image, mask, region, generator=torch.Generator().manual_seed(seed))
            again, _ = graphed(image, mask, region, generator=torch.Generator().manual_seed(seed))
        same(expected, found)
        assert torch.equal(again, found.image)
        assert torch.equal(found.params.seed.cpu(), expected.params.seed.cpu())


def test_a_graph_leaves_earlier_results_alone_and_takes_sources():
    aug = GraphedSoftCP(SoftCP(p=1.0))
    image, mask, region = (x.to(DEVICE) for x in phantoms.batch(4, SHAPES[0]))
    other, labels, _ = (x.to(DEVICE) for x in phantoms.batch(4, (64, 64), seed=5))
    more = {"source_image": other, "source_mask": labels}
    first = aug.augment(image, mask, region, **more, generator=torch.Generator().manual_seed(0))
    kept = first.image.clone()
    same(first, aug.aug.augment(image, mask, region, **more, generator=torch.Generator().manual_seed(0)))
    aug.augment(image, mask, region, **more, generator=torch.Generator().manual_seed(1))
    assert torch.equal(first.image, kept)


@pytest.mark.skipif(DEVICE != "cuda", reason="only a GPU can be waited for")
@pytest.mark.parametrize("settings", ["everything", "default"])
def test_a_graph_never_waits_for_the_gpu(settings):
    aug, generator = GraphedSoftCP(SoftCP(p=0.8, **PASTES[settings])), torch.Generator().manual_seed(0)
    batch = tuple(x.to(DEVICE) for x in phantoms.batch(4, SHAPES[0]))
    aug(*batch, generator=generator)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        aug(*batch, generator=generator)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_graph_takes_images_and_masks_that_lie_anywhere():
    """Parts of other tensors, lines apart, and what begins at an odd place; regions that are no flags."""
    aug = GraphedSoftCP(SoftCP(p=1.0))
    image, mask, region = (x.to(DEVICE) for x in phantoms.batch(4, SHAPES[0]))
    expected = aug.augment(image, mask, region, generator=torch.Generator().manual_seed(0))
    odd = torch.cat([image.new_zeros(1), image.flatten()])[1:].view(image.shape)
    apart = image.repeat_interleave(2, dim=-1)[..., ::2]
    for given in (odd, apart, image.to(memory_format=torch.channels_last)):
        same(aug.augment(given, mask, region, generator=torch.Generator().manual_seed(0)), expected)
    odd = torch.cat([mask.new_zeros(1), mask.flatten()])[1:].view(mask.shape)
    for labels, organ in (
        (odd, region),
        (mask, region.to(torch.uint8)),
        (mask[:, 0], region[:, 0]),
        (mask.bool(), region),
    ):
        found = aug.augment(image, labels, organ, generator=torch.Generator().manual_seed(0))
        assert found.mask.dtype == labels.dtype
        same(found._replace(mask=found.mask.view(mask.shape).to(mask.dtype)), expected)
    same(*(x.augment(image, mask, generator=torch.Generator().manual_seed(0)) for x in (aug, aug.aug)))


def test_compiles_as_one_graph():
    aug = everything()
    image, mask, region = (x.to(DEVICE) for x in phantoms.batch(4, SHAPES[0]))
    params = aug.draw(torch.arange(4), SHAPES[0], own_source=False).to(DEVICE)
    inputs = (image, mask, region, image, mask, params)
    backend = "inductor" if DEVICE == "cuda" else "aot_eager"
    compiled = torch.compile(lambda *x: soft_cp(*x, aug.config), fullgraph=True, backend=backend)(*inputs)
    eager = soft_cp(*inputs, aug.config)
    assert torch.equal(compiled.status, eager.status)
    assert (compiled.image - eager.image).abs().max() <= 1e-4 * (image.max() - image.min())


@with_kernels
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("footprint", ["full", "cross"])
@pytest.mark.parametrize("on_small", ["shrink", "skip"])
def test_kernels_give_the_same_soft_mask(shape, footprint, on_small):
    _, mask, _ = phantoms.batch(4, shape)
    mask, alpha = mask.to(DEVICE), torch.tensor([0.5, 0.6, 0.7, 0.8], device=DEVICE, requires_grad=True)
    k_erode, k_dilate = torch.tensor([0, 1, 2, 6], device=DEVICE), torch.tensor([0, 3, 9, 5], device=DEVICE)
    found = []
    for choice in ("off", "on"):
        with kernels.use(choice):
            soft = soft_mask(mask, k_erode, k_dilate, alpha, footprint=footprint, on_small=on_small)
        found.append((soft, *torch.autograd.grad(soft.square().sum(), alpha)))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.allclose(found[0][1], found[1][1], rtol=1e-4)  # sums of float32 in another order


@with_kernels
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("settings", [{}, {"match": "rim"}, {"footprint": "cross", "on_small": "skip"}])
@pytest.mark.parametrize("shape", SHAPES)
def test_kernels_give_the_same_pastes(shape, settings, dtype):
    aug = SoftCP(p=0.8, **settings)
    image, mask, region = (x.to(DEVICE) for x in phantoms.batch(6, shape, channels=2))
    params = aug.draw(torch.arange(6), shape, own_source=False).to(DEVICE)
    found = []
    for choice in ("off", "on"):
        image = image.detach().to(dtype).requires_grad_()
        with kernels.use(choice):
            out = soft_cp(image, mask, region, image, mask, params, aug.config)
        found.append((out, torch.autograd.grad(out.image.float().square().sum(), image)[0]))
    (plain, gradient), (fused, other) = found
    assert torch.equal(plain.status, fused.status)
    assert torch.equal(plain.mask, fused.mask)
    assert torch.equal(plain.soft_mask, fused.soft_mask)
    # A product and a sum may be one instruction, rounded once; the rest is noise of that size through gamma.
    least = 2 * torch.finfo(dtype).eps if dtype == torch.bfloat16 else 1e-4
    assert (plain.image - fused.image).abs().max() <= least * plain.image.abs().max()
    assert (gradient - other).abs().max() <= 10 * least * gradient.abs().max()


@with_kernels
def test_kernels_do_not_wait_and_compile_as_one_graph():
    aug = SoftCP(p=0.8)
    image, mask, region = (x.to(DEVICE) for x in phantoms.batch(4, SHAPES[0]))
    params = aug.draw(torch.arange(4), SHAPES[0], own_source=False).to(DEVICE)
    inputs = (image, mask, region, image, mask, params)
    with kernels.use("on"):
        eager = soft_cp(*inputs, aug.config)  # kernels are compiled when they first run
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            soft_cp(*inputs, aug.config)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        compiled = torch.compile(lambda *x: soft_cp(*x, aug.config), fullgraph=True)(*inputs)
    assert torch.equal(compiled.status, eager.status)
    assert (compiled.image - eager.image).abs().max() <= 1e-4 * (image.max() - image.min())
