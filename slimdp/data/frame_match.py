"""Whether pictures with numbers show the frames of a video that have these numbers.

Most frames of a clip look alike: on a small grey picture, two of them seconds apart often differ by less
than one frame does from itself, encoded by another program. So no fixed limit tells a picture's frame;
other frames do. A picture is compared with the frame of its number and those around it. Its own frame
stands out from these, unless nothing moves. Where it does not stand out, all frames are searched, and the
claim stands unless another frame is clearly nearer to the picture. What moves is small, and what coding
changes is everywhere: the mean of fourth powers lets the former count.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from flow_cache.images import read_image
from flow_cache.runtime.words import counted

#: Longer side of what is compared, px: people in the distance are still some px wide.
_SIDE_PX = 128
#: Frames to either side of the claimed one that it must stand out from.
_NEIGHBOURS = 3
#: By which factor some of them, on either side, must be farther from the picture than the claimed one is.
_STANDS_OUT = 2.0
#: Another frame is clearly nearer where the claimed one is farther than this factor of it, and these levels.
_NEARER, _NEARER_LEVELS = 1.5, 0.5
#: Distance, grey levels, up to which coding explains a difference: it is 4.0 at most from half-size JPEG
#: files of quality 60 to the frames of a video that was encoded again at crf 35.
_CODING_LEVELS = 8.0
#: Mean difference, grey levels, over which a picture shows something else, whichever frame is nearest.
_ELSE_LEVELS = 12.0
#: Levels and contrast by which readers of a video differ: limited or full range, BT.601 or BT.709.
_MOST_OFFSET, _LEAST_GAIN, _MOST_GAIN = 24.0, 0.8, 1.25


def thumbnail(image: np.ndarray, side_px: int = _SIDE_PX) -> np.ndarray:
    """A picture (H, W, 3) uint8 RGB in grey levels, (h, w) uint8, its longer side `side_px` at most."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    scale = min(1.0, side_px / max(grey.shape))
    size = [max(1, round(length * scale)) for length in grey.shape[::-1]]
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA)


def difference(picture: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """By how much a picture (h, w) is brighter than a frame (h, w) of the colours that suit it best."""
    # Thumbnails stay uint8 until here: of thousands of labels, each with seven frames, all are in memory.
    picture, frame = picture.astype(np.float32), frame.astype(np.float32)
    centred = frame - frame.mean()
    fit = float(((picture - picture.mean()) * centred).sum() / max(float((centred**2).sum()), 1e-6))
    gain = min(max(fit, _LEAST_GAIN), _MOST_GAIN)
    offset = float(picture.mean() - gain * frame.mean())
    return np.asarray(picture - gain * frame - min(max(offset, -_MOST_OFFSET), _MOST_OFFSET))


def distance(picture: np.ndarray, frame: np.ndarray) -> float:
    """How far a picture is from a frame, grey levels: the fourth root of the mean fourth power."""
    squares = difference(picture, frame) ** 2
    return float((squares**2).mean() ** 0.25)


@dataclass(frozen=True)
class NumberedPicture:
    """A picture, the number that it has, and what it shows."""

    name: str
    number: int
    shown: np.ndarray  # (h, w) uint8, see `thumbnail`

    @classmethod
    def read(cls, file: Path, number: int) -> NumberedPicture:
        return cls(file.name, number, thumbnail(read_image(file)))


@dataclass(frozen=True)
class Misplaced:
    """A picture that does not show the frame of its number."""

    picture: NumberedPicture
    claimed: int  # from 0 on
    found: int | None  # the frame that it shows; None where the video has none like it


class FrameMatch:
    """Compares pictures with frames of a video.

    First it sees the frames of `near`, then it is asked for the first frame's number and what is misplaced.

    Args:
        pictures: with their numbers.
        firsts: what the first frame may be called.
    """

    def __init__(self, pictures: Sequence[NumberedPicture], firsts: Sequence[int]) -> None:
        self.pictures, self.firsts = pictures, firsts
        self.near = {
            index
            for picture in pictures
            for first in firsts
            for index in _around(picture.number - first)
            if index >= 0
        }
        self._side_px = min([_SIDE_PX, *(max(picture.shown.shape) for picture in pictures)])
        self._seen: dict[int, np.ndarray] = {}
        self._shown: list[np.ndarray] = []  # the pictures in the size of the frames
        self._size: tuple[int, int] | None = None

    def see(self, index: int, frame: np.ndarray) -> None:
        """Look at a frame (H, W, 3) uint8 RGB, of one of the places `near`."""
        self._seen[index] = self._small(frame)

    def _small(self, frame: np.ndarray) -> np.ndarray:
        small = thumbnail(frame, self._side_px)
        if self._size is None:
            self._size = small.shape[1], small.shape[0]
            self._shown = [self._resized(picture.shown) for picture in self.pictures]
        return self._resized(small)

    def _resized(self, small: np.ndarray) -> np.ndarray:
        return cv2.resize(small, self._size, interpolation=cv2.INTER_AREA)

    def first(self) -> int:
        """The number of the first frame under which the pictures are nearest to the frames of their numbers;
        where there is no picture, the first of `firsts`."""
        return min(self.firsts, key=lambda first: sum(self._distances(first)))

    def _distances(self, first: int) -> list[float]:
        claimed = [self._seen.get(picture.number - first) for picture in self.pictures]
        return [
            np.inf if frame is None else distance(self._shown[place], frame)
            for place, frame in enumerate(claimed)
        ]

    def doubtful(self, first: int) -> list[int]:
        """The places of pictures whose frame does not stand out from those around it."""
        return [place for place in range(len(self.pictures)) if not self._stands_out(place, first)]

    def _stands_out(self, place: int, first: int) -> bool:
        claimed = self.pictures[place].number - first
        far = {
            index: distance(self._shown[place], self._seen[index])
            for index in _around(claimed)
            if index in self._seen
        }
        if claimed not in far or self._shows_else(place, claimed):
            return False
        own = far.pop(claimed)
        if own <= _NEARER_LEVELS:
            return True
        # A video begins and ends: there one side is all that there is.
        sides = [[d for i, d in far.items() if (i < claimed) is before] for before in (True, False)]
        there = [side for side in sides if side]
        if not there or _is_nearer(min(far.values()), own):
            return False
        return all(max(side) >= _STANDS_OUT * own for side in there)

    def misplaced(self, first: int, frames: Iterable[np.ndarray]) -> list[Misplaced]:
        """The pictures that do not show the frame of their number.

        `frames` are all of the video, (H, W, 3) uint8 RGB; none is asked for where no picture is `doubtful`.
        """
        doubtful = self.doubtful(first)
        if not doubtful:
            return []
        best: dict[int, tuple[float, int, np.ndarray]] = {}
        for index, frame in enumerate(frames):
            small = self._small(frame)
            for place in doubtful:
                far = distance(self._shown[place], small)
                if place not in best or far < best[place][0]:
                    best[place] = far, index, small
        wrong: list[Misplaced] = []
        for place in doubtful:
            claimed = self.pictures[place].number - first
            if place not in best:
                wrong.append(Misplaced(self.pictures[place], claimed, None))
                continue
            nearest, found, small = best[place]
            if self._stands(place, claimed, nearest, small):
                continue
            alike = nearest <= _CODING_LEVELS
            wrong.append(Misplaced(self.pictures[place], claimed, found if alike else None))
        return wrong

    def _stands(self, place: int, claimed: int, nearest: float, best: np.ndarray) -> bool:
        """Whether a picture may be the claimed frame, where `best` is the frame nearest to it."""
        if claimed not in self._seen or self._shows_else(place, claimed):
            return False
        own = distance(self._shown[place], self._seen[claimed])
        if _is_nearer(nearest, own):
            return False
        # Another film of the same place is about as far from many frames, blurred faces only from the others.
        return own <= _CODING_LEVELS or distance(self._seen[claimed], best) <= nearest / 2

    def _shows_else(self, place: int, index: int) -> bool:
        return bool(np.abs(difference(self._shown[place], self._seen[index])).mean() > _ELSE_LEVELS)


def _around(index: int) -> range:
    return range(index - _NEIGHBOURS, index + _NEIGHBOURS + 1)


def _is_nearer(distance_1: float, distance_0: float) -> bool:
    return distance_0 > _NEARER * distance_1 + _NEARER_LEVELS


def describe_misplaced(
    wrong: Sequence[Misplaced], pictures: Sequence[NumberedPicture], first: int, option: str = ""
) -> str:
    """What pictures show in place of the frames of their numbers, all of them found, and what to do.

    `option` is that of the command, if it has one, which says the number of the first frame, 0 or more.
    """
    one = wrong[0]
    said = f"{one.picture.name} is frame {one.found} of the video (its first is 0), not frame {one.claimed}"
    if len(wrong) > 1:
        said += f", and {counted(len(wrong) - 1, 'other')} of {counted(len(pictures), 'picture')} likewise"
    found = {each.picture.number: each.found for each in wrong if each.found is not None}
    numbers = sorted({picture.number for picture in pictures})
    places = {number: found.get(number, number - first) for number in numbers}
    advice = f"give each image its frame_id: those numbered {_some(numbers)} are {_some(places.values())}"
    if len(numbers) == 1:
        advice = f"give it its frame_id, {one.found}"
    shifts = {number - place for number, place in places.items()}
    if option and len(shifts) == 1 and min(shifts) >= 0:
        advice += f", or say {option} {shifts.pop()}"
    return f"{said}{_regular(places)}; {advice}"


def _some(numbers: Collection[int], most: int = 10) -> str:
    return ", ".join(map(str, list(numbers)[:most])) + (", ..." if len(numbers) > most else "")


def _regular(places: Mapping[int, int]) -> str:
    """What is regular about frames, by their numbers in growing order; nothing of fewer than three."""
    if len(places) < 3:
        return ""
    numbers, found = np.array(list(places)), np.array(list(places.values()))
    step = float((found[-1] - found[0]) / (numbers[-1] - numbers[0]))
    off = np.abs(found - found[0] - step * (numbers - numbers[0])).max()
    if off > 1 or -0.5 < step < 1.5:
        return ""
    if step < 0:
        return "; the pictures are numbered backwards"
    return f"; the pictures are {'about ' if off else ''}every {_ordinal(round(step))} frame"


def _ordinal(number: int) -> str:
    ends = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if number % 100 in (11, 12, 13) else ends.get(number % 10, 'th')}"
