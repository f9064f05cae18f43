"""The region network in training: to the same bits when it resumes, in two processes, on to answers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from flow_cache.images import read_image
from slimdp import DensePose
from slimdp.__main__ import main
from slimdp.config import DataSource, TrainConfig
from slimdp.data import read_annotations
from slimdp.evaluation import PredictionFile
from slimdp.models import FcnSettings, RegionSettings
from slimdp.models.backbones import BACKBONES
from slimdp.training import train
from slimdp.training.run_folder import read_metrics
from tests.narrow_backbone import Narrow
from tests.threads import one_thread_here
from tests.training.test_distributed import with_forks
from tests.training.weights import same_weights


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKBONES, "narrow", Narrow)


def cascade(run: TrainConfig) -> TrainConfig:
    """Two steps of all branches in two stages, the second of them in two parts."""
    model = RegionSettings(
        backbone="resnet18", channels=8, layers=1, head_channels=8, box_features=8, rpn_samples=32,
        region_samples=8, positive_share=0.5, proposals=40, detections=5, anchors_px=(8, 16, 24, 32, 48),
        masks=True, stages=2,
    )  # fmt: skip
    values = {**run.replace(stages=run.stages[:1], checkpoint_every=1).plain(), "loss": {}}
    values["model"] = {**model.plain(), "backbone": "narrow"}
    values["augment"]["rotation_deg"] = 0
    values["stages"][0] |= {"steps": 2, "batch": 4, "accumulate": 2}
    return TrainConfig.parse(values)


def test_a_resumed_run_ends_with_the_same_bits(small_run: TrainConfig, tmp_path: Path) -> None:
    config = cascade(small_run)
    with one_thread_here():
        end = train(config, tmp_path / "whole", bar=False)
        (tmp_path / "stopped").mkdir()
        checkpoint = tmp_path / "whole" / "checkpoints" / "step_00000001.pt"
        shutil.copy(checkpoint, tmp_path / "stopped" / "last.pt")
        again = train(config, tmp_path / "stopped", resume=True, bar=False)
    assert same_weights(end, again)
    assert not same_weights(end, checkpoint)


@pytest.mark.slow
def test_two_processes_have_the_loss_of_one(small_run: TrainConfig, tmp_path: Path) -> None:
    """At the first step; then the draws of the samples differ with the last bits of the proposals."""
    values = cascade(small_run).replace(precision="float64", log_every=1).plain()
    values["stages"][0] |= {"steps": 1, "accumulate": 1, "name": "clips"}
    config = TrainConfig.parse(values)
    with one_thread_here():
        train(config, tmp_path / "alone", bar=False)
        with_forks(config, tmp_path)
    alone, together = (read_metrics(tmp_path / name / "metrics.jsonl") for name in ("alone", "together"))
    losses = {name: value for name, value in alone[0].items() if name.startswith("loss/")}
    assert losses["loss/network/mask1"] > 0
    for name, value in losses.items():
        assert together[0][name] == pytest.approx(value, rel=1e-9), name


def test_it_predicts_scores_and_finds_people_for_a_video(
    small_run: TrainConfig, ellipses: DataSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = cascade(small_run)
    config = config.replace(model=config.model.replace(score=0.01))
    with one_thread_here():
        end = train(config, tmp_path / "run", bar=False)
    labels = ["--annotations", ellipses.annotations, "--images", ellipses.images]
    assert main(["predict", str(end), *labels, "--out", "p.h5"]) == 0
    with PredictionFile("p.h5") as file:
        assert 0 < len(file) <= 15
        for person in file:
            assert person.annotation_id < 0
            assert (person.box[2:] > 0).all()
            assert (person.box[:2] + person.box[2:] <= 96 + 1e-6).all()
    assert main(["evaluate", "--predictions", "p.h5", *labels, "--out", "scores.json"]) == 0
    scores = json.loads(Path("scores.json").read_text())
    assert 0 <= scores["points"]["localization"]["10cm"] <= 100
    assert scores["gps"]["AR"] is not None

    (tmp_path / "frames").mkdir()
    for number in (1, 2, 3):
        shutil.copy(Path(ellipses.images) / f"ellipse_{number}.png", tmp_path / "frames")
    video = [
        "video",
        "frames",
        "--weights",
        str(end),
        "--smooth",
        "none",
        "--write",
        "iuv",
        "--score",
        "0.02",
    ]
    assert main([*video, "--detector", f"network:{end}", "--out", "video"]) == 0
    assert len(list((tmp_path / "video" / "iuv").iterdir())) == 3
    image = read_image(Path(ellipses.images) / "ellipse_1.png")
    answer = DensePose.load(end, detector=None, device="cpu")(image, boxes=[[20, 6, 56, 84]])
    assert answer[0].part.shape == image.shape[:2]
    assert np.array_equal(answer[0].box, [20, 6, 56, 84])


def test_a_network_that_finds_nobody_is_no_detector(
    small_run: TrainConfig, ellipses: DataSource, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The fully convolutional one over whole pictures, which answers in given boxes, at several scales."""
    values = {**cascade(small_run).plain(), "model": FcnSettings(channels=8, input="image").plain()}
    values["model"]["backbone"] = "narrow"
    values["loss"] = {}
    with one_thread_here():
        end = train(TrainConfig.parse(values), tmp_path / "run", bar=False)
    labels = ["--annotations", ellipses.annotations, "--images", ellipses.images]
    out = str(tmp_path / "p.h5")
    assert main(["predict", str(end), *labels, "--scales", "0.75", "1", "1.25", "--out", out]) == 0
    people = read_annotations(ellipses.annotations, ellipses.images).people
    with PredictionFile(out) as file:
        assert [person.annotation_id for person in file] == [person.id for person in people]
    video = ["video", ellipses.images, "--weights", str(end), "--out", str(tmp_path / "video")]
    assert main([*video, "--detector", f"network:{end}"]) == 2
    assert "finds no people itself" in capsys.readouterr().err
