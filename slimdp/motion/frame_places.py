"""Where the frames of an annotation file are in a store of flow, and which pictures lie around them."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from flow_cache import FlowSource, MissingFlowError
from flow_cache.runtime.progress import tracked
from flow_cache.runtime.words import quoted
from flow_cache.schema import writer_command
from flow_cache.video import folder_names
from slimdp.data import AnnotationError
from slimdp.motion.folder_match import AnnotatedFolder, FolderImages, FolderMatch, is_folder_of, match_folder
from slimdp.motion.frame_series import video_of_each
from slimdp.structures import ImageRecord

_Clip = tuple[Path, str | None]  # a folder of pictures, and the `vid_id` of the frames in it


@dataclass(frozen=True)
class FramePlace:
    """Where an annotated frame is in a store of flow, and how far its video reaches there."""

    video: str  # in the store
    index: int
    span: tuple[int, int]  # the first and the last frame that belong to the video of the annotation file

    def holds(self, index: int) -> bool:
        """Whether a frame of the store's video belongs to the same video of the annotation file."""
        return self.span[0] <= index <= self.span[1]


class FramePlaces:
    """Looks up annotated frames in a store of flow, and the pictures of the frames around them.

    A step never leads from a video to another one, as `vid_id` tells them apart, though both may lie in one
    folder and so in one video of the store.

    Args:
        images: annotated frames of videos, whose flow must be there.
        listed: all images of the annotation file, which may tell where another video begins.
        check: compare the pictures with what the flow was computed from, by their bytes or by what they
            show; else their names are believed.
        first_frame: the number that names give to the first frame of their video; None: find out.
        otherwise: what else a user may do, for the errors.
        folders: pictures of folders that were read before, to be added to.

    Raises AnnotationError for another size, pictures that the flow does not know, other content, frames that
    cannot be told apart, or two pictures of one frame, flow_cache.MissingFlowError for no flow of a video.
    """

    def __init__(
        self,
        store: FlowSource,
        images: Iterable[ImageRecord],
        listed: Iterable[ImageRecord] = (),
        check: bool = True,
        first_frame: int | None = None,
        otherwise: str = "",
        speaks: bool = True,
        folders: dict[Path, FolderImages] | None = None,
    ) -> None:
        self._videos: dict[_Clip, str] = {}
        self._matches: dict[_Clip, FolderMatch] = {}
        self._names: dict[str, tuple[str, ...]] = {}
        clips: dict[_Clip, dict[Path, ImageRecord]] = {}
        folders = {} if folders is None else folders
        for image in images:
            clips.setdefault(_clip(image), {})[image.file] = image
        said = "compare pictures with the flow's"
        for clip, by_file in tracked(clips.items(), said, "videos", speaks=speaks):
            frames = list(by_file.values())
            video = find_video(store, frames[0])
            record = store.record(video)
            again = "compute it again into another file: python -m flow_cache precompute "
            again += f"{quoted(clip[0])} --out FLOW.h5" + (f", or {otherwise}" if otherwise else "")
            for image in frames:
                _check_size(record.width, record.height, image, f"{video!r} ({record.source})", again)
            self._videos[clip], self._names[video] = video, record.frame_names
            listing = folders.get(clip[0]) or folders.setdefault(clip[0], FolderImages.of(clip[0]))
            folder = AnnotatedFolder(record, frames, listing, again)
            self._matches[clip] = match_folder(folder, check, first_frame)
        annotated = [image for by_file in clips.values() for image in by_file.values()]
        self._spans = self._assign([*annotated, *listed])

    @property
    def compared(self) -> int:
        """Of how many videos the pictures were compared with what the flow was computed from."""
        return sum(match.compared for match in self._matches.values())

    def place(self, image: ImageRecord) -> FramePlace:
        """Where a frame is in the store; AnnotationError for one that the flow does not know."""
        video, index = self._find(image)
        return FramePlace(video, index, self._spans[video][index])

    def image_file(self, image: ImageRecord, index: int) -> Path:
        """The picture of another frame of an image's video, by its index in the store; it may be missing."""
        name = self._matches[_clip(image)].name_of.get(index)
        return image.file.with_name(self._likely_name(image, index) if name is None else name)

    def _likely_name(self, image: ImageRecord, index: int) -> str:
        """What the missing picture of a frame would be called beside another one."""
        clip, file = _clip(image), image.file
        match, name = self._matches[clip], self._names[self._videos[clip]][index]
        if match.offset is None:
            return name if PurePosixPath(name).suffix else name + file.suffix
        number = match.index_of[file.name] - match.offset
        for found in reversed(list(re.finditer(r"\d+", file.stem))):
            if int(found[0]) == number:
                other = f"{index - match.offset:0{len(found[0])}d}"
                return file.stem[: found.start()] + other + file.stem[found.end() :] + file.suffix
        return name + file.suffix

    def _find(self, image: ImageRecord) -> tuple[str, int]:
        clip = _clip(image)
        index = self._matches[clip].index_of.get(image.file.name) if clip in self._matches else None
        if index is None:
            raise AnnotationError(f"image {image.id}, {image.file}: no frame of it in the flow")
        return self._videos[clip], index

    def _assign(self, images: Sequence[ImageRecord]) -> dict[str, list[tuple[int, int]]]:
        """How far the video of each frame reaches, by the vid_id of the images that are listed."""
        in_folder: dict[Path, list[_Clip]] = {}
        for clip in self._matches:
            in_folder.setdefault(clip[0], []).append(clip)
        owners: dict[str, dict[int, ImageRecord]] = {video: {} for video in self._names}
        for image in images:
            # An image that nobody is labelled in is looked up by what is known of others in its folder.
            own = _clip(image)
            for clip in (own,) if own in self._matches else in_folder.get(own[0], ()):
                index = self._matches[clip].index_of.get(image.file.name)
                if index is not None and image.video is not None:
                    other = owners[self._videos[clip]].setdefault(index, image)
                    _check_same(other, image, self._videos[clip], index)
        return {
            video: _spans(video_of_each(names, {i: str(image.video) for i, image in owners[video].items()}))
            for video, names in self._names.items()
        }


def find_video(store: FlowSource, image: ImageRecord) -> str:
    """The store's name of the video that a frame belongs to.

    It is the one whose name is that of the last folder of the picture, or of several of them (`a/img1`), or
    the frame's `vid_id`. Where folders and `vid_id` each name one, it is that which was computed from
    the very folder of the picture. Raises flow_cache.MissingFlowError for none, AnnotationError for two.
    """
    folder, found = _absolute_folder(image), _flow_of(store, image)
    if not found:
        try:
            store.frames(folder.name or image.video or "")
        except MissingFlowError as error:
            raise no_flow_of(folder, error) from error
    if len(found) > 1:
        found = [name for name in found if is_folder_of(store.record(name), folder)] or found
    if len(found) > 1:
        raise AnnotationError(
            f"image {image.id}, {image.file}: its folder names the video {found[0]!r} of the flow, its "
            f"vid_id the video {found[1]!r}; keep the flow of one of them in another store"
        )
    return found[0]


def no_flow_of(source: Path, error: MissingFlowError) -> MissingFlowError:
    """What a store says of a video that it lacks, with the command that computes its flow.

    That is of the folder of pictures, or the video file, that the user has, into a store of its own: the one
    that was asked may hold true flow, which nothing estimated joins.
    """
    said = str(error).partition("; run: ")[0]
    place = f"; its pictures are in {source}" if source.is_dir() else ""
    command = writer_command(str(source), Path("FLOW.h5"))
    return MissingFlowError(f"{said}{place}; run: {command}")


def lone_frames(store: FlowSource, images: Iterable[ImageRecord]) -> set[int]:
    """Ids of the annotated frames with neither flow nor a picture beside them, which no label leaves."""
    clips: dict[_Clip, list[ImageRecord]] = {}
    for image in images:
        clips.setdefault(_clip(image), []).append(image)
    return {
        image.id
        for (folder, _), (image, *others) in clips.items()
        if not others and not _flow_of(store, image) and FolderImages.of(folder).names == (image.file.name,)
    }


def require_image(file: Path, image: ImageRecord) -> None:
    """Raise AnnotationError where the picture of another frame of an image's video is missing."""
    if not file.is_file():
        raise AnnotationError(
            f"{file}: no such picture, wanted beside {image.file}; put all frames of a video into one folder"
        )


def _clip(image: ImageRecord) -> _Clip:
    return image.file.parent, image.video


def _check_size(width: int, height: int, image: ImageRecord, video: str, again: str) -> None:
    if (width, height) == (image.width, image.height):
        return
    turned = (width, height) == (image.height, image.width)
    raise AnnotationError(
        f"image {image.id}, {image.file}, is {image.width} x {image.height} px, but the flow of video "
        f"{video} was computed from frames of {width} x {height} px"
        + (" (one of the two is turned by 90 degrees)" if turned else "")
        + f"; {again}"
    )


def _check_same(one: ImageRecord, other: ImageRecord, video: str, index: int) -> None:
    if (one.file, one.video) != (other.file, other.video):
        raise AnnotationError(
            f"images {one.id}, {one.file} (vid_id {one.video}), and {other.id}, {other.file} (vid_id "
            f"{other.video}), would both be frame {index} of video {video!r} of the flow; compute the flow "
            "of each video under its own name"
        )


def _spans(of_each: Sequence[str | None]) -> list[tuple[int, int]]:
    """The first and the last of the frames around each that belong to the same video, without a gap."""
    spans: list[tuple[int, int]] = []
    for _, group in itertools.groupby(enumerate(of_each), key=lambda entry: entry[1]):
        frames = [index for index, _ in group]
        spans += [(frames[0], frames[-1])] * len(frames)
    return spans


def _absolute_folder(image: ImageRecord) -> Path:
    return Path(os.path.abspath(image.file.parent))  # links keep their names


def _flow_of(store: FlowSource, image: ImageRecord) -> list[str]:
    """The store's names of videos that an image may be of, by its folder and by its `vid_id`."""
    by_folder = next((name for name in folder_names(_absolute_folder(image)) if _has(store, name)), None)
    by_id = image.video if image.video is not None and _has(store, image.video) else None
    return [name for name in dict.fromkeys((by_folder, by_id)) if name is not None]


def _has(store: FlowSource, video: str) -> bool:
    try:
        store.frames(video)
    except MissingFlowError:
        return False
    return True
