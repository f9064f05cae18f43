"""Counts of a video's dense pose: by hand, against a plain loop, and by `slimdp stability --video`."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from flow_cache import FlowCacheError, FlowChain, FlowPair, FlowStore, FlowWriter, VideoRecord, sample_flow
from slimdp.__main__ import main
from slimdp.evaluation import StabilityCount
from slimdp.inference.iuv_video import IuvVideo
from slimdp.inference.video_scores import (
    EstimatedFrameFlow,
    StoredFrameFlow,
    measure_video_stability,
    points_within,
)
from slimdp.surface import load_surface
from slimdp.surface.body import BodySurface
from tests.inference.writers.moving_people import FRAMES, INFO, write

SIZE = INFO.height, INFO.width
#: What is in the frames moves so many px to the right from each to the next.
SPEED = 3


def still_flow(x: float) -> np.ndarray:
    """The same flow at every pixel, (2, H, W)."""
    return np.stack([np.full(SIZE, x, np.float32), np.zeros(SIZE, np.float32)])


class KnownFlow:
    """Flow that the test made, by frame and step."""

    def __init__(self, fields: dict[tuple[int, int], np.ndarray] | None = None) -> None:
        self.fields = fields

    def between(self, frame: int, step: int) -> FlowChain:
        if self.fields is None:
            return FlowChain((FlowPair(still_flow(SPEED * step), still_flow(-SPEED * step)),))
        return FlowChain((FlowPair(self.fields[frame, step], self.fields[frame + step, -step]),))


def person_at(frame: int) -> tuple[slice, slice]:
    """Rows and columns of 10 x 20 px that a person is in."""
    return slice(10, 20), slice(10 + SPEED * frame, 30 + SPEED * frame)


def square(path: Path) -> Path:
    """A file of one person who moves along, each pixel with its place; no two neighbours jump."""
    with h5py.File(path, "a") as file:
        iuv, track = np.zeros((FRAMES, *SIZE, 3), np.uint8), np.zeros((FRAMES, *SIZE), np.int32)
        for frame in range(FRAMES):
            iuv[(frame, *person_at(frame))] = np.stack(
                [np.ones((10, 20)), *np.meshgrid(100 + np.arange(20), 50 + np.arange(10))], axis=-1
            )
            track[(frame, *person_at(frame))] = 2
        file["iuv"][:], file["track"][:] = iuv, track
        for name, values in (
            ("frame", np.arange(FRAMES)),
            ("track", np.full(FRAMES, 2)),
            ("score", np.ones(FRAMES)),
            ("box", np.array([[10 + SPEED * frame, 10, 20, 10] for frame in range(FRAMES)])),
        ):
            file["people"][name].resize(FRAMES, axis=0)
            file["people"][name][:] = values
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return square(write("iuv-h5", tmp_path))


def test_pixels_are_counted_by_hand(path: Path, flat_surface: BodySurface) -> None:
    with IuvVideo(path) as video:
        steady = measure_video_stability(video, KnownFlow(), flat_surface)
        assert steady == {2: StabilityCount(4, 800, 0, 0)}
        assert measure_video_stability(video, KnownFlow(), flat_surface, step=3) == {
            2: StabilityCount(2, 400, 0, 0)
        }
    rows, columns = person_at(2)
    with h5py.File(path, "a") as file:
        file["iuv"][2, rows, columns.start : columns.start + 5, 1] += 51  # 0.2 of 50 cm: 10 cm
        file["iuv"][2, 10, columns] = 0
        file["track"][2, 10, columns] = 0  # background
        file["track"][2, 11, columns] = 7  # somebody else
    with IuvVideo(path) as video:
        # From frame 1 to 2 two of ten rows are lost, and of the others 5 of 20 columns jump; they jump back
        # from frame 2 to 3, where the two rows are not this person's any more, nor followed.
        hurt = measure_video_stability(video, KnownFlow(), flat_surface, jump_m=0.09)
        assert hurt == {2: StabilityCount(4, 200 + 200 + 160 + 200, 40, 2 * 40)}
        wide = measure_video_stability(video, KnownFlow(), flat_surface, jump_m=0.11)
        assert wide == {2: StabilityCount(4, 760, 40, 0)}


def test_what_leaves_the_frame_or_fails_the_check_is_not_counted(
    path: Path, flat_surface: BodySurface
) -> None:
    there = {(0, 1): still_flow(SPEED), (1, -1): still_flow(-SPEED)}
    for frame in range(1, FRAMES - 1):
        there |= {(frame, 1): still_flow(200), (frame + 1, -1): still_flow(-200)}  # out of the frame
    there[1, -1][:, :, 20:] = 50  # the way back of the person's columns from 17 of 10..29 on ends elsewhere
    with IuvVideo(path) as video:
        found = measure_video_stability(video, KnownFlow(there), flat_surface)
    assert found == {2: StabilityCount(4, 10 * 7, 0, 0)}


def test_a_plain_loop_counts_the_same(tmp_path: Path, flat_surface: BodySurface) -> None:
    path, rng = write("iuv-h5", tmp_path), np.random.default_rng(5)

    def smooth_field() -> np.ndarray:
        coarse = rng.normal(0, 1.5, (2, 5, 6)).astype(np.float32)
        return np.stack([cv2.resize(each, SIZE[::-1], interpolation=cv2.INTER_CUBIC) for each in coarse])

    fields = {}
    for frame in range(FRAMES - 2):
        field = smooth_field()
        fields |= {(frame, 2): field, (frame + 2, -2): -field}
    with IuvVideo(path) as video:
        found = measure_video_stability(video, KnownFlow(fields), flat_surface, 0.04, 2, 3.0)
        frames = list(video)
    counts = {track: np.zeros(4, int) for track in (2, 3)}
    for zero, one in ((frames[0], frames[2]), (frames[1], frames[3]), (frames[2], frames[4])):
        for track in zero.boxes.keys() & one.boxes.keys():
            side = 1.3 * zero.boxes[track][2:].max()  # the crop's margin is 0.15 to each side
            counts[track] += [1, 0, 0, 0]
            for y, x in np.argwhere(zero.track == track):
                start = np.array([[x, y]], float)
                end = start + sample_flow(fields[zero.number, 2], start)
                if not (-0.5 <= end[0, 0] <= SIZE[1] - 0.5 and -0.5 <= end[0, 1] <= SIZE[0] - 0.5):
                    continue
                back = end + sample_flow(fields[one.number, -2], end)
                column, row = int(np.floor(end[0, 0] + 0.5)), int(np.floor(end[0, 1] + 0.5))
                if np.hypot(*(back - start)[0]) > 3 * side / 256 or column >= SIZE[1] or row >= SIZE[0]:
                    continue
                (p, u, v), (q, s, t) = zero.iuv[y, x].tolist(), one.iuv[row, column].tolist()
                far = np.hypot(p - q + 0.5 * (u - s) / 255, 0.5 * (v - t) / 255) > 0.04
                lost = one.track[row, column] != track
                counts[track] += [0, 1, lost, far and not lost]
    assert found == {track: StabilityCount(*values.tolist()) for track, values in counts.items()}
    assert all(values[1] > 500 and values[2] > 20 and values[3] > 20 for values in counts.values())


def moving_noise(folder: Path) -> Path:
    """Frames whose content moves as the person of `square` does."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    wide = cv2.GaussianBlur(rng.integers(0, 256, (SIZE[0], SIZE[1] + 40, 3)).astype(np.uint8), (0, 0), 1.5)
    for index in range(FRAMES):
        left = 40 - SPEED * index
        cv2.imwrite(str(folder / f"{index:06d}.png"), wide[:, left : left + SIZE[1]])
    return folder


def test_flow_is_estimated_between_the_frames_of_the_source(
    path: Path, tmp_path: Path, flat_surface: BodySurface
) -> None:
    source = moving_noise(tmp_path / "walk")
    with IuvVideo(path) as video:
        flow = EstimatedFrameFlow(source, video)
        for frame in (0, 2):
            pair = flow.between(frame, 2).pairs[0]
            for field, x in ((pair.flow_0to1, 2 * SPEED), (pair.flow_1to0, -2 * SPEED)):
                np.testing.assert_allclose(field[0, 10:-10, 15:-15], x, atol=0.5)
                np.testing.assert_allclose(field[1, 10:-10, 15:-15], 0, atol=0.5)
        (count,) = measure_video_stability(video, EstimatedFrameFlow(source, video), flat_surface).values()
    assert count.pairs == 4
    assert count.propagated > 700
    assert count.lost < 40
    assert count.moved == 0


def test_the_wrong_source_or_store_is_refused(path: Path, tmp_path: Path) -> None:
    source = moving_noise(tmp_path / "walk")
    small = tmp_path / "small"
    small.mkdir()
    cv2.imwrite(str(small / "0.png"), np.zeros((20, 30, 3), np.uint8))
    with IuvVideo(path) as video, store(tmp_path / "f.h5", 3) as short:
        with pytest.raises(
            FlowCacheError, match=r"small has frames of 30 x 20 px, the dense pose 90 x 70 px"
        ):
            EstimatedFrameFlow(small, video)
        (source / "000004.png").unlink()
        with pytest.raises(FlowCacheError, match=r"walk ends before frame 4; .* made of video 'walk'"):
            EstimatedFrameFlow(source, video).between(3, 1)
        with pytest.raises(FlowCacheError, match=r"is of 3 frames of 90 x 70 px, but .* holds 5"):
            StoredFrameFlow(short, video)
    with h5py.File(path, "a") as file:
        file["time_s"][1] = 0.05
    with IuvVideo(path) as video, pytest.raises(FlowCacheError, match=r"frame 1 at 0.0400 s, .* at 0.0500 s"):
        EstimatedFrameFlow(source, video).between(0, 1)


def test_the_video_of_a_store_may_have_folders_before_its_name(path: Path, tmp_path: Path) -> None:
    with IuvVideo(path) as video:
        with store(tmp_path / "one.h5", FRAMES, "set/a/walk", "set/a/sidewalk") as flow:
            StoredFrameFlow(flow, video).between(0, 1)
        # Of two, the one that is long enough; of two that are, none.
        with store(tmp_path / "two.h5", FRAMES, "a/walk") as flow:
            flow.close()
        with FlowWriter(tmp_path / "two.h5") as writer:
            writer.add_video(record("b/walk", 3), (-1, 1))
        with FlowStore(tmp_path / "two.h5") as flow:
            StoredFrameFlow(flow, video).between(0, 1)
        with FlowWriter(tmp_path / "two.h5") as writer:
            writer.add_video(record("c/walk", FRAMES), (-1, 1))
        with (
            FlowStore(tmp_path / "two.h5") as flow,
            pytest.raises(FlowCacheError, match=r"'a/walk' and 'c/walk' is there, and .* any of them"),
        ):
            StoredFrameFlow(flow, video)
        with (
            store(tmp_path / "other.h5", FRAMES, "sidewalk") as flow,
            pytest.raises(FlowCacheError, match="walk"),
        ):
            StoredFrameFlow(flow, video)


def record(name: str, frames: int) -> VideoRecord:
    names = tuple(f"{index:06d}.png" for index in range(frames))
    return VideoRecord(name, SIZE[1], SIZE[0], names, "walk", "made", "exact", "{}", "")


def store(path: Path, frames: int = FRAMES, *videos: str) -> FlowStore:
    """Flow of videos, "walk" if none are named, as their content moves."""
    with FlowWriter(path) as writer:
        for name in videos or ("walk",):
            writer.add_video(record(name, frames), (-1, 1))
            for frame in range(frames - 1):
                writer.write(name, frame, 1, still_flow(SPEED))
                writer.write(name, frame + 1, -1, still_flow(-SPEED))
    return FlowStore(path)


def rendered_set(folder: Path, path: Path) -> Path:
    """A set whose clip "walk" the dense pose is of; u is smaller by 0.2 in the left half of the person."""
    maps = folder / "iuv" / "clips" / "walk"
    maps.mkdir(parents=True)
    with h5py.File(path) as file:
        for index, iuv in enumerate(file["iuv"][:]):
            rows, columns = person_at(index)
            iuv[rows, columns.start : columns.start + 10, 1] -= 51
            cv2.imwrite(str(maps / f"{index:06d}.png"), iuv[..., ::-1])
    return folder


def test_pixels_are_compared_with_the_exact_maps(
    path: Path, tmp_path: Path, flat_surface: BodySurface
) -> None:
    folder = rendered_set(tmp_path / "set", path)
    with h5py.File(path, "a") as file:
        file["iuv"][0], file["track"][0] = 0, 0  # all of its 200 pixels are wrong
    with IuvVideo(path) as video:
        within = points_within(video, folder, flat_surface, (9, 11))
        assert within == {"9cm": 40, "11cm": 80, "background": 20, "count": 1000}
        with pytest.raises(ValueError, match=r"no map of images/clips/walk/000000\.jpg"):
            points_within(video, tmp_path, flat_surface)
    for file_name in (folder / "iuv" / "clips" / "walk").iterdir():
        cv2.imwrite(str(file_name), np.zeros((*SIZE, 3), np.uint8))
    with IuvVideo(path) as video, pytest.raises(ValueError, match="nobody is in the exact maps of clip walk"):
        points_within(video, folder, flat_surface)


def test_the_command(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store(tmp_path / "flow.h5").close()
    folder, out = rendered_set(tmp_path / "set", path), tmp_path / "s.json"
    given = ["stability", "--video", f"{path}", "--flow", f"{tmp_path / 'flow.h5'}"]
    assert main([*given, "--truth", f"{folder}", "--out", f"{out}"]) == 0
    said = capsys.readouterr().out
    assert "track 2" in said
    assert "Of 1000 pixels of people, against the truth, %: 50.0 within 5 cm, 50.0 within 10 cm, " in said
    scores = json.loads(out.read_text())
    assert list(scores) == ["track 2", "all", "contours", "points"]
    assert scores["all"] == {"moved": 0.0, "lost": 0.0, "pairs": 4, "pixels": 800}
    given = ["stability", "--video", f"{path}", "--source", f"{moving_noise(tmp_path / 'walk')}"]
    assert main([*given, "--out", f"{out}"]) == 0
    assert json.loads(out.read_text())["all"]["pairs"] == 4
    for bad, message in (
        (["--annotations", "a.json"], "--video does not go with --annotations"),
        (["--first-frame", "1"], "--video does not go with --first-frame"),
        (["--step", "5"], "nobody is in two frames 5 apart, of 5"),
    ):
        assert_fails([*given, *bad], message, capsys)
    for words in (given[:3], [*given, "--flow", "flow.h5"]):
        with pytest.raises(SystemExit):
            main(words)
    said = capsys.readouterr().err
    assert "one of the arguments --flow --source is required" in said
    assert "not allowed with argument" in said
    predicted = ["stability", "--predictions", "p.h5", "--flow", "flow.h5"]
    assert_fails(predicted, "--predictions needs --annotations", capsys)
    assert_fails([*predicted, "--truth", "set"], "--predictions does not go with --truth", capsys)


def assert_fails(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_parts_of_another_surface_are_refused(path: Path, flat_surface: BodySurface) -> None:
    with h5py.File(path, "a") as file:
        file.attrs["layout"] = file.attrs["layout"].replace("torso back", "shell")
    with IuvVideo(path) as video:
        for measure in (
            lambda: measure_video_stability(video, KnownFlow(), load_surface("open")),
            lambda: points_within(video, Path(), flat_surface),
        ):
            with pytest.raises(ValueError, match="speaks of"):
                measure()
