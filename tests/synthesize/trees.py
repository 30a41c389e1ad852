"""Tiny data sets of every layout, written with Pillow and tifffile alone: no code under test makes its own input."""

from __future__ import annotations

import json

import numpy as np
import tifffile
from PIL import Image
from scipy import ndimage

SIDE = 64
RED, BLUE = (255, 0, 0), (0, 0, 255)


def ellipse(shape, center, radius):
    y, x = np.indices(shape)
    return ((y - center[0]) / radius[0]) ** 2 + ((x - center[1]) / radius[1]) ** 2 <= 1


def organ(shape=(SIDE, SIDE)):
    return ellipse(shape, np.array(shape) / 2, np.array(shape) * 0.3)


def lesion(i, shape=(SIDE, SIDE)):
    """An ellipse in the organ; cases have different ones."""
    scale = np.array(shape) / SIDE
    return ellipse(shape, ((24 + i * 7 % 17) * scale[0], (24 + i * 5 % 17) * scale[1]), (4 + i % 2) * scale)


def picture(i, shape=(SIDE, SIDE), channels=3, dtype=np.uint8):
    """A textured body on black, with a brighter lesion; each case has its own grey levels. No two pixels tell alike."""
    rng = np.random.default_rng(i)
    body = ellipse(shape, np.array(shape) / 2, np.array(shape) * 0.47)
    level = 80 + 6 * (i % 8) + 20 * organ(shape) + 60 * lesion(i, shape)
    image = (level * body)[:, :, None] + rng.integers(0, 12, (*shape, channels)) * body[:, :, None]
    if dtype == np.uint16:
        image = image * 256 + rng.integers(0, 256, image.shape) * body[:, :, None]
    return image.astype(dtype)


def put(path, values):
    """Writes an array in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = values[:, :, 0] if values.ndim == 3 and values.shape[2] == 1 else values
    if path.suffix == ".tif":
        tifffile.imwrite(path, values, photometric="rgb" if values.ndim == 3 else "minisblack")
    else:
        Image.fromarray(values).save(path, **({"quality": 95} if path.suffix == ".jpg" else {}))


def black_and_white(mask, on=255):
    return np.where(mask, on, 0).astype(np.uint8)


def pair(root, name, i, *, suffix=".png", mask_suffix=".png", shape=(SIDE, SIDE), channels=3, dtype=np.uint8, on=255):
    """One case of the layout `pairs`."""
    put(root / "images" / f"{name}{suffix}", picture(i, shape, channels, dtype))
    put(root / "masks" / f"{name}{mask_suffix}", black_and_white(lesion(i, shape), on))


def pairs(root, count=5, **how):
    for i in range(count):
        pair(root, f"a{i}", i, **how)


def pairs_of_two_sizes(root):
    """Six, and three that are wider."""
    pairs(root, 6)
    for i in range(3):
        pair(root, f"b{i}", i, shape=(48, 80))


def busi(root):
    for i, kind in enumerate(("benign", "benign", "benign", "malignant", "malignant")):
        put(root / kind / f"{kind} ({i}).png", picture(i))
        put(root / kind / f"{kind} ({i})_mask.png", lesion(i))
    put(root / "benign" / "benign (0)_mask_1.png", ellipse((SIDE, SIDE), (46, 30), (3, 3)))
    put(root / "normal" / "normal (1).png", picture(9))
    put(root / "normal" / "normal (1)_mask.png", np.zeros((SIDE, SIDE, 3), np.uint8))


def isic(root):
    for part, count in (("Training", 5), ("Validation", 2), ("Test_v2", 2)):
        for i in range(count):
            name = f"ISIC_00{len(part)}{i}"
            put(root / f"ISIC-2017_{part}_Data" / f"{name}.jpg", picture(i))
            truth = root / f"ISIC-2017_{part}_Part1_GroundTruth" / f"{name}_segmentation.png"
            put(truth, black_and_white(lesion(i)))


def kvasir(root):
    for part, count in (("train", 5), ("validation", 2), ("test", 2)):
        for i in range(count):
            put(root / part / "images" / f"{i}.jpg", picture(i))
            put(root / part / "masks" / f"{i}.jpg", np.repeat(black_and_white(lesion(i))[:, :, None], 3, axis=2))


def kvasir_one_set(root):
    for i in range(5):
        put(root / "images" / f"{i}.jpg", picture(i))
        put(root / "masks" / f"{i}.jpg", np.repeat(black_and_white(lesion(i))[:, :, None], 3, axis=2))
    (root / "kavsir_bboxes.json").write_text("{}")


def lgg(root, patients=4, slices=2):
    for p in range(patients):
        for n in range(1, slices + 2):
            name = f"TCGA_CS_{4940 + p}_19960909"
            put(root / name / f"{name}_{n}.tif", picture(p * 3 + n))
            put(root / name / f"{name}_{n}_mask.tif", black_and_white(lesion(p * 3 + n) & (n <= slices)))


def colours(i):
    mask = np.zeros((SIDE, SIDE, 3), np.uint8)
    mask[organ()] = BLUE
    mask[lesion(i)] = RED
    return mask


def kits2d(root, patients=4, slices=2):
    for p in range(patients):
        for n in range(slices):
            i = p * slices + n
            put(root / "images" / f"{10030 + p}_{100 + n}.png", picture(i, channels=1))
            put(root / "masks" / f"{10030 + p}_{100 + n}.png", colours(i))


def ph2(root):
    for i in range(4):
        name = f"IMD00{i}"
        put(root / name / f"{name}_Dermoscopic_Image" / f"{name}.bmp", picture(i))
        put(root / name / f"{name}_lesion" / f"{name}_lesion.bmp", lesion(i))


TREES = {"pairs": pairs, "busi": busi, "isic": isic, "kvasir": kvasir, "lgg": lgg, "kits2d": kits2d, "ph2": ph2}


def truncate(path, keep=0.5):
    """Cuts a file off; its header stays."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])


def contents(folder):
    """Every file below a folder with its bytes, and every folder with None."""
    return {
        path.relative_to(folder).as_posix(): None if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


def lines(out):
    """The records of a run."""
    return [json.loads(line) for line in (out / "samples.jsonl").read_text("utf-8").splitlines()]


def equal_but_for_an_edge(found, expected, band=2):
    """Whether two masks agree, apart from a band along the outline."""
    sure = ndimage.binary_erosion(expected, iterations=band)
    never = ~ndimage.binary_dilation(expected, iterations=band)
    return bool(found[sure].all() and not found[never].any())
