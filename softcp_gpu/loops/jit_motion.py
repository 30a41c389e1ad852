"""The motion of each lesion, from its draws to where the pixels of the frame come from."""

import math

import numpy as np
from numpy import float32, float64

from softcp_gpu.loops.compiled import compiled

PLANES = ((1, 2), (0, 2), (0, 1))  # in which angles turn, first axis towards second: about z, y, x


@compiled
def turn(motion, angle_deg, a, b):
    """Then rotates in a plane."""
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    for column in range(4):
        first, second = motion[a, column], motion[b, column]
        motion[a, column], motion[b, column] = cos * first - sin * second, sin * first + cos * second


@compiled
def rigid(flip, angle_deg, scale, shift_px, motion):
    """Then does a rigid operation, as `geometry.rigid_matrix`, of n axes; motion: (3, 4), from pixels to pixels."""
    front = 3 - flip.size
    for axis in range(flip.size):
        motion[front + axis] *= float64(flip[axis])
    for k in range(angle_deg.size):
        turn(motion, float64(angle_deg[k]), PLANES[k][0], PLANES[k][1])
    for axis in range(flip.size):
        motion[front + axis] *= float64(scale)
        motion[front + axis, 3] += float64(shift_px[axis])


@compiled
def invert(motion, back):
    """The inverse of (3, 4), by cofactors."""
    for row in range(3):
        for column in range(3):
            a, b, c, d = (row + 1) % 3, (row + 2) % 3, (column + 1) % 3, (column + 2) % 3
            back[column, row] = motion[a, c] * motion[b, d] - motion[a, d] * motion[b, c]
    size = motion[0, 0] * back[0, 0] + motion[0, 1] * back[1, 0] + motion[0, 2] * back[2, 0]
    for row in range(3):
        for column in range(3):
            back[row, column] /= size
    for row in range(3):
        back[row, 3] = -(back[row, 0] * motion[0, 3] + back[row, 1] * motion[1, 3] + back[row, 2] * motion[2, 3])


@compiled
def find_motions(boxes, most, flip, angle_deg, scale, shift_px, back, windows, whole):
    """`transforms.object_matrix` and its inverse for each lesion, and a window of the frame around where it moves it.

    Args: boxes (B, 3, 7) int64, as jit_lesion.look; most (3,) int64: what is longer has no place; flip, shift_px
    (B, 2, n), angle_deg (B, 2, turns), scale (B, 2): the draws; back (B, 3, 4) float64: from the frame to the source;
    windows (B, 7) int64: first pixel and lengths, and how many pixels all those before it have; whole (B,) bool: it is
    not too long.
    """
    pixels, motion = 0, np.empty((3, 4), float64)
    for b in range(len(boxes)):
        box, window = boxes[b, 0], windows[b]
        motion[:] = 0
        for axis in range(3):
            motion[axis, axis] = 1
        for slot in range(2):
            rigid(flip[b, slot], angle_deg[b, slot], scale[b, slot], shift_px[b, slot], motion)
        window[6], whole[b] = pixels, True
        center = (float64(box[0] + box[1] - 1) / 2, float64(box[2] + box[3] - 1) / 2, float64(box[4] + box[5] - 1) / 2)
        for axis in range(3):
            reach, middle = 0.0, motion[axis, 3] + center[axis]
            motion[axis, 3] = middle
            for other in range(3):
                reach += abs(motion[axis, other]) * (box[2 * other + 1] - box[2 * other])
                motion[axis, 3] -= motion[axis, other] * center[other]
            length = min(most[axis], np.int64(reach) + 4)
            window[axis], window[3 + axis] = np.int64(math.floor(middle)) - length // 2 + (length > 1), length
            whole[b] &= reach <= most[axis]
        pixels += window[3] * window[4] * window[5]
        invert(motion, back[b])


@compiled
def surround(box, origin, margin, frame):
    """`windows.surrounding_window` of a lesion: first pixel of the tile around it and lengths, (3,) int64 each.

    Args: box: first and end along z, y, x; origin (3,): where it begins in the frame; frame: three lengths.
    """
    first, lengths = np.empty(3, np.int64), np.empty(3, np.int64)
    for axis in range(3):
        extent = box[2 * axis + 1] - box[2 * axis]
        lengths[axis] = min(max(extent + 2 * margin, 1), frame[axis])
        first[axis] = min(max(origin[axis] - margin, 0), frame[axis] - lengths[axis])
    return first, lengths


@compiled
def sampling_affine(move, offset, source):
    """`geometry.sampling_affine` of a lesion that is shifted after its motion, (3, 4) float32.

    Args: move (3, 4): as jit_lesion.place; offset (3,): the shift, in pixels; source: three lengths.
    """
    affine = np.empty((3, 4), float32)
    for axis in range(3):
        half, before = source[axis] / 2, move[axis, 3]
        for other in range(3):
            before -= move[axis, other] * offset[other]
            affine[axis, other] = float32(move[axis, other] / half)
        affine[axis, 3] = float32(before / half + (0.5 / half - 1))
    return affine
