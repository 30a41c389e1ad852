"""SoftCP as a CUDA graph: one launch instead of many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from softcp_gpu import checks, kernels
from softcp_gpu.functional import execution
from softcp_gpu.modules import calls, inputs
from softcp_gpu.modules.softcp import SoftCP
from softcp_gpu.types import SoftCPOutput, map_params

ALIGNMENT = 16  # bytes: what kernels read at a time
PLACES = 6  # numbers that say where image, source image, new image, mask, region and new mask lie
MOST_GRAPHS = 4  # kept: training has one shape of batch, and a smaller last one
Result = TypeVar("Result")
Batch = tuple[Tensor | None, ...]  # image, mask, region, source image, source mask


class _Graph(NamedTuple):
    """A captured call, and the memory that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    numbers: Tensor  # (B + 6,) int64: seeds; and where lies what is elsewhere, as `paste_inputs.Batch` has it
    batch: Batch  # None: not given, or elsewhere
    out: SoftCPOutput


class GraphedSoftCP(nn.Module):
    """`SoftCP` for training on a GPU: each shape of batch is captured once as a CUDA graph, and replayed.

    On a GPU small batches cost what it takes to launch kernels, whatever is in them. A graph launches all of them at
    once, draws included. The result is that of the `SoftCP` with the same seeds.

    Args:
        aug: what to run; without a bank, whose lesions differ in size from call to call.

    Shape:
        As `SoftCP`.

    Raises:
        ValueError: naming the argument, what was expected and what was found.

    Note:
        For each of the last four shapes it keeps the memory of what is between a batch and its result; of both as well
        where whole images are transformed, in other blends, and if images are not contiguous; of masks also if they
        hold class ids. What cannot be captured runs as `aug` itself does: on other devices, where gradients flow to
        images, in frames of 2**22 pixels and more, under `torch.compile` and while another graph is being captured.
        Copies and pickles of it hold no graphs, and capture their own.

    Example:
        >>> from softcp_gpu import phantoms
        >>> image, mask, region = phantoms.batch(4, (64, 64))
        >>> aug = GraphedSoftCP(SoftCP(p=1.0))
        >>> new_image, new_mask = aug(image, mask, region, generator=torch.Generator().manual_seed(0))
        >>> new_image.shape == image.shape, bool((new_mask.sum() > mask.sum()))
        (True, True)
    """

    def __init__(self, aug: SoftCP) -> None:
        super().__init__()
        if not isinstance(aug, SoftCP):
            checks.fail("aug", "a SoftCP", repr(aug))
        if aug.bank is not None:
            checks.fail("aug", "a SoftCP without a bank", "one with a bank")
        self.aug = aug
        self._graphs: dict[Any, _Graph] = {}

    def forward(
        self,
        image: Tensor,
        mask: Tensor,
        region: Tensor | None = None,
        *,
        source_image: Tensor | None = None,
        source_mask: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """As `SoftCP.forward`, in pixels."""
        if not self.training:
            return image, mask
        batch = (image, mask, region, source_image, source_mask)
        if not _can_be_captured(batch):
            return self.aug(*batch[:3], source_image=source_image, source_mask=source_mask, generator=generator)
        image, mask, _ = self._replayed(batch, generator)
        return image, mask

    def augment(
        self,
        image: Tensor,
        mask: Tensor,
        region: Tensor | None = None,
        *,
        source_image: Tensor | None = None,
        source_mask: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> SoftCPOutput:
        """As `SoftCP.augment`, in pixels; the params are on the device."""
        batch = (image, mask, region, source_image, source_mask)
        if not _can_be_captured(batch):
            return self.aug.augment(*batch[:3], source_image=source_image, source_mask=source_mask, generator=generator)
        image, mask, out = self._replayed(batch, generator)
        rest = out._replace(image=image[:0], mask=mask[:0])
        return map_params(rest, torch.clone)._replace(image=image, mask=mask)

    def _replayed(self, batch: Batch, generator: torch.Generator | None) -> tuple[Tensor, Tensor, SoftCPOutput]:
        """New image and mask, and all else in the graph's own memory, until its next call."""
        image, mask, region, source, _ = batch
        assert image is not None
        assert mask is not None
        seed = self.aug.seeds.draw(len(image), generator)
        there = _by_address(self.aug, batch)
        shapes = (x if x is None else (x.shape, x.dtype, x.device) for x in batch)
        held = (self.aug.ranges, self.aug.config, kernels.run_on(image), there, *shapes)
        new, new_mask = (torch.empty_like(x) if own else x for x, own in zip((image, mask), there, strict=True))
        lying = (image, image if source is None else source, new, mask, mask if region is None else region, new_mask)
        numbers = torch.cat([seed, torch.tensor([x.data_ptr() for x in lying])])
        if held not in self._graphs:
            captured = _captured(self.aug, numbers.to(image.device), batch, there)  # may raise
            while len(self._graphs) >= MOST_GRAPHS:
                del self._graphs[next(iter(self._graphs))]
            self._graphs[held] = captured
        found = self._graphs[held]
        found.numbers.copy_(numbers, non_blocking=True)
        for own, given in zip(found.batch, batch, strict=True):
            if own is not None and given is not None:
                own.copy_(given)
        found.graph.replay()
        images, masks = there
        return new if images else found.out.image.clone(), new_mask if masks else found.out.mask.clone(), found.out

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_graphs": {}}


def _can_be_captured(batch: Batch) -> bool:
    image, mask, given = batch[0], batch[1], [x for x in batch if x is not None]
    if image is None or mask is None or not all(isinstance(x, Tensor) and x.device.type == "cuda" for x in given):
        return False  # the module says what is wrong
    if torch.compiler.is_compiling() or torch.cuda.is_current_stream_capturing():
        return False
    fits = len(image) > 0 and image.shape[2:].numel() < execution.LARGE_FRAME
    return fits and not execution.asks_for_gradients(*given)


def _by_address(aug: SoftCP, batch: Batch) -> tuple[bool, bool]:
    """Whether the graph reads images, and masks, where they lie, and writes new ones to where they shall lie."""
    image, mask, region, source, _ = batch
    assert image is not None
    images = _placed(image, source) and calls.draws_by_address(aug.ranges, aug.config, image)
    flags = region is None or region.dtype == torch.bool
    return images, images and flags and aug.config.lesion_labels is None and _placed(mask, region)


def _placed(*given: Tensor | None) -> bool:
    return all(x is None or (x.is_contiguous() and x.data_ptr() % ALIGNMENT == 0) for x in given)


def _captured(aug: SoftCP, numbers: Tensor, batch: Batch, there: tuple[bool, bool]) -> _Graph:
    images, masks = there
    elsewhere = ((0, 3) if images else ()) + ((1, 2) if masks else ())
    own = tuple(
        x if x is None else x.detach().clone(memory_format=torch.contiguous_format)
        for x in (None if i in elsewhere else x for i, x in enumerate(batch))
    )
    # Of what lies elsewhere, shape and type are all that is known; ones are a valid mask.
    shapes = [x if x is None else x.new_ones(1).expand(x.shape) for x in batch]
    run = tuple(shapes[i] if i in elsewhere else x for i, x in enumerate(own))
    seed, addresses = numbers[:-PLACES], numbers[-PLACES:] if masks else numbers[-PLACES:-3]
    with torch.no_grad(), torch.cuda.device(numbers.device):
        graph, out = capture(lambda: drawn_there(aug, seed, run, over=True, addresses=addresses if images else None))
    return _Graph(graph, numbers, own, out)


def capture(call: Callable[[], Result]) -> tuple[torch.cuda.CUDAGraph, Result]:
    """Runs a call once, so that libraries load and kernels are compiled, then captures it on the current device.

    Args:
        call: reads no value, and works on tensors that stay where they are.

    Returns:
        the graph, and what the captured call returned: memory that each replay writes again.
    """
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        call()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    # Other threads, such as those that pin memory for a DataLoader, may go on.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        out = call()
    return graph, out


def drawn_there(
    aug: SoftCP, seed: Tensor, batch: Batch, *, over: bool = False, addresses: Tensor | None = None
) -> SoftCPOutput:
    """`SoftCP.augment` with all draws made where the images are: no value is read, and none comes from the host.

    Args:
        aug: without a bank.
        seed: (B,) int64, on the device of the images.
        batch: checked here.
        over, addresses: as `soft_cp`.
    """
    image, mask, region, source_image, source_mask = batch
    assert image is not None
    assert mask is not None
    x = inputs.checked_backgrounds(image, mask, region, None, aug.config.footprint, aug.labels)
    sources = inputs.checked_sources(x, source_image, source_mask, None, None, aug.labels)
    drawn = (seed, aug.ranges, aug.config, x, sources)
    out = calls.drawn_there(*drawn, own_source=source_image is not None, over=over, addresses=addresses)
    return out._replace(mask=out.mask.reshape(mask.shape))
