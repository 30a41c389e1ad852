"""A data set for nnU-Net: its folders, names and class ids, and folds that no synthetic case leaks through.

nnU-Net's planner copies `splits_final.json` from beside `dataset.json`, and its trainer takes the folds from there. The
fold "all", and a number that the file does not have, it divides itself, without regard to parents: where there are
synthetic cases, validate on the file's folds only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from softcp_gpu.checks import choice, fail
from softcp_gpu.data.cases import Sample
from softcp_gpu.data.errors import DataError
from softcp_gpu.data.files import describe
from softcp_gpu.data.grid import Grid
from softcp_gpu.data.io import write_image
from softcp_gpu.data.manifest import write_json
from softcp_gpu.data.masks import write_mask
from softcp_gpu.data.new_case import inside
from softcp_gpu.data.nnunet_folds import make_folds
from softcp_gpu.data.nnunet_names import check_labels, safe_name
from softcp_gpu.data.volume_io import Volume, write_volume

ENDINGS = (".nii.gz", ".nrrd", ".mha", ".png")
"""The file types that both sides know; the last one is for 2-D images."""

_IMAGES, _LABELS = "imagesTr", "labelsTr"


class NnunetWriter:
    """Writes cases as one raw data set of nnU-Net, then its `dataset.json` and `splits_final.json`.

    A class of the labels named "ignore" must be the highest, as nnU-Net wants it. Samples without class ids have their
    lesion as class 1, or their region as 1 and their lesion as 2.

    Args:
        out: the data set's folder, named `Dataset<three digits>_<name>` where nnU-Net is to find it by its number.
        channel_names: one per channel; of RGB images three. By the name nnU-Net chooses how to normalize: "CT",
            "noNorm", "rescale_to_0_1" and "rgb_to_0_1" mean what they say, all others the z-score.
        labels: class ids by name: "background" is 0, the others 1, 2, 3, ... without a gap.
        file_ending: one of `ENDINGS`: ".png" for 2-D images, the others for volumes.
        fresh: whether there must be no case yet; False goes on where another writer has begun.

    Raises:
        ValueError: labels that nnU-Net would refuse, no channel, another ending.
        DataError: there are files in `imagesTr` or `labelsTr` already.

    Example:
        >>> import tempfile
        >>> lesion = np.eye(8, dtype=bool)
        >>> sample = Sample(np.zeros((8, 8, 1), np.uint8), lesion)
        >>> with tempfile.TemporaryDirectory() as out:
        ...     writer = NnunetWriter(Path(out), ["US"], {"background": 0, "lesion": 1}, ".png")
        ...     paths = writer.add_real("benign (1)", "a", sample) + writer.add_real("benign (2)", "b", sample)
        ...     writer.finish()
        >>> [path.name for path in paths]
        ['benign_1_0000.png', 'benign_1.png', 'benign_2_0000.png', 'benign_2.png']
    """

    def __init__(
        self,
        out: Path | str,
        channel_names: Sequence[str],
        labels: Mapping[str, int],
        file_ending: str = ENDINGS[0],
        *,
        fresh: bool = True,
    ) -> None:
        choice("file_ending", file_ending, ENDINGS)
        if isinstance(channel_names, str) or not channel_names:
            fail("channel_names", "a name for each channel", repr(channel_names))
        check_labels(labels)
        self._out, self._ending = Path(out), file_ending
        self._channels, self._labels = tuple(channel_names), dict(labels)
        self._patients: dict[str, str] = {}  # by the real cases' safe ids
        self._parents: dict[str, tuple[str, ...]] = {}  # patients, by the synthetic cases' safe ids
        self._taken: dict[str, str] = {}  # ids as given, by what a file system without capitals makes of them
        for folder in (self._out / _IMAGES, self._out / _LABELS):
            if fresh and folder.is_dir() and any(folder.iterdir()):
                raise DataError(
                    folder, "an empty folder or none, as nnU-Net takes every file in it for a case", describe(folder)
                )

    def add_real(self, case_id: str, patient: str, sample: Sample) -> list[Path]:
        """Write a case of the data set.

        Args:
            case_id: unique in the data set; what is neither a letter, a digit, _ nor - becomes _ in the files' names.
            patient: whose image it is; where patients are not known, the case's id.
            sample: its image (D, H, W, C) with a grid, or (H, W, 1 or 3) uint8 without one.

        Returns:
            The image files, one per channel or one in RGB, and the label file.

        Raises:
            DataError: the sample does not fit the data set, or nnU-Net would refuse it, or the id would be another
                case's, or a file cannot be written; then none of the case's files is there.
        """
        paths = self._write(self._safe(case_id), sample)
        self.know_real(case_id, patient)
        return paths

    def know_real(self, case_id: str, patient: str) -> None:
        """Count a case whose files are there, as written by `add_real`."""
        self._patients[self._take(case_id)] = patient

    def know_synthetic(self, new_id: str, parents: Sequence[str]) -> None:
        """Count a synthetic case whose files are there, as written by `add_synthetic`."""
        self._parents[self._take(new_id)] = tuple(parents)

    def add_synthetic(self, new_id: str, parents: Sequence[str], sample: Sample) -> list[Path]:
        """Write a synthetic case.

        Args:
            new_id: as `case_id` of `add_real`.
            parents: the patients that it shows, of the background and of the source, all real by the time of `finish`.
            sample: as for `add_real`.

        Returns:
            As `add_real`.

        Raises:
            DataError: as `add_real`, or no parents.
        """
        if isinstance(parents, str) or not parents:
            raise DataError(self._out, f"a list of the patients that {new_id} shows", repr(parents))
        paths = self._write(self._safe(new_id), sample)
        self.know_synthetic(new_id, parents)
        return paths

    def finish(self, folds: int = 5, seed: int = 0) -> None:
        """Write `splits_final.json`, and last `dataset.json`, without which nnU-Net takes no folder.

        The entry "softcp" of `dataset.json`, which nnU-Net does not read, says how many folds were asked for, how many
        there are, and how many synthetic cases are in none of them.

        Args:
            folds, seed: as for `make_folds`.

        Raises:
            ValueError: as `make_folds`.
            DataError: a file cannot be written.
        """
        splits = make_folds(self._patients, self._parents, folds, seed)
        used = {case for fold in splits for case in fold["train"]}
        record = {
            "folds": len(splits),
            "folds_asked": folds,
            "seed": seed,
            "patients": len(set(self._patients.values())),
            "synthetic": len(self._parents),
            "synthetic_in_no_fold": len(self._parents.keys() - used),
        }
        content = {
            "channel_names": {str(number): name for number, name in enumerate(self._channels)},
            "labels": self._labels,
            "numTraining": len(self._patients) + len(self._parents),
            "file_ending": self._ending,
            "softcp": record,
        }
        write_json(inside(self._out, Path("splits_final.json")), splits)
        write_json(inside(self._out, Path("dataset.json")), content)

    def _write(self, safe: str, sample: Sample) -> list[Path]:
        """Write the files of a case, all or none; return their paths."""
        label_path, image_path = (inside(self._out, Path(name, safe + self._ending)) for name in (_LABELS, _IMAGES))
        self._check_image(image_path, sample)
        files = {
            image_path.with_name(f"{safe}_{number:04d}{self._ending}"): values for number, values in _files(sample)
        }
        files[label_path] = self._class_ids(label_path, sample)
        try:
            for path, values in files.items():
                _write_values(path, values, sample.grid)
        except BaseException:
            for path in files:
                with suppress(OSError):  # where no file can be, there is none to remove
                    path.unlink()
            raise
        return list(files)

    def _take(self, case_id: str) -> str:
        safe = self._safe(case_id)
        self._taken[safe.casefold()] = case_id
        return safe

    def _safe(self, case_id: str) -> str:
        safe = safe_name(case_id)
        if not safe:
            raise DataError(self._out, "an id with letters or digits", repr(case_id))
        if (other := self._taken.get(safe.casefold())) is not None:
            expected = "ids that differ in letters, digits, _ or -, not only in capitals"
            raise DataError(self._out, expected, f"{case_id!r} and {other!r}, both {safe}")
        return safe

    def _check_image(self, path: Path, sample: Sample) -> None:
        """Check what nnU-Net's readers and its integrity check ask of an image."""
        image, grid, flat = sample.image, sample.grid, self._ending == ENDINGS[-1]
        if flat != (grid is None):
            kinds = ("a volume with a grid", "a 2-D image")
            raise DataError(path, f"{kinds[flat]} in a set of {self._ending} files", kinds[not flat])
        if grid is not None and image.shape[:-1] != grid.shape:
            raise DataError(path, f"the shape {grid.shape} of its grid, and channels", str(image.shape))
        if image.shape[-1] != len(self._channels):
            raise DataError(path, f"{len(self._channels)} channels: {', '.join(self._channels)}", str(image.shape[-1]))
        if flat and image.shape[-1] > 1 and image.dtype != np.uint8:
            raise DataError(path, "8 bits in RGB, as nnU-Net's reader cuts off more", str(image.dtype))
        if image.dtype.kind == "f" and not np.isfinite(image).all():
            raise DataError(path, "finite values", "NaN or infinity")

    def _class_ids(self, path: Path, sample: Sample) -> np.ndarray:
        """Return the label file's values, (*axes) uint8 or uint16."""
        ids = sample.labels
        if ids is None:
            ids = sample.lesion if sample.region is None else np.where(sample.lesion, 2, sample.region)
            classes = [name for name in self._labels if name != "ignore"]
            if len(classes) != 2 + (sample.region is not None):
                found = "a lesion" if sample.region is None else "a lesion and a region"
                raise DataError(path, f"class ids for {', '.join(classes)}", found)
        elif ids.dtype.kind not in "iu":
            raise DataError(path, "class ids of an integer type", str(ids.dtype))
        if ids.shape != sample.image.shape[:-1]:
            raise DataError(path, f"labels of the image's shape {sample.image.shape[:-1]}", str(ids.shape))
        if unknown := set(np.unique(ids).tolist()) - set(self._labels.values()):
            named = ", ".join(f"{number} {name}" for name, number in self._labels.items())
            raise DataError(path, f"the class ids {named}", ", ".join(map(str, sorted(unknown)[:8])))
        return ids.astype(np.uint8 if len(self._labels) <= 256 else np.uint16)


def _files(sample: Sample) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the number and the values of each image file: one per channel of a volume, one in all of an image."""
    if sample.grid is None:
        yield 0, sample.image
    else:
        yield from enumerate(np.moveaxis(sample.image, -1, 0))


def _write_values(path: Path, values: np.ndarray, grid: Grid | None) -> None:
    if grid is not None:
        write_volume(path, Volume(values, grid))
    elif values.ndim == 2:
        write_mask(path, values)
    else:
        write_image(path, values)
