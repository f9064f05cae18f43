"""The videos that somebody asks about: their frames, who is known in them, and which have labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from flow_cache import FlowSource
from flow_cache.runtime.words import listed, quoted
from flow_cache.schema import writer_command
from flow_cache.video import VideoSource
from slimdp.config import ConfigError, CropSettings
from slimdp.data import read_annotations
from slimdp.data.crops import crop_side
from slimdp.data.frame_numbers import frame_number
from slimdp.data.labelled_frames import find_labelled_frames
from slimdp.inference.video_frames import FrameSource, open_frames
from slimdp.motion.reach import FrameReach, grid_in_box, measure_reach
from slimdp.motion.source_flow import find_source
from slimdp.structures import ImageRecord, PersonAnnotation

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


def asked_videos(source: Path, images: Path | None = None, labels: Path | None = None) -> list[AskedVideo]:
    """The videos of a source: one, with its `labels` so far, or all of an annotation file, sorted by name.

    Pictures of `labels` are looked for beside them, where `images` does not say otherwise. Raises ConfigError
    for an annotation file without `images`, without videos, with two videos in one folder, or with a folder
    of labelled frames alone, and for `labels` of other videos; else as `open_frames`, `read_annotations` and
    `find_labelled_frames`.
    """
    if source.suffix.lower() != ".json":
        frames = open_frames(source)
        video = AskedVideo(frames.info.name, frames, frames.frame_names())
        return [video if labels is None else _labelled(video, labels, images or labels.parent)]
    if labels is not None:
        raise ConfigError(f"{source} is an annotation file, too; name the video of the labels in its place")
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
    return [_of_file(source, name, by_video[name], people) for name in sorted(by_video)]


def _labelled(video: AskedVideo, labels: Path, images: Path) -> AskedVideo:
    """A video with what an annotation file knows of its frames."""
    annotations = read_annotations(labels, images, check_images=False)
    people = annotations.people_by_image()
    by_video: dict[str, dict[int, ImageRecord]] = {}
    for image in annotations.images:
        if people[image.id]:
            by_video.setdefault(image.video or image.file.parent.name, {})[image.id] = image
    if not by_video:
        return video
    if video.name not in by_video and len(by_video) > 1:
        raise ConfigError(
            f"{labels}: no labels of video {video.name!r}, but of {listed(by_video, video.name)}"
        )
    shown = by_video.get(video.name) or next(iter(by_video.values()))
    here: dict[int, list[PersonAnnotation]] = {}
    for frame in find_labelled_frames(labels, shown, [VideoSource(video.source.info.path, video.name)]):
        here.setdefault(frame.index, []).extend(people[frame.image.id])
    return replace(video, labelled=_clicked_frames(here), boxes=_boxes(here))


def _of_file(
    file: Path, name: str, records: Sequence[ImageRecord], people: Mapping[int, Sequence[PersonAnnotation]]
) -> AskedVideo:
    """A video of an annotation file: all frames of its folder, whether the file lists them or not."""
    folder = records[0].file.parent
    source = open_frames(folder)
    names = source.frame_names()
    place = {frame: index for index, frame in enumerate(names)}
    here = {place[image.file.name]: people.get(image.id, ()) for image in records if image.file.name in place}
    if len(here) == len(names) and all(here.values()) and _is_kept_by_annotate(folder, file, names):
        video = f"slimdp suggest VIDEO --labels {quoted(file)}"
        held = f"{folder} has the labelled frames of {name!r} alone ({len(names)})"
        raise ConfigError(f"{held}; name the video that they are of: {video}")
    return AskedVideo(name, source, names, _clicked_frames(here), _boxes(here), records[0])


def _is_kept_by_annotate(folder: Path, labels: Path, names: Sequence[str]) -> bool:
    """Whether a folder is that of the frames of a video file that `slimdp annotate` kept: labels_frames/NAME.

    Its labels may have another name by now; then the frames that are not there tell.
    """
    first, last = frame_number(names[0]), frame_number(names[-1])
    lacks_some = first is not None and last is not None and last - first >= len(names)
    of_any = folder.parent.name.endswith("_frames") and lacks_some
    return of_any or folder.parent.name == f"{labels.stem}_frames"


def _clicked_frames(people: Mapping[int, Sequence[PersonAnnotation]]) -> tuple[int, ...]:
    return tuple(sorted(index for index, known in people.items() if any(map(_is_clicked, known))))


def _boxes(people: Mapping[int, Sequence[PersonAnnotation]]) -> dict[int, list[np.ndarray]]:
    return {index: [person.box for person in known] for index, known in people.items() if known}


def _is_clicked(person: PersonAnnotation) -> bool:
    """Whether annotators labelled a person, and not flow alone."""
    return person.has_labels and not person.was_carried


def video_reach(
    video: AskedVideo, store: FlowSource, reach: int, follow: Callable[[int], None] | None = None
) -> FrameReach:
    """How far labels of each frame get along the flow of a store, at places over its known people's boxes, or
    over the frame where nobody is known; `follow` is told each frame as its turn comes.

    Raises as `find_source` where the store lacks the video, ConfigError for another number of frames.
    """
    info, files = video.source.info, video.source.files
    source = files[0].parent if files else info.path
    name = find_source(store, source, video.names, (info.width, info.height), video.image)
    if len(store.frames(name)) != len(video.names):
        counts = f"{len(store.frames(name))} frames of {name!r}, but the video has {len(video.names)}"
        again = f"compute it again: {writer_command(str(source), Path('FLOW.h5'))}"
        if video.image is not None:
            again += ", or, where its folder has labelled frames alone, name the video: slimdp suggest VIDEO "
            again += "--labels LABELS"
        raise ConfigError(f"the flow is of {counts}; {again}")
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
