"""Soft copy, soft paste and the union of the labels: equations 1 and 2 of the paper."""

from __future__ import annotations

import torch
from torch import Tensor


def soft_copy(source_image: Tensor, soft_mask: Tensor) -> Tensor:
    """The lesion with its rim of tissue, fading to zero: I_soft = S * I_A.

    Args:
        source_image: (B, C, *spatial) floating.
        soft_mask: (B, 1, *spatial) in [0, 1].

    Returns:
        (B, C, *spatial).

    Example:
        >>> soft_copy(torch.full((1, 1, 1, 2), 8.0), torch.tensor([[[[0.5, 0.0]]]])).flatten().tolist()
        [4.0, 0.0]
    """
    return source_image * soft_mask.to(source_image.dtype)


def soft_paste(image: Tensor, source_image: Tensor, soft_mask: Tensor) -> Tensor:
    """Blends the lesion into the image: I_syn = S * I_A + (1 - S) * I_B (equation 1).

    Args:
        image: (B, C, *spatial) floating, the background I_B.
        source_image: (B, C, *spatial) floating, I_A, already where the lesion shall lie.
        soft_mask: (B, 1, *spatial) in [0, 1].

    Returns:
        (B, C, *spatial), the dtype of `image`. Where S = 0 it is `image` bit for bit; intensities are neither clamped
        nor rescaled.

    Example:
        >>> soft_mask = torch.tensor([[[[1.0, 0.5, 0.0]]]])
        >>> soft_paste(torch.zeros(1, 1, 1, 3), torch.full((1, 1, 1, 3), 100.0), soft_mask).flatten().tolist()
        [100.0, 50.0, 0.0]
    """
    weight = soft_mask.to(source_image.dtype)
    blended = ((1 - weight) * image).add_(soft_copy(source_image, weight))  # in place: of much, fresh memory is slow
    return torch.where(weight > 0, blended.to(image.dtype), image)


def hard_union(mask: Tensor, source_labels: Tensor, lesion: Tensor) -> Tensor:
    """The label of the result: the hard lesion over what was there, M_syn = M_A u M_B (equation 2).

    Args:
        mask: (B, 1, *spatial), the background's label, binary or class ids.
        source_labels: (B, 1, *spatial), the label of each pasted pixel: 1, or the lesion's own class id.
        lesion: (B, 1, *spatial) bool, where a lesion is pasted.

    Returns:
        (B, 1, *spatial), the dtype of `mask`.

    Example:
        >>> mask, labels = torch.tensor([[[[0, 1, 1]]]]), torch.tensor([[[[2, 2, 0]]]])
        >>> hard_union(mask, labels, labels > 0).flatten().tolist()
        [2, 2, 1]
    """
    return torch.where(lesion, source_labels.to(mask.dtype), mask)


def match_rim(source_image: Tensor, image: Tensor, rim: Tensor) -> Tensor:
    """Shifts the lesion's intensities so that the tissue around it agrees with the tissue around its new place.

    Each channel is shifted by the difference of the two means over the rim; a sample without a rim stays as it is.

    Args:
        source_image: (B, C, *spatial) floating, already where the lesion shall lie.
        image: (B, C, *spatial) floating, the background.
        rim: (B, 1, *spatial) bool, tissue around the lesion.

    Returns:
        (B, C, *spatial).

    Example:
        >>> rim = torch.tensor([[[[True, False]]]])
        >>> match_rim(torch.tensor([[[[1.0, 5.0]]]]), torch.full((1, 1, 1, 2), 3.0), rim).flatten().tolist()
        [3.0, 7.0]
    """
    pixels = rim.flatten(2).sum(2, keepdim=True)
    difference = torch.where(rim, image - source_image, 0).flatten(2).contiguous()  # else layouts sum in other orders
    shift = difference.sum(2, keepdim=True) / pixels.clamp(min=1)
    return source_image + shift.view(*shift.shape[:2], *(1,) * (image.ndim - 2))
