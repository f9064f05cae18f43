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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["clip", "--method", "flow"], "name --flow"),
        (["clip", "--method", "features"], "name --weights"),
        (["labels.json"], "say where they are: --images FOLDER"),
        (["clip", "--count", "0"], "0 frames, but 1 or more are wanted"),
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
