"""`slimdp video` as users call it, with a small network that knows nothing."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import av
import cv2
import h5py
import numpy as np
import pytest
import torch

from slimdp import DensePose
from slimdp.__main__ import main
from slimdp.config import TrainConfig
from slimdp.data import read_annotations, write_annotations
from slimdp.evaluation import PredictionFile
from slimdp.inference import weights as weights_module
from slimdp.inference.detectors import DETECTORS, DetectorRequest
from slimdp.inference.pieces import OutputFolderError
from slimdp.inference.video_records import Boxes
from slimdp.structures import ImageRecord, PersonAnnotation
from slimdp.training.checkpoint import Checkpoint, build_model, load_checkpoint, save_checkpoint


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "stage_stills.pt"
    config = TrainConfig.model_validate(
        {
            "model": {"name": "hourglass", "stacks": 1, "features": 8},
            "crop": {"size": 64},
            "stages": [{"name": "stills", "data": [{"annotations": "a.json", "images": "."}], "steps": 1}],
        }
    )
    torch.manual_seed(0)
    save_checkpoint(path, Checkpoint(config, stage=1, step=0, model=build_model(config).state_dict()))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("frames") / "walk"
    made.mkdir()
    rng = np.random.default_rng(0)
    for index in range(5):
        cv2.imwrite(str(made / f"{index:03d}.png"), rng.integers(0, 256, (48, 64, 3)))
    return made


def run(*words: object) -> int:
    return main(["video", *map(str, words)])


def test_a_folder_becomes_a_video(
    weights: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    options = ["--weights", weights, "--detector", "follow:10,5,30,40", "--rate", "10", "--flip-test"]
    assert run(folder, "--out", out, *options) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [str(out / "overlay.mp4")]
    assert "one person is followed by the network's own outline, from x,y,width,height 10,5,30,40" in said.err
    with av.open(str(out / "overlay.mp4")) as container:
        frames = list(container.decode(video=0))
    assert [(frame.width, frame.height) for frame in frames] == [(64, 48)] * 5
    assert frames[-1].time == pytest.approx(0.4)
    record = json.loads((out / "video.json").read_text())
    assert (record["frames"], record["outputs"]) == (5, ["overlay.mp4"])
    assert run(folder, "--out", out, *options) == 0  # all of it is there
    assert run(folder / ".." / folder.name, "--out", out, *options) == 0, "by another name"
    assert run(folder, "--out", out, *options, "--preset", "ultrafast") == 2
    assert "preset was null" in capsys.readouterr().err
    assert run(folder, "--out", out, *options, "--smooth", "none") == 2
    assert "is of another run: smoothing was" in capsys.readouterr().err


def test_people_are_found_from_boxes_that_are_drawn(weights: Path, folder: Path, tmp_path: Path) -> None:
    image = ImageRecord(1, folder / "002.png", "images/walk/000002.jpg", 64, 48, "walk", 2)
    none = np.zeros(0, np.int64)
    box = np.array([10.0, 5, 30, 40])
    drawn = PersonAnnotation(1, image, box, np.zeros((0, 2)), none, np.zeros((0, 2), np.float32), none, none)
    write_annotations(tmp_path / "labels.json", [image], [drawn])
    out = tmp_path / "out"
    options = ["--weights", weights, "--detector", "follow", "--anchors", tmp_path / "labels.json"]
    assert run(folder, "--out", out, *options, "--write", "people", "--smooth", "none") == 0
    people = read_annotations(out / "people" / "people.json", out / "people").people
    assert len(people) == 5
    assert people[2].box.tolist() == box.tolist()
    with PredictionFile(out / "people" / "predictions.h5") as said:
        assert all(person.error_cm is not None for person in said)


def test_an_image_becomes_an_image(
    weights: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--weights", weights, "--detector", "follow", "--write", "overlay,iuv"]
    assert run(folder / "001.png", "--out", tmp_path / "out", *options) == 0
    assert capsys.readouterr().out.splitlines() == [
        str(tmp_path / "out" / name) for name in ("overlay.png", "iuv")
    ]
    assert cv2.imread(str(tmp_path / "out" / "overlay.png")).shape == (48, 64, 3)
    assert [file.name for file in (tmp_path / "out" / "iuv").iterdir()] == ["000000.png"]


class Unsure:
    """A detector of somebody in the middle, of whom it is as sure as it is told to be at least."""

    name = "unsure"

    def __init__(self, score: float) -> None:
        self.score = score

    @classmethod
    def from_request(cls, request: DetectorRequest) -> Unsure:
        return cls(request.score)

    def settings(self) -> dict[str, object]:
        return {"score": self.score}

    def detect(self, image: np.ndarray, index: int = 0) -> Boxes:
        left = -90.0 if index == 3 else 10.0
        return Boxes(np.array([[left, 5.0, 30, 40]]), np.array([self.score]))


def test_a_score_that_is_named_begins_people(
    weights: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setitem(DETECTORS, "unsure", Unsure)
    options = ["--weights", weights, "--detector", "unsure", "--smooth", "none", "--write", "iuv-h5"]

    def finds_somebody(video: Path, out: str, *more: object) -> bool:
        assert run(video, "--out", tmp_path / out, *options, *more) == 0
        with h5py.File(tmp_path / out / "iuv.h5") as file:
            return len(file["people/track"]) > 0

    assert not finds_somebody(folder, "usual", "--frames", 3)
    assert finds_somebody(folder, "named", "--frames", 3, "--score", 0.3)
    assert finds_somebody(folder / "001.png", "still")
    assert run(folder, "--out", tmp_path / "out", *options, "--every", 1) == 2
    said = "detector unsure, frame 3: box 0: x, y, width, height = -90, 5, 30, 40; wanted one that the image"
    assert said in capsys.readouterr().err


def test_what_cannot_be_is_said(
    weights: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    for options, message in (
        (["--weights", tmp_path / "none.pt"], "no weights at"),
        (["--weights", weights, "--write", "overlays"], "--write = 'overlays', but it must be one of"),
        (["--weights", weights, "--preset", "quick"], "preset 'quick' of x264; choices: ultrafast"),
        (["--weights", weights, "--detector", "yolo"], "--detector = 'yolo', but it must be one of"),
        (["--weights", weights, "--detector", "follow", "--smooth", "flo"], "--smooth = 'flo'"),
        (["--weights", weights, "--detector", "follow", "--tracker", "f"], "--tracker = 'f'"),
        (["--weights", weights, "--detector", "follow", "--flow", tmp_path / "f.h5"], "no flow store at"),
    ):
        assert run(folder, "--out", out, *options) == 2
        assert message in capsys.readouterr().err
    assert run(tmp_path / "none.mp4", "--weights", weights, "--out", out) == 2
    assert "no video at" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("suffix", [".mkv", ".bmp"])
def test_a_file_that_was_renamed_is_the_same_video(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    def make(file: Path, grey: int) -> None:
        image = np.full((48, 64, 3), grey, np.uint8)
        if suffix == ".bmp":
            cv2.imwrite(str(file), image)
            return
        with av.open(str(file), "w") as container:
            stream = container.add_stream("ffv1", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "bgr24")))
            container.mux(stream.encode())

    first, second = tmp_path / f"a{suffix}", tmp_path / "elsewhere" / f"b{suffix}"
    second.parent.mkdir()
    words = ["--out", tmp_path / "out", "--weights", weights, "--detector", "follow:10,5,30,40"]
    make(first, 60)
    assert run(first, *words, "--write", "iuv-h5") == 0
    first.rename(second)
    assert run(second, *words, "--write", "iuv-h5") == 0
    assert run(second, *words, "--write", "iuv-h5,results") == 0
    make(second, 90)
    capsys.readouterr()
    assert run(second, *words, "--write", "iuv-h5") == 2
    assert f"video was {first}, and is {second} now; choose another --out" in capsys.readouterr().err


@pytest.fixture
def shipped(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Small networks in the place of those that come with slimdp: new-64, the default, and old-64."""
    files = tmp_path / "shipped" / "new-64.pt", tmp_path / "shipped" / "old-64.pt"
    files[0].parent.mkdir()
    there = load_checkpoint(weights)
    for step, file in enumerate(files):
        save_checkpoint(file, replace(there, average_updates=step))
    hashes = {file.name: weights_module.file_sha256(file).hex() for file in files}
    monkeypatch.setattr(weights_module, "FOLDER", files[0].parent)
    monkeypatch.setattr(weights_module, "SHIPPED", hashes)
    return files


def test_a_folder_of_earlier_default_weights_is_gone_on_with_by_their_name(
    shipped: tuple[Path, Path], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    new, old = shipped
    words = [folder, "--out", tmp_path / "out", "--detector", "follow:10,5,30,40", "--write", "iuv"]
    with monkeypatch.context() as before:
        before.setattr(weights_module, "SHIPPED", dict(reversed(weights_module.SHIPPED.items())))
        assert run(*words) == 0
    capsys.readouterr()
    assert run(*words) == 2
    remedies = "go on with --weights old-64, choose another --out, or remove it"
    wanted = f"weights were {old}, and are {new} now; {remedies}"
    assert wanted in capsys.readouterr().err
    model = DensePose.load(detector="follow:10,5,30,40", device="cpu")
    with pytest.raises(OutputFolderError, match=re.escape(wanted)):
        model.video(folder, tmp_path / "out", "iuv")
    assert run(*words, "--weights", "old-64") == 0
    assert DensePose.load("old-64", "follow:10,5,30,40", device="cpu").video(folder, tmp_path / "out", "iuv")


def test_pictures_that_changed_are_another_video(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """BMP files keep their size, whatever they show."""
    (tmp_path / "walk").mkdir()
    words = [tmp_path / "walk", "--out", tmp_path / "out", "--weights", weights]
    words += ["--detector", "follow:10,5,30,40", "--write", "iuv"]
    for grey, code in ((60, 0), (60, 0), (90, 2)):
        for index in range(2):
            cv2.imwrite(str(tmp_path / "walk" / f"{index}.bmp"), np.full((48, 64, 3), grey, np.uint8))
        capsys.readouterr()
        assert run(*words) == code
    assert "walk has other content now; choose another --out" in capsys.readouterr().err
