"""One training: rounds of steps, each followed by a look at the validation part; it may stop and go on anywhere."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.training.course import Course
from benchmarks.training.data import Images
from benchmarks.training.measure import logits_of, measure
from benchmarks.training.net import dice_loss, make_net
from benchmarks.training.pasted import Online
from benchmarks.training.presets import Preset
from softcp_gpu import Status, checks

KEEP_EVERY_S = 60.0  # a checkpoint, at the end of a round


class OutOfTime(Exception):
    """The time limit has come; a checkpoint is kept."""


@dataclass
class State:
    """All that changes while training."""

    net: nn.Module
    optimizer: torch.optim.Optimizer
    statuses: Tensor  # (5,) int64, what became of the samples that were to be pasted into while training
    step: int = 0
    loss: Tensor = field(default_factory=lambda: torch.zeros(()))  # summed over the round
    history: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in HISTORY})
    best: dict[str, float] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)  # the best ones
    seconds: dict[str, float] = field(default_factory=lambda: {"cpu": 0.0, "wall": 0.0})


HISTORY = ("step", "lr", "train_loss", "val_loss", "val_dsc")


class Inputs(NamedTuple):
    """What is trained on, on the device."""

    train: Images
    val: Images
    mean: Tensor  # (1, C, 1, 1), of the real training images in [0, 1]
    std: Tensor


class Trainer:
    """One run.

    Args:
        preset: sizes of the network and of a batch.
        course: how long, and in which order.
        inputs: what is trained on.
        online: pastes into the batches, or None.
        kept: the file for checkpoints.
        asked: all settings; a checkpoint of others is refused.
    """

    def __init__(
        self, preset: Preset, course: Course, inputs: Inputs, online: Online | None, kept: Path, asked: dict[str, Any]
    ) -> None:
        self.preset, self.course, self.inputs, self.online = preset, course, inputs, online
        self.kept, self.asked = kept, asked
        self.device = inputs.train.image.device
        net = make_net(preset, inputs.train.image.shape[1], course.seed).to(self.device)
        statuses = torch.zeros(len(Status), dtype=torch.int64, device=self.device)
        self.state = State(net, torch.optim.Adam(net.parameters(), preset.lr), statuses)
        self.state.loss = self.state.loss.to(self.device)
        self.val_image = self.normal(inputs.val.image.float() / 255)

    def run(self, deadline: float = math.inf) -> State:
        """Trains to the end, from a checkpoint if there is one.

        Args:
            deadline: by `time.monotonic`; looked at between steps.

        Raises:
            OutOfTime: a checkpoint was kept, and the same call will go on from there.
            ValueError: the checkpoint is of a run with other settings.
        """
        self._resume()
        state, course = self.state, self.course
        clock = _clock()
        kept = time.monotonic()
        while state.step < course.length:
            if time.monotonic() >= deadline:
                self._keep(clock)
                raise OutOfTime
            self._learn()
            if state.step % course.steps == 0:
                self._look()
                if time.monotonic() - kept > KEEP_EVERY_S:
                    self._keep(clock)
                    clock, kept = _clock(), time.monotonic()
        self._count(clock)
        return state

    def normal(self, image: Tensor) -> Tensor:
        """Images in [0, 1] as the network takes them."""
        return (image - self.inputs.mean) / self.inputs.std

    def logits(self, image: Tensor) -> Tensor:
        """The network's answer to normal images."""
        with self._precision():
            return logits_of(self.state.net, image)

    def _learn(self) -> None:
        state = self.state
        batch = self.inputs.train.at(self.course.batch(state.step, len(self.inputs.train.image), self.preset.batch))
        image, mask = batch.image.float() / 255, batch.mask
        if self.online is not None:
            image, mask = self.online(batch, state.step, state.statuses)
        for group in state.optimizer.param_groups:
            group["lr"] = self.course.lr(state.step, self.preset.lr, self.preset.cosine)
        with self._precision():
            logits = state.net(self.normal(image))
        loss = dice_loss(logits, mask)
        state.optimizer.zero_grad()
        loss.backward()
        state.optimizer.step()
        state.loss += loss.detach()
        state.step += 1

    def _look(self) -> None:
        """The validation part; its loss says which weights are the best."""
        state, mask = self.state, self.inputs.val.mask
        lr = state.optimizer.param_groups[0]["lr"]
        logits = self.logits(self.val_image)
        val_loss, val_dsc = float(dice_loss(logits, mask)), measure(logits > 0, mask)["dsc"]
        values = (state.step, lr, float(state.loss) / self.course.steps, val_loss, val_dsc)
        for name, value in zip(HISTORY, values, strict=True):
            state.history[name].append(value if name == "step" else round(value, 6))
        state.loss.zero_()
        if not state.best or val_loss < state.best["val_loss"]:
            state.best = {"step": state.step, "val_loss": val_loss, "val_dsc": val_dsc}
            state.weights = {name: value.clone() for name, value in state.net.state_dict().items()}

    def _precision(self) -> AbstractContextManager[Any]:
        on = self.preset.bf16 and self.device.type == "cuda"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=on)

    def _count(self, clock: Callable[[], dict[str, float]]) -> None:
        taken = clock()
        self.state.seconds = {name: value + taken[name] for name, value in self.state.seconds.items()}

    def _keep(self, clock: Callable[[], dict[str, float]]) -> None:
        """Writes a checkpoint, whole or not at all."""
        self._count(clock)
        content = {name: value for name, value in vars(self.state).items() if name not in ("net", "optimizer")}
        content |= {"net": self.state.net.state_dict(), "optimizer": self.state.optimizer.state_dict()}
        self.kept.parent.mkdir(parents=True, exist_ok=True)
        new = self.kept.with_suffix(".new")
        torch.save({"asked": self.asked, **content}, new)
        os.replace(new, self.kept)

    def _resume(self) -> None:
        if not self.kept.exists():
            return
        content = torch.load(self.kept, map_location="cpu", weights_only=True)
        if (found := content.pop("asked")) != self.asked:
            checks.fail(str(self.kept), f"a checkpoint of {self.asked}", f"one of {found}; remove it to start anew")
        for name in ("net", "optimizer"):
            getattr(self.state, name).load_state_dict(content.pop(name))
        for name, value in content.items():
            setattr(self.state, name, value.to(self.device) if isinstance(value, Tensor) else value)


def _clock() -> Callable[[], dict[str, float]]:
    """Seconds since now."""
    cpu, wall = time.process_time(), time.perf_counter()
    return lambda: {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
