"""Frames of a folder of pictures or of a video file, decoded in order."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from flow_cache.errors import FlowCacheError
from flow_cache.frame_files import IMAGE_SUFFIXES, check_utf8, frame_files, hash_of_all, hash_of_file
from flow_cache.pictures import content_of, decode_image, read_image
from flow_cache.schema import VideoRecord

_LOG = logging.getLogger(__name__)
# What a container announces is exact for most and an estimate for some; a file that was cut off misses more.
ANNOUNCED_TOLERANCE = 0.02


class SeenVideo(Protocol):
    """What is known of a video that was looked through before: `Video`, and the record in a store."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def frame_names(self) -> tuple[str, ...]: ...
    @property
    def source_hash(self) -> str: ...


@dataclass(frozen=True)
class Video:
    """A video that was read through once: it has at least two frames and all have one size.

    `frame_names` are the files of a folder in the order of their numbers, or six digits for each frame of a
    video file; `source_hash` is the SHA-256 of all their bytes.
    """

    path: Path
    name: str
    width: int  # px
    height: int  # px
    frame_names: tuple[str, ...]
    source_hash: str

    def read(self, wanted: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Decode the wanted frames in order of their index, each once.

        Yields:
            The frame's index, and (height, width, 3) uint8 RGB.

        Raises:
            FlowCacheError: a frame is unreadable or has another size than the first.
        """
        indices = sorted(set(wanted))
        frames = self._read_folder(indices) if self.path.is_dir() else self._read_file(indices)
        for index, frame in frames:
            if frame.shape != (self.height, self.width, 3):
                raise FlowCacheError(
                    f"{self.path}: frame {self.frame_names[index]} is {_size(frame)}, the first frame is "
                    f"{self.width} x {self.height} px; all frames of a video need one size"
                )
            yield index, frame

    def _read_folder(self, indices: list[int]) -> Iterator[tuple[int, np.ndarray]]:
        for index in indices:
            yield index, read_image(self.path / self.frame_names[index])

    def _read_file(self, indices: list[int]) -> Iterator[tuple[int, np.ndarray]]:
        # Seeking is inexact in many containers: skip frames by decoding past them.
        capture = _open_capture(self.path)
        position = 0
        try:
            for index in indices:
                while position < index and capture.grab():
                    position += 1
                found, frame = capture.read()
                if not found:
                    raise FlowCacheError(f"{self.path}: frame {index} is unreadable")
                position += 1
                yield index, _rgb(frame)
        finally:
            capture.release()


@dataclass(frozen=True)
class Glance:
    """A video of which only the first frame was decoded; `open_video` looks through all of it."""

    path: Path
    name: str
    frames: int  # the pictures of a folder, or what a file announces
    area: int  # of a frame, px


def glance_at(path: Path) -> Glance:
    """Whether a video opens and how long it is, without the minutes that looking through many videos takes.

    Raises:
        FlowCacheError: the path is missing, there are fewer than two frames, or the first is unreadable.
    """
    if path.is_dir():
        files = frame_files(path)
        height, width = read_image(files[0]).shape[:2]
        return Glance(path, video_name(path), len(files), width * height)
    capture = _open_capture(path)
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    found, frame = capture.read()
    if found and count < 1:  # some containers announce nothing
        count = 1
        while capture.grab():
            count += 1
    capture.release()
    _check_count(path, count if found else 0)
    return Glance(path, video_name(path), count, frame.shape[0] * frame.shape[1])


def video_name(path: Path) -> str:
    """What a video is called: the name of its folder, or that of its file without the suffix."""
    return path.resolve().name if path.is_dir() else path.stem


def as_video(record: VideoRecord) -> Video:
    """The video behind a store's record, taken by its word: nothing is opened."""
    return Video(
        Path(record.source), record.name, record.width, record.height, record.frame_names, record.source_hash
    )


def open_video(path: Path, seen: SeenVideo | None = None) -> Video:
    """Look through a folder of pictures or a video file, before any work is done on it.

    Every frame is decoded, unless the video was looked through before: then its bytes are only read, and
    where their hash is the same, so is the rest. What is odd but may be meant is said in the log: numbers
    that jump, pictures named in several ways, a file that announces more frames than it gives.

    Args:
        path: the folder or file.
        seen: what an earlier look found.

    Raises:
        FlowCacheError: the path is missing or a single picture, there are fewer than two frames, a frame is
            unreadable or cut off, or the frames differ in size.
    """
    check_utf8(path)
    if path.is_dir():
        return _open_folder(path, seen)
    return _open_file(path, seen)


def _open_folder(path: Path, seen: SeenVideo | None) -> Video:
    files = frame_files(path)
    names = tuple(file.name for file in files)
    if (
        seen is not None
        and names == seen.frame_names
        and hash_of_all(files, hash_of_file) == seen.source_hash
    ):
        return Video(path, video_name(path), seen.width, seen.height, names, seen.source_hash)
    first = read_image(files[0])

    def look(file: Path) -> bytes:
        content = content_of(file)
        frame = decode_image(file, content)
        if frame.shape != first.shape:
            raise FlowCacheError(
                f"{file} is {_size(frame)}, the first frame {names[0]} is {_size(first)}; all frames of a "
                "video need one size"
            )
        return hashlib.sha256(content).digest()

    return Video(path, video_name(path), first.shape[1], first.shape[0], names, hash_of_all(files, look))


def _open_file(path: Path, seen: SeenVideo | None) -> Video:
    _check_may_be_video(path)
    content_hash = hash_of_file(path).hex()
    if seen is not None and content_hash == seen.source_hash:
        return Video(path, video_name(path), seen.width, seen.height, seen.frame_names, content_hash)
    capture = _open_capture(path)
    announced = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    found, frame = capture.read()
    count = int(found)
    while capture.grab():
        count += 1
    capture.release()
    _check_announced(path, announced, count)
    _check_count(path, count)
    names = tuple(f"{index:06d}" for index in range(count))
    return Video(path, video_name(path), frame.shape[1], frame.shape[0], names, content_hash)


def _check_may_be_video(path: Path) -> None:
    if not path.is_file():
        raise FlowCacheError(f"no video at {path}: it is neither a folder of pictures nor a video file")
    if path.suffix.lower() in IMAGE_SUFFIXES:  # OpenCV would take those beside it for a video
        raise FlowCacheError(f"{path} is a picture; name the folder of the frames: {path.parent}")


def _open_capture(path: Path) -> cv2.VideoCapture:
    _check_may_be_video(path)
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        size = path.stat().st_size
        raise FlowCacheError(f"{path} ({size} bytes) is no video that OpenCV can open, or it is cut off")
    return capture


def _check_announced(path: Path, announced: int, count: int) -> None:
    if announced - count > max(1, announced * ANNOUNCED_TOLERANCE):
        raise FlowCacheError(
            f"{path} is cut off, or damaged after its frame {count - 1}: {count} of the {announced} frames "
            "that it announces can be decoded; fetch it again"
        )
    if count < announced:
        _LOG.warning(
            "%s: %d frames can be decoded, it announces %d; if one is damaged, those after it are numbered "
            "one too low", path, count, announced,
        )  # fmt: skip


def _check_count(path: Path, count: int) -> None:
    if count < 2:
        raise FlowCacheError(f"{path} holds {count} frames; flow needs at least 2")


def _rgb(frame: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def _size(frame: np.ndarray) -> str:
    return f"{frame.shape[1]} x {frame.shape[0]} px"
