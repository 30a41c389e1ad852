"""Layouts of volumes, whose masks hold label ids. Subclasses say where the files are; this class does the rest."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from softcp_gpu import checks
from softcp_gpu.data.cases import Case, Listing, Sample
from softcp_gpu.data.errors import DataError, Problem
from softcp_gpu.data.files import suffix
from softcp_gpu.data.grid import check_same_grid
from softcp_gpu.data.layout import Layout
from softcp_gpu.data.new_case import check_new_id, inside
from softcp_gpu.data.volume_io import (
    WRITTEN,
    Volume,
    check_simple_itk,
    read_grid,
    read_header,
    read_volume,
    write_volume,
)
from softcp_gpu.data.volume_labels import cast_exactly, ids_in, label_ids, marked


class Roles(NamedTuple):
    """Which label ids mean what."""

    lesion: tuple[int, ...] | None  # None: every id above 0
    region: tuple[int, ...]  # their union is the region; none: there is no region among the labels


@dataclass(frozen=True)
class VolumeLayout(Layout):
    """A data set of volumes; `with_roles` changes which labels are lesion and region."""

    lesion: tuple[int, ...] | None = None
    region: tuple[int, ...] = ()

    @abstractmethod
    def target(self, new_id: str, like: Case, path: Path) -> Path:
        """Say where the new case's counterpart of a file goes.

        Args:
            new_id: `synth_` and letters, digits or hyphens.
            like: the background's case.
            path: one of its files.

        Returns:
            A path relative to the layout's start, with a suffix that can be written.
        """

    def roles(self, root: Path) -> Roles:
        """Say which labels are lesion and region.

        Args:
            root: where the layout starts; `Case.root`.

        Returns:
            The label ids.

        Raises:
            DataError: the data set does not tell.
        """
        return Roles(self.lesion, self.region)

    def with_roles(self, lesion: Sequence[int] | None = None, region: Sequence[int] | None = None) -> Self:
        """See `Layout.with_roles`.

        Example:
            >>> from softcp_gpu.data.volume_published import Kits19
            >>> Kits19().with_roles(region=(1,))
            Kits19(lesion=(2,), region=(1,))
        """
        lesion, region = checks.labels("lesion", lesion), checks.labels("region", region)
        if lesion == ():
            checks.fail("lesion", "at least one label id", "none")
        return replace(
            self, lesion=self.lesion if lesion is None else lesion, region=self.region if region is None else region
        )

    def cases(self, root: Path | str) -> Listing:
        """See `Layout.cases`."""
        check_simple_itk(Path(root))
        return super().cases(root)

    def check_header(self, case: Case) -> None:
        """See `Layout.check_header`."""
        grid = read_grid(case.image)
        for path in (*case.channels, *_region_of(case), *case.masks):
            check_same_grid(path, read_grid(path), case.image, grid)

    def load(self, case: Case) -> Sample:
        """See `Layout.load`. Channels of several dtypes are given in one that holds them all."""
        self.check_header(case)
        images = [read_volume(path) for path in (case.image, *case.channels)]
        values = [image.values for image in images]
        image = values[0][..., None] if len(values) == 1 else np.stack(values, axis=-1)
        if image.dtype.kind == "f" and not np.isfinite(image).all():
            raise DataError(case.image, "finite values", "NaN or infinity")
        labels = _read_ids(case)
        return Sample(image, *self._lesion_and_region(case, labels), labels, images[0].grid)

    def read_labels(self, case: Case) -> tuple[np.ndarray, np.ndarray | None]:
        """See `Layout.read_labels`."""
        return self._lesion_and_region(case, _read_ids(case))

    def pixels(self, case: Case) -> np.ndarray:
        """See `Layout.pixels`."""
        return read_volume(case.image).values[..., None]

    def marks(self, case: Case) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """See `Layout.marks`."""
        ids = _read_ids(case)
        return *self._lesion_and_region(case, ids), ids

    def spacing_mm(self, case: Case) -> tuple[float, ...] | None:
        """See `Layout.spacing_mm`."""
        return read_grid(case.image).spacing_mm

    def absent_labels(self, cases: Iterable[Case]) -> list[Problem]:
        """See `Layout.absent_labels`."""
        found: set[int] = set()
        wanted: dict[int, str] = {}
        root = Path()
        for case in cases:
            roles, root = self.roles(case.root), case.root
            wanted = {**dict.fromkeys(roles.region, "region"), **dict.fromkeys(roles.lesion or (), "lesion")}
            if found.issuperset(wanted):
                return []
            try:
                found |= ids_in(_read_ids(case))
            except DataError:  # `load` reports it
                continue
        there = ", ".join(map(str, sorted(found))) or "none"
        return [
            Problem(root, f"expected the label {label} ({role}) in at least one mask, found the labels {there}")
            for label, role in wanted.items()
            if label not in found
        ]

    def label_names(self, cases: Sequence[Case]) -> dict[int, str]:
        """See `Layout.label_names`. A layout that knows none numbers what the masks hold."""
        found = set().union(*(ids_in(_read_ids(case)) for case in cases)) - {0}
        return {label: f"label_{label}" for label in sorted(found)}

    def channel_names(self, case: Case, sample: Sample) -> list[str]:
        """See `Layout.channel_names`."""
        return [f"channel_{k}" for k in range(sample.image.shape[-1])]

    def save(
        self,
        out_root: Path | str,
        new_id: str,
        like: Case,
        image: np.ndarray,
        labels: np.ndarray,
        region: np.ndarray | None = None,
        *,
        source: Case | None = None,
    ) -> list[Path]:
        """See `Layout.save`. Every file gets dtype and grid of its counterpart in the background's case.

        Args:
            out_root, new_id, like, source: as there.
            image: (D, H, W, C) in the dtype of `load`.
            labels: (D, H, W) integers, label ids.
            region: (D, H, W) bool, for cases that have a file for it; None: that file is copied. Elsewhere the labels
                hold the region, and this is left aside.

        Returns:
            The paths of the image, of its further channels, of the region's file, and of the mask.

        Raises:
            DataError: as there.
        """
        check_new_id(out_root, new_id)
        arrays = {like.image: image[..., 0], **{path: image[..., k + 1] for k, path in enumerate(like.channels)}}
        _check_new(Path(out_root), new_id, like, image, labels, region)
        for path in _region_of(like):
            if region is None or self.roles(like.root).region:  # a region of labels is not that of the file
                arrays[path] = read_volume(path).values
            else:
                arrays[path] = region
        arrays[like.masks[0]] = labels
        written: list[Path] = []
        try:
            for path, values in arrays.items():
                header, target = read_header(path), inside(Path(out_root), self.target(new_id, like, path))
                write_volume(target, Volume(cast_exactly(target, values, header.dtype), header.grid), like=path)
                written.append(target)
        except BaseException:
            for path in written:
                path.unlink()
            raise
        return written

    def _lesion_and_region(self, case: Case, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Roles given as labels go before a file of the region."""
        roles = self.roles(case.root)
        lesion = labels > 0 if roles.lesion is None else marked(labels, roles.lesion)
        if roles.region:
            return lesion, marked(labels, roles.region)
        return lesion, None if case.region is None else read_volume(case.region).values != 0


def written_suffix(path: Path) -> str:
    """Choose the suffix of a new volume.

    Args:
        path: a volume that it is to be like.

    Returns:
        The same suffix, as it is spelt there; `.mha` for `.mhd`, which is two files, and `.nii.gz` for DICOM.
    """
    kind = suffix(path)
    if kind == ".mhd":
        return ".mha"
    return path.name[-len(kind) :] if kind in WRITTEN else ".nii.gz"


def _region_of(case: Case) -> tuple[Path, ...]:
    return () if case.region is None else (case.region,)


def _read_ids(case: Case) -> np.ndarray:
    return label_ids(case.masks[0], read_volume(case.masks[0]).values)


def _check_new(
    out_root: Path, new_id: str, like: Case, image: np.ndarray, labels: np.ndarray, region: np.ndarray | None
) -> None:
    headers = [read_header(path) for path in (like.image, *like.channels)]
    shape, dtype = headers[0].grid.shape, np.result_type(*(header.dtype for header in headers))
    if image.shape != (*shape, len(headers)) or image.dtype != dtype:
        expected = f"an image {(*shape, len(headers))} of {dtype} for {new_id}, as {like.id} has"
        raise DataError(out_root, expected, f"{image.shape} of {image.dtype}")
    if labels.shape != shape or labels.dtype.kind not in "iu":
        raise DataError(out_root, f"labels {shape} of integers for {new_id}", f"{labels.shape} of {labels.dtype}")
    if region is not None and (region.shape != shape or region.dtype != bool):
        raise DataError(out_root, f"a bool region {shape} for {new_id}", f"{region.shape} of {region.dtype}")
