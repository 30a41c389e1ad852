"""The reference: Soft-CP on the CPU with OpenCV and NumPy, one image at a time, written to be read.

It is the specification in code. The functions have the names that they have in `softcp_gpu.functional`, share none of
their code, and work on whole frames with plain loops. Tests and benchmarks compare with it.

An image is a float array (H, W, C), a mask (H, W). Points, shifts and matrices are in array order, (y, x), as in the
params. Params are one sample of `PasteParams` (or of its parts): the same fields, NumPy values, no batch axis.
"""

import cv2

if int(cv2.__version__.split(".")[0]) < 5:  # 4.x rounds coordinates to 1/32 pixel: images differ by 1e-2 of the range
    raise ImportError(f"softcp_gpu.reference: expected opencv-python-headless 5 or newer, found {cv2.__version__}")

from softcp_gpu.reference.blend import blend_source, blend_weight, blur_mask, carve
from softcp_gpu.reference.geometry import about, compose, crop_matrix, rigid_matrix, translation, warp
from softcp_gpu.reference.intensity import gamma, gaussian_blur, gaussian_noise, transform_intensity, value_range
from softcp_gpu.reference.opencv import (
    Output,
    hard_union,
    match_rim,
    soft_copy,
    soft_cp,
    soft_paste,
)
from softcp_gpu.reference.placement import Overlaps, draw_offset, find_origin, legal_offsets, overlaps_at
from softcp_gpu.reference.soft_mask import auto_k_dilate, erode_core, soft_mask
from softcp_gpu.reference.transforms import crop_and_resize, lesion_canvas, transform_image, transform_object

__all__ = [
    "Output",
    "Overlaps",
    "about",
    "auto_k_dilate",
    "blend_source",
    "blend_weight",
    "blur_mask",
    "carve",
    "compose",
    "crop_and_resize",
    "crop_matrix",
    "draw_offset",
    "erode_core",
    "find_origin",
    "gamma",
    "gaussian_blur",
    "gaussian_noise",
    "hard_union",
    "legal_offsets",
    "lesion_canvas",
    "match_rim",
    "overlaps_at",
    "rigid_matrix",
    "soft_copy",
    "soft_cp",
    "soft_mask",
    "soft_paste",
    "transform_image",
    "transform_intensity",
    "transform_object",
    "translation",
    "value_range",
    "warp",
]
