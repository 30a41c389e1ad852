"""Soft-CP: soft copy-paste augmentation for medical lesion segmentation, on PyTorch and kornia."""

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from softcp_gpu import functional, kernels, phantoms
    from softcp_gpu.collate import SoftCPCollate
    from softcp_gpu.modules import (
        GraphedSoftCP,
        ImageTransform,
        LesionBank,
        ObjectTransform,
        Placement,
        SoftCP,
        SoftMask,
    )
    from softcp_gpu.types import LesionCrop, PasteParams, PlacementRecord, SoftCPOutput, Status

__version__ = "0.1.0"

__all__ = [
    "GraphedSoftCP",
    "ImageTransform",
    "LesionBank",
    "LesionCrop",
    "ObjectTransform",
    "PasteParams",
    "Placement",
    "PlacementRecord",
    "SoftCP",
    "SoftCPCollate",
    "SoftCPOutput",
    "SoftMask",
    "Status",
    "__version__",
    "functional",
    "kernels",
    "phantoms",
]

_HOMES = MappingProxyType(
    {
        "collate": ("SoftCPCollate",),
        "modules": (
            "GraphedSoftCP",
            "ImageTransform",
            "LesionBank",
            "ObjectTransform",
            "Placement",
            "SoftCP",
            "SoftMask",
        ),
        "types": ("LesionCrop", "PasteParams", "PlacementRecord", "SoftCPOutput", "Status"),
    }
)


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for: the help of the command line needs no torch."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"softcp_gpu.{home}"), name)
    if name in __all__:
        return import_module(f"softcp_gpu.{name}")
    raise AttributeError(f"module 'softcp_gpu' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
