"""Soft-CP: soft copy-paste augmentation for medical lesion segmentation, on PyTorch and kornia."""

from softcp_gpu import functional, phantoms
from softcp_gpu.collate import SoftCPCollate
from softcp_gpu.modules import ImageTransform, LesionBank, ObjectTransform, Placement, SoftCP, SoftMask
from softcp_gpu.types import LesionCrop, PasteParams, PlacementRecord, SoftCPOutput, Status

__version__ = "0.1.0"

__all__ = [
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
    "phantoms",
]
