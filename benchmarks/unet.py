"""A plain U-Net in torch alone, so that a training step can be timed on a machine that has nothing else."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn


def _block(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [nn.Conv2d(channels, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """From (B, colours, H, W) to logits (B, 1, H, W); H and W are multiples of 2 ** (levels - 1)."""

    def __init__(self, colours: int = 3, channels: tuple[int, ...] = (32, 64, 128, 256, 512)) -> None:
        super().__init__()
        self.down = nn.ModuleList(_block(a, b) for a, b in zip((colours, *channels), channels, strict=False))
        pairs = list(itertools.pairwise(channels))[::-1]
        self.up = nn.ModuleList(nn.ConvTranspose2d(deep, shallow, 2, 2) for shallow, deep in pairs)
        self.join = nn.ModuleList(_block(2 * shallow, shallow) for shallow, _ in pairs)
        self.head = nn.Conv2d(channels[0], 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else nn.functional.max_pool2d(x, 2))
            kept.append(x)
        for up, join, skip in zip(self.up, self.join, kept[-2::-1], strict=True):
            x = join(torch.cat([skip, up(x)], dim=1))
        return self.head(x)


def soft_dice_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Of the batch as a whole, in float32."""
    found, wanted = logits.float().sigmoid(), mask.float()
    return 1 - (2 * (found * wanted).sum() + 1) / (found.sum() + wanted.sum() + 1)
