"""Triton: the hashes of functional/counter_rng.py, and all draws of a call, as sampling.py makes them."""

import triton
import triton.language as tl

from softcp_gpu.kernels.jit_words import length_of

GOLDEN = tl.constexpr(0x9E3779B97F4A7C15 - (1 << 64))
FIRST = tl.constexpr(0xBF58476D1CE4E5B9 - (1 << 64))
SECOND = tl.constexpr(0x94D049BB133111EB - (1 << 64))
ULP = tl.constexpr(2.0**-53)

# Streams of a seed, as functional/ranges.py numbers them.
APPLY, SOURCE, SOFTNESS, PLACE = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2), tl.constexpr(3)
RIGID_OP, RIGID, INTENSITY_OP, INTENSITY = tl.constexpr(4), tl.constexpr(5), tl.constexpr(6), tl.constexpr(7)
CARVE, BACKGROUND_STREAM, IMAGE_STREAM = tl.constexpr(8), tl.constexpr(100), tl.constexpr(200)


@triton.jit
def _shift(x, BITS: tl.constexpr):
    """To the right, without the sign."""
    return (x >> BITS) & ((1 << (64 - BITS)) - 1)


@triton.jit
def hash64(seed, counter):
    """64 mixed bits."""
    z = seed + (counter + 1) * GOLDEN
    z = (z ^ _shift(z, 30)) * FIRST
    z = (z ^ _shift(z, 27)) * SECOND
    return z ^ _shift(z, 31)


@triton.jit
def _uniform(key, stream, number):
    """Numbers of a stream in [0, 1), float64; `key` is the seed hashed once."""
    return _shift(hash64(key, key * 0 + (stream << 32) + number), 11).to(tl.float64) * ULP


@triton.jit
def _between(u, low: tl.constexpr, high: tl.constexpr):
    return low + u * (high - low)


@triton.jit
def _log_between(u, low: tl.constexpr, log_ratio: tl.constexpr):
    return low * tl.exp(u * log_ratio)


@triton.jit
def _whole(u, low: tl.constexpr, high: tl.constexpr):
    return tl.floor(low + u * (high + 1 - low)).to(tl.int64)


@triton.jit
def _is(number, NAMES: tl.constexpr):
    """Whether the name that was drawn is one of those whose bits are set."""
    return ((number * 0 + NAMES) >> number) & 1 != 0


@triton.jit
def _store_intensity(gamma, width, gamma_u, noise_u, blur_u, to_gamma, to_noise, to_blur, R: tl.constexpr):
    """Gamma, noise and blur of one slot, `width` numbers apart, and neutral values where they are off."""
    tl.store(gamma, tl.where(to_gamma, _log_between(gamma_u, R[6], R[7]), 1.0).to(tl.float32))
    tl.store(gamma + width, tl.where(to_noise, _between(noise_u, R[8], R[9]), 0.0).to(tl.float32))
    tl.store(gamma + 2 * width, tl.where(to_blur, _between(blur_u, R[10], R[11]), 0.0).to(tl.float32))


@triton.jit
def _draw_object(key, out, sample, batch, s0, s1, s2, OPS: tl.constexpr, R: tl.constexpr, AXES: tl.constexpr):
    """Two rigid and two intensity operations; returns where the next numbers begin."""
    TURNS: tl.constexpr = 1 if AXES == 2 else 3
    angle = out + batch * 2 * AXES
    scale = angle + batch * 2 * TURNS
    shift = scale + batch * 2
    gamma = shift + batch * 2 * AXES
    for slot in tl.static_range(2):
        rigid = _whole(_uniform(key, RIGID_OP, slot), 0, OPS[0] - 1)
        first, here = slot * (2 + AXES), sample * 2 + slot
        chosen, amount = _uniform(key, RIGID, first), _uniform(key, RIGID, first + 1)
        flip_axis, turn_axis = _whole(chosen, 0, AXES - 1), _whole(chosen, 0, TURNS - 1)
        for axis in tl.static_range(AXES):
            length = length_of(axis, s0, s1, s2, AXES)
            flipped = _is(rigid, OPS[1]) & (flip_axis == axis)
            tl.store(out + here * AXES + axis, tl.where(flipped, -1.0, 1.0).to(tl.float32))
            far = _between(_uniform(key, RIGID, first + 2 + axis), R[4], R[5]) * length
            tl.store(shift + here * AXES + axis, tl.where(_is(rigid, OPS[4]), far, 0.0).to(tl.float32))
        for turn in tl.static_range(TURNS):
            turned = _is(rigid, OPS[2]) & (turn_axis == turn)
            tl.store(angle + here * TURNS + turn, tl.where(turned, _between(amount, R[0], R[1]), 0.0).to(tl.float32))
        size = tl.where(_is(rigid, OPS[3]), _log_between(amount, R[2], R[3]), 1.0)
        tl.store(scale + here, size.to(tl.float32))
        op, value = _whole(_uniform(key, INTENSITY_OP, slot), 0, OPS[5] - 1), _uniform(key, INTENSITY, slot)
        _store_intensity(
            gamma + here, batch * 2, value, value, value, _is(op, OPS[6]), _is(op, OPS[7]), _is(op, OPS[8]), R
        )
    return gamma + batch * 6


@triton.jit
def _draw_image(key, out, sample, batch, stream: tl.constexpr, R: tl.constexpr, AXES: tl.constexpr):
    """Crop and intensities of a whole image; returns where the next numbers begin."""
    start = out + batch * AXES
    gamma = start + batch * AXES
    cropped = _uniform(key, stream, 0) < R[0]
    for axis in tl.static_range(AXES):
        size = tl.where(cropped, _between(_uniform(key, stream + 2, axis), R[4], R[5]), 1.0)
        tl.store(out + sample * AXES + axis, size.to(tl.float32))
        tl.store(start + sample * AXES + axis, _uniform(key, stream + 2, AXES + axis).to(tl.float32))
    _store_intensity(
        gamma + sample, batch,
        _uniform(key, stream + 1, 0), _uniform(key, stream + 1, 1), _uniform(key, stream + 1, 2),
        _uniform(key, stream, 1) < R[1], _uniform(key, stream, 2) < R[2], _uniform(key, stream, 3) < R[3], R,
    )  # fmt: skip
    return gamma + batch * 3


@triton.jit
def _next_in_cycle(seed, sample, batch, BLOCK: tl.constexpr):
    """The sample whose hash follows in the order of all hashes, cyclically; equal ones are in the batch's order."""
    at = tl.arange(0, BLOCK)
    own, there = tl.load(seed + sample), at < batch
    mine = hash64(own, own * 0 + SOURCE)
    theirs = hash64(tl.load(seed + at, mask=there, other=0), own * 0 + SOURCE)
    last: tl.constexpr = (1 << 63) - 1
    later = there & ((theirs > mine) | ((theirs == mine) & (at > sample)))
    following, least = tl.min(tl.where(later, theirs, last), axis=0), tl.min(tl.where(there, theirs, last), axis=0)
    after = tl.min(tl.where(later & (theirs == following), at, BLOCK), axis=0)
    first = tl.min(tl.where(there & (theirs == least), at, BLOCK), axis=0)
    return tl.where(after < BLOCK, after, first).to(tl.int64)


@triton.jit
def draw_pass(
    seed,  # (B,) int64
    flags,  # (B,) bytes, out: apply
    whole,  # (3, B) int64, out: source, erosion and dilation steps
    places,  # float64, out: (B, PLACES, AXES), (B,) and (B,)
    numbers,  # float32, out: alpha, then the object's and both images' params, field after field
    batch, s0, s1, s2,
    OWN: tl.constexpr,  # each sample is its own source
    SOFT: tl.constexpr,  # p, alpha; and steps: erosion, dilation, None: by alpha
    OPS: tl.constexpr,  # names of rigid operations, bits of each; of intensity operations likewise; or None
    OBJECT: tl.constexpr,  # ranges: low and high, or low and log(high / low); from the 7th on those of intensities
    BACKGROUND: tl.constexpr,  # four probabilities and ranges, or None; IMAGE likewise
    IMAGE: tl.constexpr,
    TAIL: tl.constexpr,  # logarithm of what the outermost ring may weigh
    AXES: tl.constexpr,
    PLACES: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """All params of one sample."""
    sample = tl.program_id(1).to(tl.int64)
    own = tl.load(seed + sample)
    key = hash64(own, own * 0)
    tl.store(flags + sample, (_uniform(key, APPLY, 0) < SOFT[0]).to(tl.uint8))
    source = sample
    if not OWN:
        source = _next_in_cycle(seed, sample, batch, BLOCK)
    tl.store(whole + sample, source)
    alpha = _between(_uniform(key, SOFTNESS, 0), SOFT[1], SOFT[2]).to(tl.float32)
    tl.store(numbers + sample, alpha)
    tl.store(whole + batch + sample, _whole(_uniform(key, SOFTNESS, 2), SOFT[3], SOFT[4]))
    if SOFT[5] is None:
        steps = tl.ceil(TAIL * (1 / tl.log(alpha.to(tl.float64)))).to(tl.int64)
    else:
        steps = _whole(_uniform(key, SOFTNESS, 1), SOFT[5], SOFT[6])
    tl.store(whole + 2 * batch + sample, steps)
    for axis in tl.static_range(AXES):
        number = tl.arange(0, PLACES) * AXES + axis
        tl.store(places + sample * PLACES * AXES + number, _uniform(key, PLACE, 1 + number))
    rank = places + batch * PLACES * AXES
    tl.store(rank + sample, _uniform(key, PLACE, 0))
    tl.store(rank + batch + sample, _uniform(key, CARVE, 0))
    out = numbers + batch
    if OPS is not None:
        out = _draw_object(key, out, sample, batch, s0, s1, s2, OPS, OBJECT, AXES)
    if BACKGROUND is not None:
        out = _draw_image(key, out, sample, batch, BACKGROUND_STREAM, BACKGROUND, AXES)
    if IMAGE is not None:
        out = _draw_image(key, out, sample, batch, IMAGE_STREAM, IMAGE, AXES)
