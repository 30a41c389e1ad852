"""Images resampled and their intensities transformed, a channel of a sample at a time."""

import numpy as np
from numpy import float32, int32, uint32

from softcp_gpu.loops.compiled import compiled
from softcp_gpu.loops.jit_values import bounds_of, change, copy, ranged

# CRC-32 of the files that are compiled into what is below. Numba keeps that until this file changes, and looks at no
# other: so this file has to change with them, and a test sees to it.
MADE_OF = (("jit_values", 0x5426BB41),)


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
def transform_images(plane, image, out, crops, first, weight, values, kernels, keys):
    """`transforms.transform_image` of (B, C, depth, height, width) float32, of one plane: a channel of a sample.

    Args: out: may be `image`; crops: (B,) bool; first, weight: (B, depth + height + width), as `crop`; values, kernels,
    keys: (B, ...), as `change`.
    """
    depth, height, width = image.shape[2:]
    b, c = plane // image.shape[1], plane % image.shape[1]
    source, block, spare = image[b, c], out[b, c], np.empty((depth, height, width), float32)
    line = np.empty(2 * width + kernels.shape[2], float32)
    if crops[b]:
        crop(source, spare, first[b], weight[b], line)
        source = spare
    bounds = bounds_of(source) if ranged(values[b]) else (float32(0), float32(0))
    window = np.array([0, 0, 0, c, image.shape[1], depth, height, width])
    change(source, block, spare, line, bounds, window, values[b], kernels[b], keys[b])


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
def warp(images, out, affine, start):
    """`geometry.warp_linear` of (C, depth, height, width) into a window that begins at pixel `start` of its frame.

    Args: affine (3, 4), as `geometry.sampling_affine`.
    """
    (layers, height, width), length = images.shape[1:], out.shape[3]
    at, shares, far = np.empty(length, uint32), np.empty((3, length), float32), np.empty(length, float32)
    strides = (height * width, width, 1)
    down, right = uint32(width if height > 1 else 0), uint32(1 if width > 1 else 0)
    for z in range(out.shape[1]):
        for y in range(out.shape[2]):
            at[:] = 0
            for axis in range(1 if layers == 1 else 0, 3):
                toward, steps = affine[axis], images.shape[axis + 1]
                before = (toward[3] + toward[0] * float32(start[0] + z)) + toward[1] * float32(start[1] + y)
                locate(before, toward[2], start[2], steps, strides[axis], at, shares[axis])
            for c in range(len(images)):
                flat, row = images[c].ravel(), out[c, z, y]
                pick(flat, at, down, right, shares[1], shares[2], row)
                if layers > 1:
                    pick(flat[strides[0] :], at, down, right, shares[1], shares[2], far)
                    for x in range(length):
                        row[x] += shares[0, x] * (far[x] - row[x])


@compiled
def tiles_of(images, affine, window, bounds, first, channels, values, kernels, keys):
    """A window of some channels that are moved, their intensities transformed; see `transform_tiles`.

    Args: images (c, depth, height, width); first: the number of its first channel, of all `channels`; bounds (c, 2).
    """
    depth, height, width = window[9:]
    tiles = np.empty((len(images), depth, height, width), float32)
    warp(images, tiles, affine, window)
    spare, line = np.empty((depth, height, width), float32), np.empty(width + kernels.shape[1], float32)
    for c in range(len(images)):
        frame = np.array([window[0], window[1], window[2], first + c, channels, window[3], window[4], window[5]])
        low, high = bounds[c]
        if np.isnan(low) and ranged(values):
            low, high = bounds_of(images[c])
        block = tiles[c]
        change(block, block, spare, line, (low, high), frame, values, kernels, keys)
    return tiles


@compiled
def transform_tiles(unit, each, image, rows, out, affine, windows, bounds, values, kernels, keys):
    """`geometry.warp_linear` of (N, C, depth, height, width) float32 into tiles, then `change`.

    Args: unit: `each` channels of a sample; rows: (B,), the source of each; out: (B, C, ...), 0 where no pixel is
    needed; affine: (B, 3, 4); windows: (B, 12) int64: the first pixel that is needed in its frame, frame, that pixel in
    the tile, and lengths; bounds: (B, C, 2), NaN for those of the source; values, kernels, keys: as `transform_images`.
    """
    channels = out.shape[1]
    b, first = unit * each // channels, unit * each % channels
    some, draws = slice(first, first + each), (values[b], kernels[b], keys[b])
    (front, top, left), (depth, height, width) = windows[b, 6:9], windows[b, 9:]
    tiles = tiles_of(image[rows[b], some], affine[b], windows[b], bounds[b, some], first, channels, *draws)
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
def paste_tiles(unit, each, image, rows, background, out, soft, pasted, affine, windows, bounds, values, kernels, keys):
    """As `transform_tiles`, then `paste.soft_paste` into a copy of the background.

    Args: background, out: (B, C, depth, height, width) float32, which may be the same; soft: (B, depth, height, width)
    float32; pasted: (B,) bool, the others are copied; windows: as there, without a tile.
    """
    channels = out.shape[1]
    b, first = unit * each // channels, unit * each % channels
    some, draws, window = slice(first, first + each), (values[b], kernels[b], keys[b]), windows[b]
    if background.ctypes.data != out.ctypes.data:
        for c in range(first, first + each):
            copy(background[b, c], out[b, c])
    if not pasted[b]:
        return
    tiles = tiles_of(image[rows[b], some], affine[b], window, bounds[b, some], first, channels, *draws)
    for c in range(each):
        for z in range(tiles.shape[1]):
            for y in range(tiles.shape[2]):
                to_z, to_y, left, right = window[0] + z, window[1] + y, window[2], window[2] + tiles.shape[3]
                blend(out[b, first + c, to_z, to_y, left:right], tiles[c, z, y], soft[b, to_z, to_y, left:right])
