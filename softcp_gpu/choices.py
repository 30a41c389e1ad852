"""What users choose from, known without importing torch: so that `softcp --help` takes no longer than Python does."""

from types import MappingProxyType

BLENDS = ("softcp", "softcp-geometric", "hard", "gaussian-mask", "gaussian-intensity", "poisson", "carvemix")
"""How a lesion is joined to its new place; `softcp_gpu.functional.blend` does it."""

ENGINES = ("local", "ray")
"""Who makes the samples of a run: processes of this machine, or workers on a Ray cluster."""

FORMATS = ("same", "nnunet")
"""Of a synthetic set: the data set's own, or one for nnU-Net."""

LAYOUT_NAMES = ("busi", "isic", "lgg", "ph2", "kvasir", "kits2d", "pairs", "nnunet", "kits19", "brats", "volume_pairs")
"""Of data sets; `softcp_gpu.data` has the layouts themselves."""

_INSIDE = MappingProxyType({"min_region_overlap": 1.0, "max_lesion_overlap": 0, "min_visible": 1.0})
PRESETS = MappingProxyType(
    {
        "lgg": {**_INSIDE, "object_transform": {"scale": [0.8, 1.25]}, "alpha": 0.7, "k_erode": 0, "k_dilate": "auto"},
        "kvasir": {**_INSIDE, "object_transform": {"scale": [0.8, 1.25]}, "alpha": 0.7, "k_erode": 1, "k_dilate": 2},
        "busi": {**_INSIDE, "object_transform": {"scale": [0.5, 2.0]}, "alpha": 0.7, "k_erode": 1, "k_dilate": "auto"},
    }
)
"""Keywords of `SoftCP`, chosen on validation data of 128 x 128 pixels; `benchmarks/training` has how and how well."""

# By its defaults `SoftCP` shows tissue up to 9 steps from a lesion, at a corner 12.7 pixels. Turned by 45 degrees and
# scaled by 0.8, that comes from 15.9 away.
MARGIN = 16.0
"""Tissue around a lesion of a bank: mm where the spacing is known, else pixels."""
