"""The labels that annotators would give to rendered people, without errors and with them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.spatial import cKDTree

from slimdp.data.box_frame import frame_pixel_centres
from slimdp.structures import ImageRecord, LabelSource, PersonAnnotation
from slimdp.surface import COCO_KEYPOINTS, PEOPLE, POSETRACK_FILE_KEYPOINTS, BodySurface
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
    """The annotations of all people who are seen well enough; their ids count from `first_id`, by person.

    A budget is the most points a person keeps, a random choice (Slim DensePose, table 3 v); None keeps all.
    The error says how annotators misplace points on the body; None: they do not.
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
        person_labels = PersonAnnotation(
            first_id + index, image, box, points.astype(np.float64), point_part, point_uv,
            source=np.full(len(points), int(LabelSource.ANNOTATOR)),
            step=np.zeros(len(points), dtype=np.int64),
            track=index if form.tracks else None,
            coarse=coarse_in_box(coarse, box) if dense else None,
            keypoints=keypoints, keypoint_names=form.keypoint_names, mask=mask,
        )  # fmt: skip
        people.append(person_labels)
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


def coarse_in_box(coarse: np.ndarray, box: np.ndarray) -> np.ndarray:
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


#: Annotators place at most this many points on a region (DensePose, 2.1).
MOST_POINTS_A_REGION = 14
#: A region with a share s of a person's pixels gets this many times the root of s: the paper says only that
#: the number varies with the size. The root, because in the one person of DensePose whose points are public
#: with the papers (125 of them) a hand has 6 or 7, an arm 7 to 13 and a head or leg 14 to 16. Measured on
#: whole rendered people: 100 to 150 points each, as the two data sets have (5 million for 50 thousand).
POINTS_A_ROOT_SHARE = 37.0

# How far annotators are off, by coarse part: standard deviation in centimetres along each of two directions
# on the surface. DensePose's figure 4 shows this as colours only (small on face, hands and feet, larger on
# torso, back and hips; 2.2); the order is taken from there. The scale is set by the one row of numbers there
# is: annotators within 5, 10, 20 cm for 65, 92, 98 % of the points (Slim DensePose, table 2, "Human").
ERROR_CM = {
    "torso": 6.0, "hand": 1.6, "foot": 1.8, "upper leg": 5.5, "lower leg": 3.5, "upper arm": 3.5,
    "lower arm": 2.5, "head": 2.0,
}  # fmt: skip
#: The same by coarse label, 0 background.
ERROR_CM_OF_COARSE = np.array(
    [0.0, *(ERROR_CM[name.removeprefix("left ").removeprefix("right ")] for name in PEOPLE.coarse_parts)]
)
#: Of other categories nobody has measured it: a share of the root of a coarse part's area, as people's have
#: on average (0.05 for the head to 0.14 for the upper leg).
_ERROR_OF_ROOT_AREA = 0.09
#: Random surface points among which the one at the drawn distance is looked for.
_CANDIDATES = 128
#: Candidates lie on faces whose middle is at most this much further away than the drawn distance, metres.
_MARGIN = 0.02


def annotators_points(region: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Spread points over every region by k-means, as the annotators' tool does (DensePose, 2.1).

    Regions (H, W) are one person's coarse labels, 0 none. The points (N, 2) int64 x, y px lie in them; N = 0
    where there is no region.
    """
    body = region > 0
    chosen = [np.zeros((0, 2), dtype=np.int64)]
    for label in np.unique(region[body]):
        rows, columns = np.nonzero(region == label)
        pixels = np.column_stack([columns, rows])
        wanted = round(POINTS_A_ROOT_SHARE * np.sqrt(len(pixels) / body.sum()))
        count = int(np.clip(wanted, 1, min(MOST_POINTS_A_REGION, len(pixels))))
        sample = pixels[rng.permutation(len(pixels))[:400]].astype(np.float64)
        with warnings.catch_warnings():
            # A cluster may lose all of its pixels; its centre then stays, which is as good a point as any.
            warnings.filterwarnings("ignore", "One of the clusters is empty")
            centres = kmeans2(sample, sample[:count].copy(), iter=8, minit="matrix", missing="warn")[0]
        chosen.append(pixels[np.unique(cKDTree(pixels).query(centres)[1])])
    return np.concatenate(chosen)


class PositionError:
    """Displaces surface points as annotators misplace them.

    Annotators place a point on views of the body part that its region was labelled as (DensePose, 2.1), so
    it stays on its coarse part; front and back may be taken for each other. The scale is in times
    `ERROR_CM`; 0 leaves points where they are.
    """

    def __init__(self, surface: BodySurface, scale: float) -> None:
        if not scale >= 0:
            raise ValueError(f"annotator_error = {scale}, but 0 or more is wanted")
        self._surface, self._scale = surface, scale
        corners = surface.vertices[surface.faces]
        edges = corners[:, 1:] - corners[:, :1]
        self._area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) / 2
        self._middle = corners.mean(axis=1)
        self._coarse = surface.layout.coarse_of_part[surface.face_part]
        labels = range(1 + len(surface.layout.coarse_parts))
        self._faces = [np.flatnonzero(self._coarse == label) for label in labels]
        self._error_m = ERROR_CM_OF_COARSE / 100
        if surface.layout != PEOPLE:
            area_m2 = np.bincount(self._coarse, self._area, minlength=len(labels))
            self._error_m = _ERROR_OF_ROOT_AREA * np.sqrt(area_m2)

    def displace(
        self, face: np.ndarray, barycentric: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Move surface points by random geodesic distances in random directions.

        The distance is that of a normal error along each of two directions, a Rayleigh distance; where the
        coarse part does not reach so far, its point nearest to that distance is taken. Takes and returns
        face (N,) int64 and barycentric (N, 3).
        """
        if self._scale == 0 or len(face) == 0:
            return face, barycentric
        coarse = self._coarse[face]
        distance = rng.rayleigh(self._scale * self._error_m[coarse])
        start = self._surface.positions(face, barycentric)
        draws = [self._draw_faces(*point, rng) for point in zip(coarse, start, distance)]
        candidates = np.stack(draws)  # (N, C)
        weights = rng.dirichlet([1.0, 1.0, 1.0], candidates.shape)  # uniform on a triangle
        flat = candidates.ravel()
        repeated = np.repeat(face, _CANDIDATES), np.repeat(barycentric, _CANDIDATES, axis=0)
        reached = self._surface.geodesic_distance(*repeated, flat, weights.reshape(-1, 3))
        best = np.abs(reached.reshape(candidates.shape) - distance[:, None]).argmin(axis=1)
        rows = np.arange(len(face))
        return candidates[rows, best], weights[rows, best]

    def _draw_faces(
        self, coarse: int, start: np.ndarray, distance: float, rng: np.random.Generator
    ) -> np.ndarray:
        """Random faces (C,) of a coarse part, by area, all that may lie within a distance of a point."""
        faces = self._faces[coarse]
        away = np.linalg.norm(self._middle[faces] - start, axis=1)
        near = faces[away < max(distance + _MARGIN, away.min() + _MARGIN)]
        chance = self._area[near] / self._area[near].sum()
        return rng.choice(near, _CANDIDATES, p=chance)


def as_annotators_would(
    people: Sequence[PersonAnnotation], surface: BodySurface, scale: float, rng: np.random.Generator
) -> list[PersonAnnotation]:
    """The same people and pixels, every exact label moved along the body as annotators misplace it.

    Labels of parts alone stay. The scale is in times the errors of `ERROR_CM`; raises ValueError below 0.
    """
    error = PositionError(surface, scale)
    answers = []
    for person in people:
        part, uv, known = person.part.copy(), person.uv.copy(), person.has_uv
        moved = error.displace(*surface.locate(part[known], uv[known]), rng)
        part[known], uv[known] = surface.chart(*moved)
        answers.append(replace(person, part=part, uv=np.clip(uv, 0, 1)))
    return answers
