"""What annotators would say of a rendered frame: points, coarse masks, boxes, keypoints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slimdp.data.box_frame import frame_pixel_centres
from slimdp.structures import ImageRecord, LabelSource, PersonAnnotation
from slimdp.surface import COCO_KEYPOINTS, POSETRACK_FILE_KEYPOINTS, BodySurface
from slimdp.synthetic.annotators import PositionError, annotators_points
from slimdp.synthetic.render import RenderedFrame

#: A person with fewer visible pixels is not labelled.
FEWEST_PIXELS = 150
#: A joint lies this deep under the skin at most (metres), if it is visible.
JOINT_DEPTH = 0.16
#: The same for the face, whose keypoints lie on the skin: one ear must not be seen through the head.
FACE_DEPTH = 0.04
_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")


@dataclass(frozen=True)
class LabelForm:
    """What a kind of data set says of people."""

    keypoint_names: tuple[str, ...]
    tracks: bool  # people have track ids
    fewest_keypoints: int  # whoever shows fewer gets no points and no coarse masks


#: DensePose-COCO.
STILLS = LabelForm(COCO_KEYPOINTS, tracks=False, fewest_keypoints=0)
#: DensePose-Track: people with fewer than six visible keypoints were left out (Slim DensePose, 4).
CLIPS = LabelForm(POSETRACK_FILE_KEYPOINTS, tracks=True, fewest_keypoints=6)


def label_people(
    frame: RenderedFrame,
    image: ImageRecord,
    surface: BodySurface,
    first_id: int,
    rng: np.random.Generator,
    form: LabelForm,
    budget: int | None = None,
    error: PositionError | None = None,
) -> list[PersonAnnotation]:
    """The annotations of all people who are seen well enough.

    Args:
        frame: what was rendered.
        image: its record.
        surface: the body that part, u and v speak of.
        first_id: annotation ids count from here, by person.
        rng: the annotators' chance.
        form: which keypoints, whether tracks, and who is left out.
        budget: points a person at most, a random choice of all (Slim DensePose, table 3 v); None keeps all.
        error: how annotators misplace points on the body; None: they do not.
    """
    person = frame.hits.person.reshape(frame.camera.height, frame.camera.width)
    part = np.where(frame.hits.person >= 0, surface.face_part[frame.hits.face], 0).reshape(person.shape)
    people = []
    for index in range(len(frame.people)):
        mask = person == index
        if mask.sum() < FEWEST_PIXELS:
            continue
        box = _box_of(mask)
        coarse = np.where(mask, surface.layout.coarse_of_part[part], 0)
        keypoints = _keypoints(frame, index, form.keypoint_names)
        dense = (keypoints[:, 2] == 2).sum() >= form.fewest_keypoints
        points = annotators_points(coarse if dense else np.zeros_like(coarse), rng)
        points = points[np.sort(rng.permutation(len(points))[:budget])]
        point_part, point_uv = _answers(frame, points, surface, error, rng)
        people.append(
            PersonAnnotation(
                id=first_id + index,
                image=image,
                box=box,
                points=points.astype(np.float64),
                part=point_part,
                uv=point_uv,
                source=np.full(len(points), int(LabelSource.ANNOTATOR)),
                step=np.zeros(len(points), dtype=np.int64),
                track=index if form.tracks else None,
                coarse=_coarse_in_box(coarse, box) if dense else None,
                keypoints=keypoints,
                keypoint_names=form.keypoint_names,
                mask=mask,
            )
        )
    return people


def true_iuv(frame: RenderedFrame, surface: BodySurface) -> np.ndarray:
    """Part, 255 u, 255 v at every pixel, (H, W, 3) uint8, 0 where nobody is."""
    part, uv = surface.chart(frame.hits.face, frame.hits.barycentric)
    iuv = np.column_stack([part, np.rint(255 * np.clip(uv, 0, 1))]) * (frame.hits.person >= 0)[:, None]
    return iuv.reshape(frame.camera.height, frame.camera.width, 3).astype(np.uint8)


def _answers(
    frame: RenderedFrame,
    points: np.ndarray,
    surface: BodySurface,
    error: PositionError | None,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Part (N,) int64 and uv (N, 2) float32 that annotators give to pixels (N, 2) x, y of people."""
    there = points[:, 1] * frame.camera.width + points[:, 0]
    face, barycentric = frame.hits.face[there], frame.hits.barycentric[there]
    if error is not None:
        face, barycentric = error.displace(face, barycentric, rng)
    part, uv = surface.chart(face, barycentric)
    return part.astype(np.int64), np.clip(uv, 0, 1).astype(np.float32)


def _box_of(mask: np.ndarray) -> np.ndarray:
    """The box (4,) x, y, width, height px around the pixels of a mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    sides = columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1
    return np.array([columns[0], rows[0], *sides], dtype=np.float64)


def _coarse_in_box(coarse: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The coarse labels of an image (H, W) in the 256 x 256 frame of a box."""
    centres = np.floor(frame_pixel_centres(box) + 0.5).astype(np.int64)
    last = box[:2] + box[2:] - 1
    columns, rows = np.minimum(centres, last.astype(np.int64)).transpose(2, 0, 1)
    return coarse[rows, columns].astype(np.uint8)


def _keypoints(frame: RenderedFrame, index: int, names: tuple[str, ...]) -> np.ndarray:
    """Keypoints (K, 3): x, y px and visibility (0 outside the frame, 1 hidden, 2 seen)."""
    points, depth = frame.camera.project(np.stack([frame.people[index].keypoints[name] for name in names]))
    column, row = np.rint(points).astype(np.int64).T
    inside = (column >= 0) & (column < frame.camera.width) & (row >= 0) & (row < frame.camera.height)
    inside &= depth > 0  # what is behind the camera projects too, upside down
    visibility = inside.astype(np.float64)
    there = row[inside] * frame.camera.width + column[inside]
    tolerance = np.where(np.isin(names, _FACE), FACE_DEPTH, JOINT_DEPTH)[inside]
    own = frame.hits.person[there] == index
    # At the outline of a head the pixel may show what is behind it.
    seen = frame.hits.depth[there] > depth[inside] - np.where(own, tolerance, 0)
    visibility[np.flatnonzero(inside)[seen]] = 2
    return np.column_stack([points * inside[:, None], visibility])
