"""Files of truths and results compared from the rules alone: one point, one pixel at a time.

Surfaces are the flat one of tests/conftest.py, whose vertices and distances are known by hand.
"""

from __future__ import annotations

import math
from typing import Any

from tests.evaluation.slow_average_precision import SlowDetection, SlowImage, SlowTruth

FRAME = 256
KAPPA_M = {
    "paper": lambda part: 0.255,
    "per-part": lambda part: (
        [0.351] * 2 + [0.107] * 2 + [0.126] * 2 + [0.237] * 4 + [0.173] * 4 + [0.142] * 4 + [0.128] * 4
        + [0.15] * 2
    )[part - 1],
}  # fmt: skip
Pixels = set[tuple[int, int]]  # column, row


def slow_images(
    content: dict[str, Any], masks: dict[int, list[list[list[bool]]]], results: list[dict], kappa: str
) -> list[SlowImage]:
    """The images of an annotation file with results, in the order of the ids.

    Args:
        content: of the annotation file.
        masks: of an annotation, what its dp_masks are when decoded: lists of rows of 256 x 256.
        results: entries with `iuv`, a map (3, H, W), in place of uv_data.
        kappa: its name.
    """
    images = []
    for image in sorted(content["images"], key=lambda image: image["id"]):
        ignored = _region(image)
        people = [
            person
            for person in content["annotations"]
            if person["image_id"] == image["id"] and not _covered_box(person["bbox"], ignored, image)
        ]
        truths = [
            SlowTruth(person["area"], "dp_x" not in person, bool(person["iscrowd"])) for person in people
        ]
        true_pixels = [_true_pixels(person, masks, image) for person in people]
        detections = []
        for result in results:
            if result["image_id"] != image["id"]:
                continue
            pixels = _detected_pixels(result, image)
            if _covered_result(result, ignored, image):
                continue
            detections.append(
                SlowDetection(
                    result["score"],
                    result["bbox"][2] * result["bbox"][3],
                    [_gps(person, result, kappa) for person in people],
                    [_iou(pixels, true, t.crowd) for true, t in zip(true_pixels, truths)],
                    [_box_iou(result["bbox"], p["bbox"], t.crowd) for p, t in zip(people, truths)],
                )
            )
        images.append(SlowImage(truths, detections))
    return images


def _gps(person: dict, result: dict, kappa: str) -> float:
    if not person.get("dp_x"):
        return 0.0
    total = 0.0
    x0, y0, width, height = person["bbox"]
    rows = min(len(result["iuv"][0]), int(result["bbox"][3]))
    columns = min(len(result["iuv"][0][0]), int(result["bbox"][2]))
    for k, part in enumerate(person["dp_I"]):
        column = math.trunc(person["dp_x"][k] * width / 255 + x0 - result["bbox"][0])
        row = math.trunc(person["dp_y"][k] * height / 255 + y0 - result["bbox"][1])
        if not (0 <= column < columns and 0 <= row < rows):
            continue
        found, u, v = (int(plane[row][column]) for plane in result["iuv"])
        if found == 0:
            continue
        # The flat surface: 9 vertices a part, at (u, v) of 0, .5, 1; parts 1 m apart, sides of 0.5 m.
        true_u, true_v = _nearest(person["dp_U"][k]), _nearest(person["dp_V"][k])
        u, v = _nearest(u / 255), _nearest(v / 255)
        distance = math.hypot(found + 0.5 * u - part - 0.5 * true_u, 0.5 * (v - true_v))
        total += math.exp(-(distance**2) / (2 * KAPPA_M[kappa](part) ** 2))
    return total / len(person["dp_I"])


def _nearest(value: float) -> float:
    return min((0.0, 0.5, 1.0), key=lambda place: abs(value - place))


def _true_pixels(person: dict, masks: dict[int, Any], image: dict) -> Pixels:
    if "dp_masks" not in person:
        x0, y0, x1, y1 = person.get("outline") or (0, 0, 0, 0)
        return {(x, y) for x in range(x0, x1) for y in range(y0, y1)}
    planes = masks[person["id"]]
    union = [[any(plane[j][i] for plane in planes) for i in range(FRAME)] for j in range(FRAME)]
    x, y, width, height = person["bbox"]
    wide, high = round(max(width, 1)), round(max(height, 1))
    pixels = set()
    for row in range(high):
        for column in range(wide):
            at = (int(x) + column, int(y) + row)
            inside = 0 <= at[0] < min(int(x + width), image["width"])
            inside = inside and 0 <= at[1] < min(int(y + height), image["height"])
            if inside and slow_zoom(union, row, high, column, wide) > 0.5:
                pixels.add(at)
    return pixels


def slow_zoom(mask: Any, row: int, high: int, column: int, wide: int) -> float:
    """One pixel of scipy.ndimage.zoom(mask, order=1) in its own 64-bit steps; what lies past the end is 0."""
    at_y = row * ((FRAME - 1) / (high - 1) if high > 1 else 1.0)
    at_x = column * ((FRAME - 1) / (wide - 1) if wide > 1 else 1.0)
    if at_y > FRAME - 1 or at_x > FRAME - 1:
        return 0.0
    j, i = math.floor(at_y), math.floor(at_x)
    above, left = 1.0 - (at_y - j), 1.0 - (at_x - i)
    total = 0.0
    for k, weight_y in ((j, above), (j + 1, 1.0 - above)):
        for n, weight_x in ((i, left), (i + 1, 1.0 - left)):
            if weight_y > 0 and weight_x > 0 and mask[k][n]:
                total += weight_y * weight_x
    return total


def _detected_pixels(result: dict, image: dict) -> Pixels:
    x, y, width, height = result["bbox"]
    pixels = set()
    for row, line in enumerate(result["iuv"][0]):
        for column, part in enumerate(line):
            at = (int(x) + column, int(y) + row)
            inside = 0 <= at[0] < min(int(x + width), image["width"])
            if part > 0 and inside and 0 <= at[1] < min(int(y + height), image["height"]):
                pixels.add(at)
    return pixels


def _region(image: dict) -> Pixels:
    """Regions of these tests are rectangles whose corners COCO's polygons fill exactly."""
    pixels: Pixels = set()
    for xs, ys in zip(image.get("ignore_regions_x", []), image.get("ignore_regions_y", [])):
        pixels |= {(x, y) for x in range(min(xs), max(xs)) for y in range(min(ys), max(ys))}
    return pixels


def _covered_box(box: list[float], ignored: Pixels, image: dict) -> bool:
    if not ignored:
        return False
    if _empty(box):
        return True
    columns, rows = _sliced(box, image)
    covered = sum((i, j) in ignored for i in columns for j in rows)
    return covered / int(box[2]) / int(box[3]) >= 0.7


def _covered_result(result: dict, ignored: Pixels, image: dict) -> bool:
    if not ignored:
        return False
    if _empty(result["bbox"]):
        return True
    columns, rows = _sliced(result["bbox"], image)
    plane = result["iuv"][0]
    if (len(rows), len(columns)) != (len(plane), len(plane[0])):  # masks of two sizes overlap nowhere
        return False
    person = [(i, j) for y, j in enumerate(rows) for x, i in enumerate(columns) if plane[y][x] > 0]
    return bool(person) and sum(pixel in ignored for pixel in person) / len(person) >= 0.9


def _sliced(box: list[float], image: dict) -> tuple[list[int], list[int]]:
    """The columns and rows under a box, with Python's meaning of a negative start and stop."""
    x, y, width, height = (int(value) for value in box)
    columns, rows = list(range(image["width"])), list(range(image["height"]))
    return columns[x : min(x + width, len(columns))], rows[y : min(y + height, len(rows))]


def _empty(box: list[float]) -> bool:
    return int(box[2]) * int(box[3]) == 0


def _iou(detected: Pixels, true: Pixels, crowd: bool) -> float:
    either = len(detected) if crowd else len(detected | true)
    return len(detected & true) / either if either else 0.0


def _box_iou(detected: list[float], true: list[float], crowd: bool) -> float:
    width = min(detected[0] + detected[2], true[0] + true[2]) - max(detected[0], true[0])
    height = min(detected[1] + detected[3], true[1] + true[3]) - max(detected[1], true[1])
    shared = max(width, 0) * max(height, 0)
    area = detected[2] * detected[3]
    return shared / (area if crowd else area + true[2] * true[3] - shared)
