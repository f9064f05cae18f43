from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from flow_cache.images import read_image
from slimdp.inference.detectors import DetectorError, DetectorRequest, YoloxDetector, make_detector
from slimdp.inference.detectors.yolox import _square


@pytest.fixture
def weights(samples: Path) -> Path:
    return samples / "weights" / "yolox_nano.onnx"


def _find(detector: YoloxDetector, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = detector.detect(frame)
    return found.xywh, found.score


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes xywh."""
    near, far = np.maximum(a[:2], b[:2]), np.minimum(a[:2] + a[2:], b[:2] + b[2:])
    shared = np.clip(far - near, 0, None).prod()
    return float(shared / (a[2:].prod() + b[2:].prod() - shared))


def test_annotated_people_are_found(samples: Path, weights: Path) -> None:
    """On two pictures of COCO, against its annotators' boxes."""
    content = json.loads((samples / "coco" / "keypoints.json").read_text())
    detector = YoloxDetector(weights, 640)
    for image in content["images"]:
        frame = cv2.imread(str(samples / "coco" / image["file_name"]))[..., ::-1]
        boxes, scores = _find(detector, frame)
        true = [
            np.array(person["bbox"])
            for person in content["annotations"]
            if person["image_id"] == image["id"] and person["bbox"][3] > 100 and not person.get("iscrowd")
        ]
        assert true
        for box in true:
            assert max(overlap(box, found) for found in boxes) > 0.6
        assert ((scores >= 0.3) & (scores <= 1)).all()
        limits = np.array(frame.shape[1::-1])
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, :2] + boxes[:, 2:] <= limits + 1e-9).all()


def test_boxes_are_in_px_of_the_frame_whatever_its_form(samples: Path, weights: Path) -> None:
    detector = YoloxDetector(weights, 640)
    capture = cv2.VideoCapture(str(samples / "video" / "juggle.mp4"))
    frame = capture.read()[1][..., ::-1]
    ((box,), (score,)) = _find(detector, frame)
    tall = np.pad(frame, ((0, 900), (0, 0), (0, 0)))  # another scale
    ((again,), _) = _find(detector, tall)
    assert overlap(box, again) > 0.85
    assert score > 0.8
    smaller = YoloxDetector(weights)
    boxes, _ = _find(smaller, frame)
    assert max(overlap(box, found) for found in boxes) > 0.85
    assert 1.5 < box[3] / box[2] < 4  # a man who stands


@pytest.mark.parametrize(("height", "width"), [(720, 1280), (1279, 719), (413, 1000), (300, 200), (900, 3)])
def test_a_frame_is_shrunk_as_in_one_step(height: int, width: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    image = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 8), None, 0, 255, cv2.NORM_MINMAX)
    scale = 416 / max(height, width)
    square = _square(image, scale, 416)[0].transpose(1, 2, 0)
    small = (max(round(width * scale), 1), max(round(height * scale), 1))
    wanted = cv2.resize(image, small, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    assert square.shape == (416, 416, 3)
    inside = np.s_[: small[1] - 1, : max(small[0] - 1, 1)]
    assert np.abs(square[inside] - wanted[..., ::-1][inside].astype(float)).mean() < 3


def test_the_file_decides_the_side_and_is_told_from_others(weights: Path, tmp_path: Path) -> None:
    assert YoloxDetector(weights).side == 416
    other = tmp_path / "yolox_s.onnx"
    other.write_bytes(weights.read_bytes())
    assert YoloxDetector(other).side == 640
    assert YoloxDetector(other, 416).settings() == YoloxDetector(weights).settings()
    assert YoloxDetector(weights, score=0.4).settings() != YoloxDetector(weights).settings()


def test_onnxruntime_leaves_other_sides_than_the_files_own_to_opencv(weights: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra: export)")
    assert YoloxDetector(weights).settings()["engine"] == "onnxruntime"
    assert YoloxDetector(weights, 640).settings()["engine"] == "opencv"


def test_a_file_in_the_cache_folder_is_at_hand(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIMDP_CACHE", str(tmp_path))
    assert YoloxDetector.at_hand() is None
    with pytest.raises(DetectorError, match="no YOLOX weights: name the ONNX file"):
        make_detector("yolox")
    (tmp_path / weights.name).symlink_to(weights)
    assert YoloxDetector.at_hand() == str(tmp_path / weights.name)
    detector, said = make_detector("auto", DetectorRequest(score=0.4))
    assert isinstance(detector, YoloxDetector)
    assert detector.score == 0.4
    assert str(tmp_path / weights.name) in said


def test_bad_files_and_settings_are_said(weights: Path, tmp_path: Path) -> None:
    black = np.zeros((48, 64, 3), np.uint8)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"nothing")
    with pytest.raises(DetectorError, match="is no ONNX file"):
        YoloxDetector(broken).detect(black)
    with pytest.raises(DetectorError, match=r"no weights at .*none.onnx"):
        make_detector(f"yolox:{tmp_path / 'none.onnx'}")
    with pytest.raises(DetectorError, match="side 100 px; wanted a multiple of 32"):
        YoloxDetector(weights, 100)
    assert len(YoloxDetector(weights).detect(black)) == 0


@pytest.mark.parametrize("side", [416, 640])
def test_with_onnxruntime_or_without_people_are_where_they_are(
    samples: Path, weights: Path, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    pytest.importorskip("onnxruntime", reason="needs pip install 'slimdp[export]'")
    image = read_image(samples / "coco" / "000000000785.jpg")
    found = []
    for has in (True, False):
        monkeypatch.setattr("slimdp.inference.detectors.yolox._has_onnxruntime", lambda has=has: has)
        found.append(YoloxDetector(weights, side).detect(image))
    assert len(found[0]) >= 1
    np.testing.assert_allclose(found[0].xywh, found[1].xywh, atol=0.1)
    np.testing.assert_allclose(found[0].score, found[1].score, atol=1e-3)
