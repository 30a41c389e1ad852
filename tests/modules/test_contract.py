"""What every module promises, whatever it does."""

import copy
import inspect
import pickle
import random
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from softcp_gpu import ImageTransform, ObjectTransform, Placement, SoftCP, SoftMask, phantoms
from softcp_gpu.functional.blend import BLENDS

SHAPES = {"2-D": (24, 18), "3-D": (16, 17, 16)}
BLUR = {"blur_sigma_px": (0.2, 0.5)}  # narrow kernels, for speed
OBJECT = {"rigid": ["rotation", "flip", "scaling", "panning"], "intensity": ["gamma", "noise", "blur"], **BLUR}
IMAGE = {"p_crop": 1.0, "p_gamma": 1.0, "p_noise": 1.0, "p_blur": 1.0, **BLUR}


class Module(NamedTuple):
    make: type
    settings: dict

    def __call__(self):
        return self.make(**self.settings)


TRANSFORMS = {
    "ObjectTransform": Module(ObjectTransform, OBJECT),
    "ImageTransform": Module(ImageTransform, IMAGE),
    "SoftCP": Module(SoftCP, {"p": 1.0, "k_dilate": 2, "object_transform": OBJECT}),
    "SoftCP with everything": Module(
        SoftCP,
        {
            "p": 0.7,
            "alpha": (0.5, 0.8),
            "k_erode": (0, 2),
            "match": "rim",
            "object_transform": OBJECT,
            "background_transform": IMAGE,
            "image_transform": IMAGE,
            "max_lesion_overlap": 0.5,
        },
    ),
}
for blend in BLENDS[1:]:
    keywords = {"p": 0.8, "blend": blend, "blend_sigma_px": 0.5, "k_dilate": 2, "object_transform": OBJECT}
    TRANSFORMS[f"SoftCP, {blend}"] = Module(SoftCP, keywords)
MODULES = {**TRANSFORMS, "SoftMask": Module(SoftMask, {}), "Placement": Module(Placement, {})}


@pytest.fixture(params=SHAPES, scope="module")
def data(request):
    """A batch of 3 with two channels."""
    image, mask, _ = phantoms.batch(3, SHAPES[request.param], channels=2, seed=4)
    return image, mask


def run(module, image, mask, seed=0, source=True):
    """What a module makes of a batch, as a tuple; SoftCP pastes the batch in reverse order."""
    generator = torch.Generator().manual_seed(seed)
    if isinstance(module, SoftMask):
        return (module(mask),)
    if isinstance(module, Placement):
        return module(mask, generator=generator)
    if isinstance(module, SoftCP) and source:
        return module(image, mask, source_image=image.flip(0), source_mask=mask.flip(0), generator=generator)
    return module(image, mask, generator=generator)


def same(a, b):
    return all(x.dtype == y.dtype and torch.equal(x, y) for x, y in zip(a, b, strict=True))


def each(names):
    return pytest.mark.parametrize("module", [pytest.param(names[n], id=n) for n in names])


@each(MODULES)
def test_an_empty_batch_comes_back_empty(module, data):
    for x in run(module(), *(x[:0] for x in data)):
        assert x.shape[0] == 0
    for x, y in zip(run(module(), *(x[:0] for x in data)), run(module(), *data), strict=True):
        assert x.shape[1:] == y.shape[1:]
        assert x.dtype == y.dtype


@each(MODULES)
def test_a_batch_of_one_works(module, data):
    image, mask = (x[:1] for x in data)
    for x, y in zip(run(module(), image, mask), run(module(), *data), strict=True):
        assert x.shape == (1, *y.shape[1:])


@each(MODULES)
def test_a_smaller_last_batch_works(module, data):
    made = module()
    run(made, *data)
    assert all(len(x) == 2 for x in run(made, *(x[:2] for x in data)))


@each(TRANSFORMS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_floating_dtype_is_kept_and_near_what_float32_gives(module, data, dtype):
    image, mask = data[0].to(dtype), data[1]
    found, labels = run(module(), image, mask)
    expected, expected_labels = run(module(), image.float(), mask)
    assert found.dtype == dtype
    assert torch.equal(labels, expected_labels)
    # One rounding in, float32 between, one rounding out: two steps of the coarser dtype at the largest value.
    step = max(torch.finfo(dtype).eps, 1e-5) * float(expected.abs().max())
    assert (found.float() - expected).abs().max() <= 2 * step


@each(MODULES)
def test_autocast_changes_nothing(module, data):
    expected = run(module(), *data)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = run(module(), *data)
    assert same(found, expected)


@each(TRANSFORMS)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16])
def test_integer_images_become_float32(module, data, dtype):
    image = (data[0] * 200).to(dtype)
    found = run(module(), image, data[1])
    assert found[0].dtype == torch.float32
    assert same(found, run(module(), image.float(), data[1]))


@each(TRANSFORMS)
@pytest.mark.parametrize(
    ("dtype", "channel"),
    [
        (torch.bool, True),
        (torch.bool, False),
        (torch.int16, True),
        (torch.int64, False),
        (torch.bfloat16, True),
        (torch.float32, False),
    ],
)
def test_masks_of_any_dtype_with_or_without_a_channel_come_back_as_they_came(module, data, dtype, channel):
    image, mask = data
    expected = run(module(), image, mask)
    given = mask.to(dtype) if channel else mask.to(dtype)[:, 0]
    found = run(module(), image, given)
    assert found[1].dtype == dtype
    assert found[1].shape == given.shape
    assert torch.equal(found[1].view(mask.shape).double(), expected[1].double())
    assert torch.equal(found[0], expected[0])


@each(MODULES)
def test_any_memory_layout_gives_the_same(module, data):
    image, mask = data
    expected = run(module(), image, mask)
    last = torch.channels_last if image.ndim == 4 else torch.channels_last_3d
    layouts = [
        [x.to(memory_format=last) for x in data],
        [x.transpose(-1, -2).contiguous().transpose(-1, -2) for x in data],
        [x.repeat_interleave(2, -1)[..., ::2] for x in data],
    ]
    for layout in layouts:
        assert same(run(module(), *layout), expected)


@each(MODULES)
def test_expanded_inputs_give_what_copies_give(module, data):
    one = [x[:1] for x in data]
    expanded = [x.expand(4, *x.shape[1:]) for x in one]
    expected = run(module(), *(x.clone() for x in expanded))
    assert same(run(module(), *expanded), expected)


@each(MODULES)
def test_inputs_are_never_changed(module, data):
    before = [x.clone() for x in data]
    run(module(), *data)
    assert same(data, before)


@each({n: m for n, m in TRANSFORMS.items() if m.make is SoftCP})
def test_outputs_of_softcp_share_no_memory_with_inputs(module, data):
    for p in (0.0, 1.0):
        before = [x.clone() for x in data]
        for x in run(module.make(**{**module.settings, "p": p}), *data):
            x.zero_()
        assert same(data, before)


@each(TRANSFORMS)
def test_in_eval_the_very_same_tensors_come_back(module, data):
    made = module().eval()
    for image, mask in (data, (data[0].short(), data[1][:, 0].bool())):
        found = run(made, image, mask, source=False)
        assert found[0] is image
        assert found[1] is mask


@each({n: MODULES[n] for n in ("SoftMask", "Placement")})
def test_what_draws_no_augmentation_does_the_same_in_eval(module, data):
    assert same(run(module().eval(), *data), run(module(), *data))


@each(MODULES)
@pytest.mark.parametrize(
    "through", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"]
)
def test_a_copy_does_the_same(module, data, through):
    made = module()
    twin = through(made)
    assert type(twin) is type(made)
    assert repr(twin) == repr(made)
    assert same(run(twin, *data), run(made, *data))


@each(TRANSFORMS)
def test_a_copy_continues_the_same_run(module, data):
    torch.manual_seed(3)
    made = module()
    made(*data)
    twin = copy.deepcopy(made)
    assert same(twin(*data), made(*data))


@each(MODULES)
def test_the_repr_names_every_keyword(module):
    text = repr(module())
    missing = [name for name in inspect.signature(module.make).parameters if f"{name}=" not in text.replace("): ", "=")]
    assert missing == []
    assert [v for v in module.settings.values() if isinstance(v, str | float) and str(v) not in text] == []


def test_the_repr_also_names_what_is_none():
    text = repr(SoftCP(object_transform=None))
    for name in ("object_transform", "background_transform", "image_transform"):
        assert f"{name}=None" in text.replace("): ", "=")


@each(MODULES)
def test_an_unknown_keyword_raises(module):
    with pytest.raises(TypeError, match="k_dialte"):
        module.make(**module.settings, k_dialte=3)
    with pytest.raises(TypeError, match="sead"):
        module()(torch.zeros(2, 1, 8, 8), torch.zeros(2, 1, 8, 8), sead=0)


@each(MODULES)
def test_is_one_level_above_nn_module_and_moves(module, data):
    made = module()
    assert type(made).__bases__ == (nn.Module,)
    expected = run(made, *data)
    assert made.to("cpu") is made
    assert same(run(made.to(torch.float64), *data), expected)
    assert same(run(nn.Sequential(made)[0].train(), *data), expected)
    made.load_state_dict(made.state_dict())


@each(MODULES)
def test_the_global_random_state_is_untouched(module, data):
    random.seed(0)
    np.random.seed(0)
    states = torch.get_rng_state(), random.getstate(), str(np.random.get_state())
    made = module()
    run(made, *data)
    if isinstance(made, SoftMask | Placement):
        made(data[1])
    else:
        made(*data)
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1] == random.getstate()
    assert states[2] == str(np.random.get_state())


@each(TRANSFORMS)
@pytest.mark.parametrize(("factor", "offset"), [(4095.0, -1024.0), (6.0, -3.0), (65535.0, 0.0), (1e-4, 0.0)])
def test_a_change_of_the_images_unit_commutes(module, data, factor, offset):
    image, mask = data
    expected, labels = run(module(), image, mask)
    found, found_labels = run(module(), image * factor + offset, mask)
    assert torch.equal(found_labels, labels)
    # float32 keeps 1e-7 of the larger of offset and factor, and gamma steepens it near the range's lower end.
    assert torch.allclose((found - offset) / factor, expected, atol=2e-5 * (1 + abs(offset) / factor))


@each({n: m for n, m in MODULES.items() if n != "SoftMask"})
def test_the_same_seed_gives_the_same_and_another_seed_something_else(module, data):
    made = module()
    first = run(made, *data, seed=1)
    assert same(run(made, *data, seed=1), first)
    assert not same(run(made, *data, seed=2), first)


@each({n: m for n, m in MODULES.items() if n != "SoftMask"})
def test_without_a_generator_every_call_draws_anew_and_follows_the_seed(module, data):
    def twice():
        torch.manual_seed(11)
        made = module()
        args = data[1:] if isinstance(made, Placement) else data
        return made(*args), made(*args)

    (first, second), again = twice(), twice()
    assert not same(first, second)
    assert same(first, again[0])
    assert same(second, again[1])


@each({n: m for n, m in MODULES.items() if n != "SoftMask"})
@pytest.mark.parametrize("wrong", [0, "cpu", np.random.default_rng(0), torch.get_rng_state()])
def test_a_generator_of_another_kind_is_refused(module, data, wrong):
    made = module()
    args = data[1:] if isinstance(made, Placement) else data
    with pytest.raises(ValueError, match=r"generator: expected a torch\.Generator on the CPU, found"):
        made(*args, generator=wrong)
