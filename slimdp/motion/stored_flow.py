"""Videos of an annotation file in a store of flow."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from flow_cache import FlowField, MissingFlowError, VideoRecord
from flow_cache.naming import folder_names
from slimdp.data import AnnotationError
from slimdp.structures import ImageRecord


class FlowSource(Protocol):
    """What is needed of a `FlowStore`."""

    def frames(self, video: str) -> tuple[str, ...]:
        """The names of a video's frames in order; MissingFlowError for a video that is not there."""

    def record(self, video: str) -> VideoRecord:
        """What is known of a video and of how its flow was made."""

    def read(self, video: str, frame: int, step: int) -> FlowField:
        """The flow from the frame with an index to the frame `step` later."""


@dataclass(frozen=True)
class FramePlace:
    """Where an annotated frame is in a store of flow, and how far its video reaches there."""

    video: str  # in the store
    index: int
    first: int  # index of the first frame that belongs to the video of the annotation file
    last: int

    def holds(self, index: int) -> bool:
        """Whether a frame of the store's video belongs to the same video of the annotation file."""
        return self.first <= index <= self.last


def find_video(store: FlowSource, image: ImageRecord) -> str:
    """The store's name of the video that a frame belongs to.

    It is the one whose name is that of the last folder of the picture, or of several of them (`a/img1`), or
    the frame's `vid_id`. Where folders and `vid_id` each name one, it is that which was computed from
    the very folder of the picture.

    Raises:
        flow_cache.MissingFlowError: none has such a name. AnnotationError: two have.
    """
    folder = Path(os.path.abspath(image.file.parent))  # links keep their names
    by_folder = next((name for name in folder_names(folder) if _has(store, name)), None)
    by_id = image.video if image.video is not None and _has(store, image.video) else None
    if by_folder is None and by_id is None:
        try:
            store.frames(folder.name or image.video or "")
        except MissingFlowError as error:
            raise MissingFlowError(f"{error}; its pictures are in {folder}") from error
    found = [name for name in dict.fromkeys((by_folder, by_id)) if name is not None]
    if len(found) > 1:
        here = [name for name in found if is_folder_of(store.record(name), folder)]
        found = here or found
    if len(found) > 1:
        raise AnnotationError(
            f"image {image.id}, {image.file}: its folder names the video {found[0]!r} of the flow, its "
            f"vid_id the video {found[1]!r}; keep the flow of one of them in another store"
        )
    return found[0]


def is_folder_of(record: VideoRecord, folder: Path) -> bool:
    """Whether flow was computed from the pictures of a folder, as far as paths tell."""
    source = Path(record.source)
    return source.is_dir() and folder.is_dir() and source.samefile(folder)


def read_displacement(store: FlowSource, image: ImageRecord, video: str, frame: int, step: int) -> np.ndarray:
    """The flow (2, H, W) float32 px from a frame of an image's video to the frame `step` later.

    Args:
        store: the flow.
        image: an image of the video.
        video: what the store calls it.
        frame: index in the store's video.
        step: frames from there.

    Raises:
        ValueError: a flow of another size than the image. flow_cache.MissingFlowError: none is stored.
    """
    flow = store.read(video, frame, step).displacement
    if flow.shape != (2, image.height, image.width):
        raise ValueError(
            f"flow of video {video!r}, frame {frame}, step {step:+d} has shape {flow.shape}, but "
            f"{image.file} is {image.width} x {image.height} px; compute it from the same frames"
        )
    return flow


def _has(store: FlowSource, video: str) -> bool:
    try:
        store.frames(video)
    except MissingFlowError:
        return False
    return True
