"""Whether a store's flow was computed from the pictures that an annotation file names."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from flow_cache import VideoRecord
from flow_cache.frame_files import IMAGE_SUFFIXES, frame_files, hash_of_all, hash_of_file
from flow_cache.runtime.progress import tracked
from slimdp.data import AnnotationError
from slimdp.motion.stored_flow import FlowSource, frames_of, video_of
from slimdp.structures import ImageRecord

_LOG = logging.getLogger(__name__)


class RecordSource(FlowSource, Protocol):
    """What is needed of a `FlowStore`."""

    def record(self, video: str) -> VideoRecord:
        """What is known of a video and of how its flow was made."""


def check_same_frames(store: RecordSource, images: Iterable[ImageRecord], otherwise: str = "") -> int:
    """Compare the pictures beside annotated frames with those that the flow of their videos was made from.

    A store keeps one SHA-256 of all frames of a video with their names. It can be compared where the flow was
    computed from a folder of pictures, and the annotated frames lie in a folder with pictures of the same
    names; that reads the bytes of these pictures once and decodes nothing. Flow of a video file, and exact
    flow that was rendered, say nothing about single pictures: there names and sizes alone are compared, when
    the flow is read. A folder that lacks some of the pictures is not compared either.

    Args:
        store: the flow.
        images: annotated frames.
        otherwise: what else a user may do, for the errors.

    Returns:
        How many videos were compared.

    Raises:
        AnnotationError: another size, pictures that the flow does not know, or other content.
        flow_cache.MissingFlowError: no flow of a video.
    """
    compared = 0  # videos
    folders: dict[Path, ImageRecord] = {}
    for image in images:
        folders.setdefault(image.file.parent, image)
    for folder, image in tracked(folders.items(), "compare pictures with the flow's", "videos"):
        frames_of(store, image)
        record = store.record(video_of(image))
        again = f"compute it again into another file: python -m flow_cache precompute {folder} --out FLOW.h5"
        if otherwise:
            again += f", or {otherwise}"
        _check_size(record, image, again)
        compared += _compare(record, folder, again)
    return compared


def _check_size(record: VideoRecord, image: ImageRecord, again: str) -> None:
    if (record.width, record.height) != (image.width, image.height):
        raise AnnotationError(
            f"image {image.id}, {image.file}, is {image.width} x {image.height} px, but the flow of video "
            f"{record.name!r} was computed from frames of {record.width} x {record.height} px "
            f"({record.source}); {again}"
        )


def _compare(record: VideoRecord, folder: Path, again: str) -> bool:
    of_folder = re.fullmatch("[0-9a-f]{64}", record.source_hash) and Path(record.frame_names[0]).suffix
    pictures = [entry for entry in folder.iterdir() if entry.suffix.lower() in IMAGE_SUFFIXES]
    if not of_folder or len(pictures) < 2:
        return False
    files = frame_files(folder)
    names = [file.name for file in files]
    new = sorted(set(names) - set(record.frame_names))
    if new:
        raise AnnotationError(
            f"{folder} holds {len(new)} pictures, first {new[0]}, that the flow of video {record.name!r} was "
            f"not computed from (it has {len(record.frame_names)}: {record.frame_names[0]} to "
            f"{record.frame_names[-1]}, from {record.source}); {again}"
        )
    if len(names) < len(record.frame_names):
        _LOG.warning(
            "%s holds %d of the %d frames that its flow was computed from, so their content is not compared",
            folder, len(names), len(record.frame_names),
        )  # fmt: skip
        return False
    if hash_of_all(files, hash_of_file) != record.source_hash:
        raise AnnotationError(
            f"the pictures in {folder} are not those that the flow of video {record.name!r} was computed "
            f"from ({record.source}): the names are the same, the content is not; {again}"
        )
    return True
