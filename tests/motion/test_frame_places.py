"""Annotated frames in stores of flow: whatever their pictures are called, and whoever lies beside them."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from flow_cache import FlowStore, FlowWriter, MissingFlowError, VideoRecord, precompute
from flow_cache.file_hashes import hash_of_file
from flow_cache.video import open_video
from slimdp.config import CropSettings
from slimdp.data import AnnotationError, AnnotationSet, PoseDataset
from slimdp.doctor import examine
from slimdp.motion import FramePlaces, TransferSettings, propagate
from slimdp.motion.flow_pairs import FlowMotion, TemporalPairs
from slimdp.structures import ImageRecord, PersonAnnotation
from slimdp.surface import UvSymmetry

WIDTH, HEIGHT, FRAMES = 64, 48, 8
Change = Callable[[np.ndarray], np.ndarray]


@pytest.fixture(scope="module")
def shot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with walk.mp4, which moves 2 px a frame, still.mp4, which does not move, and their flow."""
    folder = tmp_path_factory.mktemp("shot")
    rng = np.random.default_rng(0)
    world = cv2.resize(rng.integers(0, 255, (12, 24, 3), dtype=np.uint8), (128, HEIGHT))
    for name, speed in (("walk", 2), ("still", 0)):
        writer = cv2.VideoWriter(
            str(folder / f"{name}.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 10, (WIDTH, HEIGHT)
        )
        for frame in range(FRAMES):
            writer.write(world[:, 4 + speed * frame : 4 + speed * frame + WIDTH])
        writer.release()
        precompute([folder / f"{name}.mp4"], folder / f"{name}.h5", steps=(-1, 1), progress=False)
    return folder


@pytest.fixture
def extract(shot: Path, tmp_path: Path) -> Callable[..., list[ImageRecord]]:
    """Frames of a video, written as pictures under other numbers, as records in order."""

    def make(
        video: str = "walk",
        frames: Sequence[int] = range(FRAMES),
        name: str = "{:06d}.jpg",
        first: int = 1,
        by: int = 1,
        change: Change = lambda image: image,
    ) -> list[ImageRecord]:
        records = []
        (tmp_path / video).mkdir()
        for place, (index, image) in enumerate(open_video(shot / f"{video}.mp4").read(frames)):
            file = tmp_path / video / name.format(frames[0] // by + first + place)
            cv2.imwrite(str(file), change(image)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 70])
            file_name = f"{video}/{file.name}"
            records.append(ImageRecord(100 + index, file, file_name, WIDTH, HEIGHT, "7", index))
        return records

    return make


def places_of(shot: Path, records: list[ImageRecord], video: str = "walk", **more: Any) -> FramePlaces:
    with FlowStore(shot / f"{video}.h5") as store:
        return FramePlaces(store, records, records, **more)


def indices(places: FramePlaces, records: list[ImageRecord]) -> list[int]:
    return [places.place(image).index for image in records]


@pytest.mark.parametrize(
    "kind",
    [
        {},  # as ffmpeg numbers them
        {"first": 0},
        {"first": 1000, "name": "shot_2_{:04d}_320x240.png"},
        {"frames": range(2, 6)},  # from number 3 on
        {"frames": range(2, 6), "first": 0, "name": "frame{}.webp"},
        {"frames": [5]},
        {"change": lambda picture: cv2.convertScaleAbs(picture, alpha=0.85, beta=12)},
        {"change": lambda picture: cv2.GaussianBlur(picture, (3, 3), 0)},
    ],
)
def test_pictures_of_a_video_file_are_found_by_what_they_show(
    shot: Path, extract: Any, kind: dict[str, Any]
) -> None:
    records = extract(**kind)
    places = places_of(shot, records)
    assert indices(places, records) == list(kind.get("frames", range(FRAMES)))
    assert places.compared == 1
    # The pictures beside them are known by the same numbers.
    assert [places.image_file(records[0], image.id - 100) for image in records] == [r.file for r in records]


def test_a_missing_picture_is_called_as_its_neighbours_are(shot: Path, extract: Any) -> None:
    first, second, third = extract(frames=[4, 5, 6], first=20, name="shot2_{:03d}_x264.jpg")
    first.file.unlink()
    places = places_of(shot, [second, third])
    assert places.place(second).index == 5
    assert places.image_file(second, 4) == first.file


def test_labels_go_along_the_flow_of_their_own_frame(
    shot: Path, extract: Any, annotate: Callable[..., PersonAnnotation]
) -> None:
    """Frames counted from 1 and from 0 give the same labels, in the same pictures."""
    moved = []
    for first in (0, 1):
        records = extract(first=first, name=f"{first}_{{:03d}}.png")
        one = AnnotationSet((records[4],), (annotate(records[4], x=20, y=4),))
        with FlowStore(shot / "walk.h5") as store:
            found, summary = propagate(one, store, steps=(-1, 1), min_points=1)
        assert summary.total.people == 2
        moved.append({Path(p.image.file).stem: p.points for p in found.people})
        for image in records:
            image.file.unlink()
        records[0].file.parent.rmdir()
    assert list(moved[0]) == ["0_004", "0_005", "0_003"]
    assert list(moved[1]) == ["1_005", "1_006", "1_004"]
    for one_by_0, one_by_1 in zip(moved[0].values(), moved[1].values()):
        np.testing.assert_array_equal(one_by_0, one_by_1)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ({"frames": range(0, FRAMES, 2), "by": 2}, "one of 2 frames of it each; extract all"),
        ({"frames": [0, 1, 2, 4, 5, 6]}, "do not follow one another"),
        ({"change": lambda picture: picture[::-1, ::-1]}, "not those that the flow of video 'walk'"),
        ({"first": 4, "name": "{:03d}0.jpg"}, "more than the 8 frames of the video 'walk'"),
    ],
)
def test_other_pictures_than_those_of_the_video_are_refused(
    shot: Path, extract: Any, kind: dict[str, Any], message: str
) -> None:
    with pytest.raises(AnnotationError, match=message):
        places_of(shot, extract(**kind))


def test_the_doctor_says_what_propagation_would_refuse(shot: Path, extract: Any, tmp_path: Path) -> None:
    (tmp_path / "walk.h5").write_bytes((shot / "walk.h5").read_bytes())
    for kind, wanted in (({}, []), ({"frames": [0, 2, 4, 6], "by": 2}, ["one of 2 frames of it each"])):
        shutil.rmtree(tmp_path / "walk", ignore_errors=True)
        records = extract(**kind)
        points = {"dp_x": [9], "dp_y": [9], "dp_I": [2], "dp_U": [0.5], "dp_V": [0.5]}
        content = {
            "images": [
                {"id": r.id, "file_name": r.file_name, "width": WIDTH, "height": HEIGHT, "vid_id": "walk"}
                for r in records
            ],
            "annotations": [
                {
                    "id": r.id,
                    "image_id": r.id,
                    "category_id": 1,
                    "bbox": [0, 0, 9, 9],
                    "track_id": 1,
                    **points,
                }
                for r in records
            ],
            "categories": [{"id": 1, "name": "person"}],
        }
        (tmp_path / "labels.json").write_text(json.dumps(content))
        found = examine(tmp_path, quiet=True).findings
        assert [f.code for f in found] == ["flow-frames"] * len(wanted)
        assert all(text in f.found for text, f in zip(wanted, found, strict=True))


def test_frames_that_look_alike_need_a_number(
    shot: Path, extract: Any, caplog: pytest.LogCaptureFixture
) -> None:
    records = extract("still", frames=range(1, 5))
    with pytest.raises(
        AnnotationError, match=r"first frame may have any of 5 numbers \(2, 1, 0, -1, \.\.\.\)"
    ):
        places_of(shot, records, "still")
    assert indices(places_of(shot, records, "still", first_frame=1), records) == [1, 2, 3, 4]
    with pytest.raises(AnnotationError, match=r"no frame 000002\.jpg"):
        places_of(shot, records, "still", first_frame=3)
    records[0].file.with_name("000000.jpg").write_bytes(records[0].file.read_bytes())
    with caplog.at_level(logging.WARNING):
        assert indices(places_of(shot, records, "still"), records) == [2, 3, 4, 5]
    assert "all frames look alike" in caplog.text


def test_as_many_pictures_as_frames_leave_no_choice(shot: Path, extract: Any) -> None:
    records = extract("still")
    assert indices(places_of(shot, records, "still"), records) == list(range(FRAMES))


def test_without_the_video_file_only_a_whole_folder_can_be_told(
    shot: Path, extract: Any, caplog: pytest.LogCaptureFixture
) -> None:
    records = extract()
    (shot / "walk.mp4").rename(shot / "gone")
    try:
        with caplog.at_level(logging.WARNING):
            places = places_of(shot, records)
        assert indices(places, records) == list(range(FRAMES))
        assert places.compared == 0
        assert "as many pictures as the video 'walk' has frames" in caplog.text
        records[7].file.unlink()
        with pytest.raises(AnnotationError, match=r"which is not there any more, .* put it back, or compute"):
            places_of(shot, records[:7])
        assert indices(places_of(shot, records[:7], first_frame=1), records[:7]) == list(range(7))
    finally:
        (shot / "gone").rename(shot / "walk.mp4")


def test_pictures_that_were_encoded_anew_are_matched_and_others_are_not(
    clip: list[ImageRecord], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Flow of PNGs, labels on copies as JPEG: with the same names, without some, under other names."""
    precompute([tmp_path / "clip"], tmp_path / "flow.h5", steps=(1,), progress=False)
    for name, suffix, taken in (("a", ".png", 6), ("b", ".png", 4), ("c", ".jpg", 6)):
        folder = tmp_path / name / "clip"
        folder.mkdir(parents=True)
        records = [replace(image, file=folder / f"{image.file.stem}{suffix}") for image in clip[:taken]]
        for image, copy in zip(clip, records):
            coded = cv2.imencode(".jpg", cv2.imread(str(image.file)), [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
            copy.file.write_bytes(coded.tobytes())
        with FlowStore(tmp_path / "flow.h5") as store:
            with caplog.at_level(logging.WARNING):
                places = FramePlaces(store, records[:2])
            assert [places.place(image).index for image in records[:2]] == [0, 1]
            assert (places.compared, "encoded anew" in caplog.text) == (1, True)
            for copy in records:  # turned
                cv2.imwrite(str(copy.file), cv2.imread(str(copy.file))[::-1, ::-1])
            with pytest.raises(AnnotationError, match="not those that the flow of video 'clip'"):
                FramePlaces(store, records[:2])


@pytest.fixture
def mixed(clip: list[ImageRecord], tmp_path: Path) -> tuple[FlowStore, dict[str, ImageRecord]]:
    """Frames a_1 .. a_3 of video "a" and b_1 .. b_3 of video "b" in one folder, and flow across the seam."""
    folder = tmp_path / "flat"
    folder.mkdir()
    records = {}
    for image in clip:
        name = f"{'ab'[image.frame // 3]}_{image.frame % 3 + 1}"  # type: ignore[operator]
        file = folder / f"{name}.png"
        file.write_bytes(image.file.read_bytes())
        records[name] = replace(image, file=file, file_name=f"flat/{file.name}", video=name[0])
    precompute([folder], tmp_path / "flat.h5", steps=(-2, -1, 1, 2), progress=False)
    return FlowStore(tmp_path / "flat.h5"), records


def test_labels_never_cross_to_another_video(
    mixed: tuple[FlowStore, dict[str, ImageRecord]], annotate: Callable[..., PersonAnnotation]
) -> None:
    """With both videos listed, or one alone, and under one vid_id as one video."""
    store, records = mixed
    with store:
        for listed in (["a_3"], ["a_3", "b_1"], list(records)):
            images = tuple(records[name] for name in listed)
            found, summary = propagate(AnnotationSet(images, (annotate(records["a_3"]),)), store, (-1, 1, 2))
            assert {p.image.file.stem for p in found.people} == {"a_2", "a_3"}
            assert summary.total.past_end == 2
        one = tuple(replace(records[name], video="one") for name in ("a_3", "b_3"))
        found, _ = propagate(AnnotationSet(one, (annotate(one[0]),)), store, (1, 2))
        assert {p.image.file.stem for p in found.people} == {"a_3", "b_1", "b_2"}


def test_training_pairs_never_cross_to_another_video(
    mixed: tuple[FlowStore, dict[str, ImageRecord]],
) -> None:
    store, records = mixed
    with store:
        pairs = TemporalPairs(store, (-2, -1, 1, 2), TransferSettings(), [records["a_3"], records["b_1"]])
    steps = {file.stem: frame.steps for file, frame in pairs._frames.items()}
    assert steps == {"a_3": (-2, -1), "b_1": (1, 2)}


def test_training_refuses_videos_that_alternate_where_few_frames_have_labels(
    mixed: tuple[FlowStore, dict[str, ImageRecord]], annotate: Callable[..., PersonAnnotation], tmp_path: Path
) -> None:
    store, records = mixed
    store.close()
    images = tuple(replace(image, video="ab"[place % 2]) for place, image in enumerate(records.values()))
    people = PoseDataset(
        AnnotationSet(images, (annotate(images[2]),)),
        CropSettings(),
        None,
        UvSymmetry(),
        seed=0,
        stride=4,
    )
    with pytest.raises(AnnotationError, match="alternate in one video of the flow"):
        FlowMotion(flow=str(tmp_path / "flat.h5"), frame_offsets=(-1, 1)).source(people)


def test_a_listed_still_beside_a_frame_takes_no_labels(
    mixed: tuple[FlowStore, dict[str, ImageRecord]], annotate: Callable[..., PersonAnnotation]
) -> None:
    store, records = mixed
    still = replace(records["a_2"], video=None)
    with store:
        found, _ = propagate(
            AnnotationSet((records["a_3"], still), (annotate(records["a_3"]),)), store, (-1, -2)
        )
    assert {p.image.file.stem for p in found.people} == {"a_1", "a_3"}


def test_a_folder_of_several_videos_is_read_once(
    mixed: tuple[FlowStore, dict[str, ImageRecord]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, records = mixed
    read: list[str] = []

    def hash_of(path: Path) -> bytes:
        read.append(path.name)
        return hash_of_file(path)

    monkeypatch.setattr("slimdp.motion.folder_match.hash_of_file", hash_of)
    with store:
        assert FramePlaces(store, records.values()).compared == 2
    assert sorted(read) == sorted(image.file.name for image in records.values())


def test_videos_that_alternate_are_refused(mixed: tuple[FlowStore, dict[str, ImageRecord]]) -> None:
    store, records = mixed
    torn = [replace(records["a_1"], video="x"), replace(records["a_2"], video="y"), records["a_3"]]
    with store, pytest.raises(AnnotationError, match=r"'y' and 'x' alternate .*a_1\.png, a_2\.png, a_3\.png"):
        FramePlaces(store, [torn[0], torn[1], replace(torn[2], video="x")])


def test_two_folders_of_one_name_do_not_share_flow(clip: list[ImageRecord], tmp_path: Path) -> None:
    """Both are called img1, and the flow is that of one of them."""
    folders = []
    for name in ("one", "two"):
        folder = tmp_path / name / "img1"
        folder.mkdir(parents=True)
        for image in clip:
            pixels = cv2.imread(str(image.file))
            cv2.imwrite(str(folder / image.file.name), pixels if name == "one" else pixels[:, ::-1])
        folders.append(folder)
    precompute([folders[0]], tmp_path / "flow.h5", steps=(1,), progress=False)
    records = [
        replace(clip[0], file=folder / clip[0].file.name, video=folder.parent.name) for folder in folders
    ]
    with FlowStore(tmp_path / "flow.h5") as store:
        assert FramePlaces(store, records[:1]).place(records[0]).index == 0
        with pytest.raises(AnnotationError, match="the content is not"):
            FramePlaces(store, records)
        with pytest.raises(AnnotationError, match=r"would both be frame 0 of video 'img1'"):
            FramePlaces(store, records, check=False)


class Named:
    """A store that has videos of some names alone."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def frames(self, video: str) -> tuple[str, ...]:
        if video not in self.names:
            raise MissingFlowError(f"no flow for video {video!r}")
        return ("000001.jpg",)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["img1"], "img1"),
        (["img1", "SEQ-02/img1", "SEQ-04/img1"], "SEQ-02/img1"),
        (["SEQ-02", "SEQ-04"], "SEQ-02"),  # the vid_id
        (["data/SEQ-02/img1"], "data/SEQ-02/img1"),
    ],
)
def test_a_video_is_found_by_its_folders_or_its_id(names: list[str], found: str) -> None:
    from slimdp.motion.frame_places import find_video

    image = ImageRecord(1, Path("/data/SEQ-02/img1/000001.jpg"), "img1/000001.jpg", 4, 4, "SEQ-02", 1)
    store: Any = Named(*names)
    assert find_video(store, image) == found


def test_pictures_in_the_folder_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from slimdp.motion.frame_places import find_video

    (tmp_path / "walk").mkdir()
    monkeypatch.chdir(tmp_path / "walk")
    store: Any = Named("walk")
    assert find_video(store, ImageRecord(1, Path("000001.jpg"), "000001.jpg", 4, 4, "7", 1)) == "walk"


def test_no_video_of_that_name(clip: list[ImageRecord]) -> None:
    from slimdp.motion.frame_places import find_video

    store: Any = Named("other")
    with pytest.raises(MissingFlowError, match=r"no flow for video 'clip'; its pictures are in .*clip"):
        find_video(store, clip[0])


def test_the_remedy_for_missing_flow_is_of_the_pictures_and_writes_no_true_flow(
    clip: list[ImageRecord], tmp_path: Path
) -> None:
    """The store knows names alone: `precompute clip --out flow_exact` named no folder that there is."""
    from slimdp.motion.frame_places import find_video

    true = VideoRecord("other", 96, 80, ("0.png", "1.png"), "other", "1", "exact", "{}", "2")
    (tmp_path / "flow_exact").mkdir()
    with FlowWriter(tmp_path / "flow_exact" / "other.h5") as writer:
        writer.add_video(true, (1,))
    with FlowStore(tmp_path / "flow_exact") as store, pytest.raises(MissingFlowError) as caught:
        find_video(store, clip[0])
    folder = clip[0].file.parent
    command = f"python -m flow_cache precompute {folder} --out FLOW.h5"
    assert str(caught.value).endswith(f"(it has: other); its pictures are in {folder}; run: {command}")
