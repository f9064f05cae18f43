"""The numbers of the frames of a video, from what a file says of them: `frame_id`, or the pictures' names.

A name may hold other numbers: a camera, a size, a date, a hash, a copy's "(1)". The frame's is the one that
varies within the video. The rule in full: docs/data.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

_COPY = re.compile(r"[ _]*\(\d+\)$")
_SIZE = re.compile(r"\d+x\d+", re.IGNORECASE)
#: A date and a time of day: 2023-01-15_10-30-00, 20230115T103000. After a date, 000012 is a frame.
_TIME = re.compile(
    r"(?<!\d)(?:19|20)\d\d[-_.]?[01]\d[-_.]?[0-3]\d[-_.T ]?"
    r"(?:[0-2]\d[-_.:h][0-5]\d[-_.:m][0-5]\d|(?!00)[0-2]\d[0-5]\d[0-5]\d(?:\d{3})?)(?!\d)"
)
#: A time without a date: 01-59-30, 1h02m03s, 02m03s.
_CLOCK = re.compile(r"(?<![0-9A-Za-z])(?:\d{1,2}[-.:][0-5]\d[-.:][0-5]\d|(?:\d+h)?\d{1,2}m[0-5]?\d)(?!\d)")


class FrameNumberError(ValueError):
    """Frames of one video that cannot be told apart; `place` is that of the second of them."""

    def __init__(self, place: int, message: str) -> None:
        super().__init__(message)
        self.place = place


class FrameName(NamedTuple):
    """What a file says of a frame."""

    file_name: str
    image_id: int
    frame_id: int | None


class _Column(NamedTuple):
    """A number that all names of a video hold at one place."""

    values: tuple[int, ...]
    in_time: bool  # part of a date and time: hours do not follow minutes as 100 follows 99


def frame_number(name: str) -> int | None:
    """The number of a frame from its name alone, where no other frame of the video is known.

    5 for "a/000005.jpg", "cam1_000005_1920x1080.png" and "000005 (1).jpg": the last number that is not part
    of a size, of a word that goes on after it, or a copy's. None where there is none.
    """
    numbers = _numbers_alone(name)
    return numbers[-1] if numbers else None


def number_frames(frames: Sequence[FrameName]) -> tuple[list[int | None], bool]:
    """The numbers of the frames of one video, and whether `frame_id` and the names contradict one another.

    A picture that is listed twice has its number twice; FrameNumberError where two pictures have the same.
    """
    names = list(dict.fromkeys(frame.file_name for frame in frames))
    if len(names) == 1:
        return [_of_a_single_name(frames[0])] * len(frames), False
    known = dict(zip(names, _from_names(names) or ()))
    found = [known.get(frame.file_name) for frame in frames]
    told = [number for number in found if number is not None]
    ids = [frame.frame_id for frame in frames if frame.frame_id is not None]
    all_told = len(told) == len(frames)
    if len(ids) < len(frames) or (all_told and all(a - ids[0] == b - told[0] for a, b in zip(ids, told))):
        _refuse_twice(frames, told, "file_name")
        return found, False
    # Some writers put the image's id there, in whatever order images have come.
    are_images = all(frame.frame_id == frame.image_id for frame in frames)
    if all_told and are_images and len(set(told)) == len(names):
        return found, False
    _refuse_twice(frames, ids, "frame_id")
    return list(ids), all_told


def _of_a_single_name(frame: FrameName) -> int | None:
    numbers, identity = _numbers_alone(frame.file_name), frame.frame_id
    if identity is not None and identity != frame.image_id:
        return identity
    # PoseTrack's ids end in four digits of the frame: 10128340005.
    ends = [number for number in numbers if identity is not None and number == identity % 10_000]
    return [identity, *numbers, *ends][-1]


def _from_names(names: Sequence[str]) -> list[int] | None:
    """Numbers for two or more different names; None where they hold none that all share.

    Numbers may come twice where none of those in the names tells them apart.
    """
    stems = [_stem(name) for name in names]
    columns = list(_columns(stems)) or list(_columns([_COPY.sub("", stem) for stem in stems]))
    varying = [column for column in columns if len(set(column.values)) > 1]
    distinct = [column for column in varying if len(set(column.values)) == len(names)]
    in_order = [column for column in distinct if all(a < b for a, b in pairwise(column.values))]
    # Without a date it is a time only where no single number grows: seconds begin again each minute.
    clock = not in_order and all(map(_CLOCK.search, stems))
    timed = clock or all(map(_TIME.search, names))
    if distinct and not clock:
        # A frame's number grows by little: a hash, a time in milliseconds spans more.
        best = min(reversed(in_order or distinct), key=lambda one: max(one.values) - min(one.values))
        if not best.in_time:
            return list(best.values)
    if timed and varying:
        rank = {key: place for place, key in enumerate(sorted(zip(*(c.values for c in varying))))}
        return [rank[key] for key in zip(*(column.values for column in varying))]
    if varying:
        return list(max(varying, key=lambda column: len(set(column.values))).values)
    if len({stem.rpartition("/")[2] for stem in stems}) < len(names):  # the same frame in two folders
        numbers = [number for number in map(frame_number, names) if number is not None]
        return numbers if len(numbers) == len(names) else None
    return _after_common_start(stems)


def _columns(stems: Sequence[str]) -> Iterator[_Column]:
    """The numbers that all names hold at the same place, in words that are otherwise alike."""
    words = [[(word[0], word.start()) for word in re.finditer(r"[0-9A-Za-z]+", stem)] for stem in stems]
    if len({len(row) for row in words}) > 1:
        return
    times = [match.span() if (match := _TIME.search(stem)) else (0, 0) for stem in stems]
    for column in zip(*words):
        parts = [re.split(r"(\d+)", word) for word, _ in column]
        if len({tuple(part[::2]) for part in parts}) > 1:
            continue  # a hash, a name
        in_time = all(start <= at < end for (_, at), (start, end) in zip(column, times))
        for place in range(1, len(parts[0]), 2):
            yield _Column(tuple(int(part[place]) for part in parts), in_time)


def _after_common_start(stems: Sequence[str]) -> list[int] | None:
    """The numbers that follow what all names begin with; None unless they tell the names apart."""
    shared = 0
    while all(len(stem) > shared and stem[shared] == stems[0][shared] for stem in stems):
        shared += 1
    while shared and stems[0][shared - 1].isdecimal():
        shared -= 1
    found = [re.match(r"\d+", stem[shared:]) for stem in stems]
    numbers = [int(match[0]) for match in found if match is not None]
    return numbers if len(set(numbers)) == len(stems) else None


def _numbers_alone(name: str) -> list[int]:
    stem = _stem(name).rpartition("/")[2]
    for pattern in (_COPY, _SIZE, _TIME):
        shorter = pattern.sub(" ", stem)
        stem = shorter if re.search(r"\d", shorter) else stem
    ending = re.findall(r"(?<![0-9A-Za-z])[A-Za-z]*(\d+)(?![0-9A-Za-z])", stem)
    return [int(digits) for digits in ending or re.findall(r"\d+", stem)]


def _stem(name: str) -> str:
    return re.sub(r"\.[A-Za-z][0-9A-Za-z]*$", "", name.replace("\\", "/"))


def _refuse_twice(frames: Sequence[FrameName], numbers: Sequence[int], field: str) -> None:
    names: dict[int, str] = {}
    for place, (frame, number) in enumerate(zip(frames, numbers)):
        first = names.setdefault(number, frame.file_name)
        if first != frame.file_name:
            twice = f"{field}: frame {number} is {frame.file_name}, and {first} too, in one video"
            advice = "give each frame a frame_id of its own, or each video its vid_id"
            raise FrameNumberError(place, f"{twice}; {advice}")
