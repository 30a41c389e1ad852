"""What a call of `SoftCP` does once its inputs are checked: draws made on the host, or where the images are."""

from __future__ import annotations

from torch import Tensor

from softcp_gpu import kernels
from softcp_gpu.functional import execution, fused_paste
from softcp_gpu.functional.pipeline import soft_cp
from softcp_gpu.functional.ranges import PasteRanges
from softcp_gpu.modules import inputs
from softcp_gpu.sampling import draw_paste
from softcp_gpu.types import PasteConfig, PasteParams, SoftCPOutput


def drawn_here(
    params: PasteParams, config: PasteConfig, x: inputs.Backgrounds, sources: inputs.Sources
) -> SoftCPOutput:
    """With params from anywhere: their values are read, and then copied to the images."""
    return soft_cp(
        x.image,
        x.mask,
        x.region,
        sources.image,
        sources.mask,
        params.to(x.image.device),
        inputs.call_config(config, x, sources, params),
        inputs.physical_of(x, sources),
    )


def draws_there(x: inputs.Backgrounds) -> bool:
    """Whether `drawn_there` is faster: one kernel draws all that would have to be copied."""
    with execution.frames_of(x.image.shape[2:]):
        return x.mm is None and kernels.run_on(x.image) and not execution.may_read_values(x.image)


def drawn_there(
    seed: Tensor,
    ranges: PasteRanges,
    config: PasteConfig,
    x: inputs.Backgrounds,
    sources: inputs.Sources,
    *,
    own_source: bool,
    over: bool = False,
    addresses: Tensor | None = None,
) -> SoftCPOutput:
    """With all draws made where the images are: no value is read, and none but the seeds comes from the host.

    Args:
        seed: (B,) int64.
        ranges, config: of the module.
        x, sources: in pixels.
        own_source: sample i takes source i; else the batch is permuted.
        over, addresses: as `soft_cp`.
    """
    seed = seed.to(x.image.device, non_blocking=True)
    params = draw_paste(seed, ranges, tuple(x.image.shape[2:]), own_source=own_source)
    physical = inputs.physical_of(x, sources)
    given = (x.image, x.mask, x.region, sources.image, sources.mask, params, config, physical)
    return soft_cp(*given, over=over, addresses=addresses)


def draws_by_address(ranges: PasteRanges, config: PasteConfig, image: Tensor) -> bool:
    """Whether `drawn_there` can take the addresses of images like this one."""
    whole = ranges.background is not None or ranges.image is not None
    usual = ranges.object is not None and not whole and fused_paste.fits(config)
    return usual and image.is_floating_point() and kernels.run_on(image)
