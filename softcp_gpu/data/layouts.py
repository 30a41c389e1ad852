"""The layouts that are known, and the one that a folder has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from softcp_gpu.data.errors import DataError
from softcp_gpu.data.files import describe, levels
from softcp_gpu.data.image_layout import ImageLayout
from softcp_gpu.data.layout import Layout
from softcp_gpu.data.pairs import Kits2d, Kvasir, Pairs
from softcp_gpu.data.published import Busi, Isic, Lgg, Ph2
from softcp_gpu.data.volume_layout import VolumeLayout
from softcp_gpu.data.volume_nnunet import NnUnet
from softcp_gpu.data.volume_pairs import VolumePairs
from softcp_gpu.data.volume_published import Brats, Kits19

LAYOUTS: Mapping[str, ImageLayout] = MappingProxyType(
    {layout.name: layout for layout in (Busi(), Isic(), Lgg(), Ph2(), Kvasir(), Kits2d(), Pairs())}
)
"""The layouts of images by name; where several fit a folder, the first of them is meant."""

VOLUME_LAYOUTS: Mapping[str, VolumeLayout] = MappingProxyType(
    {layout.name: layout for layout in (NnUnet(), Kits19(), Brats(), VolumePairs())}
)
"""The layouts of volumes by name, likewise. None of them fits a folder of images, nor the other way round."""

_ALL: Mapping[str, Layout] = MappingProxyType({**LAYOUTS, **VOLUME_LAYOUTS})


def find_layout(root: Path | str, name: str | None = None) -> Layout:
    """Find the layout of a data set, or take the one that is named.

    Args:
        root: the data set's folder, or one up to two levels above it.
        name: one of `LAYOUTS` or `VOLUME_LAYOUTS`, or None to look.

    Returns:
        The layout; it fits the folder.

    Raises:
        DataError: no folder, an empty one, one without a known layout, or several data sets in it; an unknown name.
    """
    root = Path(root)
    if name is not None:
        return _named(root, name)
    for level in levels(root):
        fitting = [(folder, layout) for folder in level if (layout := _first(folder))]
        if len(fitting) > 1:
            found = ", ".join(f"{folder.relative_to(root)} ({layout.name})" for folder, layout in fitting)
            raise DataError(root, "one data set", f"several: {found}")
        if fitting:
            return fitting[0][1]
    known = "; ".join(f"{layout.name}: {layout.expects}" for layout in _ALL.values())
    raise DataError(root, f"one of these layouts: {known}", describe(root))


def _named(root: Path, name: str) -> Layout:
    if name not in _ALL:
        raise DataError(root, f"a layout of {', '.join(_ALL)}", repr(name))
    _ALL[name].base(root)  # raises where it does not fit
    return _ALL[name]


def _first(folder: Path) -> Layout | None:
    return next((layout for layout in _ALL.values() if layout.fits(folder)), None)
