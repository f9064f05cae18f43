"""Checks of one annotation file: its lists, its pictures, its people, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flow_cache.runtime.json_file import JsonFileError, read_json
from flow_cache.runtime.progress import tracked
from slimdp.data.coco import frame_number
from slimdp.data.validate import AnnotationError, Record
from slimdp.doctor.findings import Findings
from slimdp.doctor.people import check_person, problem_of
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


def check_annotation_file(
    file: str,
    content: dict[str, Any],
    findings: Findings,
    each_person: Callable[[Record, PersonAnnotation], None] | None = None,
    quiet: bool = False,
) -> FileSummary:
    """Check all that an annotation file says, without looking at its pictures.

    Args:
        file: how findings call it.
        content: the JSON object.
        findings: where they go.
        each_person: called with each person that can be read, for further checks.
        quiet: show no progress.
    """
    summary = FileSummary(file)
    for record in _records(file, content, "images", "image", findings):
        _add_image(record, summary, findings)
    names, person_categories = _read_categories(file, content, findings)
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
            found = f"{record.content['image_id']} is none of the ids of images"
            findings.add("image-unknown", file, f"{record.place}: image_id", found)
            continue
        person = check_person(record, image, names.get(category, ()), file, findings)
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
        place = f"{kind} {entry['id']}" if "id" in entry else place
        if "image_id" in entry:
            place += f" of image {entry['image_id']}"
        yield Record(Path(file), place, entry)


def _add_image(record: Record, summary: FileSummary, findings: Findings) -> None:
    file, content = summary.file, record.content
    try:
        identity, name = record.integer("id"), record.text("file_name")
        width, height = record.integer("width"), record.integer("height")
        if width <= 0 or height <= 0:
            raise record.error("width, height", f"{width} x {height}, but both must be positive")
    except AnnotationError as error:
        where, problem = problem_of(error, record)
        findings.add("image-field", file, f"{record.place}: {where}", problem)
        return
    if identity in summary.images:
        other = summary.images[identity].file_name
        findings.add("image-id-twice", file, f"{record.place}: id", f"{name} has the id of {other}")
        return
    _check_ignore_regions(record, file, findings)
    video = str(content["vid_id"]) if record.has("vid_id") else None
    summary.images[identity] = ImageRecord(
        id=identity,
        file=Path(name),
        file_name=name,
        width=width,
        height=height,
        video=video,
        frame=frame_number(name) if video is not None else None,
        labelled=bool(content.get("is_labeled", True)) and not content.get("has_no_densepose", False),
    )
    frame, frames = summary.images[identity].frame, content.get("nframes")
    # Frames count from 0 in PoseTrack 2018 and from 1 in PoseTrack 2017.
    if frame is not None and isinstance(frames, int) and not 0 <= frame <= frames:
        findings.add("frame-number", file, f"{record.place}: nframes", f"frame {frame} of {frames}")


def _check_ignore_regions(record: Record, file: str, findings: Findings) -> None:
    fields = ("ignore_regions_x", "ignore_regions_y")
    place = f"{record.place}: {', '.join(fields)}"
    corners: list[list[int]] = []
    for name in fields:
        regions = record.content.get(name) or []
        regions = regions if isinstance(regions, list) else [regions]
        if not all(isinstance(region, list) for region in regions):
            regions = [regions]
        try:
            corners.append([len(record.as_numbers(name, region)) for region in regions])
        except AnnotationError as error:
            findings.add("ignore-region-broken", file, place, problem_of(error, record)[1])
            return
    if corners[0] != corners[1]:
        findings.add("ignore-region-broken", file, place, f"corners in x {corners[0]}, in y {corners[1]}")
    elif flat := [count for count in corners[0] if count < 3]:
        findings.add("ignore-region-flat", file, place, f"{len(flat)} of {len(corners[0])} regions")


def _read_categories(
    file: str, content: dict[str, Any], findings: Findings
) -> tuple[dict[Any, tuple[str, ...]], set[int]]:
    """Names of the keypoints by category, and the categories named person."""
    names: dict[Any, tuple[str, ...]] = {}
    people = set()
    for record in _records(file, {"categories": [], **content}, "categories", "category", findings):
        try:
            category = record.integer("id")
        except AnnotationError as error:
            findings.add("json-lists", file, f"{record.place}: id", problem_of(error, record)[1])
            continue
        keypoints = record.content.get("keypoints") or []
        if not isinstance(keypoints, list) or not all(isinstance(name, str) for name in keypoints):
            findings.add("json-lists", file, f"{record.place}: keypoints", "not a list of names")
            keypoints = []
        names[category] = tuple(keypoints)
        if record.content.get("name") == "person":
            people.add(category)
    return names, people


def _place_of(
    record: Record, summary: FileSummary, findings: Findings
) -> tuple[int | None, ImageRecord | None] | None:
    """Category and image of an annotation, each None where there is none; None if they cannot be read."""
    try:
        category = record.integer("category_id") if "category_id" in record.content else None
        return category, summary.images.get(record.integer("image_id"))
    except AnnotationError as error:
        field, problem = problem_of(error, record)
        findings.add("person-field", summary.file, f"{record.place}: {field}", problem)
        return None


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
