"""Images resampled and their intensities transformed, a channel of a sample at a time."""

import numpy as np
from numpy import float32, int32, uint32

from softcp_gpu.loops.compiled import compiled
from softcp_gpu.loops.jit_draws import crops, linear_lines
from softcp_gpu.loops.jit_motion import sampling_affine, surround
from softcp_gpu.loops.jit_spans import blank, spans_of, whole_rows
from softcp_gpu.loops.jit_values import bounds_of, change, copy, ranged, reach_of

# CRC-32 of the files that are compiled into what is below. Numba keeps that until this file changes, and looks at no
# other: so this file has to change with them, and a test sees to it.
MADE_OF = (
    ("jit_draws", 0x2D3EC2F7),
    ("jit_motion", 0x08B9CF8C),
    ("jit_spans", 0x04CDED8E),
    ("jit_values", 0xBF7D3FC8),
)


@compiled
def draws_of(slots, b):
    """Those of a sample."""
    gamma, noise, blur, radius, seeds, stream = slots
    return gamma[b], noise[b], blur[b], radius, seeds[b], stream


@compiled
def mixed(one, other, weight, row):
    """Between two rows."""
    for x in range(row.size):
        row[x] = one[x] + weight * (other[x] - one[x])


@compiled
def crop(block, out, first, weight, line):
    """`lines.sample_linear` of (depth, height, width): the first pixel and the weight of the next along z, y, x."""
    depth, height, width = block.shape
    front, back = line[: width + 1], line[width + 1 : 2 * width + 1]
    at, share = first[depth + height :], weight[depth + height :]
    for z in range(depth):
        near, far = block[first[z]], block[min(first[z] + 1, depth - 1)]
        for y in range(height):
            one, share_y = first[depth + y], weight[depth + y]
            other = min(one + 1, height - 1)
            mixed(near[one], near[other], share_y, front[:width])
            if weight[z] > 0:
                mixed(far[one], far[other], share_y, back)
                mixed(front[:width], back, weight[z], front[:width])
            front[width] = front[width - 1]
            row = out[z, y]
            for x in range(width):
                left = front[uint32(at[x])]
                row[x] = left + share[x] * (front[uint32(at[x]) + uint32(1)] - left)


@compiled
def transform_image(plane, image, out, size, start, slots):
    """`transforms.transform_image` of one channel of a sample, of (B, C, depth, height, width) float32.

    Args: out: may be `image`; size, start: (B, n), of the crops; slots: the fields of `image_loops.Slots`.
    """
    channels, (depth, height, width) = image.shape[1], image.shape[2:]
    b, c, crosses = plane // channels, plane % channels, depth + height + width
    draws, spans = draws_of(slots, b), whole_rows(depth, height, width)
    spare, line = np.empty((depth, height, width), float32), np.empty(2 * (width + draws[3]) + 1, float32)
    first, weight = np.empty(crosses, int32), np.empty(crosses, float32)
    source, block = image[b, c], out[b, c]
    if crops(size[b]):
        linear_lines(size[b], start[b], image.shape[2:], first, weight)
        crop(source, spare, first, weight, line)
        source = spare
    bounds = bounds_of(source) if ranged(draws) else (float32(0), float32(0))
    window = np.array([0, 0, 0, c, channels, depth, height, width])
    change(source, block, spare, line, bounds, window, draws, spans)


@compiled
def locate(before, slope, start, length, stride, at, share):
    """Where one axis is sampled for each pixel of a row, as torch's grid_sample does: after which pixel, how far."""
    half, last, end, far = float32(length / 2), float32(length - 1), int32(max(length - 2, 0)), int32(stride)
    for x in range(at.size):
        place = before + slope * float32(int32(start + x))
        place = min(max((place + float32(1)) * half - float32(0.5), float32(0)), last)
        first = min(max(int32(place), int32(0)), end)  # also of what is no number, so that nothing else is read
        share[x] = place - float32(first)
        at[x] += uint32(first * far)


@compiled
def pick(flat, at, down, right, share_y, share_x, row):
    """Between four neighbours in one plane; indices without a sign spare a question."""
    for x in range(row.size):
        here = at[x]
        below = here + down
        upper = flat[here] + share_x[x] * (flat[here + right] - flat[here])
        lower = flat[below] + share_x[x] * (flat[below + right] - flat[below])
        row[x] = upper + share_y[x] * (lower - upper)


@compiled
def warp(images, out, affine, start, spans):
    """`geometry.warp_linear` of (C, depth, height, width) into a window that begins at pixel `start` of its frame.

    Args: affine (3, 4), as `geometry.sampling_affine`; spans (depth, height, 2): what is made of a row, the rest is 0.
    """
    (layers, height, width), most = images.shape[1:], out.shape[3]
    places, parts, across = np.empty(most, uint32), np.empty((3, most), float32), np.empty(most, float32)
    strides = (height * width, width, 1)
    down, aside = uint32(width if height > 1 else 0), uint32(1 if width > 1 else 0)
    for z in range(out.shape[1]):
        for y in range(out.shape[2]):
            left, right = spans[z, y]
            at, far, length = places[: right - left], across[: right - left], right - left
            at[:] = 0
            for axis in range(1 if layers == 1 else 0, 3):
                toward, steps = affine[axis], images.shape[axis + 1]
                before = (toward[3] + toward[0] * float32(start[0] + z)) + toward[1] * float32(start[1] + y)
                locate(before, toward[2], start[2] + left, steps, strides[axis], at, parts[axis])
            for c in range(len(images)):
                blank(out[c, z, y], left, right)
                flat, row = images[c].ravel(), out[c, z, y, left:right]
                pick(flat, at, down, aside, parts[1], parts[2], row)
                if layers > 1:
                    pick(flat[strides[0] :], at, down, aside, parts[1], parts[2], far)
                    for x in range(length):
                        row[x] += parts[0, x] * (far[x] - row[x])


@compiled
def tiles_of(images, affine, begin, lengths, spans, frame, bounds, first, channels, draws):
    """A part of a frame, some channels that are moved and whose intensities are transformed; see `transform_tiles`.

    Args: images (c, depth, height, width); begin, lengths, frame: (3,) each; spans: as `change`; first: the number of
    its first channel, of all `channels`; bounds (c, 2).
    """
    depth, height, width = lengths
    tiles = np.empty((len(images), depth, height, width), float32)
    warp(images, tiles, affine, begin, spans)
    spare, line = np.empty((depth, height, width), float32), np.empty(width + 2 * draws[3] + 1, float32)
    for c in range(len(images)):
        window = np.array([begin[0], begin[1], begin[2], first + c, channels, frame[0], frame[1], frame[2]])
        low, high = bounds[c]
        if np.isnan(low) and ranged(draws):
            low, high = bounds_of(images[c])
        block = tiles[c]
        change(block, block, spare, line, (low, high), window, draws, spans)
    return tiles


@compiled
def transform_tiles(unit, each, image, rows, out, affine, windows, bounds, slots):
    """`geometry.warp_linear` of (N, C, depth, height, width) float32 into tiles, then `change`.

    Args: unit: `each` channels of a sample; rows: (B,), the source of each; out: (B, C, ...), 0 where no pixel is
    needed; affine: (B, 3, 4); windows: (B, 12) int64: the first pixel that is needed in its frame, frame, that pixel in
    the tile, and lengths; bounds: (B, C, 2), NaN for those of the source; slots: as `transform_images`.
    """
    channels = out.shape[1]
    b, first = unit * each // channels, unit * each % channels
    some, draws = slice(first, first + each), draws_of(slots, b)
    begin, frame, (front, top, left), lengths = windows[b, :3], windows[b, 3:6], windows[b, 6:9], windows[b, 9:]
    depth, height, width = lengths
    given = (affine[b], begin, lengths, whole_rows(depth, height, width), frame, bounds[b, some], first, channels)
    tiles = tiles_of(image[rows[b], some], *given, draws)
    for c in range(each):
        tile = out[b, first + c]
        for z in range(tile.shape[0]):
            for y in range(tile.shape[1]):
                row, inside = tile[z, y], front <= z < front + depth and top <= y < top + height
                if not inside:
                    row[:] = 0
                    continue
                row[:left], row[left + width :] = 0, 0
                copy(tiles[c, z - front, y - top], row[left : left + width])


@compiled
def blend(row, source, weight):
    """`paste.soft_paste` of a row, in place."""
    for x in range(row.size):
        mixed = (float32(1) - weight[x]) * row[x] + source[x] * weight[x]
        row[x] = mixed if weight[x] > 0 else row[x]


@compiled
def paste_tiles(unit, each, image, rows, background, out, soft, pasted, found, moves, offset, reach, bounds, slots):
    """As `transform_tiles`, around each lesion's place, then `paste.soft_paste` into a copy of the background.

    Args: background, out: (B, C, depth, height, width) float32, which may be the same; soft: (B, depth, height, width)
    float32; pasted: (B,) bool, the others are copied; found, moves: as jit_lesion.place; offset (B, 3): how far it
    shifts each lesion; reach (B,): how far from it there is any weight.
    """
    channels = out.shape[1]
    b, first = unit * each // channels, unit * each % channels
    some, draws, frame = slice(first, first + each), draws_of(slots, b), np.array(out.shape[2:])
    if background.ctypes.data != out.ctypes.data:
        for c in range(first, first + each):
            copy(background[b, c], out[b, c])
    if not pasted[b]:
        return
    margin = reach_of(draws[2], draws[3])  # what is blurred needs neighbours
    begin, lengths = surround(found[b], found[b, 7:10], reach[b] + margin, frame)
    (front, top, left), (depth, height, width) = begin, lengths
    weight = soft[b, front : front + depth, top : top + height, left : left + width]
    spans = spans_of(weight, margin)
    affine = sampling_affine(moves[b], offset[b], image.shape[2:])
    given = (affine, begin, lengths, spans, frame, bounds[b, some], first, channels, draws)
    tiles = tiles_of(image[rows[b], some], *given)
    for c in range(each):
        for z in range(depth):
            for y in range(height):
                blend(out[b, first + c, front + z, top + y, left : left + width], tiles[c, z, y], weight[z, y])
