"""The annotated people of a file as metrics take them (the rules: docs/evaluation.md).

The file is read once, by the reader that training has. The public evaluator reads some fields in another way:
its points lie at x0 + dp_x * w / 255, and it stretches a mask over its box by `scipy.ndimage.zoom(mask,
(height / 256, width / 256), order=1)`. `public_zoom` is that to the last bit. It is linear, first pixel upon
first and last upon last, but for its rounding: pixel k of a side `length` px long is read at the 64-bit
product k * s, s = 255 / (length - 1) rounded once. Where (length - 1) * s comes out above 255, which it does
for 133 of the lengths up to 1,000 (12, 14, 23, 27, 32, 45, ...), the last pixel lies outside of the mask and
is 0: masks lose their last row or column there, and published scores are counted so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

import numpy as np

from slimdp.data.annotation_file import read_entries
from slimdp.data.person_entry import Outline, PersonEntry
from slimdp.data.rle import decode_polygons
from slimdp.evaluation.densepose_results import Detection
from slimdp.label_runs import LabelRuns
from slimdp.structures import ImageRecord, PersonAnnotation
from slimdp.surface.layout import PartLayout

#: The evaluator's scale of the box frame, where labels for training take 256 (slimdp/data/box_frame.py).
EVALUATION_FRAME = 255
#: A truth is dropped if a region to be ignored covers this share of its box, a detection of its mask.
COVERED_TRUTH, COVERED_DETECTION = 0.7, 0.9
#: A corner that is in the mask adds its bit: top left, top right, bottom left, bottom right.
_BITS = (1, 2, 4, 8)
_ALL = sum(_BITS)


@dataclass(frozen=True)
class DensePoints:
    """The annotated points of one person, where average precision looks them up."""

    places: np.ndarray  # (N, 2) float64 x, y, image px, in the scale of EVALUATION_FRAME
    part: np.ndarray  # (N,) int64, from 1 on
    uv: np.ndarray  # (N, 2) float32 in [0, 1]


@dataclass(frozen=True)
class GroundTruth:
    """One annotated person as average precision takes it."""

    id: int
    image_id: int
    box: np.ndarray  # (4,) float64 x, y, width, height, image px
    area: float  # px^2, as the file says it: of the person, not of the box
    crowd: bool
    points: DensePoints | None  # None: without dense pose, and so neither right nor wrong to detect
    draw_mask: Callable[[], ImageMask]

    @cached_property
    def mask(self) -> ImageMask:
        """The person's pixels, drawn when they are first looked at."""
        return self.draw_mask()


@dataclass(frozen=True)
class ImageTruth:
    """What is annotated in one image."""

    image: ImageRecord
    people: tuple[PersonAnnotation, ...]  # everybody, in the order of the file
    places: tuple[int, ...]  # of these people among all of the file
    instances: tuple[GroundTruth, ...]  # as average precision takes them, but for those that regions cover
    covered: tuple[GroundTruth, ...]  # those
    regions: IgnoreRegions


@dataclass(frozen=True)
class EvaluationSet:
    """The annotated people that predictions are scored on."""

    file: str  # for messages
    images: Mapping[int, ImageRecord]
    people: tuple[PersonAnnotation, ...]
    areas: tuple[float, ...]  # px^2, of these people
    instances: tuple[GroundTruth, ...] = ()  # but for those that a region to be ignored covers
    category_ids: frozenset[int] = frozenset()  # of people; empty where the file names none
    covered: tuple[GroundTruth, ...] = ()  # whom such regions cover

    @staticmethod
    def of(people: Sequence[PersonAnnotation]) -> EvaluationSet:
        """People that were read before; average precision cannot be measured on them."""
        images = {person.image.id: person.image for person in people}
        areas = tuple(float(person.box[2] * person.box[3]) for person in people)
        return EvaluationSet("annotations", images, tuple(people), areas)

    @cached_property
    def by_image(self) -> dict[int, ImageTruth]:
        """The truths by image id, in the order of the file, with an entry for every image."""
        places: dict[int, list[int]] = {image_id: [] for image_id in self.images}
        for place, person in enumerate(self.people):
            places[person.image.id].append(place)
        instances, covered = self._by_image(self.instances), self._by_image(self.covered)
        regions, by_image = IgnoreRegions(self.images), {}
        for image_id, image in self.images.items():
            people = tuple(self.people[place] for place in places[image_id])
            of_image = tuple(places[image_id]), tuple(instances[image_id]), tuple(covered[image_id])
            by_image[image_id] = ImageTruth(image, people, *of_image, regions)
        return by_image

    def _by_image(self, instances: Sequence[GroundTruth]) -> dict[int, list[GroundTruth]]:
        found: dict[int, list[GroundTruth]] = {image_id: [] for image_id in self.images}
        for instance in instances:
            found[instance.image_id].append(instance)
        return found

    def with_points(self) -> tuple[PersonAnnotation, ...]:
        """Those of the people with (u, v) points."""
        return tuple(person for person in self.people if person.has_uv.any())


def read_truths(
    path: str | os.PathLike[str],
    images_dir: str | os.PathLike[str] = "",
    check_images: bool = False,
    people: bool = True,
    layout: PartLayout | None = None,
) -> EvaluationSet:
    """Read a DensePose-COCO or PoseTrack file; other arguments and errors as of `read_annotations`.

    With `people` False average precision alone can be measured, as of DensePose results.
    """
    images, entries = read_entries(path, images_dir, check_images, layout=layout)
    regions = IgnoreRegions(images)
    everyone, areas, categories = [], [], set()
    instances: list[GroundTruth] = []
    covered: list[GroundTruth] = []
    for entry in entries:
        if people:
            everyone.append(entry.person())
        instance = _ground_truth(entry, drawn=not people)
        if people:
            areas.append(instance.area)
        if entry.record.has("category_id"):
            categories.add(entry.record.integer("category_id"))
        is_covered = regions.cover_truth(instance.image_id, instance.box)
        (covered if is_covered else instances).append(instance)
    found = tuple(everyone), tuple(areas), tuple(instances), frozenset(categories), tuple(covered)
    return EvaluationSet(str(path), images, *found)


def _ground_truth(entry: PersonEntry, drawn: bool) -> GroundTruth:
    """A person; `drawn`: the mask at once, which takes less memory than what it is drawn from."""
    # A rough box is that of a person without dense pose, who is neither right nor wrong to detect.
    box = entry.box if entry.record.has("bbox") else entry.place()[0]
    points = None
    if entry.frame_points is not None:
        frame_points, part, uv = entry.frame_points
        # A point that is known by its part alone is no truth to measure from.
        known = ~np.isnan(uv).any(axis=1)
        if known.any() or not known.size:
            if not known.all():
                frame_points, part, uv = frame_points[known], part[known], uv[known]
            points = DensePoints(frame_points * box[2:] / EVALUATION_FRAME + box[:2], part, uv)
    draw_mask: Callable[[], ImageMask]
    if entry.body is None:
        entry.outline.check()
        draw_mask = partial(_draw_outline, entry.outline)
    else:
        draw_mask = partial(resize_to_box, entry.body, box, entry.image)
    if drawn:
        mask = draw_mask()
        draw_mask = lambda: mask  # noqa: E731
    area = float(box[2] * box[3]) if entry.area is None else entry.area
    return GroundTruth(entry.id, entry.image.id, box, area, entry.crowd, points, draw_mask)


def _draw_outline(outline: Outline) -> ImageMask:
    mask = outline.draw()
    return _NO_MASK if mask is None else ImageMask.of(mask).cropped()


@dataclass(frozen=True)
class ImageMask:
    """Pixels of an image, kept as the rectangle that holds them."""

    x: int  # column of the rectangle's first pixel
    y: int  # row
    pixels: np.ndarray  # (h, w) bool
    count: int  # how many are set

    @staticmethod
    def of(pixels: np.ndarray, x: int = 0, y: int = 0) -> ImageMask:
        """A mask whose pixels (h, w) bool begin at column x, row y of the image."""
        return ImageMask(x, y, pixels, int(np.count_nonzero(pixels)))

    @property
    def rectangle(self) -> tuple[int, int, int, int]:
        """Its first column and row, and those past its last."""
        height, width = self.pixels.shape
        return self.x, self.y, self.x + width, self.y + height

    def cropped(self) -> ImageMask:
        """The same pixels in the smallest rectangle, copied."""
        rows, columns = np.flatnonzero(self.pixels.any(axis=1)), np.flatnonzero(self.pixels.any(axis=0))
        if not rows.size:
            return _NO_MASK
        held = self.pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
        return ImageMask(self.x + int(columns[0]), self.y + int(rows[0]), held, self.count)

    def shared(self, other: ImageMask) -> int:
        """How many pixels both masks have."""
        (mine_x0, mine_y0, mine_x1, mine_y1), (x0, y0, x1, y1) = self.rectangle, other.rectangle
        x0, y0, x1, y1 = max(x0, mine_x0), max(y0, mine_y0), min(x1, mine_x1), min(y1, mine_y1)
        if x0 >= x1 or y0 >= y1:
            return 0
        mine = self.pixels[y0 - self.y : y1 - self.y, x0 - self.x : x1 - self.x]
        others = other.pixels[y0 - other.y : y1 - other.y, x0 - other.x : x1 - other.x]
        return int(np.count_nonzero(mine & others))


_NO_MASK = ImageMask(0, 0, np.zeros((0, 0), dtype=bool), 0)


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
        corners = [region.ravel().tolist() for region in image.ignore_regions]
        return decode_polygons(corners, image.height, image.width)


def resize_to_box(mask: LabelRuns | np.ndarray, box: np.ndarray, image: ImageRecord) -> ImageMask:
    """A mask (256, 256) bool of the frame of a box (4,) xywh, px, in the image, which cuts it off: stretched
    by `public_zoom`, then put at the whole px of the box's corner (rule 5).
    """
    if isinstance(mask, LabelRuns):
        mask = mask.covered()
    x, y, width, height = (float(value) for value in box)
    rows, columns = _window(y, height, image.height), _window(x, width, image.width)
    shape = zoomed_length(height), zoomed_length(width)
    stretched = public_zoom(mask, *shape, rows - int(y), columns - int(x))
    return ImageMask.of(stretched, max(int(x), 0), max(int(y), 0)).cropped()


def place_in_image(pixels: np.ndarray, box: np.ndarray, image: ImageRecord) -> ImageMask:
    """A detection's mask (H, W) bool in the image, at the whole px of the box's corner (rule 5)."""
    x, y, width, height = (float(value) for value in box)
    rows, columns = _window(y, height, image.height) - int(y), _window(x, width, image.width) - int(x)
    if not len(columns) or not len(rows):
        return _NO_MASK
    kept = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return ImageMask.of(kept, max(int(x), 0), max(int(y), 0))


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


def zoomed_length(side_px: float) -> int:
    """Pixels of a mask stretched to a box `side_px` long: rounded, a half to the even number, at least 1."""
    return round(max(side_px, 1))


def public_zoom(
    mask: np.ndarray, height: int, width: int, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """Where a mask, stretched as the public evaluator does it, exceeds 0.5.

    Of a mask (M, N) bool, two pixels a side at least, stretched to `height` x `width` px (`zoomed_length`),
    (R, C) bool: its rows (R,) int64 in 0.. and columns (C,); those from `height` or `width` on are False.
    """
    row, down, row_inside = _places(rows, height, len(mask))
    column, across, column_inside = _places(columns, width, mask.shape[1])
    # What is read past the last pixel counts with a weight of 0.
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge").view(np.uint8)
    corners = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    code = sum(corner * np.uint8(bit) for corner, bit in zip(corners, _BITS))
    found = code[row][:, column]
    above = found == _ALL
    # Elsewhere the four corners agree; here they are weighed, in the order of the library's sum.
    j, i = np.nonzero((found > 0) & ~above)
    weights = [y[j] * x[i] for y in (1 - down, 1 - (1 - down)) for x in (1 - across, 1 - (1 - across))]
    total = np.zeros(len(j))
    for weight, bit in zip(weights, _BITS):
        total += np.where(found[j, i] & bit, weight, 0.0)
    above[j, i] = total > 0.5
    above[~row_inside] = False
    above[:, ~column_inside] = False
    return above


def _places(indices: np.ndarray, length: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of pixels (K,) of a stretched side: the pixel before each, the share past it, whether it is inside."""
    step = (size - 1) / (length - 1) if length > 1 else 1.0
    place = indices * step
    inside = (indices < length) & (place <= size - 1)
    place = np.where(inside, place, 0.0)
    before = np.floor(place)
    return before.astype(np.int64), place - before, inside
