"""Pictures with detections in DensePose's result format drawn on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import cv2
import numpy as np

from slimdp.data.images import load_image
from slimdp.evaluation import Detection
from slimdp.report.drawing import contact_sheet, overlay_parts, overlay_uv, text_strip
from slimdp.structures import ImageRecord

#: A picture of a sheet is about this many px wide.
_WIDTH = 640
TITLES = ("parts", "u", "v")


def results_sheet(
    detections: Iterable[Detection], images: Mapping[int, ImageRecord], count: int, least_score: float = 0.0
) -> np.ndarray:
    """A sheet of at most `count` pictures, those that come first: their detections by part, u and v.

    Where people overlap, the one with the higher score is seen.

    Args:
        detections: of any images.
        images: by id, with the file of each picture.
        count: pictures at most.
        least_score: detections with a lower score are not drawn.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: nobody to draw, or `count` is not positive.
        ImageError: a picture is missing or damaged.
    """
    if count < 1:
        raise ValueError(f"count = {count}, but at least one picture is wanted")
    drawn: dict[int, list[Detection]] = {}
    for detection in detections:
        known = detection.image_id in drawn
        if detection.score >= least_score and (known or len(drawn) < count):
            drawn.setdefault(detection.image_id, []).append(detection)
    if not drawn:
        raise ValueError(f"there is nobody with a score of {least_score:g} or more to draw")
    return contact_sheet([_row(images[image_id], group) for image_id, group in drawn.items()], TITLES)


def _row(image: ImageRecord, detections: list[Detection]) -> list[np.ndarray]:
    picture = load_image(image.file)
    iuv = np.zeros((3, *picture.shape[:2]), dtype=np.uint8)
    detections = sorted(detections, key=lambda detection: detection.score)
    for detection in detections:
        _paste(iuv, detection)
    part, uv = iuv[0], iuv[1:] / 255
    views = [
        overlay_parts(picture, part, part > 0),
        *(overlay_uv(picture, uv, part > 0, channel=channel) for channel in (0, 1)),
    ]
    zoom = _WIDTH / picture.shape[1]
    return [_with_boxes(view, detections, zoom) for view in views]


def _paste(iuv: np.ndarray, detection: Detection) -> None:
    """Lay a detection's map over one of the whole image, (3, H, W), where it sees a person."""
    x, y = (int(value) for value in detection.box[:2])
    y1, x1 = min(y + detection.iuv.shape[1], iuv.shape[1]), min(x + detection.iuv.shape[2], iuv.shape[2])
    y0, x0 = max(y, 0), max(x, 0)
    if y0 >= y1 or x0 >= x1:
        return
    found = detection.iuv[:, y0 - y : y1 - y, x0 - x : x1 - x]
    below = iuv[:, y0:y1, x0:x1]
    below[:] = np.where(found[0] > 0, found, below)


def _with_boxes(view: np.ndarray, detections: list[Detection], zoom: float) -> np.ndarray:
    interpolation = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    drawn = cv2.resize(view, None, fx=zoom, fy=zoom, interpolation=interpolation)
    height, width = drawn.shape[:2]
    for detection in detections:
        corners = np.rint([detection.box[:2] * zoom, (detection.box[:2] + detection.box[2:]) * zoom])
        (x0, y0), (x1, y1) = np.clip(corners, -9, (width + 9, height + 9)).astype(int).tolist()
        cv2.rectangle(drawn, (x0, y0), (x1, y1), (255, 255, 255), 1, cv2.LINE_AA)
        label = text_strip(f"{detection.score:.2f}", 40, 18)
        place = drawn[max(y0, 0) : max(y0, 0) + 18, max(x0, 0) : max(x0, 0) + 40]
        place[:] = label[: place.shape[0], : place.shape[1]]
    return drawn
