"""Simulated annotators: which points they are shown, and how far off they place them on the body."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.spatial import cKDTree

from slimdp.surface import PEOPLE, BodySurface

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
    "torso": 6.0,
    "hand": 1.6,
    "foot": 1.8,
    "upper leg": 5.5,
    "lower leg": 3.5,
    "upper arm": 3.5,
    "lower arm": 2.5,
    "head": 2.0,
}
#: The same by coarse label, 0 background.
ERROR_CM_OF_COARSE = np.array(
    [0.0, *(ERROR_CM[name.removeprefix("left ").removeprefix("right ")] for name in PEOPLE.coarse_parts)]
)
#: Random surface points among which the one at the drawn distance is looked for.
_CANDIDATES = 128
#: Candidates lie on faces whose middle is at most this much further away than the drawn distance, metres.
_MARGIN = 0.02


def annotators_points(region: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Spread points over every region by k-means, as the annotators' tool does (DensePose, 2.1).

    Args:
        region: (H, W) the regions that one person was divided into, coarse labels; 0 is no region.
        rng: the annotator's chance.

    Returns:
        (N, 2) int64 x, y px; each lies in its region. N = 0 where there is no region.
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
    it stays on its coarse part; front and back may be taken for each other.

    Args:
        surface: the body.
        scale: times the errors of `ERROR_CM`; 0 leaves points where they are.
    """

    def __init__(self, surface: BodySurface, scale: float) -> None:
        if not scale >= 0:
            raise ValueError(f"annotator_error = {scale}, but 0 or more is wanted")
        if surface.layout != PEOPLE:
            raise ValueError(f"{surface.name}: how far off annotators are is known for people alone")
        self._surface, self._scale = surface, scale
        corners = surface.vertices[surface.faces]
        edges = corners[:, 1:] - corners[:, :1]
        self._area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) / 2
        self._middle = corners.mean(axis=1)
        self._coarse = surface.layout.coarse_of_part[surface.face_part]
        self._faces = [np.flatnonzero(self._coarse == label) for label in range(len(ERROR_CM_OF_COARSE))]

    def displace(
        self, face: np.ndarray, barycentric: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Move surface points by random geodesic distances in random directions.

        The distance is that of a normal error along each of two directions, a Rayleigh distance; where the
        coarse part does not reach so far, its point nearest to that distance is taken.

        Args:
            face: (N,) faces.
            barycentric: (N, 3) weights.
            rng: the annotator's chance.

        Returns:
            face (N,) int64 and barycentric (N, 3) of the displaced points.
        """
        if self._scale == 0 or len(face) == 0:
            return face, barycentric
        coarse = self._coarse[face]
        distance = rng.rayleigh(self._scale * ERROR_CM_OF_COARSE[coarse] / 100)
        start = self._surface.positions(face, barycentric)
        candidates = np.stack(
            [self._draw_faces(*point, rng) for point in zip(coarse, start, distance)]
        )  # (N, C)
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
