from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from slimdp.inference.detectors import (
    DETECTORS,
    DetectorError,
    DetectorRequest,
    FollowDetector,
    VideoWantedError,
    make_detector,
)
from slimdp.inference.detectors.detector import suppress_overlaps
from slimdp.inference.tracking import usual_every
from slimdp.inference.video_frames import open_frames
from slimdp.inference.video_records import Detector
from slimdp.settings_file import ConfigError

IMAGE = np.zeros((48, 64, 3), np.uint8)


@pytest.fixture(autouse=True)
def nothing_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIMDP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "walk"
    made.mkdir()
    for index in range(3):
        cv2.imwrite(str(made / f"{index:06d}.png"), IMAGE)
    return made


def test_auto_says_what_it_takes_and_what_is_missing() -> None:
    detector, said = make_detector("auto")
    assert isinstance(detector, FollowDetector)
    assert "from the whole frame (no weights at hand for yolox or torchvision" in said


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"--detector = 'yolo', but it must be one of auto, yolox, torch"):
        make_detector("yolo:file.onnx")
    with pytest.raises(DetectorError, match="auto takes nothing"):
        make_detector("auto:file.onnx")
    with pytest.raises(DetectorError, match=r"torchvision has no detector 'fast'; it has .*fasterrcnn"):
        make_detector("torchvision:fast")
    with pytest.raises(DetectorError, match=r"no weights at none\.pth"):
        make_detector("torchvision:retinanet_resnet50_fpn:none.pth")
    with pytest.raises(DetectorError, match="score 0; wanted more than 0 and at most 1"):
        make_detector("torchvision", DetectorRequest(score=0))
    for score in (7, float("nan")):
        with pytest.raises(DetectorError, match=rf"score = {score}, but a number in 0\.\.1 is wanted"):
            DetectorRequest(score=score)


def test_a_detector_of_ones_own_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(FollowDetector):
        name = "mine"

    monkeypatch.setitem(DETECTORS, "mine", Mine)
    assert isinstance(make_detector("mine:1,2,3,4")[0], Mine)


def test_follow_gives_its_box_once() -> None:
    detector, said = make_detector("follow:10,20,30,100")
    assert "10,20,30,100" in said
    np.testing.assert_array_equal(detector.detect(IMAGE).xywh, [[10, 20, 30, 28]])  # cut at the frame's end
    assert detector.detect(IMAGE, 1) is None, "it knows nothing of others"
    np.testing.assert_array_equal(make_detector("follow")[0].detect(IMAGE).xywh, [[0, 0, 64, 48]])
    for words, message in (
        ("follow:1,2,3", "wanted follow:x,y,width,height"),
        ("follow:1,2,3,x", "wanted follow:x,y,width,height"),
        ("follow:1,2,0,5", "a box of 0 x 5 px at 1,2"),
        ("follow:nan,2,3,5", "a box of 3 x 5 px at nan,2; wanted x,y,width,height, finite"),
    ):
        with pytest.raises(DetectorError, match=message):
            make_detector(words)
    with pytest.raises(DetectorError, match="lies outside of the frame, 64 x 48 px"):
        make_detector("follow:100,0,10,10")[0].detect(IMAGE)


def test_boxes_of_a_file_are_read_by_frame(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "boxes.json"
    content = {
        "images": [{"id": 1, "file_name": "walk/000000.png"}, {"id": 2, "file_name": "walk/000002.png"}],
        "annotations": [
            {"id": 1, "image_id": 1, "bbox": [1, 2, 10, 20]},
            {"id": 2, "image_id": 2, "bbox": [50, 2, 30, 20]},
            {"id": 3, "image_id": 2, "bbox": [5, 5, 6, 6]},
        ],
    }
    file.write_text(json.dumps(content))
    detector, _ = make_detector(f"boxes:{file}", DetectorRequest(frames=open_frames(folder)))
    np.testing.assert_array_equal(detector.detect(IMAGE, 0).xywh, [[1, 2, 10, 20]])
    assert detector.detect(IMAGE, 1) is None  # of every second frame, this is none
    assert len(detector.detect(IMAGE, 4)) == 0
    np.testing.assert_array_equal(detector.detect(IMAGE, 2).xywh, [[50, 2, 14, 20], [5, 5, 6, 6]])
    source = open_frames(folder)
    recorded = replace(source, info=replace(source.info, frames=0))  # as recordings, which announce no number
    assert make_detector(f"boxes:{file}", DetectorRequest(frames=recorded))[0].detect(IMAGE, 1) is None
    assert usual_every(detector) == 1
    assert usual_every(FollowDetector()) == 4
    assert detector.detect(IMAGE, 2).track is None
    file.write_text(json.dumps({**content, "images": [{"id": 1, "file_name": "run/000000.png"}]}))
    with pytest.raises(DetectorError, match=r"boxes\.json"):
        make_detector(f"boxes:{file}", DetectorRequest(frames=open_frames(folder)))
    with pytest.raises(DetectorError, match="boxes: needs a file"):
        make_detector("boxes")
    with pytest.raises(
        VideoWantedError, match=r"boxes\.json: the boxes are of a video, but no video is known"
    ):
        make_detector(f"boxes:{file}")
    with pytest.raises(DetectorError, match=r"network:a\.pt: nothing reads checkpoints here"):
        make_detector("network:a.pt")


def test_of_boxes_that_overlap_the_best_stays() -> None:
    xywh = np.array([[0.0, 0, 10, 10], [1, 0, 10, 10], [30, 0, 10, 10], [50, 0, 0.5, 10]])
    kept = suppress_overlaps(xywh, np.array([0.5, 0.9, 0.4, 0.8]), 0.5)
    np.testing.assert_array_equal(kept.xywh, xywh[[1, 2]])
    np.testing.assert_array_equal(kept.score, [0.9, 0.4])


def test_a_torchvision_model_runs_from_a_file_of_its_weights(tmp_path: Path) -> None:
    import torch
    from torchvision.models import get_model

    name = "ssdlite320_mobilenet_v3_large"
    torch.manual_seed(0)
    torch.save(get_model(name, weights=None, weights_backbone=None).state_dict(), tmp_path / "w.pth")
    detector, said = make_detector(f"torchvision:{name}:{tmp_path / 'w.pth'}", DetectorRequest(score=0.001))
    assert name in said
    found = detector.detect(np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8))
    assert found.xywh.shape == (len(found), 4)
    assert (found.score >= 0.001).all()
    torch.save({"a": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(DetectorError, match=f"does not fit torchvision's {name}"):
        make_detector(f"torchvision:{name}:{tmp_path / 'w.pth'}")[0].detect(IMAGE)
    (tmp_path / "w.pth").write_bytes(b"nothing")
    with pytest.raises(DetectorError, match="holds no weights that torch reads"):
        make_detector(f"torchvision:{name}:{tmp_path / 'w.pth'}")[0].detect(IMAGE)


def test_people_keep_the_numbers_of_a_file(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "boxes.json"

    def detector_of(*tracks: int | None) -> Detector:
        images = [{"id": 1, "file_name": "walk/000000.png"}, {"id": 2, "file_name": "walk/000002.png"}]
        people = [
            {"id": n, "image_id": image, "bbox": box, "track_id": track}
            for n, (image, box, track) in enumerate(
                zip((1, 2, 2), ([1, 2, 10, 20], [50, 2, 30, 20], [5, 5, 6, 6]), tracks, strict=True)
            )
        ]
        people = [{key: value for key, value in one.items() if value is not None} for one in people]
        file.write_text(json.dumps({"images": images, "annotations": people}))
        return make_detector(f"boxes:{file}", DetectorRequest(frames=open_frames(folder)))[0]

    detector = detector_of(7, 3, 7)
    assert [detector.detect(IMAGE, frame).track.tolist() for frame in (0, 2)] == [[7], [3, 7]]
    detector = detector_of(0, 3, 0)  # 0 is nobody
    assert [detector.detect(IMAGE, frame).track.tolist() for frame in (0, 2)] == [[1], [4, 1]]
    assert detector_of(7, None, 7).detect(IMAGE, 2).track is None
    for tracks, message in (((7, 3, 3), "twice in frame 2"), ((7, -1, 3), r"frame 2 has track_id \[-1, 3\]")):
        with pytest.raises(DetectorError, match=message):
            detector_of(*tracks)
