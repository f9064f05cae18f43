"""The annotated people of a file as average precision takes them (the rules: docs/evaluation.md).

Training reads the same files into `PersonAnnotation`; the public evaluator reads other things from them, and
in another scale: its points lie at x0 + dp_x * w / 255.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from slimdp.data.coco import PersonEntry, read_entries
from slimdp.data.person import (
    read_area,
    read_body_mask,
    read_box,
    read_frame_points,
    read_outline,
    read_person,
)
from slimdp.data.rle import decode_polygons
from slimdp.evaluation.instances import DensePoints, Detection, GroundTruth, ImageMask
from slimdp.evaluation.public_zoom import public_zoom, zoomed_length
from slimdp.structures import ImageRecord, PersonAnnotation
from slimdp.surface.layout import PartLayout

#: The evaluator's scale of the box frame, where labels for training take 256 (slimdp/data/box_frame.py).
EVALUATION_FRAME = 255
#: A truth is dropped if a region to be ignored covers this share of its box, a detection of its mask.
COVERED_TRUTH, COVERED_DETECTION = 0.7, 0.9


@dataclass(frozen=True)
class GroundTruthFile:
    """The truths of an annotation file, without those that a region to be ignored covers."""

    path: Path
    images: Mapping[int, ImageRecord]
    truths: tuple[GroundTruth, ...]
    category_ids: frozenset[int]  # of people; empty where the file names none
    regions: IgnoreRegions
    areas: Mapping[tuple[int, int], float]  # px^2 by image id and annotation id, of everybody in the file

    def by_image(self) -> dict[int, list[GroundTruth]]:
        """Truths by image id, with an entry for every image."""
        groups: dict[int, list[GroundTruth]] = {image_id: [] for image_id in self.images}
        for truth in self.truths:
            groups[truth.image_id].append(truth)
        return groups


class IgnoreRegions:
    """The parts of PoseTrack's images where people are not annotated."""

    def __init__(self, images: Mapping[int, ImageRecord]) -> None:
        self._images = images
        # Pictures are large and come in order: a few are kept.
        self._drawn = lru_cache(maxsize=4)(self._draw)

    def cover_truth(self, image_id: int, box: np.ndarray) -> bool:
        """Whether regions cover 0.7 of a truth's box (4,) xywh, in whole px; none there counts as covered."""
        region = self._drawn(image_id)
        if region is None:
            return False
        width, height = (int(value) for value in box[2:])
        if width * height == 0:
            return True
        return bool(np.count_nonzero(_under(region, box)) / width / height >= COVERED_TRUTH)

    def cover_detection(self, detection: Detection) -> bool:
        """Whether regions cover 0.9 of a detection's mask; a box of no whole px counts as covered.

        A map that is not all inside of the picture is never covered: the public evaluator compares it with
        what of the regions lies under it, a mask of another size.
        """
        region = self._drawn(detection.image_id)
        if region is None:
            return False
        if int(detection.box[2]) * int(detection.box[3]) == 0:
            return True
        under, mask = _under(region, detection.box), detection.iuv[0] > 0
        pixels = np.count_nonzero(mask)
        if under.shape != mask.shape or not pixels:
            return False
        return bool(np.count_nonzero(mask & under) / pixels >= COVERED_DETECTION)

    def _draw(self, image_id: int) -> np.ndarray | None:
        image = self._images[image_id]
        if not image.ignore_regions:
            return None
        return decode_polygons(
            [region.ravel().tolist() for region in image.ignore_regions], image.height, image.width
        )


def read_truths(path: str | Path, layout: PartLayout | None = None) -> GroundTruthFile:
    """Read the people of a DensePose-COCO or PoseTrack file; no picture is looked at.

    The layout is as for `read_annotations`.

    Raises:
        AnnotationError: naming the file, the image or annotation, and the field.
    """
    return _read(path, None, layout)


def read_truths_and_people(
    path: str | Path, layout: PartLayout | None = None
) -> tuple[GroundTruthFile, tuple[PersonAnnotation, ...]]:
    """The same, and everybody as training takes them, from one look at the file."""
    people: list[PersonAnnotation] = []
    return _read(path, people, layout), tuple(people)


def _read(
    path: str | Path, people: list[PersonAnnotation] | None, layout: PartLayout | None
) -> GroundTruthFile:
    images, entries = read_entries(path, layout=layout)
    regions = IgnoreRegions(images)
    truths, categories, areas = [], set(), {}
    for entry in entries:
        truth = _truth(entry)
        if people is not None:
            people.append(read_person(entry.record, entry.image, entry.category, read_mask=False))
        if entry.record.has("category_id"):
            categories.add(entry.record.integer("category_id"))
        areas[truth.image_id, truth.id] = truth.area
        if not regions.cover_truth(truth.image_id, truth.box):
            truths.append(truth)
    return GroundTruthFile(Path(path), images, tuple(truths), frozenset(categories), regions, areas)


def resize_to_box(mask: np.ndarray, box: np.ndarray, image: ImageRecord) -> ImageMask:
    """A mask (256, 256) bool of the box frame in the image: stretched by `public_zoom`, then put at the whole
    px of the box's corner (rule 5).

    Args:
        mask: over the box.
        box: (4,) xywh, image px.
        image: what lies outside of it is cut off.
    """
    x, y, width, height = (float(value) for value in box)
    columns = _window(x, width, image.width)
    rows = _window(y, height, image.height)
    if not len(columns) or not len(rows):
        return ImageMask.empty()
    stretched = public_zoom(
        mask, zoomed_length(height), zoomed_length(width), rows - int(y), columns - int(x)
    )
    return ImageMask.of(stretched, int(columns[0]), int(rows[0])).cropped()


def place_in_image(pixels: np.ndarray, box: np.ndarray, image: ImageRecord) -> ImageMask:
    """A detection's mask (H, W) bool in the image, at the whole px of the box's corner (rule 5)."""
    x, y, width, height = (float(value) for value in box)
    columns, rows = _window(x, width, image.width), _window(y, height, image.height)
    if not len(columns) or not len(rows):
        return ImageMask.empty()
    kept = pixels[rows[0] - int(y) : rows[-1] + 1 - int(y), columns[0] - int(x) : columns[-1] + 1 - int(x)]
    return ImageMask.of(kept, int(columns[0]), int(rows[0]))


def _truth(entry: PersonEntry) -> GroundTruth:
    record, image = entry.record, entry.image
    box = read_box(record)
    found = read_frame_points(record, entry.category.layout)
    points = None
    # A point that is known by its part alone is no truth to measure from.
    known = np.zeros(0, dtype=bool) if found is None else ~np.isnan(found[2]).any(axis=1)
    if found is not None and (known.any() or not known.size):
        frame_points, part, uv = (values[known] for values in found)
        points = DensePoints(frame_points * box[2:] / EVALUATION_FRAME + box[:2], part, uv)
    area = read_area(record)
    return GroundTruth(
        id=entry.id,
        image_id=image.id,
        box=box,
        area=float(box[2] * box[3]) if area is None else area,
        crowd=record.flag("iscrowd", False),
        points=points,
        mask=_mask(entry, box),
    )


def _mask(entry: PersonEntry, box: np.ndarray) -> ImageMask:
    body = read_body_mask(entry.record, entry.category.layout)
    if body is not None:
        return resize_to_box(body, box, entry.image)
    outline = read_outline(entry.record, entry.image)
    return ImageMask.empty() if outline is None else ImageMask.of(outline).cropped()


def _under(region: np.ndarray, box: np.ndarray) -> np.ndarray:
    """What of a region (H, W) lies under a box (4,) xywh, as the public evaluator slices it.

    A negative corner counts from the far side, so that a box which begins outside of the picture has nothing
    or a strip of that side under it.
    """
    x, y, width, height = (int(value) for value in box)
    return region[y : min(y + height, region.shape[0]), x : min(x + width, region.shape[1])]


def _window(start: float, length: float, limit: int) -> np.ndarray:
    """The px of an image `limit` px long that a box from `start` on covers."""
    return np.arange(min(max(int(start), 0), limit), max(min(int(start + length), limit), 0))
