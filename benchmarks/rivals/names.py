"""Who is compared, and what each of them does not do. Needs nothing, so that the report can read it anywhere."""

FLOAT_LOOP = "OpenCV, the paper's loop in floats"
LUT = "OpenCV, uint8 dilations + LUT"
LUT_CROPPED = "OpenCV, uint8 dilations + LUT, cropped"
PASTE_LOOP = "NumPy, reference loop"

REFERENCE = "OpenCV, reference loop"
REFERENCE_POOL = "OpenCV, reference, pool of processes"
SCRIPT = "OpenCV, script written for speed"
SCRIPT_POOL = "OpenCV, script written for speed, pool of processes"
SCIPY = "SciPy, MONAI-style transform"
SCIPY_POOL = "SciPy, MONAI-style transform, pool of processes"
ALBUMENTATIONS = "AlbumentationsX, CopyAndPaste"
ALBUMENTATIONS_GAUSSIAN = "AlbumentationsX, CopyAndPaste, gaussian"
ALBUMENTATIONS_POOL = "AlbumentationsX, CopyAndPaste, pool of processes"
KORNIA = "kornia, RandomTransplantation (far less work)"
KORNIA_3D = "kornia, RandomTransplantation3D (far less work)"
SEGPASTE = "segpaste, CopyPasteAugmentation"
SIMPLE = "torch, hard paste of torchvision's reference script"

_DRAWN = "the draws (those of softcp_gpu are made before the clock starts)"
_SCRIPT = "all legal places (it gives up after some tries), a record and status, gradients, volumes"
_SCIPY = (
    "all legal places (it gives up after some tries), a record and status, gradients, work on the lesion's box alone"
)
_HARD = "a soft edge, a transform of the lesion, any rule where to paste, a status"
_ALBUMENTATIONS = (
    "a transform of the lesion but shrinking, any rule where to paste (lesions may cover each other), context around "
    "the lesion, a batch, gradients, volumes"
)

LEAVES_OUT = {
    REFERENCE: _DRAWN,
    REFERENCE_POOL: _DRAWN,
    SCRIPT: _SCRIPT,
    SCRIPT_POOL: _SCRIPT,
    SCIPY: _SCIPY,
    SCIPY_POOL: _SCIPY,
    ALBUMENTATIONS: f"a soft edge, {_ALBUMENTATIONS}",
    ALBUMENTATIONS_GAUSSIAN: f"images in other units than 0 to 1 (they are clipped), {_ALBUMENTATIONS}",
    ALBUMENTATIONS_POOL: f"a soft edge, {_ALBUMENTATIONS}",
    KORNIA: f"{_HARD}, another place than the lesion's own, a draw per sample",
    KORNIA_3D: f"{_HARD}, another place than the lesion's own, a draw per sample",
    SEGPASTE: f"{_HARD} but that boxes shall not collide, volumes; a paste that finds no room is silent",
    SIMPLE: f"{_HARD}, another place than the lesion's own, a batch, volumes",
}
