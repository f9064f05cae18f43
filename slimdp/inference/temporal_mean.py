"""The mean of a person's maps over frames, at the places of a grid in one of them.

Two things are averaged apart, because one mean of all scores answers neither well. Whether a pixel shows the
person: the mean of the frames' log odds (`person_log_odds`). Which part it is: the mean of the parts' scores.
Where frames disagree about the part, the mean of each part's score is below that of the frame which is for
it, so odds of the mean scores against background are below the mean of the odds (log-sum-exp is convex), and
lower legs, whose left and right networks confuse, turned into background.

The grid is twice as fine as maps of less than 64 px a side. Each frame has another phase, and means at the
pixels of such maps, of which a lower leg is two wide, are blurred: borders of parts jump, and limbs fade.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from slimdp.geometry import apply_affine, crop_from_map, invert_affine, map_from_crop
from slimdp.inference.decoding import person_log_odds
from slimdp.inference.video_records import PersonMaps
from slimdp.maps import bilinear_taps, upsample_map
from slimdp.structures import DensePoseMaps

#: Maps of so many px a side are not made finer: a person is as many px of them as of a finer grid of smaller
#: ones, and the time goes with the square.
_FINE_ENOUGH = 64
#: Whether the person is there the frame's own maps say twice: a limb that moves fast is elsewhere in all
#: other frames, by flow that is a little off, and a plain mean takes it for background.
_OWN_WEIGHT = 2.0


class MapReader:
    """A person's maps of h x w px in an order that is read fast at many places."""

    def __init__(self, person: PersonMaps) -> None:
        maps = person.maps
        self._crop_from_image, self._stride, self._size = person.crop_from_image, person.stride, person.size
        self.height, self.width = maps.u.shape[2:]
        self.log_odds = person_log_odds(maps)[None]  # (1, 1, h, w)
        self.parts = maps.fine_segm[0, 1:].flatten(1).T.contiguous().numpy()  # (h w, P)
        self.uv = tuple(each.contiguous().numpy().ravel() for each in (maps.u, maps.v))  # (P h w,) each

    def at(self, places: np.ndarray, counts: np.ndarray) -> Reading:
        """A reading at image px (N, 2) of its frame, of those that count (N,) and that the maps cover."""
        crop = apply_affine(self._crop_from_image, places)
        covered = (crop >= -0.5) & (crop <= self._size - 0.5)
        rows = np.flatnonzero(counts & covered[:, 0] & covered[:, 1])
        return Reading(self, rows, map_from_crop(crop[rows], self._stride))


@dataclass(frozen=True)
class Reading:
    """Where some pixels of the grid lie in a frame's maps, which are read between their pixels bilinearly."""

    reader: MapReader
    rows: np.ndarray  # (M,) pixels of the grid
    points: np.ndarray  # (M, 2) x, y px of the maps

    def log_odds(self) -> np.ndarray:
        """A person's (M,)."""
        size = np.array([self.reader.width, self.reader.height])
        # From -1 to 1 along the maps' edges, half a pixel from the outermost centres.
        places = torch.from_numpy((2 * self.points + 1) / size - 1).float()[None, None]
        read = F.grid_sample(self.reader.log_odds, places, padding_mode="border", align_corners=False)
        return np.asarray(read[0, 0, 0])

    def parts(self) -> np.ndarray:
        """The parts' scores (M, P)."""
        taps = zip(*self._taps, strict=True)
        return sum(weight[:, None] * self.reader.parts.take(pixel, axis=0) for pixel, weight in taps)

    def uv(self, part: np.ndarray) -> np.ndarray:
        """u and v (2, M) in [0, 1] of a part each (M,), 0..P - 1."""
        pixels, weights = self._taps
        at = pixels + part * (self.reader.height * self.reader.width)
        return np.stack([(each.take(at) * weights).sum(axis=0).clip(0, 1) for each in self.reader.uv])

    def of(self, chosen: np.ndarray) -> Reading:
        """The same of chosen (N,) bool pixels of the grid alone, numbered among them."""
        kept = chosen[self.rows]
        number = np.cumsum(chosen) - 1
        return Reading(self.reader, number[self.rows[kept]], self.points[kept])

    @cached_property
    def _taps(self) -> tuple[np.ndarray, np.ndarray]:
        return bilinear_taps(self.points, self.reader.height, self.reader.width)


def refinement(person: PersonMaps) -> int:
    """How many pixels of the grid lie along a pixel of a person's maps."""
    return 2 if person.stride % 2 == 0 and max(person.maps.u.shape[2:]) < _FINE_ENOUGH else 1


@dataclass(frozen=True)
class MeanGrid:
    """Where a mean is made: the pixels of a grid of h x w that lie in a person's window, M of N = h w."""

    shape: tuple[int, int]  # h, w
    chosen: np.ndarray  # (N,) bool
    places: np.ndarray  # (M, 2) image px

    @classmethod
    def of(cls, person: PersonMaps) -> MeanGrid:
        """That of a person's maps."""
        finer = refinement(person)
        height, width = (finer * side for side in person.maps.u.shape[2:])
        row, column = np.divmod(np.arange(height * width), width)
        crop = crop_from_map(np.stack([column, row], axis=1).astype(np.float64), person.stride // finer)
        left, top, right, bottom = person.window
        inside = (crop >= [left - 0.5, top - 0.5]) & (crop <= [right - 0.5, bottom - 0.5])
        chosen = inside[:, 0] & inside[:, 1]
        return cls((height, width), chosen, apply_affine(invert_affine(person.crop_from_image), crop[chosen]))


@dataclass(frozen=True)
class MeanOutline:
    """Where a person is in the mean, on a grid of h x w = N pixels."""

    shape: tuple[int, int]  # h, w
    log_odds: np.ndarray  # (N,) float32, of a person
    near: np.ndarray  # (N,) bool: the person and a pixel around, within the window


def mean_outline(person: PersonMaps, grid: MeanGrid, readings: Sequence[Reading]) -> MeanOutline:
    """Where a person is by readings at a grid, of which the first, of the person's own maps, counts twice.

    Beside the window it is where the person's own maps say.
    """
    log_odds = upsample_map(readings[0].reader.log_odds, refinement(person)).flatten().numpy().copy()
    log_odds[grid.chosen] = _mean_log_odds(readings, len(grid.places))
    person_there = (log_odds > 0).reshape(grid.shape).astype(np.uint8)
    near = (cv2.dilate(person_there, np.ones((3, 3), np.uint8)).ravel() > 0) & grid.chosen
    return MeanOutline(grid.shape, log_odds, near)


def mean_person(person: PersonMaps, outline: MeanOutline, readings: Sequence[Reading]) -> PersonMaps:
    """A person with a mean outline, and in it the means of readings at the pixels near it.

    u and v are averaged over the frames whose best part at that pixel is theirs, because their other channels
    mean nothing there. Parts, u and v are means where the person is, and a pixel around; they are the
    person's own elsewhere, and where no frame's best part asks for that channel.
    """
    finer, near = refinement(person), outline.near
    parts, uv, known = _mean_parts(readings, int(near.sum()))
    fine, u, v = (_rows(maps, finer) for maps in (person.maps.fine_segm, person.maps.u, person.maps.v))
    fine[near, 1:] = parts
    for values, mean in zip((u, v), uv, strict=True):
        values[near] = np.where(known, mean, values[near])
    maps = _as_maps(fine, u, v, outline.log_odds, outline.shape)
    return replace(person, maps=maps, stride=person.stride // finer)


def _rows(maps: torch.Tensor, finer: int) -> np.ndarray:
    """Maps (1, C, h, w) made finer, a row a pixel: (N, C) float32, which nobody else holds.

    Torch enlarges maps five times as fast where the channels of a pixel lie together.
    """
    enlarged = upsample_map(maps.contiguous(memory_format=torch.channels_last), finer)
    return enlarged[0].permute(1, 2, 0).flatten(0, 1).contiguous().numpy()


def _mean_log_odds(readings: Sequence[Reading], pixels: int) -> np.ndarray:
    """(N,) float32."""
    sums, weight = np.zeros(pixels, np.float32), np.zeros(pixels, np.float32)
    for reading in readings:
        its_weight = _OWN_WEIGHT if reading is readings[0] else 1.0
        sums[reading.rows] += its_weight * reading.log_odds()
        weight[reading.rows] += its_weight
    return sums / weight


def _mean_parts(readings: Sequence[Reading], pixels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The parts' scores (N, P), u and v (2, N, P) where they are known (N, P)."""
    parts = readings[0].reader.parts.shape[1]
    scores, weight = np.zeros((pixels, parts), np.float32), np.zeros((pixels, 1), np.float32)
    uv = np.zeros((2, pixels, parts), np.float32)
    uv_weight = np.zeros((pixels, parts), np.float32)
    for reading in readings:
        rows, of_frame = reading.rows, reading.parts()
        best = of_frame.argmax(axis=1)
        scores[rows] += of_frame
        weight[rows] += 1
        uv[:, rows, best] += reading.uv(best)
        uv_weight[rows, best] += 1
    return scores / weight, uv / np.maximum(uv_weight, 1), uv_weight > 0


def _as_maps(
    fine: np.ndarray, u: np.ndarray, v: np.ndarray, log_odds: np.ndarray, shape: Sequence[int]
) -> DensePoseMaps:
    """Maps of rows (N, C) whose `person_log_odds` are (N,): all from the coarse head, none from the parts."""

    def shaped(rows: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(rows).reshape(1, *shape, -1).permute(0, 3, 1, 2)

    highest = fine[:, 1:].max(axis=1)
    fine[:, 0] = highest + np.log(np.exp(fine[:, 1:] - highest[:, None]).sum(axis=1))
    return DensePoseMaps(
        fine_segm=shaped(fine),
        u=shaped(u),
        v=shaped(v),
        coarse_segm=shaped(np.stack([np.zeros_like(log_odds), log_odds], axis=1)),
    )
