"""Dense pose of a whole video: decode, detect, track, predict, smooth, write; each frame passes through once.

    frames ─► tracked_maps ─► smooth ─► FramePose ─► writers, piece by piece ─► joined outputs

All steps are iterators over frames, so a video of hours takes the memory of some frames.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flow_cache import FlowCacheError, __version__
from flow_cache.runtime.checksums import file_sha256
from flow_cache.runtime.progress import Tracker as ProgressTracker
from flow_cache.runtime.progress import log_line
from slimdp.inference.calibration import expected_bars
from slimdp.inference.error_bars import ErrorBars
from slimdp.inference.further_outputs import require_there, write_further_outputs
from slimdp.inference.person_maps import CropNetwork, tracked_maps
from slimdp.inference.pieces import (
    BARS,
    OutputFolder,
    Piece,
    ResumePoint,
    join_outputs,
    read_resume_point,
    write_piece_record,
    written,
)
from slimdp.inference.predictor import instance_of
from slimdp.inference.read_ahead import read_ahead
from slimdp.inference.smoothing import NoSmoothing
from slimdp.inference.video_frames import FrameSource
from slimdp.inference.video_records import (
    Detector,
    FrameMaps,
    FramePose,
    OutputWriter,
    Smoother,
    Tracker,
    VideoFrame,
    VideoInfo,
)
from slimdp.inference.weights import name_of
from slimdp.settings_file import ConfigError
from slimdp.surface import load_surface

#: Outputs that show the network's error bars; of these, without bars there are none.
_OF_BARS, _NEED_BARS = ("error", "people"), ("error",)
#: What an origin calls the content of the weights.
_WEIGHTS = "weights_sha256"
#: Seconds of a piece, and how many frames that may be: a still camera's rate says little.
_PIECE_SECONDS, _FEWEST, _MOST = 4, 32, 256
#: Frames that are decoded before they are asked for.
_DECODED_AHEAD = 4
#: Frames that are predicted before they are written.
_PREDICTED_AHEAD = 4


@dataclass
class VideoPipeline:
    """From frames to dense pose.

    Its objects are used up: a tracker knows the video that it was used for.
    """

    source: FrameSource
    detector: Detector
    tracker: Tracker
    network: CropNetwork
    smoother: Smoother = field(default_factory=NoSmoothing)
    frames: int | None = None  # only so many; None: all

    def __post_init__(self) -> None:
        if self.frames is not None and self.frames < 1:
            raise ValueError(f"frames = {self.frames}, but at least one frame is wanted")

    @property
    def piece(self) -> int:
        """Frames of a piece."""
        return min(max(round(self.source.info.rate * _PIECE_SECONDS), _FEWEST), _MOST)

    def settings(self) -> dict[str, Any]:
        """What decides the answers, as JSON, but for the network's weights and the video's content."""
        symmetry = self.network.flip_symmetry is not None
        return {
            "crop": self.network.crop.model_dump(mode="json"), "batch": self.network.batch,
            "flip_test": symmetry, "detector": self.detector.settings(), "tracker": self.tracker.settings(),
            "smoothing": self.smoother.settings(), "piece": self.piece,
            BARS: None if self.network.error_bars is None else self.network.error_bars.digest(),
        }  # fmt: skip

    @property
    def info(self) -> VideoInfo:
        """What is known of the frames that will come: of the video, but for `frames`."""
        info = self.source.info
        if self.frames is None:
            return info
        return replace(info, frames=min(info.frames or self.frames, self.frames))

    def poses(self) -> Generator[FramePose, None, None]:
        """The dense pose of every frame, in order; close it where it is left early, which ends its threads.

        Raises FlowCacheError where a frame is damaged, after all sound frames that do not look ahead to it.
        """
        yield from _Passage(self, resumes=False).poses()


class _Passage:
    """One passage of frames through a pipeline, from the beginning or from a resume point.

    Args:
        pipeline: that.
        resumes: whether somebody goes on from the ends of its pieces, of which the points hold frames.
    """

    def __init__(self, pipeline: VideoPipeline, resumes: bool) -> None:
        self.pipeline, self._resumes = pipeline, resumes
        self.predicted = 0  # frames whose maps are known
        self.resume_points: dict[int, ResumePoint] = {}  # by the frames before them
        self._recent: deque[FrameMaps] = deque(maxlen=pipeline.smoother.behind)

    def poses(self, after: Piece | None = None) -> Iterator[FramePose]:
        """The dense pose of every frame, or of those after a piece."""
        start = 0 if after is None else after.frames
        network, smoother = self.pipeline.network, self.pipeline.smoother
        # The network looks at the next batch while this one is smoothed.
        with closing(read_ahead(self._maps(after), network.batch)) as ahead:
            for maps in smoother.smooth(ahead):
                if maps.frame.index >= start:
                    people = tuple(
                        instance_of(person, maps.frame.index, network.error_bars) for person in maps.people
                    )
                    yield FramePose(maps.frame, people)

    def _maps(self, after: Piece | None) -> Iterator[FrameMaps]:
        pipeline = self.pipeline
        start = 0 if after is None else after.frames
        frames = self._decoded(max(start - max(pipeline.smoother.behind, 1), 0))
        if after is not None:
            before = list(itertools.islice(frames, min(start, max(pipeline.smoother.behind, 1))))
            point = read_resume_point(after, {frame.index: frame for frame in before})
            pipeline.tracker.restore(point.tracker, before[-1])
            self._recent.extend(point.maps)
            self.predicted = start
            yield from point.maps
        maps = tracked_maps(
            frames, pipeline.detector, pipeline.tracker, pipeline.network, pipeline.piece, self._end_piece
        )
        yield from self._noted(maps)

    def _decoded(self, start: int) -> Iterator[VideoFrame]:
        stop = None if self.pipeline.frames is None else max(self.pipeline.frames - start, 0)
        return read_ahead(itertools.islice(self.pipeline.source.frames(start), stop), _DECODED_AHEAD)

    def _noted(self, maps: Iterable[FrameMaps]) -> Iterator[FrameMaps]:
        for of_frame in maps:
            self.predicted = of_frame.frame.index + 1
            self._recent.append(of_frame)
            yield of_frame

    def _end_piece(self, last: FrameMaps) -> None:
        if not self._resumes:
            return
        recent = deque(self._recent, maxlen=self._recent.maxlen)
        recent.append(last)
        point = ResumePoint(self.pipeline.tracker.state(), tuple(recent))
        self.resume_points[last.frame.index + 1] = point


def video_origin(source: FrameSource, weights: Path) -> dict[str, Any]:
    """What outputs are made of, as JSON: the video by its content, the weights by all their bytes."""
    return {
        "slimdp": __version__, "video": str(source.info.path), "video_content": source.fingerprint(),
        "weights": str(weights), _WEIGHTS: file_sha256(weights).hex(),
    }  # fmt: skip


def _weights_to_go_on(sha256: str | None) -> str | None:
    """How to go on with the weights of a run that took some of slimdp's: the default may be others now."""
    name = name_of(sha256)
    return None if name is None else f"go on with --weights {name}"


def bars_to_write(bars: ErrorBars | None, outputs: Collection[str], surface: str) -> ErrorBars | None:
    """The error bars for some outputs by name: the network's own, or for `people` what its parts expect.

    None beside `error`, which draws a network's own alone, and on a surface that cannot measure.
    """
    if bars is not None or "people" not in outputs or "error" in outputs:
        return bars
    try:
        return expected_bars(load_surface(surface))
    except ValueError:
        return None


def write_video(
    pipeline: VideoPipeline, writers: Sequence[OutputWriter], out: Path, origin: dict[str, Any]
) -> list[Path]:
    """Write the dense pose of a video into a folder; returns the outputs, whole, in the order of `writers`.

    A run that ended early goes on after its last whole piece, to the same files. One that finished is left as
    it is; outputs that it lacks are made from the dense pose that it wrote (`write_further_outputs`).

    Args:
        pipeline: what makes the dense pose.
        writers: what writes it, each one output.
        out: the folder.
        origin: what the outputs are made of, as JSON: the video, the weights.

    Raises:
        OutputFolderError: `out` is of other settings, in use, or somebody else's; or an output that a run
            finished is gone from it.
        ConfigError: an output shows error bars, and the network has none.
        FlowCacheError: a frame is damaged; what was done before stays, and the error says so.
    """
    settings = {**origin, **pipeline.settings(), "write": [writer.name for writer in writers]}
    folder = OutputFolder(out, settings, pipeline.source.fingerprint, {_WEIGHTS: _weights_to_go_on})
    info, layout = pipeline.info, pipeline.network.model.layout
    with folder.held():
        if (before := folder.finished()) is not None:
            folder.clear_pieces()
            return _finished(pipeline, writers, folder, before, settings)
        if pipeline.network.error_bars is None and any(writer.name in _NEED_BARS for writer in writers):
            raise ConfigError(
                "these weights have no error bars to draw; run slimdp calibrate, or do not write error"
            )
        pieces = folder.begin()
        done = pieces[-1].frames if pieces else 0
        if done:
            log_line(f"{out}: {done} frames are there; going on after them")
        try:
            pieces += _write_pieces(pipeline, writers, folder, pieces)
        except FlowCacheError as error:
            raise FlowCacheError(f"{error}{_what_stays(folder)}") from error
        if not pieces:
            raise FlowCacheError(f"{info.path}: no frame came of it")
        outputs = join_outputs(writers, [piece.folder for piece in pieces], out, info, layout)
        done = pieces[-1].frames
        folder.finish(outputs, done, pipeline.frames is None or done < pipeline.frames)
    return outputs


def _finished(
    pipeline: VideoPipeline, writers: Sequence[OutputWriter], folder: OutputFolder, before: dict[str, Any],
    settings: dict[str, Any],
) -> list[Path]:  # fmt: skip
    """The outputs of a run that finished, and of those that it lacks."""
    _require_same_frames(folder.path, before, pipeline)
    there = dict(zip(before["write"], before["outputs"], strict=True))
    wanted = [writer.name for writer in writers]
    require_there(folder.path, [there[name] for name in wanted if name in there])
    if any(name in there for name in wanted if name in _OF_BARS):
        folder.require_same(before, BARS, settings[BARS])
    outputs = {name: folder.path / there[name] for name in wanted if name in there}
    more = [writer for writer in writers if writer.name not in there]
    if more:
        made = write_further_outputs(folder, before, more, pipeline.source, pipeline.piece)
        outputs |= {writer.name: path for writer, path in zip(more, made, strict=True)}
    else:
        log_line(f"{folder.path}: all of it is there already")
    return [outputs[name] for name in wanted]


def _write_pieces(
    pipeline: VideoPipeline, writers: Sequence[OutputWriter], folder: OutputFolder, there: Sequence[Piece]
) -> list[Piece]:
    passage = _Passage(pipeline, resumes=True)
    done = there[-1].frames if there else 0
    info, layout = pipeline.info, pipeline.network.model.layout
    made: list[Piece] = []
    # Drawing and encoding wait for nothing that the next frames need.
    ahead = read_ahead(passage.poses(there[-1] if there else None), _PREDICTED_AHEAD)
    with (
        closing(ahead) as poses,
        ProgressTracker("video", "frames", info.frames or None, found=done) as progress,
    ):
        while (first := next(poses, None)) is not None:
            of_piece = itertools.chain([first], itertools.islice(poses, pipeline.piece - 1))
            with folder.new_piece(len(there) + len(made)) as place:
                for pose in written(of_piece, writers, place, info, layout):
                    done = pose.frame.index + 1
                    progress.advance()
                whole = passage.predicted >= done + pipeline.smoother.ahead and done % pipeline.piece == 0
                write_piece_record(place, done, whole, passage.resume_points.pop(done, None))
            made.append(folder.piece(len(there) + len(made), done, whole))
    return made


def _require_same_frames(out: Path, record: dict[str, Any], pipeline: VideoPipeline) -> None:
    there, wanted = record["frames"], pipeline.frames
    if there == wanted:
        return
    beyond = wanted is None or wanted > there
    if not (beyond and (record["to_the_end"] or _ends_after(pipeline.source, there))):
        raise FlowCacheError(
            f"{out} holds {there} frames, whole; for others choose another --out, or remove it"
        )


def _ends_after(source: FrameSource, frames: int) -> bool:
    """Whether a video has no more than so many frames.

    A file that announces no more is decoded to its end: what files announce may be wrong.
    """
    if source.info.frames > frames:
        return False
    try:
        return next(source.frames(frames), None) is None
    except FlowCacheError:
        return False  # something is there, though it is damaged


def _what_stays(folder: OutputFolder) -> str:
    done = sum(1 for _ in folder.pieces_folder.glob("[0-9]*"))
    if not done:
        return ""
    frames = folder.begin()
    count = frames[-1].frames if frames else 0
    return (
        f". Frames 0 to {count - 1} are done and stay in {folder.pieces_folder}; for outputs of them alone: "
        f"the same command with --frames {count}"
        if count
        else ""
    )
