from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from flow_cache.__main__ import main as flow_main
from slimdp.__main__ import main
from slimdp.data import write_annotations
from slimdp.structures import ImageRecord, LabelSource, PersonAnnotation
from slimdp.suggest.video import asked_videos

FRAMES = 8


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the frames of a clip, cut in the middle, and its flow; only read it."""
    folder = tmp_path_factory.mktemp("suggest")
    (folder / "clip").mkdir()
    rng = np.random.default_rng(0)
    for index in range(FRAMES):
        if index in (0, 5):  # another scene begins
            scene = cv2.GaussianBlur(rng.uniform(0, 255, (64, 96, 3)), (0, 0), 2).clip(0, 255)
        frame = np.roll(scene, 2 * index, axis=1).astype(np.uint8)
        cv2.imwrite(str(folder / "clip" / f"{index:06d}.png"), frame)
    command = ["precompute", str(folder / "clip"), "--out", str(folder / "flow.h5"), "--steps=-1,1"]
    assert flow_main(command) == 0
    return folder


def suggested(out: Path) -> list[int]:
    (rows,) = json.loads(out.read_text())["videos"].values()
    return [row["frame"] for row in rows]


def test_a_frame_of_each_scene_is_suggested(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "next.json"
    command = ["suggest", str(clip / "clip"), "--flow", str(clip / "flow.h5"), "--count", "2"]
    assert main([*command, "--out", str(out)]) == 0
    first, second = suggested(out)
    assert first in (1, 2, 3)
    assert second in (5, 6, 7)
    assert f"frame {first} (00000{first}.png), gain" in capsys.readouterr().out


def test_flow_of_other_frames_of_the_same_name_is_refused(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clip").mkdir()
    for file in (clip / "clip").iterdir():
        cv2.imwrite(str(tmp_path / "clip" / file.name), cv2.flip(cv2.imread(str(file)), 0))
    command = ["suggest", str(tmp_path / "clip"), "--flow", str(clip / "flow.h5")]
    assert main(command) == 2
    assert "are not those that the flow of video 'clip' was computed from" in capsys.readouterr().err


def test_labels_of_one_scene_lead_to_the_other(clip: Path, tmp_path: Path) -> None:
    images = [
        ImageRecord(index, clip / name, name, 96, 64, "clip", index, index == 6)
        for index, name in ((index, f"clip/{index:06d}.png") for index in range(FRAMES))
    ]
    person = PersonAnnotation(
        id=1,
        image=images[6],
        box=np.array([10.0, 10, 60, 40]),
        points=np.array([[30.0, 30.0]]),
        part=np.array([2]),
        uv=np.array([[0.5, 0.5]], dtype=np.float32),
        source=np.array([LabelSource.ANNOTATOR]),
        step=np.array([0]),
        track=1,
        coarse=None,
    )
    others = [
        dataclasses.replace(person.with_points(np.zeros(1, dtype=bool)), id=2 + image.id, image=image)
        for image in images
        if image.id != 6
    ]
    write_annotations(tmp_path / "labels.json", images, [person, *others])
    command = ["suggest", str(tmp_path / "labels.json"), "--images", str(clip), "--count", "1"]
    out = tmp_path / "next.json"
    assert main([*command, "--flow", str(clip / "flow.h5"), "--out", str(out)]) == 0
    assert suggested(out)[0] in (1, 2, 3)
    assert main([*command, "--out", str(out)]) == 0  # evenly: as far from frame 6 as can be
    assert suggested(out) == [0]


@pytest.fixture
def labelled_video(clip: Path, tmp_path: Path) -> Path:
    """The clip as my.avi, and my.json with labels of frames 6 and 7 and a box in frame 2, as `slimdp annotate
    my.avi` writes them."""
    frames = [cv2.imread(str(file)) for file in sorted((clip / "clip").glob("*.png"))]
    writer = cv2.VideoWriter(str(tmp_path / "my.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (96, 64))
    for frame in frames:
        writer.write(frame)
    writer.release()
    images, people = [], []
    (tmp_path / "my_frames" / "my").mkdir(parents=True)
    for identity, index in enumerate((6, 7, 2), start=1):
        name = f"my_frames/my/{index:06d}.jpg"
        cv2.imwrite(str(tmp_path / name), frames[index])
        image = {"id": identity, "file_name": name, "width": 96, "height": 64, "vid_id": "my"}
        images.append({**image, "frame_id": index, "is_labeled": True, "nframes": FRAMES})
        person = {"id": identity, "image_id": identity, "category_id": 1, "bbox": [10, 10, 60, 40]}
        points = {"dp_x": [60], "dp_y": [60], "dp_I": [2], "dp_U": [0.5], "dp_V": [0.5]}
        people.append(person | (points if index != 2 else {}))
    content = {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person"}]}
    (tmp_path / "my.json").write_text(json.dumps(content))
    return tmp_path


def test_labels_of_a_video_file_lead_to_its_other_frames(
    labelled_video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = labelled_video, labelled_video / "next.json"
    (video,) = asked_videos(folder / "my.avi", labels=folder / "my.json")
    assert (len(video.names), video.labelled) == (FRAMES, (6, 7))
    assert {index: [box.tolist() for box in boxes] for index, boxes in (video.boxes or {}).items()} == {
        index: [[10, 10, 60, 40]] for index in (2, 6, 7)
    }
    command = ["suggest", str(folder / "my.avi"), "--labels", str(folder / "my.json"), "--count", "1"]
    assert main([*command, "--out", str(out)]) == 0
    assert suggested(out) == [0]  # as far from frame 6 as can be
    assert "my: 8 frames, 2 labelled" in capsys.readouterr().out
    precompute = ["precompute", str(folder / "my.avi"), "--out", str(folder / "flow.h5"), "--steps=-1,1"]
    assert flow_main(precompute) == 0
    assert main([*command, "--flow", str(folder / "flow.h5"), "--out", str(out)]) == 0
    assert suggested(out)[0] in (1, 2, 3)  # of the other scene


def test_masks_that_flow_brought_make_no_labelled_frame(labelled_video: Path) -> None:
    file = labelled_video / "my.json"
    content = json.loads(file.read_text())
    person = {name: field for name, field in content["annotations"][1].items() if not name.startswith("dp_")}
    masks = {"dp_masks": [{"size": [256, 256], "counts": [0, 65536]}]}
    for marks, labelled in (({}, (6, 7)), ({"dp_propagated": 1}, (6,))):
        content["annotations"][1] = person | masks | marks
        file.write_text(json.dumps(content))
        (video,) = asked_videos(labelled_video / "my.avi", labels=file)
        assert video.labelled == labelled


def test_labels_of_a_folder_of_frames_are_known_by_its_names(clip: Path, labelled_video: Path) -> None:
    content = json.loads((labelled_video / "my.json").read_text())
    for image in content["images"]:
        image["file_name"] = f"clip/{image['frame_id']:06d}.png"
    (labelled_video / "other.json").write_text(json.dumps(content))
    (video,) = asked_videos(clip / "clip", labels=labelled_video / "other.json")
    assert (video.name, video.labelled, set(video.boxes or {})) == ("clip", (6, 7), {2, 6, 7})


@pytest.mark.parametrize("labels", ["my.json", "renamed.json"])
def test_a_folder_of_labelled_frames_alone_is_no_video(
    labelled_video: Path, capsys: pytest.CaptureFixture[str], labels: str
) -> None:
    folder = labelled_video
    (folder / "my.json").rename(folder / labels)
    assert main(["suggest", str(folder / labels), "--images", str(folder)]) == 2
    said = capsys.readouterr().err
    assert "my_frames/my has the labelled frames of 'my' alone (3); name the video" in said
    assert f"slimdp suggest VIDEO --labels {folder / labels}" in said


@pytest.mark.parametrize(("folder", "first"), [("posetrack_frames/walk", 1), ("labels_frames/walk", 0)])
def test_a_video_whose_frames_are_all_listed_is_one(tmp_path: Path, folder: str, first: int) -> None:
    """PoseTrack's files list all frames of a video, which count from 1, with people or without."""
    (tmp_path / folder).mkdir(parents=True)
    names = [f"{folder}/{first + index:06d}.png" for index in range(5)]
    for name in names:
        cv2.imwrite(str(tmp_path / name), np.zeros((64, 96, 3), np.uint8))
    images = [
        {"id": index, "file_name": name, "width": 96, "height": 64, "vid_id": "walk", "frame_id": index}
        for index, name in enumerate(names)
    ]
    person = {"id": 1, "image_id": 2, "category_id": 1, "bbox": [10, 10, 60, 40]}
    content = {"images": images, "annotations": [person], "categories": [{"id": 1, "name": "person"}]}
    (tmp_path / "labels.json").write_text(json.dumps(content))
    (video,) = asked_videos(tmp_path / "labels.json", tmp_path)
    assert (len(video.names), video.labelled, list(video.boxes or {})) == (5, (), [2])


def test_nothing_left_to_suggest_is_said(
    labelled_video: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads((labelled_video / "my.json").read_text())
    del content["images"][2], content["annotations"][2]
    (labelled_video / "my_frames" / "my" / "000002.jpg").unlink()
    (labelled_video / "my_frames").rename(labelled_video / "frames")
    for image in content["images"]:
        image["file_name"] = image["file_name"].replace("my_frames", "frames")
    (labelled_video / "my.json").write_text(json.dumps(content))
    assert main(["suggest", str(labelled_video / "my.json"), "--images", str(labelled_video)]) == 0
    said = capsys.readouterr().out
    assert "my: 2 frames, 2 labelled\n  nothing left to suggest: every frame has labels" in said


def test_labels_of_other_videos_are_refused(labelled_video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads((labelled_video / "my.json").read_text())
    content["images"][0]["vid_id"], content["images"][1]["vid_id"], content["images"][2]["vid_id"] = "abc"
    (labelled_video / "my.json").write_text(json.dumps(content))
    labels = ["--labels", str(labelled_video / "my.json")]
    assert main(["suggest", str(labelled_video / "my.avi"), *labels]) == 2
    assert "no labels of video 'my', but of a, b, c" in capsys.readouterr().err
    assert main(["suggest", str(labelled_video / "my.json"), *labels]) == 2
    assert "name the video of the labels in its place" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["clip", "--method", "flow"], "name --flow"),
        (["clip", "--method", "features"], "name --weights"),
        (["labels.json"], "say where they are: --images FOLDER"),
        (["nowhere.mp4"], "nowhere.mp4"),
    ],
)
def test_what_is_missing_is_named(
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(clip)
    assert main(["suggest", *options]) == 2
    assert message in capsys.readouterr().err
