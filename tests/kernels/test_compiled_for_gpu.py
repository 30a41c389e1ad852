"""Every kernel that a call launches compiles to machine code for a GPU as it is launched, which takes no GPU.

The launches are noted, not made: what a call launches follows from shapes, types and settings alone.
"""

import os
import sys

import pytest
import torch

pytest.importorskip("triton", reason="needs triton, which has wheels for Linux only")

import triton
from triton.backends.compiler import GPUTarget

from softcp_gpu import SoftCP, kernels, phantoms
from softcp_gpu.functional import soft_cp, soft_mask
from softcp_gpu.kernels import launch as launches

pytestmark = pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="Triton interprets in this process")

CAPABILITY = 80
TYPES = {
    torch.bool: "i1",
    torch.uint8: "u8",
    torch.int16: "i16",
    torch.int32: "i32",
    torch.int64: "i64",
    torch.float16: "fp16",
    torch.bfloat16: "bf16",
    torch.float32: "fp32",
    torch.float64: "fp64",
}
IMAGES = {"background_transform": {}, "image_transform": {}}
CALLS = {
    "default": ((40, 48), torch.float32, {}),
    "all transforms": ((40, 48), torch.float32, IMAGES),
    "volumes": ((12, 40, 48), torch.float32, {"k_erode": (0, 2), "on_small": "skip", **IMAGES}),
    "float64": ((40, 48), torch.float64, {"blend": "softcp-geometric", "footprint": "cross"}),
    "half": ((40, 48), torch.float16, {"lesion_labels": 1, "min_visible": 3, "k_erode": 0}),
    "bfloat16": ((40, 48), torch.bfloat16, {"placement": "in_place", "k_dilate": 0}),
    "no blur": ((40, 48), torch.float32, {"object_transform": {"intensity": ["gamma"]}, "k_dilate": (0, 3)}),
    "many rings": ((300, 20), torch.float32, {"k_dilate": 280}),
    "rim": ((40, 48), torch.float32, {"match": "rim"}),
    "one channel": ((32, 32), torch.float32, {"k_dilate": 1}),
}


def noting(monkeypatch):
    """From now on, what is launched, by kernel and types."""
    found = {}

    def note(kernel, grid, *arguments, num_warps=4):
        names, signature, constants = kernel.arg_names, {}, {}
        constant = {param.name for param in kernel.params if param.is_constexpr}
        assert len(names) == len(arguments), f"{kernel.fn.__name__}: {len(names)} parameters, {len(arguments)} given"
        for name, value in zip(names, arguments, strict=True):
            if name in constant or (isinstance(value, int) and value == 1):  # Triton takes a 1 as a constant
                signature[name], constants[name] = "constexpr", value
            else:
                signature[name] = f"*{TYPES[value.dtype]}" if isinstance(value, torch.Tensor) else "i32"
        found[kernel.fn.__name__, repr(signature), repr(constants)] = (kernel, signature, constants, num_warps)

    for name, module in list(sys.modules.items()):
        if name.startswith("softcp_gpu.kernels") and hasattr(module, "launch") and module is not launches:
            monkeypatch.setattr(module, "launch", note)
    monkeypatch.setattr(kernels, "run_on", lambda x: True)
    return found


def compiled(kernel, signature, constants, num_warps):
    names = kernel.arg_names
    source = triton.compiler.ASTSource(
        fn=kernel, signature=signature, constexprs={(names.index(name),): value for name, value in constants.items()}
    )
    target = GPUTarget("cuda", CAPABILITY, 32)
    return triton.compile(source, target=target, options={"num_warps": num_warps}).asm["cubin"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """What one test has compiled, the others need not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_CACHE_DIR", str(tmp_path_factory.mktemp("triton")))
        yield


def assert_all_compile(noted):
    assert noted
    for launched in noted.values():
        assert compiled(*launched)


def names(noted):
    return {name for name, *_ in noted}


@pytest.mark.parametrize("settings", CALLS)
def test_a_call(settings, cache, monkeypatch):
    shape, dtype, keywords = CALLS[settings]
    image, mask, region = phantoms.batch(3, shape, channels=1 if settings == "one channel" else 2)
    aug, seed = SoftCP(**keywords), torch.arange(3)
    params = aug.draw(seed, shape, own_source=False)
    noted = noting(monkeypatch)
    aug.draw(seed, shape, own_source=False)
    with torch.no_grad():
        soft_cp(image.to(dtype), mask, region, image.to(dtype), mask, params, aug.config)
    assert "draw_pass" in names(noted)
    assert ("tile_blend_pass" in names(noted)) == (settings not in ("rim", "many rings"))
    assert_all_compile(noted)


@pytest.mark.parametrize("beside", [False, True])
def test_a_call_by_address(beside, cache, monkeypatch):
    """Where branches of a graph are captured, images are copied and their ranges found in one pass."""
    image, mask, region = phantoms.batch(3, (40, 48))
    aug = SoftCP()
    params = aug.draw(torch.arange(3), (40, 48), own_source=False)
    noted = noting(monkeypatch)
    monkeypatch.setattr(launches.Branch, "beside", beside)
    addresses = torch.zeros(6 if beside else 3, dtype=torch.int64)
    with torch.no_grad():
        soft_cp(image, mask, region, image, mask, params, aug.config, addresses=addresses)
    flags = ("BY_ADDRESS", "ELSEWHERE")
    by_address = {key: launched for key, launched in noted.items() if any(launched[2].get(flag) for flag in flags)}
    expected = {"copy_pass", "tile_source_pass", "tile_blend_pass"}
    assert names(by_address) == expected | {"masks_pass" if beside else "ranges_pass"}
    assert_all_compile(by_address)


@pytest.mark.parametrize("settings", ["default", "volumes", "float64", "half", "many rings", "rim"])
def test_a_call_whose_gradients_are_asked_for(settings, cache, monkeypatch):
    shape, dtype, keywords = CALLS[settings]
    image, mask, region = phantoms.batch(3, shape, channels=2)
    image = image.to(dtype).requires_grad_()
    aug = SoftCP(**keywords)
    params = aug.draw(torch.arange(3), shape, own_source=False)
    params = params._replace(alpha=params.alpha.clone().requires_grad_())
    noted = noting(monkeypatch)
    out = soft_cp(image, mask, region, image, mask, params, aug.config)
    torch.autograd.grad(out.image.sum() + out.soft_mask.sum(), (image, params.alpha))
    assert "backward_pass" in names(noted)
    assert_all_compile(noted)


def test_a_soft_mask(cache, monkeypatch):
    noted = noting(monkeypatch)
    for shape in ((40, 48), (12, 20, 24)):
        for k_erode, k_dilate, footprint in ((2, 10, "full"), (0, 3, "cross"), (1, 300, "full"), (0, 0, "full")):
            soft_mask(torch.ones(2, 1, *shape), k_erode, k_dilate, 0.7, footprint=footprint)
    assert {"words_pass", "rings_pass", "distance_pass"} <= names(noted)
    assert_all_compile(noted)
