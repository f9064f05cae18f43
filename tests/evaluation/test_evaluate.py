"""From files to scores: rendered truth and a real result score 100, from either kind of file."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from slimdp.__main__ import main
from slimdp.config import CropSettings
from slimdp.data import crop_affine, read_annotations
from slimdp.data.rle import encode_rle
from slimdp.evaluation import (
    Detection,
    PredictionOrigin,
    PredictionWriter,
    ResultFileError,
    as_detection,
    evaluate_files,
    read_results,
    write_results,
)
from slimdp.evaluation.predictions import nearest_pixels
from slimdp.geometry import apply_affine, invert_affine
from slimdp.structures import DensePoseInstance, PersonAnnotation
from slimdp.surface.body import BodySurface
from slimdp.surface.load import load_surface
from slimdp.synthetic.dataset import synthesize
from tests.small_sets import small_plan

CROP = 256


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of two people with points, in 192 px pictures."""
    return synthesize(
        tmp_path_factory.mktemp("evaluate") / "set",
        small_plan(stills=4, size=192),
        5,
        quiet=True,
    )


def true_maps(folder: Path, person: PersonAnnotation) -> np.ndarray:
    """Part, 255 u, 255 v (3, H, W) of one person of a rendered picture, 0 elsewhere."""
    name = person.image.file_name.replace("images/", "iuv/", 1).replace(".jpg", ".png")
    assert person.mask is not None
    return cv2.imread(str(folder / name))[..., ::-1].transpose(2, 0, 1) * person.mask


def true_prediction(maps: np.ndarray, person: PersonAnnotation) -> DensePoseInstance:
    affine = crop_affine(person.box, CropSettings(size=CROP))
    y, x = np.mgrid[:CROP, :CROP]
    places = apply_affine(invert_affine(affine), np.stack([x.ravel(), y.ravel()], axis=1))
    column, row = np.floor(places + 0.5).astype(int).T
    inside = (column >= 0) & (row >= 0) & (column < maps.shape[2]) & (row < maps.shape[1])
    crop = (maps[:, row * inside, column * inside] * inside).reshape(3, CROP, CROP)
    return DensePoseInstance(
        person.id, person.image.id, person.box, 1.0, affine,
        part=np.maximum(crop[0], 1), uv=(crop[1:] / 255).astype(np.float16), foreground=crop[0] > 0,
    )  # fmt: skip


def test_rendered_truth_scores_100_in_both_kinds_of_files(rendered: Path, tmp_path: Path) -> None:
    # As files of PoseTrack have it, people without dp_masks: their outlines are those of the maps, exactly.
    content = json.loads((rendered / "stills_train.json").read_text())
    for entry in content["annotations"]:
        del entry["dp_masks"]
    (tmp_path / "truth.json").write_text(json.dumps(content))
    people = read_annotations(tmp_path / "truth.json", rendered, read_masks=True).people
    assert sum(len(person.points) for person in people) > 200
    detections = []
    with PredictionWriter(tmp_path / "p.h5", CROP) as writer:
        for person in people:
            maps = true_maps(rendered, person)
            writer.write(true_prediction(maps, person))
            x, y, width, height = person.box.astype(int)
            iuv = np.ascontiguousarray(maps[:, y : y + height, x : x + width])
            detections.append(Detection(person.image.id, person.box, 1.0, iuv))
    write_results(tmp_path / "r.json", detections)
    surface = load_surface("open")
    for file in ("r.json", "p.h5"):
        for kappa in ("paper", "per-part"):
            scores = evaluate_files(tmp_path / file, tmp_path / "truth.json", surface, kappa).as_json()
            for name in ("gps", "gpsm", "iou"):
                found = {value for value in scores[name].values() if value is not None}
                assert found == {100.0}, (file, name, scores[name])
    assert scores["points"]["full"]["10cm"] == pytest.approx(100, abs=0.5)  # maps of 8 bits, in crop px
    # Coarse masks hold 256 x 256 px a box, stretched as the rules say: their outlines are a little off.
    with_masks = evaluate_files(tmp_path / "r.json", rendered / "stills_train.json", surface).instances
    assert with_masks["gps"]["AP"] == 100
    assert with_masks["gpsm"]["AP75"] == with_masks["iou"]["AP75"] == 100


def real_truth(found: Detection, folder: Path) -> Path:
    """A result as an annotation file: its outline, and points at some of its pixels."""
    rng = np.random.default_rng(0)
    height, width = found.iuv.shape[1:]
    rows, columns = np.nonzero(found.iuv[0])
    chosen = rng.choice(len(rows), 120, replace=False)
    part, u, v = found.iuv[:, rows[chosen], columns[chosen]]
    mask = np.zeros((425, 640), dtype=bool)
    x, y = found.box[:2].astype(int)
    mask[y : y + height, x : x + width] = found.iuv[0] > 0
    person = {
        "id": 1, "image_id": 785, "category_id": 1, "bbox": found.box.tolist(), "iscrowd": 0,
        "area": int(mask.sum()), "segmentation": encode_rle(mask),
        "dp_x": ((columns[chosen] + 0.5) * 255 / width).tolist(),
        "dp_y": ((rows[chosen] + 0.5) * 255 / height).tolist(),
        "dp_I": part.tolist(), "dp_U": (u / 255).tolist(), "dp_V": (v / 255).tolist(),
    }  # fmt: skip
    image = {"id": 785, "file_name": "000000000785.jpg", "width": 640, "height": 425}
    content = {"images": [image], "annotations": [person], "categories": [{"id": 1, "name": "person"}]}
    (folder / "truth.json").write_text(json.dumps(content))
    return folder / "truth.json"


def test_a_real_result_scores_100_against_itself(
    samples: Path, tmp_path: Path, flat_surface: BodySurface
) -> None:
    file = samples / "densepose" / "results_785.json"
    (found,) = read_results(file)
    truth = real_truth(found, tmp_path)
    instances = evaluate_files(file, truth, flat_surface).instances
    for name in ("gps", "gpsm", "iou"):
        assert set(instances[name].values()) == {100.0, None}
    # Twice as far to the left, it is wrong.
    shifted = dataclasses.replace(found, box=found.box - [100, 0, 0, 0])
    write_results(tmp_path / "r.json", [shifted])
    assert evaluate_files(tmp_path / "r.json", truth, flat_surface).instances["gps"]["AP"] == 0


def test_predictions_score_as_the_results_that_they_export(
    tmp_path: Path, flat_surface: BodySurface, perfect_pair: Any
) -> None:
    truth = written_truth([perfect_pair(k, image_id=k // 2)[0] for k in range(4)], tmp_path)
    with PredictionWriter(tmp_path / "p.h5", 64) as writer:
        for k in range(4):
            writer.write(disturbed(perfect_pair(k, image_id=k // 2)[1]))
    assert main(["results", "--predictions", f"{tmp_path / 'p.h5'}", "--out", f"{tmp_path / 'r.json'}"]) == 0
    ours = evaluate_files(tmp_path / "p.h5", truth, flat_surface)
    exported = evaluate_files(tmp_path / "r.json", truth, flat_surface)
    assert ours.instances == exported.instances
    assert 0 < (ours.instances["gps"]["AP"] or 0) < 100
    assert exported.points is None
    assert list(ours.as_json()) == ["points", "gps", "gpsm", "iou", "kappa", "surface"]


def test_results_name_the_category_that_the_annotation_file_has(
    tmp_path: Path, flat_surface: BodySurface, perfect_pair: Any
) -> None:
    person, prediction = perfect_pair()
    truth = written_truth([person], tmp_path)
    content = json.loads(truth.read_text())
    content["annotations"][0]["category_id"] = content["categories"][0]["id"] = 7
    truth.write_text(json.dumps(content))
    category = read_annotations(truth, "", check_images=False).category_id
    assert category == 7
    origin = PredictionOrigin("last.pt", "ab", str(truth), category)
    with PredictionWriter(tmp_path / "p.h5", 64, origin) as writer:
        writer.write(prediction)
    assert main(["results", "--predictions", f"{tmp_path / 'p.h5'}", "--out", f"{tmp_path / 'r.json'}"]) == 0
    scores = evaluate_files(tmp_path / "r.json", truth, flat_surface).instances
    assert scores == evaluate_files(tmp_path / "p.h5", truth, flat_surface).instances
    (entry,) = json.loads((tmp_path / "r.json").read_text())
    (read,) = read_results(tmp_path / "r.json")
    assert entry["category_id"] == read.category_id == 7


def test_people_in_regions_to_be_ignored_keep_their_points(
    tmp_path: Path, flat_surface: BodySurface, perfect_pair: Any, capsys: pytest.CaptureFixture
) -> None:
    person, prediction = perfect_pair()
    truth = written_truth([person], tmp_path)
    content = json.loads(truth.read_text())
    (image,) = content["images"]
    width, height = image["width"], image["height"]
    image["ignore_regions_x"] = [[0, width, width, 0]]
    image["ignore_regions_y"] = [[0, 0, height, height]]
    truth.write_text(json.dumps(content))
    with PredictionWriter(tmp_path / "p.h5", 64) as writer:
        writer.write(prediction)
    scores = evaluate_files(tmp_path / "p.h5", truth, flat_surface, scores=["gps.AP50"])
    assert scores.points is not None
    assert scores.points.as_json()["full"]["5cm"] == 100
    assert set(scores.instances["gps"].values()) == {None}
    assert (scores.covered, scores.others) == (1, {"gps.AP50": None})
    words = ["--annotations", f"{truth}", "--out", f"{tmp_path / 's.json'}"]
    assert main(["evaluate", "--predictions", f"{tmp_path / 'p.h5'}", *words]) == 0
    assert "1 person with dense pose in regions to be ignored, not counted here" in capsys.readouterr().out
    assert json.loads((tmp_path / "s.json").read_text())["iou"]["AP"] is None
    write_results(tmp_path / "r.json", [as_detection(prediction)])
    with pytest.raises(ValueError, match="regions to be ignored cover the only one of 1 people with dense"):
        evaluate_files(tmp_path / "r.json", truth, flat_surface)


def disturbed(prediction: DensePoseInstance) -> DensePoseInstance:
    rng = np.random.default_rng(prediction.annotation_id)
    wrong = rng.random(prediction.part.shape) < 0.2 * prediction.annotation_id
    return dataclasses.replace(
        prediction,
        part=np.where(wrong, 25 - prediction.part, prediction.part).astype(np.uint8),
        score=rng.random(),
    )


def written_truth(people: list[PersonAnnotation], folder: Path) -> Path:
    from slimdp.data import write_annotations

    images = {person.image.id: person.image for person in people}
    write_annotations(folder / "truth.json", list(images.values()), people)
    return folder / "truth.json"


def test_a_detection_reads_the_crop_at_the_images_pixels(perfect_pair: Any) -> None:
    _, prediction = perfect_pair()
    prediction = dataclasses.replace(prediction, box=np.array([12.4, 7.9, 49.2, 38.7]))
    found = as_detection(prediction)
    assert found.box.tolist() == [12, 7, 50, 40]
    assert found.iuv.shape == (3, 40, 50)
    for x, y in ((12, 7), (30, 20), (61, 46)):
        (column, row), inside = (value[0] for value in nearest_pixels(prediction, np.array([[x, y]])))
        assert inside
        expected = [prediction.part[row, column], *np.rint(255.0 * prediction.uv[:, row, column])]
        assert found.iuv[:, y - 7, x - 12].tolist() == expected
    nobody = dataclasses.replace(prediction, foreground=np.zeros_like(prediction.foreground))
    assert not as_detection(nobody).iuv.any()
    with pytest.raises(ValueError, match="image 1, annotation 1: a box of"):
        as_detection(dataclasses.replace(prediction, box=np.array([0, 0, 1e8, 1e8])))


def test_bad_requests(tmp_path: Path, flat_surface: BodySurface, perfect_pair: Any) -> None:
    person, prediction = perfect_pair()
    truth = written_truth([person], tmp_path)
    with pytest.raises(ValueError, match="no kappa 'half'; choose one of: paper, per-part"):
        evaluate_files(tmp_path / "p.h5", truth, flat_surface, "half")
    with PredictionWriter(tmp_path / "p.h5", 64) as writer:
        writer.write(prediction)
        writer.write(dataclasses.replace(prediction, image_id=9))
    with pytest.raises(ResultFileError, match=r"annotation 1 of image 9: .*truth.json has no such image"):
        evaluate_files(tmp_path / "p.h5", truth, flat_surface)


def test_the_command_prints_and_writes(
    tmp_path: Path, perfect_pair: Any, capsys: pytest.CaptureFixture
) -> None:
    person, prediction = perfect_pair()
    truth = written_truth([person], tmp_path)
    with PredictionWriter(tmp_path / "p.h5", 64) as writer:
        writer.write(prediction)
    given = ["evaluate", "--predictions", f"{tmp_path / 'p.h5'}", "--annotations", f"{truth}"]
    assert main([*given, "--kappa", "paper", "--out", f"{tmp_path / 'scores.json'}"]) == 0
    printed = capsys.readouterr().out
    assert "People found, %, kappa paper:" in printed
    scores = json.loads((tmp_path / "scores.json").read_text())
    (row,) = (line.split() for line in printed.splitlines() if line.startswith("GPS "))
    assert row == ["GPS", *("-" if value is None else f"{value:.1f}" for value in scores["gps"].values())]
    assert scores["gps"]["AP50"] == 100
    assert scores["gps"]["APl"] is None
    assert scores["points"]["full"]["5cm"] == 100
    assert (scores["kappa"], scores["surface"]) == ("paper", "open")
    (tmp_path / "r.json").write_text('[{"image_id": 1}]')
    assert main(["evaluate", "--predictions", f"{tmp_path / 'r.json'}", "--annotations", f"{truth}"]) == 2
    assert "r.json: entry 0 (image 1): category_id: None" in capsys.readouterr().err


def test_thresholds_curves_and_annotators(
    tmp_path: Path, perfect_pair: Any, capsys: pytest.CaptureFixture
) -> None:
    pairs = [perfect_pair(k, image_id=k) for k in range(3)]
    truth = written_truth([person for person, _ in pairs], tmp_path)
    with PredictionWriter(tmp_path / "p.h5", 64) as writer:
        for _, prediction in pairs:
            writer.write(disturbed(prediction))
    (tmp_path / "annotators.json").write_text('{"annotators": {"2cm": 12.3, "5cm": 65.4}}')
    given = ["evaluate", "--predictions", f"{tmp_path / 'p.h5'}", "--annotations", f"{truth}"]
    given += ["--thresholds", "2,7.5", "--annotators", f"{tmp_path / 'annotators.json'}"]
    given += ["--curve", f"{tmp_path / 'c.csv'}", "--curve", f"{tmp_path / 'c.png'}"]
    assert main([*given, "--out", f"{tmp_path / 's.json'}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert ["Annotators", "12.3", "-", "-", "-"] in [line.split() for line in lines]
    points = json.loads((tmp_path / "s.json").read_text())["points"]
    assert list(points["full"]) == ["2cm", "7.5cm", "auc10", "auc30"]
    assert points["resampled"] == "people"
    at_7_5 = next(line for line in (tmp_path / "c.csv").read_text().splitlines() if line.startswith("7.5,"))
    full, low, high = [float(value) for value in at_7_5.split(",")[1:4]]
    assert full == pytest.approx(points["full"]["7.5cm"], abs=1e-3)
    assert [low, high] == pytest.approx(points["intervals"]["full"]["7.5cm"], abs=1e-3)
    assert cv2.imread(str(tmp_path / "c.png")) is not None
    for thresholds, wanted in (("0,5", "but positive numbers"), ("5,five", "but positive numbers")):
        with pytest.raises(SystemExit):
            main([*given, "--thresholds", thresholds])
        assert f"--thresholds: '{thresholds}', {wanted}" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*given, "--curve", "c.pdf"])


def test_scoring_does_not_wait_for_torch() -> None:
    rooms = "slimdp.__main__, slimdp.data, slimdp.evaluation, slimdp.report, slimdp.surface"
    told = f"import sys, {rooms}; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
