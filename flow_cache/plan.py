"""Which fields of a video are wanted: (frame, step) is the flow from a frame to the one `step` later."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from flow_cache.errors import FlowCacheError
from flow_cache.roi import PeopleBoxes
from flow_cache.schema import starts, step_name
from flow_cache.video import Video

_LOG = logging.getLogger(__name__)
_NAMED = 3  # videos in a message about many

Field = tuple[int, int]  # frame, step


class StepsLeaving(NamedTuple):
    """The steps that lead out of a video, wherever a field that is wanted starts."""

    frame_count: int
    steps: tuple[int, ...]


def plan_fields(frame_count: int, steps: Iterable[int], frames: Iterable[int] | None = None) -> list[Field]:
    """The fields that stay within a video, and touch some frames, by the frame that they need last."""
    wanted = frames if frames is None or isinstance(frames, range) else set(frames)
    fields = [
        (frame, step)
        for step in steps
        for frame in starts(frame_count, step)
        if wanted is None or frame in wanted or frame + step in wanted
    ]
    return sorted(fields, key=lambda field: (max(field[0], sum(field)), field))


def plan_video(
    video: Video, steps: tuple[int, ...], frames: Mapping[str, Iterable[int]] | None
) -> list[Field]:
    """The fields of a video near frames of interest, by its name; raises FlowCacheError."""
    wanted = None if frames is None else frames.get(video.name)
    return plan_fields(len(video.frame_names), steps, None if wanted is None else _within(video, wanted))


def near_people(fields: list[Field], people: PeopleBoxes | None) -> list[Field]:
    """Those of some fields that have a person in one of their frames; all where nobody knows of people."""
    if people is None:
        return fields
    return [(frame, step) for frame, step in fields if {frame, frame + step} & people.boxes.keys()]


def _within(video: Video, wanted: Iterable[int]) -> Sequence[int]:
    """The frames of interest that a video has: of a range what is left of it, else all, or FlowCacheError."""
    count = len(video.frame_names)
    if isinstance(wanted, range):
        there = [frame for frame in range(count) if frame in wanted]
        outside: Sequence[int] = () if there else wanted
    else:
        there = sorted(set(wanted))
        outside = [frame for frame in there if not 0 <= frame < count]
    if there and not outside:
        return there
    some = f"{outside[0]} to {outside[-1]}" if len(outside) > 3 else ", ".join(map(str, outside))
    raise FlowCacheError(
        f"frames {some or 'none'} of {video.path}; wanted at least one, from 0 to {count - 1}"
    )


def checked_steps(steps: Sequence[int]) -> tuple[int, ...]:
    """Steps, sorted; FlowCacheError where one is 0 or there twice, or there are none."""
    if not steps or 0 in steps or len(set(steps)) != len(steps):
        raise FlowCacheError(f"steps {list(steps)}; wanted different whole numbers, none of them 0")
    return tuple(sorted(steps))


def steps_leaving(
    frame_count: int, steps: Sequence[int], fields: Iterable[Field] | None = None
) -> StepsLeaving:
    """The steps that none of a video's fields has, of those near frames of interest; None: of all fields."""
    if fields is None:
        staying = {step for step in steps if starts(frame_count, step)}
    else:
        staying = {step for _, step in fields}
    return StepsLeaving(frame_count, tuple(step for step in steps if step not in staying))


def check_steps_stay(leaving: Mapping[str, StepsLeaving], steps: Sequence[int]) -> None:
    """Raise FlowCacheError where all steps lead out of all videos, by name: nothing is left to make."""
    if leaving and all(len(video.steps) == len(steps) for video in leaving.values()):
        raise FlowCacheError(
            f"no flow is left to make, for every step leads out: {_told(leaving)}; wanted one that stays "
            "within the video, as -1 and 1 do"
        )


def warn_of_steps_leaving(leaving: Mapping[str, StepsLeaving]) -> None:
    """Let the log name the videos that some steps lead out of, and the steps."""
    if short := {name: video for name, video in leaving.items() if video.steps}:
        _LOG.warning("no flow over steps that lead out of the video: %s", _told(short))


def _told(leaving: Mapping[str, StepsLeaving]) -> str:
    told = [
        f"{name!r} of {video.frame_count} frames ({', '.join(map(step_name, video.steps))})"
        for name, video in list(leaving.items())[:_NAMED]
    ]
    return ", ".join(told) + (f" and {len(leaving) - _NAMED} more" if len(leaving) > _NAMED else "")


def check_names(videos: list[Video], frames: Mapping[str, Iterable[int]] | None) -> None:
    """Raises FlowCacheError for no videos, and frames of a video that is not there."""
    names = {video.name for video in videos}
    unknown = sorted(set(frames or {}) - names)
    if unknown or not videos:
        raise FlowCacheError(f"frames of unknown videos {unknown}; given videos: {sorted(names) or 'none'}")
