from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from flow_cache import FlowCacheError
from slimdp.config import CropSettings
from slimdp.inference.detectors import FollowDetector
from slimdp.inference.outline_tracking import OutlineTracker
from slimdp.inference.person_maps import CropNetwork
from slimdp.inference.pieces import OutputFolderError
from slimdp.inference.smoothing import FlowSmoothing, NoSmoothing
from slimdp.inference.tracking import FlowTracker, TrackSettings
from slimdp.inference.video import VideoPipeline, _Passage, write_video
from slimdp.inference.video_encoder import VideoEncoder
from slimdp.inference.video_frames import FrameSource, open_frames
from slimdp.inference.video_records import Boxes, FrameMaps, FramePose, Smoother, VideoInfo
from slimdp.inference.writers import WRITERS
from slimdp.inference.writers.picture_video import PictureVideo
from slimdp.models import StackedHourglass
from slimdp.settings_file import ConfigError
from slimdp.surface.layout import PartLayout
from tests.inference.test_error_bars import bars_of
from tests.inference.writers.moving_people import contents

FRAMES = 75  # three pieces of 32, the last one short


class RawWriter:
    """All that is known of everyone, as bytes."""

    name = "raw"

    @contextmanager
    def piece(
        self, folder: Path, info: VideoInfo, layout: PartLayout
    ) -> Iterator[Callable[[FramePose], None]]:
        with open(folder / "raw", "wb") as file:

            def take(pose: FramePose) -> None:
                file.write(f"{pose.frame.index} {pose.frame.time_s}\n".encode())
                for person in pose.people:
                    assert person.image_id == pose.frame.index
                    file.write(f"{person.annotation_id} {person.box.tolist()}\n".encode())
                    file.write(person.part.tobytes() + person.uv.tobytes() + person.foreground.tobytes())

            yield take

    def join(self, pieces: Sequence[Path], out: Path, info: VideoInfo, layout: PartLayout) -> Path:
        (out / "raw").write_bytes(b"".join((piece / "raw").read_bytes() for piece in pieces))
        return out / "raw"


class TwoWalkers:
    """A detector that knows where two people are."""

    name = "walkers"

    def __init__(self, fails_at: int | None = None) -> None:
        self.looked: list[int] = []
        self._fails_at = fails_at

    def settings(self) -> dict[str, object]:
        return {"walkers": 2}

    def detect(self, image: np.ndarray, index: int = 0) -> Boxes:
        if index == self._fails_at:
            raise KeyboardInterrupt
        self.looked.append(index)
        return Boxes(np.array([[10.0 + index / 4, 8, 20, 40], [70 - index / 4, 8, 20, 40]]), np.ones(2))


class OneWalker(TwoWalkers):
    """The first of them alone."""

    def detect(self, image: np.ndarray, index: int = 0) -> Boxes:
        both = super().detect(image, index)
        return Boxes(both.xywh[:1], both.score[:1])


@pytest.fixture(scope="module")
def network() -> CropNetwork:
    torch.manual_seed(0)
    return CropNetwork(StackedHourglass(stacks=1, features=8), CropSettings(size=64), batch=5)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("video") / "walk"
    folder.mkdir()
    rng = np.random.default_rng(0)
    wide = cv2.GaussianBlur(rng.integers(0, 256, (56, 200, 3)).astype(np.uint8), (0, 0), 2) * 2
    for index in range(FRAMES):
        cv2.imwrite(str(folder / f"{index:03d}.png"), wide[:, index // 2 : index // 2 + 100])
    return folder


@pytest.fixture
def pipeline(
    network: CropNetwork, video: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., VideoPipeline]:
    monkeypatch.setattr("slimdp.inference.video._PIECE_SECONDS", 1)

    def make(detector: object = None, every: int = 3, **more: object) -> VideoPipeline:
        tracker = FlowTracker(TrackSettings(every=every))
        parts = {"source": open_frames(video), "detector": detector or TwoWalkers(), "tracker": tracker}
        return VideoPipeline(**{**parts, "network": network, **more})  # type: ignore[arg-type]

    return make


ORIGIN = {"video": "walk", "video_content": [1], "weights": "random.pt", "weights_sha256": "12ab"}


def test_every_frame_comes_out_once_with_the_same_people(pipeline: Callable[..., VideoPipeline]) -> None:
    detector = TwoWalkers()
    poses = list(pipeline(detector).poses())
    assert [pose.frame.index for pose in poses] == list(range(FRAMES))
    assert all([person.annotation_id for person in pose.people] == [1, 2] for pose in poses)
    assert detector.looked == list(range(0, FRAMES, 3))
    assert all(pose.people[0].part.shape == (64, 64) for pose in poses)


SMOOTHERS = {
    "none": NoSmoothing,
    "flow": lambda: FlowSmoothing(2),
    "causal": lambda: FlowSmoothing(3, causal=True),
}


#: The frame at which it is killed, and what smooths; the first of these does all that the others do.
KILLED = list(product((45, 72), ("flow", "causal", "none")))


@pytest.mark.parametrize(
    ("killed_at", "smoothing"),
    [KILLED[0], *(pytest.param(*each, marks=pytest.mark.slow) for each in KILLED[1:])],
)
def test_a_run_that_was_killed_goes_on_to_the_same_files(
    pipeline: Callable[..., VideoPipeline], tmp_path: Path, killed_at: int, smoothing: str
) -> None:
    def smoother() -> Smoother:
        return SMOOTHERS[smoothing]()

    (whole,) = write_video(pipeline(smoother=smoother()), [RawWriter()], tmp_path / "whole", ORIGIN)
    out = tmp_path / "killed"
    broken = pipeline(TwoWalkers(fails_at=killed_at), smoother=smoother())
    with pytest.raises(KeyboardInterrupt):
        write_video(broken, [RawWriter()], out, ORIGIN)
    assert not (out / "raw").exists()
    assert not (out / "video.json").exists()
    detector = TwoWalkers()
    (resumed,) = write_video(pipeline(detector, smoother=smoother()), [RawWriter()], out, ORIGIN)
    assert min(detector.looked) >= 32 * (killed_at // 32)
    assert resumed.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in out.iterdir()) == ["raw", "video.json"]


def test_the_outline_is_followed_alike_after_a_resume(
    pipeline: Callable[..., VideoPipeline], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def following() -> VideoPipeline:
        return pipeline(FollowDetector((10, 8, 30, 40)), tracker=OutlineTracker())

    (whole,) = write_video(following(), [RawWriter()], tmp_path / "whole", ORIGIN)
    with monkeypatch.context() as patch:
        broken = following()
        seen = broken.tracker.observe

        def observe(maps: object) -> bool:
            if maps.frame.index == 40:  # type: ignore[attr-defined]
                raise KeyboardInterrupt
            return seen(maps)  # type: ignore[arg-type]

        patch.setattr(broken.tracker, "observe", observe)
        with pytest.raises(KeyboardInterrupt):
            write_video(broken, [RawWriter()], tmp_path / "killed", ORIGIN)
    (resumed,) = write_video(following(), [RawWriter()], tmp_path / "killed", ORIGIN)
    assert resumed.read_bytes() == whole.read_bytes()


def test_a_finished_run_is_left_as_it_is_and_another_is_refused(
    pipeline: Callable[..., VideoPipeline], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (written,) = write_video(pipeline(frames=3), [RawWriter()], out, ORIGIN)
    before = written.stat()
    assert write_video(pipeline(frames=3), [RawWriter()], out, ORIGIN) == [written]
    assert written.stat() == before
    with pytest.raises(FlowCacheError, match="holds 3 frames, whole"):
        write_video(pipeline(frames=4), [RawWriter()], out, ORIGIN)
    with pytest.raises(OutputFolderError, match=r"of another run: tracker was .*every.*choose another --out"):
        write_video(pipeline(every=2, frames=3), [RawWriter()], out, ORIGIN)
    with pytest.raises(
        OutputFolderError, match=r"weights were random\.pt, and are new\.pt now; choose another"
    ):
        write_video(
            pipeline(frames=3), [RawWriter()], out, {**ORIGIN, "weights": "new.pt", "weights_sha256": "34cd"}
        )
    with pytest.raises(OutputFolderError, match=r"weights: random\.pt has other content now; choose another"):
        write_video(pipeline(frames=3), [RawWriter()], out, {**ORIGIN, "weights_sha256": "34cd"})
    with pytest.raises(OutputFolderError, match=r"video: walk has other content now; choose another"):
        write_video(pipeline(frames=3), [RawWriter()], out, {**ORIGIN, "video_content": [2]})
    with pytest.raises(OutputFolderError, match=r"video was walk, and is run now; choose another"):
        write_video(pipeline(frames=3), [RawWriter()], out, {**ORIGIN, "video": "run", "video_content": [2]})
    moved = {**ORIGIN, "video": "elsewhere/walk", "weights": "../random.pt"}
    assert write_video(pipeline(frames=3), [RawWriter()], out, moved) == [written]
    assert json.loads((out / "video.json").read_text())["outputs"] == ["raw"]


@pytest.mark.parametrize("killed", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_finished_run_gets_further_outputs_from_its_dense_pose(
    pipeline: Callable[..., VideoPipeline], tmp_path: Path, killed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[bytes, Fraction]] = []
    encode = VideoEncoder.write

    def write(self: VideoEncoder, image: np.ndarray, time_s: Fraction) -> None:
        drawn.append((image.tobytes(), time_s))
        encode(self, image, time_s)

    monkeypatch.setattr(VideoEncoder, "write", write)
    names = ("iuv-h5", "overlay", "parts-viridis", "iuv", "results", "texture")
    writers = [WRITERS[name] for name in names]
    # Nobody stands before anybody: the file holds one person a pixel.
    together = write_video(pipeline(OneWalker()), writers, tmp_path / "together", ORIGIN)
    of_together = drawn.copy()
    out = tmp_path / "later"
    first = write_video(pipeline(OneWalker()), writers[:1], out, ORIGIN)
    if killed:
        made: list[int] = []

        def draw(*_: object) -> np.ndarray:
            made.append(1)
            if len(made) > 40:
                raise KeyboardInterrupt
            return np.zeros((56, 100, 3), np.uint8)

        with pytest.raises(KeyboardInterrupt):
            write_video(pipeline(OneWalker()), [PictureVideo("overlay", draw)], out, ORIGIN)
        assert not (out / "overlay.mp4").exists()
    later = OneWalker()
    drawn.clear()
    outputs = [*first, *write_video(pipeline(later), writers[1:], out, ORIGIN)]
    assert later.looked == []
    assert [path.name for path in outputs] == [path.name for path in together]
    for one, other in zip(outputs, together, strict=True):
        if one.suffix == ".mp4":  # of the same frames x264 has made other bytes on a busy machine
            assert film_frames(one) == film_frames(other) == FRAMES
        else:
            assert contents(one) == contents(other)
    assert len(drawn) == 2 * FRAMES
    assert drawn == of_together
    record = json.loads((out / "video.json").read_text())
    assert record["write"] == list(names)
    assert not (out / ".pieces").exists()
    assert write_video(pipeline(OneWalker()), writers, out, ORIGIN) == outputs


def film_frames(path: Path) -> int:
    """How many frames of a video can be decoded."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_without_the_dense_pose_there_are_no_further_outputs(
    pipeline: Callable[..., VideoPipeline], video: Path, tmp_path: Path
) -> None:
    write_video(pipeline(frames=3), [RawWriter()], tmp_path / "raw", ORIGIN)
    with pytest.raises(OutputFolderError, match=r"made without overlay, and without iuv-h5"):
        write_video(pipeline(frames=3), [WRITERS["overlay"]], tmp_path / "raw", ORIGIN)
    write_video(pipeline(frames=3), [WRITERS["iuv-h5"]], tmp_path / "out", ORIGIN)
    short = pipeline(frames=3)
    short.source = replace(short.source, files=short.source.files[:2])
    with pytest.raises(FlowCacheError, match=r"walk ends before frame 2, which .*iuv\.h5 holds"):
        write_video(short, [WRITERS["overlay"]], tmp_path / "out", ORIGIN)


def test_outputs_that_are_gone_are_named(pipeline: Callable[..., VideoPipeline], tmp_path: Path) -> None:
    out, writers = tmp_path / "out", [WRITERS["iuv-h5"], RawWriter()]
    write_video(pipeline(frames=3), writers, out, ORIGIN)
    (out / "raw").unlink()
    with pytest.raises(OutputFolderError, match=r"raw is gone.*put it back, or remove .*out"):
        write_video(pipeline(frames=3), writers, out, ORIGIN)
    assert write_video(pipeline(frames=3), writers[:1], out, ORIGIN) == [out / "iuv.h5"]
    (out / "iuv.h5").unlink()
    with pytest.raises(OutputFolderError, match=r"iuv\.h5 is gone.*put it back, or remove .*out"):
        write_video(pipeline(frames=3), [WRITERS["overlay"]], out, ORIGIN)


def test_outputs_come_in_the_order_in_which_they_are_asked_for(
    pipeline: Callable[..., VideoPipeline], tmp_path: Path
) -> None:
    def names(*kinds: str) -> list[str]:
        writers = [WRITERS[kind] for kind in kinds]
        return [path.name for path in write_video(pipeline(frames=3), writers, tmp_path / "out", ORIGIN)]

    assert names("results", "iuv-h5") == ["results.json", "iuv.h5"]
    assert names("iuv-h5", "results") == ["iuv.h5", "results.json"]
    assert names("overlay", "results") == ["overlay.mp4", "results.json"]
    assert names("overlay") == ["overlay.mp4"]


def test_what_cannot_be_written_is_said_before_any_frame(
    pipeline: Callable[..., VideoPipeline], network: CropNetwork, tmp_path: Path
) -> None:
    detector, out, error = OneWalker(), tmp_path / "out", [WRITERS["error"]]
    with pytest.raises(ConfigError, match="no error bars to draw; run slimdp calibrate"):
        write_video(pipeline(detector, frames=3), error, out, ORIGIN)
    assert detector.looked == []
    known = replace(network, error_bars=bars_of())
    write_video(pipeline(frames=3, network=known), [WRITERS["iuv-h5"]], out, ORIGIN)
    with pytest.raises(OutputFolderError, match=r"error.* cannot be drawn from iuv\.h5"):
        write_video(pipeline(frames=3, network=known), error, out, ORIGIN)
    with pytest.raises(OutputFolderError, match=r"people.* cannot be drawn from iuv\.h5"):
        write_video(pipeline(frames=3, network=known), [WRITERS["people"]], out, ORIGIN)


def test_bars_of_two_tables_are_not_mixed(
    pipeline: Callable[..., VideoPipeline], network: CropNetwork, tmp_path: Path
) -> None:
    bars = bars_of()
    first, second = (
        replace(network, error_bars=each) for each in (bars, replace(bars, bar_cm=bars.bar_cm * 2))
    )
    out, error = tmp_path / "out", [WRITERS["error"]]
    with pytest.raises(KeyboardInterrupt):
        write_video(pipeline(TwoWalkers(fails_at=45), network=first), error, out, ORIGIN)
    with pytest.raises(OutputFolderError, match="error_bars was"):
        write_video(pipeline(network=second), error, out, ORIGIN)
    write_video(pipeline(network=first), error, out, ORIGIN)
    with pytest.raises(OutputFolderError, match="error_bars was"):
        write_video(pipeline(network=second), error, out, ORIGIN)
    # What shows no bars does not depend on them.
    write_video(pipeline(frames=3), [WRITERS["iuv-h5"]], tmp_path / "later", ORIGIN)
    later = write_video(pipeline(frames=3, network=first), [WRITERS["results"]], tmp_path / "later", ORIGIN)
    assert [path.name for path in later] == ["results.json"]


@pytest.mark.parametrize("announced", [FRAMES, 0])
def test_as_many_frames_of_people_are_taken_as_the_run_has(
    pipeline: Callable[..., VideoPipeline],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    announced: int,
) -> None:
    monkeypatch.setattr("slimdp.inference.writers.people.MOST_FRAMES", 10)
    some = pipeline(frames=20)
    some.source = replace(some.source, info=replace(some.source.info, frames=announced))
    (folder,) = write_video(some, [WRITERS["people"]], tmp_path / "out", ORIGIN)
    found = json.loads((folder / "people.json").read_text())["images"]
    assert [image["frame_id"] for image in found] == list(range(0, 20, 2))


def test_fewer_frames_than_wanted_are_not_taken_for_all(
    pipeline: Callable[..., VideoPipeline], tmp_path: Path
) -> None:
    def write(out: str, frames: int | None) -> list[Path]:
        return write_video(pipeline(frames=frames), [RawWriter()], tmp_path / out, ORIGIN)

    write("some", 3)
    with pytest.raises(FlowCacheError, match="holds 3 frames, whole; for others choose another --out"):
        write("some", None)
    written = write("all", FRAMES + 5)
    assert written == write("all", FRAMES + 5) == write("all", FRAMES) == write("all", None)
    with pytest.raises(FlowCacheError, match=f"holds {FRAMES} frames"):
        write("all", 3)
    with pytest.raises(ValueError, match="frames = 0, but at least one"):
        write("none", 0)


def test_a_limit_of_all_frames_is_no_limit(
    pipeline: Callable[..., VideoPipeline], video: Path, tmp_path: Path
) -> None:
    def write(out: str, source: FrameSource, frames: int | None) -> list[Path]:
        return write_video(pipeline(source=source, frames=frames), [RawWriter()], tmp_path / out, ORIGIN)

    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 100, 56, "bgr0"
        for index in range(8):
            grey = np.full((56, 100, 3), 10 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, "rgb24")))
        container.mux(stream.encode())
    eight, film = open_frames(video), open_frames(tmp_path / "a.mkv")
    eight = replace(eight, files=eight.files[:8], info=replace(eight.info, frames=8))
    # A file may say nothing of its frames, or too few.
    sources = {f"film {n}": replace(film, info=replace(film.info, frames=n)) for n in (0, 5, 8)}
    for name, source in {"folder": eight, **sources}.items():
        written = write(name, source, 8)
        assert written == write(name, source, None) == write(name, source, 9), name
        write(f"{name}, less", source, 7)
        for frames in (None, 8):
            with pytest.raises(FlowCacheError, match="holds 7 frames, whole"):
                write(f"{name}, less", source, frames)


def test_a_frame_that_is_damaged_is_a_frame_more(
    pipeline: Callable[..., VideoPipeline], damaged: Path, tmp_path: Path
) -> None:
    write_video(pipeline(source=open_frames(damaged), frames=70), [RawWriter()], tmp_path / "out", ORIGIN)
    source = open_frames(damaged)
    source = replace(source, info=replace(source.info, frames=0))  # as a file that does not say how many
    with pytest.raises(FlowCacheError, match="holds 70 frames, whole"):
        write_video(pipeline(source=source), [RawWriter()], tmp_path / "out", ORIGIN)


def test_a_run_that_was_killed_while_it_began_or_removed_a_piece_goes_on(
    pipeline: Callable[..., VideoPipeline], tmp_path: Path
) -> None:
    (whole,) = write_video(pipeline(), [RawWriter()], tmp_path / "whole", ORIGIN)
    out = tmp_path / "out"
    out.mkdir()
    (out / ".in_use").write_text("1234 on a machine")
    with pytest.raises(KeyboardInterrupt):
        write_video(pipeline(TwoWalkers(fails_at=72)), [RawWriter()], out, ORIGIN)
    (out / ".pieces" / "000001" / "piece.json").unlink()
    (written,) = write_video(pipeline(), [RawWriter()], out, ORIGIN)
    assert written.read_bytes() == whole.read_bytes()
    (out / ".pieces" / "000000").mkdir(parents=True)  # killed while it removed what it no longer needs
    write_video(pipeline(), [RawWriter()], out, ORIGIN)
    assert sorted(path.name for path in out.iterdir()) == ["raw", "video.json"]


def test_a_run_that_made_nothing_binds_no_other(
    pipeline: Callable[..., VideoPipeline], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        write_video(pipeline(TwoWalkers(fails_at=0)), [RawWriter()], out, ORIGIN)
    assert not out.exists()
    (out / ".pieces").mkdir(parents=True)  # killed before its first piece
    (out / ".pieces" / "settings.json").write_text('{"weights_sha256": "others"}')
    assert write_video(pipeline(frames=3), [RawWriter()], out, ORIGIN) == [out / "raw"]


class WaitingSmoother(NoSmoothing):
    """Gives a frame when the detector has looked at a later batch."""

    def __init__(self, detector: TwoWalkers) -> None:
        self.waited = False
        self._detector = detector

    def smooth(self, frames: Iterable[FrameMaps]) -> Iterator[FrameMaps]:
        for maps in frames:
            deadline = time.monotonic() + 60
            while not self.waited and time.monotonic() < deadline:
                # Five crops go through the network together: two frames and a half.
                self.waited = any(index >= maps.frame.index + 6 for index in self._detector.looked)
                time.sleep(0.01)
            yield maps


def test_the_network_works_on_while_frames_are_smoothed(pipeline: Callable[..., VideoPipeline]) -> None:
    detector = TwoWalkers()
    smoother = WaitingSmoother(detector)
    assert len(list(pipeline(detector, smoother=smoother, frames=20).poses())) == 20
    assert smoother.waited


def test_a_passage_that_is_left_ends_its_threads(pipeline: Callable[..., VideoPipeline]) -> None:
    before = set(threading.enumerate())
    poses = pipeline(smoother=FlowSmoothing(2)).poses()
    next(poses)
    began = set(threading.enumerate()) - before
    assert began
    poses.close()
    assert not any(thread.is_alive() for thread in began)


def test_a_passage_that_nobody_resumes_keeps_nothing(
    pipeline: Callable[..., VideoPipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[dict[int, object]] = []
    begin = _Passage.__init__

    def noted(passage: _Passage, of: VideoPipeline, resumes: bool) -> None:
        begin(passage, of, resumes)
        kept.append(passage.resume_points)  # type: ignore[arg-type]

    monkeypatch.setattr(_Passage, "__init__", noted)
    assert [len(kept[0]) for _ in pipeline().poses()] == [0] * FRAMES


def test_a_folder_of_somebody_else_is_not_filled(
    pipeline: Callable[..., VideoPipeline], tmp_path: Path
) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(OutputFolderError, match="slimdp video did not make it"):
        write_video(pipeline(frames=3), [RawWriter()], tmp_path, ORIGIN)


@pytest.fixture
def damaged(video: Path, tmp_path: Path) -> Path:
    """The video, of which frame 70 is cut off."""
    damaged = tmp_path / "walk"
    damaged.mkdir()
    for file in video.iterdir():
        content = file.read_bytes()
        (damaged / file.name).write_bytes(content[:100] if file.stem == "070" else content)
    return damaged


def test_all_sound_frames_come_before_the_error_of_a_damaged_one(
    pipeline: Callable[..., VideoPipeline], network: CropNetwork, damaged: Path
) -> None:
    whole = replace(network, batch=8)  # frames 68 and 69 wait for more
    made = pipeline(source=open_frames(damaged), network=whole).poses()
    assert [next(made).frame.index for _ in range(70)] == list(range(70))
    with pytest.raises(FlowCacheError, match=r"070\.png is cut off"):
        next(made)


def test_what_was_done_before_a_damaged_frame_stays(
    pipeline: Callable[..., VideoPipeline], damaged: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    message = (
        r"070.png is cut off.* Frames 0 to 63 are done and stay in .*: the same command with --frames 64"
    )
    with pytest.raises(FlowCacheError, match=message):
        write_video(pipeline(source=open_frames(damaged)), [RawWriter()], out, ORIGIN)
    assert not (out / "raw").exists()
    detector = TwoWalkers()
    (some,) = write_video(
        pipeline(detector, source=open_frames(damaged), frames=64), [RawWriter()], out, ORIGIN
    )
    assert detector.looked == []
    (whole,) = write_video(pipeline(frames=64), [RawWriter()], tmp_path / "whole", ORIGIN)
    assert some.read_bytes() == whole.read_bytes()
