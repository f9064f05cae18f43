"""Boxes of people around whom nobody drew one: from their keypoints, or MPII's rough centre and scale."""

from __future__ import annotations

import numpy as np

#: What is added to the extent of the keypoints at each end: PoseTrack's own boxes are made so.
KEYPOINT_MARGIN = 0.15
#: MPII's scale is the person's height in units of this (px).
MPII_UNIT_PX = 200.0
#: MPII's centre lies above the middle of the person, by this much at scale 1 (px).
MPII_LIFT_PX = 15.0


def box_around_keypoints(keypoints: np.ndarray) -> np.ndarray | None:
    """The box (4,) xywh of the labelled ones of keypoints (K, 3) x, y px, visibility, with a margin.

    None where they have no extent: fewer than two, or all in one row or column.
    """
    labelled = keypoints[keypoints[:, 2] > 0, :2]
    if not len(labelled):
        return None
    low, extent = labelled.min(axis=0), np.ptp(labelled, axis=0)
    if not (extent > 0).all():
        return None
    return np.concatenate([low - KEYPOINT_MARGIN * extent, (1 + 2 * KEYPOINT_MARGIN) * extent])


def box_from_centre(centre: np.ndarray, scale: float) -> np.ndarray:
    """The square (4,) xywh px, as wide as the person is tall, of MPII's centre (2,) x, y px and scale."""
    side = MPII_UNIT_PX * scale
    middle = np.asarray(centre, dtype=np.float64) + [0, MPII_LIFT_PX * scale]
    # The box covers pixels x .. x + side - 1, so the middle of their centres is half a pixel less.
    corner = middle - (side - 1) / 2
    return np.array([*corner, side, side])
