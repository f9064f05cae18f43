"""Where people are: their boxes from a COCO file, for stores that hold flow there alone."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from flow_cache.coco import (
    LEAST_PX,
    NoPersonError,
    Record,
    category_of,
    coco_records,
    person_categories,
    read_coco,
)
from flow_cache.codec import pixels_touched
from flow_cache.errors import FlowCacheError
from flow_cache.runtime.words import counted
from flow_cache.video import Video, find_name

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class PeopleBoxes:
    """The people's boxes of a video, and the pixels of its fields that they stand for."""

    boxes: Mapping[int, np.ndarray]  # by the index of the frame, where there are any: (N, 4) xywh px
    margin: float  # share of the longer side of a box, added on each side
    width: int  # px
    height: int  # px
    tracks: Mapping[int, np.ndarray] | None = None  # who they are, (N,) int64 by frame; None: not said of all

    def of_frames(self, frames: Iterable[int]) -> PeopleBoxes:
        """The boxes of some frames alone."""
        return replace(self, boxes={frame: self.boxes[frame] for frame in frames if frame in self.boxes})

    def around(self, frame: int, step: int) -> np.ndarray:
        """Which pixels of a field are near people: (H, W) bool; in the enlarged boxes of both its frames.

        The way back is read where the way there arrives.
        """
        near = np.zeros((self.height, self.width), bool)
        for end in (frame, frame + step):
            for x, y, width, height in self.boxes.get(end, ()):
                more = self.margin * max(width, height)
                enlarged = (x - more, y - more, width + 2 * more, height + 2 * more)
                left, top, wide, high = pixels_touched(enlarged, self.width, self.height)
                near[top : top + high, left : left + wide] = True
        return near

    def identity(self) -> str:
        """JSON that is the same for the same boxes, in any order, and the same margin."""
        rows = {frame: sorted(self.boxes[frame].tolist()) for frame in sorted(self.boxes)}
        digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
        count = sum(map(len, rows.values()))
        return json.dumps({"margin": float(self.margin), "boxes": count, "boxes_hash": digest})


def read_people_boxes(path: Path, videos: Sequence[Video], margin: float) -> dict[str, PeopleBoxes]:
    """Read people's boxes by video from COCO JSON, as annotators, PoseTrack and detectors write it.

    Of `images` it wants `id` and `file_name`, whose last folder, or several of them, is the name of the video
    (else `vid_id` is), and whose file, with or without its suffix, is that of the frame (`walk/000003.jpg`);
    of `annotations`, `image_id` and `bbox`: x, y, width, height px, and `track_id` where it
    is there. Of several `categories` people alone are read (`person_categories`). Frames of videos that were
    not given are ignored; boxes without a pixel of their frame are passed over, and the log counts them.
    Raises FlowCacheError, which names file and entry, for no such file or form, a bad box, a category that is
    not listed, a frame that a video lacks, another size, or a video without boxes.
    """
    if not math.isfinite(margin) or margin < 0:
        raise FlowCacheError(f"margin {margin}; wanted a share of the box's longer side, 0 or more")
    content = read_coco(path, "file of boxes", FlowCacheError)
    by_name = {video.name: video for video in videos}
    frames, folders = _read_images(path, content, by_name)
    boxes = _read_boxes(path, content, frames, by_name)
    found = {}
    for name, video in by_name.items():
        if not boxes[name]:
            raise FlowCacheError(_why_none(path, name, folders))
        stacked = {frame: np.stack([box for box, _ in people]) for frame, people in boxes[name].items()}
        found[name] = PeopleBoxes(stacked, margin, video.width, video.height, _tracks(boxes[name]))
    return found


def frames_with_people(path: Path, videos: Sequence[Video]) -> dict[str, list[int]]:
    """By the name of the video, the frames in which a COCO file has people; raises as `read_people_boxes`."""
    return {name: sorted(people.boxes) for name, people in read_people_boxes(path, videos, 0).items()}


#: By image id, the name of the video and the index of the frame; None for other videos.
_Frames = dict[int | str, tuple[str, int] | None]
#: A box (4,) xywh px, and the number of the person where the file has one.
_Person = tuple[np.ndarray, int | None]


def _read_images(
    path: Path, content: dict[str, Any], videos: Mapping[str, Video]
) -> tuple[_Frames, set[str]]:
    """The frames, and the names of their folders."""
    places = {name: {f: i for i, f in enumerate(video.frame_names)} for name, video in videos.items()}
    frames: _Frames = {}
    first: dict[tuple[str, int], str] = {}
    folders, ids = set(), dict[str, object]()
    for image in coco_records(path, content, "images", "image", FlowCacheError):
        identity, file = image.identity("id"), PurePosixPath(image.text("file_name"))
        if identity in frames:
            raise image.error("id", "another image has it")
        vid_id = image.identity("vid_id") if image.has("vid_id") else None  # PoseTrack's
        known = str(vid_id) if str(vid_id) in videos else None
        folder = find_name(videos, file.parent) or known or file.parent.name
        folders.add(folder)
        frames[identity] = None
        if folder in videos:
            video = videos[folder]
            _check_one_video(image, vid_id, video, ids)
            _check_size(image, video)
            frame = places[folder].get(file.name, places[folder].get(file.stem))
            if frame is None:
                names = video.frame_names
                some = f"its {len(names)} frames are {names[0]} to {names[-1]}"
                raise image.error("file_name", f"{video.path} has no frame {file.name!r}; {some}")
            frames[identity] = folder, frame
            if first.setdefault((folder, frame), image.place) != image.place:
                raise image.error("file_name", f"the same frame as {first[folder, frame]}")
    _say_how_frames_count(path, frames, videos)
    return frames, folders


def _say_how_frames_count(path: Path, frames: _Frames, videos: Mapping[str, Video]) -> None:
    """Frames of a video file are known by their places from 0 on; ffmpeg calls its first picture 1."""
    listed: dict[str, list[int]] = {}
    for video, frame in filter(None, frames.values()):
        listed.setdefault(video, []).append(frame)
    for video, found in listed.items():
        if 0 not in found and not PurePosixPath(videos[video].frame_names[0]).suffix:
            _LOG.warning(
                "%s: the numbers of frames of %s are taken to count from 0; if they count from 1, as those "
                "of ffmpeg's pictures do, compute the flow of the folder of these pictures", path, video,
            )  # fmt: skip


def _read_boxes(
    path: Path, content: dict[str, Any], frames: _Frames, videos: Mapping[str, Video]
) -> dict[str, dict[int, list[_Person]]]:
    """People's boxes and tracks by video and frame."""
    people, listed = _person_categories(path, content)
    passed_over: list[str] = []
    ignored = 0
    boxes: dict[str, dict[int, list[_Person]]] = {name: {} for name in videos}
    for entry in coco_records(path, content, "annotations", "annotation", FlowCacheError):
        image_id = entry.identity("image_id")
        if image_id not in frames:
            raise entry.error("image_id", "no image of the file has it")
        place = frames[image_id]
        said = entry.identity("category_id") if entry.has("category_id") else None
        if place is None:
            continue
        category = category_of(entry, said, listed)
        if people and category not in people:
            ignored += category not in listed
        else:
            name, frame = place
            box = entry.sound_box()
            if _shows(box, videos[name]):
                track = entry.integer("track_id") if entry.has("track_id") else None
                boxes[name].setdefault(frame, []).append((box, track))
            else:
                passed_over.append(entry.place)
    if ignored:
        _LOG.warning("%s: %s of a negative category_id passed over", path, counted(ignored, "annotation"))
    if passed_over:
        some = "; ".join(passed_over[:3]) + ("; ..." if len(passed_over) > 3 else "")
        _LOG.warning(
            "%s: %d boxes without a pixel of their frames are passed over: %s", path, len(passed_over), some
        )
    return boxes


def _tracks(people: Mapping[int, Sequence[_Person]]) -> dict[int, np.ndarray] | None:
    """Who the people of a video are, (N,) by frame; None unless all have a number."""
    numbers = {frame: [track for _, track in of_frame] for frame, of_frame in people.items()}
    if any(None in of_frame for of_frame in numbers.values()):
        return None
    return {frame: np.array(of_frame, np.int64) for frame, of_frame in numbers.items()}


def _person_categories(path: Path, content: dict[str, Any]) -> tuple[set[object], list[int | str]]:
    """The ids of the categories of people, and of all; none where the file lists no category, and all boxes
    are people's."""
    if content.get("categories") is None:
        return set(), []
    records = list(coco_records(path, content, "categories", "category", FlowCacheError))
    listed = [one.identity("id") for one in records]
    try:
        people, said = person_categories([{**one.content, "id": i} for one, i in zip(records, listed)])
    except NoPersonError as error:
        raise FlowCacheError(f"{path}: categories: {error}") from error
    if said:
        _LOG.warning("%s: %s", path, said)
    return people, listed


def _check_one_video(image: Record, vid_id: object, video: Video, ids: dict[str, object]) -> None:
    """Raise where frames of two videos would go into one, whose name is too short to tell them apart."""
    if vid_id is not None and ids.setdefault(video.name, vid_id) != vid_id:
        longer = "/".join(Path(os.path.abspath(video.path)).parts[-2:])
        raise image.error(
            "vid_id",
            f"{vid_id!r}, but others whose folder is named {video.name!r} are of {ids[video.name]!r}; name "
            f"the video by more folders, as {longer}={video.path}",
        )


def _check_size(image: Record, video: Video) -> None:
    for side, wanted in (("width", video.width), ("height", video.height)):
        if image.has(side) and image.integer(side) != wanted:  # PoseTrack's own files give no sizes
            wanted_px = f"{video.width} x {video.height} px"
            said = f"{image.integer(side)} px, but the frames of {video.path} are of {wanted_px}"
            raise image.error(side, said)


def _shows(box: np.ndarray, video: Video) -> bool:
    """Whether a box has an extent, and a pixel of the frames; COCO has boxes of height 0."""
    with suppress(FlowCacheError):
        pixels_touched(box.tolist(), video.width, video.height)
        return bool((box[2:] >= LEAST_PX).all())
    return False


def _why_none(path: Path, name: str, folders: set[str]) -> str:
    if name in folders:
        return f"{path} lists frames of video {name!r}, but no person's box in any of them"
    folders = folders - {""}
    some = ", ".join(sorted(folders)[:5]) + (", ..." if len(folders) > 5 else "")
    return (
        f"{path} has no frames of video {name!r}; the folders in its file names are: {some or 'none'} "
        f"(wanted names such as {name}/000003.jpg)"
    )
