"""The network and its loss: MONAI's."""

from __future__ import annotations

import torch
from monai.losses import DiceLoss
from monai.networks.nets import UNet
from torch import Tensor, nn

from benchmarks.training.presets import Preset


def make_net(preset: Preset, colours: int, seed: int) -> nn.Module:
    """A U-Net from (B, colours, H, W) to logits (B, 1, H, W); its weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UNet(
            spatial_dims=2,
            in_channels=colours,
            out_channels=1,
            channels=preset.channels,
            strides=(2,) * (len(preset.channels) - 1),
            num_res_units=preset.residual_units,
        )


def dice_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Dice loss of a batch as a whole: an image without a lesion has no Dice of its own to learn from."""
    return DiceLoss(sigmoid=True, batch=True)(logits.float(), mask.float())
