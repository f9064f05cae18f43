"""How alike a detected and an annotated person are: geodesic point similarity, and the overlap of masks.

GPS is the mean over a person's annotated points of exp(-d^2 / (2 kappa^2)), with the distance d along the
body between the true and the detected place (DensePose, 2.3); GPSm the root of GPS times the overlap of the
masks. The rules on what is compared with what are those of the public evaluator (docs/evaluation.md).
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flow_cache.runtime.words import listed
from slimdp.evaluation.densepose_results import Detection
from slimdp.evaluation.ground_truth import DensePoints, GroundTruth, ImageMask, ImageTruth, place_in_image
from slimdp.surface.layout import PAPER_KAPPA_M, PartLayout, Surface

MOST_DETECTIONS = 20
#: "per-part": the layout's; of people the public evaluator's, behind published AP.
#: "paper": half a point at 0.30 m everywhere (DensePose, 2.3).
KAPPAS = ("paper", "per-part")
_NO_POINTS = DensePoints(np.zeros((0, 2)), np.zeros(0, dtype=np.int64), np.zeros((0, 2), dtype=np.float32))


def kappa_by_part(kappa: str, layout: PartLayout) -> np.ndarray:
    """The tolerance by true part, (P + 1,) metres, of one of `KAPPAS`; entry 0 is not used.

    Raises ValueError for another kappa.
    """
    if kappa not in KAPPAS:
        raise ValueError(f"no kappa {kappa!r}; choose one of: {listed(KAPPAS, kappa)}")
    return layout.kappa_m if kappa == "per-part" else np.full(1 + len(layout.parts), PAPER_KAPPA_M)


@dataclass(frozen=True)
class ImageSimilarities:
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


class ImageComparison:
    """The detections of one image set against its truths, one by one.

    The best MOST_DETECTIONS alone are kept, without their maps, so that a crowd takes no more memory.
    """

    def __init__(self, truth: ImageTruth) -> None:
        self._truth = truth
        self.truths = TruthPoints.of(truth.instances)
        # The least comes first; of equal scores the later one is less.
        self._heap: list[tuple[float, int, _Kept]] = []
        self._offered = 0

    def add(self, detection: Detection) -> None:
        """Compare a detection, unless others are better or it lies in a region to be ignored."""
        wanted = len(self._heap) < MOST_DETECTIONS or detection.score > self._heap[0][0]
        if not wanted or self._truth.regions.cover_detection(detection):
            return
        mask = place_in_image(detection.iuv[0] > 0, detection.box, self._truth.image)
        samples = sample_at_truths(detection, self.truths)
        kept = _Kept(detection.box, samples, shared_pixels(mask, self.truths), mask.count)
        self._offered += 1
        heapq.heappush(self._heap, (detection.score, -self._offered, kept))
        if len(self._heap) > MOST_DETECTIONS:
            heapq.heappop(self._heap)

    def ranked(self) -> list[tuple[float, _Kept]]:
        """Scores and what is kept of the detections, best first."""
        ranked = sorted(self._heap, key=lambda entry: entry[:2], reverse=True)
        return [(score, kept) for score, _, kept in ranked]


def similarities(
    comparisons: Mapping[int, ImageComparison], surface: Surface, kappa_m: np.ndarray
) -> list[ImageSimilarities]:
    """Similarities of detections with the truths of their images, in the order of the images' ids.

    Comparisons are by image id, `kappa_m` (P + 1,) metres by true part (`kappa_by_part`).
    """
    images = [comparisons[image_id] for image_id in sorted(comparisons)]
    ranked = [image.ranked() for image in images]
    samples = [[kept.samples for _, kept in of_image] for of_image in ranked]
    by_image = gps([image.truths for image in images], samples, surface, kappa_m)
    return [_similarities_of(image.truths, *each) for image, each in zip(images, zip(ranked, by_image))]


def _similarities_of(
    image: TruthPoints, ranked: Sequence[tuple[float, _Kept]], gps_of_image: np.ndarray
) -> ImageSimilarities:
    truths, kept = image.truths, [each for _, each in ranked]
    detected = np.array([each.box for each in kept], dtype=np.float64).reshape(-1, 4)
    true = np.array([truth.box for truth in truths], dtype=np.float64).reshape(-1, 4)
    crowd = np.array([truth.crowd for truth in truths], dtype=bool)
    shared = np.array([each.shared for each in kept], dtype=np.int64).reshape(gps_of_image.shape)
    pixels = np.array([each.pixels for each in kept], dtype=np.int64)[:, None]
    true_pixels = np.array([truth.mask.count for truth in truths], dtype=np.int64)
    either = np.where(crowd, pixels, pixels + true_pixels - shared)  # in a crowd, the detected mask alone
    return ImageSimilarities(
        score=np.array([score for score, _ in ranked], dtype=np.float64),
        detection_area=detected[:, 2] * detected[:, 3],
        truth_area=np.array([truth.area for truth in truths], dtype=np.float64),
        ignored=np.array([truth.points is None for truth in truths], dtype=bool),
        crowd=crowd,
        gps=gps_of_image,
        iou=shared / np.maximum(either, 1),
        box_iou=box_iou(detected, true, crowd),
    )


@dataclass(frozen=True)
class _Kept:
    """What is kept of a detection once its maps are gone."""

    box: np.ndarray  # (4,)
    samples: DetectionSamples
    shared: np.ndarray  # (G,) px that its mask shares with each truth's
    pixels: int  # of its mask


@dataclass(frozen=True)
class TruthPoints:
    """The G truths of one image, and the P points of all of them in a row."""

    truths: tuple[GroundTruth, ...]
    points: DensePoints
    starts: np.ndarray  # (G + 1,) int64: truth g has the points starts[g] to starts[g + 1]
    low: np.ndarray  # (G, 2) least x, y of a truth's points, inf without any
    high: np.ndarray  # (G, 2) largest x, y, -inf without any
    masks: np.ndarray  # (G, 4) int64: `ImageMask.rectangle` of each

    @staticmethod
    def of(truths: Sequence[GroundTruth]) -> TruthPoints:
        """Put the points of some truths in a row."""
        each = [_NO_POINTS if truth.points is None else truth.points for truth in truths]
        of_nobody = [_NO_POINTS, *each]
        return TruthPoints(
            truths=tuple(truths),
            points=DensePoints(*map(np.concatenate, zip(*(vars(points).values() for points in of_nobody)))),
            starts=np.cumsum([0, *(len(points.part) for points in each)]),
            low=np.array([points.places.min(axis=0, initial=np.inf) for points in each]).reshape(-1, 2),
            high=np.array([points.places.max(axis=0, initial=-np.inf) for points in each]).reshape(-1, 2),
            masks=np.array([truth.mask.rectangle for truth in truths], dtype=np.int64).reshape(-1, 4),
        )


@dataclass(frozen=True)
class DetectionSamples:
    """What a detection says at the points of the K truths of its image that it says anything of."""

    truth: np.ndarray  # (K,) int64
    point: np.ndarray  # (M,) int64: all points of these truths, in the image's row of points
    codes: np.ndarray  # (M,) int64 (`sample_iuv`)


def sample_at_truths(detection: Detection, image: TruthPoints) -> DetectionSamples:
    """What a detection says at the points of those truths that it reaches; nowhere else has it a code."""
    corner, size = detection.box[:2], _readable(detection)
    near = ((image.high - corner > -1) & (image.low - corner < size)).all(axis=1)
    point = np.flatnonzero(np.repeat(near, np.diff(image.starts)))
    codes = sample_iuv(detection, image.points.places[point])
    # A truth whose box is reached may still have every point on background.
    owner = np.searchsorted(image.starts, point, side="right") - 1
    seen = np.bincount(owner[codes > 0], minlength=len(near)) > 0
    kept = seen[owner]
    return DetectionSamples(np.flatnonzero(seen), point[kept], codes[kept])


def shared_pixels(mask: ImageMask, image: TruthPoints) -> np.ndarray:
    """Pixels that a mask shares with that of each truth: (G,) int64; only rectangles that meet are read."""
    x0, y0, x1, y1 = mask.rectangle
    meet = (image.masks[:, :2] < (x1, y1)).all(axis=1) & (image.masks[:, 2:] > (x0, y0)).all(axis=1)
    shared = np.zeros(len(image.truths), dtype=np.int64)
    for index in np.flatnonzero(meet).tolist():
        shared[index] = mask.shared(image.truths[index].mask)
    return shared


def sample_iuv(detection: Detection, places: np.ndarray) -> np.ndarray:
    """What a detection says at places (N, 2) image px: part << 16 | 255 u << 8 | 255 v, (N,) int64.

    Offsets are cut to whole px toward zero, so a place less than one px to the left of the map reads its
    first column; other places outside the map, or past the whole px of the box, are background, 0 (rule 3).
    """
    offsets = places - detection.box[:2]
    inside = ((offsets > -1) & (offsets < _readable(detection))).all(axis=1)
    column, row = offsets[inside].astype(np.int64).T
    part, u, v = detection.iuv[:, row, column].astype(np.int64)
    codes = np.zeros(len(places), dtype=np.int64)
    codes[inside] = np.where(part > 0, part << 16 | u << 8 | v, 0)
    return codes


def gps(
    truths: Sequence[TruthPoints],
    samples: Sequence[Sequence[DetectionSamples]],
    surface: Surface,
    kappa_m: np.ndarray,
) -> list[np.ndarray]:
    """Geodesic point similarity of detections and truths, for several images.

    Of each image there are G truths, and what each of its D detections says (`sample_at_truths`); `kappa_m`
    (P + 1,) metres is by true part. Returns (D, G) of each image, in 0..1; 0 for truths without points, and
    where a detection says nothing.
    """
    part = np.concatenate([np.zeros(0, dtype=np.int64), *(image.points.part for image in truths)])
    uv = np.concatenate([np.zeros((0, 2)), *(image.points.uv for image in truths)])
    # All images are measured at once: surfaces are fastest on large arrays.
    first = np.cumsum([0, *(len(image.points.part) for image in truths)])
    none = np.zeros(0, dtype=np.int64)
    point = np.concatenate([none, *(begin + one.point for begin, of in zip(first, samples) for one in of)])
    codes = np.concatenate([none, *(one.codes for of in samples for one in of)])
    true_vertex = surface.nearest_vertex(part, uv)[point]
    # Each different code is looked up once; background has the vertex -1.
    distinct, which = np.unique(codes, return_inverse=True)
    detected_uv = np.stack([distinct >> 8 & 255, distinct & 255], axis=1) / 255
    detected_vertex = surface.nearest_vertex(distinct >> 16, detected_uv)[which]
    distance_m = surface.vertex_distance(true_vertex, detected_vertex)
    similarity = np.exp(-(distance_m**2) / (2 * kappa_m[part[point]] ** 2))
    results, at = [], 0
    for image, of_image in zip(truths, samples):
        counts = np.diff(image.starts)
        means = np.zeros((len(of_image), len(image.truths)))
        for row, one in enumerate(of_image):
            for truth in one.truth.tolist():
                means[row, truth] = similarity[at : at + counts[truth]].mean()
                at += counts[truth]
        results.append(means)
    return results


def box_iou(detected: np.ndarray, true: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """Overlap (D, G) of boxes (D, 4) with boxes (G, 4) xywh; in a crowd, the share of the detected box."""
    low = np.maximum(detected[:, None, :2], true[None, :, :2])
    high = np.minimum((detected[:, :2] + detected[:, 2:])[:, None], (true[:, :2] + true[:, 2:])[None])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    detected_area, true_area = detected[:, 2:].prod(axis=1)[:, None], true[:, 2:].prod(axis=1)[None]
    return shared / np.where(crowd, detected_area, detected_area + true_area - shared)


def _readable(detection: Detection) -> np.ndarray:
    """Width and height of what is read of a map, px: no more than the whole px of the box (rule 3)."""
    return np.minimum(detection.iuv.shape[:0:-1], detection.box[2:].astype(np.int64))
