"""Labels picked pixel by pixel."""

import numpy as np
from numpy import float64, int32, uint32

from softcp_gpu.loops.compiled import compiled
from softcp_gpu.loops.jit_draws import crops, nearest_lines

MADE_OF = (("jit_draws", 0x2D3EC2F7),)  # see jit_images.py
NOWHERE = uint32(0xFFFFFFFF)


@compiled
def copy_row(source, row):
    """Many times as fast as to assign a slice."""
    for x in range(row.size):
        row[x] = source[x]


@compiled
def pick_row(source, across, inside, row):
    """The pixels of a row by number; if they are not all inside, -1 for 0."""
    if inside:
        for x in range(row.size):
            row[x] = source[uint32(across[x])]
        return
    for x in range(row.size):
        row[x] = source[uint32(across[x])] if across[x] >= 0 else 0


@compiled
def crop_labels(sample, labels, out, size, start):
    """`lines.sample_nearest` of one sample of (B, depth, height, width), of whatever integers, or a copy.

    Args: size, start: (B, n), of the crops.
    """
    if not crops(size[sample]):
        copy_row(labels[sample].ravel(), out[sample].ravel())
        return
    depth, height, width = labels.shape[1:]
    lines = np.empty(depth + height + width, int32)
    nearest_lines(size[sample], start[sample], labels.shape[1:], lines)
    across = lines[depth + height :]
    inside = (across >= 0).all()
    for z in range(depth):
        for y in range(height):
            row, from_z, from_y = out[sample, z, y], lines[z], lines[depth + y]
            if from_z < 0 or from_y < 0:
                row[:] = 0
            else:
                pick_row(labels[sample, from_z, from_y], across, inside, row)


@compiled
def locate(before, slope, start, lengths, at):
    """The nearest pixel of (height, width) for each pixel of a row, as a number; NOWHERE outside."""
    bottom, right, stride = float64(lengths[0] - 1), float64(lengths[1] - 1), int32(lengths[1])
    for i in range(at.size):
        along = float64(int32(start + i))
        y, x = np.rint(before[1] + slope[1] * along), np.rint(before[2] + slope[2] * along)
        inside = (y >= 0) & (y <= bottom) & (x >= 0) & (x <= right)
        at[i] = uint32(int32(y) * stride + int32(x)) if inside else NOWHERE


@compiled
def add_layer(before, slope, start, layers, pixels, at):
    """Likewise the nearest layer, for pixels that are `locate`d already."""
    for i in range(at.size):
        z = np.rint(before + slope * float64(int32(start + i)))
        at[i] = at[i] + uint32(int32(z) * int32(pixels)) if z >= 0 and z < layers and at[i] != NOWHERE else NOWHERE


@compiled
def warp_window(source, matrix, start, window):
    """`geometry.warp`, nearest, of (depth, height, width), of whatever integers, into a window.

    Args: matrix: (3, 4) float64, from the frame of the window; start: its first pixel there.
    """
    flat, layers, pixels = source.ravel(), source.shape[0], source.shape[1] * source.shape[2]
    at = np.empty(window.shape[2], uint32)
    for z in range(window.shape[0]):
        for y in range(window.shape[1]):
            before = (matrix[:, 3] + matrix[:, 0] * float64(start[0] + z)) + matrix[:, 1] * float64(start[1] + y)
            locate(before, matrix[:, 2], start[2], source.shape[1:], at)
            if layers > 1:
                add_layer(before[0], matrix[0, 2], start[2], layers, pixels, at)
            row = window[z, y]
            for x in range(row.size):
                row[x] = flat[at[x]] if at[x] != NOWHERE else 0


@compiled
def warp_labels(sample, labels, out, affine, origin):
    """`warp_window` of one sample of (B, depth, height, width); affine: (B, 3, 4), origin: (B, 3) int64."""
    warp_window(labels[sample], affine[sample], origin[sample], out[sample])
