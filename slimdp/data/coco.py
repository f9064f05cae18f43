"""Annotation files of DensePose-COCO and PoseTrack: both are COCO JSON, told apart by their fields.

The formats are described in docs/data.md. The scale of the box frame is chosen in `frame.py`, people
are read in `person.py`, and `write.py` writes the same form.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flow_cache.coco import NoPersonError, person_categories
from flow_cache.runtime.json_file import read_json, short
from flow_cache.runtime.progress import tracked
from slimdp.data.image_entries import read_images
from slimdp.data.person import CategoryLabels, check_outline, is_left_out, read_area, read_person
from slimdp.data.validate import AnnotationError, Record
from slimdp.data.write import Outlines, write_annotations
from slimdp.structures import ImageRecord, PersonAnnotation
from slimdp.surface.layout import PartLayout, layout_from_json
from slimdp.surface.people import PEOPLE

__all__ = ["AnnotationError", "AnnotationSet", "read_annotations", "write_annotations"]

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
    layout: PartLayout | None = None,
) -> AnnotationSet:
    """Read a DensePose-COCO or PoseTrack annotation file and check all that it says.

    People without points are kept with N = 0. Of a file with several categories, people alone are read
    (`person_categories`). A person whose box has no extent is left out; how many were is said in the log.

    Args:
        path: the JSON file.
        images_dir: the folder that its file names are relative to.
        check_images: also check that each picture is there, whole, and of the size that the file says
            (header and last bytes only).
        read_masks: also draw `segmentation` into `PersonAnnotation.mask`, one bool a pixel of the picture
            for each person: too much memory for a whole training set.
        layout: the parts that the labels must speak of; None: those that the file says. A file that says
            nothing is taken to speak of these, or of people's.

    Raises:
        AnnotationError: naming the file, the image or annotation, and the field.
    """
    images, entries = read_entries(path, images_dir, check_images, layout=layout)
    people = tuple(read_person(entry.record, entry.image, entry.category, read_masks) for entry in entries)
    return AnnotationSet(tuple(images.values()), people, Path(path))


@dataclass(frozen=True)
class PersonEntry:
    """One person as the file has it, and what of the file's other lists belongs to it."""

    record: Record
    id: int
    image: ImageRecord
    category: CategoryLabels


def read_entries(
    path: str | os.PathLike[str],
    images_dir: str | os.PathLike[str] = "",
    check_images: bool = False,
    say: bool = True,
    layout: PartLayout | None = None,
) -> tuple[dict[int, ImageRecord], Iterator[PersonEntry]]:
    """The images of an annotation file by id, and the people in it one by one, their fields not yet read.

    Arguments and errors as for `read_annotations`; people are checked as they are taken. `say` is whether the
    log tells who is left out.
    """
    path, images_dir = Path(path), Path(images_dir)
    content = _load_json(path)
    records = _records(path, content, "images", "image")
    if check_images:
        count = _length(content, "images")
        records = tracked(records, f"check the pictures of {path.name}", "pictures", count)
    images = read_images(path, records, images_dir, check_images)
    entries = _read_people(path, content, images, say, layout)
    return images, tracked(entries, f"read {path.name}", "people", _length(content, "annotations"))


def read_outlines(path: str | os.PathLike[str], images_dir: str | os.PathLike[str] = "") -> Outlines:
    """What an annotation file says of people's outlines, not drawn, to be written again.

    Drawn ones (`read_masks`) take a byte a pixel of the picture for each person. Errors as of `read_entries`.
    """
    _, entries = read_entries(path, images_dir, say=False)
    outlines = {}
    for entry in entries:
        read_area(entry.record)
        check_outline(entry.record, entry.image)
        kept = {
            name: entry.record.content[name] for name in ("segmentation", "area") if entry.record.has(name)
        }
        outlines[entry.image.id, entry.id] = kept
    return outlines


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
        yield Record(path, place_of(entry, field, kind, position), entry)


def _length(content: dict[str, Any], field: str) -> int | None:
    entries = content.get(field)
    return len(entries) if isinstance(entries, list) else None


def place_of(entry: Mapping[str, Any], field: str, kind: str, position: int) -> str:
    """What errors call an entry of a list: by its id, and its image, where it has them."""
    name = f"{kind} {short(entry['id'])}" if "id" in entry else f"{field}[{position}]"
    return f"{name} of image {short(entry['image_id'])}" if "image_id" in entry else name


def _read_people(
    path: Path,
    content: dict[str, Any],
    images: dict[int, ImageRecord],
    say: bool,
    layout: PartLayout | None,
) -> Iterator[PersonEntry]:
    listed = content.get("categories")
    categories = _records(path, {"categories": [] if listed is None else listed}, "categories", "category")
    labels, people, said = read_categories(path, categories, layout)
    if said and say:
        _LOG.warning("%s: %s", path, said)
    unnamed = CategoryLabels(layout=layout or PEOPLE)
    seen: set[tuple[int, int]] = set()
    left_out: list[str] = []
    for record in _records(path, content, "annotations", "annotation"):
        category = record.integer("category_id") if record.has("category_id") else None
        if people and category not in people:
            continue
        image_id, person_id = record.integer("image_id"), record.integer("id")
        if image_id not in images:
            raise record.error("image_id", f"{image_id} is none of the ids of `images`")
        if (image_id, person_id) in seen:
            raise record.error("id", f"{person_id} is used twice in image {image_id}")
        seen.add((image_id, person_id))
        if is_left_out(record):
            left_out.append(record.place)
        else:
            yield PersonEntry(record, person_id, images[image_id], labels.get(category, unnamed))
    if left_out and say:
        some = ", ".join(left_out[:5]) + (", ..." if len(left_out) > 5 else "")
        counts = f"{len(left_out)} of {len(seen)} people left out"
        _LOG.warning("%s: %s, for their boxes have no width or height: %s", path, counts, some)


def read_categories(
    path: Path, records: Iterable[Record], layout: PartLayout | None = None
) -> tuple[dict[Any, CategoryLabels], set[object], str]:
    """What labels speak of by category id, the ids of the categories to read, and what is to be said.

    Those with a layout of parts (`dp_layout`) are read, else those named as the layout's category, else those
    of people. No ids where the file has no categories: everybody is read then.

    Args:
        path: the file, for errors.
        records: its categories.
        layout: as for `read_annotations`.

    Raises:
        AnnotationError: naming the file, the category and the field; or several categories, none of people.
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
    if chosen:
        return labels, chosen, ""
    try:
        people, said = person_categories(categories)
    except NoPersonError as error:
        raise AnnotationError(f"{path}: categories: {error}") from error
    return labels, people, said


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
    keypoints = record.content.get("keypoints")
    keypoints = [] if keypoints is None else keypoints
    if not isinstance(keypoints, list) or not all(isinstance(name, str) for name in keypoints):
        raise record.error("keypoints", "not a list of names")
    return tuple(keypoints)
