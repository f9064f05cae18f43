from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from slimdp.config import TrainConfig
from slimdp.models import StackedHourglass
from slimdp.report.drawing import PART_COLOURS
from slimdp.report.panels import ERROR_COLOURS
from slimdp.structures import DensePoseMaps, PoseBatch
from slimdp.surface import load_surface
from slimdp.training.distributed import DistributedContext
from slimdp.training.monitor import Monitor, training_image
from slimdp.training.run_folder import RunFolder, read_metrics
from slimdp.training.stage_data import read_stages


@pytest.fixture
def batch(small_run: TrainConfig) -> PoseBatch:
    return next(read_stages(small_run)[0].batches(0, workers=0)).to("cpu")


@pytest.fixture
def prediction(batch: PoseBatch) -> DensePoseMaps:
    torch.manual_seed(0)
    with torch.no_grad():
        return StackedHourglass(1, 8)(batch).best


def follow(folder: Path, batch: PoseBatch, prediction: DensePoseMaps, steps: range, before: int) -> None:
    monitor = Monitor(RunFolder(folder), "stills", 6, steps.start - 1, before, log_every=2, images_every=3)
    with monitor:
        for step in steps:
            losses = {"total": torch.tensor(10.0 * step), "stack0/uv": torch.tensor(1.0 * step)}
            monitor.after_step(step, batch, prediction, losses, 0.1 * step, torch.tensor(0.5))


def test_scalars_and_pictures_are_logged_where_they_are_due(
    tmp_path: Path, batch: PoseBatch, prediction: DensePoseMaps, capsys: pytest.CaptureFixture[str]
) -> None:
    follow(tmp_path, batch, prediction, range(1, 7), before=100)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert sorted(events.Tags()["scalars"]) == [
        "gradient_norm", "images_per_second", "learning_rate", "loss/stack0/uv", "loss/total",
    ]  # fmt: skip
    assert [(e.step, e.value) for e in events.Scalars("loss/total")] == [(102, 20), (104, 40), (106, 60)]
    assert [e.step for e in events.Images("training")] == [103, 106]
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"stills: step {step}/6" for step in (2, 4, 6)]
    assert "loss 20.0000" in lines[0]
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [(row["step"], row["stage"], row["loss/stack0/uv"]) for row in rows] == [
        (102, "stills", 2), (104, "stills", 4), (106, "stills", 6),
    ]  # fmt: skip


def test_steps_after_the_last_checkpoint_are_logged_once(
    tmp_path: Path, batch: PoseBatch, prediction: DensePoseMaps
) -> None:
    follow(tmp_path, batch, prediction, range(1, 5), before=0)
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 4, "sta')  # a process that was killed as it wrote
    follow(tmp_path, batch, prediction, range(3, 7), before=0)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [e.step for e in events.Scalars("loss/total")] == [2, 4, 6]
    assert [row["step"] for row in read_metrics(tmp_path / "metrics.jsonl")] == [2, 4, 6]


def test_a_broken_line_in_the_middle_of_the_numbers_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\nnonsense\n{"step": 2}\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2: line 1, column"):
        read_metrics(tmp_path / "metrics.jsonl")


def answer(batch: PoseBatch, wrong: bool) -> DensePoseMaps:
    """Maps that give one point's label everywhere, or that of the far end of the body."""
    side = batch.images.shape[-1] // 4
    part, (u, v) = int(batch.part[0]), batch.uv[0].tolist()
    scores = torch.zeros(len(batch.images), 25, side, side)
    scores[:, 5 if wrong else part] = 9
    maps = torch.zeros(len(batch.images), 24, side, side)
    coarse = torch.zeros(len(batch.images), 15, side, side)
    coarse[:, 1, :, : side // 2] = 9  # foreground: the left half
    coarse[:, 0, :, side // 2 :] = 20  # more sure than the 25 classes are
    return DensePoseMaps(scores, maps + u, maps + v, coarse)


def test_the_picture_shows_labels_prediction_and_error(batch: PoseBatch) -> None:
    one_point = replace(
        batch,
        instance_index=batch.instance_index[:1],
        points=batch.points[:1],
        part=batch.part[:1],
        uv=batch.uv[:1],
    )
    surface = load_surface("open")
    right, wrong = (training_image(one_point, answer(batch, bad), surface, people=1) for bad in (False, True))
    assert right.dtype == np.uint8
    # Five square columns with gaps of 4 px, under titles of 20 px.
    side = (right.shape[1] - 6 * 4) // 5
    column = [right[28 : 28 + side, 4 + i * (side + 4) :][:, :side] for i in range(5)]
    zoom = side // batch.images.shape[-1]
    x, y = ((batch.points[0].numpy() + 0.5) * zoom).astype(int)
    assert np.abs(column[3][y, x].astype(int) - PART_COLOURS[int(batch.part[0])]).max() <= 1
    assert tuple(column[4][y, x]) == ERROR_COLOURS[0][1]  # green
    assert tuple(wrong[28 : 28 + side, -4 - side : -4][y, x]) == ERROR_COLOURS[-1][1]  # red
    # The half that is predicted as background shows the picture, the other one the part's colour over it.
    crop, parts = column[:2]
    assert np.array_equal(crop[:, side // 2 + 20 :], parts[:, side // 2 + 20 :])
    blend = np.round(0.4 * crop[:, : side // 2 - 20] + 0.6 * PART_COLOURS[int(batch.part[0])]).astype(int)
    assert np.abs(parts[:, : side // 2 - 20].astype(int) - blend).max() <= 1


def test_other_processes_than_the_first_say_and_write_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path / "run", speaks=False)
    with Monitor(folder, "stills", 6, 0, 0, 2, 3, processes=DistributedContext(rank=1, count=2)) as monitor:
        monitor.show_scores(2, {"localization 5cm": 1.0}, people=3)
        folder.log("nothing")
        folder.begin(None, torch.device("cpu"), DistributedContext())  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()
    assert capsys.readouterr().err == ""


def test_points_without_uv_are_drawn_without_an_error(batch: PoseBatch) -> None:
    names = ("instance_index", "points", "part", "uv")
    two = replace(batch, **{name: getattr(batch, name)[:2].clone() for name in names})
    two.uv[1] = torch.nan
    two.points[1] = two.points[0] + 12
    image = training_image(two, answer(batch, wrong=False), load_surface("open"), people=1)
    side = (image.shape[1] - 6 * 4) // 5
    zoom = side // batch.images.shape[-1]
    errors = image[28 : 28 + side, -4 - side : -4]
    colours = [tuple(errors[y, x]) for x, y in ((two.points[:2].numpy() + 0.5) * zoom).astype(int)]
    assert colours == [ERROR_COLOURS[0][1], (150, 150, 150)]
