"""Derivatives against finite differences in float64, through the whole paste."""

import pytest
import torch
from torch.autograd import gradcheck

from softcp_gpu import SoftCP, Status, phantoms
from softcp_gpu.functional import about, rigid_matrix, soft_cp, soft_mask, warp
from softcp_gpu.functional.groups import MOST
from softcp_gpu.functional.pipeline import Physical
from softcp_gpu.sampling import sample_seeds

SHAPES = {"2-D": (12, 13), "3-D": (7, 9, 8)}
SLOTS = {"p_crop": 1.0, "p_gamma": 1.0, "p_noise": 1.0, "p_blur": 1.0, "blur_sigma_px": (0.5, 0.6)}
OBJECT = {"blur_sigma_px": (0.5, 0.6)}
SETTINGS = {
    "in place": {"placement": "in_place"},
    "moved": {},
    "rim": {"match": "rim", "k_erode": 0},
    "geometric": {"blend": "softcp-geometric", "footprint": "cross"},
    "hard": {"blend": "hard"},
    "gaussian mask": {"blend": "gaussian-mask", "blend_sigma_px": 0.6},
    "gaussian intensity": {"blend": "gaussian-intensity", "blend_sigma_px": 0.6, "match": "rim"},
    "poisson": {"blend": "poisson"},
    "carvemix": {"blend": "carvemix"},
    "images transformed": {"background_transform": SLOTS, "image_transform": SLOTS},
}


def smooth(shape, channels, seed):
    """A few random waves: what linear interpolation sees has no kinks but those of the pixel grid."""
    generator = torch.Generator().manual_seed(seed)
    grid = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in shape), indexing="ij")
    image = torch.zeros(2, channels, *shape, dtype=torch.float64)
    for _ in range(4):
        wave = torch.rand(2, channels, len(shape), generator=generator, dtype=torch.float64)
        phase = sum(wave[..., a].view(2, channels, *(1,) * len(shape)) * axis for a, axis in enumerate(grid))
        image = image + torch.sin(phase + 6 * torch.rand(2, channels, *(1,) * len(shape), generator=generator))
    return image


class Paste:
    """One call of the whole pipeline as a function of everything that it is differentiable in."""

    def __init__(self, shape, settings):
        axes, turns = len(shape), 1 if len(shape) == 2 else 3
        self.aug = SoftCP(p=1.0, **{"alpha": 0.6, "k_dilate": 2, "object_transform": OBJECT, **settings})
        self.image, self.source = smooth(shape, 1, 1), smooth(shape, 1, 2)
        self.source_mask = torch.zeros(2, 1, *shape)
        self.source_mask[(0, 0, *(slice(length // 3, length // 3 + 3) for length in shape))] = 1
        self.source_mask[(1, 0, *(slice(length // 3, length // 3 + 4) for length in shape))] = 1
        self.params = self.aug.draw(sample_seeds(5, torch.arange(2)), shape)
        self.physical, self.least_mm = Physical(), None
        random = torch.Generator().manual_seed(3)

        def uniform(low, high, *size):
            return low + (high - low) * torch.rand(2, 2, *size, generator=random, dtype=torch.float64)

        self.values = {
            "alpha": torch.tensor([0.55, 0.7], dtype=torch.float64),
            "angle_deg": uniform(-40, 40, turns),
            "scale": uniform(0.85, 1.2),
            "shift_px": uniform(-0.8, 0.8, axes),
            "gamma": uniform(0.6, 1.6),
            "noise_sigma": uniform(0.01, 0.1),
            "blur_sigma_px": uniform(0.5, 0.6),
        }

    def run(self, image=None, source=None, **values):
        values = {**self.values, **values}
        rigid, intensity = self.params.object
        rigid = rigid._replace(**{k: values[k] for k in ("angle_deg", "scale", "shift_px")})
        intensity = intensity._replace(**{k: values[k] for k in ("gamma", "noise_sigma", "blur_sigma_px")})
        transform = self.params.object._replace(rigid=rigid, intensity=intensity)
        return soft_cp(
            self.image if image is None else image,
            torch.zeros_like(self.source_mask),
            None,
            self.source if source is None else source,
            self.source_mask,
            self.params._replace(alpha=values["alpha"], object=transform),
            self.aug.config._replace(least_mm=self.least_mm),
            self.physical,
        )

    def in_millimetres(self, mm, source_mm):
        """The same with spacing."""
        mm, source_mm = (torch.tensor(x, dtype=torch.float64).expand(2, -1) for x in (mm, source_mm))
        self.physical, self.least_mm = Physical(mm, source_mm), tuple(mm[0].tolist())
        return self

    def check(self, *names):
        """Compares the derivatives to the given arguments with finite differences."""
        inputs = [getattr(self, name) if name in ("image", "source") else self.values[name] for name in names]
        inputs = [x.clone().requires_grad_() for x in inputs]
        weight = torch.randn(4, self.image.numel(), generator=torch.Generator().manual_seed(0), dtype=torch.float64)

        def pasted(*args):
            out = self.run(**dict(zip(names, args, strict=True)))
            return weight @ out.image.flatten(), weight @ out.soft_mask.flatten()  # random views: far fewer outputs

        for name, gradient in zip(names, torch.autograd.grad(pasted(*inputs)[0].sum(), inputs), strict=True):
            assert (gradient != 0).any(), name
        many = sum(x.numel() for x in inputs) > 100
        return gradcheck(pasted, inputs, eps=1e-6, atol=1e-5, rtol=1e-3, fast_mode=many)


@pytest.fixture(params=SHAPES)
def shape(request):
    return SHAPES[request.param]


@pytest.mark.parametrize("settings", SETTINGS)
def test_every_lesion_of_these_tests_is_pasted(shape, settings):
    paste = Paste(shape, SETTINGS[settings])
    assert paste.run().status.tolist() == [Status.PASTED] * 2


@pytest.mark.parametrize("settings", SETTINGS)
def test_through_the_whole_paste_to_both_images(shape, settings):
    assert Paste(shape, SETTINGS[settings]).check("image", "source")


@pytest.mark.parametrize(
    ("axes", "settings"), [*(("2-D", name) for name in SETTINGS), ("3-D", "moved"), ("3-D", "rim")]
)
def test_through_the_whole_paste_to_softness_and_geometry(axes, settings):
    names = (
        ("alpha",) if SETTINGS[settings].get("blend", "softcp").startswith("softcp") else ()
    )  # no other blend has one
    assert Paste(SHAPES[axes], SETTINGS[settings]).check(*names, "angle_deg", "scale", "shift_px")


@pytest.mark.parametrize("names", [("image", "source"), ("alpha", "angle_deg", "scale", "shift_px")], ids="-".join)
def test_through_the_whole_paste_in_millimetres(shape, names):
    mm = {2: ((1.0, 0.7), (0.8, 0.9)), 3: ((1.3, 0.7, 0.8), (1.1, 0.9, 0.75))}[len(shape)]
    assert Paste(shape, {"placement": "in_place"}).in_millimetres(*mm).check(*names)


@pytest.mark.parametrize("settings", ["moved", "rim"])
def test_through_the_whole_paste_to_the_intensities(shape, settings):
    assert Paste(shape, SETTINGS[settings]).check("gamma", "noise_sigma", "blur_sigma_px")


@pytest.mark.parametrize("which", ["background", "image"])
@pytest.mark.parametrize("field", ["gamma", "noise_sigma", "blur_sigma_px", "crop_size", "crop_start"])
def test_through_the_transforms_of_whole_images(which, field):
    paste = Paste((12, 13), SETTINGS["images transformed"])
    transform = getattr(paste.params, which)
    part = transform if field.startswith("crop") else transform.intensity
    value = getattr(part, field).double().requires_grad_()
    weight = torch.randn(paste.image.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def transformed(x):
        changed = part._replace(**{field: x})
        changed = changed if field.startswith("crop") else transform._replace(intensity=changed)
        paste.params = paste.params._replace(**{which: changed})
        return (paste.run().image * weight).flatten(1).sum(1)

    assert gradcheck(transformed, [value], eps=1e-6, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("profile", ["softcp", "geometric"])
@pytest.mark.parametrize("footprint", ["full", "cross", torch.ones(3, 3)])
def test_soft_mask_to_alpha(profile, footprint):
    mask = torch.zeros(3, 1, 11, 12)
    mask[0, :, 2:8, 3:9] = 1
    mask[1, :, 5, 5] = 1
    alpha = torch.tensor([0.3, 0.6, 0.9], dtype=torch.float64, requires_grad=True)

    def soften(a):
        return soft_mask(mask, 1, torch.tensor([2, 4, 3]), a, footprint=footprint, profile=profile)

    assert gradcheck(soften, [alpha])
    gradient = torch.autograd.grad(soften(alpha).sum(), alpha)[0]
    assert (gradient[:2] > 0).all()
    assert gradient[2] == 0  # an empty mask


def test_soft_mask_to_alpha_with_spacing_and_one_alpha_for_all():
    mask = torch.zeros(2, 1, 3, 9, 9)
    mask[:, :, 1, 3:6, 3:7] = 1
    alpha = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda a: soft_mask(mask, 1, "auto", a, spacing=(5.0, 1.0, 0.7)), [alpha])


@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_warp_to_the_image_and_linear_warp_to_the_matrix(shape, mode):
    axes, x = len(shape), smooth(shape, 1, 4)
    turn = rigid_matrix(
        torch.tensor([[-1.0] + [1.0] * (axes - 1)] * 2).double(),
        torch.tensor([[20.0, 11.0, 7.0][: 1 if axes == 2 else 3]] * 2).double(),
        torch.tensor([0.9, 1.2]).double(),
        torch.tensor([[0.31] * axes, [1.7] * axes]).double(),
    )
    matrix = about(torch.tensor([[length / 2 for length in shape]] * 2).double(), turn)
    origin, size = torch.ones(2, axes), tuple(length - 2 for length in shape)
    inputs = [x.requires_grad_()] + [matrix.requires_grad_()] * (mode == "linear")

    def moved(image, m=matrix):
        return warp(image, m, mode, origin=origin, size=size)

    assert gradcheck(moved, inputs, eps=1e-6, atol=1e-5, fast_mode=True)


def test_gradients_stay_finite_where_the_image_is_flat_or_black(shape):
    for value in (0.0, 7.0):
        paste = Paste(shape, SETTINGS["rim"])
        paste.image = torch.full_like(paste.image, value).requires_grad_()
        paste.source = paste.source.clamp(min=0).requires_grad_()
        leaves = [paste.image, paste.source, *(v.requires_grad_() for v in paste.values.values())]
        gradients = torch.autograd.grad(paste.run().image.square().sum(), leaves)
        assert all(g.isfinite().all() for g in gradients)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_training_dtypes_carry_gradients_to_both_images(dtype):
    image = torch.rand(3, 2, 20, 20).to(dtype).requires_grad_()
    source = torch.rand(3, 2, 20, 20).to(dtype).requires_grad_()
    mask = torch.zeros(3, 20, 20)
    mask[:, 6:12, 7:12] = 1
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out, _ = SoftCP(p=1.0)(image, torch.zeros_like(mask), source_image=source, source_mask=mask)
    out.float().sum().backward()
    for x in (image, source):
        assert x.grad.dtype == dtype
        assert x.grad.isfinite().all()
        assert (x.grad != 0).flatten(1).any(1).all()


@pytest.mark.parametrize("p", [0.8, 1.0])
@pytest.mark.parametrize("name", ["image", "alpha", "angle_deg", "gamma"])
@pytest.mark.parametrize("whole", [{}, {"background_transform": {}, "image_transform": {}}], ids=["", "whole images"])
def test_the_derivatives_are_those_of_smaller_batches(name, whole, p):
    """More samples than go together on a CPU, so that parts of a batch are joined."""
    count, shape = MOST + 3, (24, 24)
    image, mask, region = phantoms.batch(count, shape)
    aug = SoftCP(p=p, **whole)
    params = aug.draw(torch.arange(count), shape, own_source=True)
    values = {"image": image, "alpha": params.alpha, "angle_deg": params.object.rigid.angle_deg}
    values["gamma"] = params.object.intensity.gamma

    def gradient(rows):
        x = values[name][rows].clone().requires_grad_()
        given = {**{k: v[rows] for k, v in values.items()}, name: x}
        few, source = params.rows(rows), image[rows].flip(3)
        rigid = few.object.rigid._replace(angle_deg=given["angle_deg"])
        intensity = few.object.intensity._replace(gamma=given["gamma"])
        transform = few.object._replace(rigid=rigid, intensity=intensity)
        few = few._replace(alpha=given["alpha"], object=transform, source_index=torch.arange(len(x)))
        masks = {"source_image": source, "source_mask": mask[rows].flip(3)}
        out = aug.augment(given["image"], mask[rows], region[rows], **masks, params=few)
        loss = out.image.square().sum() + out.soft_mask.sum() + 0 * x.sum()  # not drawn, a sample does not depend on x
        return torch.autograd.grad(loss, x)[0]

    alone = torch.cat([gradient(slice(i, i + 1)) for i in range(count)])
    assert torch.allclose(gradient(slice(0, count)), alone, rtol=1e-4, atol=1e-5)
    assert (alone != 0).any()
