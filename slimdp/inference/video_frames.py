"""Frames of a video file, a folder of images, or one image: decoded once, each with its time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from numbers import Rational, Real
from pathlib import Path

import numpy as np

from flow_cache import FlowCacheError
from flow_cache.images import (
    IMAGE_SUFFIXES,
    UPRIGHT,
    content_of,
    decode_image,
    orientation_of,
    picture_count,
)
from flow_cache.runtime.words import quoted
from flow_cache.video import (
    another_size,
    check_utf8,
    content_digest,
    frame_files,
    one_size_command,
    video_name,
    why_no_video,
)
from flow_cache.video_file import VideoFile
from slimdp.inference.video_records import VideoFrame, VideoInfo

_LOG = logging.getLogger(__name__)
#: Images a second of a folder, where nothing says how many.
FOLDER_RATE = Fraction(25)
#: Images a second, at most, and at most as many seconds from one to the next.
_FASTEST = 10_000
#: Rates beyond are told as this one.
_MOST_TOLD = 1e300


@dataclass(frozen=True)
class FrameSource:
    """A video whose frames can be decoded from its beginning, as often as wanted."""

    info: VideoInfo
    files: tuple[Path, ...] = ()  # of images, in order; none of a video file
    #: What of the images' files the log was told to be left out, so that it is told once.
    told: set[str] = field(default_factory=set, compare=False, repr=False)

    def frames(self, start: int = 0) -> Iterator[VideoFrame]:
        """Decode all frames in order; those before `start` are passed over.

        Raises FlowCacheError where a frame is damaged or of another size than the first; what was yielded
        before is sound.
        """
        for frame in self._read_images(start) if self.files else self._read_file(start):
            height, width = frame.image.shape[:2]
            path, size_0 = self.info.path, (self.info.width, self.info.height)
            if (width, height) != size_0:
                remedy = "" if self.files else f": {one_size_command(path, *size_0)}"
                where = f"{path}: frame {frame.index}"
                raise FlowCacheError(another_size(where, (width, height), size_0) + remedy)
            yield frame

    def read_image(self, index: int) -> np.ndarray:
        """An image (H, W, 3) uint8 RGB by its place in `files`; raises what `flow_cache.images` does.

        The log names the first one that has an orientation tag, and the first one whose file holds several.
        """
        content = content_of(self.files[index])
        image = decode_image(self.files[index], content)
        _tell_what_is_left_out(self, self.files[index], content)
        return image

    def frame_names(self) -> tuple[str, ...]:
        """What annotation files call the frames: the images' files, or six digits; reads a file to its end
        where it does not announce how many they are."""
        if self.files:
            return tuple(file.name for file in self.files)
        count = self.info.frames
        if not count:
            with VideoFile(self.info.path) as file:
                count = file.count_packets()
        return tuple(f"{index:06d}" for index in range(count))

    def fingerprint(self, name: str | None = None) -> str:
        """What tells the video from others (`content_digest`); of a file under another `name`, if given."""
        return content_digest(self.info.path, name)

    def _read_images(self, start: int) -> Iterator[VideoFrame]:
        for index in range(start, len(self.files)):
            yield VideoFrame(index, index / self.info.rate, self.read_image(index))

    def _read_file(self, start: int) -> Iterator[VideoFrame]:
        last, tick = None, 1 / self.info.rate
        with VideoFile(self.info.path) as file:
            for index, frame in enumerate(file.frames()):
                time = file.time_s(frame)
                if last is not None and (time is None or time <= last):
                    time = last + tick  # times that are missing, or go back
                last = Fraction(0) if time is None else time
                if index >= start:
                    yield VideoFrame(index, last, file.pixels(frame))


def open_frames(path: Path, rate: Fraction | float | None = None) -> FrameSource:
    """Look at the first frame of a video file, a folder of images, or an image.

    Args:
        path: of it.
        rate: frames a second of a folder; default 25.

    Raises:
        FlowCacheError: the path is missing, its first frame cannot be decoded, or no rate.
    """
    check_utf8(path)
    of_images = FOLDER_RATE if rate is None else _usable_rate(rate)
    if path.is_dir():
        return _images(path, tuple(frame_files(path, least=1)), of_images)
    if not path.is_file():
        raise FlowCacheError(why_no_video(path))
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return _images(path, (path,), of_images)
    with VideoFile(path) as file:
        first = next(file.frames(), None)
        if first is None:
            raise FlowCacheError(f"{path} holds no frame")
        width, height = file.shape(first)
        info = VideoInfo(
            path, video_name(path), width, height, file.announced, file.rate, file.pixel_shape
        )  # fmt: skip
    return FrameSource(info)


def _usable_rate(rate: Fraction | float) -> Fraction:
    """A rate as players have it, in whole numbers of 32 bits."""
    _require_number(rate)
    if not 1 / _FASTEST <= rate <= _FASTEST:
        wanted = f"{1 / _FASTEST:g} to {_FASTEST:g}"
        given = float(max(min(rate, _MOST_TOLD), -_MOST_TOLD))  # a fraction can be larger than any float
        raise FlowCacheError(f"a rate of {given:g} images a second, but {wanted} is wanted")
    exact = rate if isinstance(rate, Rational) else float(rate)  # NumPy's numbers are no floats to Fraction
    return Fraction(exact).limit_denominator(_FASTEST)


def _require_number(rate: object) -> None:
    if isinstance(rate, bool) or not isinstance(rate, Real):
        raise FlowCacheError(f"rate = {rate!r}, but a number of images a second is wanted")


def _images(path: Path, files: tuple[Path, ...], rate: Fraction) -> FrameSource:
    content = content_of(files[0])
    height, width = decode_image(files[0], content).shape[:2]
    info = VideoInfo(path, video_name(path), width, height, len(files), rate, still=not path.is_dir())
    source = FrameSource(info, files)
    _tell_what_is_left_out(source, files[0], content)
    return source


def _tell_what_is_left_out(source: FrameSource, file: Path, content: bytes) -> None:
    """Log the first image of a source that has an orientation tag, and the first that holds several."""
    in_others = ", here and in images after it" if len(source.files) > 1 else ""
    if "tag" not in source.told and orientation_of(content) != UPRIGHT:
        source.told.add("tag")
        _LOG.warning(
            "%s has an orientation tag, which is not applied%s: people are found best upright (docs/data.md)",
            file, in_others,
        )  # fmt: skip
    if "further" not in source.told and (count := picture_count(content)) > 1:
        source.told.add("further")
        _LOG.warning(
            "%s holds %d pictures; the first one alone is taken%s; to take all, write each to a file of a "
            "folder and name that: magick %s -coalesce FOLDER/%%06d.png",
            file, count, in_others, quoted(file),
        )  # fmt: skip
