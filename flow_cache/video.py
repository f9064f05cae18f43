"""Videos: what they are called in a store, and their frames, of a folder of images or of a file, in order.

`walk/` and `walk.mp4` are called walk, as given: a link keeps its own name. Where several given videos would
be called alike, as SEQ-02/img1 and SEQ-04/img1, each takes as many folders into its name as tell them apart:
the name stays the end of the path, and frames in that folder are found by it. NAME=PATH says any other name.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePath

import numpy as np

from flow_cache.errors import FlowCacheError
from flow_cache.file_hashes import hash_of_all, hash_of_file, in_threads
from flow_cache.images import (
    IMAGE_SUFFIXES,
    UPRIGHT,
    check_image,
    content_of,
    decode_image,
    orientation_of,
    picture_count,
    read_image,
)
from flow_cache.runtime.words import quoted
from flow_cache.schema import SLASH, VideoRecord, check_video_name
from flow_cache.video_file import VideoFile


@dataclass(frozen=True)
class VideoSource:
    """A folder of frames or a video file, and the name that its flow has in a store."""

    path: Path
    name: str

    def __str__(self) -> str:
        """How a user gives it: by its path, or as NAME=PATH."""
        return str(self.path) if self.name == video_name(self.path) else f"{self.name}={self.path}"


def why_no_video(path: Path) -> str:
    """What is wrong with a path that is neither a file nor a folder."""
    why = "it is neither a file nor a folder" if path.exists() else "there is no such file or folder"
    return f"no video at {path}: {why}"


def video_name(path: Path) -> str:
    """What a video is called by itself: the name of its folder, or that of its file without the suffix."""
    return _names(path)[-1]


def name_sources(
    sources: Iterable[Path | str | VideoSource] | Path | str | VideoSource, known: Collection[str] = ()
) -> list[VideoSource]:
    """Name several videos, paths or NAME=PATH, so that no two are called alike; what has a name keeps it.

    One alone needs no list.

    A video keeps the name by which the store to be written knows it (`known`). Raises FlowCacheError for a
    name that cannot be, or two videos that only NAME=PATH can tell apart.
    """
    if isinstance(sources, str | Path | VideoSource):
        sources = [sources]
    given = [_parse(source, known) for source in sources]
    while True:
        count = Counter(names[-1] for _, names in given)
        longer = [names for _, names in given if count[names[-1]] > 1 and len(names) > 1]
        if not longer:
            break
        for names in longer:
            names.pop()
    paths: dict[str, Path] = {}
    for path, (*_, name) in given:
        if (other := paths.get(name)) == path:
            raise FlowCacheError(f"{other} is given twice")
        if other is not None:
            first, second = quoted(f"NAME_1={other}"), quoted(f"NAME_2={path}")
            raise FlowCacheError(
                f"two videos named {name!r}: {other} and {path}; name them: {first} {second}"
            )
        paths[name] = path
    for name, path in paths.items():
        check_video_name(name, path)
    return [VideoSource(path, name) for name, path in paths.items()]


def name_source(source: Path | str | VideoSource) -> VideoSource:
    """Name one video; raises as `name_sources`."""
    (named,) = name_sources([source])
    return named


def is_name(name: str) -> bool:
    """Whether a text can be the name of a video: folders below one another, so that it can be a path too."""
    folders = set(name.split("/"))
    return name.isprintable() and not {"", ".", ".."} & folders and "\\" not in name and SLASH not in name


def find_name(names: Collection[str], folder: PurePath) -> str | None:
    """Which of some names is that of the video whose frames lie in a folder: the one of most folders."""
    return next((name for name in folder_names(folder) if name in names), None)


def folder_names(folder: PurePath) -> list[str]:
    """What the video of a folder may be called, most folders first: "set/a/img1", "a/img1", "img1"."""
    parts = [part for part in folder.parts if part not in (folder.anchor, "..")]
    return ["/".join(parts[start:]) for start in range(len(parts))]


def _parse(source: Path | str | VideoSource, known: Collection[str]) -> tuple[Path, list[str]]:
    """Where a video is, and what it may be called, most folders first and the name that is known last."""
    if isinstance(source, VideoSource):
        return source.path, [source.name]
    text = str(source)
    if "=" not in text or os.path.lexists(text):
        names = _names(Path(source))
        held = next((place for place, name in enumerate(names) if name in known), len(names) - 1)
        return Path(source), names[: held + 1]
    name, _, path = text.partition("=")
    if not path or not is_name(name):
        raise FlowCacheError(
            f"{text!r} is no path that is there, and no NAME=PATH either: wanted a name such as SEQ-02 or "
            "SEQ-02/img1"
        )
    return Path(path), [name]


def _names(path: Path) -> list[str]:
    """Names of a video, most folders first."""
    if path.name in ("", ".."):  # only these say nothing; a link is called as it is given
        path = path.resolve()
    whole = Path(os.path.abspath(path))
    return folder_names(whole if path.is_dir() else whole.with_name(whole.stem)) or [str(path)]


_LOG = logging.getLogger(__name__)
_NUMBER = re.compile(r"\d+")
#: Bytes at either end of a video file that it is known by.
_END = 2**20


def frame_files(folder: Path, least: int = 2, speaks: bool = True) -> list[Path]:
    """The images of a folder in the order of their numbers; hidden files and other suffixes are no frames.

    Where it `speaks`, the log tells of numbers that jump, and of images named in several ways: they may be
    meant. Raises FlowCacheError for fewer than `least` images, two of one name but for the suffix, a name
    that is no UTF-8, or what is no file.
    """
    files = list(_image_files(folder))
    if len(files) < least:
        wanted = "flow needs at least 2" if least == 2 else f"wanted at least {least}"
        raise FlowCacheError(f"{folder} holds {len(files)} pictures ({' '.join(IMAGE_SUFFIXES)}); {wanted}")
    files.sort(key=lambda file: _in_number_order(file.name))
    for first, second in itertools.pairwise(files):
        if first.stem == second.stem:
            both = f"{first.name} and {second.name}"
            raise FlowCacheError(f"{folder} holds both {both}; keep the frames of a video alone in a folder")
    if speaks:
        _say_what_is_odd(folder, [file.name for file in files])
    return files


def content_digest(path: Path, name: str | None = None) -> str:
    """SHA-256 of what tells a video from others: all bytes of pictures, the size and both ends of a file.

    Pictures without compression keep their size whatever they show. A video file's index, at one of its ends,
    changes with what it holds. The name of a file counts too, of a folder those of its pictures; `name` is
    the one that a file had when its digest was taken, for it may be called otherwise by now. Raises
    FlowCacheError where the video is missing or cannot be read.
    """
    if path.is_dir():
        return hash_of_all(frame_files(path, least=1, speaks=False), hash_of_file)
    name = path.name if name is None else name
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return hashlib.sha256(name.encode() + b"\0" + hash_of_file(path)).hexdigest()
    _check_may_be_video(path)
    try:
        size = path.stat().st_size
        digest = hashlib.sha256(f"{name} {size} ".encode())
        with open(path, "rb") as content:
            digest.update(content.read(_END))
            content.seek(-min(size, _END), os.SEEK_END)
            digest.update(content.read())
    except OSError as error:
        raise FlowCacheError(f"{path} cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def check_pictures(folder: Path) -> None:
    """Look whether the pictures of a folder are whole and of one size; a few bytes of a JPEG or PNG tell it.

    Raises FlowCacheError for the first one, in the order of frames, of which that is not so.
    """
    files = frame_files(folder, least=1)
    first = check_image(files[0])
    for file, header in zip(files, in_threads(check_image, files), strict=True):
        size, size_0 = (header.width, header.height), (first.width, first.height)
        if size != size_0:
            raise FlowCacheError(another_size(str(file), size, size_0, files[0].name))


def check_utf8(path: Path) -> None:
    """Raise FlowCacheError for a path that a store cannot keep as text."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise FlowCacheError(f"the name {os.fsencode(path)!r} is not UTF-8; rename it") from None


def _image_files(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            suffix = os.path.splitext(entry.name)[1].lower()
            if suffix not in IMAGE_SUFFIXES or entry.name.startswith("."):
                continue
            check_utf8(Path(entry))
            try:
                is_file = entry.is_file()
            except OSError:  # links that lead to one another
                is_file = False
            if not is_file:
                raise FlowCacheError(f"{entry.path} is no file, or a link to none; remove or mend it")
            yield Path(entry)


def _say_what_is_odd(folder: Path, names: list[str]) -> None:
    patterns = {_NUMBER.sub("#", os.path.splitext(name)[0]): name for name in reversed(names)}
    if len(patterns) > 1:
        some = ", ".join(sorted(patterns.values())[:3])
        _LOG.warning("%s: pictures named in %d ways (%s); all are frames", folder, len(patterns), some)
        return
    columns = [set(column) for column in zip(*(_NUMBER.findall(name) for name in names))]
    changing = [place for place, column in enumerate(columns) if len(column) > 1]
    if len(changing) != 1:
        return
    numbers = (int(_NUMBER.findall(name)[changing[0]]) for name in names)
    jumps = [after - before for before, after in itertools.pairwise(numbers)]
    usual = Counter(jumps).most_common(1)[0][0]
    if odd := [place for place, jump in enumerate(jumps) if jump != usual]:
        _LOG.warning(
            "%s: numbers jump at %d places, the first from %s to %s; step +1 goes to the next picture",
            folder, len(odd), names[odd[0]], names[odd[0] + 1],
        )  # fmt: skip


def _in_number_order(name: str) -> list[tuple[int, int, str]]:
    """A sorting key under which frame2 comes before frame10."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts]


@dataclass(frozen=True)
class Video:
    """A video that was read through once: it has at least two frames and all have one size."""

    path: Path
    name: str
    width: int  # px
    height: int  # px
    frame_names: tuple[str, ...]  # files of a folder by their numbers; six digits each of a video file
    source_hash: str  # SHA-256 of all their bytes

    def record(self, estimator: str, settings: str, settings_hash: str, around: str = "") -> VideoRecord:
        """What a store keeps of the video, and of how its flow is made."""
        source = os.path.abspath(self.path)  # links keep their names
        try:
            check_utf8(Path(source))
        except FlowCacheError:  # a folder far above
            source = str(self.path)
        of_video = (self.name, self.width, self.height, self.frame_names, source, self.source_hash)
        return VideoRecord(*of_video, estimator, settings, settings_hash, around)

    def read(self, wanted: Iterable[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Decode the wanted frames in order, each once: yields index, (height, width, 3) uint8 RGB.

        Raises FlowCacheError where a frame is unreadable or has another size than the first.
        """
        indices = sorted(set(wanted))
        of_folder = ((index, read_image(self.path / self.frame_names[index])) for index in indices)
        for index, frame in of_folder if self.path.is_dir() else self._read_file(indices):
            if frame.shape != (self.height, self.width, 3):
                where = f"{self.path}: frame {self.frame_names[index]}"
                raise FlowCacheError(another_size(where, _size(frame), (self.width, self.height)))
            yield index, frame

    def _read_file(self, indices: list[int]) -> Iterator[tuple[int, np.ndarray]]:
        # Seeking is inexact in many containers: skip frames by decoding past them.
        with VideoFile(self.path) as file:
            frames = enumerate(file.frames())
            for index in indices:
                for position, frame in frames:
                    if position == index:
                        yield index, file.pixels(frame)
                        break
                else:
                    raise FlowCacheError(f"{self.path}: frame {index} is unreadable")


@dataclass(frozen=True)
class VideoProbe:
    """A video of which only the first frame was decoded; `open_video` looks through all of it."""

    path: Path
    name: str
    frames: int  # the pictures of a folder, or what a file announces
    area: int  # of a frame, px


def probe_video(source: Path | VideoSource) -> VideoProbe:
    """Whether a video opens and how long it is, without the minutes that looking through many takes.

    Raises FlowCacheError for a missing path, fewer than two frames, or a first one that is unreadable.
    """
    path, name = _path_and_name(source)
    if path.is_dir():
        files = frame_files(path)
        height, width = read_image(files[0]).shape[:2]
        return VideoProbe(path, name, len(files), width * height)
    _check_may_be_video(path)
    with VideoFile(path) as file:
        frame = next(file.frames(), None)
        width, height = (0, 0) if frame is None else file.shape(frame)
        count = file.announced if frame is not None else 0
    if count < 2 and frame is not None:  # what is not announced is counted
        with VideoFile(path) as file:
            count = file.count_packets()
    _check_count(path, count)
    return VideoProbe(path, name, count, width * height)


def as_video(record: VideoRecord) -> Video:
    """The video behind a store's record, taken by its word: nothing is opened."""
    return Video(
        Path(record.source), record.name, record.width, record.height, record.frame_names, record.source_hash
    )


def open_video(source: Path | VideoSource, seen: Video | VideoRecord | None = None) -> Video:
    """Look through a folder of images or a video file, before any work is done on it.

    Every frame is decoded, unless the video was looked through before (`seen`): then its bytes are only read,
    and where their hash is the same, so is the rest. The log tells what is odd but may be meant. Raises
    FlowCacheError where the path is missing or a single image, there are fewer than two frames, a frame is
    unreadable or cut off, or the frames differ in size.
    """
    path, name = _path_and_name(source)
    check_utf8(path)
    return _open_folder(path, name, seen) if path.is_dir() else _open_file(path, name, seen)


def _path_and_name(source: Path | VideoSource) -> tuple[Path, str]:
    return (source, video_name(source)) if isinstance(source, Path) else (source.path, source.name)


def _open_folder(path: Path, name: str, seen: Video | VideoRecord | None) -> Video:
    files = frame_files(path)
    names = tuple(file.name for file in files)
    known = seen if seen is not None and names == seen.frame_names else None
    if known is not None and hash_of_all(files, hash_of_file) == known.source_hash:
        return Video(path, name, known.width, known.height, names, known.source_hash)
    first = read_image(files[0])
    tagged: list[Path] = []
    several: list[Path] = []

    def fingerprint(file: Path) -> bytes:
        content = content_of(file)
        frame = decode_image(file, content)
        if orientation_of(content) != UPRIGHT:
            tagged.append(file)
        if picture_count(content) > 1:
            several.append(file)
        if frame.shape != first.shape:
            raise FlowCacheError(another_size(str(file), _size(frame), _size(first), names[0]))
        return hashlib.sha256(content).digest()

    source_hash = hash_of_all(files, fingerprint)
    if tagged:
        _LOG.warning(
            "%s: %d of %d pictures have an orientation tag, such as %s; their flow is that of the stored "
            "pixels (docs/data.md)", path, len(tagged), len(files), min(tagged).name,
        )  # fmt: skip
    if several:
        _LOG.warning(
            "%s: %d of %d files hold more than one picture, such as %s; the first one of each is the frame "
            "(docs/data.md)", path, len(several), len(files), min(several).name,
        )  # fmt: skip
    return Video(path, name, first.shape[1], first.shape[0], names, source_hash)


def _open_file(path: Path, name: str, seen: Video | VideoRecord | None) -> Video:
    _check_may_be_video(path)
    content_hash = hash_of_file(path).hex()
    if seen is not None and content_hash == seen.source_hash:
        return Video(path, name, seen.width, seen.height, seen.frame_names, content_hash)
    count, first = 0, None
    with VideoFile(path) as file:
        for frame in file.frames():
            form = (*file.shape(frame), file.pixel_shape)
            first = first or form
            if form != first:
                raise FlowCacheError(f"{path}: {_changes(path, count, form, first)}")
            count += 1
    _check_count(path, count)
    assert first is not None
    width, height, _ = first
    return Video(path, name, width, height, tuple(f"{index:06d}" for index in range(count)), content_hash)


def _changes(
    path: Path, frame: int, form: tuple[int, int, Fraction], first: tuple[int, int, Fraction]
) -> str:
    """How the size or the shape of pixels of a frame is another than the first one's, and what to do."""
    (width, height, pixel), (width_0, height_0, pixel_0) = form, first
    if (width, height) != (width_0, height_0):
        what = another_size(f"frame {frame}", (width, height), (width_0, height_0))
    else:
        ratio, ratio_0 = (f"{each.numerator}:{each.denominator}" for each in (pixel, pixel_0))
        what = f"the pixels of frame {frame} are {ratio}, those of the first frame {ratio_0} (width to "
        what += "height); all frames of a video need one shape"
    return f"{what}: {one_size_command(path, width_0, height_0)}"


def another_size(frame: str, size: tuple[int, int], size_0: tuple[int, int], first: str = "") -> str:
    """What is wrong with a frame of another size than the first one's, width and height px; `first` names
    that."""
    of_first = f"the first frame {first}".rstrip()
    wanted = f"{of_first} is {size_0[0]} x {size_0[1]} px; all frames of a video need one size"
    return f"{frame} is {size[0]} x {size[1]} px, {wanted}"


def one_size_command(path: Path, width: int, height: int) -> str:
    """The command that writes a video anew with all frames of one size, px."""
    one = quoted(path.with_name(f"{path.stem}_one_size.mp4"))
    return f"ffmpeg -i {quoted(path)} -vf scale={width}:{height},setsar=1 {one}"


def _check_may_be_video(path: Path) -> None:
    if not path.is_file():
        raise FlowCacheError(why_no_video(path))
    if path.suffix.lower() in IMAGE_SUFFIXES:
        raise FlowCacheError(f"{path} is a picture; name the folder of the frames: {path.parent}")


def _check_count(path: Path, count: int) -> None:
    if count < 2:
        raise FlowCacheError(f"{path} holds {count} frames; flow needs at least 2")


def _size(frame: np.ndarray) -> tuple[int, int]:
    """Width and height, px."""
    return frame.shape[1], frame.shape[0]
