"""Triton: erosion, rings, weights and blend in the tile around each pasted lesion; the frame beyond it is not touched.

Distances are separable as jit_rings has it. Programs share a tile: each takes one block of its pixels after the other.
"""

import triton
import triton.language as tl

from softcp_gpu.kernels.jit_lesion import warped_label
from softcp_gpu.kernels.jit_plan import LESION_TOO_SMALL, PASTED
from softcp_gpu.kernels.jit_rings import CORE, OUTSIDE
from softcp_gpu.kernels.jit_words import along_axes

STATE = tl.constexpr(5)  # numbers of a sample, of jit_plan.plan_pass


@triton.jit
def box_of(box, sample, s0, s1, s2):
    """The box around a sample's lesion, as jit_lesion.box_pass notes it: first pixel, and the one after the last."""
    own = box + sample * 7
    return (
        s0 - tl.load(own + 3),
        s1 - tl.load(own + 4),
        s2 - tl.load(own + 5),
        tl.load(own),
        tl.load(own + 1),
        tl.load(own + 2),
    )


@triton.jit
def tile_of(box, sample, margin, s0, s1, s2):
    """A sample's tile, its box and a margin as far as the frame goes: first pixel and lengths; empty without lesion."""
    z, y, x, e0, e1, e2 = box_of(box, sample, s0, s1, s2)
    a0, a1, a2 = tl.maximum(z - margin, 0), tl.maximum(y - margin, 0), tl.maximum(x - margin, 0)
    some = (tl.load(box + sample * 7 + 6) > 0).to(tl.int32)
    n0, n1 = tl.minimum(e0 + margin, s0) - a0, tl.minimum(e1 + margin, s1) - a1
    n2 = tl.minimum(e2 + margin, s2) - a2
    return a0, a1, a2, tl.maximum(n0, 0) * some, tl.maximum(n1, 0), tl.maximum(n2, 0)


@triton.jit
def is_lesion(lesion, place, k0, k1, k2, inside):
    """Whether pixels of the frame lie on a lesion that is packed from the first pixel of its box on."""
    words, sample, w0, w1, per_line = lesion
    z, y, x, e0, e1, e2 = place
    inside = inside & (k0 >= z) & (k0 < e0) & (k1 >= y) & (k1 < e1) & (k2 >= x) & (k2 < e2)
    k0, k1, k2 = k0 - z, k1 - y, k2 - x
    word = tl.load(words + ((sample * w0 + k0) * w1 + k1) * per_line + (k2 >> 5), mask=inside, other=0)
    return ((word >> (k2 & 31)) & 1) != 0


@triton.jit
def _known(lesion, known, at, place, k0, k1, k2, inside, taken, far, READS: tl.constexpr, PACKED: tl.constexpr):
    """The distance of pixels that a pass reads, `far` where they are not inside; as jit_rings."""
    if PACKED:
        on = is_lesion(lesion, place, k0, k1, k2, inside)
        value = tl.where(on == (READS == CORE), 0, far)
    else:
        value = tl.load(known + at, mask=inside, other=0).to(tl.int32)
        if READS == OUTSIDE:
            value = tl.where(value == 0, 0, far)
        if READS == CORE:
            value = tl.where(value > taken, 0, far)
    return tl.where(inside, value, far)


@triton.jit
def taken_steps(k_erode, possible, sample, ERODES: tl.constexpr):
    """The erosion steps that a lesion takes."""
    steps = tl.load(k_erode + sample).to(tl.int32)
    return tl.minimum(steps, tl.load(possible + sample)) if ERODES else steps * 0


@triton.jit
def away_from_core(
    lesion, known, place, at, k0, k1, k2, inside, a, n, taken, far, stride, reach,
    READS: tl.constexpr, PACKED: tl.constexpr, CROSS: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """Distances after a pass along one axis, at most `far`; a and n: the tile along it."""
    along = k2
    if AXIS == 1:
        along = k1
    if AXIS == 0:
        along = k0
    best = _known(lesion, known, at, place, k0, k1, k2, inside, taken, far, READS, PACKED)
    for j in tl.range(1, reach + 1, loop_unroll_factor=4):  # so that many loads are under way at once
        d0, d1, d2 = j * (AXIS == 0), j * (AXIS == 1), j * (AXIS == 2)
        below, above = inside & (along - j >= a), inside & (along + j < a + n)
        lower = _known(
            lesion, known, at - j * stride, place, k0 - d0, k1 - d1, k2 - d2, below, taken, far, READS, PACKED
        )
        upper = _known(
            lesion, known, at + j * stride, place, k0 + d0, k1 + d1, k2 + d2, above, taken, far, READS, PACKED
        )
        near = tl.minimum(lower, upper)
        best = tl.minimum(best, near + j if CROSS else tl.maximum(near, j))
    return tl.minimum(best, far)


@triton.jit
def tile_distance_pass(
    words,  # (B, w0, w1, per_line) int32: lesions, if PACKED
    known,  # (B, pixels), else: distances, or depths
    box,  # (B, 7) int32, as jit_lesion.box_pass
    k_erode,  # (B,) int64
    possible,  # (B,) int32: how many steps leave a core: raised if COUNTS, read if READS is CORE and ERODES
    found,  # (B, pixels), out
    margin, w0, w1, per_line, s0, s1, s2, far, stride, reach,
    READS: tl.constexpr, PACKED: tl.constexpr, ERODES: tl.constexpr, COUNTS: tl.constexpr, CROSS: tl.constexpr,
    AXIS: tl.constexpr,  # of three
    BLOCK: tl.constexpr,
):  # fmt: skip
    """One pass that is not the last."""
    sample = tl.program_id(1).to(tl.int64)
    a0, a1, a2, n0, n1, n2 = tile_of(box, sample, margin, s0, s1, s2)
    place, lesion, frame = box_of(box, sample, s0, s1, s2), (words, sample, w0, w1, per_line), sample * s0 * s1 * s2
    taken = 0
    if READS == CORE:
        taken = taken_steps(k_erode, possible, sample, ERODES)
    a, n = a2, n2
    if AXIS == 1:
        a, n = a1, n1
    if AXIS == 0:
        a, n = a0, n0
    for begin in range(tl.program_id(0) * BLOCK, n0 * n1 * n2, tl.num_programs(0) * BLOCK):
        t = begin + tl.arange(0, BLOCK)
        k0, k1, k2, inside = a0 + t // (n1 * n2), a1 + (t // n2) % n1, a2 + t % n2, t < n0 * n1 * n2
        at = (k0 * s1 + k1) * s2 + k2
        away = away_from_core(
            lesion, known + frame, place, at, k0, k1, k2, inside, a, n, taken, far, stride, reach,
            READS, PACKED, CROSS, AXIS,
        )  # fmt: skip
        tl.store(found + frame + at, away.to(found.dtype.element_ty), mask=inside)
        if COUNTS:
            deepest = tl.max(tl.where(inside, away, 0), axis=0)
            if deepest > 1:
                tl.atomic_max(possible + sample, deepest - 1)  # a pixel at depth d outlives d - 1 steps


@triton.jit
def tile_paste_pass(
    words, known, box, k_erode, possible,  # as tile_distance_pass
    state,  # (B, 5) int32, of jit_plan
    home,  # (B, AXES) int64: where the box would begin without being moved
    affine,  # (B, AXES, AXES + 1) float64: pixel of the frame to pixel of the source, of the lesion at home
    labels,  # (N, d0, d1, d2): of the sources
    rows,  # (B,) int64: which of them each sample takes
    table,  # (B, far + 1): S of each level
    source,  # (B, channels, pixels): where S is 0 it may hold anything
    image,  # (B, channels, pixels): pasted into, in place; mask (B, pixels) likewise
    mask,
    soft,  # (B, pixels), zeros, out
    record,  # (B, AXES + 6) int64, out: offset, area, visible, in the region, on other lesions, erosion steps; status
    margin, w0, w1, per_line, s0, s1, s2, d0, d1, d2, channels, far, stride, reach,
    READS: tl.constexpr, PACKED: tl.constexpr, ERODES: tl.constexpr, CROSS: tl.constexpr,
    SKIPS: tl.constexpr,  # a lesion that cannot be eroded by all steps is not pasted
    AXIS: tl.constexpr, AXES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The last pass, S from the table, S * source + (1 - S) * image, the union of the labels, and the record."""
    sample = tl.program_id(1).to(tl.int64)
    a0, a1, a2, n0, n1, n2 = tile_of(box, sample, margin, s0, s1, s2)
    place = box_of(box, sample, s0, s1, s2)
    z, y, x, _, _, _ = place
    g0, g1, g2 = along_axes(home + sample * AXES, 0, AXES)
    taken = taken_steps(k_erode, possible, sample, ERODES)
    status = tl.load(state + sample * STATE)
    if SKIPS:
        gone = (status == PASTED) & (taken != tl.load(k_erode + sample))
        status = tl.where(gone, LESION_TOO_SMALL, status)
    pasted = (status == PASTED).to(tl.int32)
    if tl.program_id(0) == 0:
        row = record + sample * (AXES + 6)
        if AXES == 3:
            tl.store(row, ((z - g0) * pasted).to(tl.int64))
        tl.store(row + AXES - 2, ((y - g1) * pasted).to(tl.int64))
        tl.store(row + AXES - 1, ((x - g2) * pasted).to(tl.int64))
        tl.store(row + AXES, (tl.load(state + sample * STATE + 4) * pasted).to(tl.int64))
        for i in tl.static_range(3):
            tl.store(row + AXES + 1 + i, (tl.load(state + sample * STATE + 1 + i) * pasted).to(tl.int64))
        tl.store(row + AXES + 4, (taken * pasted).to(tl.int64))
        tl.store(row + AXES + 5, status.to(tl.int64))
    pixels, lesion = s0 * s1 * s2, (words, sample, w0, w1, per_line)
    frame, matrix = labels + tl.load(rows + sample) * d0 * d1 * d2, affine + sample * AXES * (AXES + 1)
    a, n = a2, n2
    if AXIS == 1:
        a, n = a1, n1
    if AXIS == 0:
        a, n = a0, n0
    total = n0 * n1 * n2 * pasted
    for begin in range(tl.program_id(0) * BLOCK, total, tl.num_programs(0) * BLOCK):
        t = begin + tl.arange(0, BLOCK)
        k0, k1, k2, inside = a0 + t // (n1 * n2), a1 + (t // n2) % n1, a2 + t % n2, t < total
        at = (k0 * s1 + k1) * s2 + k2
        away = away_from_core(
            lesion, known + sample * pixels, place, at, k0, k1, k2, inside, a, n, taken, far, stride, reach,
            READS, PACKED, CROSS, AXIS,
        )  # fmt: skip
        weight = tl.load(table + sample * (far + 1) + far - away, mask=inside, other=0)
        shown = inside & (weight > 0)
        tl.store(soft + sample * pixels + at, weight, mask=shown)
        for channel in range(channels):
            here = (sample * channels + channel) * pixels + at
            new = tl.load(source + here, mask=shown, other=0)
            old = tl.load(image + here, mask=shown, other=0)
            mixed = new * weight + (1 - weight) * old.to(new.dtype)
            tl.store(image + here, mixed.to(old.dtype), mask=shown)
        # A label needs pixels: what no ring reaches is not pasted, so it is not labelled.
        hard = shown & is_lesion(lesion, place, k0, k1, k2, shown)
        label = warped_label(frame, matrix, k0 - z + g0, k1 - y + g1, k2 - x + g2, hard, d0, d1, d2, AXES)
        tl.store(mask + sample * pixels + at, label.to(mask.dtype.element_ty), mask=hard)
