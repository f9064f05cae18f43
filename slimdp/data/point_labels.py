"""The labelled points of a person: clicked ones, propagated ones, and those that keypoints stand for."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from slimdp.data.keypoints import KeypointAnchors
from slimdp.data.patches import under
from slimdp.geometry import apply_affine
from slimdp.structures import LabelSource, PersonAnnotation


@dataclass(frozen=True)
class PointLabels:
    """N points and what is known of them."""

    points: np.ndarray  # (N, 2) float64 x, y, px
    part: np.ndarray  # (N,) int64, 1..24
    uv: np.ndarray  # (N, 2) float32 in [0, 1]; NaN where the part alone is known
    source: np.ndarray  # (N,) int64, a LabelSource
    confidence: np.ndarray  # (N,) float32 in [0, 1]

    def joined(self, other: PointLabels) -> PointLabels:
        """These and then the others."""
        return PointLabels(
            *(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self))
        )

    def within(self, crop_from_image: np.ndarray, size: int, covered: np.ndarray) -> PointLabels:
        """Moved from image px to crop px; what lies outside the crop or under a patch is left out.

        Args:
            crop_from_image: (2, 3).
            size: side of the crop, px.
            covered: (R, 4) rectangles of patches, crop px (`cover`).
        """
        points = apply_affine(crop_from_image, self.points)
        shown = ((points >= 0) & (points <= size - 1)).all(axis=1)
        shown &= ~under(covered, points)
        return PointLabels(
            points[shown], self.part[shown], self.uv[shown], self.source[shown], self.confidence[shown]
        )


def points_of(person: PersonAnnotation) -> PointLabels:
    """The points of an annotation, image px."""
    trust = person.confidence
    if trust is None:
        trust = np.ones(len(person.points), dtype=np.float32)
    return PointLabels(person.points, person.part, person.uv, person.source, trust)


def anchored_points(person: PersonAnnotation, anchors: KeypointAnchors, lowest: int) -> PointLabels:
    """A point at each keypoint whose visibility is at least `lowest`, labelled with its anchor, image px.

    A hidden keypoint gives none: its pixel shows something else.
    """
    names = person.keypoint_names if person.keypoints is not None else ()
    pairs = [(names.index(name), row) for row, name in enumerate(anchors.names) if name in names]
    here, row = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    keypoints = np.zeros((0, 3)) if person.keypoints is None else person.keypoints[here]
    seen = keypoints[:, 2] >= lowest
    count = int(seen.sum())
    return PointLabels(
        points=keypoints[seen, :2],
        part=anchors.part[row[seen]],
        uv=anchors.uv[row[seen]],
        source=np.full(count, LabelSource.KEYPOINT, dtype=np.int64),
        confidence=np.ones(count, dtype=np.float32),
    )
