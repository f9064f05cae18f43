from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from slimdp.config import TrainConfig
from slimdp.models import StackedHourglass
from slimdp.report.drawing import PART_COLOURS
from slimdp.structures import PoseBatch, Prediction
from slimdp.training.monitor import Monitor
from slimdp.training.pictures import labels_and_prediction
from slimdp.training.stage_data import read_stages


@pytest.fixture
def batch(small_run: TrainConfig) -> PoseBatch:
    return next(read_stages(small_run)[0].batches(0, workers=0)).to("cpu")


@pytest.fixture
def prediction(batch: PoseBatch) -> Prediction:
    torch.manual_seed(0)
    with torch.no_grad():
        return StackedHourglass(1, 8)(batch.image)[-1]


def follow(folder: Path, batch: PoseBatch, prediction: Prediction, steps: range, before: int) -> None:
    monitor = Monitor(folder, "stills", 6, steps.start - 1, before, log_every=2, pictures_every=3)
    with monitor:
        for step in steps:
            losses = {"total": torch.tensor(10.0 * step), "stack0/uv": torch.tensor(1.0 * step)}
            monitor.after_step(step, batch, prediction, losses, 0.1 * step, torch.tensor(0.5))


def test_scalars_and_pictures_are_logged_where_they_are_due(
    tmp_path: Path, batch: PoseBatch, prediction: Prediction, capsys: pytest.CaptureFixture[str]
) -> None:
    follow(tmp_path, batch, prediction, range(1, 7), before=100)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert sorted(events.Tags()["scalars"]) == [
        "gradient_norm", "images_per_second", "learning_rate", "loss/stack0/uv", "loss/total",
    ]  # fmt: skip
    assert [(e.step, e.value) for e in events.Scalars("loss/total")] == [(102, 20), (104, 40), (106, 60)]
    assert [e.step for e in events.Images("labels_and_prediction")] == [103, 106]
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"stills: step {step}/6" for step in (2, 4, 6)]
    assert "loss 20.0000" in lines[0]


def test_steps_after_the_last_checkpoint_are_logged_once(
    tmp_path: Path, batch: PoseBatch, prediction: Prediction
) -> None:
    follow(tmp_path, batch, prediction, range(1, 5), before=0)
    follow(tmp_path, batch, prediction, range(3, 7), before=0)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [e.step for e in events.Scalars("loss/total")] == [2, 4, 6]


def test_the_picture_shows_the_points_and_the_predicted_parts(
    batch: PoseBatch, prediction: Prediction
) -> None:
    side = batch.image.shape[-1]
    logits = torch.zeros_like(prediction.part_logits)
    logits[:, 5, :, : logits.shape[-1] // 2] = 9
    logits[:, 0, :, logits.shape[-1] // 2 :] = 9
    prediction = Prediction(logits, prediction.u, prediction.v, prediction.coarse_logits, prediction.features)
    picture = labels_and_prediction(batch, prediction, people=1)
    assert picture.dtype == np.uint8
    gap = (picture.shape[0] - side) // 2
    left = picture[gap : gap + side, gap : gap + side]
    right = picture[gap : gap + side, -gap - side : -gap]
    crop = (batch.image[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    # The half that is predicted as background shows the picture, the other one the part's colour over it.
    assert np.array_equal(right[:, side // 2 + 4 :], crop[:, side // 2 + 4 :])
    blend = np.round(0.4 * crop[:, : side // 2 - 4] + 0.6 * PART_COLOURS[5]).astype(int)
    assert np.abs(right[:, : side // 2 - 4].astype(int) - blend).max() <= 1
    # Where there is a point, the picture is another.
    x, y = batch.points[batch.point_crop == 0].round().long().T.numpy()
    assert (left[y, x] != crop[y, x]).any(axis=1).mean() > 0.9
