"""What a run may start from besides a data set: a file of keywords, and phantoms."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from softcp_gpu import checks, phantoms
from softcp_gpu.choices import PRESETS
from softcp_gpu.data import LAYOUTS, Case, Grid, Volume, manifest, write_image, write_mask, write_volume
from softcp_gpu.data.volume_io import check_simple_itk

_HU_AIR, _HU_RANGE = -1000, 1500  # of a phantom, whose values are about in [0, 1]
_TRANSFORMS = ("object_transform", "background_transform", "image_transform")


def read_config(path: Path | None, blend: str | None = None, preset: str | None = None) -> dict[str, Any]:
    """Keywords of SoftCP from a TOML or JSON file; TOML has no null, so the word "none" turns a transform off.

    Args:
        path: the file, or None.
        blend: one more keyword, which the file must not contradict.
        preset: name of the keywords that the file refines.

    Raises:
        ValueError: the file cannot be read, or names another blend; or there is no such preset.
    """
    config = {} if path is None else _read(path)
    if preset is not None:
        checks.choice("preset", preset, tuple(PRESETS))
        config = {**PRESETS[preset], **config}
    if blend is None:
        return config
    if config.get("blend", blend) != blend:
        checks.fail("blend", f"{config['blend']!r}, as in {path}", repr(blend))
    return {**config, "blend": blend}


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except (OSError, RecursionError, ValueError) as error:
        raise ValueError(f"config: expected a TOML or JSON file, found {path} ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"config: expected keywords and values, found {type(content).__name__} in {path}")
    return {name: None if name in _TRANSFORMS and value == "none" else value for name, value in content.items()}


def write_phantoms(folder: Path, count: int, size: int, seed: int) -> None:
    """Writes phantoms as a data set of slices, four to a patient, with red lesions in blue organs.

    They are recorded as a run's samples are, each before it is written, so that only they are ever overwritten.
    """
    image, mask, region = phantoms.batch(count, (size, size), seed=seed)
    pixels = (image * 255).round().clamp(0, 255).byte().movedim(1, -1).numpy()
    for i in range(count):
        path = folder / "images" / f"case{i // 4:03d}_{i % 4}.png"
        target = folder / "masks" / path.name
        files = {"image": f"images/{path.name}", "mask": f"masks/{path.name}"}
        manifest.append_line(folder / manifest.SAMPLES, {"id": path.stem, "files": files})
        like = Case(path.stem, path, (target,), "kits2d", folder)
        write_image(path, pixels[i])
        write_mask(target, LAYOUTS["kits2d"].encode_labels(like, mask[i, 0].bool().numpy(), region[i, 0].numpy()))


def write_volumes(folder: Path, count: int, size: int, seed: int) -> None:
    """Writes phantoms as volumes of CT in HU, laid out as KiTS19 is, and recorded likewise."""
    shape = (size // 2, size, size)
    grid = Grid(shape[::-1], (0.8, 0.8, 2.5), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    check_simple_itk(folder)
    for i in range(count):
        image, mask, region = (x[0, 0].numpy() for x in phantoms.batch(1, shape, seed=seed + i))
        name = f"case_{i:05d}"
        files = {kind: f"{name}/{kind}.nii.gz" for kind in ("imaging", "segmentation")}
        manifest.append_line(folder / manifest.SAMPLES, {"id": name, "files": files})
        hounsfield = (image * _HU_RANGE + _HU_AIR).round().astype(np.int16)
        write_volume(folder / files["imaging"], Volume(hounsfield, grid))
        write_volume(folder / files["segmentation"], Volume(np.where(mask > 0, 2, region).astype(np.uint8), grid))
