from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from flow_cache import open_video, read_people_boxes
from tools.detect_people import PersonDetector, main


@pytest.fixture
def weights(samples: Path) -> Path:
    return samples / "weights" / "yolox_nano.onnx"


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes xywh."""
    near, far = np.maximum(a[:2], b[:2]), np.minimum(a[:2] + a[2:], b[:2] + b[2:])
    shared = np.clip(far - near, 0, None).prod()
    return float(shared / (a[2:].prod() + b[2:].prod() - shared))


def test_annotated_people_are_found(samples: Path, weights: Path) -> None:
    """On two pictures of COCO, against its annotators' boxes."""
    content = json.loads((samples / "coco" / "keypoints.json").read_text())
    detector = PersonDetector(weights)
    net = detector.load()
    for image in content["images"]:
        frame = cv2.imread(str(samples / "coco" / image["file_name"]))[..., ::-1]
        boxes, scores = detector.find(net, frame)
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
    detector = PersonDetector(weights)
    net = detector.load()
    capture = cv2.VideoCapture(str(samples / "video" / "juggle.mp4"))
    frame = capture.read()[1][..., ::-1]
    ((box,), (score,)) = detector.find(net, frame)
    tall = np.pad(frame, ((0, 900), (0, 0), (0, 0)))  # another scale
    ((again,), _) = detector.find(net, tall)
    assert overlap(box, again) > 0.85
    assert score > 0.8
    smaller = PersonDetector(weights, side=416)
    boxes, _ = smaller.find(smaller.load(), frame)
    assert max(overlap(box, found) for found in boxes) > 0.85
    assert 1.5 < box[3] / box[2] < 4  # a man who stands


def test_a_video_becomes_what_precompute_reads(
    samples: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture = cv2.VideoCapture(str(samples / "video" / "vtest.avi"))
    folder = tmp_path / "walkers"
    folder.mkdir()
    for index in range(3):
        cv2.imwrite(str(folder / f"{index:03d}.jpg"), capture.read()[1])
    out, sheet = tmp_path / "boxes.json", tmp_path / "sheet.png"
    assert main([str(folder), "--weights", str(weights), "--out", str(out), "--draw", str(sheet)]) == 0
    people = read_people_boxes(out, [open_video(folder)], 0.25)["walkers"]
    assert sorted(people.boxes) == [0, 1, 2]
    assert all(len(boxes) >= 4 for boxes in people.boxes.values())
    assert f"{sum(map(len, people.boxes.values()))} boxes in 3 frames" in capsys.readouterr().out
    assert cv2.imread(str(sheet)).shape == (360, 3 * 480, 3)
    few = tmp_path / "few.json"
    assert main([str(folder), "--weights", str(weights), "--out", str(few), "--score", "0.8"]) == 0
    surest = [entry["score"] for entry in json.loads(few.read_text())["annotations"]]
    assert 0 < len(surest) < len(json.loads(out.read_text())["annotations"])
    assert min(surest) >= 0.8


def test_faults_are_a_message_and_code_2(
    samples: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"nothing")
    video = str(samples / "posetrack18" / "videos" / "000001_mpiinew_test")  # five frames
    for arguments, message in (
        ([video, "--weights", str(tmp_path / "none.onnx")], "no weights at"),
        ([video, "--weights", str(broken)], "is no ONNX file that OpenCV reads"),
        ([str(tmp_path / "none.mp4"), "--weights", str(weights)], "no video at"),
        ([video, video, "--weights", str(weights)], "videos of one name"),
        ([video, "--weights", str(weights), "--side", "100"], "side 100 px; wanted a multiple of 32"),
        ([video, "--weights", str(weights), "--score", "30"], "score 30.0; wanted"),
    ):
        assert main([*arguments, "--out", str(tmp_path / "boxes.json")]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "boxes.json").exists()
