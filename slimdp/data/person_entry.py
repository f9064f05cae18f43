"""One entry of `annotations` in a DensePose-COCO or PoseTrack file (docs/data.md), field by field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from flow_cache.coco import FARTHEST_PX, LEAST_PX, ROUNDING, Record
from slimdp.data import rle
from slimdp.data.box_frame import FRAME, image_from_frame
from slimdp.label_runs import LabelRuns
from slimdp.structures import IGNORE, BoxSource, ImageRecord, LabelSource, PersonAnnotation
from slimdp.surface.layout import PartLayout
from slimdp.surface.people import PEOPLE

#: What is added to the extent of the keypoints at each end: PoseTrack's own boxes are made so.
KEYPOINT_MARGIN = 0.15
#: MPII's scale is the person's height in units of this (px).
MPII_UNIT_PX = 200.0
#: MPII's centre lies above the middle of the person, by this much at scale 1 (px).
MPII_LIFT_PX = 15.0


@dataclass(frozen=True)
class CategoryLabels:
    """What the labels of a category speak of."""

    keypoint_names: tuple[str, ...] = ()
    layout: PartLayout = PEOPLE


@dataclass(frozen=True)
class PersonEntry:
    """One person as the file has it; each field is read, and checked, when it is first asked for.

    Errors are AnnotationError, naming the file, the annotation and the field.
    """

    record: Record
    image: ImageRecord
    category: CategoryLabels = CategoryLabels()

    @cached_property
    def id(self) -> int:
        """Unique in a picture only: some public files repeat them."""
        return self.record.integer("id")

    @property
    def is_flat(self) -> bool:
        """Whether nothing can be made of the person, for `bbox` is sound but has no extent: COCO has some."""
        return self.record.has("bbox") and bool((self._sound_box[2:] < LEAST_PX).any())

    @property
    def box(self) -> np.ndarray:
        """`bbox` (4,) x, y, width, height, image px; it has an area."""
        box = self._sound_box
        if (box[2:] < LEAST_PX).any():
            size = f"{box[2]:g} x {box[3]:g}"
            raise self.record.error("bbox", f"a width and height of {size}, but both must be positive")
        return box

    @cached_property
    def _sound_box(self) -> np.ndarray:
        return self.record.sound_box()

    @cached_property
    def area(self) -> float | None:
        """`area`, px^2; None where it is missing, as in PoseTrack's own files."""
        if not self.record.has("area"):
            return None
        (area,) = self.record.as_numbers("area", [self.record.get("area")]).tolist()
        if not 0 <= area <= FARTHEST_PX**2:
            wanted = "0 px or more, and no more than any picture has, are wanted"
            raise self.record.error("area", f"{area:g}, but {wanted}")
        return area

    @property
    def crowd(self) -> bool:
        """Whether a box holds many people."""
        return self.record.flag("iscrowd", False)

    @cached_property
    def frame_points(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Points (N, 2) x, y in the 256 px frame of the box, part (N,), uv (N, 2); None without `dp_x`.

        A point whose u and v are null is known by its part alone: uv is NaN.
        """
        record = self.record
        if not record.has("dp_x"):
            return None
        x = record.in_range("dp_x", 0, FRAME, slack=ROUNDING)
        count = len(x)
        y = record.in_range("dp_y", 0, FRAME, count, slack=ROUNDING)
        part = record.whole_in_range("dp_I", 1, len(self.category.layout.parts), count)
        u = record.in_range_or_null("dp_U", 0, 1, count, slack=ROUNDING)
        v = record.in_range_or_null("dp_V", 0, 1, count, slack=ROUNDING)
        alone = np.flatnonzero(np.isnan(u) != np.isnan(v))
        if alone.size:
            raise record.error("dp_U, dp_V", f"entry {alone[0]} is null in one of them alone")
        return np.stack([x, y], axis=1), part, np.stack([u, v], axis=1).astype(np.float32)

    @cached_property
    def coarse(self) -> LabelRuns | None:
        """The coarse mask (256, 256) over the box: 0..C, IGNORE where unknown; None without `dp_masks`.

        A single binary mask says where the person is, not which part.
        """
        record = self.record
        if not record.has("dp_masks"):
            return None
        masks = _frame_masks(record, self.category.layout)
        single = isinstance(record.get("dp_masks"), dict)
        # A later mask covers an earlier one.
        labels = [IGNORE if single else int(name[len("dp_masks[") : -1]) + 1 for name, _ in masks]
        if record.has("dp_ignore") and not single:  # ours: pixels whose label is not known
            masks = [*masks, _named_mask(record, "dp_ignore", record.get("dp_ignore"))]
            labels.append(IGNORE)
        try:
            return rle.label_runs([mask for _, mask in masks], labels, FRAME, FRAME)
        except ValueError as error:
            raise _name_mask(record, masks, error) from error

    @cached_property
    def body(self) -> LabelRuns | np.ndarray | None:
        """Where any of `dp_masks` is: (256, 256) over the box, not 0 there; None without `dp_masks`.

        It is `coarse` where that was read before, but for pixels to be ignored, which may cover the masks.
        """
        if not self.record.has("dp_masks"):
            return None
        if "coarse" in self.__dict__ and not self.record.has("dp_ignore"):
            return self.coarse
        masks = _frame_masks(self.record, self.category.layout)
        try:
            return rle.decode_rle_union([mask for _, mask in masks], FRAME, FRAME)
        except ValueError as error:
            raise _name_mask(self.record, masks, error) from error

    @cached_property
    def keypoints(self) -> np.ndarray | None:
        """(K, 3) float64 x, y image px, visibility."""
        if not self.record.has("keypoints"):
            return None
        keypoints, names = self.record.pixels("keypoints"), self.category.keypoint_names
        if len(keypoints) % 3 or (names and len(keypoints) != 3 * len(names)):
            wanted = f"3 x {len(names)}" if names else "a multiple of 3"
            raise self.record.error("keypoints", f"{len(keypoints)} numbers, but {wanted} are wanted")
        seen = keypoints[2::3]
        if not ((seen == 0) | (seen == 1) | (seen == 2)).all():
            raise self.record.error("keypoints", "a visibility that is not 0, 1 or 2")
        return keypoints.reshape(-1, 3)

    @property
    def outline(self) -> Outline:
        """`segmentation`, not drawn."""
        return Outline(self.record, self.image)

    def person(self, draw_mask: bool = False) -> PersonAnnotation:
        """The person as training takes it: N = 0 without points, a rough box (`BoxSource`) without a box."""
        box, box_source = self.place()
        labels = self._points(box)
        return PersonAnnotation(
            id=self.id, image=self.image, box=box, **labels,
            track=self.record.integer("track_id") if self.record.has("track_id") else None,
            coarse=self.coarse,  # type: ignore[arg-type]
            keypoints=self.keypoints, keypoint_names=self.category.keypoint_names,
            mask=self.outline.draw() if draw_mask else None, crowd=self.crowd, box_source=box_source,
            layout=self.category.layout, propagated=self.record.flag("dp_propagated", False),
            area=self.area,
        )  # fmt: skip

    def place(self) -> tuple[np.ndarray, BoxSource]:
        """The box (4,) as given, else around the keypoints, else from MPII's centre and scale."""
        record, keypoints = self.record, self.keypoints
        if record.has("bbox"):
            given = record.integer("box_source") if record.has("box_source") else 0
            if given not in list(BoxSource):
                raise record.error("box_source", f"{given}, but {min(BoxSource)}..{max(BoxSource)} is wanted")
            return self.box, BoxSource(given)
        if record.has("dp_x") or record.has("dp_masks"):
            raise record.error("bbox", "missing, but points and masks lie in its frame")
        around = None if keypoints is None else box_around_keypoints(keypoints)
        if around is not None:
            return around, BoxSource.KEYPOINTS
        if not (record.has("center") and record.has("scale")):
            raise record.error("bbox", "missing; give it, or two labelled keypoints, or center and scale")
        scale = record.as_numbers("scale", [record.get("scale")])[0]
        if scale <= 0:
            raise record.error("scale", f"{scale:g}, but the height of the person over 200 px is wanted")
        if scale > FARTHEST_PX / MPII_UNIT_PX:
            raise record.error("scale", f"{scale:g}, a person of more than {FARTHEST_PX:,.0f} px")
        return box_from_centre(record.pixels("center", 2), scale), BoxSource.CENTRE

    def _points(self, box: np.ndarray) -> dict[str, Any]:
        """What `PersonAnnotation` has of N points, by name: N = 0 without any."""
        none = np.zeros((0, 2)), np.zeros(0, dtype=np.int64), np.zeros((0, 2), dtype=np.float32)
        at, part, uv = self.frame_points or none
        record, count = self.record, len(part)
        zeros = np.zeros(count, dtype=np.int64)
        zeros.setflags(write=False)  # one array for both
        labels = {"points": image_from_frame(at, box), "part": part, "uv": uv, "source": zeros, "step": zeros}
        if self.frame_points is None:
            return labels
        # These three are ours: absent in files of annotators.
        if record.has("dp_source"):
            labels["source"] = record.whole_in_range("dp_source", min(LabelSource), max(LabelSource), count)
        if record.has("dp_step"):
            labels["step"] = record.whole_in_range("dp_step", -(2**31), 2**31, count)
        if record.has("dp_confidence"):
            trust = record.in_range("dp_confidence", 0, 1, count, slack=ROUNDING)
            labels["confidence"] = trust.astype(np.float32)
        return labels


class Outline:
    """A person's `segmentation`: polygons, a run-length mask, or nothing usable; no pixel is drawn yet."""

    def __init__(self, record: Record, image: ImageRecord) -> None:
        # The rest of the entry is let go.
        self._record = record.alone("segmentation")
        self._height, self._width = image.height, image.width

    def check(self) -> None:
        """Raise AnnotationError as `draw` would, without drawing."""
        self._given_to(lambda mask, *size: rle.read_runs([mask], *size), rle.check_polygons)

    def draw(self) -> np.ndarray | None:
        """Drawn into the image, (height, width) bool; None where no usable outline is given."""
        return self._given_to(rle.decode_rle, rle.decode_polygons)

    def _given_to(self, read_mask: Callable[..., Any], read_polygons: Callable[..., Any]) -> Any:
        """What one of the two makes of the outline and the image's size; None without a usable outline."""
        record = self._record
        outline = record.content.get("segmentation")
        if outline in (None, [], {}):
            return None
        if not isinstance(outline, dict | list):
            found = type(outline).__name__
            raise record.error("segmentation", f"a {found}, but polygons or a mask are wanted")
        if isinstance(outline, list):
            outline = [record.as_numbers("segmentation", polygon).tolist() for polygon in outline]
        read = read_mask if isinstance(outline, dict) else read_polygons
        try:
            return read(outline, self._height, self._width)
        except ValueError as error:
            raise record.error("segmentation", str(error)) from error


def _frame_masks(record: Record, layout: PartLayout) -> list[tuple[str, dict[str, Any]]]:
    """The masks of `dp_masks` that show something, each with its name for errors.

    Coarse part by coarse part, as dp_masks[0] and so on; a single mask of the whole person is alone.
    """
    masks, most = record.get("dp_masks"), len(layout.coarse_parts)
    if isinstance(masks, dict):
        return [("dp_masks", masks)]
    if not isinstance(masks, list) or len(masks) > most:
        raise record.error("dp_masks", f"a list of at most {most} masks, or one mask, is wanted")
    shown = [(f"dp_masks[{place}]", mask) for place, mask in enumerate(masks) if mask not in ([], {}, None)]
    return [_named_mask(record, name, mask) for name, mask in shown]


def _named_mask(record: Record, name: str, mask: object) -> tuple[str, dict[str, Any]]:
    if not isinstance(mask, dict):
        raise record.error(name, f"a {type(mask).__name__}, but a run-length mask is wanted")
    return name, mask


def _name_mask(record: Record, masks: list[tuple[str, dict[str, Any]]], error: ValueError) -> ValueError:
    """The error of several masks that were read at once, with the one at fault named."""
    for name, mask in masks:
        try:
            rle.read_runs([mask], FRAME, FRAME)
        except ValueError as alone:
            return record.error(name, str(alone))
    return record.error("dp_masks", str(error))


def box_around_keypoints(keypoints: np.ndarray) -> np.ndarray | None:
    """The box (4,) xywh of the labelled ones of keypoints (K, 3) x, y px, visibility, with a margin.

    None where they have no extent: fewer than two, or all in one row or column.
    """
    labelled = keypoints[keypoints[:, 2] > 0, :2]
    if not len(labelled) or not (extent := np.ptp(labelled, axis=0)).all():
        return None
    low = labelled.min(axis=0)
    return np.concatenate([low - KEYPOINT_MARGIN * extent, (1 + 2 * KEYPOINT_MARGIN) * extent])


def box_from_centre(centre: np.ndarray, scale: float) -> np.ndarray:
    """The square (4,) xywh px, as wide as the person is tall, of MPII's centre (2,) x, y px and scale."""
    side = MPII_UNIT_PX * scale
    middle = np.asarray(centre, dtype=np.float64) + [0, MPII_LIFT_PX * scale]
    # The box covers pixels x .. x + side - 1, so the middle of their centres is half a pixel less.
    return np.array([*(middle - (side - 1) / 2), side, side])
