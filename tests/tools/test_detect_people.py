from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from flow_cache import open_video, read_people_boxes
from tools.detect_people import main


@pytest.fixture
def weights(samples: Path) -> Path:
    return samples / "weights" / "yolox_nano.onnx"


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
        ([video, "--weights", str(broken)], "is no ONNX file that"),
        ([str(tmp_path / "none.mp4"), "--weights", str(weights)], "no video at"),
        ([video, video, "--weights", str(weights)], "videos of one name"),
        ([video, "--weights", str(weights), "--side", "100"], "side 100 px; wanted a multiple of 32"),
        ([video, "--weights", str(weights), "--score", "30"], "score 30.0; wanted"),
    ):
        assert main([*arguments, "--out", str(tmp_path / "boxes.json")]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "boxes.json").exists()
