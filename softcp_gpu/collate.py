"""Soft-CP inside the workers of a DataLoader, on the CPU, while the batch is put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch.utils.data import default_collate

from softcp_gpu.modules.inputs import floating
from softcp_gpu.modules.softcp import SoftCP


class SoftCPCollate:
    """A `collate_fn` that augments each batch.

    Draws follow the seed of the process that they are made in. In workers that is the loader's: torch gives each worker
    of each epoch its own seed, from the loader's `generator`, so draws repeat with the same generator and as many
    workers. Without workers it is torch's own, and the draws go on from call to call.

    Args:
        aug: the module, on the CPU and in training mode.
        keys: where image, mask and (optionally) region are in a sample: keys of a dict or positions in a sequence.
            Everything else is passed on.
        collate: puts samples together to a batch first.

    Example:
        >>> import torch
        >>> samples = [(torch.rand(1, 32, 32), torch.eye(32)) for _ in range(4)]
        >>> image, mask = SoftCPCollate(SoftCP(p=1.0, max_lesion_overlap=1.0))(samples)
        >>> image.shape, mask.shape
        (torch.Size([4, 1, 32, 32]), torch.Size([4, 32, 32]))
    """

    def __init__(
        self,
        aug: SoftCP,
        keys: tuple[Any, ...] = (0, 1),
        collate: Callable[[list[Any]], Any] = default_collate,
    ) -> None:
        if len(keys) not in (2, 3):
            raise ValueError(f"keys: expected (image, mask) or (image, mask, region), found {keys!r}")
        self.aug, self.keys, self.collate = aug, keys, collate

    def __call__(self, samples: list[Any]) -> Any:
        """Collates, then augments; without a bank a batch of one, which has no other source, keeps its pixels."""
        batch = self.collate(samples)
        inputs = [batch[key] for key in self.keys]
        if self.aug.training and len(inputs[0]) == 1 and self.aug.bank is None:
            image, mask = floating("image", inputs[0]), inputs[1]
        else:
            image, mask = self.aug(*inputs)
        if isinstance(batch, Mapping):
            return {**batch, self.keys[0]: image, self.keys[1]: mask}
        out = list(batch)
        out[self.keys[0]], out[self.keys[1]] = image, mask
        return type(batch)(*out) if hasattr(batch, "_fields") else type(batch)(out)
