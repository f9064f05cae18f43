"""Which flow a file of another program is: from its name, and from how many there are.

Programs number the files of a video in their own ways: FlowNet2 000000.flo, Sintel frame_0001.flo, Middlebury
flow10.flo, KITTI 000000_10.png, from-to pairs 0001_0002.flo. A field that is taken for its neighbour's makes
all labels wrong and shows nowhere, so a number is believed only where nothing else fits, or a user says it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from flow_cache.errors import FlowCacheError
from flow_cache.schema import starts, step_name

_OWN_NAME = re.compile(r"(\d+)([+-]\d+)")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class NumberedFiles:
    """Files by the field that they hold, and how that was told."""

    fields: dict[tuple[int, int], Path]  # (frame, step)
    said: str


def number_files(
    files: Sequence[Path], frame_names: Sequence[str], step: int | None = None, first: int | None = None
) -> NumberedFiles:
    """Tell the fields of a video's files.

    Names such as 000003+1 say frame and step. Others are taken as flow to the next frame, or to the one
    `step` later: from the frame of the same name where there is one for each file; else the numbers, which
    must follow one another and be as many as there are frames with such flow, begin at the first of these.

    Args:
        files: of one folder.
        frame_names: of the video.
        step: of all files; None: what the names say, else +1.
        first: the number that the first frame of the video has in names; None: it is found out.

    Raises:
        FlowCacheError: names of another kind, or more than one reading of them; two files of one field, or a
            field that leaves the video.
    """
    files = sorted(files, key=lambda file: [int(number) for number in _NUMBER.findall(file.stem)])
    own = [_OWN_NAME.fullmatch(file.stem) for file in files]
    if step is None and first is None and all(own):
        numbered = [(int(match[1]), int(match[2])) for match in own if match]
        return _checked(files, numbered, frame_names, "named by frame and step")
    froms, named_step = _varying_numbers(files)
    step = step or named_step or 1
    if first is not None:
        frames, how = [number - first for number in froms], f"number {first} is the first frame"
    else:
        frames, how = _frames_of(files, froms, frame_names, step)
    return _checked(files, [(frame, step) for frame in frames], frame_names, how)


def _varying_numbers(files: Sequence[Path]) -> tuple[list[int], int | None]:
    """The number in each name that counts, and the step where two numbers lead from frame to frame."""
    patterns = {_NUMBER.sub("#", file.stem): file.name for file in reversed(files)}
    if len(patterns) > 1:
        some = ", ".join(sorted(patterns.values())[:3])
        raise FlowCacheError(
            f"{files[0].parent}: files are named in {len(patterns)} ways ({some}); import each way from a "
            "folder of its own, with --step for its direction"
        )
    columns = list(zip(*([int(number) for number in _NUMBER.findall(file.stem)] for file in files)))
    varying = [column for column in columns if len(set(column)) > 1] or columns[:1] * (len(columns) == 1)
    if len(varying) == 2 and len(differences := {b - a for a, b in zip(*varying)} - {0}) == 1:
        return list(varying[0]), differences.pop()
    if len(varying) != 1:
        raise FlowCacheError(
            f"{files[0]}: {len(varying) or 'none'} of the numbers in the names count; wanted one, as in "
            f"000000{files[0].suffix}, or frame and step, as in 000003+1{files[0].suffix}"
        )
    return list(varying[0]), None


def _frames_of(
    files: Sequence[Path], numbers: list[int], frame_names: Sequence[str], step: int
) -> tuple[list[int], str]:
    """The frame that each file's flow starts from, and how that is known."""
    possible = starts(len(frame_names), step)
    places = {PurePath(name).stem: place for place, name in enumerate(frame_names)}
    by_name = [places.get(file.stem, -1) for file in files]
    pictures = bool(PurePath(frame_names[0]).suffix)  # frames of a video file are numbered by us alone
    complete = len(files) == len(possible)
    if set(by_name) <= set(possible) and (pictures or complete):
        return by_name, "from the frame of the same name"
    follow = all(after - before == 1 for before, after in itertools.pairwise(numbers))
    if complete and follow:
        return list(possible), f"number {numbers[0]} is the first of as many as fit"
    raise FlowCacheError(
        f"{files[0].parent} holds {len(files)} files, numbers {numbers[0]} to {numbers[-1]}"
        f"{'' if follow else ' with gaps'}, whose names are not those of frames; the video has "
        f"{len(frame_names)} frames, {frame_names[0]} to {frame_names[-1]}, and so {len(possible)} fields of "
        f"step {step_name(step)}: say which number the first frame has, --first-frame 0 or --first-frame 1, "
        "and the step if it is another, --step 1"
    )


def _checked(
    files: Sequence[Path], numbered: list[tuple[int, int]], frame_names: Sequence[str], how: str
) -> NumberedFiles:
    fields: dict[tuple[int, int], Path] = {}
    last = len(frame_names) - 1
    for path, (frame, step) in zip(files, numbered, strict=True):
        if step == 0 or not (0 <= frame <= last and 0 <= frame + step <= last):
            raise FlowCacheError(
                f"{path}, taken as frame {frame}, step {step_name(step)} ({how}), leaves the video, whose "
                f"frames are 0 to {last}"
            )
        if (other := fields.setdefault((frame, step), path)) is not path:
            raise FlowCacheError(f"{other} and {path} are the same field; remove one of them")
    (frame, step), path = next(iter(fields.items()))
    ends = f"{frame_names[frame]} to {frame_names[frame + step]}"
    return NumberedFiles(fields, f"{path.name} is the flow from frame {ends}, and so on ({how})")
