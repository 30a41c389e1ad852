"""The lesion of a sample found, moved and given a place, pixel by pixel."""

import numpy as np
from numpy import uint16

from softcp_gpu.loops.compiled import compiled
from softcp_gpu.loops.jit_labels import warp_window

MADE_OF = (("jit_labels", 0x88497856),)  # see jit_images.py

ROUNDING = 1e-12
PART = 1 << 15
NO, YES, UNKNOWN = 0, 1, 2  # whether there is a place; unknown where all of them have to be counted


@compiled
def any_in(row):
    """Whether it is not 0 all along: in less time than it takes to count."""
    most = row[0]
    for x in range(row.size):
        most = max(most, row[x])
    return most != 0


@compiled
def count_part(row):
    """What is not 0 in a row of less than 2^16 pixels: more of them are counted at a time than in 32 bits."""
    count = uint16(0)
    for x in range(row.size):
        count = uint16(count + uint16(row[x] != 0))
    return count


@compiled
def count_row(row):
    """What is not 0."""
    count = 0
    for start in range(0, row.size, PART):
        count += count_part(row[start : start + PART])
    return count


@compiled
def unite_rows(row, columns):
    """Notes in which columns a row is not 0."""
    for x in range(row.size):
        columns[x] = max(columns[x], row[x])


@compiled
def bound(labels, box):
    """The box around what is not 0, (7,) int64 zeros: first and end along z, y, x, and the number of pixels."""
    columns = np.zeros(labels.shape[2], labels.dtype)
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            row = labels[z, y]
            if any_in(row):
                if box[6] == 0:
                    box[0], box[2] = z, y
                box[1] = z + 1
                box[2], box[3] = min(box[2], y), max(box[3], y + 1)
                box[6] += count_row(row)
                unite_rows(row, columns)
    if box[6] > 0:
        box[5] = columns.size
        while columns[box[4]] == 0:
            box[4] += 1
        while columns[box[5] - 1] == 0:
            box[5] -= 1


@compiled
def look(sample, labels, rows, others, region, drawn, boxes):
    """The boxes of a sample's lesion in its source, of what lies in its frame already, and of its region.

    Args: labels (N, depth, height, width), of whatever integers; rows (B,): the source of each; others, region:
    (B, ...) likewise; drawn (B,) bool: else nothing is looked at; boxes (B, 3, 7) zeros.
    """
    if drawn[sample]:
        bound(labels[rows[sample]], boxes[sample, 0])
        bound(others[sample], boxes[sample, 1])
        bound(region[sample], boxes[sample, 2])


@compiled
def window_of(canvas, window):
    """The labels in a window (7,): first pixel in its frame, lengths, and where it begins in the canvas."""
    depth, height, width = window[3:6]
    return canvas[window[6] : window[6] + depth * height * width].reshape((depth, height, width))


@compiled
def boxed(labels, box):
    """What lies in a box, first and end along z, y, x."""
    return labels[box[0] : box[1], box[2] : box[3], box[4] : box[5]]


@compiled
def count_part_shared(row, other):
    """What is not 0 in both, as `count_part`."""
    count = uint16(0)
    for x in range(row.size):
        count = uint16(count + uint16((row[x] != 0) & (other[x] != 0)))
    return count


@compiled
def count_shared(row, other):
    """What is not 0 in both."""
    count = 0
    for start in range(0, row.size, PART):
        count += count_part_shared(row[start : start + PART], other[start : start + PART])
    return count


@compiled
def overlaps(lesion, place, region, others, has_region, counts):
    """`overlap.overlaps_of_one`: pixels inside the frame, in the region, on other lesions; (3,) int64."""
    counts[:] = 0
    left, right = max(-place[2], 0), min(lesion.shape[2], others.shape[2] - place[2])
    if left >= right:
        return
    for z in range(max(-place[0], 0), min(lesion.shape[0], others.shape[0] - place[0])):
        for y in range(max(-place[1], 0), min(lesion.shape[1], others.shape[1] - place[1])):
            row, to_z, to_y = lesion[z, y, left:right], place[0] + z, place[1] + y
            begin, end = place[2] + left, place[2] + right
            counts[0] += count_row(row)
            counts[1] += count_shared(row, region[to_z, to_y, begin:end]) if has_region else 0
            counts[2] += count_shared(row, others[to_z, to_y, begin:end])


@compiled
def obeys(counts, area, bounds, fraction, has_region):
    """`overlap.obeys`. Args: bounds (3,) float64, fraction (3,) bool, in the order of `types.Bounds`."""
    least_region = bounds[0] * area if fraction[0] else bounds[0]
    most_lesion = bounds[1] * area if fraction[1] else bounds[1]
    least_visible = bounds[2] * area if fraction[2] else bounds[2]
    legal = area > 0 and counts[0] > 0 and counts[0] >= least_visible * (1 - ROUNDING)
    if has_region and counts[1] < least_region * (1 - ROUNDING):
        return False
    return legal and counts[2] <= most_lesion * (1 + ROUNDING)


@compiled
def bound_places(size, area, frame, boxes, bounds, fraction, has_region, places):
    """`search._rectangle` of one sample: first place and number of places along z, y, x, (2, 3) int64."""
    whole, pixels = fraction[2] and bounds[2] == 1, 1
    for axis in range(3):
        first, last = (0, frame[axis] - size[axis]) if whole else (1 - size[axis], frame[axis] - 1)
        if has_region and bounds[0] > 0:
            first = max(first, boxes[2, 2 * axis] - size[axis] + 1)
            last = min(last, boxes[2, 2 * axis + 1] - 1) if boxes[2, 6] > 0 else first - 1
        places[0, axis], places[1, axis] = first, max(last - first + 1, 0)
        pixels *= frame[axis]
    best = np.empty(3, np.int64)
    best[0], best[1] = area, min(area, boxes[2, 6]) if has_region else 0
    best[2] = max(area + boxes[1, 6] - pixels, 0) if whole else 0
    if not obeys(best, area, bounds, fraction, has_region):
        places[1] = 0


@compiled
def place(sample, labels, rows, others, region, drawn, has_region, boxes, canvas, windows, moves, tries, rule, found):
    """Moves a sample's lesion and looks for a legal place, as `lesion.transformed_lesion` and `search.find_origin`.

    Args: labels, rows, others, region, drawn, boxes: as `look`; canvas: memory for all windows; windows (B, 7) int64:
    first pixel in the frame and lengths of each, and where it begins in the canvas; moves (B, 3, 4) float64, from the
    frame to the source; tries (B, K, 3) in [0, 1), K = 0: the lesion stays where it is; rule: bounds and fraction, as
    `obeys`; found (B, 20) int64: box of the lesion in its window, its pixels, its place, counts there, rectangle of
    places, whether there is one.
    """
    if not drawn[sample] or boxes[sample, 0, 6] == 0:
        return
    window, out, (bounds, fraction) = windows[sample], found[sample], rule
    whole, box = window_of(canvas, window), out[:7]
    warp_window(labels[rows[sample]], moves[sample], window, whole)
    bound(whole, box)
    if box[6] == 0:
        return
    lesion = boxed(whole, box)
    area, origin, counts = box[6], out[7:10], out[10:13]
    inside, taken = region[sample], others[sample]
    if tries.shape[1] == 0:
        for axis in range(3):
            origin[axis] = window[axis] + box[2 * axis]
        overlaps(lesion, origin, inside, taken, has_region, counts)
        out[19] = YES if obeys(counts, area, bounds, fraction, has_region) else NO
        return
    places = out[13:19].reshape((2, 3))
    bound_places(lesion.shape, area, taken.shape, boxes[sample], bounds, fraction, has_region, places)
    if places[1].min() == 0:
        return
    for k in range(tries.shape[1]):
        for axis in range(3):
            origin[axis] = places[0, axis] + np.int64(tries[sample, k, axis] * places[1, axis])
        overlaps(lesion, origin, inside, taken, has_region, counts)
        if obeys(counts, area, bounds, fraction, has_region):
            out[19] = YES
            return
    out[19] = UNKNOWN
