"""Writing annotation files in DensePose-COCO form, with PoseTrack's fields for the frames of videos.

Beside the public fields a person may have six of ours: `dp_source`, `dp_step` and `dp_confidence`, a number
a point (see `LabelSource` and `PersonAnnotation`), `dp_propagated` where flow brought the labels,
`dp_ignore`, the pixels of the box frame without a known coarse label, and `box_source`, a `BoxSource` where
nobody drew the box. A point that is known by its part
alone has null in `dp_U` and `dp_V`. A category that is not cut into parts as people are has `dp_layout`, a
`PartLayout`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from flow_cache.coco import AnnotationError
from flow_cache.runtime.atomic import atomic_write, write_text
from flow_cache.runtime.json_file import read_json
from slimdp.data.box_frame import FRAME, beyond_box, frame_from_image
from slimdp.data.rle import encode_rle
from slimdp.structures import IGNORE, BoxSource, ImageRecord, PersonAnnotation
from slimdp.surface.layout import PartLayout
from slimdp.surface.people import PEOPLE

#: Ids of a picture and a person -> the fields `segmentation` and `area`, as far as a file has them.
Outlines = Mapping[tuple[int, int], Mapping[str, Any]]


def write_annotations(
    path: str | os.PathLike[str],
    images: Sequence[ImageRecord],
    people: Sequence[PersonAnnotation],
    outlines: Outlines | None = None,
) -> None:
    """Write records so that `read_annotations` gives them back; all of the file or nothing.

    `images` may be more than those of the people; `outlines` are of people without a `mask`, as
    `read_outlines` has them from another file. Raises AnnotationError naming the person and the field that
    the format cannot hold.
    """
    path = Path(path)
    known = {image.id for image in images}
    kinds = {(person.layout, person.keypoint_names) for person in people} or {(PEOPLE, ())}
    categories = sorted(kinds, key=lambda kind: (kind[0].category, kind[1]))
    annotations = []
    for person in people:
        if person.image.id not in known:
            absent = f"image {person.image.id} is not in `images`"
            raise AnnotationError(f"{path}: annotation {person.id}: {absent}")
        entry = _person_entry(path, person, 1 + categories.index((person.layout, person.keypoint_names)))
        if person.mask is None and outlines is not None:
            entry |= outlines.get((person.image.id, person.id), {})
        annotations.append(entry)
    content = {
        "info": {"description": "DensePose-COCO annotations", "dp_frame": FRAME},
        "images": [_image_entry(image) for image in images],
        "annotations": annotations,
        "categories": [_category_entry(number, *kind) for number, kind in enumerate(categories, start=1)],
    }
    write_text(path, json.dumps(content, allow_nan=False))


def _category_entry(identity: int, layout: PartLayout, keypoints: Sequence[str]) -> dict[str, Any]:
    name = layout.category
    entry = {"id": identity, "name": name, "supercategory": name, "keypoints": list(keypoints)}
    return entry if layout == PEOPLE else entry | {"dp_layout": layout.as_json()}


def _image_entry(image: ImageRecord) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": image.id, "file_name": image.file_name}
    entry |= {"width": image.width, "height": image.height, "is_labeled": image.labelled}
    if image.video is not None:
        entry |= {"vid_id": image.video, "has_no_densepose": not image.labelled}
        if image.frame is not None:
            entry["frame_id"] = image.frame
    if image.ignore_regions:
        entry["ignore_regions_x"] = [region[:, 0].tolist() for region in image.ignore_regions]
        entry["ignore_regions_y"] = [region[:, 1].tolist() for region in image.ignore_regions]
    return entry


def _person_entry(path: Path, person: PersonAnnotation, category: int) -> dict[str, Any]:
    box = person.box
    entry: dict[str, Any] = {
        "id": person.id,
        "image_id": person.image.id,
        "category_id": category,
        "bbox": box.tolist(),
        "area": _area(person),
        "iscrowd": int(person.crowd),
        "segmentation": [] if person.mask is None else encode_rle(person.mask),
    }
    if person.box_source != BoxSource.ANNOTATOR:
        entry["box_source"] = int(person.box_source)
    if person.propagated:
        entry["dp_propagated"] = 1
    if person.track is not None:
        entry["track_id"] = person.track
    if person.keypoints is not None:
        entry["keypoints"] = person.keypoints.ravel().tolist()
        entry["num_keypoints"] = int((person.keypoints[:, 2] > 0).sum())
    if len(person.points):
        entry |= _point_fields(path, person)
    if person.coarse is not None:
        coarse = np.asfortranarray(person.coarse)  # runs go down the columns
        parts = [coarse == label for label in range(1, 1 + len(person.layout.coarse_parts))]
        entry["dp_masks"] = [encode_rle(part) if part.any() else [] for part in parts]
        if (coarse == IGNORE).any():
            entry["dp_ignore"] = encode_rle(coarse == IGNORE)
    return entry


def _area(person: PersonAnnotation) -> float:
    """As it was said, else of the outline, else of the box: COCO's tools want everybody's."""
    if person.area is not None:
        return person.area
    return float(person.box[2] * person.box[3]) if person.mask is None else int(person.mask.sum())


def _point_fields(path: Path, person: PersonAnnotation) -> dict[str, list[Any]]:
    frame_points = frame_from_image(person.points, person.box)
    outside = np.flatnonzero(beyond_box(person.points, person.box))
    if outside.size:
        point = f"point {outside[0]} at {person.points[outside[0]].tolist()} px"
        place = f"{path}: annotation {person.id} of image {person.image.id}"
        raise AnnotationError(f"{place}: points: {point} lies outside the box {person.box.tolist()}")
    x, y = frame_points.clip(0, FRAME).T.tolist()
    u, v = ([None if np.isnan(value) else value for value in row] for row in person.uv.T.tolist())
    fields = {"dp_x": x, "dp_y": y, "dp_I": person.part.tolist(), "dp_U": u, "dp_V": v}
    if person.source.any():
        fields["dp_source"] = person.source.tolist()
    if person.step.any():
        fields["dp_step"] = person.step.tolist()
    if person.confidence is not None:
        fields["dp_confidence"] = person.confidence.tolist()
    return fields


def join_annotation_files(path: str | os.PathLike[str], parts: Sequence[Path]) -> None:
    """Write one annotation file with the images and people of several, in their order, ids as they are.

    It appears whole or not at all. The parts are files of `write_annotations`; AnnotationError where people
    have other keypoints than those before.
    """
    path = Path(path)
    if not parts:
        write_annotations(path, [], [])
        return
    categories: list[Any] = []
    for part in parts:
        content = _load(part)
        if not content["annotations"]:
            continue  # a part without people knows no keypoints
        found = content["categories"]
        if categories and found != categories:
            problem = f"categories {found}, but people before have {categories}"
            raise AnnotationError(f"{part}: {problem}; files with different keypoints cannot be joined")
        categories = found
    first = _load(parts[0])
    with atomic_write(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(f'{{"info": {json.dumps(first["info"])}')
        for field in ("images", "annotations"):
            file.write(f', "{field}": ')
            separator = "["
            for item in chain.from_iterable(_load(part)[field] for part in parts):
                file.write(separator + json.dumps(item, allow_nan=False))
                separator = ", "
            file.write("[]" if separator == "[" else "]")
        file.write(f', "categories": {json.dumps(categories or first["categories"])}}}')


def _load(part: Path) -> Any:
    return read_json(part, "annotation file", AnnotationError)
