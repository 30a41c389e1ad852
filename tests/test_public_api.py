"""What users may rely on: adding a name is a decision, taking one away breaks them."""

import inspect

import pytest

import softcp_gpu
from softcp_gpu import choices, data, functional
from softcp_gpu.functional import blend

NAMES = {
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
}
FUNCTIONS = {
    "about",
    "affine_matrix",
    "auto_k_dilate",
    "carve",
    "compose",
    "crop_matrix",
    "draw_offset",
    "gamma",
    "gaussian_blur",
    "gaussian_noise",
    "hard_union",
    "legal_offsets",
    "match_rim",
    "rigid_matrix",
    "scaling",
    "seamless",
    "soft_copy",
    "soft_cp",
    "soft_mask",
    "soft_mask_table",
    "soft_paste",
    "translation",
    "value_range",
    "warp",
}
SOFTCP = {
    "p": 0.5,
    "alpha": 0.7,
    "k_erode": 1,
    "k_dilate": "auto",
    "footprint": "full",
    "blend": "softcp",
    "blend_sigma_px": "auto",
    "on_small": "shrink",
    "placement": "uniform",
    "min_region_overlap": 0.5,
    "max_lesion_overlap": 0,
    "min_visible": 1.0,
    "lesion_labels": None,
    "other_labels": (),
    "match": "none",
    "object_transform": "default",
    "background_transform": None,
    "image_transform": None,
    "bank": None,
}
SOFT_MASK = {"footprint": "full", "profile": "softcp", "spacing": None, "on_small": "shrink"}
INPUTS = ["image", "mask", "region"]
SOURCES = ["source_image", "source_mask", "spacing", "source_spacing", "source_range", "generator"]


def parameters(function):
    return inspect.signature(function).parameters


@pytest.mark.parametrize(("module", "names"), [(softcp_gpu, NAMES), (functional, FUNCTIONS)])
def test_the_public_names_are_these(module, names):
    assert set(module.__all__) == names
    assert len(module.__all__) == len(names)
    assert [name for name in names if not hasattr(module, name)] == []


def test_softcp_takes_these_keywords_with_these_defaults():
    found = parameters(softcp_gpu.SoftCP)
    assert {name: parameter.default for name, parameter in found.items()} == SOFTCP
    assert {name for name, p in found.items() if p.kind is not p.KEYWORD_ONLY} == {"p"}
    types = {name: type(parameter.default) for name, parameter in found.items()}
    assert types["max_lesion_overlap"] is int  # a number of pixels: 0 and 0.0, 1 and 1.0 differ
    assert types["min_region_overlap"] is types["min_visible"] is float


def test_softcp_is_called_with_these_arguments():
    forward, augment = parameters(softcp_gpu.SoftCP.forward), parameters(softcp_gpu.SoftCP.augment)
    assert list(forward) == ["self", *INPUTS, *SOURCES]
    assert list(augment) == ["self", *INPUTS, *SOURCES, "params"]
    for name in SOURCES:
        assert forward[name].kind is forward[name].KEYWORD_ONLY
        assert forward[name].default is None


def test_soft_mask_is_called_with_these_arguments():
    found = parameters(functional.soft_mask)
    assert list(found) == ["mask", "k_erode", "k_dilate", "alpha", *SOFT_MASK]
    for name, default in SOFT_MASK.items():
        assert found[name].kind is found[name].KEYWORD_ONLY
        assert found[name].default == default


def test_the_record_of_a_call_has_these_fields():
    assert softcp_gpu.SoftCPOutput._fields == ("image", "mask", "soft_mask", "placement", "status", "params")
    assert [status.label for status in softcp_gpu.Status] == [
        "pasted",
        "not_drawn",
        "empty_source",
        "lesion_too_small",
        "no_legal_place",
    ]


@pytest.mark.parametrize("module", [softcp_gpu, functional])
def test_everything_public_is_documented(module):
    public = [getattr(module, name) for name in module.__all__ if not name.startswith("__")]
    assert [thing for thing in public if not (thing.__doc__ or "").strip()] == []


def test_names_are_there_before_they_are_asked_for():
    assert set(dir(softcp_gpu)) == NAMES
    with pytest.raises(AttributeError, match="'softcp_gpu' has no attribute 'SoftCp'"):
        softcp_gpu.SoftCp  # noqa: B018


def test_layouts_and_blends_have_the_names_that_the_help_gives():
    assert (*data.LAYOUTS, *data.VOLUME_LAYOUTS) == choices.LAYOUT_NAMES
    assert blend.BLENDS == choices.BLENDS
