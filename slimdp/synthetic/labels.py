"""What annotators would say of a rendered frame: points, coarse masks, boxes, keypoints."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.spatial import cKDTree

from slimdp.data.frame import frame_pixel_centres
from slimdp.structures import ImageRecord, LabelSource, PersonAnnotation
from slimdp.surface import BodySurface
from slimdp.surface.parts import COARSE_OF_PART
from slimdp.synthetic.render import RenderedFrame

#: PoseTrack's keypoints, in its order (protocol.md 1), as this project's names.
KEYPOINT_NAMES = (
    "nose", "head_bottom", "head_top", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee",
    "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
#: Annotators place at most this many points on a part (DensePose, 2.1).
MOST_POINTS_A_PART = 14
#: Points a whole person gets, shared between the parts by their area (100 to 150 in DensePose-COCO).
POINTS_A_PERSON = 125
#: A person with fewer visible pixels is not labelled.
FEWEST_PIXELS = 150
#: A joint lies this deep under the skin at most (metres), if it is visible.
JOINT_DEPTH = 0.16


def label_people(
    frame: RenderedFrame,
    image: ImageRecord,
    surface: BodySurface,
    first_id: int,
    rng: np.random.Generator,
    tracks: bool,
    budget: int | None = None,
) -> list[PersonAnnotation]:
    """The annotations of all people who are seen well enough.

    Args:
        frame: what was rendered.
        image: its record.
        surface: the body that part, u and v speak of.
        first_id: annotation ids count from here, by person.
        rng: the annotators' chance.
        tracks: whether people have track ids.
        budget: points a person at most, a random choice of all (Slim DensePose, table 3 v); None keeps all.
    """
    height, width = frame.camera.height, frame.camera.width
    person = frame.hits.person.reshape(height, width)
    part, uv = surface.chart(frame.hits.face, frame.hits.barycentric)
    part = np.where(frame.hits.person >= 0, part, 0).reshape(height, width)
    uv = uv.reshape(height, width, 2)
    people = []
    for index in range(len(frame.people)):
        mask = person == index
        if mask.sum() < FEWEST_PIXELS:
            continue
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = np.array(
            [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1], dtype=np.float64
        )
        points = annotators_points(np.where(mask, part, 0), rng)
        points = points[np.sort(rng.permutation(len(points))[:budget])]
        x, y = points.T
        people.append(
            PersonAnnotation(
                id=first_id + index,
                image=image,
                box=box,
                points=points.astype(np.float64),
                part=part[y, x].astype(np.int64),
                uv=np.clip(uv[y, x], 0, 1).astype(np.float32),
                source=np.full(len(points), int(LabelSource.ANNOTATOR)),
                step=np.zeros(len(points), dtype=np.int64),
                track=index if tracks else None,
                coarse=_coarse_in_box(np.where(mask, COARSE_OF_PART[part], 0), box),
                keypoints=_keypoints(frame, index),
                keypoint_names=KEYPOINT_NAMES,
                mask=mask,
            )
        )
    return people


def annotators_points(part: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Spread points over every part by k-means, as the annotators' tool does (DensePose, 2.1).

    Args:
        part: (H, W) labels 0..24 of one person.
        rng: the annotator's chance.

    Returns:
        (N, 2) int64 x, y px; each lies on its part.
    """
    body = part > 0
    chosen = []
    for label in np.unique(part[body]):
        rows, columns = np.nonzero(part == label)
        pixels = np.column_stack([columns, rows])
        share = round(POINTS_A_PERSON * len(pixels) / body.sum())
        count = int(np.clip(share, 1, min(MOST_POINTS_A_PART, len(pixels))))
        sample = pixels[rng.permutation(len(pixels))[:400]].astype(np.float64)
        with warnings.catch_warnings():
            # A cluster may lose all of its pixels; its centre then stays, which is as good a point as any.
            warnings.filterwarnings("ignore", "One of the clusters is empty")
            centres = kmeans2(sample, sample[:count].copy(), iter=8, minit="matrix", missing="warn")[0]
        chosen.append(pixels[np.unique(cKDTree(pixels).query(centres)[1])])
    return np.concatenate(chosen)


def _coarse_in_box(coarse: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The coarse labels of an image (H, W) in the 256 x 256 frame of a box."""
    centres = np.floor(frame_pixel_centres(box) + 0.5).astype(np.int64)
    last = box[:2] + box[2:] - 1
    columns, rows = np.minimum(centres, last.astype(np.int64)).transpose(2, 0, 1)
    return coarse[rows, columns].astype(np.uint8)


def _keypoints(frame: RenderedFrame, index: int) -> np.ndarray:
    """Keypoints (K, 3): x, y px and visibility (0 outside the frame, 1 hidden, 2 seen)."""
    points, depth = frame.camera.project(
        np.stack([frame.people[index].keypoints[name] for name in KEYPOINT_NAMES])
    )
    column, row = np.rint(points).astype(np.int64).T
    inside = (column >= 0) & (column < frame.camera.width) & (row >= 0) & (row < frame.camera.height)
    inside &= depth > 0  # what is behind the camera projects too, upside down
    visibility = inside.astype(np.float64)
    there = row[inside] * frame.camera.width + column[inside]
    seen = (frame.hits.person[there] == index) & (frame.hits.depth[there] > depth[inside] - JOINT_DEPTH)
    visibility[np.flatnonzero(inside)[seen]] = 2
    return np.column_stack([points * inside[:, None], visibility])
