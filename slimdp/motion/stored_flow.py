"""Frames of an annotation file in a store of flow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from flow_cache import FlowField, MissingFlowError
from slimdp.data import AnnotationError
from slimdp.structures import ImageRecord


class FlowSource(Protocol):
    """What is needed of a `FlowStore`."""

    def frames(self, video: str) -> tuple[str, ...]:
        """The names of a video's frames in order."""

    def read(self, video: str, frame: int, step: int) -> FlowField:
        """The flow from the frame with an index to the frame `step` later."""


def video_of(image: ImageRecord) -> str:
    """What a store calls the video of a frame: the folder that its picture lies in."""
    return image.file.parent.name


def frames_of(store: FlowSource, image: ImageRecord) -> tuple[str, ...]:
    """The names of the frames of an image's video; MissingFlowError says where the pictures are."""
    try:
        return tuple(store.frames(video_of(image)))
    except MissingFlowError as error:
        raise MissingFlowError(f"{error}; its pictures are in {image.file.parent}") from error


def locate_frame(image: ImageRecord, names: Sequence[str]) -> int:
    """The index of a frame among the frames of its video in a store; AnnotationError if it is not there."""
    # The frames of a video file have numbers for names, without an ending.
    for name in (image.file.name, image.file.stem):
        if name in names:
            return names.index(name)
    raise AnnotationError(
        f"image {image.id}, {image.file}: no frame {image.file.name} in the flow of video "
        f"{video_of(image)!r}, whose {len(names)} frames are {names[0]} to {names[-1]}; compute the flow of "
        "this folder"
    )


def read_displacement(store: FlowSource, image: ImageRecord, frame: int, step: int) -> np.ndarray:
    """The flow (2, H, W) float32 px from a frame of the image's video to the frame `step` later.

    Raises:
        ValueError: a flow of another size than the image. flow_cache.MissingFlowError: none is stored.
    """
    video = video_of(image)
    flow = store.read(video, frame, step).displacement
    if flow.shape != (2, image.height, image.width):
        raise ValueError(
            f"flow of video {video!r}, frame {frame}, step {step:+d} has shape {flow.shape}, but "
            f"{image.file} is {image.width} x {image.height} px; compute it from the same frames"
        )
    return flow
