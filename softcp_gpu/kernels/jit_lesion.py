"""Triton: boxes around lesions, lesions resampled by nearest neighbour, and windows taken out of frames.

Volumes have three axes; images have a first one of length 1.
"""

import triton
import triton.language as tl

from softcp_gpu.kernels.jit_words import split


@triton.jit
def widen(box, end0, end1, end2, back0, back1, back2, count):
    """Widens a sample's box by what was found, as box_pass notes it, anywhere in a block; 0: nothing."""
    number = tl.sum(count, axis=0)
    if number > 0:
        tl.atomic_max(box, tl.max(end0, axis=0))
        tl.atomic_max(box + 1, tl.max(end1, axis=0))
        tl.atomic_max(box + 2, tl.max(end2, axis=0))
        tl.atomic_max(box + 3, tl.max(back0, axis=0))
        tl.atomic_max(box + 4, tl.max(back1, axis=0))
        tl.atomic_max(box + 5, tl.max(back2, axis=0))
        tl.atomic_add(box + 6, number)


@triton.jit
def sides_of(k, there, length):
    """Along one axis: how far pixels that are there lie from its start, and from its end; 0 for the others."""
    return tl.where(there, k + 1, 0), tl.where(there, length - k, 0)


@triton.jit
def box_pass(
    mask,  # (B, s0, s1, s2)
    box,  # (B, 7) int32, zeros: last pixel + 1 along each axis, length - first pixel, and the number of pixels
    s0,
    s1,
    s2,
    BLOCK: tl.constexpr,
):
    """The box around what is not 0."""
    sample = tl.program_id(1).to(tl.int64)
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    there = tl.load(mask + sample * s0 * s1 * s2 + at, mask=at < s0 * s1 * s2, other=0) != 0
    k0, k1, k2 = split(at, s1, s2, 3)
    end0, back0 = sides_of(k0, there, s0)
    end1, back1 = sides_of(k1, there, s1)
    end2, back2 = sides_of(k2, there, s2)
    widen(box + sample * 7, end0, end1, end2, back0, back1, back2, there.to(tl.int32))


@triton.jit
def nearest_pixel(line):
    """Rounded; halves go to even."""
    lower = tl.floor(line)
    above = line - lower
    whole = lower.to(tl.int32)
    return whole + ((above > 0.5) | ((above == 0.5) & (whole % 2 != 0))).to(tl.int32)


@triton.jit
def _nearest(row, k0, k1, k2, AXES: tl.constexpr):
    """The pixel of the source, along one of its axes, that is nearest to each pixel."""
    line = tl.load(row + AXES)
    if AXES == 3:
        line = line + tl.load(row) * k0
    line = line + tl.load(row + AXES - 2) * k1
    line = line + tl.load(row + AXES - 1) * k2
    return nearest_pixel(line)


@triton.jit
def warped_label(source, affine, k0, k1, k2, inside, d0, d1, d2, AXES: tl.constexpr):
    """What the source shows at pixels of the frame, 0 beside it."""
    k0, k1, k2 = k0.to(tl.float64), k1.to(tl.float64), k2.to(tl.float64)
    y = _nearest(affine + (AXES - 2) * (AXES + 1), k0, k1, k2, AXES)
    x = _nearest(affine + (AXES - 1) * (AXES + 1), k0, k1, k2, AXES)
    inside = inside & (y >= 0) & (y < d1) & (x >= 0) & (x < d2)
    index = y * d2 + x
    if AXES == 3:
        z = _nearest(affine, k0, k1, k2, AXES)
        inside = inside & (z >= 0) & (z < d0)
        index += z * d1 * d2
    return tl.load(source + index, mask=inside, other=0)


@triton.jit
def _corner(origin, AXES: tl.constexpr):
    """A sample's first pixel along three axes."""
    first = tl.load(origin).to(tl.int32) if AXES == 3 else 0
    return first, tl.load(origin + AXES - 2).to(tl.int32), tl.load(origin + AXES - 1).to(tl.int32)


@triton.jit
def _near_middle(reach, length):
    """From where to where on an axis of its canvas a lesion lies that is no longer than its reach."""
    far, middle = (tl.load(reach) / 2).to(tl.int32) + 3, length // 2 - 1
    first = tl.maximum(middle - far, 0)
    return first, tl.maximum(tl.minimum(middle + far + 1, length) - first, 0)


@triton.jit
def warped_box_pass(
    source,  # (N, d0, d1, d2), not 0 on lesions
    rows,  # (B,) int64, which of them each sample takes, if PICKS; else its own
    affine,  # (B, AXES, AXES + 1) float64: pixel of the frame to pixel of the source
    origin,  # (B, AXES) int64: first pixel of the canvas in the frame
    reach,  # (B, AXES) float64: no lesion is longer; it lies in the middle of its canvas
    box,  # (B, 7) int32, as box_pass, counted from the canvas' first pixel
    d0, d1, d2, s0, s1, s2,
    PICKS: tl.constexpr,
    AXES: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """The box around each lesion after its motion."""
    sample = tl.program_id(1).to(tl.int64)
    row = sample
    if PICKS:
        row = tl.load(rows + sample)
    far = reach + sample * AXES
    a1, n1 = _near_middle(far + AXES - 2, s1)
    a2, n2 = _near_middle(far + AXES - 1, s2)
    a0, n0 = a1 * 0, n1 * 0 + 1
    if AXES == 3:
        a0, n0 = _near_middle(far, s0)
    z, y, x = _corner(origin + sample * AXES, AXES)
    matrix, frame = affine + sample * AXES * (AXES + 1), source + row * d0 * d1 * d2
    end0, end1, end2 = tl.zeros([BLOCK], tl.int32), tl.zeros([BLOCK], tl.int32), tl.zeros([BLOCK], tl.int32)
    back0, back1, back2 = tl.zeros([BLOCK], tl.int32), tl.zeros([BLOCK], tl.int32), tl.zeros([BLOCK], tl.int32)
    count = tl.zeros([BLOCK], tl.int32)
    for begin in range(tl.program_id(0) * BLOCK, n0 * n1 * n2, tl.num_programs(0) * BLOCK):
        at = begin + tl.arange(0, BLOCK)
        k0, k1, k2 = split(at, n1, n2, AXES)
        k0, k1, k2, inside = a0 + k0, a1 + k1, a2 + k2, at < n0 * n1 * n2
        there = warped_label(frame, matrix, k0 + z, k1 + y, k2 + x, inside, d0, d1, d2, AXES) != 0
        end, back = sides_of(k0, there, s0)
        end0, back0 = tl.maximum(end0, end), tl.maximum(back0, back)
        end, back = sides_of(k1, there, s1)
        end1, back1 = tl.maximum(end1, end), tl.maximum(back1, back)
        end, back = sides_of(k2, there, s2)
        end2, back2 = tl.maximum(end2, end), tl.maximum(back2, back)
        count += there.to(tl.int32)
    widen(box + sample * 7, end0, end1, end2, back0, back1, back2, count)


@triton.jit
def warped_take_pass(
    source,  # (B, d0, d1, d2)
    affine,  # (B, AXES, AXES + 1) float64
    origin,  # (B, AXES) int64: where the window begins in the frame
    extent,  # (B, AXES) int64: beyond it there is nothing
    out,  # (B, s0, s1, s2)
    d0, d1, d2, s0, s1, s2,
    AXES: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """A window of each frame with its lesion after its motion."""
    sample = tl.program_id(1).to(tl.int64)
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    k0, k1, k2 = split(at, s1, s2, AXES)
    z, y, x = _corner(origin + sample * AXES, AXES)
    h0, h1, h2 = _corner(extent + sample * AXES, AXES)
    inside = (k1 < h1) & (k2 < h2) & (at < s0 * s1 * s2)
    if AXES == 3:
        inside = inside & (k0 < h0)
    rows, frame = affine + sample * AXES * (AXES + 1), source + sample * d0 * d1 * d2
    value = warped_label(frame, rows, k0 + z, k1 + y, k2 + x, inside, d0, d1, d2, AXES)
    tl.store(out + sample * s0 * s1 * s2 + at, value, mask=at < s0 * s1 * s2)


@triton.jit
def take_pass(
    x,  # (B, channels, d0, d1, d2)
    origin,  # (B, AXES) int64: first pixel of the window, also beside the frame
    out,  # (B, channels, s0, s1, s2)
    channels,
    d0, d1, d2, s0, s1, s2,
    AXES: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """A window of each frame, 0 beside it."""
    sample = tl.program_id(1).to(tl.int64)
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    k0, k1, k2 = split(at, s1, s2, AXES)
    o0, o1, o2 = _corner(origin + sample * AXES, AXES)
    k0, k1, k2 = k0 + o0, k1 + o1, k2 + o2
    inside = (k0 >= 0) & (k0 < d0) & (k1 >= 0) & (k1 < d1) & (k2 >= 0) & (k2 < d2) & (at < s0 * s1 * s2)
    index = (k0 * d1 + k1) * d2 + k2
    for channel in range(channels):
        row = sample * channels + channel
        value = tl.load(x + row * d0 * d1 * d2 + index, mask=inside, other=0)
        tl.store(out + row * s0 * s1 * s2 + at, value, mask=at < s0 * s1 * s2)
