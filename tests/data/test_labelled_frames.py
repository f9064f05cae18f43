"""The labelled frames of videos as a set of pictures of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from flow_cache import FlowCacheError
from flow_cache.images import read_image
from flow_cache.video import VideoSource, name_sources
from flow_cache.video_file import VideoFile
from slimdp.data import AnnotationError, read_annotations
from slimdp.data.labelled_frames import extract_labelled_frames
from slimdp.inference.video_encoder import VideoEncoder, join_video
from slimdp.inference.video_records import VideoInfo

WIDTH, HEIGHT, FRAMES = 96, 64, 12


def frame_of(number: int) -> np.ndarray:
    """A frame that tells its number: coarse noise of its own, which coding keeps."""
    grey = np.random.default_rng(number).integers(30, 226, (4, 6), dtype=np.uint8)
    return cv2.cvtColor(cv2.resize(grey, (WIDTH, HEIGHT)), cv2.COLOR_GRAY2RGB)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("film") / "walk.mp4"
    info = VideoInfo(out, "walk", WIDTH, HEIGHT, FRAMES, Fraction(10))
    with VideoEncoder(out.with_suffix(".nut"), info) as encoder:
        for number in range(FRAMES):
            encoder.write(frame_of(number), Fraction(number, 10))
    return join_video([out.with_suffix(".nut")], out, info)


@pytest.fixture
def write_labels(tmp_path: Path) -> Callable[..., Path]:
    """Labels of some frames of a video, and whatever differs in all images or people."""

    def write(
        *numbers: int, video: str | None = "walk", image: dict[str, Any] | None = None, **person: Any
    ) -> Path:
        images = [
            {"id": 50 + n, "file_name": f"{n:06d}.jpg", "width": WIDTH, "height": HEIGHT, "frame_id": n}
            for n in numbers
        ]
        for each in images:
            each |= ({} if video is None else {"vid_id": video}) | (image or {})
        people = [
            {
                "id": 7, "image_id": each["id"], "category_id": 1, "bbox": [10, 20, 64, 32], "track_id": 3,
                "dp_x": [0, 128], "dp_y": [0, 64], "dp_I": [1, 12], "dp_U": [0, 0.5], "dp_V": [1, 0.25],
            }
            | person
            for each in images
        ]  # fmt: skip
        path = tmp_path / "labels" / "labels.json"
        path.parent.mkdir(exist_ok=True)
        categories = [{"id": 1, "name": "person"}]
        path.write_text(json.dumps({"images": images, "annotations": people, "categories": categories}))
        return path

    return write


def shows(file: Path, number: int) -> bool:
    return bool(np.abs(read_image(file).astype(float) - frame_of(number)).mean() < 6)


def test_frames_of_a_file_come_with_their_neighbours(
    film: Path, write_labels: Callable[..., Path], tmp_path: Path
) -> None:
    found = extract_labelled_frames(write_labels(5), name_sources([film]), tmp_path / "out", around=2)
    files = sorted((tmp_path / "out" / "images" / "walk").iterdir())
    assert [file.name for file in files] == [f"{number:06d}.jpg" for number in range(3, 8)]
    assert all(shows(file, int(file.stem)) for file in files)
    (person,) = found.people
    assert (person.image.video, person.image.frame, person.track) == ("walk", 5, 3)
    assert person.image.file == tmp_path / "out" / "images" / "walk" / "000005.jpg"
    again = read_annotations(tmp_path / "out" / "labels.json", tmp_path / "out").people[0]
    np.testing.assert_allclose(again.points, [[10, 20], [42, 28]])


def test_frames_apart_are_videos_of_their_own_and_end_with_the_video(
    film: Path, write_labels: Callable[..., Path], tmp_path: Path
) -> None:
    found = extract_labelled_frames(write_labels(1, 3, 11), name_sources([film]), tmp_path / "out", around=1)
    folders = {folder.name: len(list(folder.iterdir())) for folder in (tmp_path / "out" / "images").iterdir()}
    assert folders == {"walk_000000": 5, "walk_000010": 2}  # 0 to 4, as 0 to 2 and 2 to 4 touch; 10 and 11
    assert [person.image.video for person in found.people] == ["walk_000000", "walk_000000", "walk_000010"]


def test_the_pictures_of_a_folder_are_known_by_name(
    write_labels: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "walk").mkdir()
    for number in range(3, 9):
        cv2.imwrite(str(tmp_path / "walk" / f"{number:06d}.jpg"), frame_of(number))
    labels = write_labels(5)
    found = extract_labelled_frames(labels, name_sources([tmp_path / "walk"]), tmp_path / "out", around=1)
    assert shows(found.people[0].image.file, 5)
    assert found.people[0].image.frame == 2
    with pytest.raises(AnnotationError, match=r"no picture 000001.jpg, but 6 others"):
        extract_labelled_frames(write_labels(1), name_sources([tmp_path / "walk"]), tmp_path / "other")


@pytest.mark.parametrize("first", [0, 1])
def test_pictures_beside_the_labels_tell_how_frames_are_numbered(
    film: Path, write_labels: Callable[..., Path], tmp_path: Path, first: int
) -> None:
    labels = write_labels(6)
    cv2.imwrite(str(labels.parent / "000006.jpg"), frame_of(6 - first))
    found = extract_labelled_frames(labels, name_sources([film]), tmp_path / "out")
    assert found.people[0].image.frame == 6 - first


def test_a_given_first_number_holds(film: Path, write_labels: Callable[..., Path], tmp_path: Path) -> None:
    found = extract_labelled_frames(write_labels(6), name_sources([film]), tmp_path / "out", first_frame=4)
    assert shows(found.people[0].image.file, 2)


@pytest.mark.parametrize("numbers", [(0,), (0, 3)])
def test_a_number_before_the_first_frame_is_told_with_all_frames(
    film: Path, write_labels: Callable[..., Path], tmp_path: Path, numbers: tuple[int, ...]
) -> None:
    with pytest.raises(AnnotationError, match=r"has no frame 0: its 12 frames are 1 to 12; labels of"):
        extract_labelled_frames(write_labels(*numbers), name_sources([film]), tmp_path / "out", first_frame=1)


def test_pictures_of_something_else_are_refused(
    film: Path, write_labels: Callable[..., Path], tmp_path: Path
) -> None:
    labels = write_labels(6)
    cv2.imwrite(str(labels.parent / "000006.jpg"), frame_of(99))
    with pytest.raises(AnnotationError, match="show something else"):
        extract_labelled_frames(labels, name_sources([film]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_picture_of_another_frame_is_refused_with_its_frame(
    film: Path, write_labels: Callable[..., Path], tmp_path: Path
) -> None:
    labels = write_labels(3)
    cv2.imwrite(str(labels.parent / "000003.jpg"), frame_of(9))
    says = r"000003\.jpg is frame 9 of the video \(its first is 0\), not frame \d; give it its frame_id, 9"
    with pytest.raises(AnnotationError, match=says):
        extract_labelled_frames(labels, name_sources([film]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_first_number_that_pictures_contradict_is_refused(
    film: Path, write_labels: Callable[..., Path], tmp_path: Path
) -> None:
    labels = write_labels(3, 5)
    for number in (3, 5):
        cv2.imwrite(str(labels.parent / f"{number:06d}.jpg"), frame_of(number - 1))
    with pytest.raises(AnnotationError, match="those numbered 3, 5 are 2, 4, or say --first-frame 1"):
        extract_labelled_frames(labels, name_sources([film]), tmp_path / "out", first_frame=0)
    extract_labelled_frames(labels, name_sources([film]), tmp_path / "out", first_frame=1)


def test_real_frames_a_second_apart_are_no_frames_in_a_row(
    samples: Path, write_labels: Callable[..., Path], tmp_path: Path
) -> None:
    """`ffmpeg -vf fps=1 %06d.jpg` numbers them so, and they look alike: one man juggles all the time."""
    video, size = samples / "video" / "juggle.mp4", {"width": 1280, "height": 720}
    labels = write_labels(1, 4, 8, video="juggle", image=size)
    with VideoFile(video) as file:
        for index, frame in enumerate(file.frames()):
            if index in (0, 72, 168):
                picture = cv2.cvtColor(file.pixels(frame), cv2.COLOR_RGB2BGR)
                cv2.imwrite(str(labels.parent / f"{index // 24 + 1:06d}.jpg"), picture)
    says = (
        r"000004\.jpg is frame 72 of the video \(its first is 0\), not frame 3, and 1 other of 3 pictures "
        "likewise; the pictures are every 24th frame; give each image its frame_id: those numbered 1, 4, 8 "
        "are 0, 72, 168"
    )
    with pytest.raises(AnnotationError, match=says):
        extract_labelled_frames(labels, name_sources([video]), tmp_path / "out")
    content = json.loads(labels.read_text())
    for image, index in zip(content["images"], (0, 72, 168), strict=True):
        image["file_name"], image["frame_id"] = f"{index // 24 + 1:06d}.jpg", index
    labels.write_text(json.dumps(content))
    found = extract_labelled_frames(labels, name_sources([video]), tmp_path / "out")
    assert [person.image.file.name for person in found.people] == ["000000.jpg", "000072.jpg", "000168.jpg"]


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ({"numbers": (40,)}, r"has no frame 40: its 12 frames are 0 to 11; labels of another video"),
        ({"numbers": (2,), "image": {"width": 64, "height": 96}}, "64 x 96 px, but the frames of"),
        ({"numbers": (2,), "dp_x": [], "dp_y": [], "dp_I": [], "dp_U": [], "dp_V": []}, "no point with"),
        ({"numbers": ()}, "0 images with 0 people, but no point"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_before_any_work(
    film: Path, write_labels: Callable[..., Path], tmp_path: Path, labels: dict[str, Any], says: str
) -> None:
    path = write_labels(*labels.pop("numbers"), **labels)
    with pytest.raises(AnnotationError, match=says):
        extract_labelled_frames(path, name_sources([film]), tmp_path / "out")


def test_the_size_of_every_image_is_looked_at(
    film: Path, write_labels: Callable[..., Path], tmp_path: Path
) -> None:
    labels = write_labels(2, 5)
    content = json.loads(labels.read_text())
    content["images"][1] |= {"width": WIDTH // 2, "height": HEIGHT // 2}
    labels.write_text(json.dumps(content))
    with pytest.raises(AnnotationError, match=f"image 55 is {WIDTH // 2} x {HEIGHT // 2} px, but the frames"):
        extract_labelled_frames(labels, name_sources([film]), tmp_path / "out")


def write_pictures(folder: Path, *sizes: tuple[int, int]) -> Path:
    """Pictures of some sizes, width and height px, numbered from 0."""
    folder.mkdir()
    for number, (width, height) in enumerate(sizes):
        picture = cv2.resize(frame_of(number), (width, height))
        cv2.imwrite(str(folder / f"{number:06d}.jpg"), picture)
    return folder


ONE = (WIDTH, HEIGHT)


def test_a_folder_of_one_picture_is_taken(write_labels: Callable[..., Path], tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "walk", ONE)
    found = extract_labelled_frames(write_labels(0), name_sources([folder]), tmp_path / "out", around=2)
    assert [person.image.file_name for person in found.people] == ["images/walk/000000.jpg"]


def test_a_picture_of_another_size_is_named_wherever_it_is(
    write_labels: Callable[..., Path], tmp_path: Path
) -> None:
    """`slimdp video` would stop at it after the training."""
    folder = write_pictures(tmp_path / "walk", ONE, ONE, ONE, ONE, (WIDTH, 40))
    says = f"000004.jpg is {WIDTH} x 40 px, the first frame 000000.jpg is {WIDTH} x {HEIGHT} px"
    with pytest.raises(FlowCacheError, match=says):
        extract_labelled_frames(write_labels(1), name_sources([folder]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_labelled_pictures_of_different_sizes_are_refused(
    write_labels: Callable[..., Path], tmp_path: Path
) -> None:
    folder = write_pictures(tmp_path / "walk", ONE, (WIDTH, 40))
    labels = write_labels(0, 1)
    content = json.loads(labels.read_text())
    content["images"][1] |= {"height": 40}
    labels.write_text(json.dumps(content))
    with pytest.raises(FlowCacheError, match=f"000001.jpg is {WIDTH} x 40 px, the first frame"):
        extract_labelled_frames(labels, name_sources([folder]), tmp_path / "out")


def test_videos_without_labels_are_looked_at_too(
    film: Path, write_labels: Callable[..., Path], tmp_path: Path
) -> None:
    labels, broken = write_labels(2), tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing")
    mixed = write_pictures(tmp_path / "mixed", ONE, (WIDTH, 40))
    for other, says in (
        (broken, "no video that FFmpeg can open"),
        (mixed, "000001.jpg is"),
        (tmp_path / "none.mp4", r"no video at .*none\.mp4"),
    ):
        with pytest.raises(FlowCacheError, match=says):
            extract_labelled_frames(labels, name_sources([film, other]), tmp_path / "out")
    picture = mixed / "000000.jpg"
    extract_labelled_frames(labels, name_sources([film, picture]), tmp_path / "out")


def test_a_file_whose_size_changes_before_a_label_is_refused(
    write_labels: Callable[..., Path], tmp_path: Path
) -> None:
    file = tmp_path / "walk.ts"
    with file.open("wb") as both:
        for width, height in (ONE, (WIDTH, 48)):
            part = tmp_path / f"{height}.ts"
            with av.open(str(part), "w") as container:
                stream = container.add_stream("mpeg2video", rate=25)
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                for number in range(FRAMES):
                    picture = cv2.resize(frame_of(number), (width, height))
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
                container.mux(stream.encode())
            both.write(part.read_bytes())
    says = rf"frame 1\d is {WIDTH} x 48 px, the first frame is {WIDTH} x {HEIGHT} px; .* -vf scale=96:64"
    with pytest.raises(FlowCacheError, match=says):
        extract_labelled_frames(write_labels(FRAMES + 4), name_sources([file]), tmp_path / "out")


def test_two_videos_never_share_a_folder(
    film: Path, write_labels: Callable[..., Path], tmp_path: Path
) -> None:
    labels = write_labels(2, 9)
    content = json.loads(labels.read_text())
    for image, video in zip(content["images"], ("a/b", "a_b"), strict=True):
        image["vid_id"] = video
    labels.write_text(json.dumps(content))
    videos = [VideoSource(film, "a/b"), VideoSource(film, "a_b")]
    with pytest.raises(AnnotationError, match="frames of 'a/b' and of 'a_b' would share a folder, a_b; give"):
        extract_labelled_frames(labels, videos, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_labels_of_a_video_that_is_not_given_name_the_others(
    film: Path, write_labels: Callable[..., Path], tmp_path: Path
) -> None:
    labels = write_labels(2, video="run")
    two = [*name_sources([film]), VideoSource(film, "jump")]
    with pytest.raises(AnnotationError, match="video 'run', which is none of the given videos: walk, jump"):
        extract_labelled_frames(labels, two, tmp_path / "out")
    extract_labelled_frames(labels, name_sources([film]), tmp_path / "out")  # it can only be this one


def test_the_same_call_changes_nothing_and_another_one_is_refused(
    film: Path, write_labels: Callable[..., Path], tmp_path: Path
) -> None:
    labels = write_labels(2)
    for _ in range(2):
        extract_labelled_frames(labels, name_sources([film]), tmp_path / "out", around=1)
    with pytest.raises(FileExistsError, match="other labels, videos or settings"):
        extract_labelled_frames(labels, name_sources([film]), tmp_path / "out", around=2)


def test_pictures_that_changed_are_refused(write_labels: Callable[..., Path], tmp_path: Path) -> None:
    """BMP files keep their size, whatever they show."""
    labels = write_labels(0, image={"file_name": "0.bmp"})
    (tmp_path / "walk").mkdir()

    def extract(shown: int) -> None:
        for number in range(3):
            cv2.imwrite(str(tmp_path / "walk" / f"{number}.bmp"), frame_of(shown + number))
        extract_labelled_frames(labels, name_sources([tmp_path / "walk"]), tmp_path / "out", around=1)

    extract(0)
    extract(0)
    with pytest.raises(FileExistsError, match="was made of other labels, videos or settings"):
        extract(1)


def test_a_folder_of_an_older_version_is_refused(
    film: Path, write_labels: Callable[..., Path], tmp_path: Path
) -> None:
    """It was known by the size of a video file alone."""
    labels, about = write_labels(2), tmp_path / "out" / "about.json"
    extract_labelled_frames(labels, name_sources([film]), tmp_path / "out")
    older = json.loads(about.read_text()) | {"videos": {"walk": [str(film), film.stat().st_size]}}
    about.write_text(json.dumps(older))
    with pytest.raises(FileExistsError, match="or by an older version; remove it"):
        extract_labelled_frames(labels, name_sources([film]), tmp_path / "out")


def test_everybody_in_a_labelled_frame_comes_along_with_the_outline(
    film: Path, write_labels: Callable[..., Path], tmp_path: Path
) -> None:
    """Who has no labels may stand before who has some."""
    labels = write_labels(2, segmentation=[[10, 20, 74, 20, 74, 52, 10, 52]], area=1800.5)
    content = json.loads(labels.read_text())
    other = {"id": 8, "image_id": 52, "category_id": 1, "bbox": [40, 10, 20, 30], "area": 99, "track_id": 4}
    labels.write_text(json.dumps(content | {"annotations": [*content["annotations"], other]}))
    extract_labelled_frames(labels, name_sources([film]), tmp_path / "out")
    one, two = read_annotations(tmp_path / "out" / "labels.json", tmp_path / "out", read_masks=True).people
    assert (one.track, two.track, two.has_labels) == (3, 4, False)
    assert (one.area, two.area) == (1800.5, 99)
    assert one.mask is not None
    assert one.mask[30, 40]
    assert not one.mask[5, 5]
