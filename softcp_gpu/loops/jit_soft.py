"""The soft mask of a sample, and the label of its result."""

import numpy as np
from numpy import uint8

from softcp_gpu.loops.compiled import compiled
from softcp_gpu.loops.jit_draws import weights_of
from softcp_gpu.loops.jit_labels import copy_row
from softcp_gpu.loops.jit_lesion import bound, boxed, window_of
from softcp_gpu.loops.jit_motion import surround

MADE_OF = (  # see jit_images.py
    ("jit_draws", 0x2D3EC2F7),
    ("jit_labels", 0x88497856),
    ("jit_lesion", 0xB2F8CC2A),
    ("jit_motion", 0x08B9CF8C),
)

GROUND, LESION = uint8(1), uint8(2)  # 0 is neither: there is no pixel
VECTOR = 32


@compiled
def rise(row, other, step):
    """The larger of each value and of its neighbour's less `step`, which is never below 0."""
    for x in range(row.size):
        row[x] = max(row[x], uint8(max(other[x], step) - step))


@compiled
def rise_along(row, other, edge, most):
    """Lets values spread along their row, each time twice as far."""
    step = 1
    while step <= edge and step < most:
        copy_row(row, other[edge : edge + row.size])
        rise(row, other[edge - step :], uint8(step))
        rise(row, other[edge + step :], uint8(step))
        step *= 2


@compiled
def rise_from(row, other, edge, cross):
    """Lets the values of a neighbouring row spread into this one."""
    rise(row, other[edge:], uint8(1))
    if not cross:
        rise(row, other[edge - 1 :], uint8(1))
        rise(row, other[edge + 1 :], uint8(1))


@compiled
def edge_of(most, width):
    """How many pixels beyond its ends a row is read: the widest step of `rise_along`, a power of 2."""
    edge = 1
    while 2 * edge < min(most, width):
        edge *= 2
    return edge


@compiled
def padded(depth, height, width, edge):
    """Zeros for pixels (depth, height, width), each row between `edge` more.

    Its middle is whole vectors of the processor: what is left over would take as long as all else.
    """
    return np.zeros((depth, height, edge + (width + VECTOR - 1) // VECTOR * VECTOR + edge), uint8)


@compiled
def spread(level, edge, most, cross):
    """Lets values of `padded` pixels, none above `most`, spread, 1 less with each step.

    A path goes along its row, then from row to row of a layer, then from layer to layer; but for a cross, a step to
    another row or layer may go to a neighbour across edges and corners.
    """
    depth, height, width = level.shape
    other, inside = np.zeros(width, uint8), level[:, :, edge : width - edge]
    for z in range(depth):
        for y in range(height):
            rise_along(inside[z, y], other, edge, most)
        for y in range(1, height):
            rise_from(inside[z, y], level[z, y - 1], edge, cross)
        for y in range(height - 2, -1, -1):
            rise_from(inside[z, y], level[z, y + 1], edge, cross)
    for i in range(2 * depth):
        z, step = (i, -1) if i < depth else (2 * depth - 1 - i, 1)
        if 0 <= z + step < depth:
            for y in range(height):
                for to in range(y, y + 1) if cross else range(max(y - 1, 0), min(y + 2, height)):
                    rise_from(inside[z, y], level[z + step, to], edge, cross)


@compiled
def note(row, pixels):
    """Each pixel as LESION or GROUND."""
    for x in range(row.size):
        pixels[x] = LESION if row[x] != 0 else GROUND


@compiled
def rings(labels, level, edge, k_erode, k_dilate, cross):
    """`rings.ring_count` of one lesion: k_dilate + 1 in its core, 1 in the outermost ring, 0 beyond.

    Args: labels (depth, height, width), not 0 on the lesion; level: `padded`, of the same pixels. Returns: how many
    steps of erosion are too many to leave a core.
    """
    kind, width, least = np.zeros_like(level), labels.shape[2], uint8(255)
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            note(labels[z, y], kind[z, y, edge : edge + width])
    flat, near = kind.ravel(), level.ravel()
    for x in range(flat.size):
        near[x] = uint8(k_erode + 1) * uint8(flat[x] == GROUND)
    if k_erode > 0:
        spread(level, edge, k_erode + 1, cross)
    for x in range(flat.size):
        least = min(least, uint8(near[x] | uint8(uint8(flat[x] == LESION) - uint8(1))))
    for x in range(flat.size):
        near[x] = uint8(uint8(flat[x] == LESION) & uint8(near[x] <= least)) * uint8(k_dilate + 1)
    spread(level, edge, k_dilate + 1, cross)
    return np.int64(least)


@compiled
def look_up(level, rising, soft):
    """S of each pixel by the number of its rings, (depth, height, width)."""
    for z in range(level.shape[0]):
        for y in range(level.shape[1]):
            row, steps = soft[z, y], level[z, y]
            for x in range(steps.size):
                row[x] = rising[steps[x]]


@compiled
def clear(values):
    """Sets all to 0."""
    for x in range(values.size):
        values[x] = 0


@compiled
def soften_mask(sample, mask, steps, soft, blank):
    """`soft_mask.soft_mask` of one sample of (B, depth, height, width) uint8, 0 or 1.

    Args: steps: as `soften`; soft (B, ...) float32; blank: it holds zeros.
    """
    if not blank:
        clear(soft[sample].ravel())
    alpha, erodes, dilates, geometric, cross, skips = steps
    lesion, box = mask[sample], np.zeros(7, np.int64)
    bound(lesion, box)
    if box[6] == 0:
        return
    k_erode, k_dilate = erodes[sample], dilates[sample]
    (front, top, left), (depth, height, width) = surround(box, box[0:6:2], 1 + k_dilate, lesion.shape)
    hard = lesion[front : front + depth, top : top + height, left : left + width]
    edge = edge_of(max(k_erode, k_dilate) + 1, width)
    level = padded(depth, height, width, edge)
    if rings(hard, level, edge, k_erode, k_dilate, cross) == 0 or not skips:
        rising = weights_of(alpha[sample], k_dilate, geometric)
        inside = soft[sample, front : front + depth, top : top + height, left : left + width]
        look_up(level[:, :, edge : edge + width], rising, inside)


@compiled
def put(lesion, place, tile):
    """A lesion's labels, its box placed at a pixel of (depth, height, width); what lies outside is left out."""
    for z in range(max(-place[0], 0), min(lesion.shape[0], tile.shape[0] - place[0])):
        for y in range(max(-place[1], 0), min(lesion.shape[1], tile.shape[1] - place[1])):
            row, begin = tile[place[0] + z, place[1] + y], place[2]
            for x in range(max(-begin, 0), min(lesion.shape[2], row.size - begin)):
                row[begin + x] = lesion[z, y, x]


@compiled
def unite(row, labels, weight):
    """`paste.hard_union` of a row, in place: a label needs pixels."""
    for x in range(row.size):
        row[x] = labels[x] if labels[x] != 0 and weight[x] > 0 else row[x]


@compiled
def soften(sample, canvas, windows, found, steps, pasted, mask, out, soft, blank, taken):
    """S of a sample in its frame, and its label with the lesion in it: `soft_mask.soften` and `paste.hard_union`.

    Args: canvas, windows, found: as jit_lesion.place; steps: the fields of `soft_loops.Softness`; pasted (B,) bool:
    those that may be, changed; mask, out (B, ...) as canvas: the label that is there, and that of the result; soft
    (B, ...) float32; blank: it holds zeros; taken (B,) int64: steps really taken.
    """
    if not blank:
        clear(soft[sample].ravel())
    alpha, erodes, dilates, geometric, cross, skips = steps
    copy_row(mask[sample].ravel(), out[sample].ravel())
    if not pasted[sample]:
        return
    k_erode, k_dilate = erodes[sample], dilates[sample]
    first, lengths = surround(found[sample], found[sample, 7:10], 1 + k_dilate, mask.shape[1:])
    (front, top, left), (depth, height, width) = first, lengths
    labels = np.zeros((depth, height, width), canvas.dtype)
    put(boxed(window_of(canvas, windows[sample]), found[sample]), found[sample, 7:10] - first, labels)
    edge = edge_of(max(k_erode, k_dilate) + 1, width)
    level = padded(depth, height, width, edge)
    missing = rings(labels, level, edge, k_erode, k_dilate, cross)
    if missing > 0 and skips:
        pasted[sample] = False
        return
    taken[sample] = k_erode - missing
    inside = soft[sample, front : front + depth, top : top + height, left : left + width]
    look_up(level[:, :, edge : edge + width], weights_of(alpha[sample], k_dilate, geometric), inside)
    for z in range(depth):
        for y in range(height):
            unite(out[sample, front + z, top + y, left : left + width], labels[z, y], inside[z, y])
