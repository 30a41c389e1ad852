"""A batch that worker processes share: one sample at a time each, as many at once as there are cores."""

from __future__ import annotations

import ctypes
import math
import multiprocessing
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

START_S = 120.0


class Sample(NamedTuple):
    """One background and the image that gives the lesion, channels last."""

    image: np.ndarray  # (*spatial, C) float32
    mask: np.ndarray  # (*spatial) uint8
    region: np.ndarray  # (*spatial) bool
    source_image: np.ndarray
    source_mask: np.ndarray


Method = Callable[[Sample, int], tuple[np.ndarray, np.ndarray]]
"""From a sample and its number to its new image and mask."""


class Batch(NamedTuple):
    """Samples, and whose lesion each of them receives."""

    image: np.ndarray  # (B, *spatial, C) float32
    mask: np.ndarray  # (B, *spatial) uint8
    region: np.ndarray  # (B, *spatial) bool
    source_index: tuple[int, ...]

    def sample(self, i: int) -> Sample:
        j = self.source_index[i]
        return Sample(self.image[i], self.mask[i], self.region[i], self.image[j], self.mask[j])


def loop(method: Method, batch: Batch) -> Callable[[], list[tuple[np.ndarray, np.ndarray]]]:
    """One sample after the other, in this process."""
    samples = [batch.sample(i) for i in range(len(batch.image))]
    return lambda: [method(sample, i) for i, sample in enumerate(samples)]


class Shared(NamedTuple):
    """Memory that processes share, seen as an array."""

    memory: Any
    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def like(cls, array: np.ndarray, context: Any) -> Shared:
        return cls(context.RawArray(ctypes.c_byte, array.nbytes), array.dtype.str, array.shape)

    def view(self) -> np.ndarray:
        return np.frombuffer(self.memory, self.dtype).reshape(self.shape)


class SharedPool:
    """Processes that stay, for batches of one shape. Use it as a context: they end with it.

    A call writes the batch into the shared memory, which is a part of its cost, and gives views of the results.
    """

    def __init__(self, make_method: Callable[[], Method], batch: Batch, workers: int) -> None:
        context = multiprocessing.get_context("spawn")  # threads of torch and OpenCV do not survive a fork
        self.batch, self.workers = batch, workers
        self.inputs = [Shared.like(array, context) for array in batch[:3]]
        self.outputs = [Shared.like(array, context) for array in batch[:2]]
        args = (make_method, self.inputs, self.outputs, batch.source_index)
        self.pool = context.Pool(workers, _start, args)
        try:  # a worker that cannot start is started again and again
            self.pool.apply_async(_ready).get(START_S)
        except multiprocessing.TimeoutError:
            self.__exit__()
            raise RuntimeError(f"workers: expected them to start within {START_S} s, found none that did") from None
        self.chunk = math.ceil(len(batch.image) / (4 * workers))

    def __call__(self) -> list[tuple[np.ndarray, np.ndarray]]:
        for shared, array in zip(self.inputs, self.batch[:3], strict=True):
            np.copyto(shared.view(), array)
        self.pool.map(_work, range(len(self.batch.image)), self.chunk)
        return list(zip(*(shared.view() for shared in self.outputs), strict=True))

    def __enter__(self) -> SharedPool:
        return self

    def __exit__(self, *error: object) -> None:
        self.pool.terminate()
        self.pool.join()


def _ready() -> None:
    """Runs where a worker has started."""


_worker: dict[str, Any] = {}  # of a worker process


def _start(make_method: Callable[[], Method], inputs: list[Shared], outputs: list[Shared], source: tuple) -> None:
    import cv2

    cv2.setNumThreads(1)
    _worker["method"] = make_method()
    _worker["batch"] = Batch(*(shared.view() for shared in inputs), source)
    _worker["out"] = [shared.view() for shared in outputs]


def _work(i: int) -> None:
    made = _worker["method"](_worker["batch"].sample(i), i)
    for out, array in zip(_worker["out"], made, strict=True):
        out[i] = array
