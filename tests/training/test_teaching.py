"""A teacher on grey background labels what its student learns from (DensePose, 3.4)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from slimdp.__main__ import main
from slimdp.config import (
    AugmentSettings,
    ConfigError,
    CropSettings,
    DataSource,
    TaughtSettings,
    TeacherSettings,
    TrainConfig,
)
from slimdp.data import read_annotations, write_annotations
from slimdp.data.pictures import PictureDataset
from slimdp.evaluation.predictions import PredictionFile, PredictionWriter
from slimdp.inference import teacher as teacher_module
from slimdp.inference.person_maps import CropNetwork
from slimdp.inference.teacher import TaughtLabels, taught_points, teach
from slimdp.losses import loss_terms
from slimdp.motion.thin_plate import TpsMotion
from slimdp.structures import IGNORE, DensePoseInstance, LabelSource
from slimdp.suggest.network import describe_frames
from slimdp.surface import UvSymmetry
from slimdp.training import load_model, train
from slimdp.training.stage_data import read_stages
from slimdp.training.teaching import check_teachers, taught_labels
from tests.training.conftest import ellipse_labels, ellipse_person
from tests.training.weights import same_weights

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def teacher(small_run: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a teacher of a few steps."""
    config = small_run.replace(stages=small_run.stages[:1], crop=CropSettings(size=64, background="grey"))
    return train(config, tmp_path_factory.mktemp("teacher"), bar=False)


@pytest.fixture
def student(small_run: TrainConfig, teacher: Path) -> TrainConfig:
    stage = small_run.stages[1].replace(
        teacher=TeacherSettings(weights=str(teacher)), loss=loss_terms(taught_part=0.5, taught_uv=5.0)
    )
    return small_run.replace(stages=(stage,))


def test_a_student_sees_a_grid_of_points_over_the_outline(student: TrainConfig, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train(student, out, bar=False)
    plain = student.replace(augment=AugmentSettings(scale=0, rotation_deg=0, shift=0, flip=False, colour=0))
    people = read_stages(plain, taught=lambda stage: taught_labels(out, stage))[0].people
    for index in range(len(people)):
        sample = people[index]
        taught = sample.source == LabelSource.TAUGHT
        assert (sample.source[~taught] == LabelSource.ANNOTATOR).all()
        # 64 px of crop, a point at every fourth: 256 times the share of the crop that the person fills.
        assert 60 < taught.sum() < 140
        places = people.person(index).image, sample.points[taught]
        affine = np.linalg.inv(np.vstack([sample.crop_from_image, [0, 0, 1]]))[:2]
        in_image = places[1] @ affine[:, :2].T + affine[:, 2]
        assert ellipse_labels(in_image)[0].mean() > 0.95


def test_a_run_that_goes_on_ends_with_the_same_bits(student: TrainConfig, tmp_path: Path) -> None:
    config = student.replace(checkpoint_every=1)
    whole = train(config, tmp_path / "whole", bar=False)
    other = train(config, tmp_path / "cut", bar=False)
    (tmp_path / "cut" / "last.pt").unlink()
    step = sorted((tmp_path / "cut" / "checkpoints").glob("step_*.pt"))[0]
    step.rename(tmp_path / "cut" / "last.pt")
    other.unlink()
    same_weights(train(config, tmp_path / "cut", resume=True, bar=False), whole)


def test_what_was_said_is_kept_and_what_is_missing_said_again(
    teacher: Path, ellipses: DataSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teacher_module, "PEOPLE_A_FILE", 2)
    model, config = load_model(teacher)
    people = read_annotations(ellipses.annotations, ellipses.images).people
    teach(model, config.crop, people, tmp_path / "said", "sha")
    first, second = sorted((tmp_path / "said").glob("*.h5"))
    kept, before = first.stat().st_mtime_ns, second.read_bytes()
    second.unlink()
    teach(model, config.crop, people, tmp_path / "said", "sha")
    assert first.stat().st_mtime_ns == kept
    with PredictionFile(second) as file:
        assert len(file) == 1
    assert len(second.read_bytes()) == len(before)
    said = TaughtLabels(tmp_path / "said", 4)
    assert all(said.points(person) is not None for person in people)
    assert said.points(replace(people[0], id=999)) is None


def test_other_pictures_boxes_or_teachers_are_refused(teacher: Path, tmp_path: Path) -> None:
    model, config = load_model(teacher)
    people = [ellipse_person(tmp_path, 1)]
    teach(model, config.crop, people, tmp_path / "said", "sha")
    with pytest.raises(ConfigError, match="another teacher"):
        teach(model, config.crop, people, tmp_path / "said", "other")
    moved = [replace(people[0], box=people[0].box + 1)]
    with pytest.raises(ConfigError, match="other pictures, boxes or outlines"):
        teach(model, config.crop, moved, tmp_path / "said", "sha")
    file = people[0].image.file
    cv2.imwrite(str(file), 255 - cv2.imread(str(file)))
    with pytest.raises(ConfigError, match="other pictures"):
        teach(model, config.crop, people, tmp_path / "said", "sha")


def test_pixels_that_come_to_be_known_are_another_outline(teacher: Path, tmp_path: Path) -> None:
    """Pixels of no known label are none of the person's (`outline_in_crop`)."""
    model, config = load_model(teacher)
    person = ellipse_person(tmp_path, 1)
    assert person.coarse is not None
    coarse = np.array(person.coarse)
    coarse[100:140, 100:140] = IGNORE
    teach(model, config.crop, [replace(person, coarse=coarse)], tmp_path / "said", "sha")
    known = np.where(coarse == IGNORE, 1, coarse)
    with pytest.raises(ConfigError, match="other pictures, boxes or outlines"):
        teach(model, config.crop, [replace(person, coarse=known)], tmp_path / "said", "sha")


def test_whole_pictures_show_taught_points_too(teacher: Path, ellipses: DataSource, tmp_path: Path) -> None:
    model, config = load_model(teacher)
    annotations = read_annotations(ellipses.annotations, ellipses.images)
    teach(model, config.crop, annotations.people, tmp_path / "said", "sha")
    said = TaughtLabels(tmp_path / "said", 4)
    pictures = PictureDataset([annotations], CropSettings(size=96), None, UvSymmetry(), 0, 4, taught=[said])
    for i in range(len(pictures)):
        (person,) = pictures[i].people
        (record,) = pictures.people_in(i)
        taught = person.source == LabelSource.TAUGHT
        wanted = said.points(record)
        assert wanted is not None
        # The square is the picture itself.
        np.testing.assert_allclose(person.points[taught], wanted.points, atol=1e-9)


def test_points_by_hand() -> None:
    part = np.arange(1, 17, dtype=np.uint8).reshape(4, 4)
    foreground = np.ones((4, 4), dtype=bool)
    foreground[1, 3] = False
    uv = np.stack([np.full((4, 4), 0.25), part / 32]).astype(np.float16)
    affine = np.array([[2.0, 0, 10], [0, 2.0, 20]])  # crop px of image px
    said = DensePoseInstance(7, 3, np.array([0.0, 0, 4, 4]), 1.0, affine, part, uv, foreground)
    points = taught_points(said, 2)
    # Crop px (1, 1), (1, 3), (3, 3); (3, 1) is background.
    assert points.points.tolist() == [[-4.5, -9.5], [-4.5, -8.5], [-3.5, -8.5]]
    assert points.part.tolist() == [6, 14, 16]
    np.testing.assert_allclose(points.uv, [[0.25, 6 / 32], [0.25, 14 / 32], [0.25, 0.5]])


def test_surer_points_by_hand() -> None:
    part, foreground = np.ones((4, 4), dtype=np.uint8), np.ones((4, 4), dtype=bool)
    error = np.array([[1, 1, 1, 1], [1, 8, 1, 8.5], [1, 1, 1, 1], [1, 3, 1, 20]], dtype=np.float16)
    uv, affine = np.zeros((2, 4, 4), np.float16), np.array([[1.0, 0, 0], [0, 1.0, 0]])
    said = DensePoseInstance(7, 3, np.array([0.0, 0, 4, 4]), 1.0, affine, part, uv, foreground, error)
    assert taught_points(said, 2, within_cm=8).points.tolist() == [[1, 1], [1, 3]]
    assert len(taught_points(said, 2).part) == 4
    assert len(taught_points(replace(said, error_cm=None), 2, within_cm=8).part) == 4


@pytest.fixture
def said_before(student: TrainConfig, tmp_path: Path) -> TrainConfig:
    """A run that learns what a file says of people without labels, beside labelled ones."""
    people = [ellipse_person(tmp_path, number, points=0) for number in (5, 6)]
    people = [replace(person, coarse=None) for person in people]  # type: ignore[arg-type]
    write_annotations(tmp_path / "people.json", [person.image for person in people], people)
    part, uv = np.full((64, 64), 2, np.uint8), np.full((2, 64, 64), 0.5, np.float16)
    with PredictionWriter(tmp_path / "said.h5", 64) as writer:
        for person in people:
            zoom = np.array([[0.5, 0, 0], [0, 0.5, 0]])
            shown = np.zeros((64, 64), bool)
            shown[16:32, 16:32] = True
            key = person.id, person.image.id
            writer.write(DensePoseInstance(*key, person.box, 1.0, zoom, part, uv, shown))
    stage = student.stages[0]
    source = DataSource(
        annotations=str(tmp_path / "people.json"), images=str(tmp_path),
        taught=TaughtSettings(predictions=str(tmp_path / "said.h5")),
    )  # fmt: skip
    return student.replace(stages=(stage.replace(teacher=None, data=(stage.data[0], source)),))


def test_predictions_teach_people_without_labels(said_before: TrainConfig, tmp_path: Path) -> None:
    out = tmp_path / "run"
    plain = said_before.replace(augment=AugmentSettings(scale=0, rotation_deg=0, shift=0, flip=False))
    data = read_stages(plain, taught=lambda stage: taught_labels(out, stage))[0].people
    labelled, unlabelled = data[0], data[3]
    assert (labelled.source == LabelSource.ANNOTATOR).all()
    assert (unlabelled.source == LabelSource.TAUGHT).all()
    assert len(unlabelled.points) == 16  # of 16 x 16 px every fourth, both ways
    end = train(said_before, out, bar=False)
    config, metrics = load_model(end)[1], (out / "metrics.jsonl").read_text()
    assert config.stages[0].data[1].taught == said_before.stages[0].data[1].taught
    assert "stack0/taught_part" in metrics
    assert not (out / "taught").exists()
    assert "within_cm = 8 leaves out no pixel" in (out / "train.log").read_text()


def test_predictions_without_error_bars_are_told_where_they_leave_out_nothing(
    said_before: TrainConfig, tmp_path: Path
) -> None:
    def said_of(**changed: object) -> list[str]:
        stage = said_before.stages[0]
        source = stage.data[1]
        assert source.taught is not None
        source = source.replace(taught=source.taught.replace(**changed))
        lines: list[str] = []
        check_teachers(
            said_before.replace(stages=(stage.replace(data=(stage.data[0], source)),)), lines.append
        )
        return lines

    (line,) = said_of()
    assert "stages.0.data.1.taught.within_cm = 8 leaves out no pixel: " in line
    assert "said.h5 has no error bars" in line
    assert said_of(within_cm=None) == []
    with PredictionFile(tmp_path / "said.h5") as bare, PredictionWriter(tmp_path / "bars.h5", 64) as writer:
        for person in bare:
            writer.write(replace(person, error_cm=np.ones((64, 64), np.float16)))
    assert said_of(predictions=str(tmp_path / "bars.h5")) == []


def test_predictions_that_teach_nobody_are_refused(said_before: TrainConfig, tmp_path: Path) -> None:
    def refused(problem: str, **changed: str) -> None:
        stage = said_before.stages[0]
        source = stage.data[1]
        source = source.replace(
            taught=TaughtSettings(**{"predictions": str(tmp_path / "said.h5"), **changed})
        )
        config = said_before.replace(stages=(stage.replace(data=(stage.data[0], source)),))
        with pytest.raises(ConfigError, match=problem):
            train(config, tmp_path / "run", bar=False)

    refused(r"stages\.0\.data\.1\.taught\.predictions.*none\.h5", predictions=str(tmp_path / "none.h5"))
    with PredictionWriter(tmp_path / "others.h5", 64):
        pass
    refused("of none of the 2 people of .*people.json", predictions=str(tmp_path / "others.h5"))
    stage = said_before.stages[0]
    with pytest.raises(ConfigError, match=r"stages\.0\.data\.taught: nothing learns from it"):
        train(said_before.replace(stages=(stage.replace(loss=None),)), tmp_path / "run", bar=False)


def test_settings_that_teach_nothing_are_refused(
    student: TrainConfig, small_run: TrainConfig, tmp_path: Path
) -> None:
    def refused(config: TrainConfig, problem: str) -> None:
        with pytest.raises(ConfigError, match=problem):
            train(config, tmp_path / "run", bar=False)
        assert not (tmp_path / "run" / "config.yaml").exists()

    stage = student.stages[0]
    refused(student.replace(stages=(stage.replace(loss=None),)), "nothing learns from it")
    refused(student.replace(stages=(stage.replace(teacher=None),)), "loss.taught_part = 0.5, but teacher")
    nobody = TeacherSettings(weights=str(tmp_path / "nobody.pt"))
    refused(student.replace(stages=(stage.replace(teacher=nobody),)), "no checkpoint at")
    (tmp_path / "bad.pt").write_bytes(b"x")
    bad = TeacherSettings(weights=str(tmp_path / "bad.pt"))
    refused(student.replace(stages=(stage.replace(teacher=bad),)), r"stages.0.teacher.weights = .*bad.pt")
    grey = small_run.replace(crop=CropSettings(size=64, background="grey"))
    refused(grey.replace(motion=TpsMotion(kind="tps")), "second pictures of stages.0 have none")


def test_grey_background_needs_outlines(small_run: TrainConfig, tmp_path: Path) -> None:
    person = replace(ellipse_person(tmp_path, 1), coarse=None)  # type: ignore[arg-type]
    write_annotations(tmp_path / "labels.json", [person.image], [person])
    source = DataSource(annotations=str(tmp_path / "labels.json"), images=str(tmp_path))
    stage = small_run.stages[0].replace(data=(source,))
    grey = small_run.replace(stages=(stage,), crop=CropSettings(size=64, background="grey"))
    with pytest.raises(ConfigError, match=r"annotation 101 of ellipse_1.png has no outline"):
        read_stages(grey)


def test_nobody_without_an_outline_is_shown_to_a_teacher(
    teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would answer, and wrongly, wherever it sees a background."""
    model, config = load_model(teacher)
    with pytest.raises(ValueError, match=r"crop\.background = 'grey'"):
        CropNetwork(model, config.crop)
    with pytest.raises(ValueError, match=r"crop\.background = 'grey'"):
        describe_frames(model, [(np.zeros((64, 64, 3), dtype=np.uint8), [])], config.crop)
    pytest.importorskip("onnxruntime", reason="the extra export is not installed")
    assert main(["export", str(teacher), "--out", str(tmp_path / "a.onnx")]) == 2
    assert "crop.background = 'grey'" in capsys.readouterr().err
    assert not (tmp_path / "a.onnx").exists()
