"""Where people are: their boxes from a COCO file, for stores that hold flow there alone."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from flow_cache.coco import FARTHEST_PX, LEAST_PX, NoPersonError, person_categories
from flow_cache.codec import pixels_touched
from flow_cache.errors import FlowCacheError
from flow_cache.naming import find_name
from flow_cache.runtime.json_file import read_json, short
from flow_cache.video import Video

_LOG = logging.getLogger(__name__)


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

        Those of the enlarged boxes of both frames that the field connects: the way back is read where the way
        there arrives.
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
    of `annotations`, `image_id` and `bbox`: x, y, width, height px. Of several `categories` people alone are
    read (`person_categories`). Frames of videos that were not given are ignored; boxes without a pixel of
    their frame are passed over, and the log counts them.

    Args:
        path: the file.
        videos: those whose boxes are wanted; each must have some.
        margin: a share of the longer side of a box, added on each side.

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
            raise FlowCacheError(f"{where}: file_name {short(name)}; wanted a text such as walk/000003.jpg")
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
    _say_how_frames_count(path, frames, videos)
    return frames, folders


def _say_how_frames_count(
    path: Path, frames: Mapping[int | str, tuple[str, int] | None], videos: Mapping[str, Video]
) -> None:
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
    people = _person_categories(path, content)
    passed_over: list[str] = []
    boxes: dict[str, dict[int, list[np.ndarray]]] = {name: {} for name in videos}
    for where, entry in _entries(path, content, "annotations"):
        image_id = _identity(where, entry, "image_id")
        if image_id not in frames:
            raise FlowCacheError(f"{where}: no image of the file has this image_id")
        place = frames[image_id]
        if place is None or not _is_of(people, where, entry):
            continue
        name, frame = place
        box = _box(where, entry)
        if _shows(box, videos[name]):
            boxes[name].setdefault(frame, []).append(box)
        else:
            passed_over.append(where.removeprefix(f"{path}: "))
    if passed_over:
        some = "; ".join(passed_over[:3]) + ("; ..." if len(passed_over) > 3 else "")
        _LOG.warning(
            "%s: %d boxes without a pixel of their frames are passed over: %s", path, len(passed_over), some
        )
    return boxes


def _is_of(people: set[object], where: str, entry: dict[str, Any]) -> bool:
    category = entry.get("category_id")
    if category is not None:
        _identity(where, entry, "category_id")
    return not people or category in people


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
            where
            + "".join(f", {k} {short(entry[k])}" for k in ("id", "file_name", "image_id") if k in entry),
            entry,
        )


def _identity(where: str, entry: dict[str, Any], key: str) -> int | str:
    value = entry.get(key)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, int | str):
        raise FlowCacheError(f"{where}: {key} {short(value)}; wanted a number or a text")
    return value


def _person_categories(path: Path, content: dict[str, Any]) -> set[object]:
    """The ids of the categories of people; none where no category is named, and all boxes are people's."""
    if content.get("categories") is None:
        return set()
    categories = []
    for where, entry in _entries(path, content, "categories"):
        categories.append({**entry, "id": _identity(where, entry, "id")})
    try:
        people, said = person_categories(categories)
    except NoPersonError as error:
        raise FlowCacheError(f"{path}: categories: {error}") from error
    if said:
        _LOG.warning("%s: %s", path, said)
    return people


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
    # PoseTrack's own files give no sizes.
    given = image.get("width"), image.get("height")
    size = tuple(own if own is not None else of for own, of in zip(given, (video.width, video.height)))
    if size != (video.width, video.height):
        raise FlowCacheError(
            f"{where} is of {short(size[0])} x {short(size[1])} px, the frames of {video.path} of "
            f"{video.width} x {video.height} px"
        )


def _no_such_frame(where: str, name: str, video: Video) -> str:
    names = video.frame_names
    return (
        f"{where}: {video.path} has no frame {name!r}; its {len(names)} frames are {names[0]} to {names[-1]}"
    )


def _box(where: str, entry: dict[str, Any]) -> np.ndarray:
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(type(number) in (int, float) for number in box):
        raise FlowCacheError(f"{where}: bbox {short(box)}; wanted four numbers: x, y, width, height px")
    if not all(abs(number) <= FARTHEST_PX for number in box):  # NaN is not below anything
        raise FlowCacheError(
            f"{where}: bbox {short(box)}; wanted four finite numbers of {FARTHEST_PX:,} px at most"
        )
    if min(box[2:]) < 0:
        raise FlowCacheError(f"{where}: bbox {short(box)}; wanted no negative width or height")
    return np.array(box, np.float64)


def _shows(box: np.ndarray, video: Video) -> bool:
    """Whether a box has an extent, and a pixel of the frames; COCO has boxes of height 0."""
    if (box[2:] < LEAST_PX).any():
        return False
    try:
        pixels_touched(box.tolist(), video.width, video.height)
    except FlowCacheError:
        return False
    return True


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
