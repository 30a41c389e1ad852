"""Triton: boxes around lesions, lesions resampled by nearest neighbour, and windows taken out of frames.

Volumes have three axes; images have a first one of length 1.
"""

import triton
import triton.language as tl


@triton.jit
def _split(at, s1, s2):
    """Places along the axes."""
    return at // (s1 * s2), (at // s2) % s1, at % s2


@triton.jit
def _note(box, there, k0, k1, k2, s0, s1, s2):
    """Widens a sample's box to the pixels that are there, and counts them."""
    count = tl.sum(there.to(tl.int32), axis=0)
    if count > 0:
        tl.atomic_max(box, tl.max(tl.where(there, k0 + 1, 0), axis=0))
        tl.atomic_max(box + 1, tl.max(tl.where(there, k1 + 1, 0), axis=0))
        tl.atomic_max(box + 2, tl.max(tl.where(there, k2 + 1, 0), axis=0))
        tl.atomic_max(box + 3, tl.max(tl.where(there, s0 - k0, 0), axis=0))
        tl.atomic_max(box + 4, tl.max(tl.where(there, s1 - k1, 0), axis=0))
        tl.atomic_max(box + 5, tl.max(tl.where(there, s2 - k2, 0), axis=0))
        tl.atomic_add(box + 6, count)


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
    k0, k1, k2 = _split(at, s1, s2)
    _note(box + sample * 7, there, k0, k1, k2, s0, s1, s2)


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
    for begin in range(tl.program_id(0) * BLOCK, n0 * n1 * n2, tl.num_programs(0) * BLOCK):
        at = begin + tl.arange(0, BLOCK)
        k0, k1, k2 = _split(at, n1, n2)
        k0, k1, k2, inside = a0 + k0, a1 + k1, a2 + k2, at < n0 * n1 * n2
        there = warped_label(frame, matrix, k0 + z, k1 + y, k2 + x, inside, d0, d1, d2, AXES) != 0
        _note(box + sample * 7, there, k0, k1, k2, s0, s1, s2)


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
    k0, k1, k2 = _split(at, s1, s2)
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
    k0, k1, k2 = _split(at, s1, s2)
    o0, o1, o2 = _corner(origin + sample * AXES, AXES)
    k0, k1, k2 = k0 + o0, k1 + o1, k2 + o2
    inside = (k0 >= 0) & (k0 < d0) & (k1 >= 0) & (k1 < d1) & (k2 >= 0) & (k2 < d2) & (at < s0 * s1 * s2)
    index = (k0 * d1 + k1) * d2 + k2
    for channel in range(channels):
        row = sample * channels + channel
        value = tl.load(x + row * d0 * d1 * d2 + index, mask=inside, other=0)
        tl.store(out + row * s0 * s1 * s2 + at, value, mask=at < s0 * s1 * s2)
