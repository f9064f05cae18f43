"""Our own predictions as detections, so that both kinds of files are scored, and exported, by one path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from slimdp.evaluation.instances import Detection
from slimdp.evaluation.iuv_png import MOST_PIXELS
from slimdp.evaluation.paste import prediction_in_window
from slimdp.structures import DensePoseInstance


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
