"""Which video of a store of flow a folder of frames or a video file is, and whether it is that one at all."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path, PurePath

from flow_cache import FlowCacheError, FlowSource, MissingFlowError, VideoRecord
from flow_cache.images import IMAGE_SUFFIXES
from flow_cache.schema import writer_command
from flow_cache.source_frames import find_source_frames, has_source
from flow_cache.video import folder_names
from flow_cache.video_file import VideoFile
from slimdp.motion.folder_match import (
    LARGEST_DIFFERENCE,
    AnnotatedFolder,
    FolderImages,
    compare,
    match_folder,
)
from slimdp.motion.frame_places import find_video, no_flow_of
from slimdp.structures import ImageRecord

#: Frames of a video file that are compared with pictures.
_COMPARED = 8


def find_source(
    store: FlowSource,
    source: Path,
    names: Sequence[str],
    size: tuple[int, int],
    image: ImageRecord | None = None,
) -> str:
    """The store's name of a video that somebody gives; its frames are those that the flow was computed from.

    A video has the name of the end of its path, most folders first, or that which `find_video` finds.

    Args:
        source: a video file, or the folder of the frames.
        names: of its frames; frame i is frame i of the flow.
        size: width and height of its frames, px.
        image: one of its frames in an annotation file; None: it is of no such file.

    Raises:
        MissingFlowError: the store has no video of that name.
        FlowCacheError: one of that name, but of another size, or of a file with other bytes; the pictures of
            a video file, if they are still there, may stand for it.
        AnnotationError: of pictures that show something else, or in another order.
    """
    name = _find_by_path(store, source) if image is None else find_video(store, image)
    record = store.record(name)
    again = f"compute its flow: {writer_command(str(source), Path('FLOW.h5'))}"
    if (record.width, record.height) != size:
        raise FlowCacheError(
            f"the flow of video {name!r} is of {record.width} x {record.height} px, and {source} has frames "
            f"of {size[0]} x {size[1]} px; {again}"
        )
    if not source.is_dir():
        if not (has_source(record, source) or _shows_pictures(source, names, record)):
            raise FlowCacheError(f"{_another(source, record)}; {again}")
        return name
    shown = image or ImageRecord(0, source / names[0], names[0], *size)
    match = match_folder(AnnotatedFolder(record, [shown], FolderImages.of(source), again), True, None)
    if [match.index_of.get(frame) for frame in names] != list(range(len(names))):
        raise FlowCacheError(f"{_another(source, record)}: its frames are not its first ones; {again}")
    return name


def _shows_pictures(file: Path, names: Sequence[str], record: VideoRecord) -> bool:
    """Whether a video file shows the pictures that a flow was computed from, by the first ones."""
    if not record.frame_names or PurePath(record.frame_names[0]).suffix.lower() not in IMAGE_SUFFIXES:
        return False  # it was computed from a file
    if len(names) != len(record.frame_names):
        return False
    try:
        pictures = find_source_frames(record)
    except FlowCacheError:  # they are gone
        return False
    some = range(min(len(names), _COMPARED))
    images = [image for _, image in pictures.read(some)]
    with VideoFile(file) as video:
        frames = [video.pixels(frame) for frame in itertools.islice(video.frames(), len(some))]
    if len(frames) < len(images):  # it announces more than it holds
        return False
    return compare(list(some), images, frames).largest(0) <= LARGEST_DIFFERENCE


def _find_by_path(store: FlowSource, source: Path) -> str:
    """The name of most folders at the end of a path as it is given, else of the path that links lead to."""
    fault = None
    for path in (Path(os.path.abspath(source)), source.resolve()):
        for name in folder_names(path if path.is_dir() else path.with_suffix("")):
            try:
                store.frames(name)
            except MissingFlowError as error:
                fault = error
            else:
                return name
    assert fault is not None, "a path without a name"
    raise no_flow_of(source, fault)


def _another(source: Path, record: VideoRecord) -> str:
    return f"{source} is not the video {record.name!r} whose flow is there, which was {record.source}"
