"""Between a person's crop and its image: the crop's pixel at a place, and the crop's maps in the image.

Our own predictions become detections here, so that both kinds of files are scored, and exported, by one path.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from slimdp.evaluation.densepose_results import MOST_PIXELS, Detection
from slimdp.geometry import apply_affine, invert_affine
from slimdp.structures import DensePoseInstance


def nearest_pixels(prediction: DensePoseInstance, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The crop's pixel nearest to each place in the image.

    Args:
        points: (N, 2) x, y, image px.

    Returns:
        (N, 2) int64 column and row, 0 where the place is outside the crop; (N,) bool, whether it is inside.
    """
    crop_points = apply_affine(prediction.crop_from_image, points)
    # A half goes up: numpy's rint would send 0.5 and 1.5 to even numbers.
    pixels = np.floor(crop_points + 0.5)
    inside = ((pixels >= 0) & (pixels < prediction.part.shape[0])).all(axis=1)
    return np.where(inside[:, None], pixels, 0).astype(np.int64), inside


def paste_prediction(prediction: DensePoseInstance, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """A prediction in the frame of its image, each pixel read from the nearest one of the crop.

    Args:
        prediction: maps in crop px.
        width: of the image, px.
        height: of the image, px.

    Returns:
        part (height, width) uint8, 0 where it is not the person; uv (2, height, width) float32, 0 there.
    """
    size = prediction.part.shape[0]
    edge = size - 0.5
    corners = apply_affine(
        invert_affine(prediction.crop_from_image),
        np.array([[-0.5, -0.5], [edge, -0.5], [-0.5, edge], [edge, edge]]),
    )
    x0, y0 = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(corners.max(axis=0)) + 1, [width, height]).astype(int)
    part = np.zeros((height, width), dtype=np.uint8)
    uv = np.zeros((2, height, width), dtype=np.float32)
    if x0 < x1 and y0 < y1:
        part[y0:y1, x0:x1], uv[:, y0:y1, x0:x1] = prediction_in_window(prediction, x0, y0, x1 - x0, y1 - y0)
    return part, uv


def prediction_in_window(
    prediction: DensePoseInstance, x0: int, y0: int, width: int, height: int
) -> tuple[np.ndarray, np.ndarray]:
    """A prediction at the image's pixels from column x0, row y0 on, each read from the nearest of the crop.

    Returns:
        part (height, width) uint8, 0 where it is not the person; uv (2, height, width) float32, 0 there.
    """
    part = np.zeros((height, width), dtype=np.uint8)
    uv = np.zeros((2, height, width), dtype=np.float32)
    y, x = np.mgrid[y0 : y0 + height, x0 : x0 + width]
    pixels, inside = nearest_pixels(prediction, np.stack([x.ravel(), y.ravel()], axis=1))
    column, row = pixels.T
    person = (inside & prediction.foreground[row, column]).reshape(x.shape)
    column, row = column.reshape(x.shape)[person], row.reshape(x.shape)[person]
    part[person] = prediction.part[row, column]
    uv[:, person] = prediction.uv[:, row, column]
    return part, uv


def as_detection(prediction: DensePoseInstance) -> Detection:
    """A prediction as a DensePose result would hold it.

    The crop is read at the image's pixels inside the box, which is widened to whole px: pixel (j, i) of the
    map is row floor(y0) + j, column floor(x0) + i of the image. Foreground outside the box is left out, as a
    result's map ends with its box.

    Raises ValueError for a box that no picture could hold.
    """
    x0, y0 = np.floor(prediction.box[:2])
    x1, y1 = np.maximum(np.ceil(prediction.box[:2] + prediction.box[2:]), [x0 + 1, y0 + 1])
    if not (x1 - x0) * (y1 - y0) <= MOST_PIXELS:
        raise ValueError(
            f"image {prediction.image_id}, annotation {prediction.annotation_id}: a box of "
            f"{prediction.box.tolist()} px, but at most {MOST_PIXELS} px are read"
        )
    width, height = int(x1 - x0), int(y1 - y0)
    part, uv = prediction_in_window(prediction, int(x0), int(y0), width, height)
    return Detection(
        image_id=prediction.image_id,
        box=np.array([x0, y0, width, height], dtype=np.float64),
        score=prediction.score,
        iuv=np.concatenate([part[None], np.rint(255 * uv).astype(np.uint8)]),
    )


def as_detections(predictions: Iterable[DensePoseInstance]) -> Iterator[Detection]:
    """`as_detection` of each."""
    return (as_detection(prediction) for prediction in predictions)
