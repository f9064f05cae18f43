"""Who is who from frame to frame: boxes moved by optical flow, and matched to the detector's by overlap.

A box goes along the median flow of its middle, so that it is known in frames that no detector looks at, and
a detection is matched to the box that it overlaps most (the assignment of least cost, Kuhn, 1955), or to the
person whom it names. A person
whom the detector misses goes on along the flow, then in the direction taken so far, and keeps the number for
some frames. Boxes that are unsure continue a track and begin none (ByteTrack; Zhang et al., 2022), where
nobody asked for boxes that are as unsure, and where more frames come than one. Boxes that somebody gave
(`Boxes.given`) stand as they are, each of a person of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import cv2
import numpy as np

from slimdp.geometry import box_edges, box_overlaps, box_within
from slimdp.inference.detectors import BoxFileDetector, FollowDetector
from slimdp.inference.outline_tracking import OutlineTracker
from slimdp.inference.video_records import (
    Boxes,
    Detector,
    FrameMaps,
    TrackedPerson,
    Tracker,
    VideoFrame,
    VideoInfo,
)
from slimdp.registry import lookup

#: Frames are shrunk to about so many px of the longer side before their flow is estimated.
_FLOW_SIDE = 256
#: Of DIS's pyramid, the level at which it ends: half the shrunk frame's size.
_FINEST_SCALE = 1
#: Below this correlation of a frame with the one before, moved along the flow, another scene begins.
_SAME_SCENE = 0.5
#: Frames whose grey levels vary by less than this show nothing that could be compared.
_FLAT = 2.0
#: Of the shrunk frame's pixels, one of so many in a row tells enough of that.
_EVERY_PX = 2
#: A new box that overlaps that of a known person by more than this is the same person.
_SAME_PERSON = 0.5
#: Of a box's width and height, the middle part whose flow moves it.
_MIDDLE = np.array([0.6, 0.8])
#: A box that is narrower, shrunk px, shows the background beside the person: of its pixels, the half moves it
#: that moves least like the frame.
_NARROW = 24
#: Less of a box than this within the frame, and the person has left.
_LEAST_INSIDE = 0.2


@dataclass(frozen=True)
class TrackSettings:
    """How people are told apart."""

    every: int = 4  # the detector looks at every so many frames
    overlap: float = 0.2  # the least intersection over union of a detection with the box it continues
    start: float = 0.5  # the least score that begins a track, 0..1
    shown: int = 8  # frames for which somebody whom the detector misses is still predicted
    memory: int = 45  # frames after which somebody who was not found gets a new number
    gain: float = 0.6  # share of the way from the moved box to the detection; 1 takes the detection

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every = {self.every}; the detector can look at every frame (1) or fewer")


@dataclass(frozen=True)
class _Track:
    """Somebody in the last frame."""

    track: int
    box: tuple[float, ...]  # x, y, width, height px
    score: float
    missed: int = 0  # frames since the detector found them, if it missed them
    velocity: tuple[float, float] = (0.0, 0.0)  # px a frame, of late

    def moved(self, by: np.ndarray) -> _Track:
        x, y, width, height = self.box
        return replace(self, box=(x + float(by[0]), y + float(by[1]), width, height))


class FlowTracker:
    """Moves boxes along the flow and matches them to what the detector finds."""

    observes = False

    def __init__(self, settings: TrackSettings | None = None) -> None:
        self._settings = settings or TrackSettings()
        self._estimator = _dis()
        self._tracks: list[_Track] = []
        self._next = 1
        self._small: np.ndarray | None = None  # the last frame, shrunk, (h, w) uint8
        self._flow: np.ndarray | None = None  # (2, h, w) shrunk px, from it to the present one

    def settings(self) -> dict[str, Any]:
        """What decides its answers, as JSON."""
        return {"tracker": "flow", **asdict(self._settings)}

    def due(self, frame: VideoFrame) -> bool:
        """Every `every` frames, and in the first one of another scene, where all tracks end."""
        small = _shrunk(frame.image)
        new_scene = self._small is None
        self._flow = None
        if self._small is not None and self._tracks:
            self._flow = np.ascontiguousarray(
                self._estimator.calc(self._small, small, None).transpose(2, 0, 1)  # type: ignore[call-overload]
            )
            if not _same_scene(self._small, small, self._flow):
                self._tracks, self._flow, new_scene = [], None, True
        self._small = small
        return new_scene or frame.index % self._settings.every == 0

    def update(self, frame: VideoFrame, found: Boxes | None) -> list[TrackedPerson]:
        """Who is where in the next frame, sorted by number."""
        height, width = frame.image.shape[:2]
        shrunk_by = _shrink_factor(frame.image)
        tracks = [self._move(track, shrunk_by) for track in self._tracks]
        tracks = [track for track in tracks if _share_inside(track.box, width, height) >= _LEAST_INSIDE]
        self._tracks = tracks if found is None else self._match(tracks, found)
        shown = [track for track in self._tracks if track.missed <= self._settings.shown]
        boxes = [box_within(box_edges(np.array(track.box)), width, height) for track in shown]
        return [TrackedPerson(track.track, box, track.score) for track, box in zip(shown, boxes, strict=True)]

    def observe(self, pose: FrameMaps) -> bool:
        """Nothing: the flow and the detector say where people are."""
        return False

    def state(self) -> dict[str, Any]:
        """The tracks and the next number."""
        return {"tracks": [asdict(track) for track in self._tracks], "next": self._next}

    def restore(self, state: dict[str, Any], last: VideoFrame) -> None:
        """Go on from a `state` after the frame `last`."""
        self._tracks = [
            _Track(**{**track, "box": tuple(track["box"]), "velocity": tuple(track["velocity"])})
            for track in state["tracks"]
        ]
        self._next = state["next"]
        self._small, self._flow = _shrunk(last.image), None

    def _move(self, track: _Track, shrunk_by: int) -> _Track:
        velocity = np.array(track.velocity)
        if self._flow is None:
            return track
        if track.missed:  # hidden perhaps: the flow there is that of who hides them
            return replace(track.moved(velocity), missed=track.missed + 1)
        by = _middle_flow(self._flow, np.array(track.box) / shrunk_by) * shrunk_by
        smooth = 0.7 * velocity + 0.3 * by
        return replace(track.moved(by), velocity=(float(smooth[0]), float(smooth[1])))

    def _match(self, tracks: list[_Track], found: Boxes) -> list[_Track]:
        overlap = box_overlaps(np.array([track.box for track in tracks]).reshape(-1, 4), found.xywh)
        if found.track is None:
            matched = self._by_overlap(overlap)
        else:
            columns = {int(number): column for column, number in enumerate(found.track)}
            rows = ((row, columns.get(track.track)) for row, track in enumerate(tracks))
            matched = {row: column for row, column in rows if column is not None}
        kept = []
        for row, track in enumerate(tracks):
            if row in matched:
                kept.append(self._continued(track, found, matched[row]))
            elif (missed := max(track.missed, 1)) <= self._settings.memory:
                kept.append(replace(track, missed=missed))
        for column in sorted(set(range(len(found))) - set(matched.values())):
            is_known = bool(len(tracks)) and overlap[:, column].max() > _SAME_PERSON
            begins = found.score[column] >= self._settings.start and not is_known
            if found.track is None and not (begins or found.stands[column]):
                continue
            number = self._next if found.track is None else int(found.track[column])
            box = tuple(float(side) for side in found.xywh[column])
            kept.append(_Track(number, box, float(found.score[column])))
            self._next = max(self._next, number + 1)
        return sorted(kept, key=lambda track: track.track)

    def _by_overlap(self, overlap: np.ndarray) -> dict[int, int]:
        """The found box (column) that each track (row) overlaps most, as one assignment of least cost."""
        from scipy.optimize import linear_sum_assignment  # loads for longer than a picture takes

        rows, columns = linear_sum_assignment(-overlap)
        return {
            int(row): int(column)
            for row, column in zip(rows, columns, strict=True)
            if overlap[row, column] >= self._settings.overlap
        }

    def _continued(self, track: _Track, found: Boxes, column: int) -> _Track:
        gain = 1.0 if track.missed or found.stands[column] else self._settings.gain
        # Edges, not the corner and the size: a detection that is cut at one side moves that side alone.
        edges, wanted = box_edges(np.array(track.box)), box_edges(found.xywh[column])
        edges = edges + gain * (wanted - edges)
        box = tuple(float(number) for number in [*edges[:2], *(edges[2:] - edges[:2])])
        return replace(track, box=box, score=float(found.score[column]), missed=0)


def usual_every(detector: Detector) -> int:
    """Of how many frames a detector looks at one where nobody says it: boxes that are there cost nothing."""
    return 1 if isinstance(detector, BoxFileDetector) else TrackSettings().every


#: By the name that --tracker takes.
TRACKERS: dict[str, Callable[[TrackSettings], Tracker]] = {
    "flow": FlowTracker,
    "outline": lambda settings: OutlineTracker(),
}


def make_tracker(
    name: str | None, detector: Detector, info: VideoInfo, every: int | None = None,
    score: float | None = None, key: str = "--tracker",
) -> Tracker:  # fmt: skip
    """What follows the people whom a detector finds in a video.

    Args:
        name: of `TRACKERS`; None: outline for the detector `follow`, flow for all others.
        detector: that.
        info: of the video. In a still nobody is followed: every box is somebody.
        every: the detector looks at every so many frames; None: `usual_every`.
        score: the least score of a box, 0..1, where somebody chose it: such a box begins a track, too. None:
            `TrackSettings.start` does.
        key: what `name` is called, for the error.

    Raises:
        ConfigError: there is no such tracker.
        ValueError: `every` is less than 1.
    """
    usual = TrackSettings()
    start = 0.0 if info.still else usual.start if score is None else min(usual.start, score)
    settings = TrackSettings(usual_every(detector) if every is None else every, start=start)
    chosen = name or ("outline" if detector.name == FollowDetector.name else "flow")
    tracker: Tracker = lookup("slimdp.trackers", chosen, key)(settings)
    return tracker


def _share_inside(box: Sequence[float], width: int, height: int) -> float:
    cut = np.clip(box_edges(np.array(box)), 0, [width, height, width, height])
    return float((cut[2:] - cut[:2]).prod() / max(box[2] * box[3], 1e-9))


def _shrink_factor(image: np.ndarray) -> int:
    """A whole number: OpenCV shrinks by others far more slowly."""
    return max(round(max(image.shape[:2]) / _FLOW_SIDE), 1)


def _shrunk(image: np.ndarray) -> np.ndarray:
    """A frame (H, W, 3) shrunk for its flow, (h, w) uint8 grey, at least 16 px a side, as DIS needs."""
    factor = _shrink_factor(image)
    height, width = (max(side // factor, 1) for side in image.shape[:2])
    grey = cv2.cvtColor(image[: height * factor, : width * factor], cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    down, right = max(16 - height, 0), max(16 - width, 0)
    return cv2.copyMakeBorder(small, 0, down, 0, right, cv2.BORDER_REPLICATE) if down or right else small


def _dis() -> cv2.DISOpticalFlow:
    """Dense Inverse Search without variational refinement, which smooths small people into the background.

    With the detector at every fourth of 200 frames of a street, 96 % of the boxes that it finds in the others
    are tracked so, 95 % by the preset medium in three times the time, 88 % by the preset fast.
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    search.setFinestScale(_FINEST_SCALE)
    search.setVariationalRefinementIterations(0)
    return search


def _middle_flow(flow: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The median flow (2,) px in the middle of a box xywh px; at its nearest pixels where it lies outside."""
    height, width = flow.shape[1:]
    near = box[:2] + box[2:] * (1 - _MIDDLE) / 2
    far = near + box[2:] * _MIDDLE
    left, top = np.clip(np.floor(near), 0, [width - 1, height - 1]).astype(int)
    right, bottom = np.clip(np.ceil(far), [left + 1, top + 1], [width, height]).astype(int)
    inside = flow[:, top:bottom, left:right].reshape(2, -1)
    if box[2] < _NARROW:
        frame = np.median(flow[:, ::4, ::4].reshape(2, -1), axis=1)
        unlike = np.hypot(*(inside - frame[:, None]))
        inside = inside[:, unlike >= np.median(unlike)]
    return np.asarray(np.median(inside, axis=1), np.float64)


def _same_scene(first: np.ndarray, second: np.ndarray, flow: np.ndarray) -> bool:
    """Whether a frame, read along the flow, resembles the one before it."""
    some = np.s_[::_EVERY_PX, ::_EVERY_PX]
    grey_0, grey_1 = (image[some].astype(np.float32) for image in (first, second))
    flat_0, flat_1 = grey_0.std() < _FLAT, grey_1.std() < _FLAT
    if flat_0 or flat_1:
        return bool(flat_0 and flat_1)
    height, width = grey_0.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    x, y = x + flow[0][some] / _EVERY_PX, y + flow[1][some] / _EVERY_PX
    moved = cv2.remap(grey_1, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return float(np.corrcoef(grey_0.ravel(), moved.ravel())[0, 1]) > _SAME_SCENE
