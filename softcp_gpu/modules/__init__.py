"""Soft-CP as modules: each holds ranges and settings, and calls the function of the same name."""

from softcp_gpu.modules.bank import LesionBank
from softcp_gpu.modules.graphed import GraphedSoftCP
from softcp_gpu.modules.placement import Placement
from softcp_gpu.modules.soft_mask import SoftMask
from softcp_gpu.modules.softcp import SoftCP
from softcp_gpu.modules.transforms import ImageTransform, ObjectTransform

__all__ = [
    "GraphedSoftCP",
    "ImageTransform",
    "LesionBank",
    "ObjectTransform",
    "Placement",
    "SoftCP",
    "SoftMask",
]
