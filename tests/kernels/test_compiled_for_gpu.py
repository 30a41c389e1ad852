"""Every kernel compiles to machine code for a GPU, which takes no GPU.

The interpreter takes more than the compiler does.
"""

import os

import pytest

pytest.importorskip("triton", reason="needs triton, which has wheels for Linux only")

import triton
from triton.backends.compiler import GPUTarget

from softcp_gpu.kernels import jit_blur, jit_draws, jit_lesion, jit_motion, jit_places, jit_rings, jit_warp, jit_words

pytestmark = pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="Triton interprets in this process")

CAPABILITY = 80
LEVELS, STEPS = {"known": "u8", "found": "u8", "level": "u8", "possible": "i32"}, {"taken": "i64", "box": "i32"}
WIDE = {"known": "i16", "found": "i16", "level": "i16"}
RINGS = {"AXIS": 2, "BLOCK": 512}
BOXES = {"start": "i64", "extent": "i64", "origin": "i64", "span": "i64", "first": "i64", "area": "i64", "box": "i32"}
WORDS = {**dict.fromkeys(("lesion", "region", "others", "counts"), "i32"), "candidates": "i64", "legal": "u8"}
WORDS = {**WORDS, "rank_u": "fp64", "candidate_u": "fp64", "in_region": "i32", "on_others": "i32"}
MOTION = {**dict.fromkeys(("flip", "angle", "scale", "shift"), "fp32"), "matrix": "fp64", "whole": "u8"}
RULE = {
    "REGION": 0.5,
    "OTHERS": 0.0,
    "VISIBLE": 1.0,
    "REGION_SHARE": True,
    "OTHERS_SHARE": False,
    "VISIBLE_SHARE": True,
    "WHOLE": False,
    "ASKS": True,
}
FLAT = {"d0": 1, "s0": 1}
# Triton takes an integer that is 1 as a constant, and code for each of them apart.
ONES = {"stride": 1, "channels": 1, "far": 1, "reach": 1, "length": 1, "margin": 1, "s0": 1}


def images(work, image):
    of_work = ("table", "source", "soft", "grad_soft", "grad_source", "grad_table")
    of_work += ("affine", "bounds", "gamma", "sigma", "out", "grad_out", "grad_bounds")
    types = {"blended": image, "image": image, "grad_blended": image, "grad_image": image}
    return {**dict.fromkeys(of_work, work), **types, "origin": "i64", "seed": "i64"}


CASES = [
    *(
        (jit_rings.distance_pass, {**LEVELS, **STEPS}, {**RINGS, "READS": reads, "CROSS": cross, "COUNTS": counts})
        for reads in (0, 1, 2)
        for cross, counts in ((False, False), (True, True))
    ),
    (jit_rings.distance_pass, {**LEVELS, **STEPS}, {**RINGS, **ONES, "READS": 2, "CROSS": False, "COUNTS": False}),
    (jit_rings.distance_pass, {**WIDE, **STEPS}, {**RINGS, "READS": 2, "CROSS": False, "COUNTS": False}),
    *(
        (kernel, {**LEVELS, **STEPS, **images(work, image)}, {**RINGS, "READS": 2, "CROSS": False, "BLENDS": True})
        for kernel in (jit_rings.last_pass, jit_rings.backward_pass)
        for work, image in (("fp32", "fp32"), ("fp64", "fp64"), ("fp32", "fp16"), ("fp32", "bf16"))
    ),
    *(
        (
            kernel,
            {**levels, **STEPS, **images("fp32", "fp32")},
            {**RINGS, **more, "READS": 0, "CROSS": True, "BLENDS": False},
        )
        for kernel in (jit_rings.last_pass, jit_rings.backward_pass)
        for levels, more in ((WIDE, {}), (LEVELS, ONES))
    ),
    *(
        (
            jit_warp.warp_pass,
            {**images(work, work), **BOXES, "rows": "i64", "active": "u8"},
            {
                **{name: name in on for name in ("WARPS", "NEAR", "PICKS", "CHOOSES", "IN_PLACE", "BACKWARD")},
                **more,
                "SLOTS": slots,
                "AXES": axes,
                "BLOCK": 256,
            },
        )
        for work, slots, axes, on, more in (
            ("fp32", 2, 2, ("WARPS",), {}),
            ("fp32", 1, 2, ("WARPS", "NEAR", "PICKS"), {"d0": 1, "s0": 1, "m0": 1}),
            ("fp32", 1, 3, ("NEAR", "IN_PLACE"), {}),
            ("fp32", 0, 2, ("WARPS", "CHOOSES"), {"d0": 1, "s0": 1}),
            ("fp32", 2, 3, ("WARPS", "PICKS", "BACKWARD"), {}),
            ("fp32", 1, 2, (), {"d0": 1, "s0": 1, "channels": 1}),
            ("fp32", 1, 2, ("WARPS", "BACKWARD"), {"d0": 1, "s0": 1, "d1": 1, "channels": 1}),
            ("fp64", 1, 3, ("BACKWARD",), {}),
            ("fp64", 1, 2, ("WARPS",), {"d0": 1, "s0": 1, "f1": 1}),
        )
    ),
    *(
        (jit_blur.blur_pass, {**images(work, work), **BOXES}, {**more, "AXES": axes, "BLOCK": 256})
        for work, axes, more in (("fp32", 2, {"s0": 1, "m0": 1, "stride": 1}), ("fp64", 3, {}))
    ),
    *(
        (
            kernel,
            {**BOXES, "mask": kind, "source": kind, "x": kind, "out": kind, "affine": "fp64", "reach": "fp64"},
            {**more, "AXES": axes, "BLOCK": 1024},
        )
        for kernel in (
            jit_lesion.box_pass,
            jit_lesion.warped_box_pass,
            jit_lesion.warped_take_pass,
            jit_lesion.take_pass,
        )
        for kind, axes, more in (("u8", 2, FLAT), ("i64", 3, {}), ("fp32", 2, FLAT))
    ),
    (jit_draws.uniform_pass, {"seed": "i64", "out": "fp64"}, {"BLOCK": 64}),
    *(
        (jit_motion.motion_pass, {**MOTION, **BOXES, "affine": "fp64", "reach": "fp64"}, {**more, "AXES": axes})
        for axes, more in ((2, {**FLAT, "c0": 1, "l0": 1}), (3, {}))
    ),
    (jit_words.pack_pass, {"flags": "u8", "words": "i32"}, {"BLOCK": 64}),
    *(
        (kernel, {**WORDS, **BOXES}, {**more, **RULE, "WITH_REGION": region, "AXES": axes, "PLACES": 16, "BLOCK": 128})
        for kernel in (jit_places.rectangle_pass, jit_places.count_pass, jit_places.map_pass, jit_places.draw_pass)
        for axes, region, more in ((2, True, {**FLAT, "w0": 1}), (3, False, {"words": 1, "per_line": 1}))
    ),
]


@pytest.mark.parametrize(("kernel", "types", "constants"), CASES)
def test_compiles(kernel, types, constants, tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    names = kernel.arg_names
    constants = {name: value for name, value in constants.items() if name in names}
    pointers = {name: f"*{kind}" for name, kind in types.items()}
    signature = {name: "constexpr" if name in constants else pointers.get(name, "i32") for name in names}
    source = triton.compiler.ASTSource(
        fn=kernel, signature=signature, constexprs={(names.index(name),): value for name, value in constants.items()}
    )
    assert triton.compile(source, target=GPUTarget("cuda", CAPABILITY, 32)).asm["cubin"]
