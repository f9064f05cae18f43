"""How alike a detected and an annotated person are: geodesic point similarity, and the overlap of masks.

GPS is the mean over a person's annotated points of exp(-d^2 / (2 kappa^2)), with the distance d along the
body between the true and the detected place (DensePose, 2.3); GPSm the root of GPS times the overlap of the
masks. The rules on what is compared with what are those of the public evaluator (docs/evaluation.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flow_cache.runtime.nearest import listed
from slimdp.evaluation.instances import DensePoints, Detection, GroundTruth, ImageMask
from slimdp.surface.interface import Surface
from slimdp.surface.layout import PAPER_KAPPA_M, PartLayout

#: "per-part": the layout's; of people the public evaluator's, behind published AP.
#: "paper": half a point at 0.30 m everywhere (DensePose, 2.3).
KAPPAS = ("paper", "per-part")
_NO_POINTS = DensePoints(np.zeros((0, 2)), np.zeros(0, dtype=np.int64), np.zeros((0, 2), dtype=np.float32))


def kappa_by_part(kappa: str, layout: PartLayout) -> np.ndarray:
    """The tolerance by true part, (P + 1,) metres, of one of `KAPPAS`; entry 0 is not used.

    Raises:
        ValueError: another kappa.
    """
    if kappa not in KAPPAS:
        raise ValueError(f"no kappa {kappa!r}; choose one of: {listed(KAPPAS, kappa)}")
    return layout.kappa_m if kappa == "per-part" else np.full(1 + len(layout.parts), PAPER_KAPPA_M)


@dataclass(frozen=True)
class ImageTruths:
    """The G truths of one image, and the P points of all of them in a row."""

    truths: tuple[GroundTruth, ...]
    points: DensePoints
    starts: np.ndarray  # (G + 1,) int64: truth g has the points starts[g] to starts[g + 1]
    low: np.ndarray  # (G, 2) least x, y of a truth's points, inf without any
    high: np.ndarray  # (G, 2) largest x, y, -inf without any
    masks: np.ndarray  # (G, 4) int64: `ImageMask.rectangle` of each

    @staticmethod
    def of(truths: Sequence[GroundTruth]) -> ImageTruths:
        """Put the points of some truths in a row."""
        each = [_NO_POINTS if truth.points is None else truth.points for truth in truths]
        of_nobody = [_NO_POINTS, *each]
        return ImageTruths(
            truths=tuple(truths),
            points=DensePoints(
                np.concatenate([points.places for points in of_nobody]),
                np.concatenate([points.part for points in of_nobody]),
                np.concatenate([points.uv for points in of_nobody]),
            ),
            starts=np.cumsum([0, *(len(points.part) for points in each)]),
            low=np.array([points.places.min(axis=0, initial=np.inf) for points in each]).reshape(-1, 2),
            high=np.array([points.places.max(axis=0, initial=-np.inf) for points in each]).reshape(-1, 2),
            masks=np.array([truth.mask.rectangle for truth in truths], dtype=np.int64).reshape(-1, 4),
        )


@dataclass(frozen=True)
class SaidOfTruths:
    """What a detection says at the points of the K truths of its image that it says anything of."""

    truth: np.ndarray  # (K,) int64
    point: np.ndarray  # (M,) int64: all points of these truths, in the image's row of points
    codes: np.ndarray  # (M,) int64 (`sample_iuv`)


def said_of(detection: Detection, image: ImageTruths) -> SaidOfTruths:
    """What a detection says at the points of those truths that it reaches; nowhere else has it a code."""
    corner, size = detection.box[:2], _readable(detection)
    near = ((image.high - corner > -1) & (image.low - corner < size)).all(axis=1)
    point = np.flatnonzero(np.repeat(near, np.diff(image.starts)))
    codes = sample_iuv(detection, image.points.places[point])
    # A truth whose box is reached may still have every point on background.
    owner = np.searchsorted(image.starts, point, side="right") - 1
    said = np.bincount(owner[codes > 0], minlength=len(near)) > 0
    kept = said[owner]
    return SaidOfTruths(np.flatnonzero(said), point[kept], codes[kept])


def shared_pixels(mask: ImageMask, image: ImageTruths) -> np.ndarray:
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
    truths: Sequence[ImageTruths],
    said: Sequence[Sequence[SaidOfTruths]],
    surface: Surface,
    kappa_m: np.ndarray,
) -> list[np.ndarray]:
    """Geodesic point similarity of detections and truths, for several images.

    Args:
        truths: of each image, with G truths.
        said: of each image, what each of its D detections says (`said_of`).
        surface: what part, u and v speak of.
        kappa_m: (P + 1,) metres by true part (`kappa_by_part`).

    Returns:
        of each image (D, G), in 0..1; 0 for truths without points, and where a detection says nothing.
    """
    part = np.concatenate([np.zeros(0, dtype=np.int64), *(image.points.part for image in truths)])
    uv = np.concatenate([np.zeros((0, 2)), *(image.points.uv for image in truths)])
    # All images are measured at once: surfaces are fastest on large arrays.
    first = np.cumsum([0, *(len(image.points.part) for image in truths)])
    none = np.zeros(0, dtype=np.int64)
    point = np.concatenate([none, *(begin + one.point for begin, of in zip(first, said) for one in of)])
    codes = np.concatenate([none, *(one.codes for of in said for one in of)])
    distance_m = surface.vertex_distance(
        surface.nearest_vertex(part, uv)[point], _vertices_of(codes, surface)
    )
    similarity = np.exp(-(distance_m**2) / (2 * kappa_m[part[point]] ** 2))
    results, at = [], 0
    for image, of_image in zip(truths, said):
        counts = np.diff(image.starts)
        means = np.zeros((len(of_image), len(image.truths)))
        for row, one in enumerate(of_image):
            for truth in one.truth.tolist():
                means[row, truth] = similarity[at : at + counts[truth]].mean()
                at += counts[truth]
        results.append(means)
    return results


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


def _readable(detection: Detection) -> np.ndarray:
    """Width and height of what is read of a map, px: no more than the whole px of the box (rule 3)."""
    return np.minimum(detection.iuv.shape[:0:-1], detection.box[2:].astype(np.int64))


def _vertices_of(codes: np.ndarray, surface: Surface) -> np.ndarray:
    """The nearest vertex (N,) of codes (N,), -1 for background; each different code is looked up once."""
    distinct, which = np.unique(codes, return_inverse=True)
    uv = np.stack([distinct >> 8 & 255, distinct & 255], axis=1) / 255
    return surface.nearest_vertex(distinct >> 16, uv)[which]
