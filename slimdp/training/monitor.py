"""What can be seen of a run while it trains: TensorBoard, numbers in lines, and a progress bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from flow_cache.runtime.progress import Standing, clock_time, seconds_left
from slimdp.inference import decode
from slimdp.report.panels import draw_row, panel
from slimdp.structures import DensePoseMaps, PoseBatch
from slimdp.surface.layout import Surface
from slimdp.training.distributed import ALONE, DistributedContext
from slimdp.training.run_folder import RunFolder

#: Where there is no bar, a line comes at least as often, whatever `log_every` is.
_SECONDS_BETWEEN_LINES = 30.0


class Monitor:
    """Follows one stage; a context manager. The first of several processes shows what all of them found.

    Args:
        title: of the progress bar: the stage's name.
        steps, done: of the stage, and those of them that are done already.
        steps_before: steps of the stages before, so that the log runs on through all stages.
        log_every, images_every: steps between scalars and, where there is no bar, lines; between pictures.
        surface: for the errors in the pictures; None: without them.
        bar: show a progress bar where there is a terminal.
    """

    def __init__(
        self, folder: RunFolder, title: str, steps: int, done: int, steps_before: int,
        log_every: int, images_every: int, surface: Surface | None = None, bar: bool = True,
        processes: DistributedContext = ALONE,
    ) -> None:  # fmt: skip
        self.folder, self.title, self.steps, self.steps_before = folder, title, steps, steps_before
        self.log_every, self.images_every, self.surface = log_every, images_every, surface
        self.processes = processes
        # A run that was killed may have logged past its last checkpoint: those steps come again.
        folder.forget_after(steps_before + done)
        self.writer = None
        if processes.first:
            self.writer = SummaryWriter(str(folder.path / "tensorboard"), purge_step=steps_before + done + 1)
        lines = not (bar and processes.first and sys.stderr.isatty())
        self.bar = tqdm(total=steps, initial=done, desc=title, unit="step", disable=lines)
        self.lines = lines and processes.first
        self.since, self.images = time.perf_counter(), 0
        self.begun, self.found, self.last_line = self.since, done, self.since

    def after_step(
        self, step: int, batch: PoseBatch, prediction: DensePoseMaps | None, losses: Mapping[str, Tensor],
        learning_rate: float, gradient_norm: Tensor,
    ) -> None:  # fmt: skip
        """Take note of a step, the number `step` of the stage, of which this process last saw `batch`.

        `prediction` is of the last stage of the network, None where there is none of its images; `losses`
        are this process's share of the scalars by name, of which `total` was minimised; the norm is that
        before clipping.
        """
        self.images += len(batch.images)
        self.bar.update()
        if step % self.log_every == 0 or step == self.steps:
            self._log(step, losses, learning_rate, gradient_norm)
        elif self.lines and time.perf_counter() - self.last_line > _SECONDS_BETWEEN_LINES:
            self.folder.log(f"{self.title}: step {step}/{self.steps}{self._time_left(step)}")
            self.last_line = time.perf_counter()
        if self.writer is not None and prediction is not None and step % self.images_every == 0:
            image = training_image(batch, prediction, self.surface)
            self.writer.add_image("training", image, self.steps_before + step, dataformats="HWC")

    def show_scores(self, step: int, scores: Mapping[str, float], people: int) -> None:
        """Take note of a validation after `step` steps of the stage: percent by name."""
        if self.writer is None:
            return
        self._write(step, {f"validation/{name}": value for name, value in scores.items()})
        names = [name for name in scores if name.startswith("localization") and name.endswith("cm")]
        values = ", ".join(f"{name.split()[1]} {scores[name]:.1f} %" for name in names)
        where = f"{self.title}: step {step}/{self.steps}, {people} people, localization only"
        self.folder.log(f"{where}: {values}")

    def pause(self) -> None:
        """Do not count the time since the last step, which was not spent on training."""
        self.since, self.images = time.perf_counter(), 0

    def _log(self, step: int, losses: Mapping[str, Tensor], learning_rate: float, norm: Tensor) -> None:
        summed = self.processes.sum_scalars(losses)
        if self.writer is None:
            return
        scalars = {f"loss/{name}": value for name, value in summed.items()}
        scalars |= {"learning_rate": learning_rate, "gradient_norm": norm.item()}
        if self.images:
            seconds = max(time.perf_counter() - self.since, 1e-9)
            scalars["images_per_second"] = self.images * self.processes.count / seconds
        self.pause()
        self._write(step, scalars)
        loss, speed = f"{scalars['loss/total']:.4f}", f"{scalars.get('images_per_second', 0):.1f}"
        line = f"{self.title}: step {step}/{self.steps}, loss {loss}, {speed} images/s{self._time_left(step)}"
        self.folder.log(line, show=self.bar.disable)
        self.last_line = time.perf_counter()
        self.bar.set_postfix(loss=loss, images_per_s=speed)

    def _time_left(self, step: int) -> str:
        """ ", 12:30 left" at the speed of this run so far, validations and all; "" at the end."""
        standing = Standing(self.title, "steps", step, self.steps, self.found)
        left = seconds_left(standing, time.perf_counter() - self.begun)
        return f", {clock_time(left)} left" if left else ""

    def _write(self, step: int, scalars: Mapping[str, float]) -> None:
        assert self.writer is not None
        for name, value in scalars.items():
            self.writer.add_scalar(name, value, self.steps_before + step)
        self.folder.measure(self.steps_before + step, self.title, scalars)

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()
        if self.writer is not None:
            self.writer.close()


def training_image(
    batch: PoseBatch, prediction: DensePoseMaps, surface: Surface | None, people: int = 4
) -> np.ndarray:
    """The first crops of a batch, a row each: as seen, predicted parts and u, labels, and their errors.

    (H, W, 3) uint8 RGB. The errors are geodesic, of the best of all parts at the pixel nearest to the point
    (localization only), in training mode: of the network as it is, not of its average. Without a surface
    there are none.
    """
    images = (batch.images[:people] * 255).round().byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()
    with torch.no_grad():
        maps = decode(prediction.map(lambda maps: maps[:people].detach()), batch.stride)
    parts, uvs, foregrounds = (each.cpu().numpy() for each in (maps.part, maps.uv, maps.foreground))
    point_image, points, part, uv = (
        values.cpu().numpy() for values in (batch.point_image, batch.points, batch.part, batch.uv)
    )
    rows = []
    for i, image in enumerate(images):
        mine = point_image == i
        errors_m = None
        if surface is not None:
            column, row = np.floor(points[mine] + 0.5).astype(int).T
            known = ~np.isnan(uv[mine]).any(axis=1)
            said = parts[i][row, column].astype(np.int64)[known], uvs[i][:, row, column].T[known]
            errors_m = np.full(len(known), np.nan)
            errors_m[known] = surface.distance_between(*said, part[mine][known], uv[mine][known])
        found = parts[i], uvs[i], foregrounds[i]
        rows.append(draw_row(image, found, points[mine], part[mine], errors_m))
    return panel(rows)
