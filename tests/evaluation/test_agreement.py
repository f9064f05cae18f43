"""Parts and masks of real people: by hand, and through the command."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from slimdp.__main__ import main
from slimdp.data import write_annotations
from slimdp.evaluation import (
    EvaluationSet,
    PredictionWriter,
    Scorer,
    as_detection,
    describe_score,
    evaluate_scores,
)
from slimdp.evaluation.agreement import ForegroundOverlap, PartAgreement
from slimdp.evaluation.ground_truth import GroundTruth, ImageMask
from slimdp.structures import DensePoseInstance, ImageRecord, PersonAnnotation
from slimdp.surface.body import BodySurface

SIZE = 20
NAMES = ["parts.fine", "parts.coarse", "overlap.iou"]


def person(identity: int = 7) -> PersonAnnotation:
    """Somebody whose image is the crop: points of parts 7, 9, 1, 3, the last outside; a mask of 10 rows."""
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[:10] = True
    part = np.array([7, 9, 1, 3])
    nothing = np.zeros(4, dtype=np.int64)
    return PersonAnnotation(
        identity, ImageRecord(1, Path("a.png"), "a.png", SIZE, SIZE), np.array([0.0, 0, SIZE, SIZE]),
        np.array([(2.0, 3), (5.4, 5), (8, 8), (30, 2)]), part, np.zeros((4, 2), np.float32), nothing, nothing,
        mask=mask,
    )  # fmt: skip


def prediction(identity: int = 7) -> DensePoseInstance:
    """Part 7 everywhere but one pixel, and a foreground of the rows 5 to 14."""
    part = np.full((SIZE, SIZE), 7, np.uint8)
    part[8, 8] = 1
    foreground = np.zeros((SIZE, SIZE), dtype=bool)
    foreground[5:15] = True
    box = np.array([0.0, 0, SIZE, SIZE])
    uv = np.zeros((2, SIZE, SIZE), np.float16)
    return DensePoseInstance(identity, 1, box, 1.0, np.eye(2, 3), part, uv, foreground)


def truths_of(people: list[PersonAnnotation]) -> EvaluationSet:
    """The people with their masks, as a file has them."""
    instances = tuple(
        GroundTruth(p.id, 1, p.box, 1.0, p.crowd, None, lambda mask=p.mask: ImageMask.of(mask))  # type: ignore[misc]
        for p in people
        if p.mask is not None
    )
    return dataclasses.replace(EvaluationSet.of(people), instances=instances)


def scorer_of(people: list[PersonAnnotation], surface: BodySurface, missing: str = "raise") -> Scorer:
    return Scorer(NAMES, truths_of(people), surface, missing=missing)  # type: ignore[arg-type]


def test_parts_and_overlap_by_hand(flat_surface: BodySurface) -> None:
    scorer = scorer_of([person()], flat_surface)
    scorer.take([prediction()])
    found = {name: score.value for name, score in scorer.compute().items()}
    # 7 as 7; 9 as 7, the front and back of one leg; 1 as 1, on background too; 3 outside of the crop.
    assert found == pytest.approx({"parts.fine": 50, "parts.coarse": 75, "overlap.iou": 100 * 5 / 15})
    labelled, predicted = scorer.metric(PartAgreement).pairs()
    assert labelled.tolist() == [7, 9, 1, 3]
    assert predicted.tolist() == [7, 7, 1, 0]
    assert scorer.metric(ForegroundOverlap).by_person() == {(1, 7): pytest.approx(1 / 3)}


def test_people_who_are_not_predicted(flat_surface: BodySurface) -> None:
    people = [person(7), person(8)]
    scorer = scorer_of(people, flat_surface)
    scorer.take([prediction(7)])
    with pytest.raises(ValueError, match="no prediction for 1 of 2 people, first image 1, annotation 8"):
        scorer.compute()
    scorer = scorer_of(people, flat_surface, "wrong")
    scorer.take([prediction(7)])
    found = {name: score.value for name, score in scorer.compute().items()}
    assert found == pytest.approx({"parts.fine": 25, "parts.coarse": 37.5, "overlap.iou": 100 / 6})


def test_what_cannot_be_compared_is_refused(flat_surface: BodySurface) -> None:
    bare = dataclasses.replace(person().with_points(np.zeros(4, dtype=bool)), mask=None)
    with pytest.raises(ValueError, match=r"annotations: nobody has what parts\.fine compares"):
        Scorer(["parts.fine"], EvaluationSet.of([bare]), flat_surface).compute()
    crowd = dataclasses.replace(person(), crowd=True)
    with pytest.raises(ValueError, match=r"nobody has what overlap\.iou compares"):
        Scorer(["overlap.iou"], truths_of([crowd]), flat_surface).compute()
    with pytest.raises(ValueError, match="do not say which annotated person"):
        scorer_of([person()], flat_surface).take([as_detection(prediction())])
    assert describe_score("parts.fine").everyone
    assert describe_score("overlap.iou").title == "foreground IoU"


def test_the_command_gives_them_beside_keypoints(
    flat_surface: BodySurface, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keypoints = np.array([(2.0, 3, 2)])
    one = dataclasses.replace(
        person().with_points(np.array([True, True, True, False])),
        keypoints=keypoints,
        keypoint_names=("nose",),
    )
    write_annotations(tmp_path / "people.json", [one.image], [one])
    with PredictionWriter(tmp_path / "p.h5", SIZE) as writer:
        writer.write(prediction())
    files = ["--predictions", str(tmp_path / "p.h5"), "--annotations", str(tmp_path / "people.json")]
    scores = [word for name in NAMES for word in ("--score", name)]
    assert main(["evaluate", "--keypoints", *files, *scores, "--out", str(tmp_path / "s.json")]) == 0
    told = json.loads((tmp_path / "s.json").read_text())
    assert set(told["scores"]) == set(NAMES)
    assert "overlap.iou: 33.33 %" in capsys.readouterr().out
    alone = evaluate_scores(tmp_path / "p.h5", tmp_path / "people.json", flat_surface, ["parts.fine"])
    assert alone == {"parts.fine": pytest.approx(200 / 3)}
