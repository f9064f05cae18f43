"""Detections of a file set against the truths of another, image by image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from slimdp.evaluation.instances import Detection
from slimdp.evaluation.similarity import ImageTruths, box_iou, codes_at, gps, mask_iou
from slimdp.evaluation.truths import TruthFile, place_in_image
from slimdp.surface.interface import Surface

MOST_DETECTIONS = 20


@dataclass(frozen=True)
class ImagePairs:
    """The D best detections of one image, best first, against its G truths."""

    score: np.ndarray  # (D,)
    detection_area: np.ndarray  # (D,) px^2, of the box
    truth_area: np.ndarray  # (G,) px^2
    ignored: np.ndarray  # (G,) bool: without dense pose
    crowd: np.ndarray  # (G,) bool
    gps: np.ndarray  # (D, G); 0 where the truth is ignored
    iou: np.ndarray  # (D, G), of masks
    box_iou: np.ndarray  # (D, G)

    @property
    def gpsm(self) -> np.ndarray:
        """(D, G)."""
        return np.sqrt(self.gps * self.iou)


@dataclass(frozen=True)
class _Reading:
    """What is kept of a detection once its maps are gone."""

    box: np.ndarray  # (4,)
    score: float
    codes: np.ndarray  # (P,) at the points of the image's truths
    shared: np.ndarray  # (G,) px that its mask shares with each truth's
    pixels: int  # of its mask


def compare(
    detections: Iterable[Detection], truths: TruthFile, surface: Surface, kappa_m: np.ndarray
) -> list[ImagePairs]:
    """Similarities of detections with the truths of their images, for every image in the order of the ids.

    Args:
        detections: in any order; of equal scores the earlier one counts as better.
        truths: a file's.
        surface: what part, u and v speak of.
        kappa_m: (25,) metres by true part: one of KAPPAS_M.
    """
    by_image = truths.by_image()
    image_truths = {image_id: ImageTruths.of(by_image[image_id]) for image_id in sorted(truths.images)}
    readings: dict[int, list[_Reading]] = {image_id: [] for image_id in image_truths}
    for detection in detections:
        reading = _read(detection, truths, image_truths[detection.image_id])
        if reading is not None:
            readings[detection.image_id].append(reading)
    for image_id, of_image in readings.items():
        order = np.argsort([-reading.score for reading in of_image], kind="stable")
        readings[image_id] = [of_image[index] for index in order[:MOST_DETECTIONS]]
    codes = [
        np.array([reading.codes for reading in readings[image_id]], dtype=np.int64).reshape(
            len(readings[image_id]), len(image.points.part)
        )
        for image_id, image in image_truths.items()
    ]
    similarities = gps(list(image_truths.values()), codes, surface, kappa_m)
    return [
        _pairs(image, readings[image_id], similarity)
        for (image_id, image), similarity in zip(image_truths.items(), similarities, strict=True)
    ]


def _read(detection: Detection, truths: TruthFile, image: ImageTruths) -> _Reading | None:
    """What is needed of a detection; None where a region to be ignored covers it."""
    if truths.regions.cover_detection(detection):
        return None
    mask = place_in_image(detection.iuv[0] > 0, detection.box, truths.images[detection.image_id])
    return _Reading(
        box=detection.box,
        score=detection.score,
        codes=codes_at(detection, image.points.places),
        shared=np.array([mask.shared(truth.mask) for truth in image.truths], dtype=np.int64),
        pixels=mask.count,
    )


def _pairs(image: ImageTruths, readings: Sequence[_Reading], similarity: np.ndarray) -> ImagePairs:
    truths = image.truths
    detected = np.array([reading.box for reading in readings], dtype=np.float64).reshape(-1, 4)
    true = np.array([truth.box for truth in truths], dtype=np.float64).reshape(-1, 4)
    crowd = np.array([truth.crowd for truth in truths], dtype=bool)
    return ImagePairs(
        score=np.array([reading.score for reading in readings], dtype=np.float64),
        detection_area=detected[:, 2] * detected[:, 3],
        truth_area=np.array([truth.area for truth in truths], dtype=np.float64),
        ignored=np.array([truth.points is None for truth in truths], dtype=bool),
        crowd=crowd,
        gps=similarity,
        iou=mask_iou(
            np.array([reading.shared for reading in readings], dtype=np.int64).reshape(similarity.shape),
            np.array([reading.pixels for reading in readings], dtype=np.int64),
            np.array([truth.mask.count for truth in truths], dtype=np.int64),
            crowd,
        ),
        box_iou=box_iou(detected, true, crowd),
    )
