"""The one way to scores: any metric by name, one from outside of the package, files and networks alike."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slimdp.__main__ import main
from slimdp.config import ConfigError
from slimdp.data import write_annotations
from slimdp.evaluation import (
    METRICS,
    POINT_SCORES,
    EvaluationSet,
    PredictionWriter,
    Scorer,
    describe_score,
    point_errors,
    read_truths,
    summarize,
)
from slimdp.structures import DensePoseInstance
from slimdp.surface.body import BodySurface

#: A metric in a file of its own, as `imports:` of a settings file brings it in.
OWN_METRIC = '''
from slimdp.evaluation import METRICS, Score, ScoreKind


class Coverage:
    """How much of the crops of annotated people a network takes for them."""

    def __init__(self, settings):
        self.shares = []

    @staticmethod
    def describe(name):
        return ScoreKind("crop covered") if name == "coverage" else None

    def update(self, truth, predicted):
        self.shares += [person.foreground.mean() for person in predicted.people]

    def compute(self):
        return {"coverage": Score(100 * sum(self.shares) / len(self.shares) if self.shares else None)}


METRICS["coverage"] = Coverage
'''


@pytest.fixture
def own_metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module that registers "coverage"."""
    (tmp_path / "a_metric_of_ones_own.py").write_text(OWN_METRIC)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "a_metric_of_ones_own"
    METRICS.pop("coverage", None)
    sys.modules.pop("a_metric_of_ones_own", None)


def test_scores_by_name_are_those_of_the_errors(flat_surface: BodySurface, perfect_pair: Any) -> None:
    pairs = [perfect_pair(annotation_id) for annotation_id in (1, 2)]
    people, predictions = [person for person, _ in pairs], [prediction for _, prediction in pairs]
    predictions[1].uv[:] = 0.5
    names = ["points.full.7.5cm", *POINT_SCORES]
    scorer = Scorer(names, EvaluationSet.of(people), flat_surface)
    scorer.take(predictions)
    scores = scorer.compute()
    wanted = summarize(point_errors(predictions, people, flat_surface), (7.5, 5, 10, 20))
    assert list(scores) == names
    for name, score in scores.items():
        _, form, key = name.split(".", 2)
        assert score.value == wanted[form][key]


def test_time_is_measured_where_predictions_are_made(flat_surface: BodySurface, perfect_pair: Any) -> None:
    person, prediction = perfect_pair()
    for timed in (False, True):
        scorer = Scorer(["seconds_an_image"], EvaluationSet.of([person]), flat_surface)
        scorer.take(iter([prediction]), timed=timed)
        value = scorer.compute()["seconds_an_image"].value
        assert (value is not None and 0 <= value < 100) if timed else value is None


@pytest.mark.parametrize("found", [(), (2,), (2, 2, 3)])
def test_pictures_without_anybody_take_their_time(
    flat_surface: BodySurface, perfect_pair: Any, monkeypatch: pytest.MonkeyPatch, found: tuple[int, ...]
) -> None:
    """Four pictures at a second each, whoever is found in them."""
    clock = [0.0]
    monkeypatch.setattr("slimdp.evaluation.scorer.time.perf_counter", lambda: clock[0])
    person, prediction = perfect_pair()
    images = [replace(person.image, id=number) for number in (1, 2, 3, 4)]
    truths = EvaluationSet.of([replace(person, image=image) for image in images])

    def predictions() -> Iterator[DensePoseInstance]:
        for image in images:
            clock[0] += 1
            for _ in range(found.count(image.id)):
                yield replace(prediction, image_id=image.id)

    scorer = Scorer(["seconds_an_image"], truths, flat_surface)
    scorer.take(predictions(), timed=True, images=[image.id for image in images])
    assert scorer.compute()["seconds_an_image"].value == 1
    untimed = Scorer(["seconds_an_image"], truths, flat_surface)
    untimed.take(predictions(), images=[1, 2, 3, 4])
    assert untimed.compute()["seconds_an_image"].value is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gsp.AP", "'gsp', but it must be one of .*gps"),
        ("gps.AP60", "no score 'gps.AP60'; such as: .*gps.AP"),
        ("points.localization.10 cm", "no score 'points.localization.10 cm'"),
        ("points.localization.-5cm", "no score"),
        ("points.localization.05cm", "no score"),
        ("points.both.10cm", "no score"),
        ("seconds_an_image.mean", "no score"),
    ],
)
def test_scores_that_no_metric_gives(name: str, message: str, flat_surface: BodySurface) -> None:
    with pytest.raises(ConfigError, match=message):
        Scorer([name], EvaluationSet.of([]), flat_surface)


def test_what_is_known_of_scores_before() -> None:
    assert describe_score("points.localization.10cm").title == "10 cm"
    assert describe_score("points.full.auc30").title == "AUC30, full"
    assert describe_score("gpsm.AP50").title == "AP50 GPSm"
    assert not describe_score("points.full.5cm").everyone
    assert describe_score("iou.AR").everyone
    seconds = describe_score("seconds_an_image")
    assert (seconds.unit, seconds.higher_is_better) == ("s", False)


def test_average_precision_asks_for_everyone(
    tmp_path: Path, flat_surface: BodySurface, perfect_pair: Any
) -> None:
    person = perfect_pair()[0]
    nobody = perfect_pair(2)[0].with_points(np.zeros(len(person.points), dtype=bool))
    write_annotations(tmp_path / "a.json", [person.image], [person, nobody])
    truths = read_truths(tmp_path / "a.json")
    assert [p.id for p in Scorer(["points.full.5cm"], truths, flat_surface).people] == [1]
    assert [p.id for p in Scorer(["points.full.5cm", "gps.AP"], truths, flat_surface).people] == [1, 2]


def test_people_without_a_box_do_not_keep_others_from_being_scored(
    tmp_path: Path, flat_surface: BodySurface, perfect_pair: Any
) -> None:
    person, prediction = perfect_pair()
    write_annotations(tmp_path / "a.json", [person.image], [person])
    content = json.loads((tmp_path / "a.json").read_text())
    rough = {"id": 2, "image_id": person.image.id, "category_id": 1, "keypoints": [1, 1, 2, 9, 9, 2]}
    content["annotations"].append(rough)
    (tmp_path / "a.json").write_text(json.dumps(content))
    truths = read_truths(tmp_path / "a.json")
    assert [truth.points is None for truth in truths.instances] == [False, True]
    scorer = Scorer(["points.localization.5cm", "gps.AP50"], truths, flat_surface)
    scorer.take([prediction])
    assert {score.value for score in scorer.compute().values()} == {100}


def test_a_metric_from_outside_scores_a_file(
    tmp_path: Path, own_metric: str, perfect_pair: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    person, prediction = perfect_pair()
    write_annotations(tmp_path / "a.json", [person.image], [person])
    with PredictionWriter(tmp_path / "p.h5", len(prediction.part)) as writer:
        writer.write(prediction)
    command = ["evaluate", "--predictions", str(tmp_path / "p.h5"), "--annotations", str(tmp_path / "a.json")]
    more = ["--imports", own_metric, "--score", "coverage", "--out", str(tmp_path / "scores.json")]
    assert main([*command, *more]) == 0
    wanted = 100 * prediction.foreground.mean()
    assert json.loads((tmp_path / "scores.json").read_text())["scores"] == pytest.approx({"coverage": wanted})
    assert f"coverage: {wanted:.4g} %" in capsys.readouterr().out
