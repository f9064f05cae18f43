"""Frames of a folder of pictures or of a video file, decoded in order."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from flow_cache.errors import FlowCacheError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
# What a container announces is exact for most and an estimate for some; a file that was cut off misses more.
ANNOUNCED_TOLERANCE = 0.02
# A JPEG marker in entropy-coded data: FF, but neither a stuffed FF 00, a restart FF D0..D7 nor a fill FF FF.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


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
        for index in indices:
            while position < index and capture.grab():
                position += 1
            found, frame = capture.read()
            if not found:
                raise FlowCacheError(f"{self.path}: frame {index} is unreadable")
            position += 1
            yield index, _rgb(frame)
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
        files = _pictures(path)
        height, width = read_image(files[0]).shape[:2]
        return Glance(path, video_name(path), len(files), width * height)
    if not path.is_file():
        raise _no_video(path)
    capture = _open_capture(path)
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    found, frame = capture.read()
    if found and count < 1:  # some containers announce nothing
        count = 1
        while capture.grab():
            count += 1
    capture.release()
    _check_frame_count(path, count if found else 0, "frames")
    return Glance(path, video_name(path), count, frame.shape[0] * frame.shape[1])


def video_name(path: Path) -> str:
    """What a video is called: the name of its folder, or that of its file without the suffix."""
    return path.resolve().name if path.is_dir() else path.stem


def open_video(path: Path) -> Video:
    """Look through a folder of pictures or a video file, before any work is done on it.

    Raises:
        FlowCacheError: the path is missing, there are fewer than two frames, a frame is unreadable or cut
            off, or the frames differ in size.
    """
    if path.is_dir():
        return _open_folder(path)
    if path.is_file():
        return _open_file(path)
    raise _no_video(path)


def read_image(path: Path) -> np.ndarray:
    """A picture as (H, W, 3) uint8 RGB.

    Raises:
        FlowCacheError: the file is missing, cut off, or no picture that OpenCV reads.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FlowCacheError(f"{path} cannot be read: {error.strerror}") from error
    return _decode_image(path, content)


def jpeg_is_complete(content: bytes) -> bool:
    """Whether a JPEG holds its end-of-image marker (FF D9) where its own segments say it must be.

    A search for FF D9 alone is not enough: an EXIF thumbnail has one too. Decoders fill what is missing with
    grey, some without a word.
    """
    position = 2  # after FF D8
    while position + 4 <= len(content):
        if content[position] != 0xFF:  # stray bytes between segments; decoders skip them as well
            position = content.find(b"\xff", position)
            if position < 0:
                return False
            continue
        marker = content[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")
        if marker == 0xDA:  # start of scan: entropy-coded data follows, up to the next marker
            found = _JPEG_MARKER.search(content, position)
            if found is None:
                return False
            position = found.start()
            if content[position + 1] == 0xD9:
                return True
    return False


def _decode_image(path: Path, content: bytes) -> np.ndarray:
    cut_off = (content.startswith(b"\xff\xd8") and not jpeg_is_complete(content)) or (
        content.startswith(b"\x89PNG") and b"IEND" not in content
    )
    if cut_off or not content:
        raise FlowCacheError(
            f"{path} is cut off: its {len(content)} bytes end before the picture does; fetch it again"
        )
    frame = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if frame is None:
        raise FlowCacheError(f"{path} is no picture that OpenCV can decode")
    return _rgb(frame)


def _no_video(path: Path) -> FlowCacheError:
    return FlowCacheError(f"no video at {path}: it is neither a folder of pictures nor a video file")


def _pictures(path: Path) -> list[Path]:
    """The pictures of a folder, at least two, in the order of their numbers."""
    files = [
        file
        for file in path.iterdir()
        if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")
    ]
    _check_frame_count(path, len(files), f"pictures ({' '.join(IMAGE_SUFFIXES)})")
    return sorted(files, key=lambda file: _in_number_order(file.name))


def _open_folder(path: Path) -> Video:
    files = _pictures(path)
    digest = hashlib.sha256()
    size = None
    for file in files:
        content = file.read_bytes()
        digest.update(file.name.encode() + b"\0" + hashlib.sha256(content).digest())
        frame = _decode_image(file, content)
        size = size or frame.shape
        if frame.shape != size:
            raise FlowCacheError(
                f"{file} is {_size(frame)}, the first frame {files[0].name} is {size[1]} x {size[0]} px; all "
                "frames of a video need one size"
            )
    assert size is not None
    names = tuple(file.name for file in files)
    return Video(path, video_name(path), size[1], size[0], names, digest.hexdigest())


def _open_file(path: Path) -> Video:
    capture = _open_capture(path)
    announced = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    found, frame = capture.read()
    count = int(found)
    while capture.grab():
        count += 1
    capture.release()
    if announced - count > max(1, announced * ANNOUNCED_TOLERANCE):
        raise FlowCacheError(
            f"{path} is cut off: {count} of the {announced} frames that it announces can be decoded; "
            "fetch it again"
        )
    _check_frame_count(path, count, "frames")
    names = tuple(f"{index:06d}" for index in range(count))
    return Video(path, video_name(path), frame.shape[1], frame.shape[0], names, _hash_of(path))


def _open_capture(path: Path) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        size = path.stat().st_size
        raise FlowCacheError(f"{path} ({size} bytes) is no video that OpenCV can open, or it is cut off")
    return capture


def _check_frame_count(path: Path, count: int, what: str) -> None:
    if count < 2:
        raise FlowCacheError(f"{path} holds {count} {what}; flow needs at least 2")


def _hash_of(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _in_number_order(name: str) -> list[tuple[int, int, str]]:
    """A sorting key under which frame2 comes before frame10."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), part) if part.isdigit() else (1, 0, part) for part in parts]


def _rgb(frame: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def _size(frame: np.ndarray) -> str:
    return f"{frame.shape[1]} x {frame.shape[0]} px"
