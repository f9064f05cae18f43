"""Maps made steady over time: those of neighbouring frames, warped along optical flow, and their mean.

Direct Dense Pose (Ma et al., 2021), section 4: C_temp = sum_j alpha_j Warp(C_{t+j}, f_{t -> t+j}) (eq. 5 and
6), of the logits, with r = 2 and equal weights. Three things differ. A neighbour's pixel counts only where
the flow there and back meet, and the weights of those that count add up to 1: what is hidden in one of the
frames, and another scene, must not smear. u and v are averaged over the frames whose best part at that pixel
is theirs, because their other channels mean nothing there. The causal form looks at past frames alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flow_cache import threshold_in_image
from slimdp.geometry import affine_zoom, apply_affine, crop_from_map, invert_affine, map_from_crop
from slimdp.inference.person_flow import CropFlow, PersonFlow, PersonFlowSource
from slimdp.inference.video_records import FrameMaps, PersonMaps, Smoother
from slimdp.structures import DensePoseMaps

#: A neighbour in which less of the crop than this passes the check shows another scene, or somebody else.
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
        reach: r, frames to each side.
        causal: only frames before.
        flow: where the flow comes from; default: estimated in the crops.
        threshold_px: how far from its start the way there and back may end, px of a crop of 256.
    """

    def __init__(
        self, reach: int = 2, causal: bool = False, flow: PersonFlowSource | None = None,
        threshold_px: float = 5.0,
    ) -> None:  # fmt: skip
        if reach < 1 or not threshold_px > 0:
            raise ValueError(f"reach {reach}, threshold {threshold_px} px; wanted 1 or more, and over 0")
        self.behind, self.ahead = reach, 0 if causal else reach
        self._flow, self._threshold_px = flow or CropFlow(), threshold_px

    def settings(self) -> dict[str, Any]:
        """What decides its answers, as JSON."""
        name = "flow" if self.ahead else "causal"
        flow = self._flow.settings()
        return {"smoothing": name, "reach": self.behind, "threshold_px": self._threshold_px, "flow": flow}

    def smooth(self, frames: Iterable[FrameMaps]) -> Iterator[FrameMaps]:
        """The same frames, each `ahead` frames later, with the means of their maps."""
        window: deque[FrameMaps] = deque(maxlen=self.behind + 1 + self.ahead)
        flows = _Flows(self._flow)
        came = given = 0
        for frame in frames:
            window.append(frame)
            came += 1
            if came > self.ahead:
                yield self._smoothed(list(window), len(window) - 1 - self.ahead, flows)
                given += 1
        while given < came:
            yield self._smoothed(list(window), len(window) - (came - given), flows)
            given += 1

    def _smoothed(self, window: Sequence[FrameMaps], middle: int, flows: _Flows) -> FrameMaps:
        first = max(middle - self.behind, 0)
        near = window[first : middle + self.ahead + 1]
        frame = window[middle]
        flows.forget_before(near[0].frame.index)
        people = [self._smooth_person(person, near, middle - first, flows) for person in frame.people]
        return replace(frame, people=tuple(people))

    def _smooth_person(
        self, person: PersonMaps, window: Sequence[FrameMaps], middle: int, flows: _Flows
    ) -> PersonMaps:
        points = map_places(person)
        most_px = threshold_in_image(self._threshold_px, person.size / affine_zoom(person.crop_from_image))
        mean = _WeightedMean(person)
        for step in (-1, 1):
            places, trusted, at = points, np.ones(len(points), bool), person
            for position in range(middle + step, len(window) if step > 0 else -1, step):
                neighbour = person_of(window[position], person.person.track)
                if neighbour is None:
                    break
                earlier, later = sorted((position - step, position))
                owner = at if step > 0 else neighbour
                flow = flows.around(owner, window[earlier], window[later])
                places, passes = (flow.move if step > 0 else flow.move_back)(places, most_px)
                trusted = trusted & passes
                inside = trusted & inside_crop(neighbour, places)
                if inside.mean() < _LEAST_TRUSTED:
                    break
                mean.add(neighbour, places, inside)
                at = neighbour
        return replace(person, maps=mean.maps())


class _Flows:
    """The flow around people of lately, each estimated once for both directions and all frames it serves."""

    def __init__(self, source: PersonFlowSource) -> None:
        self._source = source
        self._known: dict[tuple[int, int], PersonFlow] = {}  # by frame and track

    def around(self, person: PersonMaps, frame_0: FrameMaps, frame_1: FrameMaps) -> PersonFlow:
        key = frame_0.frame.index, person.person.track
        if key not in self._known:
            self._known[key] = self._source.between(person, frame_0.frame, frame_1.frame)
        return self._known[key]

    def forget_before(self, frame: int) -> None:
        self._known = {key: flow for key, flow in self._known.items() if key[0] >= frame}


class _WeightedMean:
    """The mean of a person's maps with those of neighbours, of equal weights where they count.

    Plain arrays of N = h w pixels by C channels: their rows are read several times faster than torch indexes
    maps.
    """

    def __init__(self, person: PersonMaps) -> None:
        self._own = person.maps
        self._height, self._width = person.maps.u.shape[2:]
        every = np.arange(self._height * self._width)
        self._scores = _scores(person.maps)  # (N, fine and coarse) sums
        self._weight = np.ones(len(every), np.float32)
        parts = person.maps.u.shape[1]
        self._uv = np.zeros((2, parts, len(every)), np.float32)
        self._uv_weight = np.zeros((parts, len(every)), np.float32)
        one = np.ones((1, len(every)), np.float32)
        self._add_uv(person.maps, every, every[None], one, self._best(self._scores))

    def add(self, neighbour: PersonMaps, places: np.ndarray, counts: np.ndarray) -> None:
        """Add a neighbour's maps at image px (N, 2) of its frame, where they count (N,)."""
        rows = np.flatnonzero(counts)
        crop = apply_affine(neighbour.crop_from_image, places[rows])
        pixels, weights = bilinear_taps(map_from_crop(crop, neighbour.stride), self._height, self._width)
        known = _scores(neighbour.maps)
        scores = sum(
            weight[:, None] * known.take(pixel, axis=0) for pixel, weight in zip(pixels, weights, strict=True)
        )
        self._scores[rows] += scores
        self._weight[rows] += 1
        self._add_uv(neighbour.maps, rows, pixels, weights, self._best(scores))

    def maps(self) -> DensePoseMaps:
        """The means; channels of u and v that no frame's best part asks for are the person's own."""
        scores = (self._scores / self._weight[:, None]).T
        known = self._uv_weight > 0
        uv = self._uv / np.maximum(self._uv_weight, 1)
        u, v = (
            np.where(known, mean, own.numpy().reshape(mean.shape))
            for mean, own in zip(uv, (self._own.u, self._own.v), strict=True)
        )
        fine = self._own.fine_segm.shape[1]
        return DensePoseMaps(*(self._as_map(each) for each in (scores[:fine], u, v, scores[fine:])))

    def _best(self, scores: np.ndarray) -> np.ndarray:
        """The best part (N,) of scores (N, fine and coarse), as a channel of u and v."""
        return np.asarray(scores[:, 1 : self._own.fine_segm.shape[1]].argmax(axis=1))

    def _add_uv(
        self, maps: DensePoseMaps, rows: np.ndarray, pixels: np.ndarray, weights: np.ndarray, best: np.ndarray
    ) -> None:
        """Add u and v of the best parts (N,) there, of maps at taps (T, N) of some weights, to the rows."""
        at = pixels + best * (self._height * self._width)
        for sums, channel in zip(self._uv, (maps.u, maps.v), strict=True):
            value = (channel.numpy().ravel().take(at) * weights).sum(axis=0)
            sums[best, rows] += value.clip(0, 1)
        self._uv_weight[best, rows] += 1

    def _as_map(self, values: np.ndarray) -> Tensor:
        shaped = values.reshape(1, -1, self._height, self._width)
        return torch.from_numpy(np.ascontiguousarray(shaped, np.float32))


def _scores(maps: DensePoseMaps) -> np.ndarray:
    """The scores of fine and coarse parts, (N, C) float32, a copy."""
    both = torch.cat([maps.fine_segm[0], maps.coarse_segm[0]]).flatten(1)
    return np.asarray(both.T.contiguous().numpy())


def bilinear_taps(points: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The four pixels between which points (N, 2) x, y px of a map lie, and their weights: both (4, N).

    A pixel is y width + x; beyond the outermost centres the border value holds.
    """
    x, y = points[:, 0].clip(0, width - 1), points[:, 1].clip(0, height - 1)
    x0 = np.minimum(x.astype(np.int64), max(width - 2, 0))
    y0 = np.minimum(y.astype(np.int64), max(height - 2, 0))
    wx, wy = x - x0, y - y0
    first = y0 * width + x0
    right, down = min(1, width - 1), width * min(1, height - 1)
    pixels = np.stack([first, first + right, first + down, first + right + down])
    weights = np.stack([(1 - wx) * (1 - wy), wx * (1 - wy), (1 - wx) * wy, wx * wy])
    return pixels, weights.astype(np.float32)


def map_places(person: PersonMaps) -> np.ndarray:
    """Where the centres of a person's map pixels lie: (h w, 2) image px, row by row."""
    height, width = person.maps.fine_segm.shape[-2:]
    row, column = np.divmod(np.arange(height * width), width)
    crop = crop_from_map(np.stack([column, row], axis=1).astype(np.float64), person.stride)
    return apply_affine(invert_affine(person.crop_from_image), crop)


def inside_crop(person: PersonMaps, places: np.ndarray) -> np.ndarray:
    """Which image px (N, 2) a person's maps cover: (N,) bool."""
    crop = apply_affine(person.crop_from_image, places)
    return np.asarray(((crop >= -0.5) & (crop <= person.size - 0.5)).all(axis=1))


def person_of(frame: FrameMaps, track: int) -> PersonMaps | None:
    """The person of a number in a frame; None where nobody has it."""
    return next((person for person in frame.people if person.person.track == track), None)


#: By the name that --smooth takes; made from the reach and the source of flow.
SMOOTHERS: dict[str, Callable[[int, PersonFlowSource | None], Smoother]] = {
    "flow": lambda reach, flow: FlowSmoothing(reach, flow=flow),
    "causal": lambda reach, flow: FlowSmoothing(reach, causal=True, flow=flow),
    "none": lambda reach, flow: NoSmoothing(),
}
