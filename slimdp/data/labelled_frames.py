"""The labelled frames of videos, and the frames around them, as a set of pictures that everything reads.

OUT/labels.json           the labels, a PoseTrack file: `vid_id`, `frame_id` from 0 on
OUT/images/NAME/          the frames of a video that are labelled or near to one that is, as 000031.jpg
OUT/about.json            what it was made of

Frames of a video that lie apart are in folders of their own, NAME_000120 after the first frame in it, and
count as videos of their own: no label goes from one to the other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from flow_cache import FlowCacheError
from flow_cache.images import IMAGE_SUFFIXES, check_image, encode_image, read_image
from flow_cache.runtime.atomic import atomic_folder, write_bytes, write_json
from flow_cache.runtime.checksums import file_sha256
from flow_cache.runtime.json_file import read_json
from flow_cache.runtime.progress import tracked
from flow_cache.runtime.words import did_you_mean, listed, quoted
from flow_cache.video import (
    VideoSource,
    another_size,
    check_pictures,
    content_digest,
    frame_files,
    one_size_command,
    why_no_video,
)
from flow_cache.video_file import VideoFile
from slimdp.data.annotation_file import AnnotationError, AnnotationSet, read_annotations
from slimdp.data.frame_match import FrameMatch, NumberedPicture, describe_misplaced
from slimdp.data.frame_numbers import frame_number
from slimdp.data.write import write_annotations
from slimdp.structures import ImageRecord, PersonAnnotation

LABELS, ABOUT = "labels.json", "about.json"
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95]


@dataclass(frozen=True)
class LabelledFrame:
    """A picture of the labels, and the frame of a video that it is."""

    image: ImageRecord
    video: VideoSource
    index: int  # from 0 on, in the order in which frames are shown


def extract_labelled_frames(
    labels: Path, videos: Sequence[VideoSource], out: Path, around: int = 0, first_frame: int | None = None
) -> AnnotationSet:
    """Write the labelled frames of videos, and `around` frames to either side of each, with their labels.

    A folder that was made of the same before stays as it is.

    Args:
        labels: a PoseTrack or DensePose-COCO file. An image belongs to the video of its `vid_id`, or of the
            last folder of its name; where one video is given and the labels name only one, to that.
        videos: files, whose frames the labels number, or folders, whose pictures they name.
        out: the folder to make.
        around: 0 or more.
        first_frame: the number that labels give to the first frame of a video file. None: where the labelled
            pictures lie beside the labels, the one of 0 and 1 under which they show the same; else 0.

    Raises:
        AnnotationError: nobody has points, a video of the labels is not given, or a frame is not in it, has
            another size, or is another frame than the picture beside the labels; it says what to do.
        FlowCacheError: a video cannot be read, or changes its size: all pictures of a folder are looked at, a
            video file up to its last labelled frame, and three more where pictures lie beside the labels.
        FileExistsError: `out` is something else.
    """
    if around < 0:
        raise ValueError(f"around = {around}, but 0 frames or more are wanted")
    for video in videos:
        if not video.path.exists():
            raise FlowCacheError(why_no_video(video.path))
    annotations = read_annotations(labels, labels.parent, check_images=False, read_masks=True)
    labelled = [person for person in annotations.people if person.has_labels and not person.crowd]
    if not any(person.has_uv.any() for person in labelled):
        raise AnnotationError(
            f"{labels}: {len(annotations.images)} images with {len(annotations.people)} people, but no point "
            "with (u, v) (dp_x, dp_y, dp_I, dp_U, dp_V) that a network could learn from"
        )
    images = {person.image.id: person.image for person in labelled}
    frames = find_labelled_frames(labels, images, videos, first_frame)
    for video in videos:
        _check_video(video.path)
    # Everybody in these frames: who has no labels may hide who has some.
    people = [person for person in annotations.people if person.image.id in images]
    about = {
        "labels": file_sha256(labels).hex(),
        "videos": {video.name: [str(video.path.resolve()), content_digest(video.path)] for video in videos},
        "around": around,
        "first_frame": first_frame,
    }
    if not out.exists():
        with atomic_folder(out) as folder:
            _write(folder, frames, people, around)
            write_json(folder / ABOUT, about)
    elif not (out / ABOUT).is_file() or read_json(out / ABOUT) != about:
        other = "was made of other labels, videos or settings, or by an older version"
        raise FileExistsError(f"{out} exists, and {other}; remove it, or choose another name")
    return read_annotations(out / LABELS, out)


def _check_video(path: Path) -> None:
    """Look at all pictures of a folder, or open a file; FlowCacheError where `slimdp video` would stop."""
    if path.is_dir():
        check_pictures(path)
    elif path.suffix.lower() in IMAGE_SUFFIXES:
        check_image(path)
    else:
        with VideoFile(path) as file:
            if next(file.frames(), None) is None:
                raise FlowCacheError(f"{path} holds no frame")


def find_labelled_frames(
    labels: Path,
    images: Mapping[int, ImageRecord],
    videos: Sequence[VideoSource],
    first_frame: int | None = None,
) -> list[LabelledFrame]:
    """Which frames of videos some images of an annotation file are, by id; arguments and errors as above."""
    by_name = {video.name: video for video in videos}
    named: dict[str, list[ImageRecord]] = {}
    for image in images.values():
        named.setdefault(image.video or PurePosixPath(image.file_name).parent.name, []).append(image)
    if len(named) == 1 and len(videos) == 1:
        by_name = {next(iter(named)): videos[0]}
    found: list[LabelledFrame] = []
    for name, its_images in named.items():
        if name not in by_name:
            spoken = f"images of video {name!r}" if name else "images without vid_id or folder"
            raise AnnotationError(
                f"{labels}: {len(its_images)} labelled {spoken}, which is none of the given videos: "
                f"{listed(by_name, name)}; give it too, or name one so: {quoted((name or 'NAME') + '=PATH')}"
            )
        video = by_name[name]
        if video.path.is_dir():
            found += _in_folder(labels, its_images, video)
        else:
            found += _in_file(labels, its_images, video, first_frame)
    return found


def _pictures(folder: Path) -> list[Path]:
    return frame_files(folder, least=1, speaks=False)  # `check_pictures` says what is odd


def _in_folder(labels: Path, images: Sequence[ImageRecord], video: VideoSource) -> Iterator[LabelledFrame]:
    """Pictures are known by their names."""
    index_of = {file.name: index for index, file in enumerate(_pictures(video.path))}
    for image in images:
        name = PurePosixPath(image.file_name).name
        if name not in index_of:
            others = f"has no picture {name}, but {len(index_of)} others{did_you_mean(name, index_of)}"
            raise AnnotationError(f"{labels}: image {image.id}: {video.path} {others}")
        _require_size(labels, image, read_image(video.path / name), video)
        yield LabelledFrame(image, video, index_of[name])


def _in_file(
    labels: Path, images: Sequence[ImageRecord], video: VideoSource, first_frame: int | None
) -> list[LabelledFrame]:
    """Pictures are known by their numbers, and are compared with the frames where they are there."""
    numbers = [_number(labels, image) for image in images]
    firsts = (0, 1) if first_frame is None else (first_frame,)
    pictures = [
        NumberedPicture.read(image.file, n) for n, image in zip(numbers, images) if image.file.is_file()
    ]
    match = FrameMatch(pictures, firsts)
    wanted = {n - first for n in numbers for first in firsts}
    before = min(numbers) < min(firsts)  # the video begins after that one; the error says where it ends
    there, frames = _look_at_frames(labels, images, video, wanted, match, to_end=before)
    first = match.first()
    other = "labels of another video, or other numbers (--first-frame)"
    if wrong := match.misplaced(first, _sound_frames(video)):
        if any(each.found is None for each in wrong):
            shown = f"show something else than the frames of {video.path} with their numbers"
            raise AnnotationError(f"{labels}: the labelled pictures beside it {shown}; {other}")
        raise AnnotationError(f"{labels}: {describe_misplaced(wrong, pictures, first, '--first-frame')}")
    for image, number in zip(images, numbers):
        if number - first not in there:
            lacks = f"has no frame {number}: its {frames} frames are {first} to {first + frames - 1}"
            place = f"{labels}: image {image.id}, {image.file_name}"
            raise AnnotationError(f"{place}: {video.path} {lacks}; {other}")
    return [LabelledFrame(image, video, number - first) for image, number in zip(images, numbers)]


def _look_at_frames(
    labels: Path,
    images: Sequence[ImageRecord],
    video: VideoSource,
    wanted: Collection[int],
    match: FrameMatch,
    to_end: bool,
) -> tuple[set[int], int]:
    """Which wanted frames a file has, and how many were decoded: all of them where a wanted one lies behind
    its end, or `to_end`. `match` sees those that it compares with pictures."""
    there: set[int] = set()
    first, frames, title = None, 0, f"look for the labelled frames of {video.name}"
    last = max([*wanted, *match.near])
    with VideoFile(video.path) as file:
        for index, frame in enumerate(tracked(file.frames(), title, "frames")):
            size, frames = file.shape(frame), index + 1
            first = first or size
            if size != first:
                changes = another_size(f"{video.path}: frame {index}", size, first)
                raise FlowCacheError(f"{changes}: {one_size_command(video.path, *first)}")
            if index in wanted or index in match.near:
                pixels = file.pixels(frame)
                if index in match.near:
                    match.see(index, pixels)
                if index in wanted:
                    for image in images:
                        _require_size(labels, image, pixels, video)
                    there.add(index)
            if index >= last and not to_end:
                break
    return there, frames


def _sound_frames(video: VideoSource) -> Iterator[np.ndarray]:
    """All frames of a file (H, W, 3) RGB, up to one that is damaged."""
    title = f"search {video.name} for the labelled pictures"
    with contextlib.suppress(FlowCacheError), VideoFile(video.path) as file:
        for frame in tracked(file.frames(), title, "frames", file.announced or None):
            yield file.pixels(frame)


def _number(labels: Path, image: ImageRecord) -> int:
    number = image.frame if image.frame is not None else frame_number(image.file_name)
    if number is None:
        lacks = "no number of a frame; give it a frame_id"
        raise AnnotationError(f"{labels}: image {image.id}, {image.file_name}: {lacks}")
    return number


def _require_size(labels: Path, image: ImageRecord, frame: np.ndarray, video: VideoSource) -> None:
    height, width = frame.shape[:2]
    if (width, height) != (image.width, image.height):
        shown = f"the frames of {video.path} are shown in {width} x {height} px; label frames of this size"
        size = f"{image.width} x {image.height} px"
        raise AnnotationError(f"{labels}: image {image.id} is {size}, but {shown}")


def _write(
    folder: Path, frames: Sequence[LabelledFrame], people: Sequence[PersonAnnotation], around: int
) -> None:
    by_video: dict[str, list[LabelledFrame]] = {}
    for frame in frames:
        by_video.setdefault(frame.video.name, []).append(frame)
    records: dict[int, ImageRecord] = {}
    whose: dict[str, str] = {}  # folder -> video
    for video, of_video in by_video.items():
        name, windows = video.replace("/", "_"), _windows([frame.index for frame in of_video], around)
        names = [name] if len(windows) == 1 else [f"{name}_{window.start:06d}" for window in windows]
        for its_name in names:
            if (other := whose.setdefault(its_name, video)) != video:
                raise AnnotationError(
                    f"frames of {other!r} and of {video!r} would share a folder, {its_name}; give one of "
                    "them another name, NAME=PATH, in the labels too"
                )
        place = {index: its_name for its_name, window in zip(names, windows) for index in window}
        for index, content in _encoded_frames(of_video[0].video, place):
            write_bytes(folder / _file_name(place[index], index), content, durable=False)
        for frame in of_video:
            its_name = place[frame.index]
            file_name = _file_name(its_name, frame.index)
            records[frame.image.id] = replace(
                frame.image, file=folder / file_name, file_name=file_name, video=its_name, frame=frame.index
            )
    moved = [replace(person, image=records[person.image.id]) for person in people]
    write_annotations(folder / LABELS, list(records.values()), moved)


def _file_name(name: str, index: int) -> str:
    return f"images/{name}/{index:06d}.jpg"


def _windows(indices: Iterable[int], around: int) -> list[range]:
    """The frames around some, joined where they touch."""
    windows: list[range] = []
    for index in sorted(set(indices)):
        window = range(max(0, index - around), index + around + 1)
        if windows and window.start <= windows[-1].stop:
            window = range(windows.pop().start, window.stop)
        windows.append(window)
    return windows


def _encoded_frames(video: VideoSource, wanted: Collection[int]) -> Iterator[tuple[int, bytes]]:
    """Some frames, by index, as JPEG files, as far as the video has them; a JPEG file as it is."""
    title = f"take the frames around the labels of {video.name}"
    if video.path.is_dir():
        files = _pictures(video.path)
        for index in tracked([index for index in sorted(wanted) if index < len(files)], title, "frames"):
            picture = files[index]
            is_jpeg = picture.suffix.lower() in (".jpg", ".jpeg")
            yield index, picture.read_bytes() if is_jpeg else encode_image(read_image(picture), ".jpg", _JPEG)
        return
    with VideoFile(video.path) as file:
        for index, frame in enumerate(tracked(file.frames(), title, "frames", max(wanted) + 1)):
            if index in wanted:
                yield index, encode_image(file.pixels(frame), ".jpg", _JPEG)
            if index >= max(wanted):
                break
