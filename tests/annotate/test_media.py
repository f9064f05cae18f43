"""Pictures and videos by number, what is written beside the labels, and what is refused."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from flow_cache import FlowCacheError
from flow_cache.images import read_image, save_png
from flow_cache.video import VideoSource
from slimdp.__main__ import main
from slimdp.annotate.actions import act
from slimdp.annotate.document import DocumentError
from slimdp.annotate.media import equalise, open_media
from slimdp.annotate.people import EditError
from slimdp.annotate.proposals import propose
from slimdp.annotate.serve import AnnotateSettings, MissingPackageError, annotate
from slimdp.data import read_annotations
from slimdp.data.labelled_frames import find_labelled_frames
from tests.annotate.conftest import Opened, draw_picture

BOX = {"box": [40, 10, 90, 180]}


def write_pictures(folder: Path, seed: int) -> Path:
    folder.mkdir(parents=True)
    for number in range(2):
        save_png(folder / f"{number}.png", draw_picture(seed + number))
    return folder


def write_video(path: Path, frames: int = 6, seed: int = 0) -> None:
    path.parent.mkdir(exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (160, 200))
    for number in range(frames):
        writer.write(np.roll(draw_picture(seed), 3 * number, axis=1)[..., ::-1])
    writer.release()


def test_frames_of_a_video_file_come_in_any_order(tmp_path: Path) -> None:
    write_video(tmp_path / "walk.avi")
    media = open_media(tmp_path / "walk.avi", tmp_path / "labels.json")
    assert len(media) == 6
    assert media.is_video
    shown = {number: media.read(number).copy() for number in (3, 1, 5, 0, 3)}
    for number, image in shown.items():
        wanted = np.roll(draw_picture(), 3 * number, axis=1).astype(int)
        assert np.abs(image - wanted).mean() < 12
    assert media.pictures[3].file_name == "labels_frames/walk/000003.jpg"


def test_a_labelled_frame_lies_beside_the_labels_and_passes_the_doctor(
    open_session: Callable[..., Opened], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "set").mkdir()
    write_video(tmp_path / "walk.avi")
    opened = open_session(tmp_path / "walk.avi", name="set/labels.json")
    session = opened.session
    act(session, 2, "box", {"box": [40, 10, 90, 180]})
    act(
        session,
        2,
        "polygon",
        {"person": 1, "part": 1, "points": [[56, 20], [116, 20], [116, 100], [56, 100]]},
    )
    act(session, 2, "ask", {"person": 1})
    while (index := session.state(2)["people"][0]["next"]) is not None:
        views = session.views.of(1)
        at = [views.width / 2, views.height / 2]
        act(session, 2, "place", {"person": 1, "asked": index, "coarse": 1, "view": 0, "at": at})
    (person,) = read_annotations(opened.labels, opened.labels.parent).people
    assert (person.image.video, person.image.frame, person.track) == ("walk", 2, 0)
    assert 10 <= len(person.points) <= 14
    assert np.abs(read_image(person.image.file).astype(int) - session.media.read(2)).mean() < 6
    assert list((tmp_path / "set" / "labels_frames").rglob("*.jpg")) == [person.image.file]
    assert main(["doctor", str(tmp_path / "set"), "--json", str(tmp_path / "told.json")]) == 0
    assert json.loads((tmp_path / "told.json").read_text())["findings"] == []
    # And `slimdp fit` takes the frame that it means.
    command = ["frames", str(opened.labels), str(tmp_path / "walk.avi"), "--out", str(tmp_path / "taken")]
    assert main([*command, "--around", "1"]) == 0
    taken = read_annotations(tmp_path / "taken" / "labels.json", tmp_path / "taken")
    (again,) = (each for each in taken.people if len(each.points))
    assert again.image.frame == 2
    assert np.allclose(again.points, person.points, atol=1e-3)
    assert np.abs(read_image(again.image.file).astype(int) - session.media.read(2)).mean() < 6


def test_pictures_elsewhere_are_named_from_their_own_folder(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    near = open_media(pictures, tmp_path / "labels.json")
    far = open_media(pictures, tmp_path / "far" / "labels.json")
    frames = open_media(pictures, tmp_path / "far" / "labels.json", frames=True)
    assert near.pictures[0].file_name == "pictures/0.png"
    assert far.pictures[0].file_name == "0.png"
    assert (frames.pictures[0].file_name, frames.pictures[0].video) == ("pictures/0.png", "pictures")
    for media in (near, far, frames):
        assert read_image(media.file(0)).shape == (200, 160, 3)


@pytest.mark.parametrize("frames", [False, True])
def test_a_second_folder_gets_images_of_its_own(
    open_session: Callable[..., Opened], tmp_path: Path, caplog: pytest.LogCaptureFixture, frames: bool
) -> None:
    first, second = write_pictures(tmp_path / "a" / "clip", 0), write_pictures(tmp_path / "b" / "clip", 5)
    act(open_session(first, frames=frames).session, 0, "box", BOX)
    with caplog.at_level(logging.WARNING):
        opened = open_session(second, frames=frames)
    assert "such as a/clip/0.png, but of another folder or video than" in caplog.text
    assert [each["people"] for each in opened.session.overview()] == [0, 0]
    for number in range(2):
        act(opened.session, number, "box", BOX)
    assert [entry["image_id"] for entry in opened.content()["annotations"]] == [1, 2, 3]
    # Two videos, of which frames are numbered alike: readers must tell them apart.
    images = read_annotations(opened.labels, tmp_path).images
    assert [image.file_name for image in images] == ["a/clip/0.png", "b/clip/0.png", "b/clip/1.png"]
    assert [image.video for image in images] == (["clip", "b/clip", "b/clip"] if frames else [None] * 3)
    for folder, people in ((first, [1, 0]), (second, [1, 1])):
        shown = open_session(folder, frames=frames).session.overview()
        assert [each["people"] for each in shown] == people


@pytest.mark.parametrize(
    ("name", "video", "known"),
    [
        ("0.png", None, True),
        ("0.png", "pictures", True),
        ("pictures/0.png", "walk", True),
        ("0.png", "walk", False),
        ("images/0.png", None, False),
        ("images/pictures/0.png", None, False),
    ],
)
def test_labels_of_another_tool_are_known_by_a_name_that_says_no_other_folder_or_video(
    open_session: Callable[..., Opened], pictures: Path, name: str, video: str | None, known: bool
) -> None:
    labels = pictures.parent / "far" / "labels.json"
    labels.parent.mkdir()
    image = {"id": 7, "file_name": name, "width": 160, "height": 200, "vid_id": video}
    person = {"id": 1, "image_id": 7, "category_id": 1, "bbox": [40, 10, 80, 180]}
    category = {"id": 1, "name": "person"}
    labels.write_text(json.dumps({"images": [image], "annotations": [person], "categories": [category]}))
    session = open_session(pictures, name="far/labels.json", frames=True).session
    assert [each["people"] for each in session.overview()] == [int(known), 0]
    act(session, 1, "box", BOX)
    new = json.loads(labels.read_text())["images"][1]
    assert new["vid_id"] == (video if known and video else "pictures")


@pytest.mark.parametrize("name", ["../../pictures/0.png", "link/0.png"])
def test_names_that_lead_to_the_picture_by_other_ways_are_known(
    open_session: Callable[..., Opened], pictures: Path, name: str
) -> None:
    labels = pictures.parent / "far" / "away" / "labels.json"
    labels.parent.mkdir(parents=True)
    (labels.parent / "link").symlink_to(pictures)
    image = {"id": 7, "file_name": name, "width": 160, "height": 200}
    person = {"id": 1, "image_id": 7, "category_id": 1, "bbox": [40, 10, 80, 180]}
    category = {"id": 1, "name": "person"}
    labels.write_text(json.dumps({"images": [image], "annotations": [person], "categories": [category]}))
    session = open_session(pictures, name="far/away/labels.json").session
    assert [each["people"] for each in session.overview()] == [1, 0]


def test_pictures_elsewhere_are_known_by_their_bytes_in_a_folder_that_was_renamed(
    open_session: Callable[..., Opened], tmp_path: Path
) -> None:
    clip = write_pictures(tmp_path / "a" / "clip", 0)
    (tmp_path / "far").mkdir()
    act(open_session(clip, name="far/labels.json").session, 1, "box", BOX)
    session = open_session(clip.rename(tmp_path / "a" / "walk"), name="far/labels.json").session
    assert [each["people"] for each in session.overview()] == [0, 1]


@pytest.mark.parametrize("frames", [False, True])
def test_other_pictures_elsewhere_that_are_called_alike_are_refused(
    open_session: Callable[..., Opened], tmp_path: Path, frames: bool
) -> None:
    first, second = write_pictures(tmp_path / "a" / "clip", 0), write_pictures(tmp_path / "b" / "clip", 5)
    (tmp_path / "far").mkdir()
    opened = open_session(first, name="far/labels.json", frames=frames)
    act(opened.session, 1, "box", BOX)
    before = opened.labels.read_bytes()
    with pytest.raises(DocumentError, match=r"1\.png is another picture than .*b/clip/1\.png.*--out"):
        open_session(second, name="far/labels.json", frames=frames)
    assert opened.labels.read_bytes() == before
    first.parent.rename(tmp_path / "c")  # the same pictures at another place
    session = open_session(tmp_path / "c" / "clip", name="far/labels.json", frames=frames).session
    assert [each["people"] for each in session.overview()] == [0, 1]
    # Written before there were hashes.
    content = json.loads(before)
    assert len(content["images"][0].pop("dp_file_sha256")) == 16
    opened.labels.write_text(json.dumps(content))
    session = open_session(second, name="far/labels.json", frames=frames).session
    assert [each["people"] for each in session.overview()] == [0, 1]


def labelled_on_monday(open_session: Callable[..., Opened], folder: Path) -> Opened:
    """Frame 3 of monday/walk.avi has a box; tuesday/walk.avi is another video."""
    write_video(folder / "monday" / "walk.avi")
    write_video(folder / "tuesday" / "walk.avi", seed=5)
    opened = open_session(folder / "monday" / "walk.avi")
    act(opened.session, 3, "box", BOX)
    return opened


def test_another_video_file_of_the_same_name_is_refused(
    open_session: Callable[..., Opened], tmp_path: Path
) -> None:
    opened = labelled_on_monday(open_session, tmp_path)
    before = opened.labels.read_bytes()
    frame = tmp_path / "labels_frames" / "walk" / "000003.jpg"
    with pytest.raises(DocumentError, match=f"tuesday/walk.avi: {frame} shows something else .*another name"):
        open_session(tmp_path / "tuesday" / "walk.avi")
    content = json.loads(before)
    del content["info"]["dp_videos"]  # as earlier versions wrote it
    opened.labels.write_text(json.dumps(content))
    with pytest.raises(DocumentError, match="shows something else"):
        open_session(tmp_path / "tuesday" / "walk.avi")
    assert open_session(tmp_path / "monday" / "walk.avi").session.overview()[3]["people"] == 1
    opened.labels.write_bytes(before)
    frame.unlink()
    assert open_session(tmp_path / "monday" / "walk.avi").session.overview()[3]["people"] == 1
    with pytest.raises(DocumentError, match="none of its labelled frames is at"):
        open_session(tmp_path / "tuesday" / "walk.avi")


def test_a_frame_is_not_labelled_on_what_another_video_left_there(
    open_session: Callable[..., Opened], tmp_path: Path
) -> None:
    opened = labelled_on_monday(open_session, tmp_path)
    opened.session.document.undo()
    opened = open_session(tmp_path / "tuesday" / "walk.avi")
    with pytest.raises(EditError, match=r"000003\.jpg shows something else than frame 3 of .*tuesday"):
        act(opened.session, 3, "box", BOX)
    assert opened.content()["annotations"] == []
    act(opened.session, 2, "box", BOX)
    kept = read_image(tmp_path / "labels_frames" / "walk" / "000002.jpg").astype(int)
    assert np.abs(kept - opened.session.media.read(2)).mean() < 6


def test_a_frame_that_is_a_text_is_found(open_session: Callable[..., Opened], tmp_path: Path) -> None:
    write_video(tmp_path / "walk.avi")
    image = {"id": 7, "file_name": "images/walk/1003.jpg", "vid_id": "walk", "frame_id": "3"}
    image |= {"width": 160, "height": 200}
    person = {"id": 1, "image_id": 7, "category_id": 1, "bbox": [40, 10, 80, 180]}
    content = {"images": [image], "annotations": [person], "categories": [{"id": 1, "name": "person"}]}
    (tmp_path / "labels.json").write_text(json.dumps(content))
    session = open_session(tmp_path / "walk.avi").session
    assert [each["people"] for each in session.overview()] == [0, 0, 0, 1, 0, 0]


def write_numbered(folder: Path, first: int, ids: bool = False, others: bool = False) -> None:
    """walk.avi, and labels with a box in its frame 3 whose pictures are numbered from `first` on.

    `ids`: `frame_id` is the image's id; `others`: the pictures beside the labels show something else.
    """
    write_video(folder / "walk.avi")
    (folder / "walk").mkdir()
    images = []
    for index in (2, 3, 4):
        number = index + first
        name = f"walk/{number:06d}.png"
        picture = np.roll(draw_picture(), 3 * index, axis=1)
        save_png(folder / name, 255 - picture if others else picture)
        image = {"id": 70 + index, "file_name": name, "width": 160, "height": 200, "vid_id": "walk"}
        images.append({**image, "frame_id": 70 + index if ids else number})
    person = {"id": 1, "image_id": 73, "category_id": 1, "bbox": [40, 10, 80, 180]}
    content = {"images": images, "annotations": [person], "categories": [{"id": 1, "name": "person"}]}
    (folder / "labels.json").write_text(json.dumps(content))


@pytest.mark.parametrize("first", [0, 1])
def test_labels_are_shown_and_added_by_the_number_of_the_first_frame(
    open_session: Callable[..., Opened], tmp_path: Path, first: int
) -> None:
    write_numbered(tmp_path, first)
    opened = open_session(tmp_path / "walk.avi")
    assert [each["people"] for each in opened.session.overview()] == [0, 0, 0, 1, 0, 0]
    act(opened.session, 0, "box", BOX)
    act(opened.session, 4, "box", BOX)
    images = opened.content()["images"]
    assert [image["frame_id"] for image in images] == [2 + first, 3 + first, 4 + first, first]
    again = open_session(tmp_path / "walk.avi")
    assert [each["people"] for each in again.session.overview()] == [1, 0, 0, 1, 1, 0]
    # As the commands that read the labels have them.
    act(again.session, 0, "polygon", {"person": 2, "part": 1, "points": [[50, 20], [110, 20], [50, 99]]})
    read = {image.id: image for image in read_annotations(again.labels, tmp_path).images}
    frames = find_labelled_frames(again.labels, read, [VideoSource(tmp_path / "walk.avi", "walk")])
    assert sorted(frame.index for frame in frames) == [0, 2, 3, 4]


def test_frame_ids_that_are_ids_of_images_are_not_the_numbers_of_frames(
    open_session: Callable[..., Opened], tmp_path: Path
) -> None:
    write_numbered(tmp_path, first=1, ids=True)
    opened = open_session(tmp_path / "walk.avi")
    assert [each["people"] for each in opened.session.overview()] == [0, 0, 0, 1, 0, 0]
    before = opened.labels.read_bytes()
    with pytest.raises(EditError, match=r"numbered by the names .* 1 for the first frame"):
        act(opened.session, 0, "box", BOX)
    assert opened.labels.read_bytes() == before
    act(opened.session, 4, "box", BOX)


def test_numbers_that_no_picture_shows_begin_where_the_video_has_them_all(
    open_session: Callable[..., Opened], tmp_path: Path
) -> None:
    write_numbered(tmp_path, first=1)
    content = json.loads((tmp_path / "labels.json").read_text())
    for picture in (tmp_path / "walk").iterdir():
        picture.unlink()
    session = open_session(tmp_path / "walk.avi").session
    assert session.overview()[4]["people"] == 1  # nothing speaks for 1
    content["images"][0]["frame_id"] = 6  # of frames 0 to 5
    (tmp_path / "labels.json").write_text(json.dumps(content))
    session = open_session(tmp_path / "walk.avi").session
    assert session.overview()[3]["people"] == 1


def test_pictures_that_show_no_frame_of_their_number_are_refused(
    open_session: Callable[..., Opened], tmp_path: Path
) -> None:
    write_numbered(tmp_path, first=1, others=True)
    before = (tmp_path / "labels.json").read_bytes()
    with pytest.raises(
        DocumentError, match=r"walk/00000\d.png, show something .* 0 or 1; correct their frame"
    ):
        open_session(tmp_path / "walk.avi")
    assert (tmp_path / "labels.json").read_bytes() == before


def test_images_that_are_numbered_from_two_first_frames_are_refused(
    open_session: Callable[..., Opened], tmp_path: Path
) -> None:
    write_numbered(tmp_path, first=1)
    opened = open_session(tmp_path / "walk.avi")
    act(opened.session, 0, "box", BOX)
    content = opened.content()
    content["images"][-1]["frame_id"] = 0  # as earlier versions wrote it
    opened.labels.write_text(json.dumps(content))
    with pytest.raises(DocumentError, match=r"0 in that of labels_frames/walk/000000\.jpg and 1 in that of "):
        open_session(tmp_path / "walk.avi")


@pytest.mark.parametrize("video", [None, "other"])
def test_images_that_are_no_frames_of_the_video_file_are_named(
    open_session: Callable[..., Opened], tmp_path: Path, video: str | None
) -> None:
    write_video(tmp_path / "walk.avi")
    images = [{"id": n, "file_name": f"walk/{n:06d}.png", "width": 160, "height": 200} for n in (1, 3)]
    if video is not None:
        images = [{**image, "vid_id": video, "frame_id": image["id"]} for image in images]
    person = {"id": 1, "image_id": 3, "category_id": 1, "bbox": [40, 10, 80, 180], "dp_x": [9.0]}
    person |= {"dp_y": [9.0], "dp_I": [1], "dp_U": [0.5], "dp_V": [0.5]}
    content = {"images": images, "annotations": [person], "categories": [{"id": 1, "name": "person"}]}
    file = tmp_path / "labels.json"
    file.write_text(json.dumps(content))
    said = "no vid_id" if video is None else "vid_id 'other'"
    found = (
        r"label one first\. .*: 2 images of labels\.json, such as walk/000001\.png "
        rf"\({said}\)\. Its .* 'walk'"
    )
    with pytest.raises(EditError, match=found):
        propose(open_session(tmp_path / "walk.avi").session, 2, "flow", None)
    content["images"] = [{**image, "vid_id": "walk", "frame_id": image["id"]} for image in images]
    file.write_text(json.dumps(content))
    session = open_session(tmp_path / "walk.avi").session
    assert [each["people"] for each in session.overview()] == [0, 0, 0, 1, 0, 0]
    act(session, 3, "remove", {"person": 1})
    with pytest.raises(EditError, match=r"label one first$"):
        propose(session, 2, "flow", None)


def test_what_is_no_picture_is_left_out_or_refused(
    pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (pictures / "2.png").write_bytes(b"no picture")
    (pictures / "3.jpg").write_bytes((pictures / "0.png").read_bytes()[:100])
    with caplog.at_level(logging.WARNING):
        assert len(open_media(pictures, tmp_path / "labels.json")) == 2
    assert "2.png" in caplog.text
    assert "3.jpg" in caplog.text
    (tmp_path / "notes.mp4").write_bytes(b"no video")
    for source in (pictures / "2.png", tmp_path / "notes.mp4", tmp_path / "absent", tmp_path / "empty"):
        if source.name == "empty":
            source.mkdir()
        with pytest.raises(FlowCacheError):
            open_media(source, tmp_path / "labels.json")


def test_a_picture_alone_and_one_that_is_large(tmp_path: Path) -> None:
    save_png(tmp_path / "wide.png", np.zeros((40, 9000, 3), np.uint8))
    media = open_media(tmp_path / "wide.png", tmp_path / "labels.json")
    assert media.size(0) == (9000, 40)
    shown = cv2.imdecode(np.frombuffer(media.shown(0, False), np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape[1] == 4096
    small = cv2.imdecode(np.frombuffer(media.thumbnail(0), np.uint8), cv2.IMREAD_COLOR)
    assert small.shape == (1, 160, 3)
    with pytest.raises(IndexError):
        media.read(1)


def test_equalised_brightness_uses_more_of_its_range() -> None:
    dark = (draw_picture() // 6).astype(np.uint8)
    assert np.ptp(equalise(dark).mean(axis=2)) > 1.5 * np.ptp(dark.mean(axis=2))


def test_the_command_says_in_a_line_what_is_wrong(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    densepose = tmp_path / "densepose"
    densepose.mkdir()
    (tmp_path / "labels.json").write_text("[]")
    words = ["annotate", str(pictures), "--out", str(tmp_path / "labels.json"), "--no-browser"]
    for more, says in (
        ([], "object"),
        (["--surface", str(densepose)], "densepose"),
        (["--surface", "no"], "no surface"),
        (["--weights", "no.pt"], "no weights at no.pt"),
    ):
        assert main([*words, *more]) == 2
        assert says in capsys.readouterr().err
    assert (tmp_path / "labels.json").read_text() == "[]"
    monkeypatch.setitem(__import__("sys").modules, "uvicorn", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'slimdp\[annotate\]'"):
        annotate(pictures, tmp_path / "labels.json", AnnotateSettings())


def test_an_orientation_tag_is_told_when_its_picture_is_read(
    pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(read_image(pictures / "1.png")).save(pictures / "1.png", exif=exif)
    media = open_media(pictures, tmp_path / "labels.json")
    with caplog.at_level(logging.WARNING):
        media.read(0)
        assert not caplog.messages
        media.read(1)
    assert "1.png has an orientation tag, which is not applied" in caplog.text
