"""Annotation files of DensePose-COCO and PoseTrack: both are COCO JSON, told apart by their fields.

This is the one reader: a file is parsed once, for training, scoring and checks alike. The formats are
described in docs/data.md. People are read in `person_entry.py`, and `write.py` writes the same form.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from flow_cache.coco import (
    AnnotationError,
    NoPersonError,
    Record,
    category_of,
    coco_records,
    person_categories,
    read_coco,
)
from flow_cache.images import MAX_PIXELS, UPRIGHT, ImageError, check_image
from flow_cache.runtime.progress import tracked
from flow_cache.runtime.words import counted
from slimdp.data.frame_numbers import FrameName, FrameNumberError, number_frames
from slimdp.data.person_entry import CategoryLabels, PersonEntry
from slimdp.data.rle import LONGEST_OUTLINE_PX, outline_length
from slimdp.data.write import Outlines
from slimdp.structures import ImageRecord, PersonAnnotation
from slimdp.surface.layout import PartLayout, layout_from_json
from slimdp.surface.people import PEOPLE

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class AnnotationSet:
    """The pictures of an annotation file and the people in them.

    Annotation ids are unique in a picture only: some public files repeat them.
    """

    images: tuple[ImageRecord, ...]
    people: tuple[PersonAnnotation, ...]
    file: Path | None = None  # where it was read from, for messages
    category_id: int = 1  # what the file calls people; of several categories of people the first

    def people_by_image(self) -> dict[int, list[PersonAnnotation]]:
        """People by image id, with an entry for every image."""
        groups: dict[int, list[PersonAnnotation]] = {image.id: [] for image in self.images}
        for person in self.people:
            groups[person.image.id].append(person)
        return groups

    @property
    def teaches(self) -> bool:
        """Whether anybody has labels; keypoints count, to learn from or to follow."""
        return any(person.has_labels or person.keypoints is not None for person in self.people)


def read_annotations(
    path: str | os.PathLike[str],
    images_dir: str | os.PathLike[str],
    check_images: bool = True,
    read_masks: bool = False,
    layout: PartLayout | None = None,
) -> AnnotationSet:
    """Read a DensePose-COCO or PoseTrack annotation file and check all that it says.

    People without points are kept with N = 0. Of a file with several categories, people alone are read
    (`person_categories`). A person whose box has no extent is left out; how many were is said in the log.
    Raises AnnotationError naming the file, the image or annotation, and the field.

    Args:
        images_dir: the folder that its file names are relative to.
        check_images: also check that each picture is there, whole, and of the size that the file says
            (header and last bytes only).
        read_masks: also draw `segmentation` into `PersonAnnotation.mask`, one bool a pixel of the picture
            for each person: too much memory for a whole training set.
        layout: the parts that the labels must speak of; None: those that the file says. A file that says
            nothing is taken to speak of these, or of people's.
    """
    images, entries = read_entries(path, images_dir, check_images, layout=layout)
    people, categories = [], set()
    for entry in entries:
        people.append(entry.person(read_masks))
        if entry.record.has("category_id"):
            categories.add(entry.record.integer("category_id"))
    return AnnotationSet(tuple(images.values()), tuple(people), Path(path), min(categories, default=1))


def read_entries(
    path: str | os.PathLike[str],
    images_dir: str | os.PathLike[str] = "",
    check_images: bool = False,
    warn: bool = True,
    layout: PartLayout | None = None,
) -> tuple[dict[int, ImageRecord], Iterator[PersonEntry]]:
    """The images of an annotation file by id, and the people in it one by one, their fields not yet read.

    Arguments and errors as for `read_annotations`; people are checked as they are taken. `warn` is whether
    the log tells who is left out.
    """
    path, images_dir = Path(path), Path(images_dir)
    content = read_coco(path, "annotation file")
    count = {field: len(found) for field, found in content.items() if isinstance(found, list)}
    records = coco_records(path, content, "images", "image")
    if check_images:
        records = tracked(records, f"check the pictures of {path.name}", "pictures", count.get("images"))
    entries: dict[int, ImageEntry] = {}
    tagged: list[Path] = []
    for record in records:
        entry = read_image_entry(record, images_dir)
        identity = entry.image.id
        if identity in entries:
            raise record.error("id", f"{identity} is also the id of {entries[identity].image.file_name}")
        entries[identity] = entry
        if check_images and _check_entry_image(entry) != UPRIGHT:
            tagged.append(entry.image.file)
    if tagged:
        _LOG.warning(
            "%s: %d of %d pictures have an orientation tag, such as %s; labels are taken to be of the stored "
            "pixels (docs/data.md)", path, len(tagged), len(entries), tagged[0],
        )  # fmt: skip
    images = number_images(list(entries.values()))[0]
    people = _read_people(path, content, images, warn, layout)
    return images, tracked(people, f"read {path.name}", "people", count.get("annotations"))


def read_outlines(path: str | os.PathLike[str], images_dir: str | os.PathLike[str] = "") -> Outlines:
    """What an annotation file says of people's outlines, not drawn, to be written again.

    Drawn ones (`read_masks`) take a byte a pixel of the picture for each person. Errors as of `read_entries`.
    """
    _, entries = read_entries(path, images_dir, warn=False)
    outlines = {}
    for entry in entries:
        _ = entry.area  # which is checked
        entry.outline.check()
        kept = {name: entry.record.get(name) for name in ("segmentation", "area") if entry.record.has(name)}
        outlines[entry.image.id, entry.id] = kept
    return outlines


def _read_people(
    path: Path, content: dict[str, Any], images: dict[int, ImageRecord], warn: bool, layout: PartLayout | None
) -> Iterator[PersonEntry]:
    named = content if content.get("categories") is not None else {"categories": []}
    categories = coco_records(path, named, "categories", "category")
    labels, people, note = read_categories(path, categories, layout)
    if note and warn:
        _LOG.warning("%s: %s", path, note)
    unnamed = CategoryLabels(layout=layout or PEOPLE)
    seen: set[tuple[int, int]] = set()
    left_out: list[str] = []
    ignored = 0
    for record in coco_records(path, content, "annotations", "annotation"):
        category = read_category(record, labels)
        if people and category not in people:
            ignored += category not in labels
            continue
        image_id, person_id = record.integer("image_id"), record.integer("id")
        if image_id not in images:
            raise record.error("image_id", f"{image_id} is none of the ids of `images`")
        if (image_id, person_id) in seen:
            raise record.error("id", f"{person_id} is used twice in image {image_id}")
        seen.add((image_id, person_id))
        entry = PersonEntry(record, images[image_id], labels.get(category, unnamed))
        if entry.is_flat:
            left_out.append(record.place)
        else:
            yield entry
    if ignored and warn:
        _LOG.warning("%s: %s of a negative category_id passed over", path, counted(ignored, "annotation"))
    if left_out and warn:
        why = f"{len(left_out)} of {len(seen)} people left out, for their boxes have no width or height"
        _LOG.warning("%s: %s: %s", path, why, ", ".join(left_out[:5]) + ", ..." * (len(left_out) > 5))


def read_categories(
    path: Path, records: Iterable[Record], layout: PartLayout | None = None
) -> tuple[dict[Any, CategoryLabels], set[object], str]:
    """What labels speak of by category id, the ids of the categories to read, and a note on these.

    Those with a layout of parts (`dp_layout`) are read, else those named as the layout's category, else those
    of people. No ids where the file has no categories: everybody is read then. Raises AnnotationError naming
    the file, the category and the field, or where of several categories none is of people.
    """
    labels: dict[Any, CategoryLabels] = {}
    categories: list[dict[str, Any]] = []
    chosen: set[object] = set()
    for record in records:
        identity = record.integer("id")
        labels[identity] = CategoryLabels(read_keypoint_names(record), _read_layout(record, layout))
        if record.has("dp_layout") or (layout is not None and record.content.get("name") == layout.category):
            chosen.add(identity)
        categories.append({**record.content, "id": identity})
    try:
        people, note = (chosen, "") if chosen else person_categories(categories)
    except NoPersonError as error:
        raise AnnotationError(f"{path}: categories: {error}") from error
    return labels, people, note


def read_category(record: Record, labels: Mapping[Any, CategoryLabels]) -> int | str | None:
    """The category of an annotation, by the ids of `read_categories`; raises as `category_of`."""
    said = record.integer("category_id") if record.has("category_id") else None
    return category_of(record, said, labels.keys())


def _read_layout(record: Record, wanted: PartLayout | None) -> PartLayout:
    if not record.has("dp_layout"):
        return wanted or PEOPLE
    try:
        found = layout_from_json(record.get("dp_layout"))
        if wanted is not None:
            wanted.check_same_labels(found, "the surface", "this file")
    except ValueError as error:
        raise record.error("dp_layout", str(error)) from None
    return found


def read_keypoint_names(record: Record) -> tuple[str, ...]:
    """The names of a category's keypoints; () where it has none."""
    keypoints = record.get("keypoints") if record.has("keypoints") else []
    if not isinstance(keypoints, list) or not all(isinstance(name, str) for name in keypoints):
        raise record.error("keypoints", "not a list of names")
    return tuple(keypoints)


@dataclass(frozen=True)
class ImageEntry:
    """One image as the file has it, its fields read but for the number of its frame."""

    record: Record
    image: ImageRecord
    frame_id: int | None


def number_images(entries: Sequence[ImageEntry]) -> tuple[dict[int, ImageRecord], list[str]]:
    """The images by id, those of videos with their frames' numbers; AnnotationError where two have the same.

    Also the videos whose `frame_id` contradicts the names of their pictures.
    """
    videos: dict[str, list[ImageEntry]] = {}
    for entry in entries:
        if entry.image.video is not None:
            videos.setdefault(entry.image.video, []).append(entry)
    images = {entry.image.id: entry.image for entry in entries}
    contradicting = []
    for video, shown in videos.items():
        names = [FrameName(entry.image.file_name, entry.image.id, entry.frame_id) for entry in shown]
        try:
            numbers, differ = number_frames(names)
        except FrameNumberError as error:
            field, _, problem = str(error).partition(": ")
            raise shown[error.place].record.error(field, f"{problem} (video {video!r})") from error
        images |= {entry.image.id: replace(entry.image, frame=n) for entry, n in zip(shown, numbers)}
        contradicting += [video] * differ
    return images, contradicting


def read_image_entry(record: Record, images_dir: Path) -> ImageEntry:
    """One image; raises AnnotationError naming the field.

    Without width and height they are the picture's: of the folder of pictures, else of those around the file.
    """
    file_name = record.text("file_name")
    file = images_dir / file_name
    width, height = _read_size(record, file, file_name)
    # vid_id is a text in PoseTrack18 and may be a number elsewhere.
    video = str(record.content["vid_id"]) if record.has("vid_id") else None
    identity = record.integer("id")
    labelled = record.flag("is_labeled", True) and not record.flag("has_no_densepose", False)
    regions = _read_regions(record)
    image = ImageRecord(identity, file, file_name, width, height, video, None, labelled, regions)
    frame = record.content.get("frame_id")
    if isinstance(frame, str) and frame.isdecimal() and len(frame) <= 18:
        return ImageEntry(record, image, int(frame))
    return ImageEntry(record, image, record.integer("frame_id") if isinstance(frame, int | float) else None)


def _read_size(record: Record, file: Path, file_name: str) -> tuple[int, int]:
    if record.has("width") and record.has("height"):
        width, height = record.integer("width"), record.integer("height")
    else:  # PoseTrack's own files give no sizes
        places = [file, *(folder / file_name for folder in list(record.file.absolute().parents)[:3])]
        try:
            header = check_image(next((place for place in places if place.is_file()), file))
        except ImageError as error:
            problem = f"missing, and the picture cannot tell them ({error})"
            advice = "add them, or name the pictures' folder"
            raise record.error("width, height", f"{problem}; {advice}") from error
        width, height = header.width, header.height
    if width <= 0 or height <= 0:
        raise record.error("width, height", f"{width} x {height}, but both must be positive")
    if width * height > MAX_PIXELS:
        raise record.error("width, height", f"{width} x {height}, but at most {MAX_PIXELS:,} px are wanted")
    return width, height


def _read_regions(record: Record) -> tuple[np.ndarray, ...]:
    """Polygons (K, 2) x, y image px; a flat list is one polygon; fewer than 3 corners enclose nothing."""
    sides, both = [], "ignore_regions_x, ignore_regions_y"
    for field in both.split(", "):
        lists = record.get(field) if record.has(field) else []
        if not isinstance(lists, list):
            raise record.error(field, "not a list")
        lists = lists if all(isinstance(entry, list) for entry in lists) else [lists]
        sides.append([record.as_pixels(field, entry) for entry in lists])
    all_x, all_y = sides
    if [len(x) for x in all_x] != [len(y) for y in all_y]:
        raise record.error(both, "different numbers of corners")
    regions = tuple(np.stack([x, y], axis=1) for x, y in zip(all_x, all_y) if len(x) >= 3)
    length_px = sum(map(outline_length, regions))
    if length_px > LONGEST_OUTLINE_PX:
        wanted = f"at most {LONGEST_OUTLINE_PX:,} px can be drawn"
        raise record.error(both, f"outlines {length_px:,.0f} px long, but {wanted}")
    return regions


def _check_entry_image(entry: ImageEntry) -> int:
    """Check a picture against its entry, and return its orientation tag."""
    record, image = entry.record, entry.image
    try:
        header = check_image(image.file)
    except ImageError as error:
        raise record.error("file_name", str(error)) from error
    if (header.width, header.height) != (image.width, image.height):
        found, wanted = f"{header.width} x {header.height}", f"{image.width} x {image.height}"
        if header.turned_size == (image.width, image.height):
            found += f", stored; they are exchanged by its orientation tag ({header.orientation}), which is "
            found += "not applied: turn the picture and remove the tag, or label the stored pixels"
        raise record.error("width, height", f"{wanted}, but {image.file} has {found}")
    return header.orientation
