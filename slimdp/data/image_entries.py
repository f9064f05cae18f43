"""The entries of `images` in an annotation file, as records (docs/data.md)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from flow_cache.images import MAX_PIXELS, UPRIGHT
from slimdp.data.frame_numbers import FrameName, FrameNumberError, number_frames
from slimdp.data.images import ImageError, check_image, verify_image
from slimdp.data.rle import LONGEST_OUTLINE_PX, outline_length
from slimdp.data.validate import Record
from slimdp.structures import ImageRecord

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageEntry:
    """One image as the file has it, its fields read but for the number of its frame."""

    record: Record
    image: ImageRecord
    frame_id: int | None

    def frame_name(self) -> FrameName:
        """What the file says of the frame's number."""
        return FrameName(self.image.file_name, self.image.id, self.frame_id)


def read_images(
    path: Path, records: Iterable[Record], images_dir: Path, check_images: bool
) -> dict[int, ImageRecord]:
    """The images of a file by id.

    Args:
        path: the file, for the log.
        records: the entries.
        images_dir: the folder that file names are relative to.
        check_images: open each picture.

    Raises:
        AnnotationError: naming the file, the image and the field.
    """
    entries: dict[int, ImageEntry] = {}
    tagged: list[Path] = []
    for record in records:
        entry = read_image(record, images_dir)
        identity = entry.image.id
        if identity in entries:
            raise record.error("id", f"{identity} is also the id of {entries[identity].image.file_name}")
        entries[identity] = entry
        if check_images:
            tagged += [entry.image.file] * (_check_picture(entry) != UPRIGHT)
    if tagged:
        _LOG.warning(
            "%s: %d of %d pictures have an orientation tag, such as %s; labels are taken to be of the stored "
            "pixels (docs/data.md)", path, len(tagged), len(entries), tagged[0],
        )  # fmt: skip
    return number_images(list(entries.values()))[0]


def number_images(entries: Sequence[ImageEntry]) -> tuple[dict[int, ImageRecord], list[str]]:
    """The images by id, those of videos with their frames' numbers.

    Also the videos whose `frame_id` contradicts the names of their pictures.

    Raises:
        AnnotationError: two pictures of a video have the same number.
    """
    videos: dict[str, list[ImageEntry]] = {}
    for entry in entries:
        if entry.image.video is not None:
            videos.setdefault(entry.image.video, []).append(entry)
    frames: dict[int, int | None] = {}
    contradicting = []
    for video, shown in videos.items():
        try:
            numbers, differ = number_frames([entry.frame_name() for entry in shown])
        except FrameNumberError as error:
            field, _, problem = str(error).partition(": ")
            raise shown[error.place].record.error(field, f"{problem} (video {video!r})") from error
        frames |= {entry.image.id: number for entry, number in zip(shown, numbers)}
        contradicting += [video] * differ
    images = {entry.image.id: entry.image for entry in entries}
    numbered = {
        key: replace(image, frame=frames[key]) if key in frames else image for key, image in images.items()
    }
    return numbered, contradicting


def read_image(record: Record, images_dir: Path) -> ImageEntry:
    """One image; raises AnnotationError naming the field.

    Without width and height they are the picture's: of the folder of pictures, else of those around the file.
    """
    file_name = record.text("file_name")
    file = images_dir / file_name
    width, height = _read_size(record, file, file_name)
    # vid_id is a text in PoseTrack18 and may be a number elsewhere.
    video = str(record.content["vid_id"]) if record.has("vid_id") else None
    image = ImageRecord(
        id=record.integer("id"),
        file=file,
        file_name=file_name,
        width=width,
        height=height,
        video=video,
        labelled=record.flag("is_labeled", True) and not record.flag("has_no_densepose", False),
        ignore_regions=_read_regions(record),
    )
    return ImageEntry(record, image, _frame_id(record))


def _frame_id(record: Record) -> int | None:
    value = record.content.get("frame_id")
    if isinstance(value, str) and value.isdecimal() and len(value) <= 18:
        return int(value)
    return record.integer("frame_id") if isinstance(value, int | float) else None


def _read_size(record: Record, file: Path, file_name: str) -> tuple[int, int]:
    if record.has("width") and record.has("height"):
        width, height = record.integer("width"), record.integer("height")
    else:
        width, height = _size_of_picture(record, file, file_name)
    if width <= 0 or height <= 0:
        raise record.error("width, height", f"{width} x {height}, but both must be positive")
    if width * height > MAX_PIXELS:
        raise record.error("width, height", f"{width} x {height}, but at most {MAX_PIXELS:,} px are wanted")
    return width, height


def _size_of_picture(record: Record, file: Path, file_name: str) -> tuple[int, int]:
    """PoseTrack's own files give no sizes."""
    places = [file, *(folder / file_name for folder in list(record.file.absolute().parents)[:3])]
    there = next((place for place in places if place.is_file()), file)
    try:
        return verify_image(there)
    except ImageError as error:
        raise record.error(
            "width, height",
            f"missing, and the picture cannot tell them ({error}); add them, or name the pictures' folder",
        ) from error


def _read_regions(record: Record) -> tuple[np.ndarray, ...]:
    """Polygons (K, 2) x, y image px; a flat list is one polygon; fewer than 3 corners enclose nothing."""
    sides = []
    for field in ("ignore_regions_x", "ignore_regions_y"):
        lists = record.content.get(field)
        lists = [] if lists is None else lists
        if not isinstance(lists, list):
            raise record.error(field, "not a list")
        lists = lists if all(isinstance(entry, list) for entry in lists) else [lists]
        sides.append([record.as_pixels(field, entry) for entry in lists])
    all_x, all_y = sides
    if [len(x) for x in all_x] != [len(y) for y in all_y]:
        raise record.error("ignore_regions_x, ignore_regions_y", "different numbers of corners")
    regions = tuple(np.stack([x, y], axis=1) for x, y in zip(all_x, all_y) if len(x) >= 3)
    length_px = sum(map(outline_length, regions))
    if length_px > LONGEST_OUTLINE_PX:
        wanted = f"at most {LONGEST_OUTLINE_PX:,} px can be drawn"
        raise record.error(
            "ignore_regions_x, ignore_regions_y", f"outlines {length_px:,.0f} px long, but {wanted}"
        )
    return regions


def _check_picture(entry: ImageEntry) -> int:
    """Check a picture against its entry, and return its orientation tag."""
    record, image = entry.record, entry.image
    try:
        header = check_image(image.file)
    except ImageError as error:
        raise record.error("file_name", str(error)) from error
    if (header.width, header.height) != (image.width, image.height):
        found, wanted = f"{header.width} x {header.height}", f"{image.width} x {image.height}"
        if header.turned_size == (image.width, image.height):
            found += (
                f", stored; they are exchanged by its orientation tag ({header.orientation}), which is not "
                "applied: turn the picture and remove the tag, or label the stored pixels"
            )
        raise record.error("width, height", f"{wanted}, but {image.file} has {found}")
    return header.orientation
