"""How alike a detected and an annotated person are: geodesic point similarity, and the overlap of masks.

GPS is the mean over a person's annotated points of exp(-d^2 / (2 kappa^2)), with the distance d along the
body between the true and the detected place (DensePose, 2.3); GPSm the root of GPS times the overlap of the
masks. The rules on what is compared with what are those of the public evaluator (docs/evaluation.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slimdp.evaluation.instances import DensePoints, Detection, Truth
from slimdp.structures import PARTS
from slimdp.surface.interface import Surface

_GROUPS_M = {
    (1, 2): 0.351,  # torso
    (3, 4): 0.107,  # hands
    (5, 6): 0.126,  # feet
    (7, 8, 9, 10): 0.237,  # upper legs
    (11, 12, 13, 14): 0.173,  # lower legs
    (15, 16, 17, 18): 0.142,  # upper arms
    (19, 20, 21, 22): 0.128,  # lower arms
    (23, 24): 0.150,  # head
}
_BY_PART_M = {part: kappa for parts, kappa in _GROUPS_M.items() for part in parts}
#: Name -> kappa (25,), metres, by true part; entry 0 is not used. "paper": half a point at 0.30 m everywhere
#: (DensePose, 2.3). "per-part": the public evaluator's, behind published AP.
KAPPAS_M = {
    "paper": np.full(PARTS + 1, 0.255),
    "per-part": np.array([np.nan, *(_BY_PART_M[part] for part in range(1, PARTS + 1))]),
}


@dataclass(frozen=True)
class ImageTruths:
    """The G truths of one image, and the P points of all of them in a row."""

    truths: tuple[Truth, ...]
    points: DensePoints
    member: np.ndarray  # (P, G) float64: 1 where a point belongs to a truth, else 0

    @staticmethod
    def of(truths: Sequence[Truth]) -> ImageTruths:
        """Put the points of some truths in a row."""
        scored = [(index, truth.points) for index, truth in enumerate(truths) if truth.points is not None]
        places = [np.zeros((0, 2)), *(points.places for _, points in scored)]
        part = [np.zeros(0, dtype=np.int64), *(points.part for _, points in scored)]
        uv = [np.zeros((0, 2), dtype=np.float32), *(points.uv for _, points in scored)]
        owner = np.repeat([index for index, _ in scored], [len(points.part) for _, points in scored])
        member = owner.astype(np.int64)[:, None] == np.arange(len(truths))
        points = DensePoints(np.concatenate(places), np.concatenate(part), np.concatenate(uv))
        return ImageTruths(tuple(truths), points, member.astype(np.float64))


def codes_at(detection: Detection, places: np.ndarray) -> np.ndarray:
    """What a detection says at places (N, 2) image px: part << 16 | 255 u << 8 | 255 v, (N,) int64.

    Offsets are cut to whole px toward zero, so a place less than one px to the left of the map reads its
    first column; other places outside the map, or past the whole px of the box, are background, 0 (rule 3).
    """
    offsets = places - detection.box[:2]
    size = np.minimum(detection.iuv.shape[:0:-1], detection.box[2:].astype(np.int64))  # width, height
    inside = ((offsets > -1) & (offsets < size)).all(axis=1)
    column, row = offsets[inside].astype(np.int64).T
    part, u, v = detection.iuv[:, row, column].astype(np.int64)
    codes = np.zeros(len(places), dtype=np.int64)
    codes[inside] = np.where(part > 0, part << 16 | u << 8 | v, 0)
    return codes


def gps(
    truths: Sequence[ImageTruths], codes: Sequence[np.ndarray], surface: Surface, kappa_m: np.ndarray
) -> list[np.ndarray]:
    """Geodesic point similarity of detections and truths, for several images.

    Args:
        truths: of each image, with G truths and P points.
        codes: of each image, (D, P): what D detections say at the points (`codes_at`).
        surface: what part, u and v speak of.
        kappa_m: (25,) metres by true part: one of KAPPAS_M.

    Returns:
        of each image (D, G), in 0..1; 0 for truths without points.
    """
    part = np.concatenate([np.zeros(0, dtype=np.int64), *(image.points.part for image in truths)])
    uv = np.concatenate([np.zeros((0, 2)), *(image.points.uv for image in truths)])
    # All images are measured at once: surfaces are fastest on large arrays.
    starts = np.cumsum([0, *(len(image.points.part) for image in truths)])
    point = np.concatenate(
        [np.zeros(0, dtype=np.int64)]
        + [np.tile(np.arange(a, b), len(said)) for a, b, said in zip(starts, starts[1:], codes)]
    )
    said = np.concatenate([np.zeros(0, dtype=np.int64), *(image_codes.ravel() for image_codes in codes)])
    distance_m = surface.vertex_distance(surface.nearest_vertex(part, uv)[point], _vertices_of(said, surface))
    similarity = np.exp(-(distance_m**2) / (2 * kappa_m[part[point]] ** 2))
    of_image = np.split(similarity, np.cumsum([image_codes.size for image_codes in codes])[:-1])
    return [
        values.reshape(image_codes.shape) @ image.member / np.maximum(image.member.sum(axis=0), 1)
        for values, image, image_codes in zip(of_image, truths, codes)
    ]


def mask_iou(shared: np.ndarray, detected: np.ndarray, true: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """Overlap (D, G) of masks, 0 for two empty ones; in a crowd, the share of the detected mask.

    Args:
        shared: (D, G) px that both have.
        detected: (D,) px.
        true: (G,) px.
        crowd: (G,) bool.
    """
    either = np.where(crowd, detected[:, None], detected[:, None] + true - shared)
    return shared / np.maximum(either, 1)


def box_iou(detected: np.ndarray, true: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """Overlap (D, G) of boxes (D, 4) with boxes (G, 4) xywh; in a crowd, the share of the detected box."""
    low = np.maximum(detected[:, None, :2], true[None, :, :2])
    high = np.minimum((detected[:, :2] + detected[:, 2:])[:, None], (true[:, :2] + true[:, 2:])[None])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    detected_area, true_area = detected[:, 2:].prod(axis=1)[:, None], true[:, 2:].prod(axis=1)[None]
    return shared / np.where(crowd, detected_area, detected_area + true_area - shared)


def _vertices_of(codes: np.ndarray, surface: Surface) -> np.ndarray:
    """The nearest vertex (N,) of codes (N,), -1 for background; each different code is looked up once."""
    distinct, which = np.unique(codes, return_inverse=True)
    uv = np.stack([distinct >> 8 & 255, distinct & 255], axis=1) / 255
    return surface.nearest_vertex(distinct >> 16, uv)[which]
