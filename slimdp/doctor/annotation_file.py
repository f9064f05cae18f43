"""Checks of one annotation file: its images, its categories, its people, one after the other.

Each entry is read as the reader does, and every fault is named where the reader stops at the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flow_cache.coco import AnnotationError, Record, name_entry
from flow_cache.runtime.json_file import JsonFileError, read_json, short
from flow_cache.runtime.progress import tracked
from flow_cache.runtime.words import counted
from slimdp.data.annotation_file import (
    ImageEntry,
    number_images,
    read_categories,
    read_category,
    read_image_entry,
    read_keypoint_names,
)
from slimdp.data.person_entry import CategoryLabels, PersonEntry
from slimdp.doctor.findings import FileFindings, field_and_problem
from slimdp.doctor.person_checks import PeopleOfVideos, check_person
from slimdp.structures import ImageRecord, PersonAnnotation

#: Fields that an image can be read without, and what a fault of theirs is.
_REGIONS = ("ignore_regions_x", "ignore_regions_y", "ignore_regions_x, ignore_regions_y")
_FLAGS = {"is_labeled": "flag-broken", "has_no_densepose": "flag-broken"}
_CODES = dict.fromkeys(_REGIONS, "ignore-region-broken") | _FLAGS | {"frame_id": "frame-broken"}


@dataclass
class FileSummary:
    """The content of an annotation file, counted; pictures keep the names that the file gives them."""

    file: str  # relative to the folder that is checked
    images: dict[int, ImageRecord] = field(default_factory=dict)
    people: int = 0
    dense_people: int = 0  # with points
    dense_images: set[int] = field(default_factory=set)  # ids of the images of people with points
    points: int = 0
    videos: int = 0
    tracks: int = 0

    def count(self, person: PersonAnnotation) -> None:
        """Take note of a person."""
        self.people += 1
        self.points += len(person.points)
        if len(person.points):
            self.dense_people += 1
            self.dense_images.add(person.image.id)

    def as_json(self) -> dict[str, Any]:
        """The counts, for json.dumps."""
        counts = {"images": len(self.images), "dense_images": len(self.dense_images)}
        names = ("people", "dense_people", "points", "videos", "tracks")
        return counts | {name: getattr(self, name) for name in names}


def load_annotations(path: Path, findings: FileFindings) -> dict[str, Any] | None:
    """The content of an annotation file; None, and a finding, where it is broken or something else."""
    try:
        content = read_json(path, "annotation file")
    except (OSError, JsonFileError) as error:
        findings.add_refusal("json-broken", path, error)
        return None
    if isinstance(content, dict) and {"images", "annotations"} & set(content):
        return content
    what = "JSON without images and annotations"
    if isinstance(content, list) and content and isinstance(content[0], dict) and "uv_data" in content[0]:
        what = f"results: {len(content)} predicted people in DensePose's result format"
    findings.add("not-checked", "", what)
    return None


def image_names(content: dict[str, Any]) -> list[str]:
    """The names that a file gives its pictures, as far as it does, before anything is checked."""
    images = content.get("images")
    entries = [entry for entry in images if isinstance(entry, dict)] if isinstance(images, list) else []
    return [entry["file_name"] for entry in entries if isinstance(entry.get("file_name"), str)]


def check_annotation_file(
    content: dict[str, Any],
    findings: FileFindings,
    each_person: Callable[[Record, PersonAnnotation], None] | None = None,
    quiet: bool = False,
    folder: Path = Path(),
) -> FileSummary:
    """Check all that an annotation file says, without looking at its pictures.

    `each_person` is called with each person that can be read, for further checks; `folder` is the one of
    the pictures, for images without width and height.
    """
    summary = FileSummary(findings.file)
    summary.images, broken = _check_images(content, folder, findings)
    categories = _read_categories(content, findings)
    if categories is None:
        return summary
    ids, videos = _Ids(findings), PeopleOfVideos(findings)
    total = len(content["annotations"]) if isinstance(content.get("annotations"), list) else 0
    entries = _people(content, summary.images, broken, categories, findings)
    for entry in tracked(entries, Path(findings.file).stem, "people", total, speaks=not quiet):
        person = None if entry is None else check_person(entry, findings)
        if entry is None or person is None:
            continue
        summary.count(person)
        ids.add(entry.record, person)
        videos.add(entry.record, person)
        if each_person is not None:
            each_person(entry.record, person)
    videos.finish(summary.images.values(), summary.dense_images)
    ids.finish()
    summary.videos = len({image.video for image in summary.images.values()} - {None})
    summary.tracks = videos.tracks
    if summary.images and not summary.dense_people and isinstance(content.get("annotations"), list):
        people = counted(summary.people, "person", "people")
        findings.add("no-points", "annotations", f"{people}, none with points")
    return summary


def _records(content: dict[str, Any], name: str, kind: str, findings: FileFindings) -> Iterator[Record]:
    """The objects in one of a file's lists."""
    entries = content.get(name)
    if not isinstance(entries, list):
        found = "is missing" if entries is None else f"is a {type(entries).__name__}"
        findings.add("json-lists", name, f"{name} {found}")
        return
    for position, entry in enumerate(entries):
        if isinstance(entry, dict):
            yield Record(Path(findings.file), name_entry(entry, name, kind, position), entry)
        else:
            found = f"a {type(entry).__name__}, but an object is wanted"
            findings.add("json-lists", f"{name}[{position}]", found)


def _check_images(
    content: dict[str, Any], folder: Path, findings: FileFindings
) -> tuple[dict[int, ImageRecord], set[int]]:
    """The images by id, as far as they can be read, their files as the annotation file names them; and the
    ids of those that cannot be read, so that nobody blames their people."""
    entries: dict[int, ImageEntry] = {}
    broken: set[int] = set()
    for record in _records(content, "images", "image", findings):
        entry = _read_image(record, folder, findings)
        if entry is None:
            broken.add(record.content["id"] if isinstance(record.content.get("id"), int) else -1)
        elif entry.image.id in entries:
            found = f"{entry.image.file_name} has the id of {entries[entry.image.id].image.file_name}"
            findings.add_field("image-id-twice", record, "id", found)
        else:
            image = replace(entry.image, file=Path(entry.image.file_name))
            entries[image.id] = replace(entry, image=image)
            _note_flat_regions(record, findings)
    images = {entry.image.id: entry.image for entry in entries.values()}
    return images | _number_frames(list(entries.values()), findings), broken


def _read_image(record: Record, folder: Path, findings: FileFindings) -> ImageEntry | None:
    while True:
        try:
            return read_image_entry(record, folder)
        except AnnotationError as error:
            fields, problem = field_and_problem(error, record)
            code = _CODES.get(fields, "image-field")
            findings.add_field(code, record, fields, problem)
            rest = {key: value for key, value in record.content.items() if key not in fields.split(", ")}
            if code == "image-field" or len(rest) == len(record.content):
                return None
            record = replace(record, content=rest)


def _note_flat_regions(record: Record, findings: FileFindings) -> None:
    regions = record.content.get("ignore_regions_x")
    if not isinstance(regions, list):
        return
    regions = regions if all(isinstance(region, list) for region in regions) else [regions]
    if flat := [region for region in regions if len(region) < 3]:
        findings.add_field(
            "ignore-region-flat", record, _REGIONS[2], f"{len(flat)} of {len(regions)} regions"
        )


def _number_frames(entries: list[ImageEntry], findings: FileFindings) -> dict[int, ImageRecord]:
    """The frames of videos with their numbers; those of a video with a number twice have none."""
    videos: dict[str, list[ImageEntry]] = {}
    for entry in entries:
        if entry.image.video is not None:
            videos.setdefault(entry.image.video, []).append(entry)
    numbered: dict[int, ImageRecord] = {}
    for video, shown in videos.items():
        try:
            images, differing = number_images(shown)
        except AnnotationError as error:
            place, fields, problem = str(error).removeprefix(f"{findings.file}: ").split(": ", 2)
            findings.add("frame-twice", f"{place}: {fields}", problem)
            continue
        if differing:
            found = "frame_id and the numbers in file_name are not the same frames apart; frame_id is taken"
            findings.add("frame-differs", f"video {video}: frame_id", found)
        _check_frame_count(shown, images, findings)
        numbered |= images
    return numbered


def _check_frame_count(
    shown: list[ImageEntry], images: dict[int, ImageRecord], findings: FileFindings
) -> None:
    """Frames count from 0 in PoseTrack 2018 and from 1 in PoseTrack 2017, and some ids hold the video too."""
    first = min((image.frame for image in images.values() if image.frame is not None), default=0)
    for entry in shown:
        frame, count = images[entry.image.id].frame, entry.record.content.get("nframes")
        if frame is None or isinstance(count, bool) or not isinstance(count, int):
            continue
        if (frame if 0 <= first <= count else frame - first) > count:
            findings.add_field("frame-number", entry.record, "nframes", f"frame {frame} of {count}")


def _read_categories(
    content: dict[str, Any], findings: FileFindings
) -> tuple[dict[Any, CategoryLabels], set[object]] | None:
    """The label layout of each category, and the categories of people; None where these are unclear."""
    records = []
    listed = {"categories": [] if content.get("categories") is None else content["categories"]}
    for record in _records(listed, "categories", "category", findings):
        try:
            record.integer("id")
        except AnnotationError as error:
            findings.add_error("json-lists", record, error)
            continue
        try:
            read_keypoint_names(record)
        except AnnotationError as error:
            findings.add_error("json-lists", record, error)
            record = replace(record, content={**record.content, "keypoints": None})
        records.append(record)
    try:
        labels, people, said = read_categories(Path(findings.file), records)
    except AnnotationError as error:
        findings.add_refusal("category-unclear", f"{findings.file}: categories", error, "categories")
        return None
    if said:
        findings.add("category-taken", "categories", said)
    return labels, people


def _people(
    content: dict[str, Any],
    images: dict[int, ImageRecord],
    broken: set[int],
    categories: tuple[dict[Any, CategoryLabels], set[object]],
    findings: FileFindings,
) -> Iterator[PersonEntry | None]:
    """The people to check, and None for every annotation that is nobody to check."""
    labels, person_categories = categories
    others = 0
    for record in _records(content, "annotations", "annotation", findings):
        entry = None
        try:
            category = read_category(record, labels)
            image = images.get(record.integer("image_id"))
            if person_categories and category not in person_categories:
                others += 1
            elif image is not None:
                entry = PersonEntry(record, image, labels.get(category, CategoryLabels()))
            elif record.content["image_id"] not in broken:
                found = f"{short(record.content['image_id'])} is none of the ids of images"
                findings.add_field("image-unknown", record, "image_id", found)
        except AnnotationError as error:
            of_category = field_and_problem(error, record)[0] == "category_id"
            findings.add_error("category-unknown" if of_category else "person-field", record, error)
        yield None if entry is None or _is_flat(entry, findings) else entry
    if others:
        found = f"{others} of {len(content['annotations'])} annotations of other categories"
        findings.add("other-category", "annotations: category_id", found)


def _is_flat(entry: PersonEntry, findings: FileFindings) -> bool:
    """Whether readers leave the person out; a box that cannot be read is for `check_person`."""
    try:
        flat = entry.is_flat
    except AnnotationError:
        return False
    if flat:
        findings.add_field("box-flat", entry.record, "bbox", short(entry.record.content["bbox"]))
    return flat


class _Ids:
    """Ids of people: twice in a picture is an error, in several pictures is what some public files do."""

    def __init__(self, findings: FileFindings) -> None:
        self._findings = findings
        self._seen: set[tuple[int, int]] = set()
        self._first_image: dict[int, int] = {}
        self._repeated: dict[int, int] = {}  # id -> another image of it

    def add(self, record: Record, person: PersonAnnotation) -> None:
        image = person.image.id
        if (image, person.id) in self._seen:
            self._findings.add_field(
                "person-id-twice", record, "id", f"{person.id} is used before in this picture"
            )
        self._seen.add((image, person.id))
        if self._first_image.setdefault(person.id, image) != image:
            self._repeated[person.id] = image

    def finish(self) -> None:
        for identity, image in self._repeated.items():
            found = f"also the id of an annotation of image {self._first_image[identity]}"
            self._findings.add("person-id-repeated", f"annotation {identity} of image {image}: id", found)
