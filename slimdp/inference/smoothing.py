"""Maps made steady over time: those of neighbouring frames, warped along optical flow, and their mean.

Direct Dense Pose (Ma et al., 2021), section 4: C_temp = sum_j alpha_j Warp(C_{t+j}, f_{t -> t+j}) (eq. 5 and
6), of the logits, with r = 2 and equal weights. Three things differ. A neighbour's pixel counts only where
the flow there and back meet, and the weights of those that count add up to 1: what is hidden in one of the
frames, and another scene, must not smear. Of what the frames say there, the person, the part, u and v have
means of their own (`temporal_mean`); whether the person is there at all the frame's own maps say twice. And
parts, u and v are taken from three times as many frames: flow that is a little off blurs the outline first,
and a network confuses left and right for several frames. The causal form looks at past frames alone, and at
no more of them, since all of them lag behind.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from flow_cache import threshold_in_image
from slimdp.geometry import affine_zoom
from slimdp.inference.person_flow import CropFlow, PersonFlow, PersonFlowSource
from slimdp.inference.temporal_mean import MapReader, MeanGrid, Reading, mean_outline, mean_person
from slimdp.inference.video_records import FrameMaps, PersonMaps, Smoother

#: With frames of both sides parts, u and v come from so many times as many as whether a person is there.
_PARTS_BY_OUTLINE = 3
#: A neighbour in which less than this passes the check, of the window or, further away, of the person, shows
#: another scene, or somebody else.
_LEAST_TRUSTED = 0.25


class NoSmoothing:
    """Each frame by itself."""

    behind = ahead = 0

    def settings(self) -> dict[str, Any]:
        """What decides its answers, as JSON."""
        return {"smoothing": "none"}

    def smooth(self, frames: Iterable[FrameMaps]) -> Iterator[FrameMaps]:
        """The same frames."""
        yield from frames


class FlowSmoothing:
    """Averages everyone's maps over frames along the flow around them.

    Args:
        reach: r, frames to each side that say whether a person is there; 3 r say where on the body.
        causal: only frames before, r for both.
        flow: where the flow comes from; default: estimated in the crops.
        threshold_px: how far from its start the way there and back may end, px of a crop of 256.
    """

    def __init__(
        self, reach: int = 2, causal: bool = False, flow: PersonFlowSource | None = None,
        threshold_px: float = 5.0,
    ) -> None:  # fmt: skip
        if reach < 1 or not threshold_px > 0:
            raise ValueError(f"reach {reach}, threshold {threshold_px} px; wanted 1 or more, and over 0")
        self._reach, self.behind = reach, reach if causal else _PARTS_BY_OUTLINE * reach
        self.ahead = 0 if causal else self.behind
        self._flow, self._threshold_px = flow or CropFlow(), threshold_px

    def settings(self) -> dict[str, Any]:
        """What decides its answers, as JSON."""
        name = "flow" if self.ahead else "causal"
        flow = self._flow.settings()
        return {
            "smoothing": name, "reach": self._reach, "reach_of_parts": self.behind,
            "threshold_px": self._threshold_px, "flow": flow,
        }  # fmt: skip

    def smooth(self, frames: Iterable[FrameMaps]) -> Iterator[FrameMaps]:
        """The same frames, each `ahead` frames later, with the means of their maps."""
        window: deque[FrameMaps] = deque(maxlen=self.behind + 1 + self.ahead)
        near = _Neighbourhood(self._flow)
        came = given = 0
        for frame in frames:
            window.append(frame)
            came += 1
            if came > self.ahead:
                yield self._smoothed(list(window), len(window) - 1 - self.ahead, near)
                given += 1
        while given < came:
            yield self._smoothed(list(window), len(window) - (came - given), near)
            given += 1

    def _smoothed(self, window: Sequence[FrameMaps], middle: int, near: _Neighbourhood) -> FrameMaps:
        first = max(middle - self.behind, 0)
        others = window[first : middle + self.ahead + 1]
        frame = window[middle]
        near.forget_before(others[0].frame.index)
        people = [self._smooth_person(person, others, middle - first, near) for person in frame.people]
        return replace(frame, people=tuple(people))

    def _smooth_person(
        self, person: PersonMaps, window: Sequence[FrameMaps], middle: int, near: _Neighbourhood
    ) -> PersonMaps:
        grid = MeanGrid.of(person)
        most_px = threshold_in_image(self._threshold_px, person.size / affine_zoom(person.crop_from_image))
        walks = [_Walk(window, middle, step, person, grid.places, most_px, near) for step in (-1, 1)]
        own = near.reader(person, window[middle]).at(grid.places, np.ones(len(grid.places), bool))
        close = [own, *(reading for walk in walks for reading in walk.readings(self._reach))]
        outline = mean_outline(person, grid, close)
        some = outline.near[grid.chosen]
        for walk in walks:
            walk.keep(some)
        far = [reading for walk in walks for reading in walk.readings(self.behind - self._reach)]
        return mean_person(person, outline, [*(reading.of(some) for reading in close), *far])


class _Walk:
    """Where pixels of a person are in one frame after another, before or after the person's own.

    Args:
        window: frames.
        middle: the person's in it.
        step: to the next frame, -1 or 1.
        person: that.
        points: the pixels, image px (N, 2).
        most_px: of the check, px of the image.
        near: of flows and maps.
    """

    def __init__(
        self, window: Sequence[FrameMaps], middle: int, step: int, person: PersonMaps, points: np.ndarray,
        most_px: float, near: _Neighbourhood,
    ) -> None:  # fmt: skip
        self._window, self._step, self._most_px, self._near = window, step, most_px, near
        self._position, self._at, self._lost = middle, person, False
        self._places, self._trusted = points, np.ones(len(points), bool)

    def keep(self, some: np.ndarray) -> None:
        """Go on with some (N,) bool of the pixels alone, numbered among them."""
        self._places, self._trusted = self._places[some], self._trusted[some]

    def readings(self, frames: int) -> Iterator[Reading]:
        """Of so many frames more, at most; of none after one without the person or most of the pixels."""
        for _ in range(frames):
            position = self._position + self._step
            if self._lost or not len(self._places) or not 0 <= position < len(self._window):
                return
            neighbour = person_of(self._window[position], self._at.person.track)
            if neighbour is None:
                self._lost = True
                return
            earlier, later = sorted((self._position, position))
            owner = self._at if self._step > 0 else neighbour
            flow = self._near.flow(owner, self._window[earlier], self._window[later])
            move = flow.move if self._step > 0 else flow.move_back
            self._places, passes = move(self._places, self._most_px)
            self._trusted = self._trusted & passes
            reading = self._near.reader(neighbour, self._window[position]).at(self._places, self._trusted)
            if len(reading.rows) < _LEAST_TRUSTED * len(self._places):
                self._lost = True
                return
            self._position, self._at = position, neighbour
            yield reading


class _Neighbourhood:
    """What is known of people of lately: each flow serves both directions and all frames, as do maps."""

    def __init__(self, source: PersonFlowSource) -> None:
        self._source = source
        # by frame and track
        self._flows: dict[tuple[int, int], PersonFlow] = {}
        self._readers: dict[tuple[int, int], MapReader] = {}

    def flow(self, person: PersonMaps, frame_0: FrameMaps, frame_1: FrameMaps) -> PersonFlow:
        key = frame_0.frame.index, person.person.track
        if key not in self._flows:
            self._flows[key] = self._source.between(person, frame_0.frame, frame_1.frame)
        return self._flows[key]

    def reader(self, person: PersonMaps, frame: FrameMaps) -> MapReader:
        key = frame.frame.index, person.person.track
        if key not in self._readers:
            self._readers[key] = MapReader(person)
        return self._readers[key]

    def forget_before(self, frame: int) -> None:
        self._flows = {key: flow for key, flow in self._flows.items() if key[0] >= frame}
        self._readers = {key: reader for key, reader in self._readers.items() if key[0] >= frame}


def person_of(frame: FrameMaps, track: int) -> PersonMaps | None:
    """The person of a number in a frame; None where nobody has it."""
    return next((person for person in frame.people if person.person.track == track), None)


#: By the name that --smooth takes; made from the reach and the source of flow.
SMOOTHERS: dict[str, Callable[[int, PersonFlowSource | None], Smoother]] = {
    "flow": lambda reach, flow: FlowSmoothing(reach, flow=flow),
    "causal": lambda reach, flow: FlowSmoothing(reach, causal=True, flow=flow),
    "none": lambda reach, flow: NoSmoothing(),
}
