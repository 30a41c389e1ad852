"""Which part of a call takes the time: the stages of `functional.pipeline`, with a clock around each, on a CPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from softcp_gpu.functional import pipeline

STAGES = {
    "lesion found and warped": ("transformed_lesion",),
    "a place found": ("_place",),
    "warp of the image": ("warp",),
    "range and intensities": ("range_in_use", "apply_intensity"),
    "soft mask": ("blend_weight",),
    "blend": ("soft_paste", "hard_union"),
    "whole frames written": ("put_window", "place_window"),
}


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
    """Puts the clocks into the pipeline, and takes them away again."""
    clocks = Clocks()
    before = {name: getattr(pipeline, name) for names in STAGES.values() for name in names}
    try:
        for stage, names in STAGES.items():
            for name in names:
                setattr(pipeline, name, clocks.around(stage, before[name]))
        yield clocks
    finally:
        for name, function in before.items():
            setattr(pipeline, name, function)
