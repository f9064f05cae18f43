"""Checks of the images of an annotation file: each entry is read as the reader does, fault by fault."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from slimdp.data.annotation_file import ImageEntry, number_images, read_image
from slimdp.data.json_record import AnnotationError, Record
from slimdp.doctor.findings import Findings
from slimdp.structures import ImageRecord

#: Fields that an image can be read without, and what a fault of theirs is.
_CODES = {
    "ignore_regions_x": "ignore-region-broken",
    "ignore_regions_y": "ignore-region-broken",
    "ignore_regions_x, ignore_regions_y": "ignore-region-broken",
    "is_labeled": "flag-broken",
    "has_no_densepose": "flag-broken",
    "frame_id": "frame-broken",
}


def check_images(
    records: Iterable[Record], file: str, pictures: Path, findings: Findings
) -> tuple[dict[int, ImageRecord], set[int]]:
    """Read the images of a file as far as they can be read.

    Args:
        records: the entries.
        file: how findings call the annotation file.
        pictures: the folder of the pictures, for images without width and height.
        findings: where they go.

    Returns:
        The images by id, their files as the annotation file names them; and the ids of those that cannot be
        read, so that nobody blames their people.
    """
    entries: dict[int, ImageEntry] = {}
    broken: set[int] = set()
    for record in records:
        entry = _read(record, file, pictures, findings)
        if entry is None:
            broken.add(record.content["id"] if isinstance(record.content.get("id"), int) else -1)
        elif entry.image.id in entries:
            other = entries[entry.image.id].image.file_name
            found = f"{entry.image.file_name} has the id of {other}"
            findings.add("image-id-twice", file, f"{record.place}: id", found)
        else:
            image = replace(entry.image, file=Path(entry.image.file_name))
            entries[image.id] = replace(entry, image=image)
            _note_flat_regions(record, file, findings)
    images = {entry.image.id: entry.image for entry in entries.values()}
    return images | _numbered(list(entries.values()), file, findings), broken


def field_and_problem(error: AnnotationError, record: Record) -> tuple[str, str]:
    """The field and the problem that an error of a record names."""
    field, _, problem = str(error).removeprefix(f"{record.file}: {record.place}: ").partition(": ")
    return field, problem


def _read(record: Record, file: str, pictures: Path, findings: Findings) -> ImageEntry | None:
    while True:
        try:
            return read_image(record, pictures)
        except AnnotationError as error:
            field, problem = field_and_problem(error, record)
            code = _CODES.get(field, "image-field")
            findings.add(code, file, f"{record.place}: {field}", problem)
            rest = {key: value for key, value in record.content.items() if key not in field.split(", ")}
            if code == "image-field" or len(rest) == len(record.content):
                return None
            record = replace(record, content=rest)


def _note_flat_regions(record: Record, file: str, findings: Findings) -> None:
    regions = record.content.get("ignore_regions_x")
    if not isinstance(regions, list):
        return
    regions = regions if all(isinstance(region, list) for region in regions) else [regions]
    if flat := [region for region in regions if len(region) < 3]:
        place = f"{record.place}: ignore_regions_x, ignore_regions_y"
        findings.add("ignore-region-flat", file, place, f"{len(flat)} of {len(regions)} regions")


def _numbered(entries: list[ImageEntry], file: str, findings: Findings) -> dict[int, ImageRecord]:
    """The frames of videos with their numbers; those of a video with a number twice have none."""
    videos: dict[str, list[ImageEntry]] = {}
    for entry in entries:
        if entry.image.video is not None:
            videos.setdefault(entry.image.video, []).append(entry)
    found: dict[int, ImageRecord] = {}
    for video, shown in videos.items():
        try:
            images, differing = number_images(shown)
        except AnnotationError as error:
            place, field, problem = str(error).removeprefix(f"{file}: ").split(": ", 2)
            findings.add("frame-twice", file, f"{place}: {field}", problem)
            continue
        if differing:
            told = "frame_id and the numbers in file_name are not the same frames apart; frame_id is taken"
            findings.add("frame-differs", file, f"video {video}: frame_id", told)
        _check_count(video, shown, images, file, findings)
        found |= images
    return found


def _check_count(
    video: str, shown: list[ImageEntry], images: dict[int, ImageRecord], file: str, findings: Findings
) -> None:
    """Frames count from 0 in PoseTrack 2018 and from 1 in PoseTrack 2017, and some ids hold the video too."""
    numbers = [image.frame for image in images.values() if image.frame is not None]
    first = min(numbers, default=0)
    for entry in shown:
        frame, count = images[entry.image.id].frame, entry.record.content.get("nframes")
        if frame is None or isinstance(count, bool) or not isinstance(count, int):
            continue
        told = frame if 0 <= first <= count else frame - first
        if told > count:
            place = f"{entry.record.place}: nframes"
            findings.add("frame-number", file, place, f"frame {frame} of {count}")
