"""The Python interface, and its page's examples."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from flow_cache.images import ImageError
from flow_cache.runtime.checksums import file_sha256
from slimdp import DensePose
from slimdp.__main__ import main
from slimdp.config import CropSettings, DataSource, StageSettings, TrainConfig
from slimdp.dense_pose import DetectorError
from slimdp.evaluation.predictions import PredictionFile, paste_prediction
from slimdp.inference.image_pose import ImagePose
from slimdp.inference.video_records import Boxes
from slimdp.models import HourglassSettings, StackedHourglass
from slimdp.settings_file import ConfigError
from slimdp.training.checkpoint import Checkpoint, save_checkpoint

PAGE = Path(__file__).resolve().parents[1] / "docs" / "python.md"


class TwoPeople:
    """A detector that knows, and says the surer one last."""

    name = "two"

    def __init__(self, found: object = None) -> None:
        boxes = np.array([[10.0, 10, 60, 120], [70, 20, 70, 130]])
        self._found = Boxes(boxes, np.array([0.6, 0.9])) if found is None else found

    def settings(self) -> dict[str, object]:
        return {}

    def detect(self, image: np.ndarray, index: int = 0) -> Boxes:
        return self._found  # type: ignore[return-value]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a network that sees a person everywhere."""
    torch.manual_seed(0)
    model = StackedHourglass(stacks=1, features=8)
    state = model.state_dict()
    for name, value in state.items():
        if name.endswith(("coarse_segm.bias", "fine_segm.bias")):
            value[0] -= 9
    source = DataSource(annotations="labels.json", images="images")
    config = TrainConfig(
        stages=(StageSettings(name="stills", data=(source,), steps=1),),
        model=HourglassSettings(stacks=1, features=8),
        crop=CropSettings(size=64),
    )
    path = tmp_path_factory.mktemp("weights") / "people-128.pt"
    save_checkpoint(path, Checkpoint(config, 0, 1, state))
    return path


@pytest.fixture(scope="module")
def model(weights: Path) -> DensePose:
    return DensePose.load(weights, detector=TwoPeople(), device="cpu")


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (180, 150, 3)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2)


@pytest.fixture(scope="module")
def result(model: DensePose, image: np.ndarray) -> ImagePose:
    return model(image)


def test_people_come_surest_first_with_maps_of_the_picture(result: ImagePose, image: np.ndarray) -> None:
    assert len(result) == 2
    assert result.scores.tolist() == [0.9, 0.6]
    np.testing.assert_array_equal(result.boxes, [[70, 20, 70, 130], [10, 10, 60, 120]])
    for person in result:
        assert person.mask.sum() > 500
        assert person.part.shape == image.shape[:2]
        assert person.uv.shape == (2, *image.shape[:2])
        np.testing.assert_array_equal(person.iuv[1:], np.rint(255 * person.uv))
        assert not person.uv[:, ~person.mask].any()
        # Between the crop's pixels smooth, but otherwise what evaluation sees in it.
        nearest, _ = paste_prediction(person.instance, 150, 180)
        assert ((nearest > 0) == person.mask).mean() > 0.97
        both = (nearest > 0) & person.mask
        assert (nearest == person.part)[both].mean() > 0.9


def test_everyone_in_one_map_has_the_surest_on_top(result: ImagePose, image: np.ndarray) -> None:
    first, second = result[0].mask, result[1].mask
    assert (first & second).any()
    np.testing.assert_array_equal(result.index == 0, first)
    np.testing.assert_array_equal(result.index == 1, second & ~first)
    np.testing.assert_array_equal(result.iuv[:, first], result[0].iuv[:, first])
    drawn = result.overlay(alpha=1)
    np.testing.assert_array_equal(drawn[result.index < 0], image[result.index < 0])
    assert (drawn[first] != image[first]).any()


def test_places_are_read_at_the_nearest_pixel(result: ImagePose) -> None:
    person = result[0]
    x, y = person.pixels[len(person.pixels) // 2]
    part, uv = person.at([[x + 0.4, y - 0.4], [-3.0, 5.0], [x, 1e6]])
    assert part.tolist() == [person.part[y, x], 0, 0]
    np.testing.assert_array_equal(uv[0], person.uv[:, y, x])
    assert not uv[1:].any()
    every, _ = person.at(person.pixels)
    assert (every > 0).all()
    assert len(every) == person.mask.sum()


def test_pixels_lead_to_the_surface(
    result: ImagePose, flat_surface: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slimdp.inference.image_pose.load_surface", lambda name: flat_surface)
    person = result[0]
    positions, vertices = person.positions(), person.vertices()
    assert positions.shape == (len(person.pixels), 3)
    assert np.isfinite(positions).all()
    # The flat surface's charts are squares of half a metre, (u, v) along their sides.
    part, uv = person.at(person.pixels)
    first = part == part[0]
    offset = positions[first, :2] - 0.5 * uv[first]
    np.testing.assert_allclose(offset, np.broadcast_to(offset[0], offset.shape), atol=1e-4)
    corner = flat_surface.vertices[vertices]  # type: ignore[attr-defined]
    assert np.linalg.norm(corner - positions, axis=1).max() < 0.36  # half of the diagonal of a cell
    assert person.vertices(np.array([[-5.0, -5.0]])).tolist() == [-1]
    assert np.isnan(person.positions(np.array([[-5.0, -5.0]]))).all()


def test_the_texture_holds_the_colours_of_the_pixels(result: ImagePose, image: np.ndarray) -> None:
    person = result[0]
    atlas = person.texture()
    assert atlas.shape == (1200, 800, 4)
    x, y = person.pixels[7]
    part, (u, v) = int(person.part[y, x]), person.uv[:, y, x]
    row = (part - 1) % 6 * 200 + round(float(1 - v) * 199)
    column = (part - 1) // 6 * 200 + round(float(u) * 199)
    assert atlas[row, column, 3] == 255
    alike = (person.part == part) & (np.rint(person.uv[0] * 199) == round(float(u) * 199))
    alike &= np.rint((1 - person.uv[1]) * 199) == round(float(1 - v) * 199)
    np.testing.assert_allclose(atlas[row, column, :3], image[alike].mean(axis=0), atol=0.51)


def test_contours_are_of_the_picture(result: ImagePose) -> None:
    for line in result[0].contours([0.5]):
        x, y = line.points.mean(axis=0)
        assert 0 <= x < 150
        assert 0 <= y < 180
        assert line.level == 0.5


def test_arrays_pil_images_and_files_give_the_same(
    model: DensePose, image: np.ndarray, tmp_path: Path
) -> None:
    Image.fromarray(image).save(tmp_path / "a.png")
    boxes = [[20, 20, 80, 120]]
    expected = model(image, boxes).iuv
    assert expected.any()
    for other in (
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        Image.open(tmp_path / "a.png"),
        image[:, ::-1][:, ::-1],
    ):
        np.testing.assert_array_equal(model(other, boxes).iuv, expected)
    grey = Image.fromarray(image).convert("L")
    assert model(grey, boxes).image.shape == (180, 150, 3)


@pytest.mark.parametrize(("name", "type_"), [("a.png", "<u2"), ("a.tif", "<u2"), ("b.tif", ">u2")])
def test_16_bits_of_a_pil_image_are_scaled_as_those_of_its_file(
    model: DensePose, tmp_path: Path, name: str, type_: str
) -> None:
    values = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    Image.fromarray(values.astype(type_)).save(tmp_path / name)
    with Image.open(tmp_path / name) as opened:
        found = model(opened, []).image
    np.testing.assert_array_equal(found, np.repeat((values // 256).astype(np.uint8)[:, :, None], 3, axis=2))
    np.testing.assert_array_equal(found, model(tmp_path / name, []).image)


def test_the_tag_of_a_pil_image_is_told_where_it_is_not_applied(
    model: DensePose, image: np.ndarray, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(image).save(tmp_path / "a.png", exif=exif)
    tagged = Image.open(tmp_path / "a.png")
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(model(tagged, []).image, image)
        assert "the PIL image has an orientation tag, which is not applied" in caplog.text
        caplog.clear()
        upright = model(ImageOps.exif_transpose(tagged), []).image
        np.testing.assert_array_equal(upright, np.rot90(image, -1))
        Image.fromarray(image).save(tmp_path / "a.tif", tiffinfo={274: 6})  # which Pillow turns by itself
        np.testing.assert_array_equal(model(Image.open(tmp_path / "a.tif"), []).image, upright)
    assert not caplog.messages


def test_given_boxes_keep_their_order(model: DensePose, image: np.ndarray) -> None:
    boxes = np.array([[5.0, 5, 50, 60], [60, 60, 40, 90]])
    result = model(image, boxes)
    np.testing.assert_array_equal(result.boxes, boxes)
    assert result.scores.tolist() == [1, 1]
    assert len(model(image, boxes[0])) == 1
    assert len(model(image, [])) == 0
    assert model(image, []).iuv.max() == 0


def test_without_a_detector_one_person_fills_the_picture(weights: Path, image: np.ndarray) -> None:
    result = DensePose.load(weights, detector=None, device="cpu")(image)
    np.testing.assert_array_equal(result.boxes, [[0, 0, 150, 180]])


@pytest.mark.parametrize("detector", [None, "follow"])
def test_without_a_detector_a_picture_is_looked_at_again_as_a_video_is(
    weights: Path, image: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, detector: str | None
) -> None:
    outline = np.array([30.0, 40, 60, 90])
    monkeypatch.setattr("slimdp.inference.outline_tracking.outline_box", lambda person: outline)
    Image.fromarray(image).save(tmp_path / "a.png")
    model = DensePose.load(weights, detector=detector, device="cpu")
    (person,) = model(tmp_path / "a.png")
    assert person.box.tolist() == outline.tolist()
    (file,) = model.video(tmp_path / "a.png", tmp_path / "out", "iuv-h5", smooth="none", flip_test=False)
    with h5py.File(file) as written:
        assert written["people/box"][:].tolist() == [outline.tolist()]
        np.testing.assert_array_equal(written["iuv"][0][..., 0], person.part)
    given = model(image, boxes=[10, 10, 50, 60])
    assert given.boxes.tolist() == [[10, 10, 50, 60]]


def test_that_no_detector_is_at_hand_is_told(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    image: np.ndarray,
) -> None:  # fmt: skip
    monkeypatch.setenv("SLIMDP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with caplog.at_level(logging.WARNING):
        for detector in ("follow", None):
            DensePose.load(weights, detector=detector, device="cpu")
        assert not caplog.messages
        model = DensePose.load(weights, device="cpu")
        model(image)
        model(image)
    (said,) = caplog.messages
    assert "no detector is at hand, so one person is looked for in the whole picture" in said
    assert "detector='torchvision', which downloads its weights" in said


def test_a_picture_shows_the_same_people_as_a_video_of_it(
    weights: Path, image: np.ndarray, tmp_path: Path
) -> None:
    boxes = TwoPeople().detect(image).xywh
    unsure = TwoPeople(Boxes(boxes, np.array([0.35, 0.9])))
    (tmp_path / "walk").mkdir()
    for index in range(2):
        Image.fromarray(image).save(tmp_path / "walk" / f"{index}.png")

    def scores(video: str, out: str, score: float | None = None) -> list[float]:
        model = DensePose.load(weights, detector=unsure, device="cpu", score=score)
        (file,) = model.video(tmp_path / video, tmp_path / out, "iuv-h5", smooth="none", frames=1)
        with h5py.File(file) as written:
            return sorted(np.round(written["people/score"][:], 3).tolist())

    assert len(DensePose.load(weights, detector=unsure, device="cpu")(image)) == 2
    assert scores("walk/0.png", "still") == [0.35, 0.9]
    assert scores("walk", "usual") == [0.9]
    assert scores("walk", "chosen", score=0.3) == [0.35, 0.9]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (Boxes(np.array([[np.nan, 0, 3, 3]]), np.ones(1)), r"box 0: x, y, width, height = nan, 0, 3, 3"),
        (Boxes(np.array([[0.0, 0, 9, 9], [0, 0, 0, 5]]), np.ones(2)), r"box 1: .* = 0, 0, 0, 5; wanted one"),
        (Boxes(np.array([[500.0, 500, 10, 10]]), np.ones(1)), "wanted one that the image of 150 x 180 px"),
        (Boxes(np.array([[0.0, 0, 1e9, 1e9]]), np.ones(1)), "at most 100 times as large"),
        (Boxes(np.ones((2, 3)), np.ones(2)), r"boxes of shape \(2, 3\); wanted \(N, 4\)"),
        (Boxes(np.array([[0.0, 0, 9, 9]]), np.ones(2)), r"scores .* of 1 boxes; wanted a finite number"),
        (Boxes(np.array([[0.0, 0, 9, 9]]), np.array([np.nan])), "wanted a finite number for each"),
        (
            Boxes(np.array([[0.0, 0, 9, 9]]), np.ones(1), track=np.array([1, 2])),
            r"track of shape \(2,\) of 1",
        ),
        ([[0.0, 0, 9, 9]], r"gives a list; wanted Boxes\(xywh, score\)"),
    ],
)
def test_what_a_detector_of_ones_own_finds_is_checked(
    weights: Path, image: np.ndarray, tmp_path: Path, found: object, message: str
) -> None:
    model = DensePose.load(weights, detector=TwoPeople(found), device="cpu")
    with pytest.raises(DetectorError, match=f"^detector two:? .*{message}"):
        model(image)
    Image.fromarray(image).save(tmp_path / "0.png")
    with pytest.raises(DetectorError, match=f"^detector two, frame 0:? .*{message}"):
        model.video(tmp_path / "0.png", tmp_path / "out", smooth="none")


def test_lists_of_boxes_that_a_detector_finds_are_taken(weights: Path, image: np.ndarray) -> None:
    found = Boxes([[-20, 10, 60, 60], [5, 5, 20, 30]], [0.5, 0.75])  # type: ignore[arg-type]
    result = DensePose.load(weights, detector=TwoPeople(found), device="cpu")(image)
    assert result.boxes.tolist() == [[5, 5, 20, 30], [-20, 10, 60, 60]]


def test_a_detector_for_pictures_alone_says_what_a_video_needs(
    weights: Path, image: np.ndarray, tmp_path: Path
) -> None:
    class OfPictures:
        def detect(self, image: np.ndarray) -> Boxes:
            return Boxes(np.array([[5.0, 5, 20, 30]]), np.ones(1))

    model = DensePose.load(weights, detector=OfPictures(), device="cpu")  # type: ignore[arg-type]
    assert len(model(image)) == 1
    Image.fromarray(image).save(tmp_path / "0.png")
    with pytest.raises(DetectorError, match="of type OfPictures has no name and no settings, which a video"):
        model.video(tmp_path / "0.png", tmp_path / "out")


def test_people_have_the_error_that_their_parts_expect_as_of_the_command(
    weights: Path, image: np.ndarray, tmp_path: Path, flat_surface: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slimdp.inference.video.load_surface", lambda name: flat_surface)
    (tmp_path / "walk").mkdir()
    for index in range(2):
        Image.fromarray(image).save(tmp_path / "walk" / f"{index}.png")
    model = DensePose.load(weights, detector="follow", device="cpu")
    (people,) = model.video(tmp_path / "walk", tmp_path / "ours", write=["people"], smooth="none")
    with PredictionFile(people / "predictions.h5") as file:
        assert file.has_error_bars
        ours = [person.error_cm for person in file]
    words = ["--weights", weights, "--detector", "follow", "--device", "cpu", "--smooth", "none"]
    words += [tmp_path / "walk", "--out", tmp_path / "theirs", "--write", "people"]
    assert main(["video", *map(str, words)]) == 0
    with PredictionFile(tmp_path / "theirs" / "people" / "predictions.h5") as file:
        np.testing.assert_array_equal(ours, [person.error_cm for person in file])
    with pytest.raises(ValueError, match="no error bars to draw"):
        model.video(tmp_path / "walk", tmp_path / "error", write=["people", "error"])


def test_a_file_that_is_no_picture_is_an_image_error(model: DensePose, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    for name, message in (
        ("none.jpg", r"none\.jpg: no such image file"),
        ("none", "none: no such image file"),
        ("notes.txt", r"notes\.txt .*; a picture is wanted"),
        ("cut.jpg", r"cut\.jpg"),
    ):
        with pytest.raises(ImageError, match=message):
            model(tmp_path / name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda image: image[..., 0], r"a grey image of shape \(180, 150\); wanted \(H, W, 3\) RGB"),
        (lambda image: image[..., :1], r"a grey image of shape \(180, 150, 1\)"),
        (lambda image: np.dstack([image, image[..., :1]]), r"\(180, 150, 4\); .*drop the transparency"),
        (lambda image: image / 255, r"an image of float64; wanted uint8"),
        (lambda image: image.transpose(2, 0, 1), r"an image of shape \(3, 180, 150\)"),
        (lambda image: image[:0], r"an image of shape \(0, 150, 3\)"),
        (lambda image: image.tolist(), r"an image of type list; wanted a NumPy array, a PIL image or a path"),
        (
            lambda image: image.astype(">u2"),
            r"of >u2; wanted uint8 in 0..255: \(image // 256\)\.astype",
        ),
        (lambda image: image.astype(int), r"an image of int64; wanted uint8 in 0..255: image\.astype"),
        (
            lambda image: Image.new("I", (20, 20)),
            r"mode I; wanted 8 bits a channel: give the name of its file",
        ),
        (lambda image: Image.new("HSV", (20, 20)), r"mode HSV; wanted 8 bits a channel, as image\.convert"),
        (lambda image: "nowhere.jpg", r"nowhere\.jpg: no such image file"),
    ],
)
def test_other_pictures_are_refused(
    model: DensePose, image: np.ndarray, change: object, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        model(change(image))  # type: ignore[operator]


def test_a_video_is_no_picture(model: DensePose, image: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(image).save(tmp_path / "0.png")
    with pytest.raises(ValueError, match=r"is a video, but a picture is wanted; model\.video"):
        model(tmp_path)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([[1, 2, 3]], r"boxes of shape \(1, 3\); wanted \(N, 4\)"),
        (
            [[1, 2, 0, 4]],
            r"box 0: x, y, width, height = 1, 2, 0, 4; wanted one that the image of 150 x 180 px",
        ),
        ([[1, 2, 3, 4], [500, 0, 10, 10]], r"box 1: .*500"),
        ([[float("nan"), 2, 3, 4]], r"box 0"),
        ([[0, 0, 1e9, 10]], r"box 0: .*at most 100 times as large"),
        ([["a", 2, 3, 4]], r"wanted numbers"),
    ],
)
def test_other_boxes_are_refused(model: DensePose, image: np.ndarray, boxes: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model(image, boxes)


def test_what_cannot_be_loaded_is_named(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no weights at .*none\.pt"):
        DensePose.load(tmp_path / "none.pt")
    with pytest.raises(ValueError, match="no surface"):
        DensePose.load(weights, detector=None, surface=tmp_path / "none")
    with pytest.raises(ConfigError, match="device"):
        DensePose.load(weights, detector=None, device="abacus")
    with pytest.raises(ConfigError, match="--detector"):
        DensePose.load(weights, detector="crystal ball")


@pytest.mark.parametrize("detector", [None, "auto", "follow", TwoPeople()])
@pytest.mark.parametrize("score", [7.0, -3.0, float("nan"), "0.5", True])
def test_a_score_that_cannot_be_is_refused(weights: Path, detector: object, score: object) -> None:
    with pytest.raises(ValueError, match=r"score = .*, but a number in 0\.\.1 is wanted"):
        DensePose.load(weights, detector=detector, score=score)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"reach": 1.5}, "reach = 1.5, but a whole number"),
        ({"every": "2"}, "every = '2', but a whole number"),
        ({"frames": 2.0}, "frames = 2.0, but a whole number"),
        ({"batch": True}, "batch = True, but a whole number"),
        ({"rate": "x"}, "rate = 'x', but a number of images a second"),
        ({"reach": 0}, "reach 0"),
        ({"every": 0}, "every"),
        ({"frames": 0}, "frames = 0"),
        ({"batch": 0}, "batch = 0"),
    ],
)
def test_numbers_of_a_video_that_cannot_be_are_refused(
    model: DensePose, tmp_path: Path, image: np.ndarray, told: dict, message: str
) -> None:
    (tmp_path / "walk").mkdir()
    Image.fromarray(image).save(tmp_path / "walk" / "0.png")
    with pytest.raises(ValueError, match=message):
        model.video(tmp_path / "walk", tmp_path / "out", **told)


def test_importing_slimdp_loads_no_library() -> None:
    code = "import slimdp, sys; print(sorted({'torch', 'cv2', 'numpy', 'av'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_the_examples_of_the_page_run(
    weights: Path, flat_surface: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: np.ndarray
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("slimdp.inference.weights.FOLDER", weights.parent)
    shipped = {weights.name: file_sha256(weights).hex()}
    monkeypatch.setattr("slimdp.inference.weights.SHIPPED", shipped)
    monkeypatch.setattr("slimdp.inference.image_pose.load_surface", lambda name: flat_surface)
    Image.fromarray(image).save("picture.jpg")
    writer = cv2.VideoWriter("my.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 25, (150, 180))
    for index in range(4):
        writer.write(np.roll(image, index, axis=1))
    writer.release()
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 5
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert names["outputs"] == [Path("my_pose/overlay.mp4"), Path("my_pose/iuv")]
    assert sorted(file.name for file in Path("my_pose/iuv").iterdir()) == [f"{n:06d}.png" for n in range(4)]
    assert Path("texture.png").is_file()
    assert Path("overlay.png").is_file()


def test_a_video_is_made_as_the_command_makes_it(weights: Path, tmp_path: Path, image: np.ndarray) -> None:
    (tmp_path / "frames").mkdir()
    for index in range(3):
        Image.fromarray(np.roll(image, index, axis=1)).save(tmp_path / "frames" / f"{index}.png")
    model = DensePose.load(weights, detector="follow", device="cpu")
    model.video(tmp_path / "frames", tmp_path / "ours", ["iuv"])
    words = ["--weights", weights, "--detector", "follow", "--device", "cpu", "--write", "iuv"]
    assert main(["video", *map(str, [tmp_path / "frames", "--out", tmp_path / "theirs", *words])]) == 0
    ours, theirs = (json.loads((tmp_path / name / "video.json").read_text()) for name in ("ours", "theirs"))
    assert ours == theirs
    for index in range(3):
        files = (tmp_path / name / "iuv" / f"{index:06d}.png" for name in ("ours", "theirs"))
        assert len({file.read_bytes() for file in files}) == 1


def test_boxes_of_a_file_are_read_for_the_video(weights: Path, tmp_path: Path, image: np.ndarray) -> None:
    (tmp_path / "walk").mkdir()
    images, people = [], []
    for index in range(3):
        Image.fromarray(np.roll(image, 2 * index, axis=1)).save(tmp_path / "walk" / f"{index}.png")
        images.append({"id": index, "file_name": f"walk/{index}.png"})
        people.append({"id": index, "image_id": index, "bbox": [20 + 2 * index, 20, 60, 120], "track_id": 7})
    boxes = tmp_path / "people.json"
    boxes.write_text(json.dumps({"images": images, "annotations": people}))
    model = DensePose.load(weights, detector=f"boxes:{boxes}", device="cpu")
    model.video(tmp_path / "walk", tmp_path / "ours", ["iuv-h5"], smooth="none")
    with h5py.File(tmp_path / "ours" / "iuv.h5") as file:
        assert file["people/track"][:].tolist() == [7, 7, 7]
        assert file["people/box"][0].tolist() == [20, 20, 60, 120]
    words = ["--weights", weights, "--detector", f"boxes:{boxes}", "--device", "cpu", "--smooth", "none"]
    words += [tmp_path / "walk", "--out", tmp_path / "theirs", "--write", "iuv-h5"]
    assert main(["video", *map(str, words)]) == 0
    ours, theirs = (json.loads((tmp_path / name / "video.json").read_text()) for name in ("ours", "theirs"))
    assert ours == theirs  # the tracker looks at every frame in both
    with pytest.raises(ConfigError, match=r"boxes:.*people\.json is of videos .*model\(image, boxes="):
        model(image)
    assert len(model(image, [20, 20, 60, 120])) == 1
    with pytest.raises(ConfigError, match="boxes: needs a file"):
        DensePose.load(weights, detector="boxes")


def test_the_table_of_the_page_names_what_a_person_has(result: ImagePose) -> None:
    named = re.findall(r"`(person|result)\.(\w+)", PAGE.read_text(encoding="utf-8"))
    assert len(named) > 10
    for whose, name in named:
        assert name in dir(result[0] if whose == "person" else result)
