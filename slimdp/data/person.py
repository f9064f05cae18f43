"""One entry of `annotations` in a DensePose-COCO or PoseTrack file, as a record (docs/data.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from flow_cache.coco import FARTHEST_PX, LEAST_PX
from slimdp.data.box_frame import FRAME, image_from_frame
from slimdp.data.boxes import MPII_UNIT_PX, box_around_keypoints, box_from_centre
from slimdp.data.rle import (
    check_polygons,
    decode_polygons,
    decode_rle,
    decode_rle_union,
    label_runs,
    read_runs,
)
from slimdp.data.validate import ROUNDING, AnnotationError, Record
from slimdp.label_runs import LabelRuns
from slimdp.structures import (
    IGNORE,
    BoxSource,
    ImageRecord,
    LabelSource,
    PersonAnnotation,
)
from slimdp.surface.layout import PartLayout
from slimdp.surface.people import PEOPLE


@dataclass(frozen=True)
class CategoryLabels:
    """What the labels of a category speak of."""

    keypoint_names: tuple[str, ...] = ()
    layout: PartLayout = PEOPLE


def read_person(
    record: Record, image: ImageRecord, category: CategoryLabels, read_mask: bool
) -> PersonAnnotation:
    """Read one person; raises AnnotationError naming the field. A person without points gets N = 0.

    A person without a box gets a rough one (`BoxSource`).
    """
    keypoints = _read_keypoints(record, category.keypoint_names)
    box, box_source = _place(record, keypoints)
    points, part, uv, source, step, confidence = _read_points(record, box, category.layout)
    read_area(record)
    return PersonAnnotation(
        id=record.integer("id"),
        image=image,
        box=box,
        points=points,
        part=part,
        uv=uv,
        source=source,
        step=step,
        track=record.integer("track_id") if record.has("track_id") else None,
        coarse=_read_coarse(record, category.layout),
        keypoints=keypoints,
        keypoint_names=category.keypoint_names,
        mask=read_outline(record, image) if read_mask else None,
        crowd=record.flag("iscrowd", False),
        confidence=confidence,
        box_source=box_source,
        layout=category.layout,
    )


def _place(record: Record, keypoints: np.ndarray | None) -> tuple[np.ndarray, BoxSource]:
    """The box (4,) xywh image px: as given, else around the keypoints, else from MPII's centre and scale."""
    if record.has("bbox"):
        given = record.integer("box_source") if record.has("box_source") else 0
        if given not in list(BoxSource):
            raise record.error("box_source", f"{given}, but {min(BoxSource)}..{max(BoxSource)} is wanted")
        return read_box(record), BoxSource(given)
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


def is_left_out(record: Record) -> bool:
    """Whether nothing can be made of a person, for the `bbox` is sound but has no extent: COCO has some.

    Raises:
        AnnotationError: the box is not sound.
    """
    return record.has("bbox") and bool((_read_sound_box(record)[2:] < LEAST_PX).any())


def read_box(record: Record) -> np.ndarray:
    """The box (4,) x, y, width, height, image px; raises AnnotationError unless it has an area."""
    box = _read_sound_box(record)
    if (box[2:] < LEAST_PX).any():
        raise record.error(
            "bbox", f"a width and height of {box[2]:g} x {box[3]:g}, but both must be positive"
        )
    return box


def _read_sound_box(record: Record) -> np.ndarray:
    box = record.pixels("bbox", 4)
    if (box[2:] < 0).any():
        raise record.error(
            "bbox", f"a width and height of {box[2]:g} x {box[3]:g}, but none must be negative"
        )
    return box


def read_area(record: Record) -> float | None:
    """`area`, px^2; None where it is missing, as in PoseTrack's own files."""
    if not record.has("area"):
        return None
    (area,) = record.as_numbers("area", [record.get("area")]).tolist()
    if not 0 <= area <= FARTHEST_PX**2:
        raise record.error(
            "area", f"{area:g}, but 0 px or more, and no more than any picture has, are wanted"
        )
    return float(area)


def read_frame_points(record: Record, layout: PartLayout) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Points (N, 2) x, y in the 256 px frame of the box, part (N,), uv (N, 2); None without `dp_x`.

    A point whose u and v are null is known by its part alone: uv is NaN.
    """
    if not record.has("dp_x"):
        return None
    x = record.in_range("dp_x", 0, FRAME, slack=ROUNDING)
    count = len(x)
    y = record.in_range("dp_y", 0, FRAME, count, slack=ROUNDING)
    part = record.whole_in_range("dp_I", 1, len(layout.parts), count)
    u = record.in_range_or_null("dp_U", 0, 1, count, slack=ROUNDING)
    v = record.in_range_or_null("dp_V", 0, 1, count, slack=ROUNDING)
    alone = np.flatnonzero(np.isnan(u) != np.isnan(v))
    if alone.size:
        raise record.error("dp_U, dp_V", f"entry {alone[0]} is null in one of them alone")
    return np.stack([x, y], axis=1), part, np.stack([u, v], axis=1).astype(np.float32)


def _read_points(record: Record, box: np.ndarray, layout: PartLayout) -> tuple[Any, ...]:
    """Points (N, 2) image px, part (N,), uv (N, 2), source (N,), step (N,), confidence (N,) or None."""
    found = read_frame_points(record, layout)
    if found is None:
        empty = np.zeros(0, dtype=np.int64)
        return np.zeros((0, 2)), empty, np.zeros((0, 2), dtype=np.float32), empty.copy(), empty.copy(), None
    points, part, uv = found
    zeros = np.zeros(len(part), dtype=np.int64)
    zeros.setflags(write=False)  # one array for both
    # These three are ours: absent in files of annotators.
    source, step, confidence = zeros, zeros, None
    if record.has("dp_source"):
        source = record.whole_in_range("dp_source", min(LabelSource), max(LabelSource), len(part))
    if record.has("dp_step"):
        step = record.whole_in_range("dp_step", -(2**31), 2**31, len(part))
    if record.has("dp_confidence"):
        confidence = record.in_range("dp_confidence", 0, 1, len(part), slack=ROUNDING).astype(np.float32)
    return image_from_frame(points, box), part, uv, source, step, confidence


def read_body_mask(record: Record, layout: PartLayout) -> np.ndarray | None:
    """Where any of `dp_masks` is: (256, 256) bool over the box; None where the field is missing."""
    if not record.has("dp_masks"):
        return None
    drawn = _frame_masks(record, layout)
    try:
        return decode_rle_union([mask for _, mask in drawn], FRAME, FRAME)
    except ValueError as error:
        raise _name_mask(record, drawn, error) from error


def _frame_masks(record: Record, layout: PartLayout) -> list[tuple[str, dict[str, Any]]]:
    """The masks of `dp_masks` that show something, each with its name for errors.

    Coarse part by coarse part, as dp_masks[0] and so on; a single mask of the whole person is alone.
    """
    masks, most = record.get("dp_masks"), len(layout.coarse_parts)
    if isinstance(masks, dict):
        return [("dp_masks", masks)]
    if not isinstance(masks, list) or len(masks) > most:
        wanted = f"a list of at most {most} masks, or one mask"
        raise record.error("dp_masks", f"{wanted}, is wanted")
    named = [(f"dp_masks[{place}]", mask) for place, mask in enumerate(masks) if mask not in ([], {}, None)]
    for name, mask in named:
        if not isinstance(mask, dict):
            raise record.error(name, f"a {type(mask).__name__}, but a run-length mask is wanted")
    return named


def _name_mask(record: Record, masks: list[tuple[str, dict[str, Any]]], error: ValueError) -> AnnotationError:
    """The error of several masks that were read at once, with the one at fault named."""
    for name, mask in masks:
        try:
            read_runs([mask], FRAME, FRAME)
        except ValueError as alone:
            return record.error(name, str(alone))
    return record.error("dp_masks", str(error))


def _read_coarse(record: Record, layout: PartLayout) -> LabelRuns | None:
    """The coarse mask (256, 256); a single binary mask says where the person is, not which part."""
    if not record.has("dp_masks"):
        return None
    masks = _frame_masks(record, layout)
    single = isinstance(record.get("dp_masks"), dict)
    # A later mask covers an earlier one.
    labels = [IGNORE if single else int(name[len("dp_masks[") : -1]) + 1 for name, _ in masks]
    if record.has("dp_ignore") and not single:  # ours: pixels whose label is not known
        ignored = record.get("dp_ignore")
        if not isinstance(ignored, dict):
            raise record.error("dp_ignore", f"a {type(ignored).__name__}, but a run-length mask is wanted")
        masks, labels = [*masks, ("dp_ignore", ignored)], [*labels, IGNORE]
    try:
        return label_runs([mask for _, mask in masks], labels, FRAME, FRAME)
    except ValueError as error:
        raise _name_mask(record, masks, error) from error


def _read_keypoints(record: Record, names: tuple[str, ...]) -> np.ndarray | None:
    """(K, 3) float64 x, y image px, visibility."""
    if not record.has("keypoints"):
        return None
    keypoints = record.pixels("keypoints")
    if len(keypoints) % 3 or (names and len(keypoints) != 3 * len(names)):
        wanted = f"3 x {len(names)}" if names else "a multiple of 3"
        raise record.error("keypoints", f"{len(keypoints)} numbers, but {wanted} are wanted")
    keypoints = keypoints.reshape(-1, 3)
    if not np.isin(keypoints[:, 2], (0, 1, 2)).all():
        raise record.error("keypoints", "a visibility that is not 0, 1 or 2")
    return keypoints


def read_outline(record: Record, image: ImageRecord) -> np.ndarray | None:
    """`segmentation` drawn into the image, (height, width) bool; None where no usable outline is given."""
    polygons = _polygons(record)
    try:
        if isinstance(polygons, dict):
            return decode_rle(polygons, image.height, image.width)
        return None if polygons is None else decode_polygons(polygons, image.height, image.width)
    except ValueError as error:
        raise record.error("segmentation", str(error)) from error


def check_outline(record: Record, image: ImageRecord) -> None:
    """Raise AnnotationError as `read_outline` would, without drawing."""
    polygons = _polygons(record)
    try:
        if isinstance(polygons, dict):
            read_runs([polygons], image.height, image.width)
        elif polygons is not None:
            check_polygons(polygons, image.height, image.width)
    except ValueError as error:
        raise record.error("segmentation", str(error)) from error


def _polygons(record: Record) -> list[list[float]] | dict[str, Any] | None:
    """`segmentation`: polygons, a run-length mask, or None where it is missing or empty."""
    outline = record.content.get("segmentation")
    if outline is None or outline in ([], {}):
        return None
    if isinstance(outline, dict):
        return outline
    if not isinstance(outline, list):
        raise record.error("segmentation", f"a {type(outline).__name__}, but polygons or a mask are wanted")
    return [record.as_numbers("segmentation", polygon).tolist() for polygon in outline]
