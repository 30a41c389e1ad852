"""Which part of a call takes the time: the stages of Soft-CP, with a clock around each, on a CPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from softcp_gpu.functional import pipeline
from softcp_gpu.loops import paste_loops, soft_loops

# Functions, where their caller looks for them. A call goes through those of torch, or through those of loops.
TORCH = {
    "lesion found and warped": ((pipeline, "transformed_lesion"),),
    "a place found": ((pipeline, "_place"),),
    "the source's image warped, its intensities changed": ((pipeline, "source_tile"),),
    "soft mask": ((pipeline, "blend_weight"),),
    "blend": ((pipeline, "soft_paste"), (pipeline, "hard_union")),
    "whole frames written": ((pipeline, "put_window"), (pipeline, "place_window")),
}
LOOPS = {
    "lesion found, by loops": ((paste_loops, "look"), (paste_loops, "find_motions")),
    "lesion warped and a place found, by loops": ((paste_loops, "find_places"),),
    "soft mask and label, by loops": ((soft_loops, "soften"),),
    "the source's image warped, changed and blended, by loops": ((paste_loops, "paste"),),
}
STAGES = TORCH | LOOPS


class Clocks:
    """Seconds of each stage in each call."""

    def __init__(self) -> None:
        self.taken: dict[str, list[float]] = {stage: [] for stage in STAGES}

    def call(self, run: Callable[[], Any]) -> Any:
        """One call of it."""
        for seconds in self.taken.values():
            seconds.append(0.0)
        return run()

    def around(self, stage: str, function: Callable) -> Callable:
        """The function, its time counted."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.taken[stage][-1] += time.perf_counter() - start

        return timed


@contextmanager
def watched() -> Iterator[Clocks]:
    """Puts the clocks in, and takes them away again."""
    clocks = Clocks()
    before = {place: getattr(*place) for places in STAGES.values() for place in places}
    try:
        for stage, places in STAGES.items():
            for module, name in places:
                setattr(module, name, clocks.around(stage, before[module, name]))
        yield clocks
    finally:
        for (module, name), function in before.items():
            setattr(module, name, function)
