"""A plain script that makes a synthetic set with OpenCV and a pool of processes, as one writes it for one project.

    python -m benchmarks.opencv_script DATA OUT COUNT WORKERS

DATA holds `images/` and `masks/` of equal names and one size; masks are white lesions, or red ones in blue organs. It
does what softcp_gpu does by default, and leaves out what such a script has not: it looks at no file before the run,
checks and hashes nothing, keeps no record, and gives up on a place after some tries.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np

SEED = 0
ALPHA, K_ERODE, K_DILATE = 0.7, 1, 9
PAIRS, PLACES = 8, 100  # tries for a sample; for a pair
CHUNK = 4


def read(data: Path, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Image (H, W) or (H, W, 3), lesion (H, W) uint8 and organ, likewise or None."""
    image = cv2.imread(str(data / "images" / name), cv2.IMREAD_UNCHANGED)
    mask = cv2.imread(str(data / "masks" / name), cv2.IMREAD_UNCHANGED)
    if mask.ndim == 2:
        return image, (mask > 127).astype(np.uint8), None
    blue, _, red = cv2.split(mask)
    return image, (red > 127).astype(np.uint8), ((red > 127) | (blue > 127)).astype(np.uint8)


def body(image: np.ndarray) -> np.ndarray:
    """The largest bright thing, with its holes, as uint8."""
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    bright = (grey > 0.05 * grey.max()).astype(np.uint8)
    bright = cv2.morphologyEx(bright, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    outlines, _ = cv2.findContours(bright, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return np.ones_like(grey)
    return cv2.drawContours(np.zeros_like(grey), [max(outlines, key=cv2.contourArea)], -1, 1, cv2.FILLED)


def transform(
    image: np.ndarray, lesion: np.ndarray, rng: np.random.Generator, white: float = 255
) -> tuple[np.ndarray, np.ndarray]:
    """Two rigid operations as one warp, then two of intensity; image as float32, whose range is 0 to `white`."""
    height, width = lesion.shape
    matrix = np.eye(3)
    for op in rng.choice(["none", "flip", "rotation", "scaling"], 2):  # panning ends in a place that is drawn anyway
        step = np.eye(3)
        if op == "flip":
            axis = rng.integers(2)
            step[axis, axis], step[axis, 2] = -1, (width, height)[axis] - 1
        elif op != "none":
            angle = rng.uniform(-45, 45) if op == "rotation" else 0
            scale = np.exp(rng.uniform(np.log(0.8), np.log(1.25))) if op == "scaling" else 1
            step[:2] = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, scale)
        matrix = step @ matrix
    size = (width, height)
    lesion = cv2.warpAffine(lesion, matrix[:2], size, flags=cv2.INTER_NEAREST)
    image = cv2.warpAffine(image, matrix[:2], size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    image = image.astype(np.float32)
    for op in rng.choice(["none", "gamma", "noise", "blur"], 2):
        if op == "gamma":
            image = white * (np.maximum(image, 0) / white) ** np.float32(np.exp(rng.uniform(np.log(0.7), np.log(1.5))))
        elif op == "noise":
            image = image + white * rng.uniform(0, 0.05) * rng.standard_normal(image.shape, np.float32)
        elif op == "blur":
            image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.5))
    return image, lesion


def soften(lesion: np.ndarray) -> np.ndarray:
    """The soft mask: an eroded core, and around it ring by ring less."""
    footprint = np.ones((3, 3), np.uint8)
    core = cv2.erode(lesion, footprint, iterations=K_ERODE)
    soft = (core if core.any() else lesion).astype(np.float32)
    for i in range(1, K_DILATE + 1):
        reached = cv2.dilate((soft > 0).astype(np.uint8), footprint)
        soft += (1 - soft) * ALPHA**i * reached
    return soft


def find_place(
    lesion: np.ndarray, others: np.ndarray, organ: np.ndarray, share: float, rng: np.random.Generator
) -> tuple[int, int] | None:
    """Row and column of the box of a lesion where `share` of it lies in the organ, and nothing on other lesions."""
    height, width = lesion.shape
    room = others.shape[0] - height + 1, others.shape[1] - width + 1
    if min(room) < 1:
        return None
    area = cv2.countNonZero(lesion)
    for _ in range(PLACES):
        y, x = (int(rng.integers(side)) for side in room)
        here = slice(y, y + height), slice(x, x + width)
        if cv2.countNonZero(lesion & organ[here]) >= share * area and not cv2.countNonZero(lesion & others[here]):
            return y, x
    return None


def paste(data: Path, names: list[str], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray] | None:
    """A new image and its mask, or None where this pair does not fit."""
    first, second = rng.choice(len(names), 2, replace=False)
    image, others, organ = read(data, names[first])
    source, lesion, _ = read(data, names[second])
    where = organ if organ is not None else body(image)
    made = blend(image, others, where, 1.0 if organ is None else 0.5, source, lesion, rng)
    if made is None:
        return None
    here, blended, pasted = made
    image[here] = np.clip(np.rint(blended), 0, 255).astype(np.uint8)
    others[here] |= pasted
    if organ is None:
        return image, 255 * others
    nothing = np.zeros_like(others)
    return image, cv2.merge([255 * (organ & ~others & 1), nothing, 255 * others])


def blend(
    image: np.ndarray,
    others: np.ndarray,
    organ: np.ndarray,
    share: float,
    source: np.ndarray,
    lesion: np.ndarray,
    rng: np.random.Generator,
    white: float = 255,
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray] | None:
    """Where a lesion is pasted, the pixels there as float32, and its label there; None where it does not fit.

    All are (H, W), the images also (H, W, C); masks are uint8 in {0, 1}.
    """
    source, lesion = transform(source, lesion, rng, white)
    x, y, width, height = cv2.boundingRect(lesion)
    place = find_place(lesion[y : y + height, x : x + width], others, organ, share, rng)
    if not width or place is None:
        return None
    # The lesion and its rim, cut where either frame ends.
    shift = place[0] - y, place[1] - x
    top, left = max(0, y - K_DILATE, -shift[0]), max(0, x - K_DILATE, -shift[1])
    bottom = min(lesion.shape[0], y + height + K_DILATE, lesion.shape[0] - shift[0])
    right = min(lesion.shape[1], x + width + K_DILATE, lesion.shape[1] - shift[1])
    there = slice(top, bottom), slice(left, right)
    here = slice(top + shift[0], bottom + shift[0]), slice(left + shift[1], right + shift[1])
    soft = soften(lesion[there])
    weight = soft if image.ndim == 2 else soft[:, :, None]
    return here, weight * source[there] + (1 - weight) * image[here], lesion[there] & (soft > 0)


def make(number: int, *, data: Path, out: Path, names: list[str]) -> bool:
    """One sample on disk; whether a pair was found for it."""
    rng = np.random.default_rng((SEED, number))
    for _ in range(PAIRS):
        if made := paste(data, names, rng):
            for kind, pixels in zip(("images", "masks"), made, strict=True):
                cv2.imwrite(str(out / kind / f"synth_{number:06d}.png"), pixels)
            return True
    return False


def run(data: Path, out: Path, count: int, workers: int) -> Iterator[bool]:
    """Makes the set; whether each sample could be made, as they are finished. One worker: this process."""
    for kind in ("images", "masks"):
        (out / kind).mkdir(parents=True)
    job = partial(make, data=data, out=out, names=sorted(path.name for path in (data / "images").iterdir()))
    if workers == 1:
        cv2.setNumThreads(1)
        yield from map(job, range(count))
        return
    with multiprocessing.get_context("forkserver").Pool(workers, cv2.setNumThreads, (1,)) as pool:
        yield from pool.imap_unordered(job, range(count), CHUNK)


if __name__ == "__main__":
    folder, target, samples, processes = sys.argv[1:]
    print(sum(run(Path(folder), Path(target), int(samples), int(processes))), "samples")
