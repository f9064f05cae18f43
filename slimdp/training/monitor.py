"""What can be seen of a run while it trains: TensorBoard, and a progress bar or plain lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from slimdp.structures import PoseBatch, Prediction
from slimdp.training.pictures import labels_and_prediction


def say(line: str) -> None:
    """A line for the person who waits, above a progress bar if there is one."""
    tqdm.write(line, file=sys.stderr)


class Monitor:
    """Follows one stage; a context manager.

    Args:
        folder: of the TensorBoard log.
        title: of the progress bar, e.g. the stage's name.
        steps: of the stage.
        done: steps of the stage that are done already.
        steps_before: steps of the stages before, so that the log runs on through all stages.
        log_every: steps between scalars and, where there is no bar, lines.
        pictures_every: steps between pictures.
        bar: show a progress bar where there is a terminal.
    """

    def __init__(
        self, folder: Path, title: str, steps: int, done: int, steps_before: int,
        log_every: int, pictures_every: int, bar: bool = True,
    ) -> None:  # fmt: skip
        self.title, self.steps, self.steps_before = title, steps, steps_before
        self.log_every, self.pictures_every = log_every, pictures_every
        # A run that was killed may have logged past its last checkpoint: those steps come again.
        self.writer = SummaryWriter(str(folder), purge_step=steps_before + done + 1)
        lines = not (bar and sys.stderr.isatty())
        self.bar = tqdm(total=steps, initial=done, desc=title, unit="step", disable=lines)
        self.since, self.images = time.perf_counter(), 0

    def after_step(
        self, step: int, batch: PoseBatch, prediction: Prediction, losses: Mapping[str, Tensor],
        learning_rate: float, gradient_norm: Tensor,
    ) -> None:  # fmt: skip
        """Take note of a step.

        Args:
            step: steps of the stage that are done.
            batch: what was seen.
            prediction: of the last stack.
            losses: scalars by name; `total` is what was minimised.
            learning_rate: of the step.
            gradient_norm: scalar, before clipping.
        """
        self.images += len(batch.image)
        self.bar.update()
        if step % self.log_every == 0 or step == self.steps:
            self._log(step, losses, learning_rate, gradient_norm)
        if step % self.pictures_every == 0 or step == self.steps:
            picture = labels_and_prediction(batch, prediction)
            self.writer.add_image(
                "labels_and_prediction", picture, self.steps_before + step, dataformats="HWC"
            )

    def _log(
        self, step: int, losses: Mapping[str, Tensor], learning_rate: float, gradient_norm: Tensor
    ) -> None:
        now = time.perf_counter()
        speed = self.images / max(now - self.since, 1e-9)
        self.since, self.images = now, 0
        scalars = {f"loss/{name}": value.item() for name, value in losses.items()}
        scalars["learning_rate"] = learning_rate
        scalars["gradient_norm"] = gradient_norm.item()
        scalars["images_per_second"] = speed
        for name, value in scalars.items():
            self.writer.add_scalar(name, value, self.steps_before + step)
        if self.bar.disable:
            loss = scalars["loss/total"]
            say(f"{self.title}: step {step}/{self.steps}, loss {loss:.4f}, {speed:.1f} images/s")
        else:
            self.bar.set_postfix(loss=f"{scalars['loss/total']:.4f}", images_per_s=f"{speed:.1f}")

    def __enter__(self) -> Monitor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()
        self.writer.close()
