"""Operators do what their schemas say, and their results are of the shapes and types that compilers are told."""

import pytest
import torch
from torch import library
from torch.utils._python_dispatch import TorchDispatchMode

from softcp_gpu import SoftCP, kernels, phantoms
from softcp_gpu.functional import soft_mask
from softcp_gpu.modules.graphed import drawn_there

CALLS = {
    "default": ((16, 20), torch.float32, {}),
    "all transforms": ((16, 20), torch.float64, {"background_transform": {}, "image_transform": {}}),
    "volume": ((3, 6, 9), torch.float16, {"object_transform": {"intensity": ["gamma"]}}),
    "rim": ((16, 20), torch.float32, {"match": "rim"}),
}


class Noted(TorchDispatchMode):
    """Our operators, each with what it was last called with."""

    def __init__(self):
        super().__init__()
        self.calls = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.namespace == "softcp_gpu":
            self.calls[func] = tuple(x.clone() if isinstance(x, torch.Tensor) else x for x in args)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("settings", CALLS)
def test_operators_keep_torchs_rules(settings):
    shape, dtype, keywords = CALLS[settings]
    image, mask, region = phantoms.batch(2, shape, channels=2)
    aug = SoftCP(p=1.0, k_dilate=1, max_lesion_overlap=1.0, **keywords)
    with kernels.use("on"), torch.no_grad(), Noted() as noted:
        drawn_there(aug, torch.arange(2), (image.to(dtype), mask, region, None, None))
        soft_mask(mask, 1, 2, 0.7)
    names = {func._opname for func in noted.calls}
    pastes = {"default": {"paste"}, "all transforms": {"paste_over", "crop", "transform_image"}, "volume": {"paste"}}
    assert {"draw", "soft_mask", *pastes.get(settings, {"soft_weight", "motion"})} <= names
    with kernels.use("on"), torch.no_grad():
        for func, args in noted.calls.items():
            library.opcheck(func, args, test_utils=("test_schema", "test_faketensor"))
