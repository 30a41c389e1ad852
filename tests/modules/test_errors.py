"""Every bad input gets one ValueError that names the argument, what was expected and what was found."""

import re

import pytest
import torch

from softcp_gpu import ImageTransform, ObjectTransform, Placement, SoftCP, SoftCPCollate, SoftMask, phantoms
from softcp_gpu.functional import soft_mask

IMAGE, MASK, REGION = phantoms.batch(3, (20, 24), channels=2)
VOLUME, VOLUME_MASK, _ = phantoms.batch(2, (16, 16, 16))


def spoilt(x, value, sample=1):
    x = x.clone().to(x.dtype if isinstance(value, int) else torch.float32)
    x[sample].view(-1)[7] = value
    return x


def call(*args, **kwargs):
    return lambda: SoftCP(p=1.0)(*args, **kwargs)


def source(image=IMAGE, mask=MASK):
    return {"source_image": image, "source_mask": mask}


NAN, INF = float("nan"), float("inf")
SETTINGS = [  # (keywords of SoftCP, the argument that is named, what was expected, what was found)
    ({"p": -0.1}, "p", "a number in [0, 1]", "-0.1"),
    ({"p": 1.5}, "p", "a number in [0, 1]", "1.5"),
    ({"p": NAN}, "p", "a number in [0, 1]", "nan"),
    ({"p": "half"}, "p", "a number in [0, 1]", "'half'"),
    ({"p": True}, "p", "a number in [0, 1]", "True"),
    ({"alpha": 0}, "alpha", "a number in (0, 1)", "0"),
    ({"alpha": 1.0}, "alpha", "a number in (0, 1)", "1.0"),
    ({"alpha": (0.5, 1.2)}, "alpha", "a number in (0, 1)", "1.2"),
    ({"alpha": (0.8, 0.5)}, "alpha", "a pair (least, largest)", "(0.8, 0.5)"),
    ({"alpha": (0.1, 0.2, 0.3)}, "alpha", "a number or a pair", "(0.1, 0.2, 0.3)"),
    ({"alpha": None}, "alpha", "a number in (0, 1)", "None"),
    ({"k_erode": -1}, "k_erode", "a number in [0, 1000]", "-1"),
    ({"k_erode": 1.5}, "k_erode", "whole numbers", "1.5"),
    ({"k_erode": "auto"}, "k_erode", "a number in [0, 1000]", "'auto'"),
    ({"k_dilate": -2}, "k_dilate", "a number in [0, 1000]", "-2"),
    ({"k_dilate": (3, 1)}, "k_dilate", "a pair (least, largest)", "(3, 1)"),
    ({"k_dilate": "all"}, "k_dilate", "'auto'", "'all'"),
    ({"footprint": "square"}, "footprint", "one of 'full', 'cross'", "'square'"),
    ({"blend": "geometric"}, "blend", "one of 'softcp', 'softcp-geometric', 'hard', ", "'geometric'"),
    ({"blend_sigma_px": 0}, "blend_sigma_px", "a number in [0.01, 20]", "0"),
    ({"blend_sigma_px": "none"}, "blend_sigma_px", "a number in [0.01, 20]", "'none'"),
    ({"on_small": "drop"}, "on_small", "one of 'shrink', 'skip'", "'drop'"),
    ({"placement": "center"}, "placement", "one of 'uniform', 'in_place'", "'center'"),
    ({"match": "histogram"}, "match", "one of 'none', 'rim'", "'histogram'"),
    ({"min_region_overlap": -1}, "min_region_overlap", "0 pixels or more", "-1"),
    ({"min_region_overlap": 1.5}, "min_region_overlap", "a fraction in [0, 1]", "1.5"),
    ({"max_lesion_overlap": "none"}, "max_lesion_overlap", "an int (pixels) or a float", "'none'"),
    ({"max_lesion_overlap": NAN}, "max_lesion_overlap", "a fraction in [0, 1]", "nan"),
    ({"min_visible": True}, "min_visible", "an int (pixels) or a float", "True"),
    ({"lesion_labels": 0}, "lesion_labels", "whole class ids, 1 or more", "0"),
    ({"lesion_labels": [1, -2]}, "lesion_labels", "whole class ids, 1 or more", "[1, -2]"),
    ({"lesion_labels": []}, "lesion_labels", "at least one class id", "[]"),
    ({"lesion_labels": 2.5}, "lesion_labels", "whole class ids, 1 or more", "2.5"),
    ({"lesion_labels": "tumour"}, "lesion_labels", "whole class ids, 1 or more", "'tumour'"),
    ({"lesion_labels": 1, "other_labels": [0.5]}, "other_labels", "whole class ids, 1 or more", "[0.5]"),
    ({"other_labels": [255]}, "other_labels", "lesion_labels beside it, or none", "[255]"),
    ({"object_transform": "none"}, "object_transform", "an ObjectTransform", "'none'"),
    ({"object_transform": ImageTransform()}, "object_transform", "an ObjectTransform", "ImageTransform("),
    ({"background_transform": ObjectTransform()}, "background_transform", "an ImageTransform", "ObjectTransform("),
    ({"image_transform": 0.5}, "image_transform", "an ImageTransform", "0.5"),
    ({"object_transform": {"rigid": []}}, "rigid", "a list of names", "[]"),
    ({"object_transform": {"rigid": "flip"}}, "rigid", "a list of names", "'flip'"),
    ({"object_transform": {"rigid": ["shear"]}}, "rigid", "one of 'none', 'flip'", "'shear'"),
    ({"object_transform": {"intensity": ["flip"]}}, "intensity", "one of 'none', 'gamma'", "'flip'"),
    ({"object_transform": {"scale": 0}}, "scale", "a number in [0.01, 100]", "0"),
    ({"object_transform": {"gamma": (-1, 2)}}, "gamma", "a number in [0.01, 100]", "-1"),
    ({"object_transform": {"rotation_deg": INF}}, "rotation_deg", "a number in [-360, 360]", "inf"),
    ({"object_transform": {"shift": 3}}, "shift", "a number in [-1, 1]", "3"),
    ({"object_transform": {"noise_sigma": -0.1}}, "noise_sigma", "a number in [0, 10]", "-0.1"),
    ({"object_transform": {"blur_sigma_px": 0}}, "blur_sigma_px", "a number in [0.01, 20]", "0"),
    ({"image_transform": {"p_crop": 2}}, "p_crop", "a number in [0, 1]", "2"),
    ({"image_transform": {"crop": 1.2}}, "crop", "a number in [0.01, 1]", "1.2"),
]
CALLS = {
    "a NumPy image": (call(IMAGE.numpy(), MASK), "image", "a tensor", "ndarray"),
    "a 2-D tensor": (call(IMAGE[0, 0], MASK[0, 0]), "image", "(B, C, H, W) or (B, C, D, H, W)", "shape (20, 24)"),
    "a 3-D tensor": (call(IMAGE[0], MASK[0]), "image", "(B, C, H, W) or (B, C, D, H, W)", "shape (2, 20, 24)"),
    "no channels": (call(IMAGE[:, :0], MASK), "image", "no empty axis but the batch", "shape (3, 0, 20, 24)"),
    "no pixels": (call(IMAGE[..., :0], MASK[..., :0]), "image", "no empty axis", "shape (3, 2, 20, 0)"),
    "a complex image": (call(IMAGE + 0j, MASK), "image", "a real dtype", "torch.complex64"),
    "a complex source": (call(IMAGE, MASK, **source(IMAGE + 0j)), "source_image", "a real dtype", "torch.complex64"),
    "NaN": (call(spoilt(IMAGE, NAN), MASK), "image", "finite values", "NaN or infinity in sample(s) [1]"),
    "infinity": (call(spoilt(IMAGE, -INF, 2), MASK), "image", "finite values", "infinity in sample(s) [2]"),
    "both infinities": (call(spoilt(spoilt(IMAGE, INF, 0), -INF, 0), MASK), "image", "finite values", "sample(s) [0]"),
    "NaN in half precision": (call(spoilt(IMAGE, NAN).half(), MASK), "image", "finite values", "sample(s) [1]"),
    "NaN in the source": (call(IMAGE, MASK, **source(spoilt(IMAGE, NAN))), "source_image", "finite", "sample(s) [1]"),
    "a mask that is no tensor": (call(IMAGE, [0, 1]), "mask", "a tensor", "list"),
    "no mask": (call(IMAGE, None), "mask", "a tensor", "NoneType"),
    "a mask of another size": (
        call(IMAGE, MASK[..., 1:]),
        "mask",
        "shape (3, 1, 20, 24) or (3, 20, 24) as the image has",
        "shape (3, 1, 20, 23)",
    ),
    "a mask of another batch": (call(IMAGE, MASK[:2]), "mask", "shape (3, 1, 20, 24)", "shape (2, 1, 20, 24)"),
    "a mask with many channels": (call(IMAGE, MASK.expand(3, 2, 20, 24)), "mask", "(3, 1, 20, 24)", "(3, 2, 20, 24)"),
    "a flat mask for a volume": (call(VOLUME, VOLUME_MASK[:, :, 0]), "mask", "(2, 1, 16, 16, 16)", "(2, 1, 16, 16)"),
    "a mask elsewhere": (call(IMAGE, MASK.to("meta")), "mask", "device cpu as the image has", "meta"),
    "a complex mask": (call(IMAGE, MASK + 0j), "mask", "bool, integer or floating labels", "torch.complex64"),
    "undeclared class ids": (call(IMAGE, spoilt(MASK, 4)), "mask", "values in [0, 1] (declare class ids", "[4]"),
    "a mask of 0 and 255": (call(IMAGE, MASK * 255), "mask", "values in [0, 1]", "[255]"),
    "a mask with fractions": (call(IMAGE, spoilt(MASK, 0.5)), "mask", "values in [0, 1]", "[0.5]"),
    "NaN in the mask": (call(IMAGE, spoilt(MASK, NAN)), "mask", "values in [0, 1]", "[nan]"),
    "a negative label": (call(IMAGE, spoilt(MASK.long(), -1)), "mask", "values in [0, 1]", "[-1]"),
    "an undeclared label among ids": (
        lambda: SoftCP(lesion_labels=[2, 5], other_labels=[7])(IMAGE, spoilt(MASK, 4)),
        "mask",
        "values in [0, 1, 2, 5, 7]",
        "[4]",
    ),
    "an id that the mask's dtype cannot hold": (
        lambda: SoftCP(lesion_labels=300)(IMAGE, spoilt(MASK, 44)),  # 300 - 256
        "mask",
        "values in [0, 1, 300]",
        "[44]",
    ),
    "undeclared ids in the source": (
        call(IMAGE, MASK, **source(mask=MASK * 3)),
        "source_mask",
        "values in [0, 1]",
        "[3]",
    ),
    "a region of another size": (call(IMAGE, MASK, REGION[:, :, 1:]), "region", "(3, 1, 20, 24)", "(3, 1, 19, 24)"),
    "a region with other values": (call(IMAGE, MASK, REGION * 2), "region", "values in [0, 1]", "[2]"),
    "an empty region": (
        call(IMAGE, MASK, REGION & False),
        "region",
        "at least one sample with a region pixel",
        "a region that is empty everywhere",
    ),
    "a source image without its mask": (call(IMAGE, MASK, source_image=IMAGE), "source_mask", "both", "only one"),
    "a source mask without its image": (call(IMAGE, MASK, source_mask=MASK), "source_image", "both", "only one"),
    "sources of another batch size": (
        call(IMAGE, MASK, **source(IMAGE[:2], MASK[:2])),
        "source_image",
        "3 samples, 2 channels and 2 axes as image has",
        "shape (2, 2, 20, 24)",
    ),
    "sources with other channels": (
        call(IMAGE, MASK, **source(IMAGE[:, :1])),
        "source_image",
        "3 samples, 2 channels",
        "shape (3, 1, 20, 24)",
    ),
    "sources elsewhere": (
        call(IMAGE, MASK, **source(IMAGE.to("meta"), MASK.to("meta"))),
        "source_image",
        "device cpu as image has",
        "meta",
    ),
    "source masks of another batch size": (
        call(IMAGE, MASK, **source(mask=MASK[:1])),
        "source_mask",
        "shape (3, 1, 20, 24)",
        "shape (1, 1, 20, 24)",
    ),
    "spacing of other axes": (call(IMAGE, MASK, spacing=(1.0, 1.0, 1.0)), "spacing", "2 numbers above 0", "shape (3,)"),
    "spacing in words": (call(IMAGE, MASK, spacing="1 mm"), "spacing", "2 numbers above 0, mm per axis", "'1 mm'"),
    "spacing of 0": (call(IMAGE, MASK, spacing=(1.0, 0.0)), "spacing", "2 numbers above 0", "[1.0, 0.0]"),
    "a spacing of the sources alone": (
        call(IMAGE, MASK, source_spacing=(1.0, 1.0)),
        "source_spacing",
        "None without source_image and spacing",
        "(1.0, 1.0)",
    ),
    "a range that is no tensor": (call(IMAGE, MASK, source_range=(0, 1)), "source_range", "(3, 2, 2)", "tuple"),
    "a range of other channels": (
        call(IMAGE, MASK, source_range=torch.zeros(3, 1, 2)),
        "source_range",
        "a floating tensor (3, 2, 2)",
        "torch.float32 (3, 1, 2)",
    ),
    "a range upside down": (
        call(IMAGE, MASK, source_range=torch.tensor([1.0, 0.0]).expand(3, 2, 2)),
        "source_range",
        "finite values, the least first",
        "[1.0, 0.0]",
    ),
    "an id that a float mask would round": (
        lambda: SoftCP(lesion_labels=257)(IMAGE, MASK.bfloat16()),
        "mask",
        "a dtype that holds the lesion label 257",
        "torch.bfloat16",
    ),
    "params that are none": (lambda: SoftCP().augment(IMAGE, MASK, params={}), "params", "PasteParams", "dict"),
    "params of another module": (
        lambda: SoftCP(object_transform=None).augment(IMAGE, MASK, params=SoftCP().augment(IMAGE, MASK).params),
        "params",
        "none of object_transform, as this module has",
        "some",
    ),
    "a cross in millimetres": (
        lambda: SoftCP(footprint="cross")(IMAGE, MASK, spacing=(1.0, 1.0)),
        "footprint",
        "'full' with spacing",
        "'cross'",
    ),
    "one sample without a source": (
        call(IMAGE[:1], MASK[:1]),
        "source_image",
        "a source or a bank for a batch of one",
        "None",
    ),
    "a number for a generator": (call(IMAGE, MASK, generator=0), "generator", "a torch.Generator on the CPU", "int"),
    "params of another batch": (
        lambda: SoftCP().augment(IMAGE, MASK, params=SoftCP().draw(torch.arange(2), (20, 24))),
        "params",
        "3 samples with 2 axes",
        "2 with 2",
    ),
    "params of volumes": (
        lambda: SoftCP().augment(IMAGE, MASK, params=SoftCP().draw(torch.arange(3), (16, 20, 24))),
        "params",
        "3 samples with 2 axes",
        "3 with 3",
    ),
    "params that point beyond the sources": (
        lambda: SoftCP(1.0).augment(
            IMAGE, MASK, params=SoftCP(1.0).draw(torch.arange(3), (20, 24))._replace(source_index=torch.arange(1, 4))
        ),
        "params",
        "source_index",
        "3",
    ),
    "the object transform: mask of another size": (
        lambda: ObjectTransform()(IMAGE, MASK[:2]),
        "mask",
        "(3, 1, 20, 24)",
        "(2, 1, 20, 24)",
    ),
    "the image transform: NaN": (lambda: ImageTransform()(spoilt(IMAGE, NAN), MASK), "image", "finite", "[1]"),
    "placement: no tensor": (lambda: Placement()(None), "lesion", "a tensor", "NoneType"),
    "placement: many channels": (lambda: Placement()(IMAGE > 0), "lesion", "(3, 1, 20, 24)", "(3, 2, 20, 24)"),
    "placement: a soft lesion": (lambda: Placement()(spoilt(MASK, 0.5)), "lesion", "values in [0, 1]", "[0.5]"),
    "placement: NaN": (lambda: Placement()(spoilt(MASK, NAN)), "lesion", "values in [0, 1]", "[nan]"),
    "placement: soft other lesions": (
        lambda: Placement()(MASK, None, spoilt(MASK, 0.5)),
        "other_lesions",
        "values in [0, 1]",
        "[0.5]",
    ),
    "placement: region of another size": (lambda: Placement()(MASK, REGION[:2]), "region", "(3, 1,", "(2, 1,"),
    "placement: an empty region": (lambda: Placement()(MASK, REGION & False), "region", "at least one", "empty"),
    "collate: one key": (lambda: SoftCPCollate(SoftCP(), keys=("image",)), "keys", "(image, mask)", "('image',)"),
}
STEPS = torch.tensor([1, 1, 1])
SOFT = [  # (positional and keyword arguments of soft_mask, the argument, expected, found)
    ((MASK[0, 0], 1, 2, 0.7), {}, "mask", "(B, C, H, W) or (B, C, D, H, W)", "shape (20, 24)"),
    ((MASK[0], 1, 2, 0.7), {}, "mask", "(B, C, H, W)", "shape (1, 20, 24)"),
    ((IMAGE > 0, 1, 2, 0.7), {}, "mask", "one channel", "shape (3, 2, 20, 24)"),
    ((MASK * 2, 1, 2, 0.7), {}, "mask", "values in [0, 1]", "[2]"),
    ((MASK * NAN, 1, 2, 0.7), {}, "mask", "values in [0, 1]", "nan"),
    ((MASK, -1, 2, 0.7), {}, "k_erode", "a whole number of steps, 0 or more", "-1"),
    ((MASK, 1, -2, 0.7), {}, "k_dilate", "a whole number of steps, 0 or more, or 'auto'", "-2"),
    ((MASK, 1.5, 2, 0.7), {}, "k_erode", "a whole number of steps", "1.5"),
    ((MASK, True, 2, 0.7), {}, "k_erode", "a whole number of steps", "True"),
    ((MASK, "auto", 2, 0.7), {}, "k_erode", "a whole number of steps", "'auto'"),
    ((MASK, 1, "all", 0.7), {}, "k_dilate", "or 'auto'", "'all'"),
    ((MASK, STEPS - 2, 2, 0.7), {}, "k_erode", "0 steps or more", "[-1, -1, -1]"),
    ((MASK, STEPS.float(), 2, 0.7), {}, "k_erode", "an integer tensor", "torch.float32"),
    ((MASK, 1, STEPS[:2], 0.7), {}, "k_dilate", "one value per sample, shape (3,)", "shape (2,)"),
    ((MASK, 1, STEPS[:, None], 0.7), {}, "k_dilate", "one value per sample", "shape (3, 1)"),
    ((MASK, 1, 2, 0.0), {}, "alpha", "a number in (0, 1)", "0.0"),
    ((MASK, 1, 2, 1), {}, "alpha", "a number in (0, 1)", "1"),
    ((MASK, 1, 2, NAN), {}, "alpha", "a number in (0, 1)", "nan"),
    ((MASK, 1, 2, torch.tensor([0.5, 1.0, 0.5])), {}, "alpha", "the open interval (0, 1)", "1.0"),
    ((MASK, 1, 2, torch.tensor([0.5, 0.5])), {}, "alpha", "one value per sample", "shape (2,)"),
    ((MASK, 1, 2, 0.7), {"profile": "linear"}, "profile", "one of 'softcp', 'geometric'", "'linear'"),
    ((MASK, 1, 2, 0.7), {"on_small": None}, "on_small", "one of 'shrink', 'skip'", "None"),
    ((MASK, 1, 2, 0.7), {"footprint": "disk"}, "footprint", "one of 'full', 'cross'", "'disk'"),
    ((MASK, 1, 2, 0.7), {"footprint": torch.ones(2, 2)}, "footprint", "2 odd lengths", "shape (2, 2)"),
    ((MASK, 1, 2, 0.7), {"footprint": torch.ones(3, 4)}, "footprint", "2 odd lengths", "shape (3, 4)"),
    ((MASK, 1, 2, 0.7), {"footprint": torch.ones(3, 3, 3)}, "footprint", "2 odd lengths", "shape (3, 3, 3)"),
    ((MASK, 1, 2, 0.7), {"footprint": torch.full((3, 3), 0.5)}, "footprint", "values 0 and 1", "other values"),
    ((MASK, 1, 2, 0.7), {"footprint": torch.tensor([[0, 1, 1]])}, "footprint", "its own mirror image", "asymmetric"),
    ((MASK, 1, 2, 0.7), {"footprint": torch.tensor([[1, 0, 1]])}, "footprint", "centre", "without"),
    ((MASK, 1, 2, 0.7), {"spacing": (1.0,)}, "spacing", "2 numbers, mm per axis", "(1.0,)"),
    ((MASK, 1, 2, 0.7), {"spacing": 1.0}, "spacing", "2 numbers, mm per axis", "1.0"),
    ((MASK, 1, 2, 0.7), {"spacing": (1.0, 0.0)}, "spacing", "a number in (0, inf)", "0.0"),
    ((MASK, 1, 2, 0.7), {"spacing": (1, 1), "footprint": "cross"}, "footprint", "'full' with spacing", "'cross'"),
]


def check(make, name, expected, found):
    with pytest.raises(ValueError, match=rf"(?s)^{name}: expected .*, found ") as error:
        make()
    message = str(error.value)
    before, after = re.fullmatch(r"(?s)\w+: expected (.*), found (.*?)", message).groups()
    assert expected in before
    assert found in after
    assert error.value.__cause__ is None
    assert error.value.__context__ is None  # one error, not the last of a chain


@pytest.mark.parametrize(("settings", "name", "expected", "found"), SETTINGS, ids=lambda v: str(v)[:40])
def test_a_bad_setting_is_refused_when_the_module_is_made(settings, name, expected, found):
    check(lambda: SoftCP(**settings), name, expected, found)


@pytest.mark.parametrize("case", CALLS)
def test_a_bad_input_is_refused(case):
    check(*CALLS[case])


@pytest.mark.parametrize(("args", "settings", "name", "expected", "found"), SOFT)
def test_soft_mask_refuses(args, settings, name, expected, found):
    check(lambda: soft_mask(*args, **settings), name, expected, found)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"alpha": 1.0}, "alpha"),
        ({"k_erode": -1}, "k_erode"),
        ({"k_dilate": 1.5}, "k_dilate"),
        ({"footprint": torch.ones(2, 2)}, "footprint"),
        ({"profile": "none"}, "profile"),
        ({"spacing": (1.0, -1.0)}, "spacing"),
        ({"on_small": "keep"}, "on_small"),
    ],
)
def test_the_soft_mask_module_refuses_when_it_is_made(settings, name):
    check(lambda: SoftMask(**settings), name, "", "")


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"placement": "anywhere"}, "placement"),
        ({"min_region_overlap": -1}, "min_region_overlap"),
        ({"max_lesion_overlap": 1.01}, "max_lesion_overlap"),
        ({"min_visible": None}, "min_visible"),
    ],
)
def test_the_placement_module_refuses_when_it_is_made(settings, name):
    check(lambda: Placement(**settings), name, "", "")


@pytest.mark.parametrize(
    "make",
    [
        lambda: SoftCP(aplha=0.5),
        lambda: SoftCP(0.5, 0.7),
        lambda: SoftCP(object_transform={"rotate": 10}),
        lambda: SoftCP(image_transform={"p_flip": 0.5}),
        lambda: SoftCP()(IMAGE, MASK, seed=0),
        lambda: SoftCP()(IMAGE, MASK, params=None),
        lambda: SoftCP().augment(IMAGE, MASK, source=IMAGE),
        lambda: soft_mask(MASK, 1, 2, 0.7, spacings=(1, 1)),
    ],
)
def test_an_unknown_keyword_raises(make):
    with pytest.raises(TypeError, match=r"unexpected keyword argument|positional argument"):
        make()


def test_a_refused_call_changes_nothing():
    torch.manual_seed(0)
    aug, fresh = SoftCP(p=1.0), SoftCP(p=1.0)
    generator, expected = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
    before = IMAGE.clone(), MASK.clone()
    for bad in ((spoilt(IMAGE, NAN), MASK), (IMAGE, MASK * 9), (IMAGE, MASK[1:])):
        for draws in ({}, {"generator": generator}):
            with pytest.raises(ValueError, match="expected"):
                aug(*bad, **draws)
    assert torch.equal(generator.get_state(), expected.get_state())
    assert torch.equal(aug.augment(IMAGE, MASK).image, fresh.augment(IMAGE, MASK).image)
    assert torch.equal(IMAGE, before[0])
    assert torch.equal(MASK, before[1])


def test_large_finite_values_are_no_infinity():
    big = torch.full((2, 1, 16, 16), torch.finfo(torch.float32).max)
    big[0] *= -1
    image = SoftCP(p=0.0)(big, torch.zeros(2, 16, 16))[0]
    assert torch.equal(image, big)
    double = torch.full((2, 1, 16, 16), torch.finfo(torch.float64).max, dtype=torch.float64)  # their sum overflows
    assert torch.equal(SoftCP(p=0.0)(double, torch.zeros(2, 16, 16))[0], double)
