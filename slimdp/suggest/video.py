"""The videos that somebody asks about: their frames, who is known in them, and which have labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flow_cache import FlowSource
from slimdp.config import ConfigError, CropSettings
from slimdp.data import read_annotations
from slimdp.data.crops import crop_side
from slimdp.inference.video_frames import FrameSource, open_frames
from slimdp.motion.frame_places import find_video
from slimdp.motion.reach import FrameReach, grid_in_box, measure_reach
from slimdp.structures import ImageRecord, LabelSource, PersonAnnotation

#: A person's crop has this side where flow is checked, px (Slim DensePose, 5.4).
_CROP_PX = 256.0


@dataclass(frozen=True)
class AskedVideo:
    """A video whose next frames to label are wanted."""

    name: str
    source: FrameSource
    names: tuple[str, ...]  # of its frames
    labelled: tuple[int, ...] = ()  # frames with labels of annotators
    boxes: Mapping[int, Sequence[np.ndarray]] | None = None  # of known people by frame, x, y, w, h px
    image: ImageRecord | None = None  # one of its frames in an annotation file

    def pictures(self) -> Iterator[tuple[np.ndarray, Sequence[np.ndarray]]]:
        """Every frame (H, W, 3) RGB with the boxes of its known people."""
        boxes = self.boxes or {}
        for frame in self.source.frames():
            yield frame.image, boxes.get(frame.index, ())


def asked_videos(source: Path, images: Path | None = None) -> list[AskedVideo]:
    """The videos of a source: one, or all of an annotation file, sorted by name.

    Raises ConfigError for an annotation file without `images`, without videos, or with two videos in one
    folder; else as `open_frames` and `read_annotations`.
    """
    if source.suffix.lower() != ".json":
        frames = open_frames(source)
        return [AskedVideo(frames.info.name, frames, frames.frame_names())]
    if images is None:
        raise ConfigError(f"{source} names pictures; say where they are: --images FOLDER")
    annotations = read_annotations(source, images)
    people = annotations.people_by_image()
    by_video: dict[str, list[ImageRecord]] = {}
    for image in annotations.images:
        if image.video is not None:
            by_video.setdefault(image.video, []).append(image)
    if not by_video:
        raise ConfigError(f"{source}: no picture is known to be of a video (vid_id); nothing to suggest")
    folders = [records[0].file.parent for records in by_video.values()]
    if len(set(folders)) < len(folders):
        twice = next(folder for folder in folders if folders.count(folder) > 1)
        raise ConfigError(f"{twice} holds frames of several videos; put each into a folder of its own")
    return [_of_file(name, by_video[name], people) for name in sorted(by_video)]


def _of_file(
    name: str, records: Sequence[ImageRecord], people: Mapping[int, Sequence[PersonAnnotation]]
) -> AskedVideo:
    """A video of an annotation file: all frames of its folder, whether the file lists them or not."""
    source = open_frames(records[0].file.parent)
    names = source.frame_names()
    place = {frame: index for index, frame in enumerate(names)}
    here = {place[image.file.name]: people.get(image.id, ()) for image in records if image.file.name in place}
    labelled = tuple(sorted(index for index, known in here.items() if any(map(_is_clicked, known))))
    boxes = {index: [person.box for person in known] for index, known in here.items() if known}
    return AskedVideo(name, source, names, labelled, boxes, records[0])


def _is_clicked(person: PersonAnnotation) -> bool:
    """Whether annotators labelled a person, and not flow alone."""
    moved = len(person.points) and (person.source == LabelSource.PROPAGATED).all()
    return person.has_labels and not moved


def video_reach(
    video: AskedVideo, store: FlowSource, reach: int, follow: Callable[[int], None] | None = None
) -> FrameReach:
    """How far labels of each frame get along the flow of a store, at places over its known people's boxes, or
    over the frame where nobody is known; `follow` is told each frame as its turn comes.

    Raises MissingFlowError where the store lacks the video, ConfigError for another number of frames.
    """
    if video.image is not None:
        name = find_video(store, video.image)
    else:
        store.frames(video.name)  # raises MissingFlowError
        name = video.name
    if len(store.frames(name)) != len(video.names):
        counts = f"{len(store.frames(name))} frames of {name!r}, but the video has {len(video.names)}"
        raise ConfigError(f"the flow is of {counts}; compute it again: python -m flow_cache precompute")
    around = [_around_people(video, index) for index in range(len(video.names))]
    points = np.stack([grid_in_box(box) for box in around])
    crop = np.array([crop_side(box, CropSettings()) for box in around]) / _CROP_PX
    return measure_reach(store, name, points, crop, reach, follow=follow)


def _around_people(video: AskedVideo, index: int) -> np.ndarray:
    """The box x, y, w, h px about all people who are known in a frame, within it; else the frame."""
    size = np.array([video.source.info.width, video.source.info.height], dtype=np.float64)
    known = (video.boxes or {}).get(index, ())
    if not len(known):
        return np.concatenate([[0, 0], size])
    boxes = np.stack(known)
    low = boxes[:, :2].min(axis=0).clip(0, size - 1)
    high = (boxes[:, :2] + boxes[:, 2:]).max(axis=0).clip(low + 1, size)
    return np.concatenate([low, high - low])
