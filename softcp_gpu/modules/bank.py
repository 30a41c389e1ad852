"""A bank of lesions: cut out once, kept in memory, drawn by chance and taken as a batch of sources."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from softcp_gpu import checks
from softcp_gpu.functional.bank import addresses, frame_for, grouped, size_groups
from softcp_gpu.sampling import draw_rows
from softcp_gpu.types import LesionCrop

By = Literal["lesion", "patient", "class", "size"]
_BY = ("lesion", "patient", "class", "size")


class BankSample(NamedTuple):
    """Lesions as a batch of sources, each in the first corner of its frame."""

    image: Tensor  # (B, C, *size) floating; beyond a lesion's own crop its border is repeated
    mask: Tensor  # (B, 1, *size) integer class ids, 0 beyond
    spacing: Tensor | None  # (B, n) float64, mm; on the CPU, for loops that need a length which no device has to tell
    value_range: Tensor  # (B, C, 2): least and largest value of the whole image


class _Entry(NamedTuple):
    """What the host knows of a lesion."""

    size: tuple[int, ...]  # n: of its crop
    start_px: tuple[int, ...]
    spacing_mm: tuple[float, ...] | None
    case: str
    patient: str | None
    classes: tuple[int, ...]
    volume_px: int
    volume_mm3: float | None
    owner: str  # the patient; where that is not known, each case counts as one


class LesionBank(nn.Module):
    """Lesions of a data set in memory, to be drawn from.

    All pixels lie in two buffers, which share their addresses. Sizes and names stay on the host, so neither drawing nor
    taking waits for a device. The buffers are not in `state_dict`: a network's checkpoint should neither hold patients'
    images nor ask for the same bank when it is loaded.

    Args:
        lesions: one or more, all with as many axes and channels, and all with spacing or all without.
        by: what `draw` draws first, uniformly: a "lesion", or a "patient", "class" or "size" and then one of its
            lesions. Where patients are not known, each case counts as one. The sizes are four groups, divided at the
            quartiles of the volume (which are those of its logarithm too), in mm3 where spacing is known. Lesions of
            one volume are in one group, so groups may hold more or fewer lesions, and one that holds none is not drawn.

    Shape:
        seed (B,) int64 on the CPU, to a `BankSample`.

    Raises:
        ValueError: naming the lesion, what was expected and what was found.

    Note:
        Pixels are held in float32; `.half()` and `.to(dtype)` change that, and leave class ids integers.

    Example:
        >>> labels = torch.zeros(1, 8, 8, dtype=torch.uint8)
        >>> labels[:, 2:5, 3:6] = 1
        >>> limits = torch.tensor([[0.0, 1.0]])
        >>> bank = LesionBank([LesionCrop(torch.rand(1, 8, 8), labels, limits, (40, 60), None, "case_1")])
        >>> bank(torch.tensor([5, 6])).image.shape
        torch.Size([2, 1, 8, 8])
    """

    pixels: Tensor  # (P, C): those of one lesion after those of the other
    labels: Tensor  # (P,)
    value_range: Tensor  # (N, C, 2)

    def __init__(self, lesions: Iterable[LesionCrop], *, by: By = "lesion") -> None:
        super().__init__()
        lesions = list(lesions)
        _check_lesions(lesions)
        checks.choice("by", by, _BY)
        self.by = by
        self.entries = [_entry(crop) for crop in lesions]
        self.groups = _groups(self.entries)
        self.size = torch.tensor([entry.size for entry in self.entries])
        self.first = self.size.prod(1).cumsum(0) - self.size.prod(1)
        spacing = [entry.spacing_mm for entry in self.entries]
        self.spacing = None if spacing[0] is None else torch.tensor(spacing, dtype=torch.float64)
        pixels = torch.cat([crop.image.flatten(1).T.to(torch.float32) for crop in lesions])
        labels = torch.cat([crop.labels.flatten().to(torch.int32) for crop in lesions])
        value_range = torch.stack([crop.value_range.to(pixels) for crop in lesions])
        if not value_range.isfinite().all():
            checks.fail("lesions", "values that float32 can hold", "larger ones")
        self.register_buffer("pixels", pixels, persistent=False)
        self.register_buffer("labels", labels.to(torch.uint8) if max(self.classes) < 256 else labels, persistent=False)
        self.register_buffer("value_range", value_range, persistent=False)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, row: int) -> LesionCrop:
        entry = self.entries[row]
        part = slice(first := int(self.first[row]), first + math.prod(entry.size))
        image, labels = self.pixels[part].T.unflatten(1, entry.size), self.labels[part].view(1, *entry.size)
        limits = self.value_range[row].double()
        return LesionCrop(image, labels, limits, entry.start_px, entry.spacing_mm, entry.case, entry.patient)

    def __iter__(self) -> Iterator[LesionCrop]:
        return (self[row] for row in range(len(self)))

    @property
    def classes(self) -> tuple[int, ...]:
        """All class ids, in order."""
        return tuple(sorted({label for entry in self.entries for label in entry.classes}))

    @property
    def patients(self) -> tuple[str, ...]:
        """All patients, or cases where patients are not known, in the order of their lesions."""
        return tuple(dict.fromkeys(entry.owner for entry in self.entries))

    def forward(self, seed: Tensor) -> BankSample:
        """A lesion for each seed, drawn and taken."""
        return self.take(self.draw(seed))

    def draw(self, seed: Tensor, by: By | None = None) -> Tensor:
        """Rows of lesions: each a pure function of its seed and the bank, whatever else is in the batch.

        Args:
            seed: (B,) int64 on the CPU.
            by: in place of the bank's own.

        Returns:
            (B,) int64 on the CPU.
        """
        by = self.by if by is None else by
        checks.choice("by", by, _BY)
        _check_host("seed", seed)
        return draw_rows(seed, *self.groups[by])

    def take(self, rows: Tensor, *, shape: Sequence[int] | None = None) -> BankSample:
        """Lesions as a batch on the bank's device, without waiting for it.

        Args:
            rows: (B,) int64 on the CPU.
            shape: n lengths of the frames; None: as the bank's largest lesion needs, whichever are drawn, so that a
                sample's coordinates, and with them its bits, do not depend on the rest of its batch.
        """
        _check_host("rows", rows)
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(self):
            checks.fail("rows", f"0 to {len(self) - 1}", f"{rows.tolist()}")
        frame, device = frame_for(self.size if shape is None else self.size[rows], shape), self.pixels.device
        host = (self.first[rows], self.size[rows], rows)
        first, size, device_rows = (t.to(device, non_blocking=True) for t in host)
        address, inside = addresses(first, size, frame)
        image = self.pixels[address].movedim(-1, 1).contiguous()
        mask = self.labels[address].masked_fill(~inside, 0)[:, None]
        spacing = None if self.spacing is None else self.spacing[rows]
        return BankSample(image, mask, spacing, self.value_range[device_rows])

    def subset(
        self,
        *,
        patients: Collection[str] | None = None,
        without_patients: Collection[str] = (),
        classes: Collection[int] | None = None,
        size_px: tuple[float, float] | None = None,
        size_mm3: tuple[float, float] | None = None,
    ) -> LesionBank:
        """A bank of the lesions that meet every condition, one at least.

        Args:
            patients: of these alone; each must be in the bank.
            without_patients: of none of these, such as those who validate; they need not be in the bank.
            classes: that hold one of these class ids at least.
            size_px, size_mm3: whose volume is from the first to the second number, both included.
        """
        for name, given in (("patients", patients), ("without_patients", without_patients), ("classes", classes)):
            if given is not None and (isinstance(given, str) or not isinstance(given, Collection)):
                checks.fail(name, "a collection", repr(given))
        if strangers := set(patients or ()) - set(self.patients):
            checks.fail("patients", "patients of the bank", f"{sorted(strangers)}")
        if size_mm3 is not None and self.spacing is None:
            checks.fail("size_mm3", "None for lesions without spacing", repr(size_mm3))
        limits_px, limits_mm3 = _limits("size_px", size_px), _limits("size_mm3", size_mm3)
        keep = [
            row
            for row, entry in enumerate(self.entries)
            if (patients is None or entry.owner in patients)
            and entry.owner not in without_patients
            and (classes is None or set(classes) & set(entry.classes))
            and limits_px[0] <= entry.volume_px <= limits_px[1]
            and limits_mm3[0] <= (entry.volume_mm3 or 0) <= limits_mm3[1]
        ]
        if not keep:
            checks.fail("subset", "at least one lesion", f"none of {len(self)} that meets the conditions")
        return LesionBank([self[row] for row in keep], by=self.by).to(self.pixels)

    def extra_repr(self) -> str:
        """What is in the bank."""
        px = [entry.volume_px for entry in self.entries]
        mm3 = [entry.volume_mm3 for entry in self.entries if entry.volume_mm3]
        counts = f"lesions={len(self)}, patients={len(self.patients)}, classes={self.classes}"
        sizes = f"size_px={(min(px), max(px))}, size_mm3={(min(mm3), max(mm3)) if mm3 else None}"
        return f"{counts}, {sizes}, channels={self.pixels.shape[1]}, axes={self.size.shape[1]}, by={self.by!r}"


def _entry(crop: LesionCrop) -> _Entry:
    origin = (tuple(crop.image.shape[1:]), crop.start_px, crop.spacing_mm, crop.case, crop.patient)
    owner = crop.case if crop.patient is None else crop.patient
    return _Entry(*origin, crop.classes, crop.volume_px, crop.volume_mm3, owner)


def _groups(entries: Sequence[_Entry]) -> dict[str, tuple[Tensor, Tensor]]:
    """For each way to draw, the rows of its groups and how many each has."""
    sizes = size_groups([entry.volume_px if entry.volume_mm3 is None else entry.volume_mm3 for entry in entries])
    return {
        "lesion": grouped([0] for _ in entries),
        "patient": grouped([entry.owner] for entry in entries),
        "class": grouped(entry.classes for entry in entries),
        "size": grouped([size] for size in sizes),
    }


def _check_lesions(lesions: list[LesionCrop]) -> None:
    if not lesions:
        checks.fail("lesions", "one or more", "none")
    for i, crop in enumerate(lesions):
        if not isinstance(crop, LesionCrop):
            checks.fail(f"lesions[{i}]", "a LesionCrop", type(crop).__name__)
        crop.check(f"lesions[{i}]")
        if crop.kind != lesions[0].kind:
            checks.fail(f"lesions[{i}] (case {crop.case})", f"{lesions[0].kind} as lesions[0]", crop.kind)


def _check_host(name: str, x: Any) -> None:
    """Values that Python may look at for free."""
    if not isinstance(x, Tensor) or x.ndim != 1 or x.dtype != torch.int64 or x.device.type != "cpu":
        found = f"{x.dtype} {tuple(x.shape)} on {x.device}" if isinstance(x, Tensor) else type(x).__name__
        checks.fail(name, "an int64 tensor (B,) on the CPU", found)


def _limits(name: str, value: Any) -> tuple[float, float]:
    if value is None:
        return 0, math.inf
    if not isinstance(value, tuple | list) or len(value) != 2 or not 0 <= value[0] <= value[1]:
        checks.fail(name, "a pair (least, largest)", repr(value))
    return value[0], value[1]
