"""Which fields of a video are wanted: (frame, step) is the flow from a frame to the one `step` later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from flow_cache.errors import FlowCacheError
from flow_cache.roi import PeopleBoxes
from flow_cache.schema import starts
from flow_cache.video import Video

Field = tuple[int, int]  # frame, step


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
    video: Video,
    steps: tuple[int, ...],
    frames: Mapping[str, Iterable[int]] | None,
    people: PeopleBoxes | None,
) -> list[Field]:
    """The fields of a video near frames of interest, by its name, and people; raises FlowCacheError."""
    count = len(video.frame_names)
    wanted = None if frames is None else frames.get(video.name)
    fields = plan_fields(count, steps, None if wanted is None else _within(video, wanted))
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


def check_names(videos: list[Video], frames: Mapping[str, Iterable[int]] | None) -> None:
    """Raises FlowCacheError for no videos, and frames of a video that is not there."""
    names = {video.name for video in videos}
    unknown = sorted(set(frames or {}) - names)
    if unknown or not videos:
        raise FlowCacheError(f"frames of unknown videos {unknown}; given videos: {sorted(names) or 'none'}")
