"""Detections of a file set against the truths of another, image by image."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from slimdp.evaluation.ground_truth import GroundTruthFile, place_in_image
from slimdp.evaluation.instances import Detection
from slimdp.evaluation.similarity import (
    ImageTruths,
    SaidOfTruths,
    box_iou,
    gps,
    mask_iou,
    said_of,
    shared_pixels,
)
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
    said: SaidOfTruths
    shared: np.ndarray  # (G,) px that its mask shares with each truth's
    pixels: int  # of its mask


class _BestReadings:
    """The best detections of one image: no more are kept, so that a crowd takes no more memory."""

    def __init__(self) -> None:
        # The least comes first; of equal scores the later one is less.
        self._heap: list[tuple[float, int, _Reading]] = []
        self._offered = 0

    def wants(self, score: float) -> bool:
        """Whether a further detection of this score would be among the best."""
        return len(self._heap) < MOST_DETECTIONS or score > self._heap[0][0]

    def add(self, reading: _Reading) -> None:
        """Keep a reading, and the least of all no longer."""
        self._offered += 1
        heapq.heappush(self._heap, (reading.score, -self._offered, reading))
        if len(self._heap) > MOST_DETECTIONS:
            heapq.heappop(self._heap)

    def ranked(self) -> list[_Reading]:
        """Best first."""
        return [reading for _, _, reading in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]


def compare(
    detections: Iterable[Detection], truths: GroundTruthFile, surface: Surface, kappa_m: np.ndarray
) -> list[ImagePairs]:
    """Similarities of detections with the truths of their images, for every image in the order of the ids.

    Args:
        detections: in any order; of equal scores the earlier one counts as better.
        truths: a file's.
        surface: what part, u and v speak of.
        kappa_m: (P + 1,) metres by true part (`kappa_by_part`).
    """
    by_image = truths.by_image()
    image_truths = {image_id: ImageTruths.of(by_image[image_id]) for image_id in sorted(truths.images)}
    best = {image_id: _BestReadings() for image_id in image_truths}
    for detection in detections:
        of_image = best[detection.image_id]
        if of_image.wants(detection.score) and not truths.regions.cover_detection(detection):
            of_image.add(_read(detection, truths, image_truths[detection.image_id]))
    readings = [of_image.ranked() for of_image in best.values()]
    images = list(image_truths.values())
    said = [[reading.said for reading in of_image] for of_image in readings]
    similarities = gps(images, said, surface, kappa_m)
    return [_pairs(*each) for each in zip(images, readings, similarities, strict=True)]


def _read(detection: Detection, truths: GroundTruthFile, image: ImageTruths) -> _Reading:
    """What is needed of a detection."""
    mask = place_in_image(detection.iuv[0] > 0, detection.box, truths.images[detection.image_id])
    return _Reading(
        box=detection.box,
        score=detection.score,
        said=said_of(detection, image),
        shared=shared_pixels(mask, image),
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
