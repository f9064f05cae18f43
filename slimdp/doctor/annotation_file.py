"""Checks of one annotation file: its lists, its pictures, its people, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flow_cache.runtime.json_file import JsonFileError, read_json, short
from flow_cache.runtime.progress import tracked
from slimdp.data.annotation_file import name_entry, read_categories, read_keypoint_names
from slimdp.data.json_record import AnnotationError, Record
from slimdp.data.person_entry import CategoryLabels, PersonEntry
from slimdp.doctor.findings import Findings
from slimdp.doctor.image_checks import check_images
from slimdp.doctor.image_checks import field_and_problem as problem_of
from slimdp.doctor.people import check_person
from slimdp.doctor.videos import VideoCheck
from slimdp.structures import ImageRecord, PersonAnnotation


@dataclass
class FileSummary:
    """What an annotation file holds; pictures keep the names that the file gives them."""

    file: str  # relative to the folder that is checked
    images: dict[int, ImageRecord] = field(default_factory=dict)
    people: int = 0
    dense_people: int = 0  # with points
    dense_images: set[int] = field(default_factory=set)  # ids of the images of people with points
    points: int = 0
    videos: int = 0
    tracks: int = 0

    def as_json(self) -> dict[str, Any]:
        """The counts, for json.dumps."""
        counts = {"images": len(self.images), "dense_images": len(self.dense_images)}
        names = ("people", "dense_people", "points", "videos", "tracks")
        return counts | {name: getattr(self, name) for name in names}


def load_annotations(path: Path, file: str, findings: Findings) -> dict[str, Any] | None:
    """The content of an annotation file; None, and a finding, where it is broken or something else."""
    try:
        content = read_json(path, "annotation file")
    except (OSError, JsonFileError) as error:
        findings.add("json-broken", file, "", str(error).removeprefix(f"{path}: "))
        return None
    if isinstance(content, dict) and {"images", "annotations"} & set(content):
        return content
    what = "JSON without images and annotations"
    if isinstance(content, list) and content and isinstance(content[0], dict) and "uv_data" in content[0]:
        what = f"results: {len(content)} predicted people in DensePose's result format"
    findings.add("not-checked", file, "", what)
    return None


def names_of_pictures(content: dict[str, Any]) -> list[str]:
    """What a file names its pictures, as far as it does, before anything is checked."""
    images = content.get("images")
    entries = [entry for entry in images if isinstance(entry, dict)] if isinstance(images, list) else []
    return [entry["file_name"] for entry in entries if isinstance(entry.get("file_name"), str)]


def check_annotation_file(
    file: str,
    content: dict[str, Any],
    findings: Findings,
    each_person: Callable[[Record, PersonAnnotation], None] | None = None,
    quiet: bool = False,
    pictures: Path = Path(),
) -> FileSummary:
    """Check all that an annotation file says, without looking at its pictures.

    Args:
        file: how findings call it.
        content: the JSON object.
        findings: where they go.
        each_person: called with each person that can be read, for further checks.
        quiet: show no progress.
        pictures: the folder of the pictures, for images without width and height.
    """
    summary = FileSummary(file)
    records = _records(file, content, "images", "image", findings)
    summary.images, broken = check_images(records, file, pictures, findings)
    categories = _read_categories(file, content, findings)
    if categories is None:
        return summary
    labels, person_categories = categories
    videos, ids, others = VideoCheck(file, findings), _Ids(file, findings), 0
    entries = _records(file, content, "annotations", "annotation", findings)
    total = len(content["annotations"]) if isinstance(content.get("annotations"), list) else 0
    for record in tracked(entries, Path(file).stem, "people", total, speaks=not quiet):
        place = _place_of(record, summary, findings)
        if place is None:
            continue
        category, image = place
        if person_categories and category not in person_categories:
            others += 1
            continue
        if image is None:
            if record.content["image_id"] not in broken:
                found = f"{short(record.content['image_id'])} is none of the ids of images"
                findings.add("image-unknown", file, f"{record.place}: image_id", found)
            continue
        entry = PersonEntry(record, image, labels.get(category, CategoryLabels()))
        if _is_flat(entry, file, findings):
            continue
        person = check_person(entry, file, findings)
        if person is None:
            continue
        _count(person, summary)
        ids.add(record, person)
        videos.add(record, person)
        if each_person is not None:
            each_person(record, person)
    videos.finish(summary.images.values(), summary.dense_images)
    ids.finish()
    summary.videos = len({image.video for image in summary.images.values()} - {None})
    summary.tracks = videos.tracks
    if others:
        found = f"{others} of {total} annotations of other categories"
        findings.add("other-category", file, "annotations: category_id", found)
    if summary.images and not summary.dense_people and isinstance(content.get("annotations"), list):
        findings.add("no-points", file, "annotations", f"{summary.people} people, none of them with points")
    return summary


def _records(
    file: str, content: dict[str, Any], name: str, kind: str, findings: Findings
) -> Iterator[Record]:
    entries = content.get(name)
    if not isinstance(entries, list):
        found = f"{name} is missing" if entries is None else f"{name} is a {type(entries).__name__}"
        findings.add("json-lists", file, name, found)
        return
    for position, entry in enumerate(entries):
        place = f"{name}[{position}]"
        if not isinstance(entry, dict):
            findings.add("json-lists", file, place, f"a {type(entry).__name__}, but an object is wanted")
            continue
        yield Record(Path(file), name_entry(entry, name, kind, position), entry)


def _read_categories(
    file: str, content: dict[str, Any], findings: Findings
) -> tuple[dict[Any, CategoryLabels], set[object]] | None:
    """What labels speak of by category, and the categories of people; None where no one can tell them."""
    records = []
    listed = content.get("categories")
    listed = [] if listed is None else listed
    for record in _records(file, {"categories": listed}, "categories", "category", findings):
        try:
            record.integer("id")
        except AnnotationError as error:
            findings.add("json-lists", file, f"{record.place}: id", problem_of(error, record)[1])
            continue
        try:
            read_keypoint_names(record)
        except AnnotationError as error:
            findings.add("json-lists", file, f"{record.place}: keypoints", problem_of(error, record)[1])
            record = replace(record, content={**record.content, "keypoints": None})
        records.append(record)
    try:
        labels, people, said = read_categories(Path(file), records)
    except AnnotationError as error:
        findings.add("category-unclear", file, "categories", str(error).removeprefix(f"{file}: categories: "))
        return None
    if said:
        findings.add("category-taken", file, "categories", said)
    return labels, people


def _place_of(
    record: Record, summary: FileSummary, findings: Findings
) -> tuple[int | None, ImageRecord | None] | None:
    """Category and image of an annotation, each None where there is none; None if they cannot be read."""
    try:
        category = record.integer("category_id") if record.has("category_id") else None
        return category, summary.images.get(record.integer("image_id"))
    except AnnotationError as error:
        field, problem = problem_of(error, record)
        findings.add("person-field", summary.file, f"{record.place}: {field}", problem)
        return None


def _is_flat(entry: PersonEntry, file: str, findings: Findings) -> bool:
    """Whether readers leave the person out; a box that cannot be read is for `check_person`."""
    try:
        flat = entry.is_flat
    except AnnotationError:
        return False
    if flat:
        findings.add("box-flat", file, f"{entry.record.place}: bbox", short(entry.record.content["bbox"]))
    return flat


def _count(person: PersonAnnotation, summary: FileSummary) -> None:
    summary.people += 1
    summary.points += len(person.points)
    if len(person.points):
        summary.dense_people += 1
        summary.dense_images.add(person.image.id)


class _Ids:
    """Ids of people: twice in a picture is an error, in several pictures is what some public files do."""

    def __init__(self, file: str, findings: Findings) -> None:
        self._file, self._findings = file, findings
        self._seen: set[tuple[int, int]] = set()
        self._first_image: dict[int, int] = {}
        self._repeated: dict[int, int] = {}  # id -> another image of it

    def add(self, record: Record, person: PersonAnnotation) -> None:
        image = person.image.id
        if (image, person.id) in self._seen:
            found = f"{person.id} is used before in this picture"
            self._findings.add("person-id-twice", self._file, f"{record.place}: id", found)
        self._seen.add((image, person.id))
        if self._first_image.setdefault(person.id, image) != image:
            self._repeated[person.id] = image

    def finish(self) -> None:
        for identity, image in self._repeated.items():
            place = f"annotation {identity} of image {image}: id"
            found = f"also the id of an annotation of image {self._first_image[identity]}"
            self._findings.add("person-id-repeated", self._file, place, found)
