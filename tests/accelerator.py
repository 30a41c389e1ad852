"""A pretended accelerator: for torch its tensors are on a device of their own, and all is done on the CPU.

It refuses what a GPU refuses, an operation on tensors of two devices, and counts what a GPU waits for, what is copied
to it, and the bytes of its largest tensor. So code for accelerators is tested on machines without one; what it costs is
not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

DEVICE = "pretended"
# A CPU tensor may meet these: they copy, or read an index that torch itself would copy.
_MIXING = {"aten._to_copy.default", "aten.copy_.default", "aten.index.Tensor", "aten.index_put_.default"}
_COPYING = {"aten._to_copy.default", "aten.copy_.default"}
_WAITING = {"aten._local_scalar_dense.default", "aten.nonzero.default"}
_registered = False


class FarTensor(Tensor):
    """A tensor on the pretended device; `near` holds the values."""

    near: Tensor

    @staticmethod
    def __new__(cls, near: Tensor) -> FarTensor:
        far = Tensor._make_wrapper_subclass(
            cls,
            near.shape,
            strides=near.stride(),
            storage_offset=near.storage_offset(),
            dtype=near.dtype,
            device=torch.device(DEVICE, 0),
        )
        far.near = near
        return far

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))  # under `accelerator()` the mode has already done it

    def tolist(self) -> Any:
        return self.cpu().tolist()


class Accelerator(TorchDispatchMode):
    """Runs what happens on the device, and counts."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = 0
        self.arrivals = 0  # tensors copied to the device
        self.largest = 0  # bytes of the largest tensor made there

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        far = any(isinstance(x, FarTensor) for x in tensors)
        near = [x for x in tensors if not isinstance(x, FarTensor) and x.ndim]
        name, device = str(func), kwargs.get("device")
        if far and near and name not in _MIXING:
            raise RuntimeError(f"{name}: expected all tensors on one device, found {DEVICE} and cpu")
        leaves = far and device is not None and torch.device(device).type == "cpu"
        self.waits += far and (name in _WAITING or leaves)
        stays = torch.device(device).type == DEVICE if device is not None else far
        self.arrivals += stays and name in _COPYING and any(not isinstance(x, FarTensor) for x in tensors)
        if device is not None:
            kwargs = {**kwargs, "device": "cpu"}
        out = func(*tree_map(_near, args), **tree_map(_near, kwargs))
        return tree_map(self._far, out) if stays else out

    def _far(self, x: Any) -> Any:
        if not isinstance(x, Tensor):
            return x
        self.largest = max(self.largest, x.numel() * x.element_size())
        return FarTensor(x.resolve_conj())


def _near(x: Any) -> Any:
    return x.near if isinstance(x, FarTensor) else x


@contextmanager
def accelerator() -> Iterator[Accelerator]:
    """Makes `DEVICE` known to torch."""
    global _registered
    if not _registered:
        _setup_privateuseone_for_python_backend(DEVICE)
        torch.get_device_module(DEVICE).get_amp_supported_dtype = lambda: [torch.float16, torch.bfloat16]
        _registered = True
    with Accelerator() as mode:
        yield mode
