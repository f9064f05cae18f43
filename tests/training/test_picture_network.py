"""A network of whole pictures from outside: training, answers in given boxes, people that it finds."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.ops import roi_align

from slimdp.__main__ import main
from slimdp.config import ConfigError, CropSettings, DataSource, ModelSettings, ModelSpec, TrainConfig
from slimdp.data import read_annotations
from slimdp.evaluation import PredictionFile
from slimdp.geometry import apply_affine
from slimdp.inference import predict_people
from slimdp.inference.pictures import detect_in_pictures
from slimdp.models import MODELS, DensePoseModel
from slimdp.models.regions import region_labels
from slimdp.structures import DensePoseMaps, Instances, ModelOutput, PoseBatch
from slimdp.surface import PEOPLE
from slimdp.surface.layout import PartLayout
from slimdp.training import train
from slimdp.training.distributed import ALONE
from slimdp.training.run_folder import read_metrics
from slimdp.training.stage_data import check_stages
from tests.threads import one_thread_here

SIDE = 8


class Boxed(DensePoseModel):
    """Averages of boxes; it finds one person in the middle of every picture."""

    spec = ModelSpec(stride=4, size_multiple=8, input="image", detects=True)

    def __init__(self, layout: PartLayout) -> None:
        super().__init__()
        self.layout = layout
        parts, coarse = len(layout.parts), len(layout.coarse_parts)
        self.outputs = [parts + 1, parts, parts, coarse + 1]
        self.look = nn.Conv2d(3, sum(self.outputs), 3, padding=1)
        self.score = nn.Parameter(torch.zeros(()))

    def forward(self, batch: PoseBatch, features: Collection[str] = ()) -> ModelOutput:
        count, _, height, width = batch.images.shape
        index, box = batch.image_index, batch.box
        if batch.to_detect:
            index = torch.arange(count)
            middle = torch.tensor([[width / 4, height / 4, width / 2, height / 2]])
            box = middle.to(batch.images).expand(count, 4)
        corners = torch.cat([index[:, None].to(box), box[:, :2], box[:, :2] + box[:, 2:]], dim=1)
        looked = roi_align(self.look(batch.images), corners, SIDE, aligned=True)
        maps = DensePoseMaps(*looked.split(self.outputs, dim=1))
        if self.training:
            regions = region_labels(batch, box, torch.arange(len(box)), SIDE)
            return ModelOutput((maps,), losses={"score": (self.score - 1).square()}, regions=regions)
        score = self.score.detach().clamp(0, 1).expand(len(box))
        return ModelOutput((), instances=Instances(index, box, score, maps, window=box))


class BoxedSettings(ModelSettings):
    name: Literal["boxed"] = "boxed"

    @property
    def spec(self) -> ModelSpec:
        return Boxed.spec

    def build(self, layout: PartLayout) -> Boxed:
        return Boxed(layout)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "boxed", BoxedSettings)


def settings(run: TrainConfig, ellipses: DataSource) -> TrainConfig:
    values = {**run.plain(), "model": {"name": "boxed"}, "loss": {}}
    values["augment"]["rotation_deg"] = 0
    values["validation"] = {"data": [ellipses.plain()], "every": 4}
    return TrainConfig.parse(values)


def test_it_trains_predicts_and_scores(
    small_run: TrainConfig, ellipses: DataSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with one_thread_here():
        end = train(settings(small_run, ellipses), tmp_path / "run", bar=False)
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert rows[-1].keys() & {"validation/localization 10cm", "loss/network/score"}
    assert any("loss/stack0/uv" in row and "loss/network/score" in row for row in rows)
    labels = ["--annotations", ellipses.annotations, "--images", ellipses.images]
    for more, wanted in ([], [-1, -1, -1]), (["--given-boxes"], [101, 102, 103]):
        assert main(["predict", str(end), *labels, *more, "--out", "p.h5"]) == 0
        with PredictionFile("p.h5") as file:
            assert [person.annotation_id for person in file] == wanted
            first = next(iter(file))
        assert first.part.shape == (64, 64)
        assert main(["evaluate", "--predictions", "p.h5", *labels, "--out", "scores.json"]) == 0
        scores = json.loads(Path("scores.json").read_text())
        assert 0 <= scores["points"]["localization"]["10cm"] <= 100
        assert scores["iou"]["AP"] is not None
    assert main(["predict", str(end), *labels, "--flip-test", "--out", "q.h5"]) == 2
    assert not Path("q.h5").exists()


def test_a_found_person_lies_where_the_network_says(ellipses: DataSource) -> None:
    """In px of the file: the middle half of 96 px, whose maps cover it."""
    images = read_annotations(ellipses.annotations, ellipses.images).images
    torch.manual_seed(0)
    model = Boxed(PEOPLE)
    with torch.no_grad():
        model.score.fill_(0.75)
    found = list(detect_in_pictures(model, images, CropSettings(size=64), batch=2))
    assert [(person.image_id, person.annotation_id) for person in found] == [(1, -1), (2, -1), (3, -1)]
    for person in found:
        assert person.box.tolist() == pytest.approx([24, 24, 48, 48])
        assert person.score == 0.75
        corners = apply_affine(person.crop_from_image, np.array([[23.5, 23.5], [71.5, 71.5]]))
        assert corners.ravel().tolist() == pytest.approx([-0.5, -0.5, 63.5, 63.5])
    assert model.training


def test_given_boxes_come_back_as_they_were(ellipses: DataSource) -> None:
    people = read_annotations(ellipses.annotations, ellipses.images).people
    torch.manual_seed(0)
    found = list(predict_people(Boxed(PEOPLE), people, CropSettings(size=64)))
    for person, given in zip(found, people, strict=True):
        assert (person.image_id, person.annotation_id) == (given.image.id, given.id)
        assert np.array_equal(person.box, given.box)
        assert person.score == 1


def test_values_that_are_not_finite_are_told_with_the_picture(ellipses: DataSource) -> None:
    images = read_annotations(ellipses.annotations, ellipses.images).images
    model = Boxed(PEOPLE)
    with torch.no_grad():
        model.look.bias.fill_(torch.nan)  # type: ignore[union-attr]
    with pytest.raises(FloatingPointError, match=r"not finite for: ellipse_1\.png"):
        list(detect_in_pictures(model, images, CropSettings(size=64)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"augment": {"rotation_deg": 10.0}},
            r"stages\.0: augment\.rotation_deg = 10, but model\.name = 'boxed'",
        ),
        ({"augment": {"rotation_deg": 0, "occlusion": 0.5}}, r"augment\.occlusion = 0\.5"),
        ({"motion": {"kind": "tps"}}, r"stages\.0: motion\.kind = 'tps'"),
    ],
)
def test_what_pictures_have_not_is_refused_by_key(
    small_run: TrainConfig, ellipses: DataSource, change: dict[str, object], words: str
) -> None:
    values = {**settings(small_run, ellipses).plain(), **change}
    with pytest.raises(ConfigError, match=words):
        check_stages(TrainConfig.parse(values), ALONE)
