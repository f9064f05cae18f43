"""One entry of `annotations` in a DensePose-COCO or PoseTrack file, as a record (docs/data.md)."""

from __future__ import annotations

from typing import Any

import numpy as np

from slimdp.data.boxes import box_around_keypoints, box_from_centre
from slimdp.data.frame import FRAME, image_from_frame
from slimdp.data.rle import decode_polygons, decode_rle, decode_rle_union
from slimdp.data.validate import ROUNDING, Record
from slimdp.structures import (
    COARSE_PARTS,
    IGNORE,
    PARTS,
    BoxSource,
    ImageRecord,
    LabelSource,
    PersonAnnotation,
)


def read_person(
    record: Record, image: ImageRecord, keypoint_names: tuple[str, ...], read_mask: bool
) -> PersonAnnotation:
    """Read one person; raises AnnotationError naming the field. A person without points gets N = 0.

    A person without a box gets a rough one (`BoxSource`).
    """
    keypoints = _read_keypoints(record, keypoint_names)
    box, box_source = _place(record, keypoints)
    points, part, uv, source, step, confidence = _read_points(record, box)
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
        coarse=_read_coarse(record),
        keypoints=keypoints,
        keypoint_names=keypoint_names,
        mask=read_outline(record, image) if read_mask else None,
        crowd=bool(record.content.get("iscrowd", 0)),
        confidence=confidence,
        box_source=box_source,
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
    return box_from_centre(record.numbers("center", 2), scale), BoxSource.CENTRE


def read_box(record: Record) -> np.ndarray:
    """The box (4,) x, y, width, height, image px; raises AnnotationError unless it has an area."""
    box = record.numbers("bbox", 4)
    if (box[2:] <= 0).any():
        raise record.error(
            "bbox", f"a width and height of {box[2]:g} x {box[3]:g}, but both must be positive"
        )
    return box


def read_frame_points(record: Record) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Points (N, 2) x, y in the 256 px frame of the box, part (N,), uv (N, 2); None without `dp_x`.

    A point whose u and v are null is known by its part alone: uv is NaN.
    """
    if not record.has("dp_x"):
        return None
    x = record.in_range("dp_x", 0, FRAME, slack=ROUNDING)
    count = len(x)
    y = record.in_range("dp_y", 0, FRAME, count, slack=ROUNDING)
    part = record.whole_in_range("dp_I", 1, PARTS, count)
    u = record.in_range_or_null("dp_U", 0, 1, count, slack=ROUNDING)
    v = record.in_range_or_null("dp_V", 0, 1, count, slack=ROUNDING)
    alone = np.flatnonzero(np.isnan(u) != np.isnan(v))
    if alone.size:
        raise record.error("dp_U, dp_V", f"entry {alone[0]} is null in one of them alone")
    return np.stack([x, y], axis=1), part, np.stack([u, v], axis=1).astype(np.float32)


def _read_points(record: Record, box: np.ndarray) -> tuple[Any, ...]:
    """Points (N, 2) image px, part (N,), uv (N, 2), source (N,), step (N,), confidence (N,) or None."""
    found = read_frame_points(record)
    if found is None:
        empty = np.zeros(0, dtype=np.int64)
        return np.zeros((0, 2)), empty, np.zeros((0, 2), dtype=np.float32), empty.copy(), empty.copy(), None
    points, part, uv = found
    zeros = np.zeros(len(part), dtype=np.int64)
    # These three are ours: absent in files of annotators.
    source, step, confidence = zeros, zeros.copy(), None
    if record.has("dp_source"):
        source = record.whole_in_range("dp_source", min(LabelSource), max(LabelSource), len(part))
    if record.has("dp_step"):
        step = record.whole_in_range("dp_step", -(2**31), 2**31, len(part))
    if record.has("dp_confidence"):
        confidence = record.in_range("dp_confidence", 0, 1, len(part), slack=ROUNDING).astype(np.float32)
    return image_from_frame(points, box), part, uv, source, step, confidence


def read_body_mask(record: Record) -> np.ndarray | None:
    """Where any of `dp_masks` is: (256, 256) bool over the box; None where the field is missing."""
    if not record.has("dp_masks"):
        return None
    drawn: list[dict[str, Any]] = []
    for index, mask in enumerate(_frame_masks(record)):
        if isinstance(mask, dict) and mask:
            drawn.append(mask)
        elif mask:
            raise record.error(f"dp_masks[{index}]", "no run-length mask")
    try:
        return decode_rle_union(drawn, FRAME, FRAME)
    except ValueError as error:
        raise record.error("dp_masks", str(error)) from error


def _frame_masks(record: Record) -> list[object]:
    """The entries of `dp_masks`, coarse part by coarse part; a single mask of the whole person is alone."""
    masks = record.get("dp_masks")
    if isinstance(masks, dict):
        return [masks]
    if not isinstance(masks, list) or len(masks) > COARSE_PARTS:
        wanted = f"a list of at most {COARSE_PARTS} masks, or one mask"
        raise record.error("dp_masks", f"{wanted}, is wanted")
    return masks


def _read_coarse(record: Record) -> np.ndarray | None:
    """The coarse mask (256, 256) uint8; a single binary mask says where the person is, not which part."""
    if not record.has("dp_masks"):
        return None
    masks = _frame_masks(record)
    # Run-length masks go down the columns, and so does the painting: across them it takes twice as long.
    coarse = np.zeros((FRAME, FRAME), dtype=np.uint8, order="F")
    if isinstance(record.get("dp_masks"), dict):
        coarse[_read_frame_mask(record, "dp_masks", masks[0])] = IGNORE
        return np.ascontiguousarray(coarse)
    for label, mask in enumerate(masks, start=1):  # a later mask covers an earlier one
        if mask:
            np.putmask(coarse.T, _read_frame_mask(record, f"dp_masks[{label - 1}]", mask).T, label)
    if record.has("dp_ignore"):  # ours: pixels whose label is not known
        coarse[_read_frame_mask(record, "dp_ignore", record.get("dp_ignore"))] = IGNORE
    return np.ascontiguousarray(coarse)


def _read_frame_mask(record: Record, field: str, mask: object) -> np.ndarray:
    if not isinstance(mask, dict):
        raise record.error(field, f"a {type(mask).__name__}, but a run-length mask is wanted")
    try:
        return decode_rle(mask, FRAME, FRAME)
    except ValueError as error:
        raise record.error(field, str(error)) from error


def _read_keypoints(record: Record, names: tuple[str, ...]) -> np.ndarray | None:
    """(K, 3) float64 x, y image px, visibility."""
    if not record.has("keypoints"):
        return None
    keypoints = record.numbers("keypoints")
    if len(keypoints) % 3 or (names and len(keypoints) != 3 * len(names)):
        wanted = f"3 x {len(names)}" if names else "a multiple of 3"
        raise record.error("keypoints", f"{len(keypoints)} numbers, but {wanted} are wanted")
    keypoints = keypoints.reshape(-1, 3)
    if not np.isin(keypoints[:, 2], (0, 1, 2)).all():
        raise record.error("keypoints", "a visibility that is not 0, 1 or 2")
    return keypoints


def read_outline(record: Record, image: ImageRecord) -> np.ndarray | None:
    """`segmentation` drawn into the image, (height, width) bool; None where no usable outline is given."""
    outline = record.content.get("segmentation")
    if not outline:
        return None
    try:
        if isinstance(outline, dict):
            return decode_rle(outline, image.height, image.width)
        polygons = [record.as_numbers("segmentation", polygon).tolist() for polygon in outline]
        return decode_polygons(polygons, image.height, image.width)
    except (ValueError, TypeError) as error:
        raise record.error("segmentation", str(error)) from error
