"""Images resampled and their intensities transformed, a channel of a sample at a time."""

import numpy as np
from numpy import float32, int32, uint32

from softcp_gpu.loops.compiled import compiled
from softcp_gpu.loops.jit_values import bounds_of, change, copy, ranged

# CRC-32 of jit_values.py, which is compiled into what is below. Numba keeps that until this file changes, and looks at
# no other: so this file has to change with it, and a test sees to it.
VALUES = 0x33A0BEA7


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
def locate(before, slope, start, length, stride, at, step, share):
    """Where one axis is sampled for each pixel of a row, in the steps of torch's grid_sample."""
    half, last, end, far = float32(length / 2), float32(length - 1), int32(length - 1), int32(stride)
    for x in range(at.size):
        place = before + slope * float32(int32(start + x))
        place = min(max((place + float32(1)) * half - float32(0.5), float32(0)), last)
        first = min(max(int32(place), int32(0)), end)  # also of what is no number, so that nothing else is read
        share[x] = place - float32(first)
        at[x] += uint32(first * far)
        step[x] = uint32(far) if first < end else uint32(0)


@compiled
def pick(flat, at, steps, shares, row):
    """Between four neighbours in one plane; indices without a sign spare a question."""
    down, right, share_y, share_x = steps[1], steps[2], shares[1], shares[2]
    for x in range(row.size):
        below, next_ = at[x] + down[x], right[x]
        upper = flat[at[x]] + share_x[x] * (flat[at[x] + next_] - flat[at[x]])
        lower = flat[below] + share_x[x] * (flat[below + next_] - flat[below])
        row[x] = upper + share_y[x] * (lower - upper)


@compiled
def warp(image, out, affine, start, shares, places):
    """`geometry.warp_linear` of (depth, height, width) into a window that begins at pixel `start` of its frame.

    Args: affine (3, 4), as `geometry.sampling_affine`; shares (4, width) and places (4, width) uint32 to write into.
    """
    flat, at, steps, layers = image.ravel(), places[0], places[1:], image.shape[0]
    strides = (image.shape[1] * image.shape[2], image.shape[2], 1)
    for z in range(out.shape[0]):
        for y in range(out.shape[1]):
            row, far = out[z, y], shares[3]
            at[:] = 0
            for axis in range(1 if layers == 1 else 0, 3):
                toward = affine[axis]
                before = (toward[3] + toward[0] * float32(start[0] + z)) + toward[1] * float32(start[1] + y)
                locate(before, toward[2], start[2], image.shape[axis], strides[axis], at, steps[axis], shares[axis])
            pick(flat, at, steps, shares, row)
            if layers > 1:
                for x in range(row.size):
                    at[x] += steps[0, x]
                pick(flat, at, steps, shares, far)
                for x in range(row.size):
                    row[x] += shares[0, x] * (far[x] - row[x])


@compiled
def transform_tiles(plane, image, rows, out, affine, windows, bounds, values, kernels, keys):
    """`geometry.warp_linear` of (N, C, depth, height, width) float32 into tiles, then `change`; of one plane.

    Args: rows: (B,), the source of each; out: (B, C, ...), 0 where no pixel is needed; affine: (B, 3, 4); windows:
    (B, 12) int64: the first pixel that is needed in its frame, frame, that pixel in the tile, and lengths; bounds:
    (B, C, 2), NaN for those of the source; values, kernels, keys: as `transform_images`.
    """
    b, c = plane // out.shape[1], plane % out.shape[1]
    frame, (front, top, left), (depth, height, width) = windows[b, 3:6], windows[b, 6:9], windows[b, 9:]
    block, spare = np.empty((depth, height, width), float32), np.empty((depth, height, width), float32)
    shares, places = np.empty((4, width), float32), np.empty((4, width), uint32)
    warp(image[rows[b], c], spare, affine[b], windows[b], shares, places)
    line = np.empty(width + kernels.shape[2], float32)
    window = np.array([windows[b, 0], windows[b, 1], windows[b, 2], c, out.shape[1], frame[0], frame[1], frame[2]])
    limits = (bounds[b, c, 0], bounds[b, c, 1])
    if np.isnan(limits[0]) and ranged(values[b]):
        limits = bounds_of(image[rows[b], c])
    change(spare, block, spare, line, limits, window, values[b], kernels[b], keys[b])
    tile = out[b, c]
    for z in range(tile.shape[0]):
        for y in range(tile.shape[1]):
            row, inside = tile[z, y], front <= z < front + depth and top <= y < top + height
            if not inside:
                row[:] = 0
                continue
            row[:left], row[left + width :] = 0, 0
            copy(block[z - front, y - top], row[left : left + width])
