"""Annotation files of DensePose-COCO and PoseTrack: both are COCO JSON, told apart by their fields.

The formats are described in docs/data.md. The scale of the box frame is chosen in `frame.py`, people
are read in `person.py`, and `write.py` writes the same form.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flow_cache.images import UPRIGHT
from flow_cache.runtime.json_file import read_json
from flow_cache.runtime.progress import tracked
from slimdp.data.images import ImageError, check_image
from slimdp.data.person import read_person
from slimdp.data.validate import AnnotationError, Record
from slimdp.data.write import Outlines, write_annotations
from slimdp.structures import ImageRecord, PersonAnnotation

__all__ = ["AnnotationError", "AnnotationSet", "frame_number", "read_annotations", "write_annotations"]


_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class AnnotationSet:
    """The pictures of an annotation file and the people in them.

    Annotation ids are unique in a picture only: some public files repeat them.
    """

    images: tuple[ImageRecord, ...]
    people: tuple[PersonAnnotation, ...]
    file: Path | None = None  # where it was read from, for messages

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
) -> AnnotationSet:
    """Read a DensePose-COCO or PoseTrack annotation file and check all that it says.

    People without points are kept with N = 0. A file with a category named "person" gives only the people
    of that category.

    Args:
        path: the JSON file.
        images_dir: the folder that its file names are relative to.
        check_images: also check that each picture is there, whole, and of the size that the file says
            (header and last bytes only).
        read_masks: also draw `segmentation` into `PersonAnnotation.mask`, one bool a pixel of the picture
            for each person: too much memory for a whole training set.

    Raises:
        AnnotationError: naming the file, the image or annotation, and the field.
    """
    images, entries = read_entries(path, images_dir, check_images)
    people = tuple(
        read_person(entry.record, entry.image, entry.keypoint_names, read_masks) for entry in entries
    )
    return AnnotationSet(tuple(images.values()), people, Path(path))


@dataclass(frozen=True)
class PersonEntry:
    """One person as the file has it, and what of the file's other lists belongs to it."""

    record: Record
    id: int
    image: ImageRecord
    keypoint_names: tuple[str, ...]


def read_entries(
    path: str | os.PathLike[str], images_dir: str | os.PathLike[str] = "", check_images: bool = False
) -> tuple[dict[int, ImageRecord], Iterator[PersonEntry]]:
    """The images of an annotation file by id, and the people in it one by one, their fields not yet read.

    Arguments and errors as for `read_annotations`; people are checked as they are taken.
    """
    path, images_dir = Path(path), Path(images_dir)
    content = _load_json(path)
    images: dict[int, ImageRecord] = {}
    tagged: list[Path] = []
    listed = content.get("images")
    to_check = tracked(
        _records(path, content, "images", "image"),
        f"check the pictures of {path.name}",
        "pictures",
        len(listed) if isinstance(listed, list) else None,
        speaks=check_images,
    )
    for record in to_check:
        image = _read_image(record, images_dir)
        if image.id in images:
            raise record.error("id", f"{image.id} is also the id of {images[image.id].file_name}")
        images[image.id] = image
        if check_images:
            tagged += [image.file] * (_check_image(record, image) != UPRIGHT)
    if tagged:
        _LOG.warning(
            "%s: %d of %d pictures have an orientation tag, such as %s; labels are taken to be of the stored "
            "pixels (docs/data.md)", path, len(tagged), len(images), tagged[0],
        )  # fmt: skip
    listed = content.get("annotations")
    total = len(listed) if isinstance(listed, list) else None
    return images, tracked(_read_people(path, content, images), f"read {path.name}", "people", total)


def read_outlines(path: str | os.PathLike[str]) -> Outlines:
    """What an annotation file says of people's outlines, not drawn, to be written again.

    Drawn ones (`read_masks`) take a byte a pixel of the picture for each person. Errors as of `read_entries`.
    """
    _, entries = read_entries(path)
    return {
        (entry.image.id, entry.id): {
            field: entry.record.content[field]
            for field in ("segmentation", "area")
            if entry.record.has(field)
        }
        for entry in entries
    }


def frame_number(name: str) -> int | None:
    """The number of a frame from its file name, the last digits of its stem: 5 for "a/000005.jpg"."""
    digits = re.findall(r"\d+", Path(name).stem)
    return int(digits[-1]) if digits else None


def _load_json(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path, "annotation file", AnnotationError)
    except FileNotFoundError as error:
        raise AnnotationError(str(error)) from None
    if not isinstance(content, dict):
        raise AnnotationError(f"{path}: a JSON {type(content).__name__} at the top, but an object is wanted")
    return content


def _records(path: Path, content: dict[str, Any], field: str, kind: str) -> Iterator[Record]:
    """The objects of a top-level list, each named by its id where it has one."""
    entries = content.get(field)
    if not isinstance(entries, list):
        raise AnnotationError(f"{path}: {field}: missing or no list, but a list of objects is wanted")
    for position, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise AnnotationError(f"{path}: {field}[{position}]: no object")
        name = f"{kind} {entry['id']}" if "id" in entry else f"{field}[{position}]"
        if "image_id" in entry:
            name += f" of image {entry['image_id']}"
        yield Record(path, name, entry)


def _read_image(record: Record, images_dir: Path) -> ImageRecord:
    file_name = record.text("file_name")
    width, height = record.integer("width"), record.integer("height")
    if width <= 0 or height <= 0:
        raise record.error("width, height", f"{width} x {height}, but both must be positive")
    # vid_id is a text in PoseTrack18 and may be a number elsewhere.
    video = str(record.content["vid_id"]) if record.has("vid_id") else None
    content = record.content
    return ImageRecord(
        id=record.integer("id"),
        file=images_dir / file_name,
        file_name=file_name,
        width=width,
        height=height,
        video=video,
        frame=frame_number(file_name) if video is not None else None,
        # has_no_densepose may be there and false.
        labelled=bool(content.get("is_labeled", True)) and not content.get("has_no_densepose", False),
        ignore_regions=_read_regions(record),
    )


def _read_regions(record: Record) -> tuple[np.ndarray, ...]:
    """Polygons (K, 2) x, y image px; a flat list is one polygon; fewer than 3 corners enclose nothing."""
    sides = []
    for field in ("ignore_regions_x", "ignore_regions_y"):
        lists = record.content.get(field) or []
        if not isinstance(lists, list):
            raise record.error(field, "not a list")
        lists = lists if all(isinstance(entry, list) for entry in lists) else [lists]
        sides.append([record.as_numbers(field, entry) for entry in lists])
    all_x, all_y = sides
    if [len(x) for x in all_x] != [len(y) for y in all_y]:
        raise record.error("ignore_regions_x, ignore_regions_y", "different numbers of corners")
    return tuple(np.stack([x, y], axis=1) for x, y in zip(all_x, all_y) if len(x) >= 3)


def _check_image(record: Record, image: ImageRecord) -> int:
    """Check a picture against its entry, and return its orientation tag."""
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


def _read_people(
    path: Path, content: dict[str, Any], images: dict[int, ImageRecord]
) -> Iterator[PersonEntry]:
    names, person_categories = _read_categories(path, content)
    seen: set[tuple[int, int]] = set()
    for record in _records(path, content, "annotations", "annotation"):
        category = record.integer("category_id") if "category_id" in record.content else None
        if person_categories and category not in person_categories:
            continue
        image_id, person_id = record.integer("image_id"), record.integer("id")
        if image_id not in images:
            raise record.error("image_id", f"{image_id} is none of the ids of `images`")
        if (image_id, person_id) in seen:
            raise record.error("id", f"{person_id} is used twice in image {image_id}")
        seen.add((image_id, person_id))
        yield PersonEntry(record, person_id, images[image_id], names.get(category, ()))


def _read_categories(path: Path, content: dict[str, Any]) -> tuple[dict[Any, tuple[str, ...]], set[int]]:
    """Names of the keypoints by category id, and the ids of the categories named "person"."""
    names: dict[Any, tuple[str, ...]] = {}
    person_categories = set()
    for record in _records(path, {"categories": [], **content}, "categories", "category"):
        category = record.integer("id")
        keypoints = record.content.get("keypoints") or []
        if not isinstance(keypoints, list) or not all(isinstance(name, str) for name in keypoints):
            raise record.error("keypoints", "not a list of names")
        names[category] = tuple(keypoints)
        if record.content.get("name") == "person":
            person_categories.add(category)
    return names, person_categories
