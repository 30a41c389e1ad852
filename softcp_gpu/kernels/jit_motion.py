"""Triton: the motion of each lesion and what follows from it, in float64.

Images are volumes of one slice here: their first axis stays as it is.
"""

import triton
import triton.language as tl

RADIAN = tl.constexpr(0.017453292519943295)


@triton.jit
def _row(a, b, c, m):
    """A row vector times a matrix."""
    return a * m[0] + b * m[3] + c * m[6], a * m[1] + b * m[4] + c * m[7], a * m[2] + b * m[5] + c * m[8]


@triton.jit
def _times(m, n):
    """The product of two 3 x 3 matrices, given row by row."""
    a, b, c = _row(m[0], m[1], m[2], n)
    d, e, f = _row(m[3], m[4], m[5], n)
    g, h, i = _row(m[6], m[7], m[8], n)
    return a, b, c, d, e, f, g, h, i


@triton.jit
def _apply(m, z, y, x):
    """A matrix times a column."""
    return m[0] * z + m[1] * y + m[2] * x, m[3] * z + m[4] * y + m[5] * x, m[6] * z + m[7] * y + m[8] * x


@triton.jit
def _inverse(m):
    """Of a 3 x 3 matrix, by its cofactors."""
    a, b, c = m[4] * m[8] - m[5] * m[7], m[2] * m[7] - m[1] * m[8], m[1] * m[5] - m[2] * m[4]
    d, e, f = m[5] * m[6] - m[3] * m[8], m[0] * m[8] - m[2] * m[6], m[2] * m[3] - m[0] * m[5]
    g, h, i = m[3] * m[7] - m[4] * m[6], m[1] * m[6] - m[0] * m[7], m[0] * m[4] - m[1] * m[3]
    whole = m[0] * a + m[1] * d + m[2] * g
    return a / whole, b / whole, c / whole, d / whole, e / whole, f / whole, g / whole, h / whole, i / whole


@triton.jit
def _number(start, OFFSET: tl.constexpr, THERE: tl.constexpr, otherwise):
    """A float64 of a row, where its axis is there."""
    return tl.load(start + OFFSET).to(tl.float64) if THERE else otherwise


@triton.jit
def _slot(flip, angle, scale, shift, one, AXES: tl.constexpr):
    """Matrix and shift of one slot: flip, then turn, then scale, then shift."""
    none, volume = one * 0, AXES == 3
    size = tl.load(scale).to(tl.float64)
    f0 = _number(flip, 0, volume, one)
    f1, f2 = _number(flip, AXES - 2, True, one), _number(flip, AXES - 1, True, one)
    m = (f0, none, none, none, f1, none, none, none, f2)
    turn = tl.load(angle).to(tl.float64) * RADIAN
    cos, sin = tl.cos(turn), tl.sin(turn)
    m = _times((one, none, none, none, cos, -sin, none, sin, cos), m)
    if volume:
        turn = tl.load(angle + 1).to(tl.float64) * RADIAN
        cos, sin = tl.cos(turn), tl.sin(turn)
        m = _times((cos, none, -sin, none, one, none, sin, none, cos), m)
        turn = tl.load(angle + 2).to(tl.float64) * RADIAN
        cos, sin = tl.cos(turn), tl.sin(turn)
        m = _times((cos, -sin, none, sin, cos, none, none, none, one), m)
    t0 = _number(shift, 0, volume, none)
    t1, t2 = _number(shift, AXES - 2, True, none), _number(shift, AXES - 1, True, none)
    deep = size if volume else one
    m = (
        m[0] * deep,
        m[1] * size,
        m[2] * size,
        m[3] * size,
        m[4] * size,
        m[5] * size,
        m[6] * size,
        m[7] * size,
        m[8] * size,
    )
    return m, (t0, t1, t2)


@triton.jit
def motion_pass(
    box,  # (N, 7) int32, of jit_lesion.box_pass
    rows,  # (B,) int64, which of them each sample takes, if PICKS; else its own
    flip,  # (B, 2, AXES); shift likewise
    angle,  # (B, 2, 1), in volumes (B, 2, 3)
    scale,  # (B, 2)
    shift,
    matrix,  # (B, AXES + 1, AXES + 1) float64, out: source to frame
    affine,  # (B, AXES, AXES + 1) float64, out: frame to source
    reach,  # (B, AXES) float64, out: no lesion is longer
    origin,  # (B, AXES) int64, out: first pixel of the canvas in the frame
    whole,  # (B,) bytes, out: no longer than `most` along each axis
    d0, d1, d2,  # lengths of the source
    c0, c1, c2,  # of the canvas
    l0, l1, l2,  # most
    PICKS: tl.constexpr,
    AXES: tl.constexpr,
):  # fmt: skip
    """Both slots about the middle of each lesion's box."""
    sample = tl.program_id(1).to(tl.int64)
    TURNS: tl.constexpr = 1 if AXES == 2 else 3
    row = sample
    if PICKS:
        row = tl.load(rows + sample)
    noted, slot = box + row * 7, sample * 2
    some = tl.load(noted + 6) > 0
    one = tl.load(scale + slot).to(tl.float64) * 0 + 1
    a0 = tl.where(some, d0 - tl.load(noted + 3), 0)
    a1 = tl.where(some, d1 - tl.load(noted + 4), 0)
    a2 = tl.where(some, d2 - tl.load(noted + 5), 0)
    e0, e1, e2 = tl.load(noted) - a0, tl.load(noted + 1) - a1, tl.load(noted + 2) - a2
    e0, e1, e2 = e0.to(tl.float64), e1.to(tl.float64), e2.to(tl.float64)
    p0, p1, p2 = a0.to(tl.float64) + (e0 - 1) / 2, a1.to(tl.float64) + (e1 - 1) / 2, a2.to(tl.float64) + (e2 - 1) / 2
    if AXES == 2:
        p0 = p0 * 0
    m, s = _slot(flip + slot * AXES, angle + slot * TURNS, scale + slot, shift + slot * AXES, one, AXES)
    n, t = _slot(
        flip + (slot + 1) * AXES, angle + (slot + 1) * TURNS, scale + slot + 1, shift + (slot + 1) * AXES, one, AXES
    )
    k0, k1, k2 = _apply(m, -p0, -p1, -p2)
    k0, k1, k2 = _apply(n, k0 + s[0], k1 + s[1], k2 + s[2])
    k0, k1, k2 = k0 + t[0] + p0, k1 + t[1] + p1, k2 + t[2] + p2
    m = _times(n, m)
    v = _inverse(m)
    i0, i1, i2 = _apply(v, k0, k1, k2)
    r0 = tl.abs(m[0]) * e0 + tl.abs(m[1]) * e1 + tl.abs(m[2]) * e2
    r1 = tl.abs(m[3]) * e0 + tl.abs(m[4]) * e1 + tl.abs(m[5]) * e2
    r2 = tl.abs(m[6]) * e0 + tl.abs(m[7]) * e1 + tl.abs(m[8]) * e2
    q0, q1, q2 = _apply(m, p0, p1, p2)
    q0, q1, q2 = tl.floor(q0 + k0), tl.floor(q1 + k1), tl.floor(q2 + k2)
    out, back = matrix + sample * (AXES + 1) * (AXES + 1), affine + sample * AXES * (AXES + 1)
    ends, first = reach + sample * AXES, origin + sample * AXES
    fits = (r1 <= l1.to(tl.float64)) & (r2 <= l2.to(tl.float64))
    if AXES == 3:
        fits = fits & (r0 <= l0.to(tl.float64))
        _store_row(out, m[0], m[1], m[2], k0, AXES)
        _store_row(back, v[0], v[1], v[2], -i0, AXES)
        tl.store(ends, r0)
        tl.store(first, q0.to(tl.int64) - c0 // 2 + 1)
    _store_row(out + (AXES - 2) * (AXES + 1), m[3], m[4], m[5], k1, AXES)
    _store_row(out + (AXES - 1) * (AXES + 1), m[6], m[7], m[8], k2, AXES)
    _store_row(out + AXES * (AXES + 1), one * 0, one * 0, one * 0, one, AXES)
    _store_row(back + (AXES - 2) * (AXES + 1), v[3], v[4], v[5], -i1, AXES)
    _store_row(back + (AXES - 1) * (AXES + 1), v[6], v[7], v[8], -i2, AXES)
    tl.store(ends + AXES - 2, r1)
    tl.store(ends + AXES - 1, r2)
    tl.store(first + AXES - 2, q1.to(tl.int64) - c1 // 2 + 1)
    tl.store(first + AXES - 1, q2.to(tl.int64) - c2 // 2 + 1)
    tl.store(whole + sample, fits.to(tl.uint8))


@triton.jit
def _store_row(row, a, b, c, last, AXES: tl.constexpr):
    if AXES == 3:
        tl.store(row, a)
    tl.store(row + AXES - 2, b)
    tl.store(row + AXES - 1, c)
    tl.store(row + AXES, last)
