"""Which frames of a video in a store the pictures of a folder are, and whether they are those at all.

A store keeps one SHA-256 of what a video's flow was computed from. Pictures with the same bytes and names are
the same frames. All others are compared with the source of the flow by what they show: the frames of a video
file, whatever extracted pictures are called, and pictures that were compressed anew, perhaps with other
colours. They are compared as small grey pictures of mean 0 and deviation 1. Each picture allows for the
frames that are nearly as close to it as the closest one; the frames that all pictures allow for, with the
distances that their numbers have, are where they come from. What was cropped, scaled or moved is still
closest to its own frame, so displacements are estimated too.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from flow_cache import Video, VideoRecord
from flow_cache.file_hashes import hash_of_all, hash_of_file
from flow_cache.images import IMAGE_SUFFIXES, read_image
from flow_cache.source_frames import SHA256, has_source, source_places
from flow_cache.video import as_video
from slimdp.data import AnnotationError
from slimdp.motion.frame_series import frame_numbers
from slimdp.structures import ImageRecord

_LOG = logging.getLogger(__name__)
#: Pictures of a folder that are compared with their video by content.
_COMPARED = 8


@dataclass(frozen=True)
class FolderMatch:
    """Which pictures of a folder are which frames of a video in a store."""

    index_of: Mapping[str, int]  # by the name of a picture
    compared: bool  # by content, or by all bytes
    offset: int | None = None  # of frames known by their numbers: from the number to the frame

    @cached_property
    def name_of(self) -> dict[int, str]:
        """The other way round."""
        return {index: name for name, index in self.index_of.items()}


@dataclass(frozen=True)
class FolderImages:
    """The pictures of a folder, listed and read once, however many videos of annotations lie in it."""

    path: Path
    names: tuple[str, ...]  # sorted; none where the folder is missing
    _hashes: dict[tuple[str, ...], str] = field(default_factory=dict)

    @staticmethod
    def of(path: Path) -> FolderImages:
        """Those that lie there now, without hidden ones."""
        names = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
        shown = (n for n in names if Path(n).suffix.lower() in IMAGE_SUFFIXES and not n.startswith("."))
        return FolderImages(path, tuple(shown))

    def hash_of(self, names: tuple[str, ...]) -> str:
        """The hash that a store has of frames of these names (`VideoRecord.source_hash`)."""
        if names not in self._hashes:
            self._hashes[names] = hash_of_all([self.path / name for name in names], hash_of_file)
        return self._hashes[names]


@dataclass(frozen=True)
class AnnotatedFolder:
    """A folder with annotated frames of one video, beside what the store knows of that video."""

    record: VideoRecord
    images: Sequence[ImageRecord]  # annotated, in this folder, of this video
    listing: FolderImages
    again: str  # what a user may do about frames that are others, for the errors

    @property
    def path(self) -> Path:
        return self.listing.path

    @property
    def files(self) -> tuple[str, ...]:
        return self.listing.names

    @property
    def names(self) -> list[str]:
        return [image.file.name for image in self.images]

    @property
    def of_file(self) -> bool:
        """Whether the flow was computed from a video file, whose frames have no names but their places."""
        return not PurePosixPath(self.record.frame_names[0]).suffix

    @cached_property
    def numbers(self) -> dict[str, int]:
        return frame_numbers(self.names, self.files)


def match_folder(folder: AnnotatedFolder, check: bool, first_frame: int | None) -> FolderMatch:
    """Find the frames of a store's video that the pictures of a folder are, comparing content if `check`.

    Else names are believed. `first_frame` is the number that the pictures give to the first frame of the
    video; None: find out. Raises AnnotationError for frames that the video does not have, other content, or
    pictures of a video file that cannot be told from one another.
    """
    if first_frame is not None:
        return _numbered(folder, -first_frame)
    if not folder.of_file:
        return _match_images(folder, check)
    return _match_video_file(folder) if check else _numbered(folder, 0)


def _match_images(folder: AnnotatedFolder, check: bool) -> FolderMatch:
    """Pictures beside flow that was computed from pictures."""
    record = folder.record
    places = {name: index for index, name in enumerate(record.frame_names)}
    new = sorted(set(folder.files) - set(places))
    # Exact flow that was rendered has no hash of pictures.
    comparable = check and bool(SHA256.fullmatch(record.source_hash)) and len(folder.files) > 1
    missing = next((image for image in folder.images if image.file.name not in places), None)
    if (comparable and new) or missing:
        source = _source_of(folder) if comparable else None
        if source is not None:
            return _match_by_content(folder, source)
        raise AnnotationError(_unknown_frames(folder, new, missing))
    known = {*folder.names, *folder.files} & places.keys()
    match = FolderMatch({name: places[name] for name in known}, comparable)
    complete = len(folder.files) == len(record.frame_names)
    if not comparable or (complete and folder.listing.hash_of(record.frame_names) == record.source_hash):
        return match
    if (source := _source_of(folder)) is not None:
        return _same_names(folder, match, source)
    if len(folder.files) < len(record.frame_names):
        _LOG.warning(
            "%s holds %d of the %d frames that its flow was computed from, so their content is not compared",
            folder.path, len(folder.files), len(record.frame_names),
        )  # fmt: skip
        return replace(match, compared=False)
    raise AnnotationError(
        f"the pictures in {folder.path} are not those that the flow of video {record.name!r} was computed "
        f"from ({record.source}), or were encoded anew, turned or changed otherwise since: the names are the "
        f"same, the content is not; {folder.again}"
    )


def _same_names(folder: AnnotatedFolder, match: FolderMatch, source: Video) -> FolderMatch:
    """The match by names, where each picture has the bytes of the source's, or shows the same."""
    files = [folder.path / name for name in folder.files]
    if all(hash_of_file(file) == hash_of_file(source.path / file.name) for file in files):
        return match
    comparison = _compare(folder, match.index_of, source)
    offsets = comparison.offsets(0, 0)
    _check_content(folder, comparison, 0, offsets, "the names are the same, the content is not")
    _LOG.warning(
        "the pictures in %s are not byte for byte those that their flow was computed from (%s), but show the "
        "same: they were encoded anew", folder.path, folder.record.source,
    )  # fmt: skip
    return match


def _match_video_file(folder: AnnotatedFolder) -> FolderMatch:
    """Pictures that were extracted from a video file."""
    if (source := _source_of(folder)) is not None:
        return _match_by_content(folder, source)
    numbers, (least, most) = folder.numbers, _feasible(folder)
    if least < most or not numbers.keys() <= set(folder.files):
        raise AnnotationError(
            f"whether {folder.names[0]} in {folder.path} is frame {numbers[folder.names[0]]} of the video "
            f"{folder.record.name!r} cannot be told: its flow was computed from {folder.record.source}, "
            f"which is not there any more, or not the same; put it back, or {folder.again}"
        )
    _LOG.warning(
        "%s holds as many pictures as the video %r has frames, and so they are taken for these in their "
        "order; %s, which the flow was computed from, is not there to compare",
        folder.path, folder.record.name, folder.record.source,
    )  # fmt: skip
    return _numbered(folder, least)


def _match_by_content(folder: AnnotatedFolder, source: Video) -> FolderMatch:
    numbers, (least, most) = folder.numbers, _feasible(folder)
    comparison = _compare(folder, numbers, source)
    offsets = comparison.offsets(least, most)
    if len(offsets) > 1 and (0 not in offsets or min(numbers.values()) != 0):
        options = ", ".join(str(-offset) for offset in offsets[:4]) + (", ..." if len(offsets) > 4 else "")
        raise AnnotationError(
            f"which frames of {source.path} the pictures in {folder.path} are cannot be told: its frames "
            f"look alike, and its first frame may have any of {len(offsets)} numbers ({options}); "
            f"{folder.again}"
        )
    offset = offsets[0] if len(offsets) == 1 else 0
    _check_content(folder, comparison, offset, offsets)
    if offset or len(offsets) > 1:
        first = min(numbers, key=lambda name: numbers[name])
        why = "by what they show" if len(offsets) == 1 else "as they are numbered, for all frames look alike"
        _LOG.warning(
            "pictures in %s matched with frames of %s %s: %s is frame %d, counted from 0",
            folder.path, source.path, why, first, numbers[first] + offset,
        )  # fmt: skip
    return replace(_numbered(folder, offset), compared=True)


def _check_content(
    folder: AnnotatedFolder, comparison: Comparison, offset: int, offsets: Sequence[int], what: str = ""
) -> None:
    alike = bool(offsets) and comparison.largest(offset) <= LARGEST_DIFFERENCE
    moved = alike and float(comparison.shift.max(initial=0.0)) > LARGEST_SHIFT
    if alike and not moved:
        return
    if moved:
        what = "they show the same, but cropped, scaled or moved"
    elif not what and (stride := comparison.stride()) is not None:
        what = f"they are one of {stride} frames of it each; extract all"
    elif not what and offsets:
        what = "they show something else, or are turned"
    elif not what:
        what = "they do not follow one another as its frames do (missing, doubled, turned, of another video)"
    raise AnnotationError(
        f"the pictures in {folder.path} are not those that the flow of video {folder.record.name!r} was "
        f"computed from ({folder.record.source}): {what}; {folder.again}"
    )


def _compare(folder: AnnotatedFolder, numbers: Mapping[str, int], source: Video) -> Comparison:
    """Some pictures with these numbers, spread evenly over the video, annotated ones first."""
    there = sorted((name for name in numbers if name in set(folder.files)), key=numbers.__getitem__)
    if not there:
        raise AnnotationError(
            f"neither {folder.images[0].file} (image {folder.images[0].id}) nor a picture beside it is there "
            f"to compare with {folder.record.source}; name the folder of the pictures, or {folder.again}"
        )
    chosen = _spread([name for name in there if name in set(folder.names)], _COMPARED // 2)
    names = sorted(chosen | _spread(there, _COMPARED - len(chosen)), key=numbers.__getitem__)
    images = [read_image(folder.path / name) for name in names]
    for name, image in zip(names, images):
        if image.shape != (source.height, source.width, 3):
            raise AnnotationError(
                f"{folder.path / name} is {image.shape[1]} x {image.shape[0]} px, the frames of "
                f"{source.path} are {source.width} x {source.height} px; {folder.again}"
            )
    frames = (frame for _, frame in source.read(range(len(source.frame_names))))
    return compare([numbers[name] for name in names], images, frames)


def _spread(names: Sequence[str], count: int) -> set[str]:
    if len(names) <= count:
        return set(names)
    return {names[round(place * (len(names) - 1) / (count - 1))] for place in range(count)}


def _feasible(folder: AnnotatedFolder) -> tuple[int, int]:
    """The least and the largest number to add to those of all pictures that leaves them within the video."""
    numbers, count = folder.numbers, len(folder.record.frame_names)
    least, most = -min(numbers.values()), count - 1 - max(numbers.values())
    if least > most:
        first, last = (pick(numbers, key=lambda name: numbers[name]) for pick in (min, max))
        raise AnnotationError(
            f"{folder.path} holds the pictures {first} to {last}, more than the {count} frames of the video "
            f"{folder.record.name!r} ({folder.record.source}) that the flow was computed from; {folder.again}"
        )
    return least, most


def _numbered(folder: AnnotatedFolder, offset: int) -> FolderMatch:
    """Frames by the numbers of pictures; AnnotationError for an annotated one outside of the video."""
    count = len(folder.record.frame_names)
    within = {name: at + offset for name, at in folder.numbers.items() if 0 <= at + offset < count}
    for image in folder.images:
        if image.file.name not in within:
            raise AnnotationError(_unknown_frames(folder, [], image))
    return FolderMatch(within, compared=False, offset=offset)


def _source_of(folder: AnnotatedFolder) -> Video | None:
    """What the flow was computed from, where it is elsewhere than the pictures, still there and unchanged."""
    record, name = folder.record, Path(folder.record.source).name
    if not SHA256.fullmatch(record.source_hash):
        return None
    for path in (*source_places(record), folder.path.parent / name, folder.path / name):
        elsewhere = path.is_file() if folder.of_file else path.is_dir() and not _is_same(path, folder.path)
        if elsewhere and has_source(record, path):
            return replace(as_video(record), path=path)
    return None


def is_folder_of(record: VideoRecord, folder: Path) -> bool:
    """Whether flow was computed from the pictures of a folder, as far as paths tell."""
    return any(_is_same(place, folder) for place in source_places(record))


def _is_same(one: Path, other: Path) -> bool:
    return one.is_dir() and other.is_dir() and one.samefile(other)


def _unknown_frames(folder: AnnotatedFolder, new: Sequence[str], missing: ImageRecord | None) -> str:
    record, names = folder.record, folder.record.frame_names
    if missing is not None:
        return (
            f"image {missing.id}, {missing.file}: no frame {missing.file.name} in the flow of video "
            f"{record.name!r}, whose {len(names)} frames are {names[0]} to {names[-1]}; {folder.again}"
        )
    return (
        f"{folder.path} holds {len(new)} pictures, first {new[0]}, that the flow of video {record.name!r} "
        f"was not computed from (it has {len(names)}: {names[0]} to {names[-1]}, from {record.source}); "
        f"{folder.again}"
    )


# ---- by what pictures show


#: Longest side of the compared pictures, px.
_SIDE = 192
#: A frame counts as close as the closest one, if it is off by at most this factor and this much (deviations).
_AS_CLOSE, _AS_CLOSE_FLAT = 1.05, 1e-3
#: Mean difference, in deviations, of a picture and its own frame at most. Pictures of two scenes: about 1.1.
LARGEST_DIFFERENCE = 0.5
#: Standard deviation in grey levels below which a picture is flat, and shows nothing to compare.
_FLAT = 1.0
#: Median displacement, px of the compared pictures, of a picture and its own frame at most. The hardest
#: compression of real and rendered pictures left 0.4; a border of 1/32 that was cut off, 2 or more.
LARGEST_SHIFT = 1.0
_LEAST_SIDE = 32  # px, for which displacements are estimated


@dataclass(frozen=True)
class Comparison:
    """How far K pictures, with their numbers, are from the F frames of a video."""

    numbers: np.ndarray  # (K,) int64: of the pictures, as their names have them
    distance: np.ndarray  # (K, F) float32, mean absolute difference in deviations
    shift: np.ndarray  # (K,) float32, median displacement to the closest frame, px of the compared pictures

    def offsets(self, least: int, most: int) -> list[int]:
        """What can be added to the numbers to give the frames: within `least` and `most`, all that fit."""
        closest = self.distance.min(axis=1, keepdims=True)
        allowed, rows = self.distance <= closest * _AS_CLOSE + _AS_CLOSE_FLAT, np.arange(len(self.numbers))
        return [shift for shift in range(least, most + 1) if allowed[rows, self.numbers + shift].all()]

    def largest(self, offset: int) -> float:
        """The largest distance of a picture from the frame that an offset gives it."""
        return float(self.distance[np.arange(len(self.numbers)), self.numbers + offset].max())

    def stride(self) -> int | None:
        """Where pictures show every n-th frame, n; None where they do not, or where n is 1."""
        best = self.distance.argmin(axis=1)
        steps, numbers = np.diff(best), np.diff(self.numbers)
        if len(steps) == 0 or (steps <= 0).any():
            return None
        ratio = float((steps / numbers).mean())
        even = np.abs(steps - ratio * numbers).max() <= 2
        return round(ratio) if even and round(ratio) > 1 else None


def compare(numbers: Sequence[int], images: Sequence[np.ndarray], frames: Iterable[np.ndarray]) -> Comparison:
    """Compare pictures of some numbers with all frames of a video in order, of which one is held at a time.

    Both are (H, W, 3) uint8 RGB, of one size.
    """
    small = [_reduced(image) for image in images]
    closest: list[tuple[float, np.ndarray]] = [(np.inf, one) for one in small]
    columns = []
    for frame in map(_reduced, frames):
        columns.append([float(np.abs(one - frame).mean()) for one in small])
        closest = [(off, frame) if off < before[0] else before for off, before in zip(columns[-1], closest)]
    distance = np.array(columns, np.float32).T
    shift = [_shift(one, frame) for one, (_, frame) in zip(small, closest)]
    return Comparison(np.array(numbers, np.int64), distance, np.array(shift, np.float32))


def _reduced(image: np.ndarray) -> np.ndarray:
    """Grey, of `_SIDE` px at most, mean 0 and deviation 1; all 0 where it is flat."""
    scale = min(1.0, _SIDE / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey -= grey.mean()
    deviation = float(grey.std())
    return grey / deviation if deviation > _FLAT else np.zeros_like(grey)


def _shift(*reduced: np.ndarray) -> float:
    """The median displacement between two reduced pictures, px: small however hard one was compressed."""
    if min(reduced[0].shape) < _LEAST_SIDE:
        return 0.0
    one, other = (np.clip(grey * 45 + 128, 0, 255).astype(np.uint8) for grey in reduced)  # 2.8 deviations
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = estimator.calc(one, other, np.zeros((*one.shape, 2), np.float32))
    return float(np.median(np.hypot(flow[..., 0], flow[..., 1])))
