"""Where people are: their boxes from a COCO file, for stores that hold flow there alone."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from flow_cache.errors import FlowCacheError
from flow_cache.naming import find_name
from flow_cache.runtime.json_file import read_json
from flow_cache.tiles import pixels_touched
from flow_cache.video import Video


@dataclass(frozen=True)
class PeopleBoxes:
    """The people's boxes of a video, and the pixels of its fields that they stand for."""

    boxes: Mapping[int, np.ndarray]  # by the index of the frame, where there are any: (N, 4) xywh px
    margin: float  # share of the longer side of a box, added on each side
    width: int  # px
    height: int  # px

    def of_frames(self, frames: Iterable[int]) -> PeopleBoxes:
        """The boxes of some frames alone."""
        return replace(self, boxes={frame: self.boxes[frame] for frame in frames if frame in self.boxes})

    def around(self, frame: int, step: int) -> np.ndarray:
        """Which pixels of a field are near people: (H, W) bool.

        Those of the enlarged boxes of both frames that the field connects, so that the way back can be read
        where the way there arrives.
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
    """Read people's boxes from COCO JSON, as annotators, PoseTrack and detectors write it.

    Of `images` it wants `id` and `file_name`, whose last folder, or several of them, is the name of the video
    (else `vid_id` is), and whose file, with or without its suffix, is that of the frame (`walk/000003.jpg`);
    of `annotations`, `image_id` and `bbox`: x, y, width, height px. Where `categories` has one named
    "person", boxes of others are left out. Frames of videos that were not given are ignored.

    Args:
        path: the file.
        videos: those whose boxes are wanted; each must have some.
        margin: a share of the longer side of a box, added on each side.

    Returns:
        by the name of the video, its boxes.

    Raises:
        FlowCacheError: no such file or form, a bad box, a frame that a video does not have, frames of another
            size, or a video without boxes: the message names the file and the entry.
    """
    if not math.isfinite(margin) or margin < 0:
        raise FlowCacheError(f"margin {margin}; wanted a share of the box's longer side, 0 or more")
    content = _load(path)
    by_name = {video.name: video for video in videos}
    frames, folders = _read_images(path, content, by_name)
    boxes = _read_boxes(path, content, frames, by_name)
    for name in by_name:
        _check_found(path, name, boxes[name], folders)
    return {
        name: PeopleBoxes({f: np.stack(b) for f, b in boxes[name].items()}, margin, video.width, video.height)
        for name, video in by_name.items()
    }


def frames_with_people(path: Path, videos: Sequence[Video]) -> dict[str, list[int]]:
    """By the name of the video, the frames in which a COCO file has people; raises as `read_people_boxes`."""
    return {name: sorted(people.boxes) for name, people in read_people_boxes(path, videos, 0).items()}


def _read_images(
    path: Path, content: dict[str, Any], videos: Mapping[str, Video]
) -> tuple[dict[int | str, tuple[str, int] | None], set[str]]:
    """By image id, the video's name and the frame's index, None for other videos; and the folders' names."""
    places = {name: {f: i for i, f in enumerate(video.frame_names)} for name, video in videos.items()}
    frames: dict[int | str, tuple[str, int] | None] = {}
    first: dict[tuple[str, int], str] = {}
    folders, ids = set(), dict[str, object]()
    for where, image in _entries(path, content, "images"):
        name, identity = image.get("file_name"), _identity(where, image, "id")
        if not isinstance(name, str):
            raise FlowCacheError(f"{where}: file_name {name!r}; wanted a text such as walk/000003.jpg")
        if identity in frames:
            raise FlowCacheError(f"{where}: another image has this id")
        file = PurePosixPath(name)
        folder = find_name(videos, file.parent) or _by_id(image, videos) or file.parent.name
        folders.add(folder)
        frames[identity] = None
        if folder in videos:
            _check_one_video(where, image, file, videos[folder], ids)
            _check_size(where, image, videos[folder])
            frame = places[folder].get(file.name, places[folder].get(file.stem))
            if frame is None:
                raise FlowCacheError(_no_such_frame(where, file.name, videos[folder]))
            frames[identity] = folder, frame
            if first.setdefault((folder, frame), where) != where:
                raise FlowCacheError(f"{where} is the same frame as {first[folder, frame]}")
    return frames, folders


def _by_id(image: dict[str, Any], videos: Mapping[str, Video]) -> str | None:
    """The video that the vid_id of PoseTrack names."""
    name = image.get("vid_id")
    return str(name) if isinstance(name, int | str) and str(name) in videos else None


def _read_boxes(
    path: Path,
    content: dict[str, Any],
    frames: Mapping[int | str, tuple[str, int] | None],
    videos: Mapping[str, Video],
) -> dict[str, dict[int, list[np.ndarray]]]:
    """People's boxes (4,) xywh px by video and frame."""
    people = _person_categories(content.get("categories"))
    boxes: dict[str, dict[int, list[np.ndarray]]] = {name: {} for name in videos}
    for where, entry in _entries(path, content, "annotations"):
        image_id = _identity(where, entry, "image_id")
        if image_id not in frames:
            raise FlowCacheError(f"{where}: no image of the file has this image_id")
        place = frames[image_id]
        if place is not None and (people is None or entry.get("category_id") in people):
            name, frame = place
            boxes[name].setdefault(frame, []).append(_box(where, entry, videos[name]))
    return boxes


def _load(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path, "file of boxes", FlowCacheError)
    except FileNotFoundError:
        raise FlowCacheError(f"no boxes at {path}; wanted COCO JSON, such as a detector's") from None
    if not isinstance(content, dict):
        raise FlowCacheError(
            f"{path} holds a {type(content).__name__}; wanted COCO's object with images and annotations "
            "(a list of results names no files)"
        )
    return content


def _entries(path: Path, content: dict[str, Any], key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each entry of a list of the file, with words that say where it is."""
    entries = content.get(key)
    if not isinstance(entries, list):
        raise FlowCacheError(f"{path} has no list {key!r}; wanted COCO JSON with images and annotations")
    for place, entry in enumerate(entries):
        where = f"{path}: {key}[{place}]"
        if not isinstance(entry, dict):
            raise FlowCacheError(f"{where} is a {type(entry).__name__}; wanted an object")
        yield (
            where + "".join(f", {k} {entry[k]!r}" for k in ("id", "file_name", "image_id") if k in entry),
            entry,
        )


def _identity(where: str, entry: dict[str, Any], key: str) -> int | str:
    value = entry.get(key)
    if not isinstance(value, int | str):
        raise FlowCacheError(f"{where}: {key} {value!r}; wanted a number or a text")
    return value


def _person_categories(categories: object) -> set[object] | None:
    """The ids of the categories named person; None where no category is, and all boxes are people's."""
    if not isinstance(categories, list):
        return None
    named = [entry for entry in categories if isinstance(entry, dict) and entry.get("name") == "person"]
    return {entry.get("id") for entry in named} or None


def _check_one_video(
    where: str, image: dict[str, Any], file: PurePosixPath, video: Video, ids: dict[str, object]
) -> None:
    """Raise where frames of two videos would go into one, whose name is too short to tell them apart."""
    identity = image.get("vid_id")
    if identity is not None and ids.setdefault(video.name, identity) != identity:
        raise FlowCacheError(
            f"{where} is of video {identity!r}, others whose folder is named {video.name!r} are of "
            f"{ids[video.name]!r}; name the video by more folders, as "
            f"{'/'.join(Path(os.path.abspath(video.path)).parts[-2:])}={video.path}"
        )


def _check_size(where: str, image: dict[str, Any], video: Video) -> None:
    size = image.get("width", video.width), image.get("height", video.height)
    if size != (video.width, video.height):
        raise FlowCacheError(
            f"{where} is of {size[0]} x {size[1]} px, the frames of {video.path} of "
            f"{video.width} x {video.height} px"
        )


def _no_such_frame(where: str, name: str, video: Video) -> str:
    names = video.frame_names
    return (
        f"{where}: {video.path} has no frame {name!r}; its {len(names)} frames are {names[0]} to {names[-1]}"
    )


def _box(where: str, entry: dict[str, Any], video: Video) -> np.ndarray:
    box = entry.get("bbox")
    if not isinstance(box, list) or not all(isinstance(number, int | float) for number in box):
        raise FlowCacheError(f"{where}: bbox {box!r}; wanted four numbers: x, y, width, height px")
    if len(box) == 4 and min(box[2:]) <= 0:
        raise FlowCacheError(f"{where}: bbox {box}; wanted a width and a height above 0 px")
    try:
        pixels_touched(box, video.width, video.height)
    except FlowCacheError as error:
        raise FlowCacheError(f"{where}: {error}") from error
    return np.array(box, np.float64)


def _check_found(path: Path, name: str, boxes: Mapping[int, object], folders: set[str]) -> None:
    if boxes:
        return
    if name in folders:
        raise FlowCacheError(f"{path} lists frames of video {name!r}, but no person's box in any of them")
    folders = folders - {""}
    some = ", ".join(sorted(folders)[:5]) + (", ..." if len(folders) > 5 else "")
    raise FlowCacheError(
        f"{path} has no frames of video {name!r}; the folders in its file names are: {some or 'none'} "
        f"(wanted names such as {name}/000003.jpg)"
    )
