"""Data sets of images or volumes on disk: layouts found and read, new cases written alike, splits without leakage.

Example:
    >>> from softcp_gpu.data import find_layout, training_cases
    >>> layout = find_layout("breast_ultrasound")  # doctest: +SKIP
    >>> cases, problems = layout.cases("breast_ultrasound")  # doctest: +SKIP
    >>> sample = layout.load(training_cases(cases)[0])  # doctest: +SKIP
"""

from softcp_gpu.data.bank_files import load_lesions, save_bank
from softcp_gpu.data.cases import Case, Sample, check_size, check_sizes
from softcp_gpu.data.cut import build_bank, cut_lesions
from softcp_gpu.data.errors import DataError, Problem
from softcp_gpu.data.grid import Grid, same_grid
from softcp_gpu.data.image_layout import ImageLayout
from softcp_gpu.data.io import image_size, read_image, write_image
from softcp_gpu.data.layout import Layout
from softcp_gpu.data.layouts import LAYOUTS, VOLUME_LAYOUTS, find_layout
from softcp_gpu.data.masks import MaskStyle, mask_style, read_colour_mask, read_mask, write_mask
from softcp_gpu.data.split import Split, make_split, training_cases
from softcp_gpu.data.volume_io import Volume, read_grid, read_volume, write_volume
from softcp_gpu.data.volume_layout import Roles, VolumeLayout
from softcp_gpu.data.volume_orient import oriented_like

__all__ = [
    "LAYOUTS",
    "VOLUME_LAYOUTS",
    "Case",
    "DataError",
    "Grid",
    "ImageLayout",
    "Layout",
    "MaskStyle",
    "Problem",
    "Roles",
    "Sample",
    "Split",
    "Volume",
    "VolumeLayout",
    "build_bank",
    "check_size",
    "check_sizes",
    "cut_lesions",
    "find_layout",
    "image_size",
    "load_lesions",
    "make_split",
    "mask_style",
    "oriented_like",
    "read_colour_mask",
    "read_grid",
    "read_image",
    "read_mask",
    "read_volume",
    "same_grid",
    "save_bank",
    "training_cases",
    "write_image",
    "write_mask",
    "write_volume",
]
