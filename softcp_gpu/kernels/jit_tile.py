"""Triton: the tile around each pasted lesion, and the blend in it; the frame beyond it is not touched.

Programs share a tile: each takes one block of its pixels after the other.
"""

import triton
import triton.language as tl

from softcp_gpu.kernels.jit_grow import taken_steps
from softcp_gpu.kernels.jit_lesion import warped_label
from softcp_gpu.kernels.jit_plan import LESION_TOO_SMALL, PASTED
from softcp_gpu.kernels.jit_words import along_axes, lies_at, split

STATE = tl.constexpr(5)  # numbers of a sample, of jit_plan.plan_pass


@triton.jit
def tile_of(box, sample, margin, s0, s1, s2):
    """A sample's tile, its box and a margin as far as the frame goes: first pixel and lengths; empty without lesion."""
    own = box + sample * 7
    a0 = tl.maximum(s0 - tl.load(own + 3) - margin, 0)
    a1 = tl.maximum(s1 - tl.load(own + 4) - margin, 0)
    a2 = tl.maximum(s2 - tl.load(own + 5) - margin, 0)
    some = (tl.load(own + 6) > 0).to(tl.int32)
    n0, n1 = tl.minimum(tl.load(own) + margin, s0) - a0, tl.minimum(tl.load(own + 1) + margin, s1) - a1
    n2 = tl.minimum(tl.load(own + 2) + margin, s2) - a2
    return a0, a1, a2, tl.maximum(n0, 0) * some, tl.maximum(n1, 0), tl.maximum(n2, 0)


@triton.jit
def tile_blend_pass(
    box,  # (B, 7) int32, of jit_plan
    k_erode,  # (B,) int64
    possible,  # (B,) int32: how many steps leave a core, if ERODES
    state,  # (B, 5) int32, of jit_plan
    home,  # (B, AXES) int64: where the box would begin without being moved
    affine,  # (B, AXES, AXES + 1) float64: pixel of the frame to pixel of the source, of the lesion at home
    labels,  # (N, d0, d1, d2): of the sources
    rows,  # (B,) int64: which of them each sample takes
    soft,  # (B, pixels)
    source,  # (B, channels, pixels): where S is 0 it may hold anything
    image,  # (B, channels, pixels): pasted into, in place; mask (B, pixels) likewise
    mask,
    record,  # (B, AXES + 6) int64, out: offset, area, visible, in the region, on other lesions, erosion steps; status
    addresses,  # (3,) int64, if BY_ADDRESS: the image lies at the last one; (6,), if ELSEWHERE: the mask likewise
    margin, s0, s1, s2, d0, d1, d2, channels,
    ERODES: tl.constexpr,
    SKIPS: tl.constexpr,  # a lesion that cannot be eroded by all steps is not pasted
    BY_ADDRESS: tl.constexpr, ELSEWHERE: tl.constexpr, AXES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """S * source + (1 - S) * image; and once for all channels the union of the labels, and the record."""
    row = tl.program_id(1).to(tl.int64)
    sample, leads = row // channels, row % channels == 0
    taken = taken_steps(k_erode, possible, sample, ERODES)
    status, own = tl.load(state + sample * STATE), box + sample * 7
    z, y, x = s0 - tl.load(own + 3), s1 - tl.load(own + 4), s2 - tl.load(own + 5)
    g0, g1, g2 = along_axes(home + sample * AXES, 0, AXES)
    if SKIPS:
        gone = (status == PASTED) & (taken != tl.load(k_erode + sample))
        status = tl.where(gone, LESION_TOO_SMALL, status)
    pasted = (status == PASTED).to(tl.int32)
    if leads & (tl.program_id(0) == 0):
        line, found = record + sample * (AXES + 6), state + sample * STATE
        if AXES == 3:
            tl.store(line, ((z - g0) * pasted).to(tl.int64))
        tl.store(line + AXES - 2, ((y - g1) * pasted).to(tl.int64))
        tl.store(line + AXES - 1, ((x - g2) * pasted).to(tl.int64))
        tl.store(line + AXES, (tl.load(found + 4) * pasted).to(tl.int64))
        for i in tl.static_range(3):
            tl.store(line + AXES + 1 + i, (tl.load(found + 1 + i) * pasted).to(tl.int64))
        tl.store(line + AXES + 4, (taken * pasted).to(tl.int64))
        tl.store(line + AXES + 5, status.to(tl.int64))
    a0, a1, a2, n0, n1, n2 = tile_of(box, sample, margin, s0, s1, s2)
    e0, e1, e2 = tl.load(own), tl.load(own + 1), tl.load(own + 2)
    pixels, total = s0 * s1 * s2, n0 * n1 * n2 * pasted
    image, mask = lies_at(image, addresses, 2, BY_ADDRESS), lies_at(mask, addresses, 5, ELSEWHERE)
    frame, matrix = labels + tl.load(rows + sample) * d0 * d1 * d2, affine + sample * AXES * (AXES + 1)
    for begin in range(tl.program_id(0) * BLOCK, total, tl.num_programs(0) * BLOCK):
        t = begin + tl.arange(0, BLOCK)
        k0, k1, k2 = split(t, n1, n2, AXES)
        k0, k1, k2 = a0 + k0, a1 + k1, a2 + k2
        at = (k0 * s1 + k1) * s2 + k2
        weight = tl.load(soft + sample * pixels + at, mask=t < total, other=0)
        shown = weight > 0
        new = tl.load(source + row * pixels + at, mask=shown, other=0)
        old = tl.load(image + row * pixels + at, mask=shown, other=0)
        mixed = new * weight + (1 - weight) * old.to(new.dtype)
        tl.store(image + row * pixels + at, mixed.to(old.dtype), mask=shown)
        if leads:
            # A label needs pixels: what no ring reaches is not pasted, so it is not labelled.
            held = shown & (k0 >= z) & (k0 < e0) & (k1 >= y) & (k1 < e1) & (k2 >= x) & (k2 < e2)
            label = warped_label(frame, matrix, k0 - z + g0, k1 - y + g1, k2 - x + g2, held, d0, d1, d2, AXES)
            tl.store(mask + sample * pixels + at, label.to(mask.dtype.element_ty), mask=label != 0)
