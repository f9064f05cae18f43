"""The pictures that are annotated: those of a folder, or the frames of a video, asked for by number.

Nothing is ever opened by a name that a page sends. Frames of a video file that get labels are written beside
the labels, `labels_frames/NAME/000031.jpg`, so that every tool that reads the labels finds its pictures.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from flow_cache import FlowCacheError
from flow_cache.images import (
    IMAGE_SUFFIXES,
    ImageError,
    check_image,
    decode_image,
    encode_image,
    read_image,
)
from flow_cache.runtime.atomic import write_bytes
from flow_cache.runtime.checksums import file_sha256
from flow_cache.video import frame_files, video_name
from slimdp.annotate.people import EditError
from slimdp.inference.video_frames import FrameSource, open_frames
from slimdp.inference.video_records import VideoFrame

_LOG = logging.getLogger(__name__)
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95]
#: What browsers and telephones take of a picture, px of the longer side.
_SHOWN_SIDE = 4096
#: Pictures that are kept as they were decoded.
_KEPT = 12
#: Frames are compared at this side, px: each pixel is the mean of some, in which the noise is gone.
_COMPARED_SIDE = 64
#: Levels, of 255, by which a frame may differ from itself there, decoded by another version.
_MOST_DIFFERENCE = 8


@dataclass(frozen=True)
class Picture:
    """A picture or a frame, as a file of annotations speaks of it."""

    file_name: str
    video: str | None = None
    frame: int | None = None  # from 0 on in a video file, else None: its name has the number


class Media:
    """Pictures by number, decoded when they are asked for; made by `open_media`."""

    def __init__(
        self, pictures: list[Picture], root: Path, source: FrameSource, still: bool, elsewhere: bool = False
    ) -> None:
        self.pictures, self.root = pictures, root
        #: Whether they lie outside of the labels' folder, so that names do not say where.
        self.elsewhere = elsewhere
        self.is_video = not still
        self.source = source
        self._recent: OrderedDict[int, np.ndarray] = OrderedDict()
        self._frames: Iterator[VideoFrame] | None = None
        self._at = -1  # the last frame that came out of it
        self._lock = threading.Lock()
        self._compared: set[int] = set()  # frames that lie beside the labels as they are in the video

    def __len__(self) -> int:
        return len(self.pictures)

    def read(self, number: int) -> np.ndarray:
        """A picture (H, W, 3) uint8 RGB; IndexError for none of that number, ImageError for a broken one.

        A frame of a video file is decoded after all between the last one that was asked for and it.
        """
        if not 0 <= number < len(self.pictures):
            raise IndexError(f"picture {number}, but there are {len(self.pictures)}")
        with self._lock:
            if number not in self._recent:
                self._recent[number] = self._decode(number)
            self._recent.move_to_end(number)
            while len(self._recent) > _KEPT:
                self._recent.popitem(last=False)
            return self._recent[number]

    def in_order(self) -> Iterator[np.ndarray]:
        """All pictures, (H, W, 3) uint8 RGB, decoded beside those that are asked for by number."""
        if self.source.files:
            yield from map(self.source.read_image, range(len(self.source.files)))
        else:
            yield from (frame.image for frame in self.source.frames())

    def size(self, number: int) -> tuple[int, int]:
        """Width and height of a picture, px."""
        height, width = self.read(number).shape[:2]
        return width, height

    def shown(self, number: int, equalised: bool) -> bytes:
        """A picture as a JPEG file for the page, 4096 px long at most, equalised if asked."""
        image = self.read(number)
        longer = max(image.shape[:2])
        if longer > _SHOWN_SIDE:
            size = [max(1, round(side * _SHOWN_SIDE / longer)) for side in image.shape[1::-1]]
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        if equalised:
            image = equalise(image)
        return encode_image(image, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 92])

    def thumbnail(self, number: int, side: int = 160) -> bytes:
        """A small JPEG file of a picture."""
        image = self.read(number)
        scale = min(1.0, side / max(image.shape[:2]))
        size = [max(1, round(length * scale)) for length in image.shape[1::-1]]
        return encode_image(cv2.resize(image, size, interpolation=cv2.INTER_AREA), ".jpg")

    def file(self, number: int) -> Path:
        """Where a picture lies, or will lie once it is labelled."""
        return self.root / self.pictures[number].file_name

    def file_sha256(self, number: int) -> str:
        """SHA-256 of the file of a picture, which is none of a video file."""
        return file_sha256(self.source.files[number]).hex()

    def shows(self, number: int, file: Path) -> bool:
        """Whether a file is what `keep` writes of a frame, but for what another decoder changes."""
        own = decode_image(file, self._encode(number))
        kept = read_image(file)
        if own.shape != kept.shape:
            return False
        size = [min(length, _COMPARED_SIDE) for length in own.shape[1::-1]]
        small = [cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (own, kept)]
        return int(cv2.absdiff(*small).max()) <= _MOST_DIFFERENCE

    def keep(self, number: int) -> None:
        """Write a frame of a video file beside the labels, if it is not there yet; EditError where another
        picture is there."""
        file = self.file(number)
        if self.source.files or (number in self._compared and file.is_file()):
            return
        if not file.is_file():
            write_bytes(file, self._encode(number))
        elif not self.shows(number, file):
            other = f"shows something else than frame {number} of {self.source.info.path}"
            raise EditError(f"{file} {other}; remove that folder if no labels are of it, or rename the video")
        self._compared.add(number)

    def _encode(self, number: int) -> bytes:
        return encode_image(self.read(number), ".jpg", _JPEG)

    def _decode(self, number: int) -> np.ndarray:
        if self.source.files:
            return self.source.read_image(number)
        if self._frames is None or number <= self._at:
            self._frames, self._at = self.source.frames(), -1
        for frame in self._frames:
            self._at = frame.index
            if frame.index == number:
                return frame.image
        self._frames = None
        raise ImageError(f"{self.source.info.path}: frame {number} is unreadable")


def equalise(image: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) uint8 RGB, the histogram of its brightness equalised patch by patch (CLAHE)."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(clipLimit=4.0, tileGridSize=(8, 8)).apply(lab[..., 0])
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def open_media(source: Path, labels: Path, frames: bool = False) -> Media:
    """Look at pictures or a video that are to be labelled in a file.

    Args:
        source: a video file, a folder of pictures, or a picture.
        labels: the annotation file. Names in it begin at its folder, where the pictures lie below that.
        frames: the pictures of the folder are the frames of a video.

    Raises:
        FlowCacheError: nothing is there that can be opened.
    """
    is_file = source.is_file() and source.suffix.lower() not in IMAGE_SUFFIXES
    found = open_frames(source) if is_file else _sound_pictures(source)
    if is_file:
        name = found.info.name
        folder = PurePosixPath(f"{labels.stem}_frames", name)
        count = len(found.frame_names())
        pictures = [Picture(str(folder / f"{index:06d}.jpg"), name, index) for index in range(count)]
        return Media(pictures, labels.parent, found, still=False)
    folder_path = (source if source.is_dir() else source.parent).resolve()
    root = labels.parent.resolve()
    elsewhere = not folder_path.is_relative_to(root)
    if elsewhere:
        root = folder_path.parent if frames else folder_path
    video = video_name(folder_path) if frames else None
    pictures = [Picture(_below(file, root), video) for file in found.files]
    return Media(pictures, root, found, still=not frames, elsewhere=elsewhere)


def _below(file: Path, root: Path) -> str:
    """A link keeps its own name."""
    return file.parent.resolve().joinpath(file.name).relative_to(root).as_posix()


def _sound_pictures(source: Path) -> FrameSource:
    """The pictures of a folder that can be opened; the log names the others."""
    if source.is_file():
        return open_frames(source)
    if not source.is_dir():
        raise FlowCacheError(f"nothing at {source}: wanted a video file, a folder of pictures, or a picture")
    sound: list[Path] = []
    for file in frame_files(source, least=1):
        try:
            check_image(file)
            sound.append(file)
        except ImageError as error:
            _LOG.warning("left out: %s", error)
    if not sound:
        raise FlowCacheError(f"{source}: none of its pictures can be opened")
    first = open_frames(sound[0])
    info = replace(first.info, path=source, name=video_name(source), frames=len(sound), still=False)
    return replace(first, info=info, files=tuple(sound))
