"""Which part of each row of a tile is needed: an ellipse fills three quarters of its box."""

import numpy as np

from softcp_gpu.loops.compiled import compiled


@compiled
def whole_rows(depth, height, width):
    """First and end of each row, (depth, height, 2) int64."""
    spans = np.zeros((depth, height, 2), np.int64)
    spans[:, :, 1] = width
    return spans


@compiled
def blank(row, left, right):
    """Sets what is not between two pixels to 0."""
    for x in range(left):
        row[x] = 0
    for x in range(right, row.size):
        row[x] = 0


@compiled
def widen(spans, margin):
    """Each becomes as wide as any of its neighbours along the middle axis of three, up to a distance."""
    before = spans.copy()
    for z in range(spans.shape[0]):
        for y in range(spans.shape[1]):
            for other in range(max(y - margin, 0), min(y + margin + 1, spans.shape[1])):
                spans[z, y, 0] = min(spans[z, y, 0], before[z, other, 0])
                spans[z, y, 1] = max(spans[z, y, 1], before[z, other, 1])


@compiled
def spans_of(weight, margin):
    """First and end of what lies within a margin of any weight in each row, of (depth, height, width)."""
    depth, height, width = weight.shape
    spans = np.empty((depth, height, 2), np.int64)
    for z in range(depth):
        for y in range(height):
            row, left, right = weight[z, y], 0, width
            while left < width and row[left] == 0:
                left += 1
            while right > 0 and row[right - 1] == 0:
                right -= 1
            spans[z, y, 0], spans[z, y, 1] = left, right  # (width, 0) if there is none
    widen(spans, margin)
    if depth > 1:
        widen(spans.transpose(1, 0, 2), margin)
    for z in range(depth):
        for y in range(height):
            left, right = spans[z, y]
            there = left < right
            spans[z, y, 0], spans[z, y, 1] = max(left - margin, 0) * there, min(right + margin, width) * there
    return spans
